# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of preparation, of the way to the vertices, and of the whole path of a given skeleton."""

from __future__ import annotations

import numpy as np
import torch

from ..nn.beam_search import decode
from ..nn.golden import Comparison
from ..nn.golden_decoding import Recorded, decoding_of
from ..nn.golden_safetensors import Case, exact
from ..nn.joint_grammar import walk
from ..nn.vertex_weights import strongest
from ..rig_checks import dense_weights
from . import grammar
from .mask import geodesic_weights, masked
from .prepare import Cube, prepared, sampled
from .tokens import decode_skeleton, encode
from .transfer import nearest
from .verify_decoding import skin_tokens, vocabulary_of
from .verify_networks import check, tolerance, whole_model

UNWEIGHTED = 1e-6


@check("prepare")
def _prepare(case: Case) -> list[Comparison]:
    limit, faces = tolerance(case), case.array("in.faces")
    given = {name: case.array(f"in.{name}") for name in ("vertices", "joints") if case.has(f"in.{name}")}
    cube = Cube.around(*given.values())
    mesh = prepared(cube.apply(given["vertices"]), faces)
    rng = np.random.RandomState(case.meta["numpy_legacy_seed"])
    samples = sampled(mesh, case.meta["num_samples"], rng)
    out = [case.compare(f"normalised.{name}", cube.apply(points), tolerance=limit) for name, points in given.items()]
    out += [
        case.compare("normalised.vertex_normals", mesh.vertex_normals, tolerance=limit),
        case.compare("normalised.face_normals", mesh.face_normals, tolerance=limit),
        case.compare("affine.half_extent", np.array([1 / cube.factor]), tolerance=limit),
        case.compare("affine.centre", -cube.shift / cube.factor, tolerance=limit),
        case.compare("sampled.points", samples.points, tolerance=limit),
        case.compare("sampled.normals", samples.normals, tolerance=limit),
        exact("state_after", rng.rand() == case.meta["state_after"]),
    ]
    return out


@check("transfer")
def _transfer(case: Case) -> list[Comparison]:
    limit = tolerance(case)
    weights = nearest(case.array("in.samples"), case.array("in.vertices")).apply(case.array("in.sample_weights"))
    return [case.compare("out.weights", weights, tolerance=limit), *_strongest(case, weights, limit)]


def _strongest(case: Case, weights: np.ndarray, limit: float) -> list[Comparison]:
    want = dense_weights(case.array("derived.top4_joint"), case.array("derived.top4_weight"), weights.shape[1])
    return [case.compare("derived.top4", dense_weights(*strongest(weights), weights.shape[1]), want, limit)]


@check("voxel_weights")
def _mask(case: Case) -> list[Comparison]:
    limit = tolerance(case)
    vertices, faces, joints = (case.array(f"in.{name}") for name in ("vertices", "faces", "joints"))
    size = float(case.array("voxel.size").reshape(-1)[0])
    indices = case.array("voxel.indices").astype(np.float64)
    right = geodesic_weights(vertices, faces, case.array("voxel.centres"), size, joints)
    shipped = geodesic_weights(vertices, faces, indices, size, joints)  # indices where it wants positions
    return [
        case.compare("out.correct", right, tolerance=limit),
        case.compare("out.as_shipped", shipped, tolerance=limit),
        case.compare("out.skin_times_correct", masked(case.array("in.skin"), right), tolerance=limit),
    ]


@check("trim")
def _trim(case: Case) -> list[Comparison]:
    """A step of the original that ours leaves out, because its skeletons never come with weights: restated here."""
    out = []
    for k, c in enumerate(case.meta["cases"]):
        skin = np.array(c["skin"], np.float64)
        try:
            kept, parents, weights = _trimmed([-1 if p is None else p for p in c["parents"]], skin)
        except ValueError as error:
            out.append(exact(f"case {k} ({error})", c["error"] is not None))
            continue
        if c["error"] is not None:
            out.append(exact(f"case {k} although {c['error']}", False))
            continue
        want = c["result"]
        out += [
            exact(f"case {k}: kept", [f"j{j}" for j in kept] == want["kept"]),
            exact(f"case {k}: parents", parents == [-1 if p is None else p for p in want["parents"]]),
            case.compare(f"case {k}: skin", weights, np.array(want["skin"]), 1e-9),
        ]
    return out


