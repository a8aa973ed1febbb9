# SPDX-License-Identifier: GPL-3.0-or-later
"""TRELLIS.2's checkpoint folder: where its networks lie, what they are, and how to sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..nn.described import Checkpoints
from ..nn.structure import SparseStructureDecoder
from .decoders import ShapeDecoder, TextureDecoder
from .dino import DinoV3, from_timm
from .flow import LatentFlow, SparseStructureFlow
from .sampler import SamplerSettings

CLASSES: dict[str, type[nn.Module]] = {
    "SparseStructureFlowModel": SparseStructureFlow,
    "SparseStructureDecoder": SparseStructureDecoder,
    "SLatFlowModel": LatentFlow,
    "FlexiDualGridVaeDecoder": ShapeDecoder,
    "SparseUnetVaeDecoder": TextureDecoder,
    "DINOv3ViTModel": DinoV3,
}
ENCODER = "image_cond_model"
FLOWS = (
    "sparse_structure_flow_model",
    "shape_slat_flow_model_512",
    "shape_slat_flow_model_1024",
    "tex_slat_flow_model_512",
    "tex_slat_flow_model_1024",
)
DECODERS = ("sparse_structure_decoder", "shape_slat_decoder", "tex_slat_decoder")
SAMPLERS = {"structure": "sparse_structure_sampler", "shape": "shape_slat_sampler", "texture": "tex_slat_sampler"}


@dataclass(frozen=True)
class Statistics:
    """Mean and deviation of a latent's channels: the flows work on (latent - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Statistics:
        mean, std = (tuple(float(v) for v in entry[name]) for name in ("mean", "std"))
        if len(mean) != len(std) or not all(v > 0 for v in std):
            raise ValueError("a latent's statistics do not fit each other")
        return cls(mean, std)

    def normalise(self, latent: torch.Tensor) -> torch.Tensor:
        return (latent - latent.new_tensor(self.mean)) / latent.new_tensor(self.std)

    def restore(self, latent: torch.Tensor) -> torch.Tensor:
        return latent * latent.new_tensor(self.std) + latent.new_tensor(self.mean)


@dataclass(frozen=True)
class Description:
    """What pipeline.json says: where each network lies and how to sample. samplers: structure, shape, texture."""

    files: dict[str, Path]  # network -> path without suffix
    samplers: dict[str, SamplerSettings]
    shape: Statistics
    texture: Statistics


def describe(folder: Path) -> Description:
    """Reads pipeline.json. Raises BackendError: missing_weights, bad_weights."""

    def parse(args: dict[str, Any]) -> Description:
        files = {name: _place(folder, str(args["models"][name])) for name in (*FLOWS, *DECODERS)}
        files[ENCODER] = folder / "dinov3" / "model"
        samplers = {
            stage: SamplerSettings.of(args[key]["params"], args[key].get("args", {}).get("sigma_min", 1e-5))
            for stage, key in SAMPLERS.items()
        }
        shape, texture = (Statistics.of(args[f"{kind}_slat_normalization"]) for kind in ("shape", "tex"))
        return Description(files, samplers, shape, texture)

    return TRELLIS2.describe(folder, parse)


def _place(folder: Path, named: str) -> Path:
    """A network's path below the folder. One that names another repository (OWNER/REPO/ckpts/NAME), as the structure
    decoder's does, lies in a folder with the repository's name.
    """
    parts = Path(named).parts
    if ".." in parts or Path(named).is_absolute():
        raise ValueError(f"the path {named!r} leads out of the folder")
    inside = folder / named
    return inside if inside.with_suffix(".json").exists() or len(parts) < 4 else folder.joinpath(*parts[1:])


def _named(described: dict[str, Any]) -> dict[str, Any]:
    """The encoder's own repository describes it in its own words; its re-host says nothing that matters, and its shape
    is fixed.
    """
    if "hidden_size" in described:
        return {"name": "DINOv3ViTModel", "args": described}
    return described if "name" in described else {"name": "DINOv3ViTModel", "args": {}}


TRELLIS2 = Checkpoints("TRELLIS.2", "trellis2", CLASSES, _named, {DinoV3: from_timm})
load_network = TRELLIS2.load_network
