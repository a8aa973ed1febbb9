"""Bodies with something planted inside them: what an outer-shell filter has to tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.measure import marching_cubes

SIDE, DEPTH = 72, 28  # cells of the distance grid, wide and high, and deep; the figure is about 60 high
OUTER, INNER, MOUTH = 0, 1, 2


@dataclass
class Planted:
    """vertices (V, 3), triangles (T, 3) wound at random; label (T,): OUTER, INNER (must go) or MOUTH (must stay);
    outwards (T, 3): the triangle as it should be wound, for outer ones.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    label: np.ndarray
    outwards: np.ndarray


def _grid() -> np.ndarray:
    return np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in (SIDE, DEPTH, SIDE)), indexing="ij"), -1)


def _capsule(p: np.ndarray, a: tuple, b: tuple, radius: float) -> np.ndarray:
    start, d = np.array(a, float), np.array(b, float) - np.array(a, float)
    along = np.clip((p - start) @ d / max(float(d @ d), 1e-9), 0, 1)[..., None]
    return np.linalg.norm(p - start - along * d, axis=-1) - radius


def _mesh(distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vertices, triangles, _, _ = marching_cubes(distance, 0.0)
    return vertices.astype(float), triangles.astype(np.int64)


def _figure(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Distance to a standing figure, the middle of its head and the head's radius."""
    p, c, d = _grid(), SIDE / 2, DEPTH / 2
    head_radius, belly = rng.uniform(8, 11), rng.uniform(8, 10.5)
    head = np.array([c, d, 56.0])
    parts = [
        _capsule(p, tuple(head), tuple(head), head_radius),
        _capsule(p, (c, d, 24), (c, d, 40), belly),
    ]
    for side in (-1, 1):
        parts.append(
            _capsule(p, (c + side * belly, d, 40), (c + side * 28, d, rng.uniform(34, 46)), rng.uniform(2.5, 4))
        )
        parts.append(_capsule(p, (c + side * 5, d, 22), (c + side * 6, d, 8), rng.uniform(3.5, 4.5)))
    return np.minimum.reduce(parts), head, head_radius


def planted(seed: int, kind: str, mouth: bool) -> Planted:
    """A figure with a body inside its trunk or head: kind is closed, open, touching, welded, nested or leaking."""
    rng = np.random.default_rng(seed)
    distance, head, head_radius = _figure(rng)
    p, c = _grid(), SIDE / 2
    mouth_middle = head + np.array([0, -0.35 * head_radius, -0.3 * head_radius])
    mouth_radius = 0.36 * head_radius
    if mouth:
        way = _capsule(p, tuple(mouth_middle), (c, head[1] - 2 * head_radius, mouth_middle[2]), 1.8)
        distance = np.maximum(
            distance, -np.minimum(_capsule(p, tuple(mouth_middle), tuple(mouth_middle), mouth_radius), way)
        )
    vertices, triangles = _mesh(distance)
    centres = vertices[triangles].mean(1)
    label = np.full(len(triangles), OUTER)
    if mouth:
        label[np.linalg.norm(centres - mouth_middle, axis=1) < mouth_radius + 0.6] = MOUTH
    if kind == "leaking":  # the outer wall misses a few triangles above the trunk's inner body
        hole = np.linalg.norm(centres - centres[np.argmin(np.abs(centres - [c, 0, 30]).sum(1))], axis=1) < 0.8
        triangles, label = triangles[~hole], label[~hole]
    inner_vertices, inner_triangles = _inner(rng, kind, c)
    if kind == "welded":
        vertices, triangles, label, inner_triangles = _weld(vertices, triangles, label, inner_vertices, inner_triangles)
    else:
        inner_triangles, vertices = inner_triangles + len(vertices), np.concatenate([vertices, inner_vertices])
    outwards = np.concatenate([triangles, inner_triangles])
    label = np.concatenate([label, np.full(len(inner_triangles), INNER)])
    flip = rng.random(len(outwards)) < 0.5
    wound = np.where(flip[:, None], outwards[:, ::-1], outwards)
    scale = rng.uniform(0.2, 3)
    return Planted(vertices * scale / SIDE, wound, label, outwards)


def _inner(rng: np.random.Generator, kind: str, c: float) -> tuple[np.ndarray, np.ndarray]:
    p = _grid()
    middle = np.array([c, DEPTH / 2, rng.uniform(26, 36)])
    radius = rng.uniform(3.5, 5.5)
    if kind == "touching":  # close to the wall over a good part of it
        body = _capsule(p, (c, DEPTH / 2, 27), (c, DEPTH / 2, 36), 7.6)
    elif kind == "nested":
        body = np.abs(_capsule(p, tuple(middle), tuple(middle), radius)) - 1.2
    else:
        body = _capsule(p, tuple(middle), tuple(middle + rng.uniform(-2, 2, 3)), radius)
    vertices, triangles = _mesh(body)
    if kind == "open":
        up = vertices[triangles].mean(1)[:, 2]
        triangles = triangles[up < np.quantile(up, rng.uniform(0.5, 0.85))]
    return vertices, triangles


def _weld(
    vertices: np.ndarray, triangles: np.ndarray, label: np.ndarray, inner: np.ndarray, inner_triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hangs the inner body on the wall by three triangles fanned from edges of the wall: edges with three triangles."""
    offset = len(vertices)
    gap = np.linalg.norm(vertices[triangles].mean(1) - inner.mean(0), axis=1)
    some = triangles[np.argsort(gap)[:3]]
    bridge = np.column_stack([some[:, 0], some[:, 1], offset + np.arange(3)])
    return np.concatenate([vertices, inner]), triangles, label, np.concatenate([inner_triangles + offset, bridge])
