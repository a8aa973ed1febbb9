# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the samplers on a toy velocity, and of the whole pipeline with tiny networks, stage by stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..nn.golden import Case, Comparison, build, for_every_item
from ..nn.sampling import noise_generator, sample, structure_noise
from ..nn.sparse import Sparse, Voxels
from ..nn.structure import SparseStructureDecoder, occupied
from . import dual_mc
from .decoders import GaussianDecoder, MeshDecoder
from .dino import DinoV2, condition
from .latent import SlatFlow
from .preprocess import crop_subject, normalise
from .sampler import SamplerSettings
from .structure import SparseStructureFlow
from .verify_cases import check
from .verify_meshes import compare_gaussians, compare_meshes_loosely

E2E = {
    "e2e_image_cond_model": DinoV2,
    "e2e_sparse_structure_flow_model": SparseStructureFlow,
    "e2e_sparse_structure_decoder": SparseStructureDecoder,
    "e2e_slat_flow_model": SlatFlow,
    "e2e_slat_decoder_mesh": MeshDecoder,
    "e2e_slat_decoder_gs": GaussianDecoder,
}


def _settings(config: dict[str, Any], sigma_min: float = 1e-5) -> SamplerSettings:
    return SamplerSettings(
        config["steps"],
        config.get("cfg_strength", 0.0),
        tuple(config.get("cfg_interval", (0.0, 1.0))),
        config.get("rescale_t", 1.0),
        config.get("sigma_min", sigma_min),
    )


def _toy(positive: Callable[[int], list[Tensor]], negative: Tensor) -> tuple[Callable, list[float], list[float]]:
    """The vectors' toy network v = 0.3 x + 0.7 t + mean(cond), with a log of the calls."""
    times: list[float] = []
    means: list[float] = []

    def network(x: Tensor, t: float, cond: Tensor) -> Tensor:
        times.append(1000 * t)
        means.append(float(cond.cpu().double().mean()))
        per_item = cond.mean(dim=(1, 2)).view(-1, *[1] * (x.dim() - 1))
        return 0.3 * x + 0.7 * torch.tensor(1000 * t, dtype=torch.float32) / 1000 + per_item

    def velocity(x: Tensor, t: float, step: int, guidance: float) -> tuple[Tensor, Tensor | None]:
        v = torch.stack([network(x, t, cond) for cond in positive(step)]).mean(0)
        return v, network(x, t, negative) if guidance != 1 else None

    return velocity, times, means


def _run_toy(case: Case, positive: Callable[[int], list[Tensor]], negative: Tensor) -> list[Comparison]:
    settings = _settings(case.config)
    velocity, times, means = _toy(positive, negative)
    x, first, last = sample(velocity, case.tensor("noise"), settings)
    out = case.compare_recorded({"samples": x, "pred_x_0_first": first, "pred_x_0_last": last})
    out += case.compare_recorded({"t_seq": settings.times()}, tolerance=1e-12)
    # Without guidance strength the unconditional half is not computed; upstream computes it and multiplies it by zero.
    if settings.cfg_strength and "model_t" in case.arrays:
        out.append(case.compare("model_t", np.array(times), case.arrays["model_t"].reshape(-1), 1e-3))
        out.append(case.compare("model_cond_mean", np.array(means), case.arrays["model_cond_mean"].reshape(-1)))
    return out


@check("sampler")
def _sampler(case: Case) -> list[Comparison]:
    cond = case.tensor("cond")
    return _run_toy(
        case, lambda step: [cond], case.tensor("neg_cond") if "neg_cond" in case.arrays else torch.zeros_like(cond)
    )


@check("multi_image")
def _multi_image(case: Case) -> list[Comparison]:
    each = list(case.tensor("cond").split(1))
    stochastic = case.config["mode"] == "stochastic"
    negative = case.tensor("neg_cond") if "neg_cond" in case.arrays else torch.zeros_like(each[0])
    return _run_toy(case, lambda step: [each[step % len(each)]] if stochastic else each, negative)


