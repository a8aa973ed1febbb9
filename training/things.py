# SPDX-License-Identifier: GPL-3.0-or-later
"""What is no humanoid: animals, vehicles, buildings, plants and things, put together from simple solids."""

from __future__ import annotations

import numpy as np

from backend.reader.layout import HEIGHT, WIDTH
from training.characters.character import vertex_normals
from training.figure import OVERSAMPLING, Camera
from training.looks import outlines, shade
from training.poses import turn
from training.raster import Atlas, Buffers, rasterise


def ellipsoid(n: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """A unit sphere: vertices (V, 3), triangles (T, 3)."""
    return _revolve(np.sin(np.linspace(0, np.pi, n)), -np.cos(np.linspace(0, np.pi, n)), 18)


def cone(top: float, n: int = 18) -> tuple[np.ndarray, np.ndarray]:
    """A closed cone from radius 1 at y = -1 to `top` at y = 1."""
    return _revolve(np.array([0.0, 1.0, top, 0.0]), np.array([-1.0, -1.0, 1.0, 1.0]), n)


def box() -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    sides = ([0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3])
    vertices = np.concatenate([corners[side] for side in sides])
    triangles = np.concatenate([[[4 * k, 4 * k + 1, 4 * k + 2], [4 * k, 4 * k + 2, 4 * k + 3]] for k in range(6)])
    return vertices, triangles


def _revolve(radii: np.ndarray, levels: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    angle = np.arange(n) * 2 * np.pi / n
    rings = [
        np.column_stack([r * np.cos(angle), np.full(n, y), r * np.sin(angle)])
        for r, y in zip(radii, levels, strict=True)
    ]
    quads = [(k * n + i, k * n + (i + 1) % n) for k in range(len(radii) - 1) for i in range(n)]
    triangles = [[a, b, a + n] for a, b in quads] + [[b, b + n, a + n] for a, b in quads]
    return np.concatenate(rings), np.array(triangles)


class Assembly:
    """Solids put together; each has its place, its half sizes and one of a few colours."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.vertices: list[np.ndarray] = []
        self.triangles: list[np.ndarray] = []
        self.materials: list[np.ndarray] = []
        self.count = 0

    def add(self, solid, place, half, material: int, tilt=(0.0, 0.0, 0.0)) -> None:
        vertices, triangles = solid
        matrix = turn([0, 0, 1], tilt[2]) @ turn([0, 1, 0], tilt[1]) @ turn([1, 0, 0], tilt[0])
        self.vertices.append(vertices * np.asarray(half) @ matrix.T + np.asarray(place, float))
        self.triangles.append(triangles + self.count)
        self.materials.append(np.full(len(triangles), material))
        self.count += len(vertices)

    def animal(self) -> None:
        u = self.random.uniform
        long, thick, leg = u(0.6, 1.3), u(0.25, 0.5), u(0.2, 0.9)
        self.add(ellipsoid(), [0, leg + thick, 0], [long, thick, thick * u(0.7, 1.1)], 0)
        for x in (-0.65, 0.65):
            for z in (-0.5, 0.5):
                radius = u(0.06, 0.14)
                self.add(
                    cone(1.0),
                    [x * long, leg / 2, z * thick],
                    [radius, leg / 2 + 0.1, radius],
                    0,
                    (u(-12, 12), 0, u(-12, 12)),
                )
        neck = u(0.0, 0.9)
        head = np.array([long + u(0.0, 0.3), leg + thick * 1.4 + neck, 0])
        self.add(
            cone(0.7),
            [long * 0.9, leg + thick + neck / 2, 0],
            [thick * 0.4, neck / 2 + 0.2, thick * 0.4],
            0,
            (0, 0, -u(0, 30)),
        )
        size = u(0.2, 0.45)
        self.add(ellipsoid(), head, [size, size * u(0.7, 1), size * 0.9], 0)
        self.add(ellipsoid(), head + [size * 0.9, -0.3 * size, 0], [size * 0.5, size * 0.35, size * 0.4], 1)
        for z in (-1, 1):
            self.add(
                cone(0.1), head + [-0.2 * size, size, z * 0.5 * size], [size * 0.25, size * u(0.2, 0.9), size * 0.2], 1
            )
            self.add(ellipsoid(), head + [0.7 * size, 0.25 * size, z * 0.6 * size], [size * 0.15] * 3, 2)
        self.add(cone(0.3), [-long, leg + thick * u(0.8, 1.8), 0], [0.06, u(0.2, 0.6), 0.06], 1, (0, 0, u(-40, 80)))

    def bird_or_fish(self) -> None:
        u = self.random.uniform
        self.add(ellipsoid(), [0, 1, 0], [u(0.5, 1.2), u(0.3, 0.7), u(0.2, 0.5)], 0)
        for side in (-1, 1):
            self.add(cone(0.1), [0, 1.1, side * 0.3], [0.3, u(0.2, 0.9), 0.08], 1, (side * u(20, 100), u(-40, 40), 0))
            self.add(ellipsoid(), [0.7, 1.25, side * 0.18], [0.08] * 3, 2)
        self.add(cone(0.05), [-0.9, 1.0, 0], [u(0.2, 0.6), 0.3, 0.06], 1, (0, 0, u(50, 120)))
        if self.random.random() < 0.5:
            self.add(cone(0.1), [1.0, 1.1, 0], [0.12, u(0.1, 0.35), 0.12], 2, (0, 0, -90))
            for side in (-1, 1):
                self.add(cone(1.0), [0, 0.4, side * 0.12], [0.04, 0.35, 0.04], 2)

    def vehicle(self) -> None:
        u = self.random.uniform
        long, wide, high = u(0.8, 1.6), u(0.4, 0.7), u(0.2, 0.5)
        self.add(box(), [0, 0.3 + high, 0], [long, high, wide], 0)
        self.add(box(), [u(-0.3, 0.3), 0.3 + 2 * high + 0.25, 0], [long * u(0.3, 0.7), 0.25, wide * 0.9], 1)
        for x in (-0.6, 0.6):
            for z in (-1, 1):
                r = u(0.2, 0.35)
                self.add(cone(1.0), [x * long, r, z * wide], [r, 0.1, r], 2, (90, 0, 0))

    def building(self) -> None:
        u = self.random.uniform
        for _ in range(int(self.random.integers(1, 4))):
            place, half = [u(-1, 1), 0, u(-0.5, 0.5)], np.array([u(0.3, 0.9), u(0.4, 1.6), u(0.3, 0.8)])
            self.add(box(), [place[0], half[1], place[2]], half, 0)
            if self.random.random() < 0.7:
                self.add(
                    cone(u(0, 0.4), 4),
                    [place[0], 2 * half[1] + 0.3, place[2]],
                    [half[0] * 1.5, 0.3, half[2] * 1.5],
                    1,
                    (0, 45, 0),
                )
            for x in np.linspace(-0.6, 0.6, int(self.random.integers(1, 4))):
                for y in np.linspace(0.4, 1.6, int(self.random.integers(1, 4))):
                    self.add(box(), [place[0] + x * half[0], y * half[1], place[2] + half[2]], [0.08, 0.12, 0.03], 2)

    def plant(self) -> None:
        u = self.random.uniform
        high = u(0.4, 1.4)
        self.add(cone(u(0.5, 1)), [0, high / 2, 0], [u(0.08, 0.25), high / 2, u(0.08, 0.25)], 1)
        for _ in range(int(self.random.integers(1, 8))):
            solid = ellipsoid() if self.random.random() < 0.6 else cone(0.05)
            self.add(solid, [u(-0.5, 0.5), high + u(0, 0.9), u(-0.4, 0.4)], [u(0.2, 0.7)] * 3, 0)

    def thing(self) -> None:
        """Furniture, vessels, tools: solids at random, most on one axis."""
        u = self.random.uniform
        level = 0.0
        for k in range(int(self.random.integers(1, 7))):
            solid = [box(), ellipsoid(), cone(u(0, 1.3))][int(self.random.integers(0, 3))]
            half = np.array([u(0.08, 0.7), u(0.05, 0.6), u(0.08, 0.7)])
            aside = u(-0.6, 0.6) if self.random.random() < 0.35 else 0.0
            self.add(
                solid,
                [aside, level + half[1], 0],
                half,
                k % 3,
                (u(-20, 20), u(0, 90), u(-20, 20)) if aside else (0, u(0, 90), 0),
            )
            level += 2 * half[1] * u(0.5, 1.0)


KINDS = ("animal", "animal", "bird_or_fish", "vehicle", "building", "plant", "thing", "thing")


def render_thing(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) float32 and mask (H, W) at twice the network's size."""
    assembly = Assembly(random)
    getattr(assembly, str(random.choice(KINDS)))()
    vertices = np.concatenate(assembly.vertices)
    triangles, materials = np.concatenate(assembly.triangles), np.concatenate(assembly.materials)
    matrix = turn([1, 0, 0], random.normal(8, 10)) @ turn([0, 1, 0], random.uniform(-180, 180))
    seen = vertices @ matrix.T
    camera = Camera(
        matrix, 0.0, float(random.uniform(0, 0.3)), float(seen[:, 2].mean()), float(np.ptp(seen, axis=0).max())
    )
    flat = camera.flatten(vertices)
    low, high = flat[:, :2].min(0), flat[:, :2].max(0)
    camera.scale = min(WIDTH / (high - low)[0], HEIGHT / (high - low)[1]) * random.uniform(0.5, 1.05)
    camera.centre = (low + high) / 2
    buffers = Buffers.empty(HEIGHT * OVERSAMPLING, WIDTH * OVERSAMPLING)
    textures = [np.array([[[*random.integers(0, 256, 3), 255]]], np.uint8) for _ in range(3)]
    normals = vertex_normals(vertices, triangles).astype(float) @ matrix.T
    uvs = np.zeros((len(triangles), 3, 2))
    rasterise(
        buffers,
        camera.pixels(flat),
        normals,
        uvs,
        triangles,
        materials,
        np.zeros(len(triangles), np.uint8),
        Atlas.of(textures),
    )
    image, mask = shade(buffers, random), buffers.mask
    if random.random() < 0.45:
        image, mask = outlines(image, buffers, 0.3, random)
    return image, mask
