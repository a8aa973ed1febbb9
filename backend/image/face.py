# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes and mouth of a figure in a picture, and how sure that is (shared reference, preview engine 3.3, with other
cues).

Every candidate, for the eyes a pair of spots and for the mouth a line under them, gets a score: a weighted sum of its
features. "None of them" has a score too. The confidence is the softmax of these scores, summed over the candidates
that mean the same place; that is a conditional logit model (McFadden 1974), whose weights `benchmarks/fit_face.py`
fits to drawn characters, those without a face among them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from . import eyes as eyes_module
from . import mouth as mouth_module
from .eyes import Sampler, candidate_pairs, find_spots
from .face_weights import EYES, MOUTH
from .head import HEIGHT, HeadView, Joints, view_of_head
from .mouth import eye_frame, mouth_candidates, usual_place

SAME_PLACE = 0.04  # parts of the head's height within which two answers are one
EYE_HEIGHT, EYE_SPACING = 0.63, 0.33  # of usual eyes, parts of the head's height
BELOW_CHIN = (
    0.08  # how far below the head's joint a mouth may be, parts of the head's height: the joint is found to that
)
WINDOW = np.linspace(-0.34, 0.34, 35)  # around an eye, in distances between the eyes
CLOSE = 0.3  # to the skin beside an eye, in the same unit
Box = tuple[float, float, float, float]
USUAL_BOX: Box = (-0.2, 0.2, -0.14, 0.14)


def locate_face(rgba: np.ndarray, mask: np.ndarray, joints: Joints) -> dict[str, Any]:
    """The face of the figure in `rgba` (H, W, 4) uint8 with `mask` (H, W) bool and `joints` (neck, head, headTop:
    pixels, x right, y down).

    Returns `face` of docs/architecture.md in pixels: leftEye and rightEye (the character's: leftEye is on the right
    of the picture) with center, half_width and half_height; mouth with center and width; confidence of eyes and
    mouth, 0..1. All parts are always there: what is not seen is put where it usually is, with a confidence below 0.5.
    """
    view = view_of_head(rgba, mask, joints)
    if view is None:
        return _by_joints(joints)
    sampler = Sampler(view)
    right, left, eyes_sure = _eyes(view, sampler)
    mouth, width, mouth_sure = _mouth(sampler, right, left)
    right, left, half_width, half_height = _measured(sampler, right, left)

    def eye(point: np.ndarray) -> dict[str, Any]:
        return {
            "center": view.to_picture(point),
            "half_width": half_width / view.scale,
            "half_height": half_height / view.scale,
        }

    return {
        "leftEye": eye(left),
        "rightEye": eye(right),
        "mouth": {"center": view.to_picture(mouth), "width": width / view.scale},
        "confidence": {"eyes": eyes_sure, "mouth": mouth_sure * eyes_sure},
    }


def _by_joints(joints: Joints) -> dict[str, Any]:
    """Usual places for a head that is too small or not in the picture."""
    x, neck = joints["neck"]
    height = max(neck - joints.get("headTop", (x, neck - 1.0))[1], 1.0)
    y, d = neck - (1 - EYE_HEIGHT) * height, EYE_SPACING * height
    sizes = {"half_width": 0.24 * d, "half_height": 0.15 * d}
    return {
        "leftEye": {"center": [x + d / 2, y], **sizes},
        "rightEye": {"center": [x - d / 2, y], **sizes},
        "mouth": {"center": [x, y + 0.62 * d], "width": 0.6 * d},
        "confidence": {"eyes": 0.0, "mouth": 0.0},
    }


def _posterior(scores: np.ndarray, none: float) -> np.ndarray:
    powers = np.exp(scores - max(float(scores.max()), none))
    return np.asarray(powers / (powers.sum() + np.exp(none - max(float(scores.max()), none))))


def _eyes(view: HeadView, sampler: Sampler) -> tuple[np.ndarray, np.ndarray, float]:
    """(left in the picture, right in the picture, confidence) of the eyes, working pixels."""
    spots = find_spots(view)
    pairs = candidate_pairs(spots, view)
    usual = np.array([view.centre, view.top + EYE_HEIGHT * HEIGHT])
    aside = np.array([EYE_SPACING * HEIGHT / 2, 0.0])
    if len(pairs) == 0:
        return usual - aside, usual + aside, 0.0
    a, b = spots.points[pairs[:, 0]], spots.points[pairs[:, 1]]
    features = eyes_module.describe(sampler, a, b, spots.strength[pairs], float(spots.strength.max()))
    chance = _posterior(EYES.of(features, eyes_module.FEATURES), EYES.none)
    best = int(np.argmax(chance))
    apart = np.maximum(np.hypot(*(a - a[best]).T), np.hypot(*(b - b[best]).T))
    same = apart < SAME_PLACE * HEIGHT
    sure = float(chance[same].sum())
    if sure < 0.15:
        return usual - aside, usual + aside, sure
    share = chance[same] / chance[same].sum()
    return share @ a[same], share @ b[same], sure


