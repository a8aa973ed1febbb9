# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of what is no humanoid: the animals, buildings, vehicles, plants and objects of `training.characters`."""

from __future__ import annotations

import numpy as np

from backend.reader.layout import HEIGHT, WIDTH
from training.characters.animals import ANIMALS
from training.characters.character import vertex_normals
from training.characters.things import KINDS, make_thing
from training.figure import OVERSAMPLING, Camera
from training.looks import outlines, palette, shade
from training.poses import turn
from training.raster import Atlas, Buffers, rasterise

ANIMAL_SHARE = 0.4  # the easiest to take for people


def render_thing(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) float32 and mask (H, W) at twice the network's size."""
    kinds = list(ANIMALS) if random.random() < ANIMAL_SHARE else list(KINDS)
    thing = make_thing(kinds[int(random.integers(len(kinds)))], int(random.integers(1 << 30)))
    vertices = np.asarray(thing.vertices, float)
    matrix = turn([1, 0, 0], random.normal(8, 10)) @ turn([0, 1, 0], random.uniform(-180, 180))
    seen = vertices @ matrix.T
    extent = float(np.ptp(seen, axis=0).max())
    camera = Camera(matrix, 0.0, float(random.uniform(0, 0.3)), float(seen[:, 2].mean()), extent)
    flat = camera.flatten(vertices)
    low, high = flat[:, :2].min(0), flat[:, :2].max(0)
    camera.scale = min(WIDTH / (high - low)[0], HEIGHT / (high - low)[1]) * random.uniform(0.5, 1.05)
    camera.centre = (low + high) / 2
    buffers = Buffers.empty(HEIGHT * OVERSAMPLING, WIDTH * OVERSAMPLING)
    normals = vertex_normals(thing.vertices, thing.triangles).astype(float) @ matrix.T
    rasterise(buffers, camera.pixels(flat), normals, thing.corner_uvs, thing.triangles, thing.materials,
              np.zeros(len(thing.triangles), np.uint8), Atlas.of(palette(thing, random)))  # fmt: skip
    image, mask = shade(buffers, random), buffers.mask
    if random.random() < 0.45:
        image, mask = outlines(image, buffers, 0.3, random)
    return image, mask
