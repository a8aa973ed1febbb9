# SPDX-License-Identifier: GPL-3.0-or-later
"""A finished picture as other media show it: few colours, ink, line art, pencil, dots, paint, few pixels and more."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from training.backgrounds import clouds


def restyle(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """image (h, w, 3) uint8; one or two of STYLES."""
    names = list(STYLES)
    for name in random.choice(names, size=1 if random.random() < 0.85 else 2, replace=False):
        image = np.clip(STYLES[str(name)](image, random), 0, 255).astype(np.uint8)
    return image


def _grey(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) @ np.float32([0.3, 0.59, 0.11])


def _smooth(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.MedianFilter(int(random.choice([3, 5])))))


def _ink(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(h, w) 0..1, how much ink: a difference of Gaussians that is steep at its threshold (Winnemoeller 2011)."""
    sigma = random.uniform(0.5, 1.1)
    near, far = (ndimage.gaussian_filter(grey, s) for s in (sigma, sigma * random.uniform(1.5, 2.2)))
    sharp = random.uniform(6, 20)
    level = (1 + sharp) * near - sharp * far
    return np.clip((random.uniform(70, 130) - level) / random.uniform(8, 60), 0, 1)


def few_colours(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    picture = Image.fromarray(_smooth(image, random))
    return np.asarray(picture.quantize(int(random.integers(5, 17)), dither=Image.Dither.NONE).convert("RGB"))


def cel(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    ink = _ink(_grey(image), random)[..., None]
    return few_colours(image, random) * (1 - ink) + random.integers(0, 60, 3) * ink


def line_art(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    ink = _ink(_grey(image), random)[..., None]
    paper, pen = random.integers(225, 256, 3), random.integers(0, 110, 3)
    faint = random.uniform(0, 0.4) if random.random() < 0.5 else 0.0
    base = paper * (1 - faint) + image * faint
    return base * (1 - ink) + pen * ink


def pencil(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A colour dodge of the picture with its blurred negative, on grained paper."""
    grey = _grey(image)
    light = ndimage.gaussian_filter(255 - grey, random.uniform(2, 6))
    drawn = np.clip(grey * 255 / np.maximum(256 - light, 1), 0, 255)
    drawn = 255 - (255 - drawn) * random.uniform(1.2, 3)
    tone = 255 - (255 - grey) * random.uniform(0, 0.6)
    grain = random.normal(0, random.uniform(2, 16), grey.shape)
    out = np.repeat(np.minimum(drawn, tone + grain)[..., None], 3, -1)
    return out + (random.integers(-30, 1, 3) if random.random() < 0.4 else 0)


def dots(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A screen of dots, of one colour or over the colours."""
    grey = ndimage.gaussian_filter(_grey(image), 0.7)
    period, angle = random.uniform(2.0, 3.6), random.uniform(0, np.pi / 2)
    y, x = np.indices(grey.shape)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    screen = 127 + 64 * (np.cos(u * 2 * np.pi / period) + np.cos(v * 2 * np.pi / period))
    ink = np.clip((screen - grey) / random.uniform(60, 160) + 0.5, 0, 1)[..., None]
    base = image if random.random() < 0.5 else np.full_like(image, 245)
    return base * (1 - ink) + random.integers(0, 120, 3) * ink * random.uniform(0.6, 1) + base * ink * 0.1


def paint(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Strokes: every pixel comes from near by, with a shared direction."""
    height, width = image.shape[:2]
    reach = random.uniform(1, 3.5)
    y, x = np.indices((height, width))
    a, b = (np.round(reach * 2 * (clouds(random, height, width) - 0.5) * 2).astype(int) for _ in range(2))
    out = _smooth(image, random)[np.clip(y + a, 0, height - 1), np.clip(x + b, 0, width - 1)]
    return out.astype(np.float32) + random.normal(0, 10, (height, width, 1))


def washed(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Soft and pale, as watercolours are."""
    sigma = random.uniform(1.0, 2.2)
    soft = ndimage.gaussian_filter(image.astype(np.float32), (sigma, sigma, 0))
    pale = random.uniform(0.0, 0.5)
    return soft * (1 - pale) + 255 * pale


def two_tones(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Brightness as a way from one colour to another."""
    share = (_grey(image) / 255)[..., None] ** random.uniform(0.6, 1.6)
    dark, light = random.integers(0, 110, 3), random.integers(140, 256, 3)
    keep = random.uniform(0, 0.5)
    return (dark * (1 - share) + light * share) * (1 - keep) + image * keep


def few_pixels(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    step = random.uniform(1.4, 3.2)
    ways = (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    small = Image.fromarray(image).resize((round(width / step), round(height / step)), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), ways[int(random.integers(3))]))


def sharp(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    soft = ndimage.gaussian_filter(image.astype(np.float32), (1.5, 1.5, 0))
    return image + random.uniform(0.8, 3) * (image - soft)


def faint(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Hardly any contrast, bright or dark."""
    share, level = random.uniform(0.15, 0.5), random.uniform(20, 235)
    return level + (image - level) * share


def compressed(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(random.integers(6, 30)))
    return np.asarray(Image.open(buffer))


STYLES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "few_colours": few_colours, "cel": cel, "line_art": line_art, "pencil": pencil, "dots": dots, "paint": paint,
    "washed": washed, "two_tones": two_tones, "few_pixels": few_pixels, "sharp": sharp, "faint": faint,
    "compressed": compressed,
}  # fmt: skip
