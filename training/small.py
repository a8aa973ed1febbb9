# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores a network's large kernels with 8 bits a value and one scale an output channel; it computes as before:

    python -m training.small FILE

FILE: an .onnx of half or single precision, which is replaced, and its digest in training.json beside it with it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SMALL = 64  # values; smaller tensors stay in single precision
LARGE = 24_000  # values; smaller kernels, those of the first layers among them, are stored in half precision
LEVELS = 127
WHOLE, SCALE, HALF = "_whole", "_scale", "_half"


def quantised(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with the large kernels of its convolutions and dense layers in 8 bits, as those are that are so already,
    the others in half precision; onnxruntime scales and casts them on loading. Other weights are stored in single
    precision.
    """
    values, nodes = constants(model)
    small = eight_bits(model)
    kernels = {node.input[1]: node.op_type for node in nodes if node.op_type in ("Conv", "Gemm", "MatMul")}
    used = {name for node in nodes for name in node.input}
    kept, made = [], []
    for name, array in values.items():
        if name not in used:
            continue
        if name not in kernels or array.size < SMALL:
            kept.append(numpy_helper.from_array(array, name))
            continue
        cast = f"{name}_cast"
        if array.size < LARGE and name not in small:
            kept.append(numpy_helper.from_array(array.astype(np.float16), name + HALF))
            made.append(helper.make_node("Cast", [name + HALF], [name], name=cast, to=TensorProto.FLOAT))
            continue
        others = tuple(range(array.ndim - 1)) if kernels[name] == "MatMul" else tuple(range(1, array.ndim))
        top = np.abs(array).max(others, keepdims=True)
        scale = np.maximum(top / LEVELS, 1e-12).astype(np.float32)
        kept.append(numpy_helper.from_array(np.round(array / scale).astype(np.int8), name + WHOLE))
        kept.append(numpy_helper.from_array(scale, name + SCALE))
        made += [
            helper.make_node("Cast", [name + WHOLE], [cast], name=cast, to=TensorProto.FLOAT),
            helper.make_node("Mul", [cast, name + SCALE], [name], name=f"{name}_mul"),
        ]
    graph = model.graph
    del graph.node[:], graph.initializer[:]
    graph.initializer.extend(kept)
    graph.node.extend([*made, *nodes])
    onnx.checker.check_model(model)
    return model


def eight_bits(model: onnx.ModelProto) -> set[str]:
    """The names of the weights that are stored with 8 bits, as they are called after scaling."""
    whole = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT8}
    cast = {node.output[0] for node in model.graph.node if whole.intersection(node.input)}
    return {node.output[0] for node in model.graph.node if cast.intersection(node.input)}


def constants(model: onnx.ModelProto) -> tuple[dict[str, np.ndarray], list[onnx.NodeProto]]:
    """All weights as they are computed with, floats in single precision, by name; and the nodes without those that
    only make weights of what is stored.
    """
    values, nodes = {}, []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        values[tensor.name] = array.astype(np.float32) if array.dtype == np.float16 else array
    for node in model.graph.node:
        given = [values.get(name) for name in node.input]
        if node.op_type == "Cast" and given[0] is not None and node.attribute[0].i == TensorProto.FLOAT:
            values[node.output[0]] = given[0].astype(np.float32)
        elif node.op_type == "Mul" and given[0] is not None and given[1] is not None:
            values[node.output[0]] = (given[0] * given[1]).astype(np.float32)
        else:
            nodes.append(node)
    return values, nodes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    path = parser.parse_args().file
    before, temporary = hashlib.sha256(path.read_bytes()).hexdigest(), path.with_suffix(".part")
    onnx.save(quantised(onnx.load(path)), temporary)
    temporary.replace(path)
    after, record = hashlib.sha256(path.read_bytes()).hexdigest(), path.with_name("training.json")
    if record.is_file():
        record.write_text(record.read_text(encoding="utf-8").replace(json.dumps(before), json.dumps(after)), "utf-8")
    print(f"{path.stat().st_size / 1e6:.1f} MB, {after}")


if __name__ == "__main__":
    main()
