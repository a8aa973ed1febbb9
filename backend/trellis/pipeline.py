# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures -> dense mesh and gaussians: condition, sparse structure, structured latent, decoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor

from ..engines import Progress
from ..errors import BackendError
from ..nn import sparse
from ..nn.flow_stage import guided_velocity, report_steps
from ..nn.memory import Plan, Residents, choose_plan, with_ladder
from ..nn.pieces import in_pieces
from ..nn.sampling import noise_generator, sample, structure_noise
from ..nn.sparse import Sparse, Voxels
from ..nn.structure import occupied
from ..nn.transformer import Context
from . import dual_mc
from .checkpoint import ENCODER, describe, load_network
from .decoders import Gaussians
from .dino import condition
from .preprocess import normalise
from .sampler import SamplerSettings

T = TypeVar("T")

# Where each stage begins and ends in the whole, as shares of the progress bar: measured on the arithmetic of 12 + 12
# steps.
STAGES = {"encode": (0.0, 0.03), "structure": (0.03, 0.45), "latent": (0.45, 0.88), "decode": (0.88, 1.0)}


@dataclass(frozen=True)
class Preset:
    """Steps and guidance of both samplers; None keeps what the checkpoint says."""

    steps: int
    structure_cfg: float | None = None
    latent_cfg: float | None = None


PRESETS = {"fast": Preset(12, 7.5, 3.0), "quality": Preset(25)}


@dataclass(frozen=True)
class Settings:
    """One generation. `multi_image` is how several pictures of one object are combined: stochastic or
    multidiffusion.
    """

    seed: int
    structure: SamplerSettings
    latent: SamplerSettings
    multi_image: str = "stochastic"
    memory: str = "auto"


@dataclass
class Result:
    mesh: dual_mc.DenseMesh
    gaussians: Gaussians
    voxels: int
    plan: Plan


