# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks.trellis`: how fast the networks run here, per stage, and what each shortcut gains.

Networks of the released sizes with random weights, on voxel sets of realistic count and shape. Arithmetic is counted
as executed (torch.utils.flop_counter), its rate compared with the best matrix product that the same device manages in
the same precision. On a processor the networks are smaller unless --size full is given; the table says so. With one
thread (OMP_NUM_THREADS=1) a processor's time is that of the process, so that what else runs on the machine does not
count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from backend.errors import BackendError
from backend.nn import sparse
from backend.nn.device import choose_device
from backend.nn.measuring import Row, best_of, device_name, figure, matmul_peak, measure
from backend.nn.memory import Residents, choose_plan, release
from backend.nn.precision import MixedPrecision, choose_dtype
from backend.nn.sampling import noise_generator
from backend.nn.sparse import Sparse, Voxels
from backend.nn.transformer import FlowTransformer
from backend.trellis import dual_mc
from backend.trellis.checkpoint import CLASSES, ENCODER, Description
from backend.trellis.pipeline import Settings, TrellisPipeline
from backend.trellis.preprocess import SIZE
from backend.trellis.sampler import SamplerSettings


@dataclass(frozen=True)
class Size:
    """Network sizes. `full` is what was released; `reduced` keeps every resolution and shrinks widths and depths."""

    width: int
    blocks: int
    heads: int
    trunk: int
    trunk_blocks: int
    trunk_heads: int
    encoder: int
    encoder_blocks: int
    structure: tuple[int, ...]
    voxels: tuple[int, ...]
    steps: int


SIZES = {
    "full": Size(1024, 24, 16, 768, 12, 12, 1024, 24, (512, 128, 32), (10_000, 20_000), 12),
    "reduced": Size(256, 3, 4, 256, 2, 4, 192, 4, (64, 32, 16), (2_500, 5_000), 2),
}
GAUSSIANS = {
    "lr": {"_xyz": 1.0, "_features_dc": 1.0, "_opacity": 1.0, "_scaling": 1.0, "_rotation": 0.1},
    "perturb_offset": True,
    "voxel_size": 1.5,
    "num_gaussians": 32,
    "3d_filter_kernel_size": 0.0009,
    "scaling_bias": 0.004,
    "opacity_bias": 0.1,
    "scaling_activation": "softplus",
}