def _network(case: Case, name: str) -> Any:
    return build(E2E[name], case.other(name))


@check(*E2E)
def _weights(case: Case) -> list[Comparison]:
    network = build(E2E[case.name], case)
    count = sum(p.numel() for p in network.parameters())
    return [Comparison("loads strictly; parameters differ by", float(abs(count - int(case.arrays["n_params"][0]))), 0)]


@check("e2e_stages")
def _stages(case: Case) -> list[Comparison]:
    config, sigma = case.config, case.config.get("sigma_min", 1e-5)
    encoder = _network(case, "e2e_image_cond_model")
    picture = crop_subject(Image.fromarray(case.arrays["rgba"]))
    cond = condition(encoder(normalise([picture]).to(case.device)))
    tokens = case.arrays["cond_first_tokens"]
    out = [
        case.compare("cond_first_tokens", cond[0, : len(tokens)]),
        *case.compare_recorded({"cond_mean": cond.mean(1)}, case.tolerance("cond_first_tokens")),
    ]
    ss_noise, slat_noise = case.arrays["ss_noise"], case.arrays["slat_noise"]
    generator = noise_generator(config["seed"])
    out.append(case.compare("ss_noise", structure_noise(generator, *ss_noise.shape[:3]), tolerance=1e-6))
    out.append(case.compare("slat_noise", torch.randn(*slat_noise.shape, generator=generator), tolerance=1e-6))
    flow = _network(case, "e2e_sparse_structure_flow_model")
    x, _, _ = sample(
        _velocity(flow, cond, len(ss_noise)),
        case.tensor("ss_noise"),
        _settings(config["sparse_structure_sampler"], sigma),
    )
    out.append(case.compare("ss_logits", _network(case, "e2e_sparse_structure_decoder")(x)))
    out.append(case.compare("coords", occupied(case.tensor("ss_logits")), tolerance=0))
    voxels, latent = Voxels(case.tensor("coords")), _network(case, "e2e_slat_flow_model")
    x, _, _ = sample(
        _velocity(latent, cond, len(voxels.counts), voxels),
        case.tensor("slat_noise"),
        _settings(config["slat_sampler"], sigma),
    )
    mean, std = (torch.tensor(config["slat_normalization"][k], device=case.device) for k in ("mean", "std"))
    return [*out, case.compare("slat", x * std + mean)]


def _velocity(network: Any, cond: Tensor, items: int, voxels: Voxels | None = None) -> Callable:
    positive, negative = network.contexts(for_every_item(cond, items)), network.contexts(None)

    def velocity(x: Tensor, t: float, _step: int, guidance: float) -> tuple[Tensor, Tensor | None]:
        time = torch.full((items,), 1000 * t, dtype=torch.float32, device=x.device)

        def run(contexts: list) -> Tensor:
            return network(x, time, contexts) if voxels is None else network(Sparse(x, voxels), time, contexts).feats

        return run(positive), run(negative) if guidance != 1 else None

    return velocity


@check("e2e_output")
def _outputs(case: Case) -> list[Comparison]:
    digits = case.name.rsplit("_", 1)[1]
    item = int(digits) if digits.isdigit() else 0
    stages = case.other("e2e_stages")
    rows = stages.tensor("coords")[:, 0] == item
    coords = stages.tensor("coords")[rows].clone()
    coords[:, 0] = 0
    x = Sparse(stages.tensor("slat")[rows], Voxels(coords))
    decoder = _network(case, "e2e_slat_decoder_gs")
    out = compare_gaussians(case, "g_", decoder.gaussians(x, decoder(x))[0], case.tolerance("gaussians"))
    mesh_decoder = _network(case, "e2e_slat_decoder_mesh")
    cubes = mesh_decoder(x)
    return out + compare_meshes_loosely(
        case, dual_mc.extract(cubes.voxels.coords[:, 1:], cubes.feats, 4 * mesh_decoder.resolution)
    )
