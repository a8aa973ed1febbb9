# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks.skintokens`: what a rig by SkinTokens costs, stage by stage, with the released sizes and random
weights.

Prints a table: TFLOP that the stage must compute (2 per multiply-add), seconds, peak memory (the device's on CUDA, of
the whole process so far elsewhere), and the share of the best matrix product measured in the same run. With one thread
(`--threads 1`) seconds are the processor's, which others at work on the machine do not lengthen. The language
model decodes `--steps` steps and the skin decoder `--joints` joints; the last rows extrapolate to whole rigs.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from backend.nn.device import choose_device
from backend.skintokens.networks import CODES_PER_JOINT, SkinTokensModel
from backend.skintokens.pipeline import CHUNK, JOINTS_AT_ONCE, PROCESSOR_CHUNK, choose_dtype
from backend.skintokens.prepare import SURFACE_SAMPLES

from .unirig import encoder_cost, random_network
from .unirig import measure as measure_by_clock

T = TypeVar("T")
PROMPT = 215  # 52 VRM joints in the order of VRoid characters
JOINTS = 52
PRODUCTS = 8  # of each shape


def measure(device: torch.device, work: Callable[[], T]) -> tuple[T, float, float]:
    """The result, seconds, and peak memory in GiB."""
    started = time.process_time()
    result, seconds, peak = measure_by_clock(device, work)
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return result, time.process_time() - started if alone else seconds, peak


@dataclass
class Row:
    stage: str
    tflop: float
    seconds: float
    peak_gib: float
    note: str = ""


def condition_cost(model: SkinTokensModel, points: int) -> float:
    """FLOP of the condition encoder for so many points."""
    c = model.skin.config
    w, t, n = c.encoder_width, c.condition_tokens, points
    features = model.skin.cond_encoder.proj_in.in_features
    cross = 2 * (n * features * w + 2 * n * w * w + 2 * t * w * w + 2 * t * n * w + 8 * t * w * w)
    return cross + c.encoder_layers * 2 * t * (12 * w * w + 2 * t * w) + 2 * t * w * c.latent


def language_weights(model: SkinTokensModel) -> int:
    """Multiply-adds of a row in all layers, attention to other rows aside."""
    c = model.config.language
    attention = c.hidden * c.head_width * (2 * c.heads + 2 * c.shared_heads)
    return c.layers * (attention + 3 * c.hidden * c.ffn)


def rows_cost(model: SkinTokensModel, rows: int) -> float:
    """FLOP of reading so many rows at once."""
    c = model.config.language
    return 2 * rows * language_weights(model) + 2 * c.layers * rows * rows * c.heads * c.head_width


def step_cost(model: SkinTokensModel, beams: int, length: int) -> float:
    """FLOP of one token of all beams after `length` rows."""
    c = model.config.language
    every = language_weights(model) + c.vocabulary * c.hidden + 2 * c.layers * length * c.heads * c.head_width
    return 2 * beams * every


def memory_cost(model: SkinTokensModel) -> float:
    """FLOP of one joint's memory rows."""
    c = model.skin.config
    w, m = c.decoder_width, CODES_PER_JOINT + c.condition_tokens
    return c.decoder_layers * 2 * m * (12 * w * w + 2 * m * w) + 4 * m * w * w + 2 * m * w * c.latent


def point_cost(model: SkinTokensModel) -> float:
    """FLOP of one point for one joint."""
    c = model.skin.config
    w, m = c.decoder_width, CODES_PER_JOINT + c.condition_tokens
    return 2 * (w * w + 8 * w * w + 2 * m * w)


