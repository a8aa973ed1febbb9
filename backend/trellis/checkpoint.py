# SPDX-License-Identifier: GPL-3.0-or-later
"""From a checkpoint folder to networks: pipeline.json, NAME.json with the constructor's arguments, NAME.safetensors
with the weights.

Weights are only ever read as safetensors, and only when keys and shapes are exactly those of the network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import BackendError
from ..nn.precision import MixedPrecision
from ..nn.structure import SparseStructureDecoder
from ..nn.weights import REPAIR, fill, read_weights
from .decoders import GaussianDecoder, MeshDecoder
from .dino import DinoV2
from .latent import SlatFlow
from .sampler import SamplerSettings
from .structure import SparseStructureFlow

# Class names as they stand in NAME.json; an "Elastic" prefix there changes nothing at inference.
CLASSES: dict[str, type[nn.Module]] = {
    "SparseStructureFlowModel": SparseStructureFlow,
    "SparseStructureDecoder": SparseStructureDecoder,
    "SLatFlowModel": SlatFlow,
    "SLatMeshDecoder": MeshDecoder,
    "SLatGaussianDecoder": GaussianDecoder,
    "DinoVisionTransformer": DinoV2,
}
ENCODER = "image_cond_model"
NETWORKS = (
    "sparse_structure_flow_model",
    "sparse_structure_decoder",
    "slat_flow_model",
    "slat_decoder_gs",
    "slat_decoder_mesh",
)


@dataclass(frozen=True)
class Description:
    """What pipeline.json says: where each network lies and how to sample."""

    files: dict[str, Path]  # network -> path without suffix
    structure: SamplerSettings
    latent: SamplerSettings
    mean: list[float]
    std: list[float]
    encoder_args: dict[str, Any] = field(default_factory=dict)


def describe(folder: Path, encoder: Path | None = None) -> Description:
    """Reads pipeline.json. `encoder` is the folder of the image encoder when the pipeline only names it. Raises
    BackendError.
    """
    try:
        args = json.loads((folder / "pipeline.json").read_text())["args"]
        files = {name: folder / args["models"][name] for name in NETWORKS}
        inside = folder / str(args[ENCODER])
        files[ENCODER] = inside if inside.with_suffix(".json").exists() else (encoder or folder / "dinov2") / "model"
        normal = args["slat_normalization"]
        return Description(
            files,
            _sampler(args["sparse_structure_sampler"]),
            _sampler(args["slat_sampler"]),
            normal["mean"],
            normal["std"],
        )
    except FileNotFoundError as error:
        raise missing(folder) from error
    except (KeyError, TypeError, ValueError) as error:
        raise BackendError(
            "bad_weights", f"The file pipeline.json in {folder} is damaged ({error}).", REPAIR
        ) from error


def missing(folder: Path) -> BackendError:
    return BackendError(
        "missing_weights",
        f"The TRELLIS weights are not in {folder}.",
        "Download them with `python -m backend models download trellis`, or choose the preview engine.",
    )


def _sampler(entry: dict[str, Any]) -> SamplerSettings:
    p = entry["params"]
    return SamplerSettings(
        p["steps"],
        p["cfg_strength"],
        tuple(p["cfg_interval"]),
        p["rescale_t"],
        entry.get("args", {}).get("sigma_min", 1e-5),
    )


def load_network(path: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network at `path` (.json and .safetensors beside each other), ready to run.

    `dtype` is what its inner parts compute in; the rest follows the checkpoint's own recipe (fp32).
    Raises BackendError with the code missing_weights or bad_weights; the sentence names the first key that is wrong.
    """
    config, weights = path.with_suffix(".json"), path.with_suffix(".safetensors")
    if not weights.exists():
        raise missing(path.parent)
    network = _build(config)
    if isinstance(network, MixedPrecision):
        network.set_dtype(dtype)
    state = read_weights(weights, device)
    if isinstance(network, DinoV2):
        state = from_transformers(state)
    return fill(network, state, weights)


def _build(config: Path) -> nn.Module:
    try:
        description = json.loads(config.read_text()) if config.exists() else {}
        if (
            "name" not in description
        ):  # the encoder's public re-host describes itself in its own words; its shape is fixed
            description = {"name": "DinoVisionTransformer", "args": {}}
        kind = CLASSES[description["name"].removeprefix("Elastic")]
        with torch.device("meta"):
            return kind(**description["args"])
    except (KeyError, TypeError, ValueError) as error:
        raise BackendError(
            "bad_weights", f"The description {config.name} does not fit any TRELLIS network ({error}).", REPAIR
        ) from error


def from_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's weights under their original names. The re-host on the hub splits queries, keys and values and
    renames the rest.
    """
    if "embeddings.cls_token" not in state:
        return state
    outer = {
        "cls_token": "embeddings.cls_token",
        "mask_token": "embeddings.mask_token",
        "register_tokens": "embeddings.register_tokens",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
        "norm.weight": "layernorm.weight",
        "norm.bias": "layernorm.bias",
    }
    inner = {
        "attn.proj": "attention.output.dense",
        "norm1": "norm1",
        "norm2": "norm2",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    out = {name: state[source] for name, source in outer.items() if source in state}
    depth = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("encoder.layer."))
    for i in range(depth):
        layer, block = f"encoder.layer.{i}.", f"blocks.{i}."
        for kind in ("weight", "bias"):
            parts = [f"{layer}attention.attention.{part}.{kind}" for part in ("query", "key", "value")]
            if all(part in state for part in parts):
                out[f"{block}attn.qkv.{kind}"] = torch.cat([state[part] for part in parts])
            for name, source in inner.items():
                if f"{layer}{source}.{kind}" in state:
                    out[f"{block}{name}.{kind}"] = state[f"{layer}{source}.{kind}"]
        for scale in ("1", "2"):
            if f"{layer}layer_scale{scale}.lambda1" in state:
                out[f"{block}ls{scale}.gamma"] = state[f"{layer}layer_scale{scale}.lambda1"]
    return out
