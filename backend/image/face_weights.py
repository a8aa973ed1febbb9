# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of the models in face.py, written by `python -m benchmarks.fit_face`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scores:
    """weights: one a feature; none: the score of "it is not to be seen"."""

    weights: dict[str, float]
    none: float

    def of(self, features: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        """(N,) scores of (N, len(names)) features."""
        return np.asarray(features @ np.array([self.weights[name] for name in names]))


EYES = Scores(
    {
        "spot": 4.073,
        "even": 1.895,
        "mirror": 0.864,
        "tilt": -4.061,
        "height": 0.85,
        "spacing": 0.524,
        "offset": 0.289,
        "cheeks calm": -0.022,
        "bridge calm": -1.258,
        "skin alike": 0.991,
        "darker": 0.915,
        "contrast": 0.0,
        "face mirror": 0.417,
        "outlier": 1.147,
    },
    none=3.169,
)

MOUTH = Scores(
    {
        "line": 0.684,
        "rank": 0.607,
        "height": 0.308,
        "centred": 1.009,
        "dark": 0.264,
        "red": 0.362,
        "width": 0.714,
        "unbroken": 0.0,
        "ends": -3.231,
        "mirror": 1.097,
        "chin": 0.508,
    },
    none=6.932,
)
