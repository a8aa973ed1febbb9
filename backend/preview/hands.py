# SPDX-License-Identifier: GPL-3.0-or-later
"""Bare hands by their skin: a map of the parts is soft where fingers lie on a hip, and would leave a hand behind there
and take a piece of the skirt along with the arm.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .flanks import commonest, to_lab
from .limbs import Limb

LEAST = 200  # pixels of a face that tell its skin
NEAR = 24.0, 11.0  # Lab: lightness, and each of the others, within which a colour is the skin's
REACH, USUAL = 1.15, 0.3  # of the forearm: how far a hand reaches beyond the wrist; the root of its pixels
SIZE = 0.25, 7.0  # of the usual size: hands of large heads are large
HAD = 0.4  # of the hand's skin, at most, that a limb has which missed it
CLEAR, MIXED = (0.6, 4.5), (0.15, 0.7)  # of a hand of that size whose limb is skin to this share, the rest is cloth
OUTLINE = 0.045  # of the forearm: so near to the hand's skin is its drawn line
# Of the forearm: how far around the hand skin that the limb missed is looked for; of such a patch: how much lies there;
# of the usual size: less is a speck, and more is a body.
AROUND, WITHIN, SPECK, MOST = 0.9, 0.7, 0.02, 2.0
SHADED = 2.5  # times as far as its line, fingers are in shade
WRIST = 0.85  # of the forearm: from here on it is hand


def skin_like(rgba: np.ndarray, face: np.ndarray) -> np.ndarray | None:
    """(H, W) bool: pixels of the face's colour; None without a face."""
    if face.sum() < LEAST:
        return None
    skin = to_lab(commonest(rgba[face][:, :3].astype(float), 30.0)[0])
    out = np.zeros(face.shape, bool)
    shown = rgba[..., 3] > 127
    away = np.abs(to_lab(rgba[shown][:, :3]) - skin)
    out[shown] = (away[:, 0] < NEAR[0]) & (away[:, 1:] < NEAR[1]).all(1)
    return out


def take_bare_hand(limb: Limb, skin: np.ndarray) -> None:
    """Gives the limb the patch of skin that begins at its wrist, in place of what it has beyond it. skin: (H, W) bool,
    without the head's.
    """
    elbow, wrist = limb.joints[1:]
    way = wrist - elbow
    length = float(np.hypot(*way))
    reach = REACH * 0.5 * length
    if length < 8:
        return
    middle = wrist + 0.3 * way
    low = np.maximum(np.floor(middle - reach).astype(int), 0)
    high = np.ceil(middle + reach).astype(int) + 1
    here = slice(low[1], high[1]), slice(low[0], high[0])
    y, x = np.indices(skin[here].shape) + low[::-1, None, None]
    along = ((x - elbow[0]) * way[0] + (y - elbow[1]) * way[1]) / length**2
    beyond = along > WRIST
    disc = np.hypot(x - middle[0], y - middle[1]) < reach
    pieces, count = ndimage.label(ndimage.binary_opening(skin[here] & disc & beyond))
    if not count:
        return
    size = np.bincount(pieces.ravel(), minlength=count + 1)
    near = np.hypot(x - wrist[0], y - wrist[1]) < max(limb.radius, 0.25 * length)
    touching = np.unique(pieces[near])
    touching = touching[touching > 0]
    if not len(touching):
        return
    hand = pieces == touching[size[touching].argmax()]
    cells, usual = limb.cells[here], (USUAL * length) ** 2
    there = cells & beyond
    share = (there & skin[here]).sum() / max(there.sum(), 1)
    mixed = CLEAR[0] * usual < hand.sum() < CLEAR[1] * usual and MIXED[0] < share < MIXED[1]
    if not SIZE[0] * usual < hand.sum() < SIZE[1] * usual or ((hand & cells).sum() > HAD * hand.sum() and not mixed):
        return
    around = ndimage.distance_transform_edt(~hand) < max(OUTLINE * length, 2.5)
    hand = ndimage.binary_fill_holes(ndimage.binary_dilation(hand, iterations=2) | (cells & around))
    start = max(along[hand].min(), WRIST)  # the sleeve goes on to where the hand begins
    row, column = np.nonzero(limb.cells)
    rest = (column - elbow[0]) * way[0] + (row - elbow[1]) * way[1] > start * length**2
    limb.cells[row[rest], column[rest]] = False
    limb.cells[here] |= hand


def left_behind(limb: Limb, skin: np.ndarray) -> np.ndarray:
    """(H, W) bool: patches of skin around the limb's hand that touch the limb and are not of it: fingers on a belly,
    which would stay there when the arm is moved. A bare belly is larger, and is not of them. skin: (H, W) bool, without
    the head's.
    """
    out = np.zeros_like(skin)
    elbow, wrist = limb.joints[1:]
    way = wrist - elbow
    length = float(np.hypot(*way))
    if length < 8:
        return out
    middle, reach = wrist + 0.3 * way, AROUND * length
    low = np.maximum(np.floor(middle - 2 * reach).astype(int), 0)
    high = np.maximum(np.ceil(middle + 2 * reach).astype(int) + 1, 1)
    here = slice(low[1], high[1]), slice(low[0], high[0])
    pieces, count = ndimage.label(ndimage.binary_opening(skin[here] & ~limb.cells[here]))
    if not count:
        return out
    y, x = np.indices(pieces.shape) + low[::-1, None, None]
    near = np.hypot(x - middle[0], y - middle[1]) < reach
    edge = ndimage.binary_dilation(limb.cells[here], iterations=max(round(OUTLINE * length), 3))
    size, close, touching = (np.bincount(pieces[w], minlength=count + 1) for w in (pieces >= 0, near, edge))
    usual = (USUAL * length) ** 2
    hand = (close > WITHIN * size) & (touching > 0) & (size > SPECK * usual) & (size < MOST * usual)
    hand[0] = False
    around = ndimage.binary_dilation(hand[pieces], iterations=max(round(SHADED * OUTLINE * length), 2))
    out[here] = around & ~limb.cells[here]
    return out
