# SPDX-License-Identifier: GPL-3.0-or-later
"""A second opinion on the joints, by a network that learned on photographs of people (MoveNet, see MODEL_CARD.md).

It knows poses and clothing that the reader's own training pictures do not show, but no big heads and short limbs; the
two err in different places. Its heatmaps are its own, of arms and legs, and those of a decoder that was trained here on
its layers, of all joints where ours are marked. All are pooled: a joint is where they agree that it may be. A third
part, trained here as well, tells from the same layers how far the body is turned and how near its joints are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from .layout import FACE, JOINTS, KEYPOINTS, SIDES, mirrored
from .network import Outputs, peaks, session, softmax

FILE = Path(__file__).with_name("limbs.onnx")
SIDE = 256  # of its square input, pixels
# Of the input, by the figure's longer side, in each of its looks: the nearer one finds more hands, both together most.
FILLS = (0.8, 0.95)
POINTS = KEYPOINTS[: -len(FACE)]  # of the decoder
SWAPPED_POINTS = mirrored(POINTS)
SWAPPED_JOINTS = mirrored(JOINTS)
# MoveNet's own points from the sixth on; before them come nose, eyes and ears.
FIRST = 5
NAMES = tuple(
    side + bone for bone in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot") for side in SIDES
)
SWAPPED = [k ^ 1 for k in range(len(NAMES))]
# Of the second opinion in the pool, for joints and for head top and chin, and of MoveNet's own heatmaps in it; best for
# held-out renders.
SHARE, HEAD_SHARE, OLD = 0.65, 0.6, 0.4
SHARES = np.where(np.arange(len(POINTS)) < len(JOINTS), SHARE, HEAD_SHARE)[:, None, None]
FAINT = 1e-4  # of a heatmap; less is taken for it, so that one network alone rules no place out
# Where people mark the hip joints, they lie further from the middle of the way from the neck to the feet than the
# pooled maps say: short legs are read too long and long ones too short (MODEL_CARD.md). Knees follow by a half.
HIPS_OUT, HIPS_OUT_MOST, KNEES_FOLLOW = 0.15, 0.05, 0.5
NECK = KEYPOINTS.index("neck")
KNEES, FEET = ([KEYPOINTS.index(side + bone) for side in SIDES] for bone in ("LowerLeg", "Foot"))
# In shares of upper arm and thigh. Once pooled, held-out renders do as well with anything up to 0.19 for the arm; more
# than a little leads shoulders astray where hair or a sleeve is taken for the arm.
DOWN = {"UpperArm": ("LowerArm", 0.06), "UpperLeg": ("LowerLeg", 0.13)}
IN_LAYOUT = [KEYPOINTS.index(name) for name in NAMES]
HIPS, LEGS = KEYPOINTS.index("hips"), [KEYPOINTS.index(side + "UpperLeg") for side in SIDES]


@dataclass(frozen=True)
class Look:
    """heat (len(POINTS), h, w): where each of POINTS may be, shares that add up to one; turned (2,): sine and cosine of
    the yaw, not normalised, nearer to zero the less it is known; depth (J,) of JOINTS towards the viewer, from the
    hips, in pixels of the look.
    """

    heat: np.ndarray
    turned: np.ndarray
    depth: np.ndarray


def look(picture: np.ndarray) -> Look:
    """picture (SIDE, SIDE, 3) uint8. What the network says of it and of its mirror image."""
    pair = np.stack([picture, picture[:, ::-1]]).transpose(0, 3, 1, 2).astype(np.float32)
    old, new, turns = session(FILE).run(["heat", "points", "turns"], {"pictures": pair})
    depth = (turns[0, 2:] + turns[1, 2:][SWAPPED_JOINTS]) / 2 * SIDE
    return Look(together(old, new), (turns[0, :2] + turns[1, :2] * [-1, 1]) / 2, depth)


def together(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """A look's heat, from the logits of the picture and its mirror image: MoveNet's (2, 17, h, w), the decoder's
    (2, len(POINTS), h, w).
    """
    share = softmax(new.reshape(2, len(POINTS), -1), 2).reshape(new.shape)
    out = (share[0] + share[1, SWAPPED_POINTS][..., ::-1]) / 2
    mean = (old[0, FIRST:] + old[1, FIRST:][SWAPPED][..., ::-1]) / 2
    theirs = moved(_shares(1 / (1 + np.exp(-np.clip(mean, -30, 30)))))
    out[IN_LAYOUT] = _shares(_pool(out[IN_LAYOUT], theirs, OLD))
    return out


def moved(share: np.ndarray) -> np.ndarray:
    """Shoulders and hips moved down the limb to where they count as ours: photographs of people are marked at the
    joints inside the body, our characters above the armpit and where the thigh leaves the trunk.
    """
    rows, columns = share.shape[1:]
    best = np.stack(np.unravel_index(share.reshape(len(share), -1).argmax(1), (rows, columns)), 1)
    out = share.copy()
    for bone, (following, part) in DOWN.items():
        for side in SIDES:
            k, end = NAMES.index(side + bone), NAMES.index(side + following)
            out[k] = ndimage.shift(share[k], part * (best[end] - best[k]), order=1)
    return out


def pooled(outputs: Outputs, looks: Sequence[Look]) -> Outputs:
    """`outputs` with its joints, head top and chin where they and those of `looks`, the second opinion in the same
    cells and pixels, agree best. The hips lie between the hip joints. Yaw and depths are those of `looks`.
    """
    heat = np.mean([_shares(look.heat) for look in looks], 0)
    own = outputs.heat.copy()
    own[: len(POINTS)] = _pool(own[: len(POINTS)], heat, SHARES)
    own = _shares(own)
    points, mass = peaks(own)
    points = from_middle(points)
    points[HIPS] = points[LEGS].mean(0)
    sine, cosine = np.mean([look.turned for look in looks], 0)
    depth = np.mean([look.depth for look in looks], 0)
    yaw = float(np.degrees(np.arctan2(sine, cosine)))
    return replace(outputs, heat=own, points=points, mass=mass, yaw=yaw, depth=depth)


def from_middle(points: np.ndarray) -> np.ndarray:
    """points (K, 2) with the hip joints moved away from the middle between neck and feet, and knees with them: what
    networks find is drawn towards what they have seen most.
    """
    body = points[FEET].mean(0) - points[NECK]
    share = float((points[LEGS].mean(0) - points[NECK]) @ body) / max(float(body @ body), 1e-9)
    step = np.clip(HIPS_OUT * (share - 0.5), -HIPS_OUT_MOST, HIPS_OUT_MOST) * body
    out = points.copy()
    out[LEGS] += step
    out[KNEES] += KNEES_FOLLOW * step
    return out


def _pool(heat: np.ndarray, other: np.ndarray, share: float | np.ndarray) -> np.ndarray:
    """The geometric mean, in which `other` counts `share`."""
    return (heat + FAINT) ** (1 - share) * (other + FAINT) ** share


def _shares(heat: np.ndarray) -> np.ndarray:
    """Maps that add up to one each; an empty one stays empty."""
    return heat / np.maximum(heat.sum((1, 2), keepdims=True), 1e-9)
