# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the skin half: point transformer, skin network, cells, geodesic feature, weights of vertices."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..nn.golden import Comparison
from ..nn.golden_safetensors import Case, exact
from ..nn.vertex_weights import strongest
from ..rig_checks import dense_weights
from .geodesic import GeodesicSettings, geodesic_weights
from .pooling import SerialisedPooling
from .ptv3 import CPU_RULES, Block, Points, PointTransformer
from .resample import nearest_weights, smooth
from .serialisation import encode
from .skin import build
from .skin_network import POINT_SETTINGS, BoneEncoder, CrossBlock, WeightHead
from .submanifold import CPU_RULE, GPU_RULE, GPU_STEM_RULE, convolve, make_taps
from .verify_skeleton import check
from .voxels import cells_of, from_distances, inside, voxelise

OWN_VOXELS = 0.04  # how much of the union two rasterisers may disagree on


def load(network: nn.Module, weights: dict[str, Tensor], case: Case) -> Any:
    """The network with the recorded weights; a recording leaves out the counter that batch norms keep."""
    missing, unexpected = network.load_state_dict(weights, strict=False)
    wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + unexpected
    if wrong:
        raise KeyError(f"weights do not fit: {', '.join(wrong[:5])}")
    return network.to(case.device).eval()


# -- point transformer
# -------------------------------------------------------------------------------------------------------------


@check("ptv3_codes")
def _codes(case: Case) -> list[Comparison]:
    out = []
    for name in case.tensors:
        level, order = name.split(".")
        if order not in ("grid", "batch"):
            got = encode(case.tensor(f"{level}.grid"), case.tensor(f"{level}.batch"), int(level[1:]), order)
            out.append(exact(name, torch.equal(got, case.tensor(name))))
    return out


@check("sparse_conv")
def _conv(case: Case) -> list[Comparison]:
    x, coords, weight = case.tensor("in.features"), case.tensor("in.batch_xyz"), case.tensor("w.weight")
    bias = case.tensor("w.bias") if case.has("w.bias") else None
    rules = {
        "out.features": CPU_RULE,
        "out.native_first_wins": CPU_RULE,
        "out.native_last_wins": GPU_STEM_RULE,
        "out.implicit_last_wins": GPU_RULE,
    }
    out = []
    for name, rule in rules.items():
        if case.has(name):
            out.append(case.compare(name, convolve(x, make_taps(coords, weight.shape[1], rule), weight, bias)))
    if case.has("pairs.implicit_last_wins"):
        want = case.tensor("pairs.implicit_last_wins")
        got = torch.full_like(want, -1)
        centre = len(want) // 2
        got[centre] = torch.arange(len(x), device=x.device)
        taps = make_taps(coords, weight.shape[1], GPU_RULE)
        for tap, (rows, columns) in zip([k for k in range(len(want)) if k != centre], taps.pairs, strict=True):
            got[tap, rows] = columns
        out.append(exact("pairs.implicit_last_wins", torch.equal(got, want)))
    return out


@check("pooling")
def _pooling(case: Case) -> list[Comparison]:
    feats, cells = case.tensor("in.feat"), case.tensor("in.grid_coord")
    weight = case.tensor("w.proj.weight")
    pool = SerialisedPooling(weight.shape[1], weight.shape[0], case.meta["stride"], case.meta.get("reduce", "max"))
    batch = torch.zeros(len(cells), dtype=torch.long, device=case.device)
    if case.has("in.offset"):
        batch = torch.searchsorted(case.tensor("in.offset"), torch.arange(len(cells), device=case.device), right=True)
    pooled = load(pool, case.group("w"), case)(feats, case.tensor("in.coord"), cells, batch)
    return [
        exact("out.cluster", torch.equal(pooled.cluster, case.tensor("out.cluster"))),
        exact("out.grid_coord", torch.equal(pooled.cells, case.tensor("out.grid_coord"))),
        exact("out.code", torch.equal(pooled.codes, case.tensor("out.code"))),
        _ordered("out.order", pooled.codes, case.tensor("out.order")),
        case.compare("out.coord", pooled.coords),
        case.compare("out.feat", pooled.feats),
    ]


