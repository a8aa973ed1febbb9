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
        "spot": 4.807,
        "even": 2.056,
        "mirror": 0.725,
        "tilt": -4.675,
        "height": 1.024,
        "spacing": 0.454,
        "offset": 0.329,
        "cheeks calm": -0.236,
        "bridge calm": -0.993,
        "skin alike": 0.636,
        "darker": 0.685,
        "contrast": 0.0,
        "face mirror": 0.938,
        "outlier": 1.378,
    },
    none=4.23,
)
MOUTH = Scores(
    {
        "line": 0.616,
        "rank": 0.605,
        "height": 0.293,
        "centred": 1.372,
        "dark": 0.079,
        "red": 0.385,
        "width": 0.8,
        "unbroken": 0.0,
        "ends": -3.103,
        "mirror": 0.799,
        "chin": 0.435,
    },
    none=6.963,
)
