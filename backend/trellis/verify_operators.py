# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the small operators: embeddings, layouts, sparse operators, cameras, random numbers, picture preparation,
tables.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ..nn import sparse
from ..nn.golden import Case, Comparison
from ..nn.sampling import noise_generator, structure_noise
from ..nn.sparse import Sparse, Voxels
from ..nn.structure import patchify, pixel_shuffle, unpatchify
from ..nn.transformer import HeadRmsNorm, position_embedding, timestep_embedding
from . import cameras, dual_mc
from .decoders import offset_perturbation
from .preprocess import crop_subject
from .verify_cases import check


@check("embeddings")
def _embeddings(case: Case) -> list[Comparison]:
    c, got = case.config, {}
    if "coords" in case.arrays:
        got["ape"] = position_embedding(case.tensor("coords")[:, -3:], c["ape_channels"])
    if "t" in case.arrays:
        width = c["t_dim"]
        got["t_emb"] = timestep_embedding(case.tensor("t"), width, c.get("max_period", 10000))
    return case.compare_recorded(got)


@check("qk_rms_norm")
def _rms(case: Case) -> list[Comparison]:
    heads, width = case.arrays["gamma"].shape
    norm = HeadRmsNorm(width, heads).to(case.device)
    norm.load_state_dict({"gamma": case.tensor("gamma")})
    return [case.compare("y", norm(case.tensor("x")))]


@check("dense_layout")
def _layout(case: Case) -> list[Comparison]:
    got = {}
    if "x" in case.arrays:
        patch = case.config["patch"]
        got["patchified"] = patchify(case.tensor("x"), patch)
        got["unpatchified"] = unpatchify(got["patchified"], patch)
    if "ps_in" in case.arrays:
        got["ps_out"] = pixel_shuffle(
            case.tensor("ps_in"), case.arrays["ps_out"].shape[2] // case.arrays["ps_in"].shape[2]
        )
    return case.compare_recorded(got)


@check("submanifold_conv")
def _conv(case: Case) -> list[Comparison]:
    x, weight, bias = case.tensor("x"), case.tensor("weight"), case.tensor("bias") if "bias" in case.arrays else None
    y = (
        sparse.conv1(x, weight, bias)
        if weight.shape[1] == 1
        else sparse.conv3(x, Voxels(case.tensor("coords")), weight, bias)
    )
    return [case.compare("y", y)]


@check("sparse_group_norm")
def _group_norm(case: Case) -> list[Comparison]:
    voxels, c = Voxels(case.tensor("coords")), case.config
    y = sparse.group_norm(
        case.tensor("x"), voxels, c["groups"], case.tensor("weight"), case.tensor("bias"), c.get("eps", 1e-5)
    )
    return [case.compare("y", y)]


@check("down_up_subdivide")
def _down_up(case: Case) -> list[Comparison]:
    x = Sparse(case.tensor("x"), Voxels(case.tensor("coords")))
    down = sparse.downsample(x)
    feats = {
        "down_feats": down.feats,
        "up_feats": sparse.upsample(down.feats, x.voxels),
        "sub_feats": sparse.subdivide(x.feats),
    }
    coords = {"down_coords": down.voxels.coords, "up_coords": x.voxels.coords, "sub_coords": x.voxels.subdivided.coords}
    return case.compare_recorded(feats) + case.compare_recorded(coords, tolerance=0)


@check("window_attention")
def _windows(case: Case) -> list[Comparison]:
    voxels, qkv, out = Voxels(case.tensor("coords")), case.tensor("qkv"), []
    for shift in case.config["shifts"]:
        windows = voxels.windows(case.config["window"], shift)
        label = torch.zeros(len(voxels), dtype=torch.int32)
        sizes: list[int] = []
        for rows, _ in windows.buckets:
            for row in rows.tolist():
                members = [r for r in row if r >= 0]
                label[members] = min(members)
                sizes.append(len(members))
        out += case.compare_recorded({f"label_shift{shift}": label}, tolerance=0)
        if (name := f"window_sizes_shift{shift}") in case.arrays:
            out.append(case.compare(name, np.sort(np.array(sizes, int)), np.sort(case.arrays[name]), 0))
        out += case.compare_recorded({f"y_shift{shift}": sparse.window_attention(qkv, windows)})
    return out


