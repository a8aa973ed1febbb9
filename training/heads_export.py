# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports a run of `training.train --heads` to what the product loads, and calibrates eyes and mouth:

    python -m training.heads_export RUN --data FOLDER --characters FOLDER [--out backend/reader]

Writes heads.onnx (kernels of 8 bits, one scale a channel, computed in single precision), eyes and mouth of
calibration.json, measured on whole held-out figures as the reader reads them, and what the weights were trained on to
training.json. An interrupted call is made again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from backend.reader.layout import FACE, HEIGHT, KEYPOINTS, WIDTH, mirrored
from backend.reader.reader import looks
from training.calibration import fit_logistic
from training.cast import make_cast, read_folder
from training.dataset import Shards
from training.export import load_average
from training.figure import BEHIND, OVERSAMPLING
from training.losses import SLICES
from training.network import ReaderNetwork
from training.restyle import restyle
from training.sample import Cast, make_figure
from training.scores import NEAR
from training.small import quantised

SEED = 3002  # of the figures that the confidences are calibrated on
RESTYLED = 0.3  # of them
# Renders are easier than other people's pictures: taken off the logit of eyes and mouth. `backend/image/judge.py` takes
# more off where a warning depends on it.
FACE_MARGIN = 0.6
FIRST = len(KEYPOINTS) - len(FACE)


class HeadNetwork(nn.Module):
    """What `backend.reader.heads` asks for, of a trained network: heatmap logits of FACE (B, 3, h, w), and a vector of
    the mouth's states, the sizes, and what is seen of FACE.
    """

    def __init__(self, network: ReaderNetwork) -> None:
        super().__init__()
        self.network = network
        maps, last = network.maps, network.vector[-1]
        rows = [*range(*SLICES["mouth"].indices(10**6)), *range(*SLICES["sizes"].indices(10**6))]
        rows += list(range(*SLICES["visible"].indices(10**6)))[FIRST:]
        network.maps, network.vector[-1] = nn.Conv2d(maps.in_channels, len(FACE), 1), nn.Linear(192, len(rows))
        with torch.no_grad():
            network.maps.weight.copy_(maps.weight[FIRST : len(KEYPOINTS)])
            network.maps.bias.copy_(maps.bias[FIRST : len(KEYPOINTS)])
            network.vector[-1].weight.copy_(last.weight[rows])
            network.vector[-1].bias.copy_(last.bias[rows])

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(pictures)


def export_heads(network: ReaderNetwork, path: Path, size: tuple[int, int]) -> None:
    """size: width and height of the pictures. `network` is of no further use."""
    sample, whole = torch.zeros(2, 3, size[1], size[0]), path.with_suffix(".whole.onnx")
    torch.onnx.export(
        HeadNetwork(network).eval(), (sample,), whole, input_names=["pictures"], output_names=["maps", "vector"],
        opset_version=17, dynamic_axes={name: {0: "n"} for name in ("pictures", "maps", "vector")}, dynamo=False,
    )  # fmt: skip
    onnx.save(quantised(onnx.load(whole)), path)
    whole.unlink()


def calibrated(model: Path, cast: Cast, count: int) -> dict[str, list[float]]:
    """As training.calibration.calibrated, of FACE, on `count` figures that the weights in `model` read."""
    mass, seen, good, judged = [], [], [], []
    number = 0
    while len(mass) < count:
        sample = make_figure(cast, (SEED, number))
        random = np.random.default_rng((SEED, number, 1))
        number += 1
        points = sample["points"] * OVERSAMPLING
        head = float(np.hypot(*(points[KEYPOINTS.index("headTop")] - points[KEYPOINTS.index("chin")])))
        if abs(sample["yaw"]) > BEHIND or not np.isfinite(head):
            continue
        picture = restyle(sample["image"], random) if random.random() < RESTYLED else sample["image"]
        window, found = looks(np.ascontiguousarray(picture), None, model)[2]
        off = np.hypot(*(window.back(found.points) - points[FIRST:]).T)
        mass.append(np.log(found.mass + 1e-6))
        seen.append(found.seen)
        # A part of the face that cannot be seen has no right place: to point at one is wrong.
        good.append((off <= NEAR * head) & sample["known"][FIRST:])
        judged.append(np.full(len(FACE), True))
    rows = [np.stack(column) for column in (mass, seen, good, judged)]
    out, other = {}, mirrored(FACE)
    for k, name in enumerate(FACE):
        columns = sorted({k, other[k]})  # both sides together
        features = np.column_stack([rows[0][:, columns].ravel(), rows[1][:, columns].ravel()])
        out[name] = fit_logistic(features, rows[2][:, columns].ravel())
        out[name][-1] = round(out[name][-1] - FACE_MARGIN, 4)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--characters", type=Path, action="append", required=True, help="may be given several times")
    parser.add_argument("--figures", type=int, default=400, help="that the confidences are calibrated on")
    parser.add_argument("--out", type=Path, default=Path("backend/reader"))
    parser.add_argument("--size", default=f"{WIDTH}x{HEIGHT}", help="of the pictures, as in the last steps of training")
    options = parser.parse_args()
    network, steps = load_average(options.run)
    width, height = (int(v) for v in options.size.split("x"))
    path = options.out / "heads.onnx"
    export_heads(network, path, (width, height))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    data = [json.loads((folder / "data.json").read_text(encoding="utf-8")) for folder in options.data]
    trained = json.loads((options.out / "training.json").read_text(encoding="utf-8"))
    pictures = len(Shards([folder / "train" for folder in options.data]))
    trained["heads"] = {"weights": digest, "steps": steps, "pictures": pictures, "data": data}
    (options.out / "training.json").write_text(json.dumps(trained) + "\n", encoding="utf-8")
    print(f"{path.stat().st_size / 1e6:.1f} MB after {steps} steps, {digest}")
    cast = make_cast([c for folder in options.characters for c in read_folder(folder)], True)
    found = json.loads((options.out / "calibration.json").read_text(encoding="utf-8"))
    found["points"] |= calibrated(options.out, cast, options.figures)
    (options.out / "calibration.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