def _ordered(label: str, codes: Tensor, order: Tensor) -> Comparison:
    """Whether recorded orders sort our codes; which of equal codes comes first is nobody's rule."""
    complete = torch.equal(order.sort(1).values, torch.arange(order.shape[1], device=order.device).expand_as(order))
    return exact(label, complete and torch.equal(codes.gather(1, order), codes.sort(1).values))


@check("ptv3")
def _point_transformer(case: Case) -> list[Comparison]:
    config = {name: value for name, value in case.meta["config"].items() if name in POINT_SETTINGS}
    network: PointTransformer = load(PointTransformer(**config), case.group("w"), case)
    network.set_half_attention(bool(case.meta.get("qkv_rounded_to_half")))
    counts = torch.diff(case.tensor("in.offset"), prepend=torch.zeros(1, dtype=torch.long, device=case.device)).tolist()
    place = case.tensor("in.coord"), counts, case.meta["grid_size"], CPU_RULES, case.tensor("order_permutation")
    points = network.points(*place)
    out = [
        exact("grid_coord", torch.equal(points.cells, case.tensor("grid_coord"))),
        exact("serialized_code", torch.equal(points.codes, case.tensor("serialized_code"))),
        exact("serialized_depth", points.depth == int(case.tensor("serialized_depth"))),
        _ordered("serialized_order", points.codes, case.tensor("serialized_order")),
    ]
    taps: dict[str, Tensor] = {}
    watched: dict[str, nn.Module] = {"tap.embedding": network.embedding}
    for stage, layers in network.enc.items():
        for name, block in cast(nn.ModuleDict, layers).items():
            if isinstance(block, Block):
                watched |= {
                    f"tap.{stage}.{name}": block,
                    f"tap.{stage}.{name}.attn": block.attn,
                    f"tap.{stage}.{name}.cpe": block.cpe[2],
                }
    _watch(watched, taps)
    taps["out.feat"] = network(case.tensor("in.feat"), network.points(*place, case.tensor("serialized_order")))
    return out + [case.compare(name, value) for name, value in taps.items() if case.has(name)]


def _watch(modules: dict[str, nn.Module], taps: dict[str, Tensor]) -> None:
    for name, module in modules.items():
        module.register_forward_hook(lambda _m, _i, output, name=name: taps.update({name: output}))


# -- skin network
# ------------------------------------------------------------------------------------------------------------------


@check("skin_parts")
def _parts(case: Case) -> list[Comparison]:
    cross, bone, head = case.meta["cross"], case.meta["bone"], case.meta["head"]
    block = load(CrossBlock(cross["dim"], cross["heads"]), case.group("cross.w"), case)
    bones = load(BoneEncoder(bone["feat"], bone["embed"], bone["heads"], bone["layers"]), case.group("bone.w"), case)
    weights = load(WeightHead(head["in"], head["mlp"]), case.group("head.w"), case)
    return [
        case.compare("cross.out", block(case.tensor("cross.q"), case.tensor("cross.kv"))),
        case.compare(
            "bone.out", bones(case.tensor("bone.joints"), case.tensor("bone.min_coord"), case.tensor("bone.latents"))
        ),
        case.compare("head.out", weights(case.tensor("head.x"))),
    ]


