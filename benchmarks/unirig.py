# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks.unirig`: how long a rig takes, stage by stage, with the released sizes and random weights.

Prints a table and writes JSON. Random weights never end a skeleton, so exactly `--tokens` are decoded; the skin stage
rigs the example's own skeleton. Peak memory is the device's on CUDA, that of the whole process so far elsewhere.
Shares of peak need the card's `--tflops` and `--gbs`.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from backend.nn import joint_grammar as grammar
from backend.nn.beam_search import Decoding, decode, seeded_draw
from backend.nn.cube import Prepared, normalisation, prepare
from backend.nn.joint_tokens import Vocabulary
from backend.nn.surface_samples import normaliser_draws, sample
from backend.unirig import skin
from backend.unirig.opt import OptConfig, SkeletonModel
from backend.unirig.pipeline import BASE_SEED, PRESETS, SKELETON_SAMPLES, choose_dtype
from backend.unirig.shortest_paths import Search, quickest_search, scipy_search
from backend.unirig.skin import VERTEX_SAMPLES

T = TypeVar("T")
# What the released skin network computes and reads at least (specification, section 13): a fixed part, and one that
# grows with the joints.
SKIN_TFLOP, SKIN_TFLOP_PER_JOINT, SKIN_GB = 12.5, 0.0633, 0.92
FEATURE_RUNS = 4
CPU = torch.device("cpu")
SKIN_NETWORK = "Computing skin weights"
EXAMPLES = Path(__file__).resolve().parents[1] / "tests" / "golden" / "unirig"
GIB = 1 << 30


@dataclass
class Row:
    """One stage of one mesh. `tflop` and `gbytes` are what it must compute and move at least, 0 where nobody
    counted.
    """

    mesh: str
    stage: str
    seconds: float
    peak_gib: float
    tflop: float = 0.0
    gbytes: float = 0.0
    note: str = ""


