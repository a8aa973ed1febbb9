# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture as the image encoder was trained on it: the subject's square on black, at the encoder's sizes."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import BackendError

MAX_SIDE = 1024
SOLID = 0.8 * 255
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def shrink(picture: Image.Image) -> Image.Image:
    """At most MAX_SIDE pixels on the longer side."""
    scale = min(1.0, MAX_SIDE / max(picture.size))
    if scale == 1:
        return picture
    size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def crop_subject(picture: Image.Image) -> Image.Image:
    """RGBA picture with a matted subject -> square RGB on black, as large as the subject, without a margin.

    Raises BackendError: empty_mask (nothing solid), too_small (one pixel is).
    """
    picture = shrink(picture)
    left, top, right, bottom = solid_box(picture)
    x, y = (left + right) / 2, (top + bottom) / 2
    half = int(max(right - left, bottom - top)) // 2
    if half == 0:
        raise BackendError(
            "too_small", "The subject of the picture is only one pixel large.", "Use a picture that shows it larger."
        )
    square = np.asarray(picture.crop((x - half, y - half, x + half, y + half)), np.float32) / 255
    return Image.fromarray((square[..., :3] * square[..., 3:] * 255).astype(np.uint8))


def solid_box(picture: Image.Image) -> tuple[int, int, int, int]:
    """First and last column and row of the RGBA picture's solid part: left, top, right, bottom, all inclusive."""
    rows, columns = np.nonzero(np.asarray(picture)[..., 3] > SOLID)
    if not len(rows):
        raise BackendError(
            "empty_mask",
            "Nothing opaque is left of the picture after removing its background.",
            "Cut the character out by hand and try again.",
        )
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def normalise(picture: Image.Image, size: int) -> Tensor:
    """RGB picture -> (1, 3, size, size) fp32 with the encoder's mean and deviation; the shape is not kept."""
    resized = picture.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
    values = torch.from_numpy(np.array(resized, np.float32)).permute(2, 0, 1)[None] / 255
    return (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
