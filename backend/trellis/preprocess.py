# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture as the image encoder was trained on it: subject centred on black, 518 x 518."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import BackendError

SIZE = 518
MARGIN = 1.2  # side of the crop, in longer sides of the subject
SOLID = 0.8 * 255
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def crop_subject(picture: Image.Image) -> Image.Image:
    """RGBA picture with a matted subject -> (518, 518) RGB on black. Raises BackendError when the mask is empty.

    The resize happens in RGBA, where Pillow weights colours by alpha; the last conversion to 8 bit truncates, as in
    training.
    """
    alpha = np.asarray(picture)[..., 3]
    rows, columns = np.nonzero(alpha > SOLID)
    if not len(rows):
        raise BackendError(
            "empty_mask",
            "Nothing opaque is left of the picture after removing its background.",
            "Cut the character out by hand and try again.",
        )
    left, top, right, bottom = columns.min(), rows.min(), columns.max(), rows.max()
    x, y = (left + right) / 2, (top + bottom) / 2
    half = int(max(right - left, bottom - top) * MARGIN) // 2
    square = picture.crop((x - half, y - half, x + half, y + half)).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    values = np.asarray(square, np.float32) / 255
    return Image.fromarray((values[..., :3] * values[..., 3:] * 255).astype(np.uint8))


def normalise(pictures: list[Image.Image]) -> Tensor:
    """RGB pictures -> (b, 3, 518, 518) fp32 with the encoder's mean and deviation."""
    values = torch.stack(
        [
            torch.from_numpy(np.array(p.resize((SIZE, SIZE), Image.Resampling.LANCZOS), np.float32)) / 255
            for p in pictures
        ]
    )
    return (values.permute(0, 3, 1, 2) - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