@check("skin_")
def _skin(case: Case) -> list[Comparison]:
    network = load(build(case.meta["config"]), case.group("w"), case)
    points, normals, joints, near = (
        case.tensor(f"in.{name}") for name in ("vertices", "normals", "joints", "voxel_skin")
    )
    bones = case.tensor("in.num_bones").tolist()
    placed: Points = network.place(points, CPU_RULES, case.tensor("order_permutation"))
    taps: dict[str, Tensor] = {}
    watched: dict[str, nn.Module] = {
        "tap.ptv3_feat": network.mesh_encoder,
        "tap.mesh_feat_0": network.feat_map,
        "tap.global_latents": network.out_proj,
        "tap.bone_mlp": network.bone_encoder.bone_encoder,
        "tap.bone_feat": network.bone_encoder,
        "tap.mesh_feat_1": network.mesh_bone_attn[0],
        "tap.mesh_feat_last": network.mesh_bone_attn[-1],
    }
    _watch(watched, taps)
    logits: list[Tensor] = []
    pairs: list[Tensor] = []
    network.skinweight_pred.register_forward_hook(lambda _m, _i, output: logits.append(output[..., 0]))
    network.downscale.register_forward_hook(lambda _m, _i, output: pairs.append(output))
    skin = network(points, normals, joints, case.tensor("in.parents"), near, bones, placed)
    if len(points) == 1:
        taps["tap.logits"] = torch.cat(logits, 1)
        count, chunk = points.shape[1], case.meta["config"]["num_train_vertex"]
        first = [start + k for start in range(0, count, chunk) for k in range(4) if start + k < count]
        taps["tap.downscale_first4_of_each_chunk"] = torch.cat(pairs, 1)[:, first]
    out = [case.compare(name, value.reshape(case.tensor(name).shape)) for name, value in taps.items() if case.has(name)]
    want = case.tensor("out.skin")
    for item, count in enumerate(bones):
        got, expected = skin[item, :, :count], want[item, :, :count]
        known = torch.isfinite(expected).all(1)  # the original has no number where the feature rules out every bone
        out.append(case.compare(f"out.skin of item {item}", got[known], expected[known]))
    whole = bool(torch.isfinite(skin).all()) and float((skin.sum(-1) - 1).abs().max()) < 1e-5
    return [*out, exact("rows finite and of sum 1", whole)]


# -- geodesic feature, vertices
# ----------------------------------------------------------------------------------------------------


@check("voxels")
def _voxels(case: Case) -> list[Comparison]:
    grid = int(case.meta["grid"])
    maps = [(case.array(f"distance.plus_{axis}"), case.array(f"distance.minus_{axis}")) for axis in "xyz"]
    mask = inside([from_distances(*pair, axis) for axis, pair in enumerate(maps)], grid)
    own = _mask(voxelise(case.array("in.vertices"), case.array("in.faces"), grid), grid)
    want = _mask(case.array("out.grid_coords"), grid)
    disagreement = 1 - (own & want).sum() / max((own | want).sum(), 1)
    return [
        case.compare("out.grid_coords", cells_of(mask), tolerance=1e-6),
        Comparison("own rasteriser, 1 - IoU", float(disagreement), OWN_VOXELS),
    ]


def _mask(cells: np.ndarray, grid: int) -> np.ndarray:
    mask = np.zeros((grid,) * 3, bool)
    mask[tuple(np.rint((cells.astype(np.float64) + 1) * (grid / 2) - 0.5).astype(int).T)] = True
    return mask


@check("voxel_weights")
def _voxel_weights(case: Case) -> list[Comparison]:
    meta = case.meta
    settings = GeodesicSettings(
        grid=meta["grid"],
        alpha=meta["alpha"],
        link_distance=meta["link_dis"],
        neighbours=meta["grid_query"] - 1,
        nearest=meta["vertex_query"],
        cell_weight=meta["grid_weight"],
        mode=meta["mode"],
    )
    vertices, faces, cells, joints = (
        case.array(f"in.{name}") for name in ("vertices", "faces", "grid_coords", "joints")
    )
    got = geodesic_weights(vertices, faces, cells, joints, settings)
    return [case.compare("out.weights", got)]


@check("resample")
def _resample(case: Case) -> list[Comparison]:
    meta, parents = case.meta, case.array("in.parents")
    points, weights, vertices = (
        case.array(f"in.{n}").astype(np.float64) for n in ("sampled_vertices", "sampled_weights", "vertices")
    )
    faces, settings = case.array("in.faces"), (meta["iterations"], meta["alpha"], meta["threshold"])
    out = []
    for how in ("median", "mean"):
        near = nearest_weights(points, weights, vertices, how, meta["neighbours"], meta["alpha"])
        dense = smooth(near, vertices, faces, parents, *settings)
        if case.has(f"out.weights_{how}"):
            out.append(case.compare(f"out.weights_{how}", dense))
        if how == "median":
            out.append(case.compare("out.weights_top4", dense_weights(*strongest(dense), len(parents))))
    return out
