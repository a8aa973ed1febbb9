# SPDX-License-Identifier: GPL-3.0-or-later
"""Background removal with a matting network in ONNX form, if the user has one: U²-Net, IS-Net, BiRefNet and others
with one picture in.

Optional twice: onnxruntime need not be installed, and `matting/` in the models folder may be empty. The
alphabetically first .onnx file there is used, or the file named by AVATAR_FORGE_MATTING.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import BackendError
from ..models.store import default_root

VARIABLE = "AVATAR_FORGE_MATTING"
# Side of the network's input where the file leaves it open.
SIDE = 1024
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# What each family was trained with: (mean, deviation), by a part of the file's name; ImageNet's for all others.
NORMALISATION = {"isnet": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0))}
FLAT = 0.05  # a mask with less contrast than this says that there is nothing


def installed_model(root: Path | None = None) -> Path | None:
    """The matting network to use, or None when there is none or nothing to run it with."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    return next(iter(sorted(((root or default_root()) / "matting").glob("*.onnx"))), None)


def matte(rgb: Image.Image, model: Path) -> np.ndarray:
    """(H, W) uint8 alpha of the subject of an RGB picture. Raises BackendError("bad_weights") when the file is no
    such network.
    """
    try:
        return _run(rgb, model)
    except Exception as error:  # onnxruntime's exceptions have no common base below Exception
        message = f"The background removal model {model.name} cannot be used ({type(error).__name__})."
        raise BackendError(
            "bad_weights", message, f"Remove it from {model.parent}, or use a picture without background."
        ) from error


def _run(rgb: Image.Image, model: Path) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    entry: Any = session.get_inputs()[0]
    height, width = (side if isinstance(side, int) else SIDE for side in entry.shape[2:])
    key = model.stem.lower().replace("-", "")
    mean, deviation = next((values for name, values in NORMALISATION.items() if name in key), IMAGENET)
    pixels = np.asarray(rgb.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    values = ((pixels - np.array(mean, np.float32)) / np.array(deviation, np.float32)).transpose(2, 0, 1)[None]
    kind = np.float16 if "float16" in entry.type else np.float32
    mask = np.asarray(session.run(None, {entry.name: values.astype(kind)})[0], np.float32).reshape(-1, height, width)[0]
    if mask.min() < -0.01 or mask.max() > 1.01:  # not squashed inside the network
        mask = 1 / (1 + np.exp(-np.clip(mask, -60, 60)))
    low, high = float(mask.min()), float(mask.max())
    mask = (mask - low) / (high - low) if high - low > FLAT else np.round(mask)
    return np.asarray(Image.fromarray((mask * 255 + 0.5).astype(np.uint8)).resize(rgb.size, Image.Resampling.BILINEAR))
