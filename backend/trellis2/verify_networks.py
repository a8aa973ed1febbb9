# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of blocks and whole networks, one evaluation each, with the submodules' outputs where a vector has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..nn.golden import Case, Comparison, compare_record, for_every_item, recording
from ..nn.sparse import Sparse, Voxels
from ..nn.structure import SparseStructureDecoder, occupied
from . import dual_grid
from .cascade import structure_voxels
from .decoders import ConvNextBlock, ShapeDecoder, SparseDecoder, TextureDecoder, UpBlock
from .dino import DinoV3, condition, from_timm, patch_rotation
from .flow import LatentFlow, SparseStructureFlow
from .preprocess import normalise
from .verify_cases import check, loosely, with_weights

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def build(kind: type[nn.Module], case: Case, weights: str | None = None) -> Any:
    """The case's network, strictly loaded, in the precision that its config names."""
    c = case.config
    dtype = DTYPES.get(c.get("dtype", ""), torch.float16 if c.get("use_fp16") else torch.float32)
    state = case.weights(weights)
    if kind is DinoV3:
        state = from_timm(state)
        # The tiny vectors' copy in timm's naming has no biases at all; the network keeps its zero ones.
        c = c | {"query_bias": True, "value_bias": True}
    return with_weights(kind(**c), state, case, dtype)


@check("image_encoder")
def _encoder(case: Case) -> list[Comparison]:
    network, c, out = build(DinoV3, case), case.config, []
    pictures = [Image.fromarray(case.arrays[name]) for name in sorted(case.arrays) if name.startswith("image")]
    names = ["cond"] if "cond" in case.arrays else ["cond_small", "cond_big"]
    for name, size in zip(names, c["sizes"], strict=False):
        if name in case.arrays:
            pixels = torch.cat([normalise(picture, size) for picture in pictures]).to(case.device)
            out.append(case.compare(name, condition(network(pixels))))
            row = f"pixels1_{name.removeprefix('cond_')}_row0"
            out += case.compare_recorded({row: pixels[min(1, len(pixels) - 1), :, 0]})
    if "rope_cos" in case.arrays:
        side = round(len(case.arrays["rope_cos"]) ** 0.5)
        cos, sin = patch_rotation(side, side, network.head_width, network.theta, case.device)
        out += case.compare_recorded({"rope_cos": cos, "rope_sin": sin})
    return out


@check("ss_flow")
def _structure_flow(case: Case) -> list[Comparison]:
    half = "dtype" in case.config
    network = build(SparseStructureFlow, case, case.name.removesuffix("_bf16") if half else None)
    record = recording(network, case)
    x = case.tensor("x")
    time, cond = for_every_item(case.tensor("t"), len(x)), for_every_item(case.tensor("cond"), len(x))
    y = network(x, time, network.contexts(cond))
    if half:
        return loosely(case, "y", y, case.arrays["y"])
    out = [case.compare("y", y), *compare_record(case, record, case.tolerance())]
    if "zero_cond_y" in case.arrays:
        zero = (network.contexts(None), network.contexts(torch.zeros_like(cond)))
        out += [case.compare("zero_cond_y", network(x, time, contexts)) for contexts in zero]
    return out