class TrellisPipeline:
    """The networks of one checkpoint folder on one device. Kept between jobs; what stays loaded follows the job's
    memory plan.
    """

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, encoder: Path | None = None) -> None:
        self.description = describe(folder, encoder)
        self.device, self.dtype = device, dtype
        self.residents = Residents(lambda name: load_network(self.description.files[name], device, dtype), device)

    def settings(self, seed: int, options: dict[str, Any]) -> Settings:
        """The checkpoint's samplers with the preset and the options (steps, cfg strengths) put over them."""
        name = options.get("preset", "fast")
        if name not in PRESETS:
            raise BackendError("bad_params", f"There is no preset {name!r}.", f"Choose one of: {', '.join(PRESETS)}.")
        preset = PRESETS[name]

        def put(base: SamplerSettings, prefix: str, cfg: float | None) -> SamplerSettings:
            strength = options.get(f"{prefix}_cfg", base.cfg_strength if cfg is None else cfg)
            return replace(base, steps=int(options.get(f"{prefix}_steps", preset.steps)), cfg_strength=float(strength))

        return Settings(
            seed,
            put(self.description.structure, "structure", preset.structure_cfg),
            put(self.description.latent, "latent", preset.latent_cfg),
            options.get("multi_image", "stochastic"),
            options.get("memory", "auto"),
        )

    @torch.inference_mode()
    def run(self, pictures: list[Image.Image], settings: Settings, progress: Progress) -> Result:
        """Prepared pictures (see `preprocess.crop_subject`) of one object -> mesh and gaussians.

        Raises BackendError (empty_structure, out_of_memory, missing_weights, bad_weights) and whatever `progress`
        raises to cancel.
        """
        with in_pieces(self.device):
            return self._run(pictures, settings, progress)

    def _run(self, pictures: list[Image.Image], settings: Settings, progress: Progress) -> Result:
        plan = choose_plan(settings.memory, self.device, self.residents.bytes)

        def ladder(stage: Callable[[Plan], T]) -> T:
            nonlocal plan
            result, plan = with_ladder(plan, self.residents, self.device, stage)
            return result

        progress("encode", STAGES["encode"][0], "Analysing the picture")
        tokens = ladder(lambda p: self._encode(pictures, p))
        generator = noise_generator(settings.seed)
        state = generator.get_state()

        def structure(p: Plan) -> Tensor:
            generator.set_state(state)  # a retry starts from the same noise
            return self._structure(tokens, generator, settings, p, progress)

        coords = ladder(structure)
        voxels = Voxels(coords)
        noise = torch.randn(len(voxels), 8, generator=generator).to(self.device)
        latent = ladder(lambda p: self._latent(tokens, voxels, noise, settings, p, progress))
        begin, end = STAGES["decode"]
        progress("decode", begin, f"Decoding {len(voxels)} voxels to colours")
        gaussians = ladder(lambda p: self._gaussians(latent, p))
        progress("decode", (begin + end) / 2, "Decoding the surface")
        mesh = ladder(lambda p: self._mesh(latent, p))
        if not len(mesh.faces):
            raise BackendError(
                "empty_structure",
                "TRELLIS made no surface from this picture.",
                "Try another seed or a clearer picture.",
            )
        if not plan.keep_all:
            self.residents.drop()
        return Result(mesh, gaussians, len(voxels), plan)

    def _network(self, name: str, plan: Plan) -> Any:
        sparse.limits.scratch = plan.scratch
        return self.residents.get(name, plan)

    def _encode(self, pictures: list[Image.Image], plan: Plan) -> list[Tensor]:
        """One condition (1, tokens, channels) per picture."""
        encoder = self._network(ENCODER, plan)
        return [condition(encoder(normalise([picture]).to(self.device))) for picture in pictures]

    def _structure(
        self, tokens: list[Tensor], generator: torch.Generator, settings: Settings, plan: Plan, progress: Progress
    ) -> Tensor:
        flow = self._network("sparse_structure_flow_model", plan)
        side = round(flow.pos_emb.shape[0] ** (1 / 3)) * flow.patch
        channels = flow.input_layer.in_features // flow.patch**3
        noise = structure_noise(generator, 1, channels, side).to(self.device)
        velocity = guided_velocity(flow, flow, tokens, settings.multi_image, plan.batch_guidance)
        x, _, _ = sample(
            velocity,
            noise,
            settings.structure,
            report_steps(progress, "structure", *STAGES["structure"], "Finding the shape", flow),
        )
        coords = occupied(self._network("sparse_structure_decoder", plan)(x))
        if not len(coords):
            raise BackendError(
                "empty_structure", "TRELLIS found no object in this picture.", "Try another seed or a clearer picture."
            )
        return coords

    def _latent(
        self, tokens: list[Tensor], voxels: Voxels, noise: Tensor, settings: Settings, plan: Plan, progress: Progress
    ) -> Sparse:
        flow = self._network("slat_flow_model", plan)

        def network(x: Tensor, time: Tensor, contexts: list[Context]) -> Tensor:
            return flow(Sparse(x, voxels if len(x) == len(voxels) else voxels.twice), time, contexts).feats

        velocity = guided_velocity(network, flow, tokens, settings.multi_image, plan.batch_guidance)
        x, _, _ = sample(
            velocity, noise, settings.latent, report_steps(progress, "latent", *STAGES["latent"], "Adding detail", flow)
        )
        mean, std = (torch.tensor(v, device=self.device) for v in (self.description.mean, self.description.std))
        return Sparse(x * std + mean, voxels)

    def _gaussians(self, latent: Sparse, plan: Plan) -> Gaussians:
        decoder = self._network("slat_decoder_gs", plan)
        return decoder.gaussians(latent, decoder(latent))[0]

    def _mesh(self, latent: Sparse, plan: Plan) -> dual_mc.DenseMesh:
        decoder = self._network("slat_decoder_mesh", plan)
        cubes = decoder(latent)
        return dual_mc.extract(cubes.voxels.coords[:, 1:], cubes.feats, 4 * decoder.resolution)
