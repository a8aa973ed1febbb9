# SPDX-License-Identifier: GPL-3.0-or-later
"""TRELLIS' checkpoint folder: where its networks lie, what they are, and how to sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..nn.described import Checkpoints
from ..nn.structure import SparseStructureDecoder
from .decoders import GaussianDecoder, MeshDecoder
from .dino import DinoV2
from .latent import SlatFlow
from .sampler import SamplerSettings
from .structure import SparseStructureFlow

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


def describe(folder: Path, encoder: Path | None = None) -> Description:
    """Reads pipeline.json. `encoder` is the folder of the image encoder when the pipeline only names it. Raises
    BackendError.
    """

    def parse(args: dict[str, Any]) -> Description:
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

    return TRELLIS.describe(folder, parse)


def _sampler(entry: dict[str, Any]) -> SamplerSettings:
    p = entry["params"]
    return SamplerSettings(
        p["steps"],
        p["cfg_strength"],
        tuple(p["cfg_interval"]),
        p["rescale_t"],
        entry.get("args", {}).get("sigma_min", 1e-5),
    )


def _named(described: dict[str, Any]) -> dict[str, Any]:
    """The encoder's public re-host describes itself in its own words; its shape is fixed."""
    return described if "name" in described else {"name": "DinoVisionTransformer", "args": {}}


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


TRELLIS = Checkpoints("TRELLIS", "trellis", CLASSES, _named, {DinoV2: from_transformers})
load_network = TRELLIS.load_network
