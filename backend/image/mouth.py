# SPDX-License-Identifier: GPL-3.0-or-later
"""The mouth below a pair of eyes: a line or patch across the face that is darker or redder than the skin above and
below it.
"""

from __future__ import annotations

import numpy as np

from .eyes import Sampler
from .head import HEIGHT

# The frame of the eyes: u along the line of the eyes from their middle, v down from it, in distances between the eyes.
STEP = 0.035
U = np.arange(-18, 19) * STEP
V = 0.28 + np.arange(36) * STEP
OFFSETS = (-5, -3, -1, 0, 1, 3, 5)  # columns of U
HALF_WIDTHS = (3, 5, 8, 11)
USUAL = 0.62  # v of most mouths
OF_CHIN = 0.57  # v of the mouth over v of the chin
FEATURES = ("line", "rank", "height", "centred", "dark", "red", "width", "unbroken", "ends", "mirror", "chin")


def usual_place(chin: float) -> float:
    """v of a mouth that cannot be seen; `chin`: v of the lower end of the head."""
    return 0.5 * (USUAL + OF_CHIN * float(np.clip(chin, 0.8, 1.6)))


def eye_frame(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(middle, across, down): of eyes at a and b, (2,) each; the directions are as long as the eyes are apart."""
    across = b - a
    return (a + b) / 2, across, np.array([-across[1], across[0]])


def mouth_candidates(sampler: Sampler, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((M, 3) u, v and half width, (M, len(FEATURES))) of what may be a mouth under eyes at a and b (2,), working
    pixels.
    """
    middle, across, down = eye_frame(a, b)
    points = middle + U[None, :, None] * across + V[:, None, None] * down
    lab = sampler.at(sampler.fine, points)
    chin = (sampler.view.top + HEIGHT - middle[1]) / max(float(np.hypot(*across)), 1.0)
    places, features = [], []
    strongest = 1.0
    for half in HALF_WIDTHS:
        for offset in OFFSETS:
            centre = len(U) // 2 + offset
            window = slice(centre - half, centre + half + 1)
            if window.start < 0 or window.stop > len(U):
                continue
            response = _line_response(lab[:, window].mean(axis=1))
            peaks = (
                np.flatnonzero(
                    (response[1:-1] >= response[:-2]) & (response[1:-1] > response[2:]) & (response[1:-1] > 0.8)
                )
                + 1
            )
            strongest = max(strongest, float(response.max()))
            for row in peaks:
                places.append((U[centre], V[row], half * STEP))
                features.append(_describe(lab, int(row), centre, half, float(response[row]), chin))
    table = np.array(features).reshape(-1, len(FEATURES))
    table[:, 1] = table[:, 0] - np.log(strongest)
    return np.array(places).reshape(-1, 3), table


def _line_response(rows: np.ndarray) -> np.ndarray:
    """(n,) how much each of the mean colours (n, 3) differs from those above and below it in the same direction; Lab
    units.
    """
    best = np.zeros(len(rows))
    for k in (2, 3, 5):
        above, below = rows[k:-k] - rows[: -2 * k], rows[k:-k] - rows[2 * k :]
        same = (above * below).sum(axis=1) / np.maximum(
            np.linalg.norm(above, axis=1) * np.linalg.norm(below, axis=1), 1e-6
        )
        line = np.minimum(np.linalg.norm(above, axis=1), np.linalg.norm(below, axis=1)) * np.clip(same, 0, 1)
        best[k:-k] = np.maximum(best[k:-k], line)
    return best


def _describe(lab: np.ndarray, row: int, centre: int, half: int, line: float, chin: float) -> list[float]:
    window = slice(centre - half, centre + half + 1)
    near = slice(max(row - 1, 0), row + 2)
    around = (
        np.concatenate([lab[max(row - 6, 0) : max(row - 3, 1), window], lab[row + 4 : row + 7, window]])
        .reshape(-1, 3)
        .mean(axis=0)
    )
    difference = lab[near, window].reshape(-1, 3).mean(axis=0) - around
    columns = np.linalg.norm(lab[near].mean(axis=0) - around, axis=1)
    inside = columns[window]
    flanks = np.concatenate(
        [columns[max(centre - half - 4, 0) : max(centre - half - 1, 0)], columns[centre + half + 2 : centre + half + 5]]
    )
    strip = lab[max(row - 4, 0) : row + 5, max(centre - half - 3, 0) : centre + half + 4]
    return [
        float(np.log(line)),
        0.0,
        -20.0 * (V[row] - USUAL) ** 2,
        -40.0 * U[centre] ** 2,
        float(np.clip(-difference[0] / 15.0, -1, 2)),
        float(np.clip(difference[1] / 10.0, -1, 2)),
        half * STEP * 5.0,
        float((inside > 0.5 * np.median(inside)).mean() * 2),
        float(np.clip(np.log((flanks.mean() + 1.0) / (inside.mean() + 1.0)), -2, 1)) if len(flanks) else 0.0,
        _mirror(strip),
        -10.0 * (V[row] / float(np.clip(chin, 0.8, 1.8)) - OF_CHIN) ** 2,
    ]


def _mirror(strip: np.ndarray) -> float:
    a = strip - strip.mean(axis=(0, 1))
    return float((a * a[:, ::-1]).sum() / max(float((a**2).sum()), 1e-6))
