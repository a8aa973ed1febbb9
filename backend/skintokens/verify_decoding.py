# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of tokens, grammar and decoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..nn.beam_search import decode
from ..nn.golden import Comparison
from ..nn.golden_decoding import Recorded, decoding_of, ranges
from ..nn.golden_safetensors import Case, exact
from ..nn.joint_grammar import walk
from ..nn.joint_sequence import InvalidSequence
from ..nn.joint_tokens import Vocabulary, coordinates, quantise
from . import grammar
from .networks import CODES_PER_JOINT, SkinTokensModel
from .tokens import CLASSES, SkinVocabulary, decode_skeleton, encode
from .verify_networks import check, tolerance, whole_model


@check("tokenizer_quantiser")
def _quantiser(case: Case) -> list[Comparison]:
    m = case.meta
    every = np.arange(len(m["undiscretize_0_255"]))
    want = np.array(m["undiscretize_0_255"], np.float32)
    return [
        exact("discretize", quantise(m["x"], len(every), np.float64).tolist() == m["discretize"]),
        case.compare("undiscretize", coordinates(every, len(every)), want, 1e-6),
    ]


@check("tokenizer")
def _tokenizer(case: Case) -> list[Comparison]:
    v = SkinVocabulary.of(case.meta["specials"])
    out = [exact("specials", v == SkinVocabulary.make(v.end - v.first_code))]
    for c in case.meta["cases"]:
        joints, parents = np.array(c["joints"], np.float64), np.array([-1 if p is None else p for p in c["parents"]])
        tokens, name = encode(joints, parents, c["cls"], v.skeleton), c["name"]
        out.append(exact(f"{name}: tokens", tokens == c["tokens"]))
        counted = walk(grammar.start(v, strict=False), tokens).joints
        out.append(exact(f"{name}: joints_counted", counted == c["joints_counted"]))
        out += _same_skeleton(case, name, tokens, v, c, joints, parents)
    return out


def _same_skeleton(
    case: Case,
    name: str,
    tokens: list[int],
    v: SkinVocabulary,
    c: dict[str, Any],
    joints: np.ndarray,
    parents: np.ndarray,
) -> list[Comparison]:
    want = c.get("decoded")
    try:
        got = decode_skeleton(tokens, v)
    except InvalidSequence as error:
        return [exact(f"{name} ({error})", not want or "error" in want)]
    if not want or "error" in want:
        return [exact(f"{name}: decoded although the original fails", len(got.joints) == 1)]
    out = [
        case.compare(f"{name}: joints", got.joints, np.array(want["joints"]), 1e-6),
        exact(f"{name}: parents", got.parents.tolist() == [-1 if p is None else p for p in want["parents"]]),
        exact(f"{name}: names", got.names == want["names"]),
        exact(f"{name}: class", got.class_name == want["cls"]),
    ]
    if "hierarchy_survives" in c:
        out.append(exact(f"{name}: hierarchy", (got.parents.tolist() == parents.tolist()) == c["hierarchy_survives"]))
    if c.get("max_joint_shift") is not None and got.joints.shape == joints.shape:
        shift = np.abs(got.joints - joints).max(initial=0)
        out.append(case.compare(f"{name}: shift", shift, np.array(c["max_joint_shift"]), 1e-6))
    return out


def vocabulary_of(size: int) -> SkinVocabulary:
    return SkinVocabulary.joined(Vocabulary.make(CLASSES), size)


@check("vocabulary_switch")
def _switch(case: Case) -> list[Comparison]:
    out = []
    for k, w in enumerate(case.meta["walks"]):
        v = vocabulary_of(w["vocabulary"])
        strict = str(w.get("mode", "")).startswith("strict")
        state = walk(grammar.Switched(v, grammar.skeleton_start(v.skeleton, strict=False), strict), w["start"])
        allowed = []
        for token in w["sequence"]:
            allowed.append(ranges(state.allowed()))
            state = state.after(token)
        out.append(exact(f"walk {k}: allowed", allowed == w["allowed_before"][: len(allowed)]))
        if v.switch in [*w["start"], *w["sequence"]]:
            out.append(exact(f"walk {k}: joints", state.joints == w["joints_counted"]))
            out += _decoded_walk(case, k, w, v)
    return out


