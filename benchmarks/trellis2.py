# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks.trellis2`: how fast networks of the released sizes run here, block by block.

All blocks of a flow are alike, and so are those of a decoder's level: one of each is timed, with random weights, at
several numbers of tokens, on voxels around the skin of a figure; a whole evaluation is computed from them. Arithmetic
is counted as executed (torch.utils.flop_counter; a convolution executes what its existing neighbours need), its rate
compared with the best matrix product that the same device manages in the same run. With one thread (OMP_NUM_THREADS=1)
a processor's time is that of the process, so that what else runs on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.errors import BackendError
from backend.nn.device import choose_device
from backend.nn.measuring import Row, device_name, figure, matmul_peak, measure, skin_distance
from backend.nn.rotary import voxel_rotation
from backend.nn.sparse import Sparse, Voxels
from backend.nn.transformer import DitBlock
from backend.trellis2.decoders import ConvNextBlock, UpBlock
from backend.trellis2.pipeline import choose_dtype, inner_dtype

WIDTH, CONTEXT, HEADS, RATIO, BLOCKS = 1536, 1024, 12, 5.3334, 30  # of all five flows
CHANNELS, CONVNEXT = (1024, 512, 256, 128, 64), (4, 16, 8, 4, 0)  # of both decoders
TOKENS = {512: 1029, 1024: 4101}  # of a picture
SHARE = 0.87  # of a cell's side: how far the skin may pass from the centre of a child that exists


def filled(network: nn.Module, device: torch.device, dtype: torch.dtype) -> Any:
    """A module made on the meta device, with random weights; layers in `dtype`, norms and gammas in fp32."""
    network = network.to_empty(device=device).eval().requires_grad_(False)
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            half = isinstance(module, nn.Linear) or getattr(module, "half_parameters", False)
            parameter.data = torch.randn_like(parameter).mul_(0.02).to(dtype if half else torch.float32)
    return network


