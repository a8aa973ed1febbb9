# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of single operators, the noise, the pictures, the mesh and the bake."""

from __future__ import annotations

import re

import numpy as np
import torch
from PIL import Image

from ..mesh.axes import to_gltf
from ..nn import sparse
from ..nn.golden import Case, Comparison
from ..nn.rotary import rotate, voxel_rotation
from ..nn.sampling import noise_generator, structure_noise
from ..nn.sparse import Voxels
from ..nn.transformer import HeadRmsNorm, timestep_embedding
from . import dual_grid
from .attributes import sample_attributes
from .bake import bake_attributes, to_images
from .preprocess import crop_subject
from .verify_cases import check


@check("rope")
def _rope(case: Case) -> list[Comparison]:
    c = case.config
    rotation = voxel_rotation(case.tensor("coords")[:, -3:], c["head_dim"], tuple(c.get("freq", (1.0, 10000.0))))
    got = {"cos": rotation.cos, "sin": rotation.sin}
    got |= {f"{name}_out": rotate(case.tensor(name), rotation) for name in ("q", "k") if name in case.arrays}
    return case.compare_recorded(got)


@check("time_embedding")
def _time(case: Case) -> list[Comparison]:
    return [case.compare("emb", timestep_embedding(case.tensor("t"), case.arrays["emb"].shape[1]))]


@check("qk_rms_norm")
def _rms(case: Case) -> list[Comparison]:
    heads, width = case.arrays["gamma"].shape
    norm = HeadRmsNorm(width, heads).to(case.device)
    norm.load_state_dict({"gamma": case.tensor("gamma")})
    return [case.compare("y", norm(case.tensor("x")))]


@check("submanifold_conv")
def _conv(case: Case) -> list[Comparison]:
    bias = case.tensor("bias") if "bias" in case.arrays else None
    y = sparse.conv3(case.tensor("x"), Voxels(case.tensor("coords")), case.tensor("weight"), bias)
    return [case.compare("y", y)]


@check("channel2spatial")
def _children(case: Case) -> list[Comparison]:
    mask = case.tensor("mask").bool()
    fine = Voxels(case.tensor("coords")).children(mask)
    searched = Voxels(fine.coords).neighbours
    return [
        case.compare("out_coords", fine.coords, tolerance=0),
        case.compare("y", case.tensor("x").unflatten(1, (8, -1))[mask]),
        Comparison("neighbours that differ from a search", float((fine.neighbours != searched).sum()), 0),
    ]


@check("attention")
def _attention(case: Case) -> list[Comparison]:
    voxels = Voxels(case.tensor("coords"))
    q, k, v = case.tensor("qkv").unbind(1)
    out = [case.compare("full", sparse.full_attention(q, k, v, voxels.counts))]
    if "kv" in case.arrays:
        keys, values = case.tensor("kv").transpose(1, 3).unbind(2)  # (b, heads, tokens, d)
        out.append(case.compare("cross", sparse.cross_attention(q, keys, values, voxels.counts)))
    if "windowed" in case.arrays:
        windows = voxels.windows(case.config["window"], case.config["shift"])
        label = torch.zeros(len(voxels), dtype=torch.int32)
        for rows, _ in windows.buckets:
            for row in rows.tolist():
                members = [r for r in row if r >= 0]
                label[members] = min(members)
        out += case.compare_recorded({"window_label": label}, tolerance=0)
        out.append(case.compare("windowed", sparse.window_attention(case.tensor("qkv"), windows)))
    return out


