# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the skeleton half: embeddings, encoder, tokens, decoding, mesh preparation and sampling."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ..nn import joint_grammar as grammar
from ..nn.beam_search import decode
from ..nn.cube import Prepared, normalisation, prepare
from ..nn.golden import Comparison
from ..nn.golden_decoding import Recorded, decoding_of, ranges
from ..nn.golden_safetensors import Case, Checks, exact
from ..nn.joint_sequence import InvalidSequence, Skeleton, detokenise
from ..nn.joint_tokens import RIGNET_CLASSES, SHIPPED_CLASSES, Vocabulary, coordinates, quantise
from ..nn.point_encoder import EncoderConfig, MeshEncoder, fourier, query_candidates
from ..nn.surface_samples import normaliser_draws, sample
from .opt import OptConfig, SkeletonModel

check = Checks()

# -- networks
# ----------------------------------------------------------------------------------------------------------------------


@check("embedders")
def _embedders(case: Case) -> list[Comparison]:
    out = []
    for name in case.tensors:
        if "_f" in name:
            frequencies, pi = (int(part.lstrip("fpi")) for part in name.split("_")[-2:])
            out.append(case.compare(name, fourier(case.tensor("x"), frequencies, bool(pi))))
    return out


@check("encoder")
def _encoder(case: Case) -> list[Comparison]:
    network = MeshEncoder(EncoderConfig.of(case.meta["config"])).to(case.device).eval()
    network.load_state_dict(case.group("w"))
    encoder, taps = network.encoder, dict[str, Tensor]()
    watched = {"tap.cross_attn": encoder.cross_attn, "tap.self_attn_0": encoder.self_attn.resblocks[0]}
    for name, module in watched.items():
        module.register_forward_hook(lambda _m, _i, output, name=name: taps.update({name: output}))
    projected: list[Tensor] = []
    encoder.input_proj.register_forward_hook(lambda _m, _i, output: projected.append(output))
    points = case.tensor("in.points")
    taps["out.latents"] = network(points, case.tensor("in.normals"))
    taps["tap.input_proj_1"], taps["tap.input_proj_0"] = projected
    taps["out.shape_embed"] = taps["out.latents"][:, 0]
    chosen = encoder.select(points)
    candidates = query_candidates(points.shape[1], encoder.config.tokens)
    out = [exact("sel.random_index", candidates.tolist() == case.tensor("sel.random_index").tolist())]
    taps["sel.query_points"] = points.gather(1, chosen[..., None].expand(-1, -1, 3))
    return out + [case.compare(name, value) for name, value in taps.items() if case.has(name)]


# -- tokens
# --------------------------------------------------------------------------------------------------------------------


def _named_vocabulary(name: str) -> Vocabulary:
    """The vocabulary that vectors call e.g. articulationxl_256."""
    family, _, bins = name.rpartition("_")
    return Vocabulary.make(RIGNET_CLASSES if family == "rignet" else SHIPPED_CLASSES, int(bins))


def _allowed(tokens: list[int], vocabulary: Vocabulary) -> list[list[list[int]]]:
    state, out = grammar.start(vocabulary, strict=False), []
    for token in tokens:
        out.append(ranges(state.allowed()))
        state = state.after(token)
    return out


def _same_skeleton(case: Case, tokens: list[int], vocabulary: Vocabulary, want: dict[str, Any]) -> list[Comparison]:
    """Compares with the recorded result. Where the original fails on a single joint, ours has to give that joint."""
    try:
        got = detokenise(tokens, vocabulary, shipped=True)
    except InvalidSequence as error:
        return [exact(f"decoded ({error})", "error" in want)]
    if "error" in want:
        return [exact(f"decoded although {want.get('message', want['error'])}", len(got.joints) == 1)]
    above = got.joints[np.where(got.parents < 0, np.arange(len(got.parents)), got.parents)]
    return [
        case.compare("bones", np.column_stack([above, got.joints]), np.array(want["bones"]), 1e-6),
        case.compare("tails", got.tails, np.array(want["tails"]), 1e-6),
        exact("parents", got.parents.tolist() == _rooted(want["parents"])),
        exact("names", got.names == want["names"]),
        exact("class and parts", got.class_name == want["cls"] and got.parts == want["parts"]),
    ]