class Bench:
    def __init__(self, device: torch.device, dtype: torch.dtype, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        self.flow_dtype, self.decoder_dtype = dtype, inner_dtype("shape_slat_decoder", dtype)
        self.peaks = {kind: matmul_peak(device, kind) for kind in {self.flow_dtype, self.decoder_dtype}}
        with torch.device("meta"):
            block = DitBlock(WIDTH, CONTEXT, HEADS, RATIO, True, True, share_mod=True)
        self.block = filled(block, device, self.flow_dtype)

    def row(self, stage: str, dtype: torch.dtype, run: Any) -> Row:
        row = measure(stage, self.device, self.peaks[dtype], self.repeats, run)
        print(f"  {stage}: {row.seconds:.3f} s, {row.share_of_peak:.0%} of peak", file=sys.stderr, flush=True)
        return row

    def flow(self, count: int) -> list[Row]:
        """A block at `count` tokens, shown a picture and not (the constant answer to the zero condition)."""
        voxels = figure(count, self.device, 64 if count < 20_000 else 96)
        side = 512 if count < 8_000 else 1024
        rotation = voxel_rotation(voxels.coords[:, 1:], WIDTH // HEADS)
        x = torch.randn(count, WIDTH, device=self.device).to(self.flow_dtype)
        time = torch.randn(1, 6 * WIDTH, device=self.device).to(self.flow_dtype)
        shown = torch.randn(1, TOKENS[side], CONTEXT, device=self.device).to(self.flow_dtype)
        rows = []
        for name, context in ((f"{TOKENS[side]} picture tokens", self.block.context(shown)), ("no picture", None)):
            given = context or self.block.context(None)

            def run(given: Any = given) -> Tensor:
                return self.block(x, time, given, voxels, rotation)

            rows.append(self.row(f"flow block, {name}", self.flow_dtype, run))
        return rows

    def decoder(self, count: int, levels: int) -> list[Row]:
        """A ConvNeXt and an up-block of every level, from `count` latents on."""
        voxels, rows = figure(count, self.device), []
        for level in range(levels):
            width, finer = CHANNELS[level], CHANNELS[level + 1]
            with torch.device("meta"):
                blocks = ConvNextBlock(width), UpBlock(width, finer)
            convnext, up = (filled(block, self.device, self.decoder_dtype) for block in blocks)
            x = Sparse(torch.randn(len(voxels), width, device=self.device).to(self.decoder_dtype), voxels)
            fine = around_skin(voxels, 64 << level)
            voxels.neighbours, fine.neighbours  # noqa: B018 (made once for all blocks on a set)
            words = f"level {level}, {width} wide, {len(voxels):,} voxels"
            rows.append(self.row(f"ConvNeXt, {words}", self.decoder_dtype, lambda x=x, block=convnext: block(x)))
            rows.append(
                self.row(f"up-block, {words}", self.decoder_dtype, lambda x=x, block=up, fine=fine: block(x, fine))
            )
            voxels = fine
        return rows


def around_skin(parents: Voxels, side: int) -> Voxels:
    """Of parents on a grid of `side` the children that the figure's skin passes through."""
    octants = torch.cartesian_prod(*[torch.arange(2)] * 3).flip(1)
    centres = (parents.coords[:, None, 1:].cpu() * 2 + octants + 0.5).numpy() / (2 * side) - 0.5
    distance = np.abs(skin_distance(centres.reshape(-1, 3))).reshape(-1, 8)
    mask = distance < SHARE / (2 * side)
    mask[np.arange(len(mask)), distance.argmin(1)] = True
    return parents.children(torch.from_numpy(mask).to(parents.device))


def whole(flow: list[Row], decoder: list[Row]) -> dict[str, float]:
    """Seconds of one guided flow step (both halves) and of one decoder, from its blocks."""
    times = [row.seconds for row in decoder]
    return {
        "flow step": BLOCKS * sum(row.seconds for row in flow),
        "decoder": sum(count * time for count, time in zip(CONVNEXT, times[::2], strict=False)) + sum(times[1::2]),
    }


def report(bench: Bench, tables: dict[int, tuple[list[Row], list[Row]]]) -> str:
    """Markdown: one table a number of tokens."""
    peaks = ", ".join(f"{rate:.3g} TFLOP/s in {str(kind).removeprefix('torch.')}" for kind, rate in bench.peaks.items())
    lines = [f"{device_name(bench.device)}; best matrix product {peaks}; blocks of the released sizes, random weights."]
    for count, (flow, decoder) in tables.items():
        lines += ["", f"| {count:,} tokens | s | TFLOP | of peak | peak GB |", "|---|---|---|---|---|"]
        for row in flow + decoder:
            memory = "" if row.memory_gb is None else f"{row.memory_gb:.2f}"
            lines.append(f"| {row.stage} | {row.seconds:.3f} | {row.tflop:.3f} | {row.share_of_peak:.0%} | {memory} |")
        sums = whole(flow, decoder)
        lines += [f"| {BLOCKS} blocks twice: a guided flow step | {sums['flow step']:.1f} | | | |"] if flow else []
        lines += [f"| all blocks: a decoder | {sums['decoder']:.1f} | | | |"] if len(decoder) == 8 else []
    return "\n".join(lines)


@torch.inference_mode()
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trellis2", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=["auto", "bf16", "fp32"])
    parser.add_argument("--tokens", type=int, nargs="+", default=[5_000, 20_000, 49_000])
    parser.add_argument("--levels", type=int, default=4, choices=range(5), help="of the decoders, coarse to fine")
    parser.add_argument("--decoder-tokens", type=int, default=20_000, help="no decoder at more tokens than this")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args(arguments)
    try:
        device = choose_device(options.device)
        bench = Bench(device, choose_dtype(options.dtype, device), options.repeats)
    except BackendError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        return 2
    tables = {}
    for count in options.tokens:
        print(f"{count:,} tokens", file=sys.stderr)
        levels = options.levels if count <= options.decoder_tokens else 0
        tables[count] = (bench.flow(count), bench.decoder(count, levels))
    print(report(bench, tables))
    if options.json:
        rows = {count: [asdict(row) for part in parts for row in part] for count, parts in tables.items()}
        peaks = {str(kind): rate for kind, rate in bench.peaks.items()}
        options.json.write_text(json.dumps({"device": device_name(device), "peaks": peaks, "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
