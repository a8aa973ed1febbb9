# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the finished figure has the shape of a character. Nothing here uses what the steps that made it say of it:
only the skin, the bones and what the expressions move.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .limits import LIMITS, PASS, WARN, Check, line, worst
from .measured import LIMBS, POSES, Measured

COLLAPSED = 3.0  # times: an edge that is that much longer in the T-pose than with the arms down is a web
CENTRE = ("hips", "spine", "chest", "upperChest", "neck", "head")


def shape(m: Measured) -> Iterator[Check]:
    """Every check of the figure's shape, in the card's order; needs the required bones and skin."""
    yield _webs(m)
    yield _head(m)
    yield _symmetry(m)
    yield _thighs(m)
    yield _depth(m)
    yield from _face(m)


def web_share(m: Measured) -> float:
    """0 to 1: of the skin's area in the T-pose, how much lies in triangles that shrink to less than a third of their
    length when the arms go down. Skin that was pulled out of a hanging arm and the body does, an arm does not.
    """
    edges = np.stack([m.triangles, np.roll(m.triangles, -1, axis=1)], -1)
    down = m.posed(POSES["arms down"])
    length, lowered = (np.linalg.norm(p[edges[..., 0]] - p[edges[..., 1]], axis=-1).max(1) for p in (m.rest, down))
    corners = m.rest[m.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return float(area[length > COLLAPSED * lowered].sum() / max(float(area.sum()), 1e-12))


def _webs(m: Measured) -> Check:
    value = web_share(m)
    return line(
        "webs",
        "Arms apart from the body",
        LIMITS["webs"].judge(value),
        f"{100 * value:.1f} % of the skin",
        "sheets of skin hang between the arms and the body",
        "generate",
        "Use a picture or model with the arms away from the body, or move the arm markers and make the avatar again.",
    )


def head_share(m: Measured) -> float:
    """The head from its joint to the top of its skin, in heights of the figure; 0 without skin."""
    inside = m.rest[m.in_head]
    top = float(inside[:, 1].max()) if len(inside) else float(m.heads["head"][1])
    return (top - float(m.heads["head"][1])) / max(float(np.ptp(m.rest[:, 1])), 1e-6)


def _head(m: Measured) -> Check:
    value = head_share(m)
    above = m.heads["head"][1] > max(m.heads[f"{side}UpperArm"][1] for side in ("left", "right"))
    found = [LIMITS["head_least"].judge(value), LIMITS["head_most"].judge(value), PASS if above else WARN]
    return line(
        "head_size",
        "Size of the head",
        worst(found),
        f"{100 * value:.0f} % of the height",
        "the neck lies in the face or in the chest, and half of the body nods with the head",
        "rig",
        "Move the head and neck markers and rig again.",
    )


def asymmetry(m: Measured) -> tuple[float, str]:
    """(distance between a joint and its counterpart's mirror image in heights of the figure, the pair's name): the
    worst pair of joints. The mirror is the plane through the joints in the middle.
    """
    middle = float(np.median([m.heads[name][0] for name in CENTRE if name in m.heads]))
    height = max(float(np.ptp(m.rest[:, 1])), 1e-6)
    flip, shift = np.array([-1.0, 1.0, 1.0]), np.array([2 * middle, 0.0, 0.0])
    found = []
    for limb in ("Arm", "Leg"):
        for left, right in zip(LIMBS[f"left{limb}"], LIMBS[f"right{limb}"], strict=True):
            away = float(np.linalg.norm(m.heads[left] - (m.heads[right] * flip + shift)))
            found.append((away / height, left.removeprefix("left")))
    return max(found)


def _symmetry(m: Measured) -> Check:
    value, joint = asymmetry(m)
    return line(
        "symmetry",
        "Left and right alike",
        LIMITS["symmetry"].judge(value),
        f"{100 * value:.1f} % of the height ({joint})",
        "one arm or leg is longer than the other, or a joint is outside its limb",
        "rig",
        "Move the markers of that joint and rig again.",
    )


def thigh_share(m: Measured) -> float:
    """The thigh's length over the shin's, of the leg whose thigh is shorter. Thighs that point at the viewer are short
    in the picture, and shorter than those of any standing character.
    """
    found = []
    for side in ("left", "right"):
        hip, knee, foot = (m.heads[name] for name in LIMBS[f"{side}Leg"])
        found.append(float(np.linalg.norm(hip - knee)) / max(float(np.linalg.norm(knee - foot)), 1e-6))
    return min(found)


def _thighs(m: Measured) -> Check:
    value = thigh_share(m)
    return line(
        "thighs",
        "Length of the thighs",
        LIMITS["thighs"].judge(value),
        f"{100 * value:.0f} % of the shin's length",
        "the thighs are too short, mostly because the character sits or bends its legs in the picture",
        "generate",
        "Use a picture or model that stands with straight legs, or move the hip and knee markers and make the avatar"
        " again.",
    )


def depths(m: Measured) -> dict[str, float]:
    """Part -> its depth over its width, for head, trunk and arms (their middle, where depth goes with height). A part
    without skin is left out. The outermost twentieth on each side does not count.
    """

    def extent(points: np.ndarray, axis: int) -> float:
        low, high = np.percentile(points[:, axis], (5, 95))
        return max(float(high - low), 1e-9)

    parts = {"head": (m.in_head, 0)}
    limbs = np.any([m.held_by(bones[0]) for bones in LIMBS.values()], axis=0)
    parts["body"] = (~limbs & ~m.in_head & (m.rest[:, 1] > m.heads["hips"][1]), 0)
    for side in ("left", "right"):
        held = m.held_by(f"{side}UpperArm") & ~m.held_by(f"{side}Hand")
        reach = np.abs(m.rest[:, 0] - m.heads[f"{side}LowerArm"][0])
        length = abs(float(m.heads[f"{side}Hand"][0] - m.heads[f"{side}UpperArm"][0]))
        parts[side + "Arm"] = (held & (reach < 0.25 * length), 1)
    return {
        name: extent(m.rest[inside], 2) / extent(m.rest[inside], wide)
        for name, (inside, wide) in parts.items()
        if inside.sum() > 8
    }


def _depth(m: Measured) -> Check:
    found = depths(m)
    name = min(found, key=lambda part: found[part]) if found else ""
    value = found.get(name, 0.0)
    return line(
        "depth",
        "Solid from the side",
        LIMITS["depth"].judge(value),
        f"{name}: {100 * value:.0f} % as deep as wide" if name else "no skin",
        "seen from the side, the avatar is a sheet",
        "generate",
        "Make the mesh again with another picture or engine.",
    )


def _face(m: Measured) -> Iterator[Check]:
    """Where the eyes and the mouth are, by what blinking and speaking moves."""
    places = {name: moved_place(m, shapes) for name, shapes in FACE_SHAPES.items()}
    if any(place is None for place in places.values()):
        return  # the checks of the visemes and blinks say it
    left, right, mouth = (places[name] for name in ("left", "right", "mouth"))
    assert left is not None and right is not None and mouth is not None
    inside = m.rest[m.in_head]
    bottom, top = float(m.heads["head"][1]), float(inside[:, 1].max())
    eyes = (left + right) / 2
    value = (float(eyes[1]) - bottom) / max(top - bottom, 1e-6)
    yield line(
        "eyes_height",
        "Eyes in the head",
        worst([LIMITS["eyes_least"].judge(value), LIMITS["eyes_most"].judge(value)]),
        f"{100 * value:.0f} % up the head",
        "the eyelids close on the neck, the cheeks or the hair",
        "face",
        "Move the eye markers onto the eyes and make the face again.",
    )
    apart = max(float(left[0] - right[0]), 1e-6)
    tilt = abs(float(left[1] - right[1])) / apart
    off = abs(float(mouth[0] - eyes[0])) / apart
    value = max(tilt, off)
    yield line(
        "face_symmetry",
        "Eyes level, mouth between them",
        LIMITS["face_symmetry"].judge(value),
        f"{100 * value:.0f} % of the eyes' distance off",
        "an eye or the mouth opens in the wrong place",
        "face",
        "Move the markers of eyes and mouth and make the face again.",
    )


FACE_SHAPES = {"left": ("blinkLeft",), "right": ("blinkRight",), "mouth": ("aa", "oh", "ih")}


def moved_place(m: Measured, names: tuple[str, ...]) -> np.ndarray | None:
    """(3,) the middle of what expressions move on the head, halfway on its way; None where they move nothing.

    Skin that moves farther than three quarters of all that moves counts no more than those: at a small chin, the bottom
    of the mouth's cavity moves three times as far as the lips.
    """
    moves = sum((m.expression(name) for name in names), np.zeros(m.rest.shape))
    length = np.linalg.norm(moves, axis=1)
    length = np.where(np.isfinite(length), length, 0) * m.in_head
    if length.max(initial=0) <= 0:
        return None
    most = np.percentile(length[length > 0.01 * length.max()], 75)
    weights = np.minimum(length, most) * (length > 0.3 * most)
    return np.asarray(np.average(m.rest + 0.5 * np.nan_to_num(moves), axis=0, weights=weights))
