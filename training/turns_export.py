# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the trained network of yaw and depths into limbs.onnx, as its output `turns`:

    python -m training.turns_export RUN --data FOLDER [--limbs FILE] [--characters FOLDER] [--out backend/reader]

RUN: of `training.turns`, and FOLDER of `training.turn_pictures` for training.json; FILE: limbs.onnx; if it has that
output already, it gets another one in its place. With characters, the confidences are calibrated anew.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import onnx
import torch
from onnx import compose, helper, utils
from torch import Tensor, nn

from backend.reader.limbs import FILE, POINTS, SIDE
from training.calibration import calibrate
from training.export import halve
from training.joint_pictures import TAPS
from training.joints import CELLS
from training.joints_export import save
from training.turn_pictures import LAYERS
from training.turns import TurnNetwork

NAME = "turns"


class FromHeat(nn.Module):
    """The network, from the logits of the points (B, K, CELLS, CELLS) and LAYERS: `training.turn_pictures.at_points`
    as a part of the graph.
    """

    def __init__(self, network: TurnNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, heat: Tensor, *layers: Tensor) -> Tensor:
        share = heat.flatten(2).softmax(-1).view(-1, len(POINTS), CELLS, CELLS)
        found = []
        for layer, name in zip(layers, LAYERS, strict=True):
            step = CELLS // TAPS[name][1]
            coarse = nn.functional.avg_pool2d(share, step) * step**2
            found.append(coarse.flatten(2) @ layer.flatten(2).transpose(1, 2))
        middle = (torch.arange(CELLS) + 0.5) * (SIDE / CELLS)
        places = torch.stack([share.sum(2) @ middle, share.sum(3) @ middle], -1)
        return self.network(torch.cat(found, 2), layers[0].mean((2, 3)), places)


def joined(limbs: onnx.ModelProto, network: TurnNetwork) -> onnx.ModelProto:
    """limbs.onnx with one more output, `turns` (N, 2 + J)."""
    kept = [output.name for output in limbs.graph.output if output.name != NAME]
    base = utils.Extractor(limbs).extract_model([i.name for i in limbs.graph.input], kept)
    for name in LAYERS:
        channels, cells = TAPS[name]
        base.graph.output.append(
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", channels, cells, cells])
        )
    given = ("points", *LAYERS)
    sample = torch.zeros(2, len(POINTS), CELLS, CELLS), *(torch.zeros(2, c, n, n) for c, n in map(TAPS.get, LAYERS))
    names, file = [f"given_{name}" for name in given], io.BytesIO()
    torch.onnx.export(
        FromHeat(network).eval(), sample, file, input_names=names, output_names=[NAME], opset_version=17,
        dynamic_axes={name: {0: "n"} for name in (*names, NAME)}, dynamo=False,
    )  # fmt: skip
    own = halve(onnx.load_from_string(file.getvalue()))
    own.ir_version = base.ir_version
    own = compose.add_prefix(own, f"{NAME}_", rename_inputs=False, rename_outputs=False)
    out = compose.merge_models(base, own, io_map=list(zip(given, names, strict=True)), outputs=[*kept, NAME])
    onnx.checker.check_model(out)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limbs", type=Path, default=FILE)
    parser.add_argument("--characters", type=Path, action="append", help="calibrate; may be given several times")
    parser.add_argument("--figures", type=int, default=320, help="that the confidences are calibrated on")
    parser.add_argument("--out", type=Path, default=Path("backend/reader"))
    options = parser.parse_args()
    state = torch.load(options.run / "turns.pt", weights_only=True)
    network = TurnNetwork().eval()
    network.load_state_dict(state["network"])
    about = {"steps": state["steps"], "seed": state["seed"]}
    save(joined(onnx.load(options.limbs), network), options.out, NAME, options.data, about)
    if options.characters:
        calibrate(options.out, options.characters, options.figures)


if __name__ == "__main__":
    main()