def networks(size: Size) -> dict[str, tuple[str, dict[str, Any]]]:
    """Class and constructor arguments of every network, as their NAME.json files have them."""
    flow = {
        "in_channels": 8,
        "out_channels": 8,
        "model_channels": size.width,
        "cond_channels": size.encoder,
        "num_blocks": size.blocks,
    }
    flow |= {"num_heads": size.heads, "mlp_ratio": 4, "qk_rms_norm": True}
    trunk = {"resolution": 64, "model_channels": size.trunk, "latent_channels": 8, "num_blocks": size.trunk_blocks}
    trunk |= {"num_heads": size.trunk_heads, "mlp_ratio": 4, "window_size": 8}
    decoder = {"out_channels": 1, "latent_channels": 8, "num_res_blocks": 2, "channels": list(size.structure)}
    return {
        ENCODER: (
            "DinoVisionTransformer",
            {"embed_dim": size.encoder, "depth": size.encoder_blocks, "num_heads": size.encoder // 64},
        ),
        "sparse_structure_flow_model": ("SparseStructureFlowModel", flow | {"resolution": 16, "patch_size": 1}),
        "sparse_structure_decoder": ("SparseStructureDecoder", decoder),
        "slat_flow_model": (
            "SLatFlowModel",
            flow | {"resolution": 64, "patch_size": 2, "io_block_channels": [size.width // 8]},
        ),
        "slat_decoder_gs": ("SLatGaussianDecoder", trunk | {"representation_config": GAUSSIANS}),
        "slat_decoder_mesh": ("SLatMeshDecoder", trunk | {"representation_config": {"use_color": True}}),
    }


class RandomPipeline(TrellisPipeline):
    """The product's pipeline on networks that no checkpoint fills."""

    def __init__(self, size: Size, device: torch.device, dtype: torch.dtype) -> None:
        self.size, self.device, self.dtype = networks(size), device, dtype
        settings = SamplerSettings(size.steps)
        self.description = Description({}, settings, settings, [0.0] * 8, [1.0] * 8)
        self.residents = Residents(self._make, device)

    def _make(self, name: str) -> nn.Module:
        kind, arguments = self.size[name]
        with torch.device("meta"):
            network = CLASSES[kind](**arguments)
        if isinstance(network, MixedPrecision):
            network.set_dtype(self.dtype)
        network = network.to_empty(device=self.device).eval().requires_grad_(False)
        for tensor in network.state_dict().values():
            tensor.normal_(0, 0.02)
        return network


class Bench:
    def __init__(self, size: Size, device: torch.device, dtype: torch.dtype, memory: str, repeats: int) -> None:
        self.pipeline = RandomPipeline(size, device, dtype)
        self.plan = choose_plan(memory, device)
        self.device, self.repeats = device, repeats
        self.peak = matmul_peak(device, dtype)
        self.settings = Settings(0, SamplerSettings(size.steps, 7.5), SamplerSettings(size.steps, 3.0))
        noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
        self.picture = Image.fromarray(noise)
        self.tokens = self.pipeline._encode([self.picture], self.plan)

    def row(self, stage: str, run: Callable[[], Any]) -> Row:
        row = measure(stage, self.device, self.peak, self.repeats, run)
        print(f"  {stage}: {row.seconds:.3f} s", file=sys.stderr, flush=True)
        return row

    def common(self) -> list[Row]:
        """The stages that do not depend on the number of voxels."""
        rows = [self.row("encoder", lambda: self.pipeline._encode([self.picture], self.plan))]
        return [*rows, self.row(f"structure, {self.settings.structure.steps} steps", self.structure)]

    def structure(self) -> None:
        try:
            self.pipeline._structure(self.tokens, noise_generator(0), self.settings, self.plan, _silent)
        except BackendError as error:  # random weights decide what is occupied; the work is done by then
            if error.code != "empty_structure":
                raise

    def latent(self, voxels: Voxels) -> Sparse:
        noise = torch.randn(len(voxels), 8, generator=noise_generator(0)).to(self.device)
        return self.pipeline._latent(self.tokens, voxels, noise, self.settings, self.plan, _silent)

    def sized(self, count: int) -> list[Row]:
        voxels = figure(count, self.device)
        latent = Sparse(torch.randn(count, 8, generator=noise_generator(1)).to(self.device), voxels)
        rows = [self.row(f"latent, {self.settings.latent.steps} steps", lambda: self.latent(voxels))]
        rows.append(self.row("gaussians", lambda: self.pipeline._gaussians(latent, self.plan)))
        rows.append(self.row("cube features", lambda: self.pipeline._network("slat_decoder_mesh", self.plan)(latent)))
        fine = voxels.subdivided.subdivided
        centre = (fine.coords[:, 1:, None].float() + torch.as_tensor(dual_mc.CORNERS.T, device=self.device)) / 256 - 0.5
        feats = torch.zeros(len(fine), 101, device=self.device)
        feats[:, :8] = centre.norm(dim=1) - 0.3  # random weights give no surface: the extraction gets one
        rows.append(self.row("extraction", lambda: dual_mc.extract(fine.coords[:, 1:], feats, 256)))
        return rows

    def gains(self, count: int) -> list[tuple[str, str, float, float]]:
        """(shortcut, stage, seconds with it, seconds without) at `count` voxels."""
        voxels = figure(count, self.device)
        latent = Sparse(torch.randn(count, 8, generator=noise_generator(1)).to(self.device), voxels)

        def mesh() -> Any:
            return self.pipeline._network("slat_decoder_mesh", self.plan)(latent)

        cases: list[tuple[str, str, Callable[[], Any], Callable[[], contextlib.AbstractContextManager]]] = [
            (
                "constant cross-attention of the zero condition",
                "structure",
                self.structure,
                lambda: _zero_condition_computed(self.tokens),
            ),
            (
                "keys and values kept over the steps",
                "structure",
                self.structure,
                lambda: _contexts_each_step(self.tokens),
            ),
            ("tables kept over the steps", "latent", lambda: self.latent(voxels), _tables_forgotten),
            ("products before gathering", "latent", lambda: self.latent(voxels), _gather_first),
            ("products before gathering", "cube features", mesh, _gather_first),
        ]
        rows = []
        plan, self.plan = self.plan, replace(self.plan, batch_guidance=False)
        for name, stage, run, without in cases:
            fast = best_of(self.repeats, self.device, run)
            with without():
                rows.append((name, stage, fast, best_of(self.repeats, self.device, run)))
            print(f"  {name}: {rows[-1][2]:.3f} s instead of {rows[-1][3]:.3f} s", file=sys.stderr, flush=True)
        self.plan = plan
        return rows + self._batching(voxels)

    def _batching(self, voxels: Voxels) -> list[tuple[str, str, float, float]]:
        rows = []
        plan = self.plan
        for stage, run in (("structure", self.structure), ("latent", lambda: self.latent(voxels))):
            seconds = []
            for batch in (True, False):
                self.plan = replace(plan, batch_guidance=batch)
                seconds.append(best_of(self.repeats, self.device, run))
            rows.append(("both guidance halves in one batch", stage, *seconds))
        self.plan = plan
        return rows  # type: ignore[return-value]


# -- what each shortcut replaces
# ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _zero_condition_computed(tokens: list[Tensor]) -> Iterator[None]:
    """The unconditional half attends to zeros, as if nothing were known about the answer."""
    real = FlowTransformer.contexts

    def contexts(self: FlowTransformer, condition: Tensor | None) -> Any:
        return real(self, torch.zeros_like(tokens[0]) if condition is None else condition)

    with mock.patch.object(FlowTransformer, "contexts", contexts):
        yield


@contextlib.contextmanager
def _contexts_each_step(tokens: list[Tensor]) -> Iterator[None]:
    real = FlowTransformer.run_blocks

    def run_blocks(
        self: FlowTransformer, x: Tensor, time: Tensor, contexts: list, voxels: Voxels | None = None
    ) -> Tensor:
        return real(self, x, time, self.contexts(tokens[0] if contexts[0].conditioned else None), voxels)

    with mock.patch.object(FlowTransformer, "run_blocks", run_blocks):
        yield


@contextlib.contextmanager
def _tables_forgotten() -> Iterator[None]:
    from backend.trellis.latent import SlatFlow

    real = SlatFlow.forward

    def forward(self: SlatFlow, x: Sparse, t: Tensor, contexts: list) -> Sparse:
        return real(self, Sparse(x.feats, Voxels(x.voxels.coords)), t, contexts)

    with mock.patch.object(SlatFlow, "forward", forward):
        yield


@contextlib.contextmanager
def _gather_first() -> Iterator[None]:
    """The plain way: copy the rows to all children, gather 27 neighbours, multiply."""

    def conv3(x: Tensor, voxels: Voxels, weight: Tensor, bias: Tensor | None, source: Tensor | None = None) -> Tensor:
        x = x if source is None else x[source]
        table, flat = voxels.neighbours, weight.reshape(len(weight), -1)
        padded = torch.cat([x, x.new_zeros(1, x.shape[1])])
        parts = table.split(sparse.limits.rows(flat.shape[1] * x.element_size()))
        return torch.cat([F.linear(padded[part].flatten(1), flat, bias) for part in parts])

    with mock.patch.object(sparse, "conv3", conv3):
        yield


def _silent(stage: str, fraction: float, message: str) -> None: ...


# -- the report
# --------------------------------------------------------------------------------------------------------------------


def report(size_name: str, bench: Bench, dtype: torch.dtype, tables: dict[int, list[Row]], gains: list) -> str:
    """Markdown: one table of stages per number of voxels, one of what the shortcuts gain."""
    size = SIZES[size_name]
    what = (
        "networks of the released sizes"
        if size_name == "full"
        else f"REDUCED networks ({size.width} wide, {size.blocks} blocks)"
    )
    lines = [f"{device_name(bench.device)}, {str(dtype).removeprefix('torch.')}, {what}, random weights; "]
    lines[0] += f"best matrix product {bench.peak:.3g} TFLOP/s; memory plan {bench.plan}."
    for count, rows in tables.items():
        lines += ["", f"| {count:,} voxels | s | TFLOP | TFLOP/s | of peak | peak GB |", "|---|---|---|---|---|---|"]
        for row in rows:
            memory = "–" if row.memory_gb is None else f"{row.memory_gb:.2f}"
            rate = f"{row.tflop / row.seconds:.3g} | {100 * row.share_of_peak:.0f} %" if row.tflop else "– | –"
            lines.append(f"| {row.stage} | {row.seconds:.3f} | {row.tflop:.3g} | {rate} | {memory} |")
        lines.append(f"| all | {sum(row.seconds for row in rows):.3f} | {sum(row.tflop for row in rows):.3g} | | | |")
    if gains:
        lines += ["", "| shortcut | stage | s with | s without | times faster |", "|---|---|---|---|---|"]
        lines += [
            f"| {name} | {stage} | {fast:.3f} | {slow:.3f} | {slow / fast:.2f} |" for name, stage, fast, slow in gains
        ]
    if bench.device.type == "cpu":
        clock = "processor seconds of one thread" if torch.get_num_threads() == 1 else "wall-clock seconds"
        lines += [
            "",
            (
                f"Peak memory of the whole process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB."
                f" s: {clock}."
            ),
        ]
    return "\n".join(lines)


@torch.inference_mode()
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trellis", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=["auto", "fp16", "bf16", "fp32"])
    parser.add_argument("--size", choices=list(SIZES), help="default: full on an accelerator, reduced on a processor")
    parser.add_argument("--voxels", type=int, nargs="+", help="default: 10000 20000 (reduced: 2500 5000)")
    parser.add_argument("--memory", default="high", choices=["auto", "low", "high"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-gains", action="store_true", help="leave out what each shortcut gains")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args(arguments)
    try:
        device = choose_device(options.device)
        dtype = choose_dtype(options.dtype, device)
    except BackendError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        return 2
    name = options.size or ("reduced" if device.type == "cpu" else "full")
    bench = Bench(SIZES[name], device, dtype, options.memory, options.repeats)
    counts = options.voxels or SIZES[name].voxels
    common = bench.common()
    tables = {count: common + bench.sized(count) for count in counts}
    gains = [] if options.no_gains else bench.gains(counts[0])
    print(report(name, bench, dtype, tables, gains))
    if options.json:
        figures = {
            "device": device_name(device),
            "dtype": str(dtype),
            "size": name,
            "peak_tflops": bench.peak,
            "plan": asdict(bench.plan),
        }
        figures["stages"] = {count: [asdict(row) for row in rows] for count, rows in tables.items()}
        figures["gains"] = [dict(zip(("shortcut", "stage", "with_s", "without_s"), row, strict=True)) for row in gains]
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    release(device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