@check("rng_order")
def _rng(case: Case) -> list[Comparison]:
    c = case.config
    channels = c.get("channels", 32)

    def ends(name: str, values: torch.Tensor) -> list[Comparison]:
        out = []
        for end, part in (("first", values.flatten()), ("last", values.flatten().flip(0))):
            if (key := f"{name}_{end}") in case.arrays:
                count = len(case.arrays[key])
                out.append(case.compare(key, part[:count] if end == "first" else part[:count].flip(0)))
        return out

    generator = noise_generator(c["seed"])
    out = ends("structure", structure_noise(generator, c.get("num_samples", 1), 8, 16))
    out += ends("shape_lr", torch.randn(c["n_lr"], channels, generator=generator))
    after = generator.get_state()
    out += ends("shape_hr", torch.randn(c["n_hr"], channels, generator=generator))
    out += ends("texture", torch.randn(c["n_hr"], channels, generator=generator))
    generator.set_state(after)
    return out + ends("texture_512path", torch.randn(c["n_lr"], channels, generator=generator))


@check("preprocess")
def _preprocess(case: Case) -> list[Comparison]:
    got = np.asarray(crop_subject(Image.fromarray(case.arrays["rgba"])))
    # Of a large picture only every so many pixels are recorded, as its description says.
    recorded = re.search(r"every (\d+)th pixel", case.description.get("meaning", ""))
    step = int(recorded[1]) if recorded else 1
    out = [case.compare("out", got[::step, ::step])]
    if "out_size" in case.arrays:
        out.append(case.compare("out_size", np.array(got.shape[1::-1]), tolerance=0))
    if "out_mean" in case.arrays:
        out.append(case.compare("out_mean", got.reshape(-1, 3).mean(0), tolerance=max(case.tolerance(), 1e-9)))
    return out


@check("fdg_mesh")
def _dual_grid(case: Case) -> list[Comparison]:
    coords = case.tensor("coords")
    if coords.shape[1] == 3:
        coords = torch.cat([torch.zeros_like(coords[:, :1]), coords], 1)
    weight = case.tensor("split_weight").flatten()
    given = dual_grid.Fields(case.tensor("dual_vertices"), case.tensor("intersected").bool(), weight)
    mesh = dual_grid.extract(Voxels(coords), given, case.config["grid_size"])
    return [case.compare("vertices", mesh.vertices), case.compare("faces", mesh.faces, tolerance=0)]


@check("pbr_sample")
def _attributes(case: Case) -> list[Comparison]:
    y = sample_attributes(case.tensor("points"), _voxels3(case), case.tensor("attrs"), case.config["grid"])
    return [case.compare("y", y)]


def _voxels3(case: Case) -> Voxels:
    """The case's voxels, as one batch item whether it says so or not."""
    coords = case.tensor("coords")[:, -3:]
    return Voxels(torch.cat([torch.zeros_like(coords[:, :1]), coords], 1))


@check("texture_bake")
def _bake(case: Case) -> list[Comparison]:
    vertices, triangles = case.arrays["vertices"].astype(float), case.arrays["faces"].astype(np.int64)
    uv = case.arrays["uv"] if "uv" in case.arrays else case.arrays["glb_uv"]
    size = case.config["texture"]
    # In the file row 0 of the image is v = 0; our charts have their origin at the bottom left.
    corner_uvs = np.stack([uv[..., 0], 1 - uv[..., 1]], -1)[triangles]
    voxels, attributes = _voxels3(case), case.tensor("attrs")

    def lookup(points: np.ndarray) -> np.ndarray:
        at = torch.from_numpy(points).float().to(case.device)
        return sample_attributes(at, voxels, attributes, case.config["grid"]).cpu().numpy()

    baked = bake_attributes(vertices, triangles, corner_uvs, (vertices, triangles), lookup, size)
    images, known = to_images(baked), case.arrays["covered"].astype(bool)
    limit = case.tolerance("covered_texels")
    return [
        Comparison("texels covered by one side only", float((known != baked.covered).sum()), 0),
        case.compare("base_rgba", images.base_rgba[known], case.arrays["base_rgba"][known], limit),
        case.compare(
            "metallic_roughness", images.metallic_roughness[known], case.arrays["metallic_roughness"][known], limit
        ),
        case.compare("glb_position", to_gltf(vertices), tolerance=case.tolerance("positions")),
    ]
