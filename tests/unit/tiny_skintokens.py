"""A checkpoint folder of the published layout, made of a golden vector's tiny networks, and hands with fingers."""

import json
from pathlib import Path

import numpy as np
import torch
import trimesh
from safetensors import safe_open

VECTOR = Path(__file__).resolve().parents[1] / "golden" / "skintokens" / "ar_skeleton_strict.safetensors"
CHECKPOINT = "experiments/articulation_xl_quantization_256_token_4/grpo_1400.ckpt"

with safe_open(VECTOR, "pt") as _file:
    CONFIG = json.loads(_file.metadata()["meta"])["config"]
    _STATE = {key.removeprefix("w."): _file.get_tensor(key) for key in _file.keys() if key.startswith("w.")}  # noqa: SIM118
CODES = 64  # levels 4, 4, 4


def tiny_state():
    """The networks' weights, exact in bfloat16 like the released ones."""
    return {name: value.bfloat16().float() for name, value in _STATE.items() if "lm_head" not in name}


def make_checkpoint(folder, samples=1500, **extra):
    """Writes the checkpoint and the description of its sizes into `folder` and returns it."""
    path = folder / CHECKPOINT
    path.parent.mkdir(parents=True)
    path.with_name("model.json").write_text(json.dumps({**CONFIG, "samples": samples}))
    state = {name: value.bfloat16() for name, value in tiny_state().items()}
    state["transformer.lm_head.weight"] = state["transformer.model.embed_tokens.weight"].clone()
    torch.save({"state_dict": state, "hyper_parameters": {"lr": 1e-4}, **extra}, path)
    return folder


def hand(fingers=5, one_shell=True):
    """A left hand with a forearm along +X, the wrist at the origin, the palm down, the thumb forward (+Z); and the tips
    of its fingers in order of FINGERS. one_shell: one closed skin, else the palm and every finger their own.
    """
    parts = [((-0.25, 0, 0), (0.0, 0, 0), 0.03), ((0.01, 0, -0.025), (0.075, 0, -0.03), 0.02)]
    parts += [((0.01, 0, 0.02), (0.075, 0, 0.02), 0.02), ((0.01, 0, 0), (0.08, 0, 0), 0.02)]
    tips = [np.array([0.075, 0, 0.085]), *(np.array([0.16, 0, z]) for z in (0.04, 0.012, -0.016, -0.044))]
    if fingers:
        parts.append(((0.02, 0, 0.03), tips[0], 0.009))
        parts += [((0.07, 0, 0.9 * tip[2]), tip, 0.008) for tip in tips[1:fingers]]
    if one_shell:
        return one_skin(parts, 0.0025), tips
    return trimesh.util.concatenate(
        [one_skin(parts[:4], 0.0025), *(one_skin([part], 0.0025) for part in parts[4:])]
    ), tips


def one_skin(parts, cell):
    """Capsules (start, end, radius) as one closed surface."""
    from skimage.measure import marching_cubes

    low = np.min([np.minimum(a, b) - r for a, b, r in parts], 0) - 3 * cell
    high = np.max([np.maximum(a, b) + r for a, b, r in parts], 0) + 3 * cell
    axes = [np.arange(low[k], high[k] + cell, cell) for k in range(3)]
    at = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    field = np.full(at.shape[:3], np.inf)
    for start, end, radius in parts:
        a, b = np.asarray(start, float), np.asarray(end, float)
        t = np.clip(((at - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
        field = np.minimum(field, np.linalg.norm(at - a - t[..., None] * (b - a), axis=-1) - radius)
    vertices, faces, _, _ = marching_cubes(field, 0.0)
    return trimesh.Trimesh(vertices * cell + low, faces[:, ::-1], process=True)
