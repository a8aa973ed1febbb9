# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures -> a dense mesh and PBR attributes of its voxels: condition, structure, shape, texture, decoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor

from ..engines import Progress
from ..errors import BackendError
from ..nn import sparse
from ..nn.flow_stage import guided_velocity, report_steps
from ..nn.memory import GB, Needs, Plan, Residents, choose_plan, with_ladder
from ..nn.pieces import in_pieces
from ..nn.sampling import noise_generator, sample, structure_noise
from ..nn.sparse import Sparse, Voxels
from ..nn.transformer import Context, FlowTransformer
from . import dual_grid
from .cascade import DOUBLINGS, finer_voxels, structure_voxels
from .checkpoint import DECODERS, ENCODER, describe, load_network
from .conditioning import Conditioner, TokenConditioner
from .decoders import ShapeDecoder, SparseDecoder, TextureDecoder
from .flow import LatentFlow, SparseStructureFlow
from .sampler import SamplerSettings

T = TypeVar("T")
NAME = "TRELLIS.2"

# All networks of the cascade in half precision (12.5 GB) with the largest activations; both halves of the structure.
NEEDS = Needs(24 * GB, 8 * GB)
# Rows from which on a guidance half fills a device by itself: batching both would only cost memory.
BATCH_ROWS = 8192


@dataclass(frozen=True)
class Way:
    """One of the published ways through the networks. side: the structure's grid; first, last: which latent networks;
    target: the resolution asked for. With another `last` than `first` the shape is refined (a cascade).
    """

    side: int
    first: int
    last: int
    target: int

    @property
    def cascade(self) -> bool:
        return self.first != self.last


WAYS = {
    "512": Way(32, 512, 512, 512),
    "1024": Way(64, 1024, 1024, 1024),
    "1024_cascade": Way(32, 512, 1024, 1024),
    "1536_cascade": Way(32, 512, 1024, 1536),
}
PRESETS = {"fast": "512", "quality": "1024_cascade"}

# Where each stage begins and ends in the whole, as shares of the progress bar: the arithmetic of 4,500 voxels.
DECODE = {"surface": (0.97, 0.985), "material": (0.985, 1.0)}
STAGES = {
    False: {"encode": (0.0, 0.01), "structure": (0.01, 0.38), "shape": (0.38, 0.77), "texture": (0.77, 0.97)} | DECODE,
    True: {
        "encode": (0.0, 0.01),
        "structure": (0.01, 0.08),
        "shape": (0.08, 0.15),
        "refine": (0.15, 0.68),
        "texture": (0.68, 0.97),
    }
    | DECODE,
}


@dataclass(frozen=True)
class Settings:
    """One generation. way: a key of WAYS; samplers: structure, shape, texture."""

    seed: int
    way: str
    samplers: dict[str, SamplerSettings]
    multi_image: str = "average"
    memory: str = "auto"
    max_tokens: int = 49_152


@dataclass
class Result:
    """The raw mesh, and attributes (n, 6) of the fine voxels it was made of (see `attributes.CHANNELS`)."""

    mesh: dual_grid.RawMesh
    voxels: Voxels
    attributes: Tensor
    resolution: int
    tokens: int
    plan: Plan


