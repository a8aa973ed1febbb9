# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the samplers on toy velocities, and of the whole pipeline with tiny networks, stage by stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..nn.golden import Case, Comparison
from ..nn.memory import Plan
from ..nn.sampling import Velocity, noise_generator, sample, structure_noise
from ..nn.sparse import Sparse, Voxels
from ..nn.structure import SparseStructureDecoder
from . import dual_grid
from .attributes import sample_attributes
from .cascade import DOUBLINGS, finer_voxels, structure_voxels
from .checkpoint import Statistics
from .decoders import ShapeDecoder, TextureDecoder
from .dino import DinoV3, condition
from .flow import LatentFlow, SparseStructureFlow
from .pipeline import WAYS, sample_latent, sample_structure
from .preprocess import crop_subject, normalise
from .sampler import SamplerSettings
from .verify_cases import check
from .verify_networks import build, parameters

NETWORKS: dict[str, type[nn.Module]] = {
    "e2e_image_cond_model": DinoV3,
    "e2e_sparse_structure_flow_model": SparseStructureFlow,
    "e2e_sparse_structure_decoder": SparseStructureDecoder,
    "e2e_shape_slat_flow_model_512": LatentFlow,
    "e2e_shape_slat_flow_model_1024": LatentFlow,
    "e2e_shape_slat_decoder": ShapeDecoder,
    "e2e_tex_slat_flow_model_512": LatentFlow,
    "e2e_tex_slat_flow_model_1024": LatentFlow,
    "e2e_tex_slat_decoder": TextureDecoder,
}
ONE_BY_ONE = Plan(keep_all=False, batch_guidance=False)


@check("sampler")
def _sampler(case: Case) -> list[Comparison]:
    """The vectors' toy network v = tanh(0.3 x + 0.7 t + mean(cond) |x|), with a log of its evaluations."""
    settings = SamplerSettings.of(case.config, case.config.get("sigma_min", 1e-5))
    noise, cond, negative = case.tensor("noise"), case.tensor("cond"), case.tensor("neg_cond")
    counts = Voxels(case.tensor("coords")).counts if "coords" in case.arrays else None
    times: list[float] = []
    means: list[float] = []

    def network(x: Tensor, t: float, shown: Tensor) -> Tensor:
        times.append(1000 * t)
        means.append(float(shown.cpu().double().mean()))
        mean = shown.mean((1, 2))
        if counts is not None:
            mean = mean.repeat_interleave(torch.tensor(counts, device=mean.device))
        mean = mean.view(-1, *[1] * (x.dim() - 1))
        return torch.tanh(0.3 * x + 0.7 * t + mean * x.abs())

    def velocity(x: Tensor, t: float, _step: int, g: float) -> tuple[Tensor | None, Tensor | None]:
        return network(x, t, cond) if g != 0 else None, network(x, t, negative) if g != 1 else None

    samples, first, last = sample(velocity, noise, settings, items=counts)
    out = case.compare_recorded({"samples": samples, "pred_x_0_first": first, "pred_x_0_last": last})
    out += case.compare_recorded({"t_seq": settings.times()}, tolerance=1e-12)
    out += case.compare_recorded({"model_t": np.array(times)}, tolerance=1e-3)
    return out + case.compare_recorded({"model_cond_mean": np.array(means)})


def _toy(cond: Tensor, beside: Tensor | None = None) -> Velocity:
    """v = sin(x / 2 + shape / 4 + t + mean(cond)); the negative condition is zeros."""

    def velocity(x: Tensor, t: float, _step: int, g: float) -> tuple[Tensor | None, Tensor | None]:
        moved = x / 2 + t if beside is None else x / 2 + beside / 4 + t
        return torch.sin(moved + cond.mean()), torch.sin(moved) if g != 1 else None

    return velocity


@check("cascade")
def _cascade(case: Case) -> list[Comparison]:
    c = case.config
    settings, statistics = SamplerSettings.of(c["sampler"]), Statistics.of(c["normalization"])
    generator = noise_generator(c["seed"])
    width = len(statistics.mean)

    def sampled(rows: int, cond: Tensor, counts: list[int]) -> Tensor:
        noise = torch.randn(rows, width, generator=generator).to(case.device)
        return statistics.restore(sample(_toy(cond), noise, settings, items=counts)[0])

    coarse = Voxels(case.tensor("lr_coords"))
    out = [case.compare("slat_lr", sampled(len(coarse), case.tensor("cond_lr"), coarse.counts), tolerance=_slat(case))]
    coords, resolution = finer_voxels(case.tensor("hr_coords"), c["target"], c["max_num_tokens"])
    out.append(case.compare("coords", coords, tolerance=0))
    out.append(case.compare("resolution", np.array([resolution]), tolerance=0))
    fine = Voxels(coords)
    return [*out, case.compare("slat", sampled(len(fine), case.tensor("cond_hr"), fine.counts), tolerance=_slat(case))]


def _slat(case: Case) -> float:
    return float(case.description["tolerance"]["slat"])


