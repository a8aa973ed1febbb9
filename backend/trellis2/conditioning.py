# SPDX-License-Identifier: GPL-3.0-or-later
"""What the flows are shown of the pictures. The only module that knows the image encoder.

A checkpoint that wants more than tokens (cameras, as Pixal3D does) takes another `Conditioner`; everything behind it
only sees conditions (1, tokens, channels), one a picture.
"""

from __future__ import annotations

from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from .dino import DinoV3, condition
from .preprocess import normalise


class Conditioner(Protocol):
    def __call__(self, pictures: list[Image.Image], side: int, device: torch.device) -> list[Tensor]:
        """Pictures on black, encoded at `side` pixels -> one condition (1, tokens, channels) each, fp32."""
        ...


class TokenConditioner:
    """The tokens of the image encoder, every picture for itself."""

    def __init__(self, encoder: DinoV3) -> None:
        self.encoder = encoder

    def __call__(self, pictures: list[Image.Image], side: int, device: torch.device) -> list[Tensor]:
        return [condition(self.encoder(normalise(picture, side).to(device))) for picture in pictures]
