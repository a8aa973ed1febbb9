# SPDX-License-Identifier: GPL-3.0-or-later
"""Random frames, textures and colours for batches of rendered pictures: what renders alone would not vary enough."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.reader.layout import COUNTS, HEIGHT, WIDTH
from training import restyle as techniques

Batch = dict[str, Tensor]
CLOSE = 0.65  # share of the whole figures that are framed as the reader's second look frames them
FILLED = (0.78, 0.99)  # of the frame, by such a figure
LABELS = 256
TINTED, FILTERED, PLAIN, PATCHED = 0.3, 0.35, 0.3, 0.15  # shares of the pictures
COARSE, STEPS = 0.25, (1.3, 3.2)  # share of the heads that were enlarged from a smaller picture, and by how much


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low


def _some(generator: torch.Generator, count: int, share: float) -> Tensor:
    return torch.rand(count, generator=generator) < share


def figure_boxes(parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """parts (B, h, w) labels over the whole picture: centre (B, 2) and size (B, 2) of what is no background, in pixels
    of WIDTH x HEIGHT, and whether there is anything (B,).
    """
    shown = parts > 0
    cell = torch.tensor([WIDTH / parts.shape[2], HEIGHT / parts.shape[1]])
    first, last = [], []
    for lines in (shown.any(1), shown.any(2)):
        first.append(lines.float().argmax(1))
        last.append(lines.shape[1] - lines.flip(1).float().argmax(1))
    low, high = torch.stack(first, 1) * cell, torch.stack(last, 1) * cell
    return (low + high) / 2, high - low, shown.flatten(1).any(1)


def frames(raw: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """matrix (B, 2, 2) and shift (B, 2): where a pixel comes from, both seen from the middle: matrix @ pixel + shift;
    stretch (B, 2), source pixels per pixel across and down; which rows are mirrored (B,).
    """
    count = len(raw["image"])
    flip = _some(generator, count, 0.5)
    angle = torch.randn(count, generator=generator) * torch.where(_some(generator, count, 0.2), 0.22, 0.08)
    grow = _uniform(generator, 0.88, 1.2, count)
    shift = _uniform(generator, -0.08, 0.08, count, 2) * torch.tensor([WIDTH, HEIGHT])
    centre, extent, there = figure_boxes(raw["parts"])
    close = there & ~raw["head"] & (raw["count"] == COUNTS.index("one")) & _some(generator, count, CLOSE)
    needed = (extent / torch.tensor([WIDTH, HEIGHT])).amax(1) / _uniform(generator, *FILLED, count)
    grow = torch.where(close, needed.clamp(0.4, 1.3), grow)
    near = centre - torch.tensor([WIDTH / 2, HEIGHT / 2]) + shift * 0.5 * grow[:, None]
    shift = torch.where(close[:, None], near, shift)
    wide = torch.exp(_uniform(generator, -0.12, 0.12, count))
    stretch = torch.stack([grow * wide, grow / wide], 1)
    cos, sin, sign = torch.cos(angle), torch.sin(angle), 1.0 - 2.0 * flip
    across = torch.stack([cos * sign, sin * sign], -1) * stretch[:, :1]
    down = torch.stack([-sin, cos], -1) * stretch[:, 1:]
    return torch.stack([across, down], -1), shift, stretch, flip


def restyle(image: Tensor, raw: Batch, generator: torch.Generator) -> Tensor:
    """image (B, 3, h, w) 0..255: parts in other colours, white or plain backgrounds, random filters, patches of other
    pictures in front.
    """
    count, size = len(image), tuple(image.shape[2:])
    parts = raw["parts"].long()
    rows = _some(generator, count, TINTED)
    tint = _uniform(generator, 0.55, 1.45, count, LABELS, 3)
    tint = torch.where(rows[:, None, None], tint, torch.ones_like(tint))
    field = torch.gather(tint, 1, parts.flatten(1)[..., None].expand(-1, -1, 3))
    image = image * F.interpolate(field.transpose(1, 2).reshape(count, 3, *parts.shape[1:]), size, mode="bilinear")
    image = image.clamp(0, 255)
    image = _plain(image, _figure(image, parts), generator)
    return _patched(_filtered(image, generator), raw, generator)


def _figure(image: Tensor, parts: Tensor) -> Tensor:
    """(B, 1, h, w) share of the figure. Things have no labels: theirs is what differs from the border."""
    labelled = (parts > 0).flatten(1).any(1)
    mask = F.interpolate((parts > 0).float()[:, None], tuple(image.shape[2:]), mode="bilinear")
    border = torch.cat([image[:, :, 0], image[:, :, -1], image[:, :, :, 0], image[:, :, :, -1]], 2)
    plain = border.std(2).amax(1) < 12
    differs = ((image - border.mean(2)[..., None, None]).abs().sum(1, keepdim=True) / 50).clamp(0, 1)
    other = torch.where(plain[:, None, None, None], differs, torch.ones_like(differs))
    return torch.where(labelled[:, None, None, None], mask, other)


def _plain(image: Tensor, figure: Tensor, generator: torch.Generator) -> Tensor:
    """Some figures on one colour, mostly white."""
    count = len(image)
    colour = _uniform(generator, 0, 255, count, 3, 1, 1)
    white = _uniform(generator, 235, 255, count, 1, 1, 1).expand_as(colour)
    colour = torch.where(_some(generator, count, 0.6)[:, None, None, None], white, colour)
    rows = _some(generator, count, PLAIN)[:, None, None, None]
    return torch.where(rows, image * figure + colour * (1 - figure), image)


def _filtered(image: Tensor, generator: torch.Generator) -> Tensor:
    """Some pictures through a random convolution of their colours (Xu et al. 2021), mixed with what they were."""
    rows = _some(generator, len(image), FILTERED).nonzero()[:, 0]
    if not len(rows):
        return image
    side = 3 if torch.rand((), generator=generator) < 0.6 else 1
    kernel = torch.randn((len(rows) * 3, 3, side, side), generator=generator) / (3 * side * side) ** 0.5
    given = (image[rows] - 127) / 64
    found = F.conv2d(given.flatten(0, 1)[None], kernel, padding=side // 2, groups=len(rows))[0].view_as(given)
    share = _uniform(generator, 0.2, 0.9, len(rows), 1, 1, 1)
    image = image.clone()
    image[rows] = (((1 - share) * given + share * found * 1.5) * 64 + 127).clamp(0, 255)
    return image


def _patched(image: Tensor, raw: Batch, generator: torch.Generator) -> Tensor:
    """A narrow piece of another picture in front of some whole figures, as what they hold or stand behind."""
    rows = (_some(generator, len(image), PATCHED) & ~raw["head"]).nonzero()[:, 0].tolist()
    height, width = image.shape[2:]
    image, given = image.clone(), image
    for row in rows:
        other = int(torch.randint(len(image), (), generator=generator))
        across, down = (int(v) for v in _uniform(generator, 0.03, 0.2, 2) * torch.tensor([width, height * 1.5]))
        x = int(torch.randint(max(width - across, 1), (), generator=generator))
        y = int(torch.randint(height // 3, max(height - down, height // 3 + 1), (), generator=generator))
        image[row, :, y : y + down, x : x + across] = given[other, :, y : y + down, x : x + across]
    return image


def fewer_pixels(image: Tensor, raw: Batch, generator: torch.Generator) -> Tensor:
    """Some heads with fewer pixels, as those of small pictures are."""
    rows = (_some(generator, len(image), COARSE) & raw["head"]).nonzero()[:, 0]
    step = float(_uniform(generator, *STEPS))
    if not len(rows):
        return image
    size = tuple(image.shape[2:])
    small = F.interpolate(image[rows], [round(n / step) for n in size], mode="area")
    image = image.clone()
    image[rows] = F.interpolate(small, size, mode="bilinear", align_corners=False)
    return image


def recolour(image: Tensor, generator: torch.Generator) -> Tensor:
    """Other brightness, contrast and hue; some colours exchanged."""
    count = len(image)
    channel = _uniform(generator, 0.8, 1.2, count, 3, 1, 1)
    contrast = _uniform(generator, 0.7, 1.2, count, 1, 1, 1)
    offset = torch.randn(count, 3, 1, 1, generator=generator) * 10
    image = (image - 127) * channel * contrast + 127 + offset
    shuffled = _some(generator, count, 0.15)
    image[shuffled] = image[shuffled][:, torch.randperm(3, generator=generator)]
    return image.clamp(0, 255)


def drawn(image: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    """image (B, 3, h, w) 0..255 with those of `rows` (B,) as if they were drawn by another technique."""
    random = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    out = image.clone()
    for row in rows.nonzero()[:, 0].tolist():
        pixels = image[row].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
        out[row] = torch.from_numpy(techniques.restyle(pixels, random)).permute(2, 0, 1).float()
    return out