def best_product(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the fastest matrix product among the shapes that the networks have."""
    best = 0.0
    for rows, inner, columns in ((2048, 768, 3072), (2048, 3072, 768), (4096, 1024, 4096)):
        a, b = (torch.randn(shape, device=device).to(dtype) for shape in ((rows, inner), (inner, columns)))
        for _ in range(PRODUCTS):
            _, took, _ = measure(device, partial(torch.matmul, a, b))
            best = max(best, 2 * rows * inner * columns / took)
    return best


@torch.inference_mode()
def run(
    model: SkinTokensModel, device: torch.device, points: int, joints: int, steps: int, beams: tuple[int, ...]
) -> list[Row]:
    """The rows of one mesh of random points."""
    rng = torch.Generator().manual_seed(0)
    at = (torch.rand(points, 3, generator=rng) * 2 - 1).to(device)
    normals = torch.nn.functional.normalize(torch.randn(points, 3, generator=rng), dim=1).to(device)
    prefix, seconds, peak = measure(device, lambda: model(at[None], normals[None]))
    cost = encoder_cost(model.config, points, 4)[0]  # type: ignore[arg-type]
    rows = [Row("shape encoder", cost, seconds, peak, f"{points} points")]
    drawn = model.skin.candidates(points, np.random.default_rng(0))
    condition, seconds, peak = measure(device, lambda: model.skin.condition(at, normals, drawn))
    rows.append(Row("condition encoder", condition_cost(model, points) / 1e12, seconds, peak, f"{points} points"))
    prompt = torch.randint(0, 256, (PROMPT,), generator=rng).tolist()
    length = prefix.shape[1] + PROMPT
    for count in beams:
        session, seconds, peak = measure(device, partial(model.session, prefix, prompt, count))
        rows.append(Row("prompt", rows_cost(model, length) / 1e12, seconds, peak, f"{length} rows"))
        session.step([267] * count, [0] * count)  # makes room, and captures a graph on a GPU

        def decode(session=session, count=count) -> None:
            for k in range(steps):
                session.step([268 + k] * count, list(range(count)))

        _, seconds, peak = measure(device, decode)
        each = step_cost(model, count, length) / 1e12
        rows.append(Row(f"step, {count} beams", each, seconds / steps, peak, f"mean of {steps}"))
    codes = torch.randint(0, model.skin.config.codebook, (joints, CODES_PER_JOINT), generator=rng).to(device)
    at_once = 1 if device.type == "cpu" else JOINTS_AT_ONCE

    def memories() -> None:
        for first in range(0, joints, at_once):
            model.skin.decoder.memory(model.skin.joint_rows(codes[first : first + at_once], condition))

    memories()
    _, seconds, peak = measure(device, memories)
    rows.append(Row("memory of a joint", memory_cost(model) / 1e12, seconds / joints, peak, f"mean of {joints}"))
    chunk = PROCESSOR_CHUNK if device.type == "cpu" else CHUNK
    model.skin.weights(at[:chunk], normals[:chunk], codes, condition, chunk, at_once)
    _, whole, peak = measure(device, lambda: model.skin.weights(at, normals, codes, condition, chunk, at_once))
    cost = (point_cost(model) * points + memory_cost(model)) / 1e12
    rows.append(Row("weights of a joint", cost, whole / joints, peak, f"{points} points, mean of {joints}"))
    return rows


def whole_rigs(rows: list[Row], points: int, vertices: int) -> list[Row]:
    """52 joints by what was measured: the original's way, and the cheapest that keeps the network's quality."""
    by = {row.stage: row for row in rows}
    fixed = [by["shape encoder"], by["condition encoder"], by["prompt"]]
    joint, memory = by["weights of a joint"], by["memory of a joint"]
    out = []
    for stage, asked in (("step, 10 beams", points), ("step, 1 beams", vertices)):
        if stage not in by:
            continue
        step = by[stage]
        share = asked / points

        def total(of: str, step=step, share=share) -> float:
            """The sum of a column over all stages."""
            part = getattr(memory, of) + share * (getattr(joint, of) - getattr(memory, of))
            once = sum(getattr(row, of) for row in fixed)
            return once + JOINTS * (CODES_PER_JOINT * getattr(step, of) + part)

        note = f"{JOINTS} joints, {stage.partition(', ')[2]}, {asked} points"
        out.append(Row("whole rig", total("tflop"), total("seconds"), max(row.peak_gib for row in rows), note))
    return out


def table(rows: list[Row], best: float) -> str:
    lines = [f"{'stage':20} {'TFLOP':>9} {'seconds':>9} {'peak GiB':>9} {'of best product':>16}"]
    for row in rows:
        share = f"{100 * row.tflop * 1e12 / row.seconds / best:.0f} %"
        lines.append(f"{row.stage:20} {row.tflop:9.4f} {row.seconds:9.3f} {row.peak_gib:9.2f} {share:>16}  {row.note}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=("auto", "fp16", "bf16", "fp32"))
    parser.add_argument("--points", type=int, default=SURFACE_SAMPLES)
    parser.add_argument("--vertices", type=int, default=20_000, help="of the mesh that the last row stands for")
    parser.add_argument("--joints", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, help="of the processor; all by default")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 10])
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    model = random_network(SkinTokensModel, device)
    assert isinstance(model, SkinTokensModel)
    model.set_dtype(dtype)
    before = best_product(device, dtype)
    rows = run(model, device, options.points, options.joints, options.steps, tuple(options.beams))
    best = max(before, best_product(device, dtype))
    print(
        f"{device.type}, {str(dtype).removeprefix('torch.')}, {torch.get_num_threads()} threads, {platform.machine()};"
    )
    print(f"best matrix product: {best / 1e9:.0f} GFLOP/s")
    print(table(rows + whole_rigs(rows, options.points, options.vertices), best))


if __name__ == "__main__":
    main()
