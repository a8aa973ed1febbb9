# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of whole networks, one evaluation each, with the submodules' outputs where a vector has them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn.golden import Case, Comparison, build, compare_record, for_every_item, recording
from ..nn.sparse import Sparse, Voxels
from ..nn.structure import SparseStructureDecoder, occupied
from .decoders import GaussianDecoder, MeshDecoder, SubdivideBlock, Trunk
from .dino import DinoV2, condition
from .latent import SlatFlow
from .preprocess import MEAN, STD
from .structure import SparseStructureFlow
from .verify_cases import check
from .verify_meshes import compare_gaussians, meshes_of


@check("image_encoder")
def _encoder(case: Case) -> list[Comparison]:
    network = build(DinoV2, case)
    record = recording(network, case)
    mean, std = (torch.tensor(v, device=case.device).view(3, 1, 1) for v in (MEAN, STD))
    tokens = network((case.tensor("image") - mean) / std)
    return case.compare_recorded({"x_prenorm": tokens, "cond": condition(tokens)}) + compare_record(
        case, record, case.tolerance()
    )


@check("ss_flow")
def _structure_flow(case: Case) -> list[Comparison]:
    weights = str(case.notes.get("weights", case.name)).removesuffix(".weights.safetensors")
    network = build(SparseStructureFlow, case, weights)
    for name, dtype in case.notes.get("dtypes", {}).items():
        if str(network.state_dict()[name].dtype) != dtype:
            return [Comparison(f"{name} is not {dtype}", float("inf"), 0)]
    record = recording(network, case)
    x, cond = case.tensor("x"), case.tensor("cond")
    time, cond = for_every_item(case.tensor("t"), len(x)), for_every_item(cond, len(x))
    out = [case.compare("y", network(x, time, network.contexts(cond))), *compare_record(case, record, case.tolerance())]
    if not cond.any():  # the shortcut for the zero condition is exact
        out.append(case.compare("y", network(x, time, network.contexts(None))))
    return out


@check("ss_decoder")
def _structure_decoder(case: Case) -> list[Comparison]:
    network = build(SparseStructureDecoder, case)
    record = recording(network, case)
    out = [case.compare("logits", network(case.tensor("z"))), *compare_record(case, record, case.tolerance("logits"))]
    return out + case.compare_recorded({"coords": occupied(case.tensor("logits"))}, tolerance=0)


@check("slat_flow")
def _latent_flow(case: Case) -> list[Comparison]:
    network = build(SlatFlow, case)
    out, record = [], None
    for prefix in [name.removesuffix("coords") for name in case.arrays if name.endswith("coords")]:
        if record is None:  # the submodules' outputs were recorded in the first evaluation
            record = recording(network, case)
        x = Sparse(case.tensor(f"{prefix}x"), Voxels(case.tensor(f"{prefix}coords")))
        items = len(x.voxels.counts)
        time, cond = (for_every_item(case.tensor(f"{prefix}{name}"), items) for name in ("t", "cond"))
        out.append(case.compare(f"{prefix}y", network(x, time, network.contexts(cond)).feats))
        if not cond.any():
            out.append(case.compare(f"{prefix}y", network(x, time, network.contexts(None)).feats))
    return out + compare_record(case, record or {}, case.tolerance())


@check("slat_dec_gs")
def _gaussian_decoder(case: Case) -> list[Comparison]:
    network = build(GaussianDecoder, case)
    record = recording(network, case)
    x = Sparse(case.tensor("x"), Voxels(case.tensor("coords")))
    feats = network(x)
    limit = case.tolerance("out_feats")
    out = [*case.compare_recorded({"out_feats": feats}, limit), *compare_record(case, record, limit)]
    for i, gaussians in enumerate(network.gaussians(x, feats)):
        out += compare_gaussians(case, f"g{i}_", gaussians, case.tolerance("gaussians"))
    return out


@check("slat_dec_mesh")
def _mesh_decoder(case: Case) -> list[Comparison]:
    network = build(MeshDecoder, case)
    record = recording(network, case)
    y = network(Sparse(case.tensor("x"), Voxels(case.tensor("coords"))))
    limit = case.tolerance("out_feats")
    out = [*case.compare_recorded({"out_feats": y.feats}, limit), *compare_record(case, record, limit)]
    out += case.compare_recorded({"out_coords": y.voxels.coords}, tolerance=0)
    # The mesh is compared from the recorded features: it would amplify their rounding.
    return out + meshes_of(case, case.tensor("out_coords"), case.tensor("out_feats"), 4 * network.resolution)


@check("subdivide_block")
def _subdivide_block(case: Case) -> list[Comparison]:
    c = case.config
    block = SubdivideBlock(c["channels"], c["out_channels"], c.get("num_groups", 32)).to(case.device)
    block.load_state_dict(case.weights(), strict=True)
    y = block(Sparse(case.tensor("x"), Voxels(case.tensor("coords"))))
    return [*case.compare_recorded({"out_coords": y.voxels.coords}, tolerance=0), case.compare("y", y.feats)]


class _RadianceField(Trunk):
    """The radiance-field decoder: its trunk is ours; its renderer is CUDA-only, so the product does not use it."""

    def __init__(self, representation_config: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rank, self.dim = representation_config["rank"], representation_config["dim"]
        self.out_layer = nn.Linear(kwargs["model_channels"], self.rank * (3 * self.dim + 1 + 3))

    def forward(self, x: Sparse) -> Tensor:
        h = self.trunk(x).float()
        return self.out_layer(F.layer_norm(h, h.shape[-1:]))


@check("slat_dec_rf")
def _radiance_decoder(case: Case) -> list[Comparison]:
    network = build(_RadianceField, case)
    record = recording(network, case)
    coords = case.tensor("coords")
    feats = network(Sparse(case.tensor("x"), Voxels(coords)))
    trivec, density, colour = feats.split([network.rank * 3 * network.dim, network.rank, network.rank * 3], 1)
    got = {
        "out_feats": feats,
        "position": (coords[:, 1:].float() + 0.5) / network.resolution,
        "trivec": trivec.reshape(-1, network.rank, 3, network.dim) + 1,
        "depth": torch.full((len(coords), 1), int(math.log2(network.resolution))),
        "density": density,
        "features_dc": colour.reshape(-1, network.rank, 1, 3),
    }
    return case.compare_recorded(got) + compare_record(case, record, case.tolerance())
