# SPDX-License-Identifier: GPL-3.0-or-later
"""Long hair that a map of the parts takes for arms, because it hangs where arms hang: found by the hair's colours."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.color import rgb2lab

from .limbs import ARM_PARTS, labelled

BINS = np.array([10, 16, 16])  # of lightness, a and b
LOW, HIGH = np.array([0.0, -64, -64]), np.array([100.0, 64, 64])
LIKELIER = 3.0  # times as likely among the hair's colours as among those of all other parts
ENOUGH = 0.01  # of the figure: less hair than that tells no colour
SMALL, LARGE = 0.003, 0.02  # of the figure: a piece of a strand, at least; all strands of the map's arms, at least
CALM = 0.008  # of the height: half the window in which most pixels have to be alike
MOST = 0.85  # of the map's arms: where nearly all is of the hair's colour, it is a sleeve or fur


def strands(rgba: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """(H, W) bool: pixels of the map's arms that are hair. labels: as unfold.PartMap, -1 outside the figure."""
    figure = labels >= 0
    arms = labelled(labels, names, [side + piece for side in ("left", "right") for piece in ARM_PARTS])
    hair = labelled(labels, names, ["hair"])
    others = figure & ~arms & ~hair & ~labelled(labels, names, ["headgear"])
    nothing = np.zeros_like(figure)
    size = float(figure.sum())
    if min(hair.sum(), others.sum()) < ENOUGH * size or not arms.any():
        return nothing
    bins = _bins(rgba)
    likely = LIKELIER * _share(bins, others) < _share(bins, hair)
    reach = max(round(CALM * np.ptp(np.flatnonzero(figure.any(1)))), 1)
    among = ndimage.uniform_filter(arms.astype(np.float32), 2 * reach + 1)
    alike = ndimage.uniform_filter((likely[bins] & arms).astype(np.float32), 2 * reach + 1) > 0.5 * among
    pieces, count = ndimage.label(alike & arms)
    if not count:
        return nothing
    large = np.bincount(pieces.ravel()) > SMALL * size
    large[0] = False
    found = large[pieces]
    if not (ndimage.binary_dilation(hair, iterations=2 * reach) & found).any():
        return nothing  # none hangs from the head: a sleeve or glove of the hair's colour
    return found if LARGE * size < found.sum() < MOST * arms.sum() else nothing


def _bins(rgba: np.ndarray) -> np.ndarray:
    """(H, W) number of each pixel's colour."""
    lab = (rgb2lab(rgba[..., :3] / 255.0) - LOW) / (HIGH - LOW)
    return np.asarray(
        np.ravel_multi_index(tuple(np.moveaxis(np.clip(lab * BINS, 0, BINS - 1).astype(int), -1, 0)), BINS)
    )


def _share(bins: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(colours,) how common each colour is there, with its neighbours."""
    counts = np.bincount(bins[where], minlength=int(np.prod(BINS))).reshape(BINS).astype(float)
    counts = ndimage.gaussian_filter(counts, 0.7)
    return (counts / counts.sum() + 1e-5).ravel()