class Trellis2Pipeline:
    """The networks of one checkpoint folder on one device. Kept between jobs; what stays loaded follows the job's
    memory plan.
    """

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        self.description = describe(folder)
        self.device, self.dtype = device, dtype
        self.residents = Residents(self._load, device)

    def _load(self, name: str) -> torch.nn.Module:
        return load_network(self.description.files[name], self.device, inner_dtype(name, self.dtype))

    def settings(self, seed: int, options: dict[str, Any]) -> Settings:
        """The checkpoint's samplers with the options (STAGE_steps, STAGE_guidance) put over them. Raises
        BackendError("bad_params").
        """
        preset = options.get("preset", "fast")
        if preset not in PRESETS:
            raise BackendError("bad_params", f"There is no preset {preset!r}.", f"Choose one of: {', '.join(PRESETS)}.")
        way = options.get("resolution") or PRESETS[preset]
        if way not in WAYS:
            raise BackendError("bad_params", f"There is no resolution {way!r}.", f"Choose one of: {', '.join(WAYS)}.")
        samplers = {}
        for stage, base in self.description.samplers.items():
            samplers[stage] = replace(
                base,
                steps=int(options.get(f"{stage}_steps", base.steps)),
                guidance_strength=float(options.get(f"{stage}_guidance", base.guidance_strength)),
            )
        return Settings(seed, way, samplers, options.get("multi_image", "average"), options.get("memory", "auto"))

    @torch.inference_mode()
    def run(self, pictures: list[Image.Image], settings: Settings, progress: Progress) -> Result:
        """Prepared pictures (see `preprocess.crop_subject`) of one object -> its mesh and attributes.

        Raises BackendError (empty_structure, out_of_memory, missing_weights, bad_weights) and whatever `progress`
        raises to cancel.
        """
        with in_pieces(self.device):
            return self._run(pictures, settings, progress)

    def _run(self, pictures: list[Image.Image], settings: Settings, progress: Progress) -> Result:
        way = WAYS[settings.way]
        plan = choose_plan(settings.memory, self.device, self.residents.bytes, NEEDS)

        def ladder(stage: Callable[[Plan], T]) -> T:
            nonlocal plan
            result, plan = with_ladder(plan, self.residents, self.device, stage, NAME)
            return result

        stages = STAGES[way.cascade]
        progress("encode", stages["encode"][0], "Analysing the picture")
        tokens = {}
        for side in sorted({512, way.last}):
            tokens[side] = ladder(partial(self._encode, pictures, side))
        generator = noise_generator(settings.seed)

        def drawn(*size: int) -> Tensor:
            return torch.randn(*size, generator=generator).to(self.device)

        report = _Reporter(progress, stages)
        flow = ladder(lambda p: self._network("sparse_structure_flow_model", p))
        noise = structure_noise(generator, 1, flow.in_channels, flow.resolution).to(self.device)
        coords = ladder(lambda p: self._structure(tokens[512], noise, way.side, settings, p, report))
        voxels = Voxels(coords)
        first = ladder(lambda p: self._network(f"shape_slat_flow_model_{way.first}", p)).out_channels
        noise = drawn(len(voxels), first)
        latent = ladder(
            lambda p: self._shape("shape", way.first, tokens[way.first], voxels, noise, settings, p, report)
        )
        resolution = way.target
        if way.cascade:
            coords, resolution = ladder(lambda p: self._finer(latent, way.target, settings.max_tokens, p))
            voxels = Voxels(coords)
            noise = drawn(len(voxels), first)
            refined = (tokens[way.last], voxels, noise, settings)
            latent = ladder(lambda p: self._shape("refine", way.last, *refined, p, report))
        noise = drawn(len(voxels), first)
        painted = ladder(lambda p: self._texture(way.last, tokens[way.last], latent, noise, settings, p, report))
        tokens.clear()
        mesh, levels = ladder(lambda p: self._surface(latent, resolution, p, report))
        attributes = ladder(lambda p: self._attributes(painted, levels, p, report))
        if not len(mesh.faces):
            raise _nothing("TRELLIS.2 made no surface from this picture.")
        if not plan.keep_all:
            self.residents.drop()
        return Result(mesh, levels[-1], attributes, resolution, len(voxels), plan)

    def _network(self, name: str, plan: Plan) -> Any:
        sparse.limits.scratch = plan.scratch
        return self.residents.get(name, plan)

    def _encode(self, pictures: list[Image.Image], side: int, plan: Plan) -> list[Tensor]:
        """One condition (1, tokens, channels) a picture."""
        conditioner: Conditioner = TokenConditioner(self._network(ENCODER, plan))
        return conditioner(pictures, side, self.device)

    def _structure(
        self, tokens: list[Tensor], noise: Tensor, side: int, settings: Settings, plan: Plan, report: _Reporter
    ) -> Tensor:
        flow = self._network("sparse_structure_flow_model", plan)
        steps = report.steps("structure", "Finding the shape", flow)
        x = sample_structure(flow, tokens, noise, settings.samplers["structure"], settings.multi_image, plan, steps)
        coords = structure_voxels(self._network("sparse_structure_decoder", plan)(x), side)
        if not len(coords):
            raise BackendError(
                "empty_structure",
                "TRELLIS.2 found no object in this picture.",
                "Try another seed or a clearer picture.",
            )
        return coords

    def _shape(
        self,
        stage: str,
        size: int,
        tokens: list[Tensor],
        voxels: Voxels,
        noise: Tensor,
        settings: Settings,
        plan: Plan,
        report: _Reporter,
    ) -> Sparse:
        flow = self._network(f"shape_slat_flow_model_{size}", plan)
        steps = report.steps(stage, "Shaping the surface", flow)
        x = sample_latent(
            flow, tokens, Sparse(noise, voxels), settings.samplers["shape"], settings.multi_image, plan, steps
        )
        return x.replace(self.description.shape.restore(x.feats))

    def _finer(self, latent: Sparse, target: int, max_tokens: int, plan: Plan) -> tuple[Tensor, int]:
        decoder: ShapeDecoder = self._network("shape_slat_decoder", plan)
        voxels = decoder.subdivide(latent, DOUBLINGS)
        return finer_voxels(voxels.coords, target, max_tokens)

    def _texture(
        self,
        size: int,
        tokens: list[Tensor],
        latent: Sparse,
        noise: Tensor,
        settings: Settings,
        plan: Plan,
        report: _Reporter,
    ) -> Sparse:
        flow = self._network(f"tex_slat_flow_model_{size}", plan)
        steps = report.steps("texture", "Painting the surface", flow)
        beside = self.description.shape.normalise(latent.feats)
        x = sample_latent(
            flow, tokens, latent.replace(noise), settings.samplers["texture"], settings.multi_image, plan, steps, beside
        )
        return x.replace(self.description.texture.restore(x.feats))

    def _surface(
        self, latent: Sparse, resolution: int, plan: Plan, report: _Reporter
    ) -> tuple[dual_grid.RawMesh, list[Voxels]]:
        """The raw mesh, and the finer sets that the surface was found on, level by level."""
        decoder: ShapeDecoder = self._network("shape_slat_decoder", plan)
        report.blocks("surface", f"Decoding {len(latent.voxels)} voxels to a surface", decoder)
        decoded = decoder(latent)
        if not plan.keep_all:
            for voxels in decoded.levels:
                voxels.forget_neighbours()
        return dual_grid.extract(decoded.levels[-1], dual_grid.fields(decoded.feats), resolution), decoded.levels

    def _attributes(self, painted: Sparse, levels: list[Voxels], plan: Plan, report: _Reporter) -> Tensor:
        decoder: TextureDecoder = self._network("tex_slat_decoder", plan)
        report.blocks("material", f"Decoding the material of {len(levels[-1])} voxels", decoder)
        attributes = decoder.attributes(decoder(painted, levels).feats)
        for voxels in levels:
            voxels.forget_neighbours()
        return attributes


