# SPDX-License-Identifier: GPL-3.0-or-later
"""Random backgrounds: one colour, gradients, clouds, clutter."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

PLAIN_GREYS = (255, 255, 255, 245, 230, 200, 128, 0)


def noise(random: np.random.Generator, height: int, width: int, cell: int) -> np.ndarray:
    """(height, width) float32 in 0..1, smooth over `cell` pixels."""
    grid = Image.fromarray(random.random((height // cell + 2, width // cell + 2)).astype(np.float32))
    size = (grid.width * cell, grid.height * cell)
    return np.asarray(grid.resize(size, Image.Resampling.BILINEAR))[:height, :width]


def clouds(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width) float32 in 0..1 with detail at three sizes."""
    parts = ((64, 0.5), (16, 0.3), (5, 0.2))
    return sum(noise(random, height, width, cell) * np.float32(share) for cell, share in parts)


def random_colour(random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 256, 3).astype(np.float32)


def clutter(random: np.random.Generator, image: np.ndarray, most: int = 14) -> np.ndarray:
    """`image` (h, w, 3) with random shapes drawn over it."""
    height, width = image.shape[:2]
    canvas = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(random.integers(2, most))):
        x, y = int(random.integers(-20, width)), int(random.integers(-20, height))
        a, b = (int(v) for v in random.integers(4, width // 2, 2))
        fill = tuple(int(v) for v in random.integers(0, 256, 3))
        outline = tuple(int(v) for v in random.integers(0, 90, 3)) if random.random() < 0.5 else None
        kind = random.random()
        if kind < 0.4:
            pen.rectangle([x, y, x + a, y + b], fill=fill, outline=outline, width=3)
        elif kind < 0.7:
            pen.ellipse([x, y, x + a, y + b], fill=fill, outline=outline, width=3)
        elif kind < 0.85:
            corners = [(x + int(random.integers(-a, a)), y + int(random.integers(-b, b))) for _ in range(3)]
            pen.polygon(corners, fill=fill, outline=outline)
        else:
            pen.line([x, y, x + a, y + int(random.integers(-b, b))], fill=fill, width=int(random.integers(1, 12)))
    return np.asarray(canvas).astype(np.float32)


def background(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width, 3) float32 0..255. Half of them are one colour, as in pictures made for tools."""
    kind = random.random()
    plain = np.full(3, float(random.choice(PLAIN_GREYS)), np.float32)
    first = random_colour(random) if random.random() < 0.5 else plain
    second = random_colour(random)
    if kind < 0.5:
        return np.tile(first, (height, width, 1))
    if kind < 0.65:
        t = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        if random.random() < 0.3:  # a horizon
            t = (t > random.uniform(0.5, 0.95)).astype(np.float32)
        return np.broadcast_to(first * (1 - t) + second * t, (height, width, 3)).astype(np.float32).copy()
    field = clouds(random, height, width)[..., None]
    image = (first * (1 - field) + second * field).astype(np.float32)
    return clutter(random, image) if kind > 0.8 else image