def _rooted(parents: list[int | None]) -> list[int]:
    return [-1 if parent is None else parent for parent in parents]


@check("tokenizer_quantiser")
def _quantiser(case: Case) -> list[Comparison]:
    m = case.meta
    every = np.arange(len(m["undiscretize_0_255"]))
    bins = len(every)
    return [
        exact("discretize", quantise(m["x"], bins).tolist() == m["discretize"]),
        case.compare("undiscretize", coordinates(every, bins), np.array(m["undiscretize_0_255"], np.float32), 1e-6),
        exact("requantise", quantise(coordinates(every, bins), bins).tolist() == m["requantise_of_undiscretized"]),
    ]


@check("tokenizer_grammar")
def _grammar(case: Case) -> list[Comparison]:
    out = []
    for k, w in enumerate(case.meta["walks"]):
        vocabulary = _named_vocabulary(w["tokenizer"])
        got = _allowed(w["tokens"], vocabulary)
        out.append(
            exact(f"walk {k}: allowed", got == w["allowed_before"][: len(got)] and len(got) == len(w["allowed_before"]))
        )
        if w["decoded"] is not None:
            out += _same_skeleton(case, w["tokens"], vocabulary, w["decoded"])
    return out


@check("tokenizer")
def _tokenizer(case: Case) -> list[Comparison]:
    out = []
    for name, special in case.meta["specials"].items():
        out.append(exact(f"{name}: ids", Vocabulary.of(special) == _named_vocabulary(name)))
    for c in case.meta["cases"]:
        vocabulary, tokens = Vocabulary.of(case.meta["specials"][c["tokenizer"]]), c["tokens"]
        allowed = _allowed(tokens, vocabulary)
        breaks = [i for i, ranges in enumerate(allowed) if not any(a <= tokens[i] <= b for a, b in ranges)]
        out.append(exact(f"{c['label']}: allowed", allowed == c["allowed"] and breaks == c["violations"]))
        out.append(exact(f"{c['label']}: class token", vocabulary.class_token(c["cls"]) == tokens[1]))
        if c["decoded"] is not None:
            out += _same_skeleton(case, tokens, vocabulary, c["decoded"])
    return out


# -- decoding
# ----------------------------------------------------------------------------------------------------------------------


@check("ar_")
def _decoder(case: Case) -> list[Comparison]:
    weights, meta = case.group("w"), case.meta
    table = weights["transformer.model.decoder.embed_tokens.weight"]
    config = {"opt": meta.get("opt", {}), **meta["config"], "vocab_size": len(table)}
    model = SkeletonModel(OptConfig.of(config)).to(case.device).eval()
    weights.pop("transformer.lm_head.weight", None)
    model.load_state_dict(weights)
    v = Vocabulary.of_size(len(table))
    latents = model.encode(case.tensor("in.points"), case.tensor("in.normals"))
    ids = case.tensor("in.token_ids")
    out = [case.compare("out.cond", latents), case.compare("out.logits", model(latents, ids))]
    start = [v.bos, v.class_token(meta["cls"])] if meta.get("cls") else [v.bos]
    stepped = []
    for k, row in enumerate(ids.tolist()):
        session = model.session(latents[k : k + 1], row[: len(start)], beams=1)
        stepped.append(
            torch.cat([session.logits.clone(), *(session.step([token], [0]).clone() for token in row[len(start) :])])
        )
    out.append(case.compare("out.step_logits", torch.stack(stepped)))
    state = grammar.walk(grammar.start(v, strict=False), start)
    for i, entry in enumerate(meta["generate"]):
        how = decoding_of(entry["kwargs"])
        recorded = Recorded(case, f"gen{i}", entry.get("multinomial_choices") or [], "scores_before_grammar")
        tokens = decode(
            model.session(latents[:1], start, how.beams), state, v.eos, how, recorded.draw, recorded.on_step
        )
        out += recorded.out
        out.append(exact(f"gen{i}.new_tokens", tokens == [t for t in entry["new_tokens"] if t != v.pad]))
        out += _generated(case, i, entry, [*start, *tokens], v)
    return out


