# SPDX-License-Identifier: GPL-3.0-or-later
"""One clean mesh of what a file holds: vertices welded by place, no degenerate triangles, no floating debris, no body
inside the body. Pure.
"""

from __future__ import annotations

import numpy as np

from . import outside
from .arrays import SkinnedMesh
from .islands import island_of
from .measures import triangle_areas

WELD = 1e-6  # of the model's size
DEBRIS_AREA, DEBRIS_SIZE = 0.0015, 0.04  # of the area, and of the size, that a floating piece has at most
FLOATING = 0.02  # of the size: a piece no nearer to the rest hangs in the air
SAMPLES = 120_000
INNER_AREA = 0.04  # of the area: hidden pieces below that are teeth and eyeballs, which a body may have
INNER_EXTENT = (
    0.7  # of the model's, along each axis: a hidden piece that is smaller is a part of its own, as legs in a robe
)
HIDDEN = 0.06  # of what the rest of the surface shows, per area: a piece that shows less is inside
Notes = list[tuple[str, str]]


def clean(data: SkinnedMesh) -> Notes:
    """Cleans in place; returns sentences on what is gone. Corner UVs, colours and shape keys are kept."""
    notes: Notes = []
    _weld(data)
    sound = _sound(data)
    if not sound.all():
        _keep(data, sound)
        notes.append(("degenerate", f"{int((~sound).sum())} triangles without area were removed."))
    if not len(data.triangles):
        return notes
    island = island_of(data.triangles, len(data.vertices))[data.triangles[:, 0]]
    _, island = np.unique(island, return_inverse=True)
    area = triangle_areas(data.vertices, data.triangles)
    floating = debris(data.vertices, data.triangles, island, area)
    inside = inner_shells(data.vertices, data.triangles, island, area)
    if floating.any():
        notes.append(("debris", f"{len(np.unique(island[floating]))} small pieces floating in the air were removed."))
    if inside.any():
        share = f"{area[inside].sum() / area.sum():.0%}"
        notes.append(("inner_shell", f"A surface inside the body ({share} of the area) was removed."))
    if floating.any() or inside.any():
        _keep(data, ~(floating | inside))
    return notes


def _weld(data: SkinnedMesh) -> None:
    """One vertex for each place; those that shape keys move apart stay two."""
    size = float(np.ptp(data.vertices, axis=0).max()) or 1.0
    key = np.round((data.vertices - data.vertices.min(0)) / (WELD * size)).astype(np.int64)
    moves = [np.round(moved / (WELD * size)).astype(np.int64) for moved in data.shape_keys.values()]
    _, first, place = np.unique(np.column_stack([key, *moves]), axis=0, return_index=True, return_inverse=True)
    if len(first) == len(data.vertices):
        return
    order = np.argsort(np.argsort(first))  # the vertices keep the order in which they first came
    first = np.sort(first)
    data.triangles = order[place.reshape(-1)][data.triangles].astype(np.int32)
    _select(data, first)


def _select(data: SkinnedMesh, vertices: np.ndarray) -> None:
    data.vertices = data.vertices[vertices]
    data.shape_keys = {name: moved[vertices] for name, moved in data.shape_keys.items()}
    if data.weights is not None:
        data.weights = data.weights[vertices]


def _sound(data: SkinnedMesh) -> np.ndarray:
    """(T,) bool: three different corners and an area."""
    a, b, c = data.triangles.T
    size = float(np.ptp(data.vertices, axis=0).max()) or 1.0
    return (a != b) & (b != c) & (c != a) & (triangle_areas(data.vertices, data.triangles) > (1e-7 * size) ** 2)


def _keep(data: SkinnedMesh, kept: np.ndarray) -> None:
    used, corners = np.unique(data.triangles[kept], return_inverse=True)
    data.triangles = corners.reshape(-1, 3).astype(np.int32)
    data.corner_uvs, data.material_index = data.corner_uvs[kept], data.material_index[kept]
    data.corner_layers = {name: values[kept] for name, values in data.corner_layers.items()}
    _select(data, used)


def debris(vertices: np.ndarray, triangles: np.ndarray, island: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(T,) bool: small pieces with nothing beside them. island (T,): 0, 1, ...; area (T,)."""
    count = int(island.max()) + 1
    size = float(np.ptp(vertices, axis=0).max()) or 1.0
    low, high = _boxes(vertices, triangles, island, count)
    small = (np.bincount(island, area, count) < DEBRIS_AREA * area.sum()) & ((high - low).max(1) < DEBRIS_SIZE * size)
    if not small.any() or small.all():
        return np.zeros(len(triangles), bool)
    large = ~small[island]
    points = np.concatenate(
        [vertices[triangles[large]].reshape(-1, 3), _spread(vertices, triangles[large], area[large])]
    )
    cell = FLOATING * size
    start = vertices.min(0) - 2 * cell
    shape = np.ceil(np.ptp(vertices, axis=0) / cell).astype(int) + 5
    near = np.zeros(shape, bool)
    i, j, k = np.floor((points - start) / cell).astype(int).T
    for dx, dy, dz in np.ndindex(3, 3, 3):
        near[i + dx - 1, j + dy - 1, k + dz - 1] = True
    x, y, z = np.floor((vertices[triangles].mean(1) - start) / cell).astype(int).T
    beside = np.bincount(island, near[x, y, z], count) > 0
    return (small & ~beside)[island]


def _spread(vertices: np.ndarray, triangles: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(SAMPLES, 3) points spread evenly over triangles."""
    owner = np.searchsorted(np.cumsum(area / area.sum()), (np.arange(SAMPLES) + 0.5) / SAMPLES)
    owner = np.minimum(owner, len(triangles) - 1)
    u, v = np.random.default_rng(0).random((2, SAMPLES, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    a, b, c = np.moveaxis(vertices[triangles[owner]], 1, 0)
    return a + u * (b - a) + v * (c - a)


def inner_shells(vertices: np.ndarray, triangles: np.ndarray, island: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(T,) bool: pieces about as large as the model that hardly anybody sees from outside."""
    count = int(island.max()) + 1
    whole = np.bincount(island, area, count)
    low, high = _boxes(vertices, triangles, island, count)
    alike = ((high - low) > INNER_EXTENT * np.ptp(vertices, axis=0)).all(1) & (whole > INNER_AREA * area.sum())
    if alike.sum() < 2:
        return np.zeros(len(triangles), bool)
    fronts, backs = outside.seen_sides(vertices, triangles)
    seen = np.bincount(island, fronts + backs, count) / np.maximum(whole, 1e-30)
    hidden = alike & (seen < HIDDEN * seen[np.argmax(np.bincount(island, fronts + backs, count))])
    return hidden[island]


def _boxes(
    vertices: np.ndarray, triangles: np.ndarray, island: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(count, 3) lowest and highest corner of each piece."""
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    for k in range(3):
        np.minimum.at(low, island, vertices[triangles[:, k]])
        np.maximum.at(high, island, vertices[triangles[:, k]])
    return low, high