def _mouth(sampler: Sampler, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float, float]:
    """(centre, width, confidence), working pixels, below eyes at a and b."""
    middle, across, down = eye_frame(a, b)
    d = float(np.hypot(*across))
    chin = (sampler.view.top + HEIGHT - middle[1]) / d
    places, features = mouth_candidates(sampler, a, b)
    # What lies below the head's joint is a choker or a collar.
    above = middle[1] + places[:, 0] * across[1] + places[:, 1] * down[1] < sampler.view.chin + BELOW_CHIN * HEIGHT
    places, features = places[above], features[above]
    sure, u, v, width = 0.0, 0.0, usual_place(chin), 0.5
    if len(places):
        chance = _posterior(MOUTH.of(features, mouth_module.FEATURES), MOUTH.none)
        best = int(np.argmax(chance))
        same = np.hypot(*(places[:, :2] - places[best, :2]).T) * d < SAME_PLACE * HEIGHT
        sure = float(chance[same].sum())
        if sure >= 0.3:
            share = chance[same] / chance[same].sum()
            u, v, width = share @ np.column_stack([places[same, :2], 2 * places[same, 2]])
    return middle + u * across + v * down, float(np.clip(width, 0.25, 0.9)) * d, sure


def _measured(sampler: Sampler, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
    """(a, b, half width, half height): the middles and the size of what is not skin around eyes at a and b."""
    _, across, down = eye_frame(a, b)
    d = float(np.hypot(*across))
    windows = [eye + WINDOW[None, :, None] * across + WINDOW[:, None, None] * down for eye in (a, b)]
    colours = [sampler.at(sampler.fine, window) for window in windows]
    cheeks = np.array([a + 0.5 * down, b + 0.5 * down, (a + b) / 2 + 0.08 * down])
    skin = np.median(sampler.at(sampler.coarse, cheeks), axis=0)
    found = [_box(np.linalg.norm(colour - skin, axis=2)) for colour in colours]
    if not all(found):  # a visor or a beard below: the skin is what is close to the eyes
        close = np.concatenate([sampler.at(sampler.coarse, _close_to(eye, across, down)) for eye in (a, b)])
        found = [_box(np.linalg.norm(colour - np.median(close, axis=0), axis=2)) for colour in colours]
    boxes = [box or USUAL_BOX for box in found]
    half_width = float(np.clip(np.mean([(box[1] - box[0]) / 2 for box in boxes]), 0.1, 0.32))
    half_height = float(np.clip(np.mean([(box[3] - box[2]) / 2 for box in boxes]), 0.06, min(0.3, 1.15 * half_width)))
    # The two eyes of a face are moved alike: what is beside one of them (hair, the nose) does not tilt the pair.
    inward = float(np.clip(((boxes[0][0] + boxes[0][1]) - (boxes[1][0] + boxes[1][1])) / 4, -0.06, 0.06))
    lower = float(np.clip(np.mean([(box[2] + box[3]) / 2 for box in boxes]), -0.06, 0.06))
    return a + inward * across + lower * down, b - inward * across + lower * down, half_width * d, half_height * d


def _close_to(eye: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Places (3, 2) to the left, to the right and below an eye, just outside one of usual size."""
    return np.array([eye - CLOSE * across, eye + CLOSE * across, eye + CLOSE * down])


def _box(difference: np.ndarray) -> Box | None:
    """(u0, u1, v0, v1) in WINDOW units of the region around the middle that differs from the skin; None where it runs
    out of the window on two opposite sides, so that the skin is not what it was taken for.
    """
    middle = len(WINDOW) // 2
    core = difference[middle - 4 : middle + 5, middle - 4 : middle + 5]
    # The white of an eye and a pale iris differ much less from the skin than lashes do; the opening cuts bridges to
    # lines beside the eye.
    other = ndimage.binary_opening(difference > float(np.clip(0.25 * core.max(), 8.0, 14.0)))
    labels, _ = ndimage.label(other)
    inside = labels[middle - 4 : middle + 5, middle - 4 : middle + 5]
    sizes = np.bincount(inside.ravel(), minlength=2)[1:]
    if not sizes.any():
        return USUAL_BOX
    label = int(np.argmax(sizes)) + 1
    rows, columns = np.nonzero(labels == label)
    limits = [(columns.min(), columns.max()), (rows.min(), rows.max())]
    if any(low == 0 and high == len(WINDOW) - 1 for low, high in limits):
        return None
    box = []
    for low, high in limits:
        # A region that runs out of the window (a fringe, a frame) says nothing on that side: the other side is
        # mirrored.
        if low == 0 and high < len(WINDOW) - 1:
            low = max(2 * middle - high, 0)
        elif high == len(WINDOW) - 1 and low > 0:
            high = min(2 * middle - low, len(WINDOW) - 1)
        box += [float(WINDOW[low]), float(WINDOW[high])]
    return box[0], box[1], box[2], box[3]