def _generated(case: Case, i: int, entry: dict[str, Any], tokens: list[int], v: Vocabulary) -> list[Comparison]:
    skeleton: Skeleton | None = None
    try:
        skeleton = detokenise(tokens, v, shipped=True)
    except InvalidSequence as error:
        return [exact(f"gen{i} ({error})", bool(entry.get("detokenize_error")))]
    if message := entry.get("detokenize_error"):
        return [exact(f"gen{i} although {message}", len(skeleton.joints) == 1)]
    return [
        case.compare(f"gen{i}.joints", skeleton.joints),
        case.compare(f"gen{i}.tails", skeleton.tails),
        exact(f"gen{i}.parents", skeleton.parents.tolist() == _rooted(entry["parents"])),
    ]


# -- meshes
# --------------------------------------------------------------------------------------------------------------------


@check("mesh_prepare")
def _prepare(case: Case) -> list[Comparison]:
    mesh = prepare(case.array("in.vertices"), case.array("in.faces"), int(case.meta["target_faces"]))
    return [case.compare(name, value) for name, value in vars(mesh).items()]


@check("sample_mesh")
def _sample(case: Case) -> list[Comparison]:
    mesh = Prepared(*(case.array(f"in.{name}") for name in ("vertices", "faces", "vertex_normals", "face_normals")))
    points = {"vertices": mesh.vertices} | {
        name: case.array(f"in.{name}") for name in ("joints", "tails") if case.has(f"in.{name}")
    }
    affine = normalisation(*(points[name] for name in ("vertices", "joints") if name in points))
    out = [case.compare(f"normalised.{name}", affine.apply(value)) for name, value in points.items()]
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([np.eye(3) / affine.scale, -affine.centre / affine.scale])
    out.append(case.compare("affine", matrix))
    rng = np.random.RandomState(case.meta["numpy_seed"])
    normaliser_draws(rng)
    cube = Prepared(affine.apply(mesh.vertices).astype(np.float32), mesh.faces, mesh.vertex_normals, mesh.face_normals)
    samples = sample(cube, case.meta["num_samples"], case.meta["vertex_samples"], rng)
    out += [case.compare("sampled.vertices", samples.points), case.compare("sampled.normals", samples.normals)]
    if case.has("group"):
        out.append(case.compare("sampled.group", samples.interpolate(case.array("group"))))
    return out


@check("merge")
def _merge(case: Case) -> list[Comparison]:
    """The original's way back to the given mesh. Ours keeps the affine map, whose inverse must agree; the search is
    restated here.
    """
    mesh = case.array("in.mesh_vertices")
    affine = normalisation(mesh)
    vertices = affine.invert(case.array("in.vertices"))
    bones = affine.invert(case.array("in.bones").reshape(-1, 3)).reshape(-1, 6)
    turns = [
        np.diag(signs) @ np.eye(3)[list(axes)]
        for axes in itertools.permutations(range(3))
        for signs in itertools.product((1.0, -1.0), repeat=3)
    ]
    # The distance is measured from the given mesh to the turned one; of equal ones the first wins.
    best = min(turns, key=lambda turn: float(cKDTree(vertices @ turn.T).query(mesh)[0].mean()))
    return [
        case.compare("denormalised.vertices", vertices),
        case.compare("denormalised.bones", bones),
        case.compare("oriented.vertices", vertices @ best.T),
        case.compare("oriented.bones", (bones.reshape(-1, 3) @ best.T).reshape(-1, 6)),
    ]