def measure(device: torch.device, work: Callable[[], T]) -> tuple[T, float, float]:
    """The result, seconds, and peak memory in GiB."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    begin = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - begin
    return result, seconds, _peak(device)


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GIB
    if sys.platform == "win32":
        return float("nan")
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / GIB if sys.platform == "darwin" else used * 1024 / GIB


def random_network(network: Callable[[], nn.Module], device: torch.device) -> nn.Module:
    """A network of the given class with random weights, made on the device: numbers of a sane size, nothing learned."""
    with torch.device(device):
        return network().eval().requires_grad_(False)


def encoder_cost(c: OptConfig, points: int, width: int) -> tuple[float, float]:
    """TFLOP and GB of the point encoder: linear layers, attention, weights of `width` bytes."""
    e = c.encoder
    w, t, n = e.width, e.tokens, points
    cross = 2 * (
        n * w * (3 + 6 * e.frequencies + e.point_feats) + n * w * 2 * w + 2 * t * w * w + 2 * t * n * w + 8 * t * w * w
    )
    layers = 2 * e.layers * (12 * t * w * w + 2 * t * t * w)
    return (cross + layers) / 1e12, (e.layers + 1) * 12 * w * w * width / 1e9


def decode_cost(c: OptConfig, prefix: int, tokens: int, beams: int, width: int) -> tuple[float, float]:
    """TFLOP and GB of all steps after the prefix: weights once a step, keys and values of the prefix once, of every
    beam once.
    """
    weights = c.layers * (4 * c.hidden * c.hidden + 2 * c.hidden * c.ffn)
    flop, bytes_ = 0.0, 0.0
    for step in range(1, tokens):
        flop += 2 * beams * (weights + 2 * c.layers * c.hidden * (prefix + step))
        bytes_ += width * (weights + 2 * c.layers * c.hidden * (prefix + step * beams))
    return flop / 1e12, bytes_ / 1e9


def bench_skeleton(
    name: str,
    model: SkeletonModel,
    vertices: np.ndarray,
    faces: np.ndarray,
    tokens: int,
    how: Decoding,
    device: torch.device,
) -> tuple[list[Row], Prepared]:
    """The rows of the skeleton stage of one mesh, and the prepared mesh for the skin stage."""
    v, c = Vocabulary.of_size(model.config.vocabulary), model.config
    width = torch.finfo(model.dtype).bits // 8
    mesh, seconds, peak = measure(device, lambda: prepare(vertices, faces))
    rows = [Row(name, "prepare", seconds, peak, note=f"{len(mesh.faces)} faces")]

    def draw_points() -> list[torch.Tensor]:
        rng = np.random.RandomState(BASE_SEED)
        normaliser_draws(rng)
        at = normalisation(mesh.vertices).apply(mesh.vertices).astype(np.float32)
        cube = Prepared(at, mesh.faces, mesh.vertex_normals, mesh.face_normals)
        samples = sample(cube, SKELETON_SAMPLES, VERTEX_SAMPLES, rng)
        return [torch.from_numpy(part).to(device)[None] for part in (samples.points, samples.normals)]

    points, seconds, peak = measure(device, draw_points)
    rows.append(Row(name, "sample", seconds, peak))
    latents, seconds, peak = measure(device, lambda: model.encode(*points))
    rows.append(Row(name, "encode", seconds, peak, *encoder_cost(c, SKELETON_SAMPLES, width)))
    start = [v.bos, v.class_token("articulationxl")]
    session, seconds, peak = measure(device, lambda: model.session(latents, start, how.beams))
    weights = c.layers * (4 * c.hidden**2 + 2 * c.hidden * c.ffn)
    prefix = session.prefix
    prefill = 2 * prefix * weights + 2 * c.layers * c.hidden * prefix**2
    rows.append(Row(name, "prefill", seconds, peak, prefill / 1e12, weights * width / 1e9))
    state = grammar.walk(grammar.start(v, True), start)
    made, seconds, peak = measure(device, lambda: decode(session, state, -1, how, seeded_draw(BASE_SEED)))
    note = f"{len(made)} tokens, {how.beams} beams, {len(made) / seconds:.1f} tokens/s"
    rows.append(Row(name, "decode", seconds, peak, *decode_cost(c, prefix, len(made), how.beams, width), note=note))
    return rows, mesh


def bench_skin(
    name: str,
    model: Any,
    mesh: Prepared,
    joints: np.ndarray,
    parents: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    device: torch.device,
) -> list[Row]:
    """The rows of the skin stage, one for each message of its progress."""
    marks: list[tuple[str, float, float]] = []

    def on_skin(_fraction: float, message: str) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if not marks or marks[-1][0] != message:
            marks.append((message, time.perf_counter(), _peak(device)))

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    skin.predict(model, mesh, joints, parents, vertices, faces, BASE_SEED, on_skin)
    on_skin(1.0, "end")
    rows = []
    for (message, begin, _), (_, later, peak) in zip(
        marks[:-2], marks[1:-1], strict=True
    ):  # the last two only say that it is done
        cost = (SKIN_TFLOP + SKIN_TFLOP_PER_JOINT * len(joints), SKIN_GB) if message == SKIN_NETWORK else (0.0, 0.0)
        rows.append(Row(name, f"skin: {message}", later - begin, peak, *cost, note=f"{len(joints)} joints"))
    return rows


def bench_feature(name: str, mesh: Prepared, joints: np.ndarray) -> list[Row]:
    """Processor seconds of the geodesic feature, the best of some runs, with each search for shortest paths in turn."""
    best: dict[Search, float] = {quickest_search(): math.inf, scipy_search: math.inf}
    results = []
    for _ in range(FEATURE_RUNS):
        for search in best:
            begin = time.process_time()
            results.append(skin.geodesic_feature(mesh, joints, search=search))
            best[search] = min(best[search], time.process_time() - begin)
    same = all(np.array_equal(result, results[0]) for result in results)
    note = f"{len(mesh.vertices)} vertices, {len(joints)} joints" + ("" if same else ", RESULTS DIFFER")
    rows = []
    for search, seconds in best.items():
        rows.append(
            Row(name, f"feature: {'scipy' if search is scipy_search else 'numba'}", seconds, _peak(CPU), note=note)
        )
    return rows


def table(rows: list[Row], tflops: float, gbs: float) -> str:
    """The rows as text; shares of peak where the card's peaks are given."""
    lines = [f"{'mesh':<14} {'stage':<42} {'seconds':>9} {'GiB':>7} {'TFLOP/s':>8} {'GB/s':>7} {'peak':>6}  note"]
    for row in rows:
        rate, moved = row.tflop / row.seconds, row.gbytes / row.seconds
        share = max(rate / tflops if tflops else 0.0, moved / gbs if gbs else 0.0)
        numbers = f"{rate:>8.2f} {moved:>7.1f}" if row.tflop else f"{'':>8} {'':>7}"
        shown = f"{share:>6.1%}" if row.tflop and share else f"{'':>6}"
        lines.append(
            f"{row.mesh:<14} {row.stage:<42} {row.seconds:>9.3f} {row.peak_gib:>7.2f}"
            f" {numbers} {shown}  {row.note}".rstrip()
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unirig", description=__doc__.splitlines()[0])
    parser.add_argument(
        "meshes", nargs="*", type=Path, help="example_*.npz with vertices, faces, joints, parents in UniRig axes"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=("auto", "fp16", "bf16", "fp32"))
    parser.add_argument("--preset", default="quality", choices=tuple(PRESETS))
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument(
        "--stages",
        default="skeleton,skin",
        help="comma-separated: skeleton, skin, feature (the processor's part of skin)",
    )
    parser.add_argument(
        "--tflops", type=float, default=0.0, help="the card's peak in the precision used, e.g. 800 for an H100 in bf16"
    )
    parser.add_argument(
        "--gbs", type=float, default=0.0, help="the card's memory bandwidth in GB/s, e.g. 3000 for an H100"
    )
    parser.add_argument("--json", type=Path, default=Path("build") / "unirig_bench.json")
    arguments = parser.parse_args()
    from backend.nn.device import choose_device

    device = choose_device(arguments.device)
    dtype = choose_dtype(arguments.dtype, device)
    files = arguments.meshes or sorted(EXAMPLES.glob("example_*.npz"))
    with torch.inference_mode():
        rows = run(files, device, dtype, arguments.stages.split(","), arguments.tokens, PRESETS[arguments.preset])
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    print(f"{name}, {str(dtype).removeprefix('torch.')}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(table(rows, arguments.tflops, arguments.gbs))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(
        json.dumps({"device": name, "dtype": str(dtype), "rows": [asdict(row) for row in rows]}, indent=1)
    )
    print(f"Written to {arguments.json}.")
    return 0


def run(
    files: list[Path], device: torch.device, dtype: torch.dtype, stages: list[str], tokens: int, preset: Decoding
) -> list[Row]:
    """All stages of all meshes. One network at a time is on the device; the first mesh also pays for warming up."""
    how = Decoding(**{**asdict(preset), "max_new_tokens": tokens})
    arrays = {file.stem.removeprefix("example_"): dict(np.load(file)) for file in files}
    rows: list[Row] = []
    meshes: dict[str, Prepared] = {}
    if "skeleton" in stages:
        model = random_network(SkeletonModel, device)
        assert isinstance(model, SkeletonModel)
        model.transformer.decoder.embed_tokens.weight.mul_(
            model.config.hidden**-0.5
        )  # logits of order 1, as after training
        model.set_dtype(dtype)
        for name, a in arrays.items():
            made, meshes[name] = bench_skeleton(name, model, a["vertices"], a["faces"], tokens, how, device)
            rows += made
        del model
    if "skin" in stages:
        network = random_network(lambda: skin.build({}), device)
        skin.set_precision(network, dtype)  # type: ignore[arg-type]
        for name, a in arrays.items():
            mesh = meshes.get(name) or prepare(a["vertices"], a["faces"])
            rows += bench_skin(name, network, mesh, a["joints"], a["parents"], a["vertices"], a["faces"], device)
    if "feature" in stages:
        for name, a in arrays.items():
            rows += bench_feature(name, meshes.get(name) or prepare(a["vertices"], a["faces"]), a["joints"])
    return rows


if __name__ == "__main__":
    sys.exit(main())
