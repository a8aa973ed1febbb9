# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports a run to what the product loads, and calibrates its confidences on held-out renders:

    python -m training.export RUN --data FOLDER [--data FOLDER ...] [--out backend/reader]

Writes weights.onnx (kernels of 8 bits, computed in single precision), calibration.json and training.json: what the
weights were trained on, by digest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from backend.reader.layout import COUNTS, FACE, HEIGHT, KEYPOINTS, WIDTH, mirrored
from backend.reader.network import MODEL, calibration
from backend.reader.reader import looks
from training.dataset import Shards, prepare
from training.network import ReaderNetwork
from training.scores import near
from training.small import SMALL, quantised

RIDGE = 1.0
MOST = 600  # whole figures that are read for the confidences


def load_average(run: Path) -> tuple[ReaderNetwork, int]:
    """The averaged weights of a run, for use, and its steps."""
    state = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)
    network = ReaderNetwork()
    network.load_state_dict(state["average"])
    return network.eval(), int(state["step"])


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Stores the weights in half precision and casts them on use; onnxruntime does that once, on loading."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALL:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], name=name + "_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def export_onnx(network: ReaderNetwork, path: Path, size: tuple[int, int]) -> None:
    """Input pictures (N, 3, height, width) float 0..255, outputs maps and vector; N is free. size: width, height."""
    sample = torch.zeros(2, 3, size[1], size[0])
    temporary = path.with_suffix(".whole.onnx")
    torch.onnx.export(
        network, (sample,), temporary, input_names=["pictures"], output_names=["maps", "vector"], opset_version=17,
        dynamic_axes={name: {0: "n"} for name in ("pictures", "maps", "vector")}, dynamo=False,
    )  # fmt: skip
    model = quantised(onnx.load(temporary))
    temporary.unlink()
    onnx.save(model, path)


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


Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # log of the mass, seen, right, to be judged: each (B, K)


def _figures(model: Path, shards: Shards) -> Iterator[Rows]:
    """All other points on whole figures, as `backend.reader.read` finds them with the weights in the folder `model`."""
    found = 0
    for index in range(len(shards)):
        raw = shards.take(np.array([index]))
        if found == MOST or raw["head"][0] or raw["count"][0] != COUNTS.index("one"):
            continue
        found += 1
        window, body = looks(raw["image"][0].numpy(), None, model)[1]
        batch = prepare(raw)
        places = torch.from_numpy(window.back(body.points)).float()[None]
        judged = batch["known"].clone()
        judged[:, -len(FACE) :] = False
        yield np.log(body.mass + 1e-6)[None], body.seen[None], near(places, batch).numpy(), judged.numpy()


def calibrate(model: Path, shards: Shards) -> dict[str, list[float]]:
    """Per key point of the figure, what `backend.reader.network.confidence` multiplies: log of the mass, the logit of
    being seen, and one. model: the folder with the exported weights. Eyes and mouth: `training.heads_export`.
    """
    mass, seen, good, judged = (np.concatenate(c) for c in zip(*_figures(model, shards), strict=True))
    out = {}
    other = mirrored(KEYPOINTS)
    for k, name in enumerate(KEYPOINTS[: -len(FACE)]):
        columns = sorted({k, other[k]})  # both sides together
        rows = judged[:, columns]
        if rows.sum() >= 30:
            features = np.column_stack([mass[:, columns][rows], seen[:, columns][rows]])
            out[name] = fit_logistic(features, good[:, columns][rows])
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, default=Path("backend/reader"))
    parser.add_argument("--size", default=f"{WIDTH}x{HEIGHT}", help="of the pictures, as in the last steps of training")
    options = parser.parse_args()
    network, steps = load_average(options.run)
    options.out.mkdir(parents=True, exist_ok=True)
    width, height = (int(v) for v in options.size.split("x"))
    export_onnx(network, options.out / "weights.onnx", (width, height))
    held_out = Shards([folder / "validation" for folder in options.data])
    points = calibration(MODEL) | calibrate(options.out, held_out)  # the face's stay
    record = {"note": "Written by training.export; read by backend/reader/network.py.", "points": points}
    (options.out / "calibration.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    data = [json.loads((folder / "data.json").read_text(encoding="utf-8")) for folder in options.data]
    digest = hashlib.sha256((options.out / "weights.onnx").read_bytes()).hexdigest()
    trained = {"weights": digest, "steps": steps, "data": data}
    (options.out / "training.json").write_text(json.dumps(trained) + "\n", encoding="utf-8")
    print(f"{(options.out / 'weights.onnx').stat().st_size / 1e6:.1f} MB after {steps} steps, {digest}")


if __name__ == "__main__":
    main()
