# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a trained decoder on MoveNet's layers:

    python -m training.joints_export RUN --movenet FILE --data FOLDER [--pooled NAME SHARE [--characters FOLDER]]

FILE: what `training.movenet` wrote; RUN: of `training.joints`, and FOLDER of `training.joint_pictures`, both for
training.json. Writes limbs.onnx without yaw and depths: the reader needs them, and `training.turns_export` adds them.
Pooled: FILE is a limbs.onnx, whose yaw and depths stay; it gets one decoder more, called NAME, whose logits of joints
count SHARE. With characters, the confidences are calibrated anew then.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import compose, helper, numpy_helper

from backend.reader.layout import FACE, JOINTS, KEYPOINTS
from training.calibration import calibrate
from training.export import halve
from training.joint_pictures import TAPS
from training.joints import Decoder

FIGURE = len(KEYPOINTS) - len(FACE)


def joined(
    movenet: onnx.ModelProto, decoder: Decoder, name: str = "decoder", points: str = "points"
) -> onnx.ModelProto:
    """One graph from pictures to MoveNet's heatmaps, `heat`, and to the decoder's, `points` (N, K, CELLS, CELLS). name:
    of the decoder's own tensors.
    """
    sample = tuple(torch.zeros(2, channels, cells, cells) for channels, cells in TAPS.values())
    names = [f"given_{name}" for name in TAPS]
    file = io.BytesIO()
    torch.onnx.export(
        decoder, sample, file, input_names=names, output_names=[points], opset_version=17,
        dynamic_axes={name: {0: "n"} for name in (*names, points)}, dynamo=False,
    )  # fmt: skip
    own = halve(onnx.load_from_string(file.getvalue()))
    own.ir_version = movenet.ir_version
    base = onnx.ModelProto()
    base.CopyFrom(movenet)
    wanted = [output.name for output in base.graph.output] + [points]
    for tap, (channels, cells) in TAPS.items():
        base.graph.output.append(
            helper.make_tensor_value_info(tap, onnx.TensorProto.FLOAT, ["n", channels, cells, cells])
        )
    own = compose.add_prefix(own, f"{name}_", rename_inputs=False, rename_outputs=False)
    out = compose.merge_models(base, own, io_map=list(zip(TAPS, names, strict=True)), outputs=wanted)
    onnx.checker.check_model(out)
    return out


def pooled(limbs: onnx.ModelProto, decoder: Decoder, name: str, share: float) -> onnx.ModelProto:
    """limbs.onnx with `points` the mean of the logits that it had and, by `share`, of the decoder's; those of head top
    and chin stay, since the look at the head is set on them. What else is made of its points, yaw and depths, is still
    made of those that it had.
    """
    before, added = f"before_{name}", f"of_{name}"
    shares = np.where(np.arange(FIGURE) < len(JOINTS), share, 0).astype(np.float32)[:, None, None]
    base = onnx.ModelProto()
    base.CopyFrom(limbs)
    for node in base.graph.node:
        for names in (node.input, node.output):
            names[:] = [before if tensor == "points" else tensor for tensor in names]
    for output in base.graph.output:
        output.name = before if output.name == "points" else output.name
    out = joined(base, decoder, name, added)
    for tensor, part in ((before, 1 - shares), (added, shares)):
        out.graph.initializer.append(numpy_helper.from_array(part, f"share_{tensor}"))
        out.graph.node.append(helper.make_node("Mul", [tensor, f"share_{tensor}"], [f"part_{tensor}"]))
    out.graph.node.append(helper.make_node("Add", [f"part_{before}", f"part_{added}"], ["points"]))
    kept = {output.name: output for output in out.graph.output}
    kept[before].name = "points"
    del kept[added]
    ordered = list(kept.values())
    del out.graph.output[:]
    out.graph.output.extend(ordered)
    onnx.checker.check_model(out)
    return out


def save(limbs: onnx.ModelProto, out: Path, part: str, data: Path, about: dict[str, Any]) -> None:
    """limbs.onnx, and in training.json its digest and what this part of it was trained on."""
    path = out / "limbs.onnx"
    onnx.save(limbs, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path.stat().st_size / 1e6:.1f} MB, {part} after {about['steps']} steps, {digest}")
    trained = json.loads((out / "training.json").read_text(encoding="utf-8"))
    trained[part] = {**about, "data": json.loads((data / "data.json").read_text(encoding="utf-8"))}
    trained["limbs"]["weights"] = digest
    (out / "training.json").write_text(json.dumps(trained) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--movenet", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pooled", nargs=2, metavar=("NAME", "SHARE"), help="FILE keeps the decoders that it has")
    parser.add_argument("--characters", type=Path, action="append", help="calibrate; may be given several times")
    parser.add_argument("--figures", type=int, default=320, help="that the confidences are calibrated on")
    parser.add_argument("--out", type=Path, default=Path("backend/reader"))
    options = parser.parse_args()
    state = torch.load(options.run / "checkpoint.pt", weights_only=True)
    decoder = Decoder().eval()
    decoder.load_state_dict(state["average"])
    movenet, about = onnx.load(options.movenet), {"steps": state["step"]}
    if options.pooled:
        name, share = options.pooled[0], float(options.pooled[1])
        limbs = pooled(movenet, decoder, name, share)
        save(limbs, options.out, name, options.data, {**about, "share": share})
        if options.characters:
            calibrate(options.out, options.characters, options.figures)
    else:
        save(joined(movenet, decoder), options.out, "limbs", options.data, about)


if __name__ == "__main__":
    main()