def _trimmed(parents: list[int], skin: np.ndarray) -> tuple[list[int], list[int], np.ndarray]:
    """The joints that stay, their parents, their weights (v, kept). Raises ValueError when two roots would remain."""
    weighted = skin.sum(0) > UNWEIGHTED
    if not weighted.any():
        return list(range(len(parents))), parents, skin
    carries = weighted.copy()
    for joint in reversed(range(len(parents))):
        if parents[joint] >= 0:
            carries[parents[joint]] |= carries[joint]
    branches = [sum(carries[c] for c, p in enumerate(parents) if p == joint) for joint in range(len(parents))]
    kept = []
    for joint, parent in enumerate(parents):
        below_fork = parent >= 0 and branches[joint] == 1 and branches[parent] >= 2
        if weighted[joint] or branches[joint] >= 2 or below_fork:
            kept.append(joint)
    place, above = {joint: k for k, joint in enumerate(kept)}, list[int]()
    weights = skin[:, kept].copy()
    for joint in range(len(parents)):
        ancestor = parents[joint]
        while ancestor >= 0 and ancestor not in place:
            ancestor = parents[ancestor]
        if joint in place:
            above.append(place[ancestor] if ancestor >= 0 else -1)
        elif ancestor >= 0:
            weights[:, place[ancestor]] += skin[:, joint]
    if above.count(-1) > 1:
        raise ValueError("two roots would remain")
    return kept, above, weights


@check("given_skeleton")
def _given_skeleton(case: Case) -> list[Comparison]:
    model, out = whole_model(case)
    meta, limit = case.meta, tolerance(case)
    v = vocabulary_of(model.config.language.vocabulary)
    vertices, joints, parents = (case.array(f"in.{name}") for name in ("vertices", "joints", "parents"))
    cube = Cube.around(vertices, joints)
    inside = cube.apply(vertices)
    out.append(case.compare("normalised.vertices", inside, tolerance=limit))
    points, normals = case.tensor("sampled.points"), case.tensor("sampled.normals")
    if "numpy_legacy_seed" in meta:
        rng = np.random.RandomState(meta["numpy_legacy_seed"])
        samples = sampled(prepared(inside, case.array("in.faces")), len(points), rng)
        out.append(case.compare("sampled.points", samples.points, tolerance=limit))
        out.append(case.compare("sampled.normals", samples.normals, tolerance=limit))
    prompt = encode(cube.apply(joints), parents, meta.get("cls", "articulation"), v.skeleton)
    out.append(exact("prompt", prompt == case.tensor("prompt").tolist()))
    prefix = model(points[None], normals[None])
    kwargs = dict(meta["kwargs"])
    room = kwargs.pop("max_length", None) or meta["max_length"]
    how = decoding_of({**kwargs, "max_new_tokens": room - prefix.shape[1] - len(prompt)})
    strict = str(meta.get("mode", "")).startswith("strict")
    state = walk(grammar.Switched(v, grammar.skeleton_start(v.skeleton, strict=False), strict), prompt)
    recorded = Recorded(case, "", meta.get("multinomial_choices") or [], "before_grammar", limit)
    tokens = decode(model.session(prefix, prompt, how.beams), state, v.end, how, recorded.draw, recorded.on_step)
    out.append(exact("new_tokens", tokens == case.tensor("new_tokens").tolist()))
    condition = model.skin.condition(points, normals, case.array("cond_random_index"))
    codes = torch.from_numpy(v.codes(skin_tokens([*prompt, *tokens], v))).to(case.device)
    skin = model.skin.weights(points, normals, codes, condition)
    mixed = nearest(case.array("sampled.points"), inside).apply(case.array("out.sample_weights"))
    whole = nearest(case.array("sampled.points"), inside).apply(skin.cpu().numpy())
    decoded = decode_skeleton([*prompt, *tokens], v)
    return [
        *out,
        case.compare("cond_latents", condition, tolerance=limit),
        case.compare("out.sample_weights", skin, tolerance=limit),
        case.compare("out.vertex_weights", mixed, tolerance=limit),
        case.compare("out.vertex_weights from our points", whole, case.tensor("out.vertex_weights"), limit),
        *_strongest(case, mixed, limit),
        case.compare("out.detokenized_joints", decoded.joints, tolerance=limit),
        exact(
            "detokenized_parents", decoded.parents.tolist() == meta.get("detokenized_parents", decoded.parents.tolist())
        ),
    ]