def _decoded_walk(case: Case, k: int, w: dict[str, Any], v: SkinVocabulary) -> list[Comparison]:
    try:
        got = decode_skeleton([*w["start"], *w["sequence"]], v)
    except InvalidSequence as error:
        return [exact(f"walk {k} ({error})", "decode_error" in w)]
    if "decoded_parents" not in w:
        return [exact(f"walk {k} although {w.get('decode_error')}", "decode_error" not in w or len(got.joints) == 1)]
    return [
        exact(f"walk {k}: parents", got.parents.tolist() == [-1 if p is None else p for p in w["decoded_parents"]]),
        case.compare(f"walk {k}: positions", got.joints, np.array(w["decoded_joints"]), 1e-6),
    ]


@check("ar_")
def _whole(case: Case) -> list[Comparison]:
    model, out = whole_model(case)
    meta, limit = case.meta, tolerance(case)
    v = vocabulary_of(model.config.language.vocabulary)
    points, normals = case.tensor("in.points"), case.tensor("in.normals")
    latents = model.mesh_encoder(points[None], normals[None])
    prefix = model.project(latents)
    ids = case.tensor("in.token_ids")
    out += [
        case.compare("tap.encoder_latents", latents, tolerance=limit),
        case.compare("out.mesh_cond", prefix, tolerance=limit),
        case.compare("out.logits", model.logits(prefix, ids), tolerance=limit),
    ]
    if case.has("in.skeleton_tokens"):
        parents = case.array("in.parents")
        written = encode(case.array("in.joints"), parents, meta.get("cls"), v.skeleton)
        out.append(exact("in.skeleton_tokens", written == case.tensor("in.skeleton_tokens").tolist()))
    for i, entry in enumerate(meta["generate"]):
        out += _generated(case, model, v, prefix, i, entry)
    return out


def _generated(
    case: Case, model: SkinTokensModel, v: SkinVocabulary, prefix: torch.Tensor, i: int, entry: dict[str, Any]
) -> list[Comparison]:
    limit, kwargs, prompt = tolerance(case), dict(entry["kwargs"]), list(entry["prompt_tokens"])
    kwargs["max_new_tokens"] = kwargs["max_length"] - prefix.shape[1] - len(prompt)
    how = decoding_of(kwargs)
    strict = str(case.meta.get("mode", "")).startswith("strict")
    state = walk(grammar.Switched(v, grammar.skeleton_start(v.skeleton, strict=False), strict), prompt)
    recorded = Recorded(case, f"gen{i}", entry.get("multinomial_choices") or [], "before_grammar", limit)
    tokens = decode(model.session(prefix, prompt, how.beams), state, v.end, how, recorded.draw, recorded.on_step)
    want = entry["new_tokens"]
    out = [*recorded.out, exact(f"gen{i}.new_tokens", tokens[: len(want)] == want)]
    points, normals = case.tensor("in.points"), case.tensor("in.normals")
    if case.has(f"gen{i}.cond_latents"):
        drawn = case.array(f"gen{i}.cond_random_index")
        condition = model.skin.condition(points, normals, drawn)
        out.append(case.compare(f"gen{i}.cond_latents", condition, tolerance=limit))
    if case.has(f"gen{i}.skin"):
        codes = v.codes(skin_tokens([*prompt, *tokens], v))
        skin = model.skin.weights(points, normals, torch.from_numpy(codes).to(case.device), condition)
        out.append(case.compare(f"gen{i}.skin", skin, tolerance=limit))
    if entry.get("parents") is not None:
        skeleton = decode_skeleton([*prompt, *tokens], v)
        out.append(
            exact(f"gen{i}.parents", skeleton.parents.tolist() == [-1 if p is None else p for p in entry["parents"]])
        )
        out.append(exact(f"gen{i}.names", skeleton.names == entry.get("joint_names", skeleton.names)))
        if case.has(f"gen{i}.joints"):
            out.append(case.compare(f"gen{i}.joints", skeleton.joints, tolerance=limit))
    return out


def skin_tokens(tokens: list[int], v: SkinVocabulary) -> list[list[int]]:
    """The four tokens of each joint, as the original cuts a whole sequence: what follows the switch, as many as there
    are joints. In the shipped mode the last one is the end of the sequence.
    """
    joints = len(decode_skeleton(tokens, v).joints)
    first = tokens.index(v.switch) + 1
    written = tokens[first : first + CODES_PER_JOINT * joints]
    return [written[k : k + CODES_PER_JOINT] for k in range(0, len(written), CODES_PER_JOINT)]