class _Reporter:
    """Progress of the stages that take long, as their shares of the whole."""

    def __init__(self, progress: Progress, stages: dict[str, tuple[float, float]]) -> None:
        self._progress, self._stages = progress, stages

    def steps(self, stage: str, message: str, flow: FlowTransformer) -> Callable[[int, int], None]:
        return report_steps(self._progress, stage, *self._stages[stage], message, flow)

    def blocks(self, stage: str, message: str, decoder: SparseDecoder) -> None:
        begin, end = self._stages[stage]
        decoder.on_block = lambda share: self._progress(stage, begin + (end - begin) * share, message)


def sample_structure(
    flow: SparseStructureFlow,
    tokens: list[Tensor],
    noise: Tensor,
    sampler: SamplerSettings,
    multi_image: str,
    plan: Plan,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """The dense structure latent from its noise."""
    velocity = guided_velocity(flow, flow, tokens, multi_image, plan.batch_guidance)
    return sample(velocity, noise, sampler, on_step)[0]


def sample_latent(
    flow: LatentFlow,
    tokens: list[Tensor],
    noise: Sparse,
    sampler: SamplerSettings,
    multi_image: str,
    plan: Plan,
    on_step: Callable[[int, int], None] | None = None,
    beside: Tensor | None = None,
) -> Sparse:
    """The normalised latent of each voxel from its noise; `beside` as in `LatentFlow`."""
    voxels = noise.voxels

    def network(x: Tensor, time: Tensor, contexts: list[Context]) -> Tensor:
        twice = len(x) != len(voxels)
        shown = torch.cat([beside, beside]) if twice and beside is not None else beside
        return flow(Sparse(x, voxels.twice if twice else voxels), time, contexts, shown).feats

    batch = plan.batch_guidance and len(voxels) < BATCH_ROWS
    velocity = guided_velocity(network, flow, tokens, multi_image, batch)
    return noise.replace(sample(velocity, noise.feats, sampler, on_step, voxels.counts)[0])


def _nothing(message: str) -> BackendError:
    return BackendError("empty_structure", message, "Try another seed or a clearer picture.")


def inner_dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    """The decoders were trained in fp16, the flows in bf16, beyond whose range fp16 activations go."""
    return torch.float16 if name in DECODERS and dtype != torch.float32 else dtype


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """auto: bfloat16 where the device has it, else single precision. The flows' activations leave the range of fp16."""
    if name == "auto":
        return torch.bfloat16 if _has_bfloat16(device) else torch.float32
    known = {"bf16": torch.bfloat16, "fp32": torch.float32}
    if name not in known:
        raise BackendError("bad_params", f"There is no precision {name!r}.", "Choose auto, bf16 or fp32.")
    return known[name]


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return False
    try:
        probe = torch.ones(8, 8, device=device, dtype=torch.bfloat16)
        return bool(torch.isfinite(probe @ probe).all())
    except (RuntimeError, TypeError):
        return False
