# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibrates the confidences of joints, head top and chin on whole held-out figures, as the reader finds them:

    python -m training.calibration --characters FOLDER [--figures 320] [--out backend/reader]

Writes them to OUT/calibration.json, beside the weights that are measured; eyes and mouth stay, they are
`training.heads_export`'s.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from backend.reader.layout import FACE, HEIGHT, JOINTS, KEYPOINTS, mirrored
from backend.reader.reader import looks
from training.cast import make_cast, read_folder
from training.figure import BEHIND, OVERSAMPLING
from training.sample import Cast, make_figure
from training.scores import NEAR

SEED = 3001  # of the figures
FIGURE = len(KEYPOINTS) - len(FACE)
RIDGE = 1.0


def fit_logistic(features: np.ndarray, right: np.ndarray) -> list[float]:
    """Weights of the features and a constant, by Newton's method with a small ridge."""
    x = np.column_stack([features, np.ones(len(features))])
    weights = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (p - right) + RIDGE * weights
        curve = (x * (p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(x.shape[1])
        weights -= np.clip(np.linalg.solve(curve, slope), -2, 2)
    return [round(float(w), 4) for w in weights]


def rendered(cast: Cast, count: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, float]]:
    """Whole held-out figures seen from the front: picture, points and what is known of KEYPOINTS, height; pixels."""
    out: list[tuple[np.ndarray, np.ndarray, np.ndarray, float]] = []
    number = 0
    while len(out) < count:
        sample = make_figure(cast, (SEED, number))
        number += 1
        if abs(sample["yaw"]) <= BEHIND and sample["known"][:FIGURE].any():
            rows = np.flatnonzero((sample["parts"] > 0).any(1))
            tall = float(np.ptp(rows) + 1) * HEIGHT / sample["parts"].shape[0] * OVERSAMPLING
            out.append((sample["image"], sample["points"] * OVERSAMPLING, sample["known"], tall))
    return out


def calibrated(folder: Path, cast: Cast, count: int) -> dict[str, list[float]]:
    """Per key point of the figure, what `backend.reader.network.confidence` multiplies: log of the mass, the logit of
    being seen, and one; of `count` figures, read with the weights in `folder`.
    """
    mass, seen, good, judged = [], [], [], []
    for picture, points, known, tall in rendered(cast, count):
        window, body = looks(picture, None, folder)[1]
        off = np.hypot(*(window.back(body.points) - points).T)
        head = np.hypot(*(points[KEYPOINTS.index("headTop")] - points[KEYPOINTS.index("chin")]))
        limit = np.where(np.arange(len(KEYPOINTS)) < len(JOINTS), NEAR * tall, NEAR * head)
        mass.append(np.log(body.mass + 1e-6))
        seen.append(body.seen)
        good.append(off <= limit)
        judged.append(known)
    rows = [np.stack(column) for column in (mass, seen, good, judged)]
    out, other = {}, mirrored(KEYPOINTS)
    for k, name in enumerate(KEYPOINTS[:FIGURE]):
        columns = sorted({k, other[k]})
        some = rows[3][:, columns]
        features = np.column_stack([rows[0][:, columns][some], rows[1][:, columns][some]])
        out[name] = fit_logistic(features, rows[2][:, columns][some])
    return out


def calibrate(out: Path, folders: list[Path], figures: int) -> None:
    """The figure's points of calibration.json anew, from held-out figures that are rendered for it; the face's stay."""
    cast = make_cast([c for folder in folders for c in read_folder(folder)], True)
    found = json.loads((out / "calibration.json").read_text(encoding="utf-8"))
    found["points"] |= calibrated(out, cast, figures)
    (out / "calibration.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=Path, action="append", required=True, help="may be given several times")
    parser.add_argument("--figures", type=int, default=320)
    parser.add_argument("--out", type=Path, default=Path("backend/reader"))
    options = parser.parse_args()
    calibrate(options.out, options.characters, options.figures)


if __name__ == "__main__":
    main()
