# SPDX-License-Identifier: GPL-3.0-or-later
"""How a rendered character looks: palette, light, outlines, and what happens to the picture afterwards."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image
from scipy import ndimage

from training.backgrounds import noise
from training.characters.character import Character
from training.raster import Buffers

FACE_MATERIAL = re.compile(r"eye|mouth|face|teeth|tongue|brow|lash", re.IGNORECASE)


def shift_hsv(rgb: np.ndarray, hue: float, saturation: float, value: float) -> np.ndarray:
    """(h, w, 3) uint8 with the hue turned by a share of the circle, saturation and value scaled."""
    hsv = np.asarray(Image.fromarray(rgb).convert("HSV")).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + hue * 255) % 256
    hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 255)
    hsv[..., 2] = np.clip(hsv[..., 2] * value, 0, 255)
    return np.asarray(
        Image.frombytes("HSV", (rgb.shape[1], rgb.shape[0]), hsv.astype(np.uint8).tobytes()).convert("RGB")
    )


def palette(character: Character, random: np.random.Generator) -> list[np.ndarray]:
    """The textures with other colours: materials of one colour freely, painted ones a little, faces' features not."""
    mode = random.random()
    out = []
    for name, texture in zip(character.material_names, character.textures, strict=True):
        one = texture.shape[:2] == (1, 1)
        new = texture
        if mode < 0.6 and not (one and FACE_MATERIAL.search(name)):
            new = texture.copy()
            if one and random.random() < 0.35:
                new[0, 0, :3] = random.integers(0, 256, 3)
            else:
                hue = random.normal(0, 0.12 if one else 0.07)
                new[..., :3] = shift_hsv(
                    np.ascontiguousarray(texture[..., :3]), hue, random.uniform(0.4, 1.5), random.uniform(0.55, 1.3)
                )
        out.append(new)
    return out


def shade(buffers: Buffers, random: np.random.Generator) -> np.ndarray:
    """(H, W, 3) float32: the colours in flat, soft, cel or glossy light, at times with stains."""
    image = buffers.colour
    kind = random.random()
    if kind >= 0.25:
        light = random.normal(size=3) * [0.6, 0.5, 0.3] + [0, 0.6, 0.7]
        light = (light / np.linalg.norm(light)).astype(np.float32)
        square = np.einsum("ijk,ijk->ij", buffers.normal, buffers.normal)
        normal = buffers.normal / np.sqrt(np.maximum(square, 1e-12))[..., None]
        # A thin sheet is lit from the side that is seen.
        normal = np.where(normal[..., 2:] < 0, -normal, normal)
        facing = normal @ light
        if kind < 0.65:
            depth = random.uniform(0.2, 0.8)
            level = (1 - depth) + depth * np.clip(0.35 + 0.75 * facing, 0, 1.05)
        else:
            level = np.where(facing > random.uniform(-0.1, 0.45), 1.0, random.uniform(0.45, 0.88))
            if random.random() < 0.3:
                level = np.where(facing > random.uniform(0.6, 0.9), level * random.uniform(1.05, 1.25), level)
        image = image * level[..., None]
        if random.random() < 0.3:  # gloss
            half = light + [0, 0, 1]
            sharp = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** random.uniform(8, 60)
            image = image + 255 * random.uniform(0.2, 0.8) * sharp[..., None]
    if random.random() < 0.35:
        height, width = buffers.front.shape
        stains = sum(noise(random, height, width, cell) for cell in (24, 7, 3)) / 3 - 0.5
        image = image * (1 + np.float32(random.uniform(0.2, 0.9)) * stains)[..., None]
    if random.random() < 0.08:  # dark and detailed, as in games
        image = image * random.uniform(0.25, 0.6)
    return np.clip(image, 0, 255).astype(np.float32)


def outlines(
    image: np.ndarray, buffers: Buffers, size: float, random: np.random.Generator, widest: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Ink where the depth jumps by a share of `size` and where material or part changes. Returns the image and the
    mask with the ink that lies outside the figure.
    """
    mask = buffers.mask
    depth = np.where(mask, buffers.front, -1e3)
    edge = ndimage.maximum_filter(depth, 3) - depth > 0.06 * size * random.uniform(0.6, 2)
    if random.random() < 0.65:
        edge |= ndimage.maximum_filter(buffers.material, 3) != buffers.material
    if random.random() < 0.3:
        edge |= ndimage.maximum_filter(buffers.part, 3) != buffers.part
    width = int(random.integers(1, widest + 1))
    if width > 1:
        edge = ndimage.binary_dilation(edge, iterations=width - 1)
    grown = ndimage.binary_dilation(mask, iterations=width)
    ink = edge & grown
    return np.where(ink[..., None], random.integers(0, 80, 3), image).astype(np.float32), mask | ink


def line_drawing(image: np.ndarray, buffers: Buffers, size: float, random: np.random.Generator) -> np.ndarray:
    """Pen on paper: the outlines, with the colours gone or nearly so."""
    paper = float(random.uniform(225, 256))
    grey = image.mean(-1, keepdims=True)
    faint = random.uniform(0.0, 0.35)
    base = paper - faint * (255 - grey) * 0.6
    base = np.broadcast_to(base, image.shape).astype(np.float32)
    # Dark drawing inside the figure, as eyes and mouth, stays.
    local = ndimage.uniform_filter(grey[..., 0], 15)
    dark = grey[..., 0] < local - 28
    base = np.where(dark[..., None], np.minimum(base, 60), base)
    return outlines(base, buffers, size, random)[0]


def after(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8: blur, gamma, noise, grey, JPEG."""
    if random.random() < 0.3:
        sigma = random.uniform(0.3, 1.1)
        image = ndimage.gaussian_filter(image, (sigma, sigma, 0))
    image = 255 * (np.clip(image, 0, 255) / 255) ** random.uniform(0.75, 1.35)
    if random.random() < 0.2:
        image = image + random.normal(0, random.uniform(2, 12), image.shape)
    if random.random() < 0.08:
        image = np.repeat(image.mean(-1, keepdims=True), 3, -1)
    out = np.clip(image, 0, 255).astype(np.uint8)
    if random.random() < 0.2:
        buffer = io.BytesIO()
        Image.fromarray(out).save(buffer, "JPEG", quality=int(random.integers(30, 90)))
        out = np.asarray(Image.open(buffer))
    return out