@check("tex_slat")
def _texture(case: Case) -> list[Comparison]:
    c = case.config
    shape, texture = (Statistics.of(c[f"{name}_slat_normalization"]) for name in ("shape", "tex"))
    beside = shape.normalise(case.tensor("shape_slat"))
    noise = torch.randn(beside.shape, generator=noise_generator(c["seed"])).to(case.device)
    velocity = _toy(case.tensor("cond"), beside)
    x = sample(velocity, noise, SamplerSettings.of(c["sampler"]), items=Voxels(case.tensor("coords")).counts)[0]
    return [case.compare("y", texture.restore(x))]


@check(*NETWORKS)
def _weights(case: Case) -> list[Comparison]:
    return parameters(NETWORKS[case.name], case)


@check("e2e_512", "e2e_1024", "e2e_1536")
def _whole(case: Case) -> list[Comparison]:
    """Every stage from the recorded input of that stage, the noise from the seed."""
    c = case.config
    way = WAYS[c["pipeline_type"]]
    networks: Callable[[str], Any] = lambda name: build(NETWORKS[f"e2e_{name}"], case.other(f"e2e_{name}"))  # noqa: E731
    generator = noise_generator(c["seed"])
    shape, texture = (Statistics.of(c[f"{name}_slat_normalization"]) for name in ("shape", "tex"))
    settings = {name: SamplerSettings.of(params, c["sigma_min"]) for name, params in c["samplers"].items()}

    picture = crop_subject(Image.fromarray(case.arrays["rgba"]))
    out = [case.compare("preprocessed", np.asarray(picture), tolerance=0)]
    encoder = networks("image_cond_model")
    for side in {512, way.last}:
        got = condition(encoder(normalise(picture, side // 8).to(case.device)))
        out.append(case.compare(f"cond_{side}", got, tolerance=case.tolerance("cond")))

    flow = networks("sparse_structure_flow_model")
    noise = structure_noise(generator, 1, flow.in_channels, flow.resolution).to(case.device)
    z = sample_structure(flow, [case.tensor("cond_512")], noise, settings["sparse_structure"], "average", ONE_BY_ONE)
    out.append(case.compare("z", z, tolerance=case.tolerance("logits_sub4")))
    logits = networks("sparse_structure_decoder")(case.tensor("z"))
    every = logits.shape[2] // case.arrays["logits_sub4"].shape[2]
    out.append(case.compare("logits_sub4", logits[..., ::every, ::every, ::every]))
    out.append(case.compare("ss_coords", structure_voxels(logits, way.side), tolerance=0))

    voxels, decoder, resolution = Voxels(case.tensor("ss_coords")), networks("shape_slat_decoder"), way.target

    def latent(kind: str, size: int, width: int, beside: Tensor | None = None) -> Tensor:
        drawn = Sparse(torch.randn(len(voxels), width, generator=generator).to(case.device), voxels)
        cond, sampler = case.tensor(f"cond_{size}"), settings[kind]
        network = networks(f"{kind}_slat_flow_model_{size}")
        return sample_latent(network, [cond], drawn, sampler, "average", ONE_BY_ONE, beside=beside).feats

    width = len(shape.mean)
    slat = shape.restore(latent("shape", way.first, width))
    if way.cascade:
        found = decoder.subdivide(Sparse(slat, voxels), DOUBLINGS)
        coords, resolution = finer_voxels(found.coords, way.target)
        out.append(case.compare("shape_coords", coords, tolerance=0))
        voxels = Voxels(case.tensor("shape_coords"))
        slat = shape.restore(latent("shape", way.last, width))
    out.append(case.compare("shape_slat", slat))
    out.append(case.compare("resolution", np.array([resolution]), tolerance=0))
    recorded = case.tensor("shape_slat")
    painted = texture.restore(latent("tex", way.last, len(texture.mean), shape.normalise(recorded)))
    out.append(case.compare("tex_slat", painted))
    return out + _output(case, Sparse(recorded, voxels), decoder, networks("tex_slat_decoder"), resolution)


def _output(
    case: Case, latent: Sparse, decoder: ShapeDecoder, painter: TextureDecoder, resolution: int
) -> list[Comparison]:
    """The mesh and the attributes; of vertices, voxels and attributes every so many rows are recorded."""
    vertex_count, face_count, voxel_count, every = case.arrays["counts"].tolist()
    decoded = decoder(latent)
    fine = decoded.levels[-1]
    mesh = dual_grid.extract(fine, dual_grid.fields(decoded.feats), resolution)
    values = painter.attributes(painter(latent.replace(case.tensor("tex_slat")), decoded.levels).feats)
    counts = {"vertices": (len(mesh.vertices), vertex_count), "faces": (len(mesh.faces), face_count)}
    counts["voxels"] = (len(fine), voxel_count)
    out = [Comparison(f"{name} differ by", float(abs(got - want)), 0) for name, (got, want) in counts.items()]
    head = case.arrays["faces_head"]
    out.append(case.compare("faces_head", mesh.faces[: len(head)], tolerance=0))
    out.append(case.compare("vertices", mesh.vertices[::every]))
    out.append(case.compare("vox_coords", fine.coords[::every, 1:], tolerance=0))
    out.append(case.compare("attrs", values[::every]))
    # The recorded vertices are looked up among our own voxels.
    near = sample_attributes(case.tensor("vertices"), fine, values, resolution)
    return [*out, case.compare("vertex_attrs", near, tolerance=case.tolerance("attrs"))]
