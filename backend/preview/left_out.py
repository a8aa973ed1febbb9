# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture shows and the figure is made without: what it holds or stands on, and long hair before its arms."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..image.analysis import PictureAnalysis
from .limbs import ARM_JOINTS, ARM_PARTS, HEADS, SIDES, SURE, labelled
from .strands import strands

WRIST = 0.8  # of the way from the shoulder to the end of what is shown of an arm
PROPS = ("prop",)
HOLDERS, STANDS = ("Forearm", "Hand"), ("Foot",)
BORDER = 0.004  # of the height: how wide what lies around a prop is


def point_of(picture: PictureAnalysis, name: str) -> np.ndarray:
    """(2,) a joint."""
    return np.array(picture.joints[name], float)


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool."""
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return mask
    size = np.bincount(pieces.ravel())
    size[0] = 0
    return np.asarray(pieces == size.argmax())


def without_props(picture: PictureAnalysis, labels: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """Labels, -1 outside the figure; pixels of the figure that the map calls background, or of the head where none can
    be, take the nearest part. What a prop hid stays a hole unless the figure lies around it.
    """
    background, stray = labelled(labels, names, ["background"]), _stray_heads(picture, labels, names)
    props = _held(picture, (labelled(labels, names, list(PROPS)) | stray) & picture.mask, labels, names)
    known = picture.mask & ~background & ~props & ~stray
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    whole = np.where(known, labels, labels[tuple(nearest)]).astype(int)
    kept = picture.mask & ~props
    kept = ndimage.binary_fill_holes(kept) & picture.mask
    return np.where(kept, whole, -1), int((picture.mask & ~kept).sum())


def _stray_heads(picture: PictureAnalysis, labels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """(H, W) bool: what the map says is of a head, below the neck and apart from it: a sword, a lantern, a beard of
    fur. A head is one piece, but for ears and horns above.
    """
    heads = labelled(labels, names, list(HEADS)) & picture.mask
    pieces, count = ndimage.label(heads, np.ones((3, 3)))
    if count < 2:
        return np.zeros_like(heads)
    size = np.bincount(pieces.ravel(), minlength=count + 1)
    row = ndimage.mean(np.indices(heads.shape)[0], pieces, np.arange(count + 1))
    stray = row > point_of(picture, "neck")[1]
    stray[[0, 1 + int(size[1:].argmax())]] = False
    return np.asarray(stray[pieces])


def _held(picture: PictureAnalysis, props: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """(H, W) bool: props that border on hands more than on the rest of the figure, and what feet stand on. The map
    calls ears, bellies and capes props, too, which must not be bitten out of the figure.
    """
    height = float(np.ptp(np.flatnonzero(picture.mask.any(1)))) + 1
    reach = max(round(BORDER * height), 2)
    hands = labelled(labels, names, [side + part for side in SIDES for part in HOLDERS])
    feet = labelled(labels, names, [side + part for side in SIDES for part in STANDS])
    ankles = max(point_of(picture, f"{side}Foot")[1] for side in SIDES)
    pieces, _ = ndimage.label(props)
    out = np.zeros_like(props)
    for k, box in enumerate(ndimage.find_objects(pieces), 1):
        window = tuple(
            slice(max(s.start - reach, 0), min(s.stop + reach, size)) for s, size in zip(box, props.shape, strict=True)
        )
        piece = pieces[window] == k
        around = ndimage.binary_dilation(piece, iterations=reach) & picture.mask[window] & ~piece
        below = (np.nonzero(piece)[0].mean() + window[0].start) > ankles
        holders = hands[window] | (feet[window] & below)
        if (holders & around).sum() > 0.5 * around.sum() or (below and not around.any()):
            out[window] |= piece
    return out


def without_strands(picture: PictureAnalysis, labels: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """Labels without hair that hangs where the arms are, nor what hung on it alone; how many pixels that are. It would
    be one skin with the arms, which then could not be moved. Where the reader is sure of both arms, they are no hair.
    """
    sure = [min(picture.joint_confidence.get(side + joint, 0.0) for joint in ARM_JOINTS) for side in SIDES]
    if min(sure) >= SURE:
        return labels, 0
    found = strands(picture.rgba, labels, names)
    if not found.any():
        return labels, 0
    kept = largest_piece((labels >= 0) & ~found)
    return np.where(kept, labels, -1), int(((labels >= 0) & ~kept).sum())


def shown_arms(picture: PictureAnalysis, labels: np.ndarray, names: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Elbows and wrists that lay in what was left out: where the map's arms still reach, without their hands."""
    arms = labelled(labels, names, [side + piece for side in SIDES for piece in ARM_PARTS])
    rows, columns = np.nonzero(arms)
    found: dict[str, tuple[float, float]] = {}
    points = np.column_stack([columns, rows]).astype(float)
    shoulders = {side: point_of(picture, f"{side}UpperArm") for side in SIDES}
    away = {side: np.hypot(*(points - shoulder).T) for side, shoulder in shoulders.items()}
    for side, other in (SIDES, SIDES[::-1]):
        x, y = np.round(point_of(picture, f"{side}Hand")).astype(int)
        inside = 0 <= y < arms.shape[0] and 0 <= x < arms.shape[1] and arms[y, x]
        own = np.where(away[side] < away[other], away[side], 0.0)
        if inside or not own.any():
            continue
        tip = points[own.argmax()]
        for joint, share in (("LowerArm", 0.5 * WRIST), ("Hand", WRIST)):
            at = shoulders[side] + share * (tip - shoulders[side])
            found[side + joint] = (float(at[0]), float(at[1]))
    return found
