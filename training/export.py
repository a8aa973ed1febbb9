# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports a run to what the product loads:

    python -m training.export RUN --data FOLDER [--data FOLDER ...] [--characters FOLDER] [--out backend/reader]

Writes weights.onnx (large kernels of 8 bits, computed in single precision), with characters calibration.json
(`training.calibration`; else OUT's, or the shipped one, stays), and to training.json what
the weights were trained on, by digest; of a run that began with the weights that were there, what those were trained on
as well. What training.json says of other networks stays.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from backend.reader.layout import HEIGHT, WIDTH
from backend.reader.network import MODEL
from training.calibration import calibrate
from training.dataset import Shards
from training.network import ReaderNetwork
from training.small import SMALL, quantised
from training.train import START

OWN = ("weights", "steps", "pictures", "data", "start")  # what training.json says of weights.onnx


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


def record(out: Path, run: Path, about: dict[str, Any]) -> None:
    """Puts `about`, of OWN, into OUT/training.json; what was there of weights that `run` began with, under `start`."""
    path, start = out / "training.json", run / START
    trained = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    before = {name: trained.pop(name) for name in OWN if name in trained}
    if start.is_file() and before.get("weights") == start.read_text(encoding="ascii").strip():
        about = {**about, "start": before}
    path.write_text(json.dumps({**about, **trained}) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--characters", type=Path, action="append", help="calibrate; may be given several times")
    parser.add_argument("--figures", type=int, default=320, help="that the confidences are calibrated on")
    parser.add_argument("--out", type=Path, default=Path("backend/reader"))
    parser.add_argument("--size", default=f"{WIDTH}x{HEIGHT}", help="of the pictures, as in the last steps of training")
    options = parser.parse_args()
    network, steps = load_average(options.run)
    options.out.mkdir(parents=True, exist_ok=True)
    width, height = (int(v) for v in options.size.split("x"))
    export_onnx(network, options.out / "weights.onnx", (width, height))
    confidences = options.out / "calibration.json"
    if not confidences.is_file():
        shutil.copy(MODEL / "calibration.json", confidences)
    data = [json.loads((folder / "data.json").read_text(encoding="utf-8")) for folder in options.data]
    digest = hashlib.sha256((options.out / "weights.onnx").read_bytes()).hexdigest()
    pictures = len(Shards([folder / "train" for folder in options.data]))
    if options.characters:
        calibrate(options.out, options.characters, options.figures)
    record(options.out, options.run, {"weights": digest, "steps": steps, "pictures": pictures, "data": data})
    print(f"{(options.out / 'weights.onnx').stat().st_size / 1e6:.1f} MB after {steps} steps, {digest}")


if __name__ == "__main__":
    main()
