# SPDX-License-Identifier: GPL-3.0-or-later
"""From a checkpoint folder to networks: pipeline.json, NAME.json with the constructor's arguments, NAME.safetensors
with the weights.

Weights are only ever read as safetensors, and only when keys and shapes are exactly those of the network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import BackendError
from ..nn.precision import MixedPrecision
from ..nn.structure import SparseStructureDecoder
from ..nn.weights import REPAIR, fill, read_weights
from .decoders import ShapeDecoder, TextureDecoder
from .dino import DinoV3, from_timm
from .flow import LatentFlow, SparseStructureFlow
from .sampler import SamplerSettings

# Class names as they stand in NAME.json; an "Elastic" prefix there changes nothing at inference.
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
    try:
        args = json.loads((folder / "pipeline.json").read_text())["args"]
        files = {name: _place(folder, str(args["models"][name])) for name in (*FLOWS, *DECODERS)}
        files[ENCODER] = folder / "dinov3" / "model"
        samplers = {
            stage: SamplerSettings.of(args[key]["params"], args[key].get("args", {}).get("sigma_min", 1e-5))
            for stage, key in SAMPLERS.items()
        }
        shape, texture = (Statistics.of(args[f"{kind}_slat_normalization"]) for kind in ("shape", "tex"))
        return Description(files, samplers, shape, texture)
    except FileNotFoundError as error:
        raise missing(folder) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackendError(
            "bad_weights", f"The file pipeline.json in {folder} is damaged ({error}).", REPAIR
        ) from error


def _place(folder: Path, named: str) -> Path:
    """A network's path below the folder. One that names another repository (OWNER/REPO/ckpts/NAME), as the structure
    decoder's does, lies in a folder with the repository's name.
    """
    parts = Path(named).parts
    if ".." in parts or Path(named).is_absolute():
        raise ValueError(f"the path {named!r} leads out of the folder")
    inside = folder / named
    return inside if inside.with_suffix(".json").exists() or len(parts) < 4 else folder.joinpath(*parts[1:])


def missing(folder: Path) -> BackendError:
    return BackendError(
        "missing_weights",
        f"The TRELLIS.2 weights are not in {folder}.",
        "Download them with `python -m backend models download trellis2`, or choose the preview engine.",
    )


def load_network(path: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network at `path` (.json and .safetensors beside each other), ready to run.

    `dtype` is what its inner parts compute in; the rest is fp32. The image encoder always is.
    Raises BackendError with the code missing_weights or bad_weights; the sentence names the first key that is wrong.
    """
    config, weights = path.with_suffix(".json"), path.with_suffix(".safetensors")
    if not weights.exists():
        raise missing(path.parent)
    network = build(config)
    if isinstance(network, MixedPrecision):
        network.set_dtype(dtype)
    state = read_weights(weights, device)
    if isinstance(network, DinoV3):
        state = from_timm(state)
    return fill(network, state, weights)


def build(config: Path) -> nn.Module:
    """The network that NAME.json describes, on the meta device. Raises BackendError("bad_weights")."""
    try:
        description = json.loads(config.read_text()) if config.exists() else {}
        if "hidden_size" in description:  # the encoder's own repository describes it in its own words
            description = {"name": "DINOv3ViTModel", "args": description}
        elif "name" not in description:  # the encoder's re-host says nothing that matters; its shape is fixed
            description = {"name": "DINOv3ViTModel", "args": {}}
        kind = CLASSES[description["name"].removeprefix("Elastic")]
        with torch.device("meta"):
            return kind(**description["args"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackendError(
            "bad_weights", f"The description {config.name} does not fit any TRELLIS.2 network ({error}).", REPAIR
        ) from error
