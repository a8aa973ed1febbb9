# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mesh of unknown origin needs to be an avatar's: upright, facing -Y, of a human's size. Pure.

Axes are Blender's: Z up, the character faces -Y, its left side is +X.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAST_HEIGHT, MOST_HEIGHT = 0.5, 2.6  # metres that are left as they are
USUAL_HEIGHT = 1.6
UNITS = {
    0.01: "as if in centimetres",
    0.0254: "as if in inches",
    0.001: "as if in millimetres",
    0.1: "as if in decimetres",
    100.0: "a hundred times too small",
}
CLEAR = 1.35  # how much longer one extent must be than another to mean something
ARMS_LOW, SLABS = 0.42, 20  # of the height: arms below that are those of a body on its head; long ears do not show that
TOES = 0.012  # of the height that toes are before the ankles


def scale_to_human(height: float, wanted: float = 0.0) -> tuple[float, str]:
    """A factor, and a sentence when it is not 1. wanted: the height in metres, 0: any that a human or a toy has is
    left.
    """
    if height <= 0:
        return 1.0, ""
    if wanted > 0:
        return wanted / height, f"The model was {_length(height)} tall and is now {_length(wanted)}."
    if LEAST_HEIGHT <= height <= MOST_HEIGHT:
        return 1.0, ""
    for factor, unit in UNITS.items():
        if 1.0 <= factor * height <= 2.3:
            return factor, f"The model was {_length(height)} tall, {unit}, and is now {_length(factor * height)}."
    return (
        USUAL_HEIGHT / height,
        (
            f"The model was {_length(height)} tall and is now {_length(USUAL_HEIGHT)}; scale it if you want"
            " another size."
        ),
    )


def upright(vertices: np.ndarray) -> tuple[np.ndarray, str]:
    """A rotation (3, 3) that makes a character stand and look along -Y, and a sentence; the identity and "" where
    nothing tells.

    A body is thinnest from front to back. The end where it is parted in two is that of the feet, far from the arms,
    and toes are in front of ankles.
    """
    turn, said = np.eye(3), []
    extent = np.ptp(vertices, axis=0)
    if extent[1] > CLEAR * extent[2]:  # on its back or its belly
        quarter = _about_x(1 if _feet_at_end(vertices, 1) < 0 else -1)
        turn = quarter @ turn
        said.append("was lying down")
    elif _feet_at_end(vertices, 2) == 1 and _widest(vertices) < ARMS_LOW:
        turn = _about_x(2) @ turn
        said.append("was upside down")
    points = vertices @ turn.T
    extent = np.ptp(points, axis=0)
    if extent[1] > CLEAR * extent[0]:
        turn = _about_z(1) @ turn
        said.append("faced sideways")
        points = vertices @ turn.T
    if _toes(points) > 0:
        turn = _about_z(2) @ turn
        said = [*said[:-1], "faced sideways"] if said[-1:] == ["faced sideways"] else [*said, "faced backwards"]
    return turn, told(said)


def told(ways: Sequence[str]) -> str:
    """A sentence of what was wrong with how a model stood; "" for nothing."""
    return f"The model {' and '.join(ways)} and was rotated; rotate it by hand if that is wrong." if ways else ""


def quarter_turn(axis: str, quarters: int = 1) -> np.ndarray:
    """(3, 3) about X or Z."""
    return _about_x(quarters) if axis == "X" else _about_z(quarters)


def joined_keys(parts: Sequence[dict[str, np.ndarray]], sizes: Sequence[int]) -> dict[str, np.ndarray]:
    """Shape keys (V, 3) of meshes put one after the other; a part without a key does not move in it."""
    names = dict.fromkeys(name for part in parts for name in part)
    still = [np.zeros((size, 3), np.float32) for size in sizes]
    return {
        name: np.concatenate([part.get(name, rest) for part, rest in zip(parts, still, strict=True)]) for name in names
    }


def _feet_at_end(vertices: np.ndarray, axis: int) -> int:
    """-1 or 1: at which end of an axis the legs are; 0 where neither end is parted more clearly."""
    along, across = vertices[:, axis], vertices[:, 0]
    low, length = along.min(), float(np.ptp(along)) or 1.0
    place = (along - low) / length
    parted = [
        _parted(across[(place > 0.04) & (place < 0.22)], length),
        _parted(across[(place < 0.96) & (place > 0.78)], length),
    ]
    if abs(parted[0] - parted[1]) < 0.5:
        return 0
    return -1 if parted[0] > parted[1] else 1


def _widest(vertices: np.ndarray) -> float:
    """0 to 1: the height at which a body is widest, where its arms are."""
    low, tall = vertices[:, 2].min(), float(np.ptp(vertices[:, 2])) or 1.0
    slab = np.minimum(((vertices[:, 2] - low) / tall * SLABS).astype(int), SLABS - 1)
    left, right = np.full(SLABS, np.inf), np.full(SLABS, -np.inf)
    np.minimum.at(left, slab, vertices[:, 0])
    np.maximum.at(right, slab, vertices[:, 0])
    return (int(np.argmax(right - left)) + 0.5) / SLABS


def _parted(across: np.ndarray, length: float) -> float:
    """0 to 1: how clearly points lie on two sides of a gap in their middle."""
    if len(across) < 12:
        return 0.0
    middle = (across.min() + across.max()) / 2
    return float(1 - min(1.0, 20 * np.mean(np.abs(across - middle) < 0.012 * length)))


def _toes(points: np.ndarray) -> int:
    """-1: the toes point along -Y, 1: along +Y, 0: not known."""
    low, height = points[:, 2].min(), float(np.ptp(points[:, 2])) or 1.0
    place = (points[:, 2] - low) / height
    sole, ankle = points[place < 0.03, 1], points[(place > 0.07) & (place < 0.14), 1]
    if len(sole) < 6 or len(ankle) < 6:
        return 0
    ahead = (sole.min() + sole.max() - ankle.min() - ankle.max()) / 2 / height
    return 0 if abs(ahead) < TOES else (1 if ahead > 0 else -1)


def _about_x(quarters: int) -> np.ndarray:
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters % 4]
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]], float)


def _about_z(quarters: int) -> np.ndarray:
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters % 4]
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], float)


def _length(metres: float) -> str:
    return f"{metres:.2f} m" if metres < 100 else f"{metres:.0f} m"
