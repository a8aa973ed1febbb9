"""A checkpoint folder of the published layout: Lightning files made of the golden vectors' tiny networks."""

import json
from pathlib import Path

import torch
from safetensors import safe_open

from backend.unirig.pipeline import CHECKPOINTS

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "unirig"
EOS = 258


def vector(name):
    """Meta and weights of a golden vector."""
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        meta = json.loads(file.metadata()["meta"])
        return meta, {key.removeprefix("w."): file.get_tensor(key) for key in file.keys() if key.startswith("w.")}  # noqa: SIM118


def make_checkpoint(folder, eos=4.0, samples=(1024, 256)):
    """Writes skeleton/ and skin/ into `folder` and returns it. `eos`: how much likelier than by chance the skeleton
    ends.
    """
    meta, weights = vector("ar_articulationxl")
    row = weights["transformer.model.decoder.embed_tokens.weight"][EOS]
    weights["transformer.model.decoder.final_layer_norm.bias"] += eos * row / row.square().sum()
    weights["transformer.lm_head.weight"] = weights["transformer.model.decoder.embed_tokens.weight"]
    _write(folder, "skeleton", {**meta["config"], "opt": meta["opt"], "samples": samples}, weights)
    meta, weights = vector("skin_full")
    _write(folder, "skin", {**meta["config"], "samples": samples}, weights)
    return folder


def _write(folder, kind, config, weights):
    path = folder / CHECKPOINTS[kind]
    path.parent.mkdir(parents=True)
    path.with_name("model.json").write_text(json.dumps(config))
    state = {f"model.{name}": value for name, value in weights.items()}
    torch.save({"epoch": 3, "state_dict": state, "optimizer_states": [], "hyper_parameters": {"lr": 1e-4}}, path)