@check("ss_decoder")
def _structure_decoder(case: Case) -> list[Comparison]:
    network = build(SparseStructureDecoder, case)
    record = recording(network, case)
    logits = case.tensor("logits")
    out = [case.compare("logits", network(case.tensor("z"))), *compare_record(case, record, case.tolerance())]
    coords = {"coords": occupied(logits), "coords_pooled": structure_voxels(logits, logits.shape[2] // 2)}
    return out + case.compare_recorded(coords, tolerance=0)


@check("slat_flow")
def _latent_flow(case: Case) -> list[Comparison]:
    network = build(LatentFlow, case)
    record, out = recording(network, case), []
    prefixes = [name.removesuffix("coords") for name in case.arrays if name.endswith("coords")]
    for prefix in sorted(prefixes, key=lambda p: p != "main_"):  # the recorded inner results are those of the first
        voxels = Voxels(case.tensor(f"{prefix}coords"))
        items = len(voxels.counts)
        time = for_every_item(case.tensor(f"{prefix}t"), items)
        cond = for_every_item(case.tensor(f"{prefix}cond"), items)
        beside = case.tensor(f"{prefix}concat") if f"{prefix}concat" in case.arrays else None
        y = network(Sparse(case.tensor(f"{prefix}x"), voxels), time, network.contexts(cond), beside)
        out.append(case.compare(f"{prefix}y", y.feats))
    return out + compare_record(case, record, case.tolerance())


@check("convnext_block")
def _convnext(case: Case) -> list[Comparison]:
    block = with_weights(ConvNextBlock(case.config["channels"]), case.weights(), case)
    return [case.compare("y", block(_sparse(case)).feats)]


@check("c2s_block")
def _up_block(case: Case) -> list[Comparison]:
    c, state = case.config, case.weights()
    predicts = "to_subdiv.weight" in state
    block = with_weights(UpBlock(c["channels"], c["out_channels"], predicts), state, case)
    x, out = _sparse(case), []
    if predicts:
        out.append(case.compare("sub_logits", block.logits(x)))
    fine = x.voxels.children(case.tensor("sub_logits") > 0)
    return [*out, case.compare("out_coords", fine.coords, tolerance=0), case.compare("y", block(x, fine).feats)]


def _sparse(case: Case, name: str = "x") -> Sparse:
    return Sparse(case.tensor(name), Voxels(case.tensor("coords")))


@check("shape_decoder")
def _shape_decoder(case: Case) -> list[Comparison]:
    if case.config.get("use_fp16"):
        return _shape_decoder_in_half(case)
    network, x = build(ShapeDecoder, case), _sparse(case)
    decoded, out = network(x), []
    for level, logits in enumerate(decoded.logits):
        parents = x.voxels if level == 0 else decoded.levels[level - 1]
        coords = {f"sub{level}_coords": parents.coords}
        out += case.compare_recorded(coords, 0) + case.compare_recorded(
            {f"sub{level}_logits": logits}, case.tolerance("sub_logits")
        )
    fine = decoded.levels[-1]
    out.append(case.compare("out_coords", fine.coords, tolerance=0))
    out.append(case.compare("out_feats", decoded.feats))
    for name in [name for name in case.arrays if name.startswith("upsample")]:
        levels = int(name.removeprefix("upsample").removesuffix("_coords"))
        out.append(case.compare(name, network.subdivide(x, levels).coords, tolerance=0))
    # From the recorded channels: a flag within rounding of zero would otherwise be held against the mesh.
    return out + _meshes(case, fine, case.tensor("out_feats"))


def _meshes(case: Case, fine: Voxels, feats: Tensor) -> list[Comparison]:
    out = []
    for name in [name for name in case.arrays if name.startswith("mesh") and name.endswith("_vertices")]:
        item = int(name.removeprefix("mesh").removesuffix("_vertices"))
        rows = fine.batch == item
        coords = fine.coords[rows].clone()
        coords[:, 0] = 0
        mesh = dual_grid.extract(Voxels(coords), dual_grid.fields(feats[rows]), case.config["resolution"])
        out.append(case.compare(name, mesh.vertices, tolerance=case.tolerance("vertices")))
        out.append(case.compare(f"mesh{item}_faces", mesh.faces, tolerance=0))
    return out


def _shape_decoder_in_half(case: Case) -> list[Comparison]:
    """Compared by coordinate over the voxels that both have: rounding may give or take some."""
    network = build(ShapeDecoder, case, case.name.removesuffix("_fp16"))
    decoded = network(_sparse(case))
    wanted, fine = Voxels(case.tensor("out_coords")), decoded.levels[-1]
    rows = wanted.find_anywhere(fine.coords)
    common = rows < len(wanted)
    differing = len(fine) + len(wanted) - 2 * int(common.sum())
    want = case.arrays["out_feats"][rows[common].cpu().numpy()]
    limit = case.description["tolerance"]["voxels_differing"]
    return [
        Comparison("voxels that one side has alone", float(differing), limit),
        *loosely(case, "out_feats", decoded.feats[common], want),
    ]


@check("tex_decoder")
def _texture_decoder(case: Case) -> list[Comparison]:
    network, x = build(TextureDecoder, case), _sparse(case)
    decoded = network(x, _told(network, x.voxels, case))
    y = {"y": decoded.feats, "attrs": network.attributes(decoded.feats)}
    return [
        case.compare("out_coords", decoded.levels[-1].coords, tolerance=0),
        *(case.compare(name, value) for name, value in y.items() if name in case.arrays),
    ]


def _told(network: SparseDecoder, voxels: Voxels, case: Case) -> list[Voxels]:
    """The finer sets by the shape decoder's recorded logits: the case's own, or those of the vector it belongs to."""
    names = [f"sub{level}_logits" for level in range(network.levels)]
    shape = case if names[0] in case.arrays else case.other(case.name.replace("tex_decoder", "shape_decoder"))
    levels: list[Voxels] = []
    for name in names:
        parents = levels[-1] if levels else voxels
        levels.append(parents.children(shape.tensor(name) > 0))
    return levels


def parameters(kind: type[nn.Module], case: Case) -> list[Comparison]:
    """That the weights load strictly, and how many there are."""
    network = build(kind, case)
    count = sum(parameter.numel() for parameter in network.parameters())
    wanted = int(np.ravel(case.arrays["n_params"])[0])
    return [Comparison("loads strictly; parameters differ by", float(abs(count - wanted)), 0)]