@check("gs_offset_perturbation")
def _perturbation(case: Case) -> list[Comparison]:
    return [
        case.compare(
            "offset_perturbation", offset_perturbation(case.config["num_gaussians"], case.config["voxel_size"])
        )
    ]


@check("cameras")
def _cameras(case: Case) -> list[Comparison]:
    c, n = case.config, case.config["nviews"]
    views = cameras.sphere_views(n)
    matrices = np.stack([cameras.extrinsics(yaw, pitch, c["r"]) for yaw, pitch in views])
    # Looking straight along the pole, the sideways axis is rounding noise upstream: nothing to compare there.
    usable = np.abs(np.cos(views[:, 1])) > 1e-6
    opengl = np.diag([1.0, -1, -1, 1]) @ matrices  # y up, looking along -z
    f, near, far = 1 / np.tan(np.radians(c["fov_deg"]) / 2), c["near"], c["far"]
    depth = np.array([[(near + far) / (near - far), 2 * near * far / (near - far)], [-1, 0]])
    projection = np.block([[np.diag([f, f]), np.zeros((2, 2))], [np.zeros((2, 2)), depth]])
    got = {
        "yaw": views[:, 0],
        "pitch": views[:, 1],
        "intrinsics": np.repeat(cameras.intrinsics(c["fov_deg"])[None], n, 0),
        "projection": np.repeat(projection[None], n, 0),
        "hammersley3": np.array([cameras.hammersley(i, n) for i in range(n)]),
    }
    posed = {"extrinsics": matrices, "view": opengl}
    return case.compare_recorded(got) + [
        case.compare(name, value[usable], case.arrays[name][usable])
        for name, value in posed.items()
        if name in case.arrays
    ]


@check("rng_order")
def _rng(case: Case) -> list[Comparison]:
    c = case.config
    generator = noise_generator(c["seed"])
    channels = c.get("channels", 8)
    first = structure_noise(generator, c["num_samples"], channels, c.get("resolution", 16)).flatten()
    second = torch.randn(c["voxels"], channels, generator=generator).flatten()
    out = []
    for name, values in (("ss_noise", first), ("slat_noise", second)):
        for end, part in (
            ("first", values[: len(case.arrays[f"{name}_first"])]),
            ("last", values[-len(case.arrays[f"{name}_last"]) :]),
        ):
            out.append(case.compare(f"{name}_{end}", part))
    return out


@check("preprocess")
def _preprocess(case: Case) -> list[Comparison]:
    got = np.asarray(crop_subject(Image.fromarray(case.arrays["rgba"])))
    out = case.compare_recorded({"out_mean": got.reshape(-1, 3).mean(0)})
    picture = case.folder / f"{case.name}.out.png"
    if picture.exists():
        out.append(case.compare("picture", got, np.asarray(Image.open(picture).convert("RGB"))))
    if "out_rows" in case.arrays:
        every = len(got) // len(case.arrays["out_rows"])
        out += case.compare_recorded({"out_rows": got[::every], "out_cols": got[:, ::every]})
    return out


@check("dual_mc_patches")
def _patches(case: Case) -> list[Comparison]:
    t = dual_mc.tables()
    flag = (np.abs(t.ambiguous).sum(1) > 0).astype(int)
    theirs = case.arrays["ambiguous"].copy()
    theirs[theirs[:, 0] == 0, 1:] = 0  # a case that is not ambiguous has no direction and no replacement
    ours = np.concatenate([flag[:, None], t.ambiguous, np.where(flag, 255 - np.arange(256), 0)[:, None]], 1)
    return [
        case.compare("patch_label", t.label, tolerance=0),
        case.compare("num_patches", t.patches, tolerance=0),
        case.compare("ambiguous", ours, theirs, 0),
    ]
