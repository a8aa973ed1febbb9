# SPDX-License-Identifier: GPL-3.0-or-later
"""Hair and beards by formula for any head: a cap on the skull, locks, curtains, tails, spikes, curls."""

from __future__ import annotations

import dataclasses

import numpy as np

from .build import attach, rigid, without
from .character import PART, Character
from .frame import Skull, hair_colour, skull
from .labels import areas, commonest, triangle_colours
from .shapes import Mesh, ellipsoid, grid_triangles, merged, tube

STYLES = (
    *(
        "short",
        "bowl",
        "spiky",
        "long",
        "bob",
        "twin",
        "pony",
        "bun",
        "afro",
        "mohawk",
        "dreads",
        "braids",
        "big",
        "curls",
    ),
    *("side", "wild"),
)


def cap(head: Skull, out: float, front: float, sides: float, back: float) -> Mesh:
    """Over the skull down to a hairline; front, sides and back: its tilt there in radians (0 is the head's middle)."""
    azimuth = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    facing = np.cos(azimuth)
    line = np.where(
        facing > 0,
        sides + (front - sides) * np.clip(facing, 0, 1) ** 0.6,
        sides + (back - sides) * np.clip(-facing, 0, 1) ** 0.6,
    )
    steps = np.linspace(0, 1, 12)[:, None]
    tilt = line + (np.pi / 2 - line) * steps
    points = head.at(np.broadcast_to(azimuth, tilt.shape), tilt, out)
    return points.reshape(-1, 3), grid_triangles(12, 36, closed=True)


def lock(
    head: Skull, path: list[tuple[float, float, float]], width: float, drop: float = 0.0, flat: float = 0.4
) -> Mesh:
    """A tapering lock over (azimuth, tilt, out) on the skull, then hanging down by drop."""
    steps = np.linspace(0, len(path) - 1, 7)
    knots = np.arange(len(path))
    columns = np.array(path)
    points = head.at(*(np.interp(steps, knots, columns[:, k]) for k in range(3)))
    if drop:
        hang = np.linspace(0, 1, 6)[1:, None]
        outward = points[-1] - head.centre
        outward[1] = 0
        points = np.concatenate([points, points[-1] + hang * [0, -drop, 0] + 0.25 * hang * outward])
    share = np.linspace(0, 1, len(points))
    radii = width * (1 - 0.95 * share**2.2)
    return tube(points, radii.tolist(), flat, points[len(points) // 2] - head.centre)


def _bangs(head: Skull, random: np.random.Generator, width: float) -> list[Mesh]:
    count, low = int(random.integers(4, 9)), float(random.uniform(0.05, 0.45))
    sweep = float(random.normal(0, 0.2))
    out = []
    for k in range(count):
        azimuth = -1.1 + 2.2 * (k + 0.5) / count
        tip = low + 0.2 * float(random.random())
        out.append(
            lock(head, [(azimuth * 0.6, 1.15, 1.06), (azimuth, 0.75, 1.12), (azimuth + sweep, tip, 1.12)], width)
        )
    return out


def _around(head: Skull, random: np.random.Generator, width: float, count: int, drop: float, tip: float) -> list[Mesh]:
    """Locks from ear to ear about the back."""
    out = []
    for k in range(count):
        azimuth = 1.45 + (2 * np.pi - 2.9) * (k + 0.5) / count
        fall = drop * float(random.uniform(0.85, 1.1))
        out.append(lock(head, [(azimuth, 0.9, 1.05), (azimuth, 0.3, 1.1), (azimuth, tip, 1.12)], width, fall))
    return out


def _tail(start: np.ndarray, end: np.ndarray, bulge: np.ndarray, width: float) -> Mesh:
    steps = np.linspace(0, 1, 9)[:, None]
    path = start + (end - start) * steps + bulge * 4 * steps * (1 - steps)
    radii = width * (0.5 + 1.0 * np.sin(np.pi * np.clip(0.1 + 0.85 * steps[:, 0], 0, 1)))
    radii[-1] = 0.1 * width
    return tube(path, radii.tolist(), 0.9)


def _tails(head: Skull, random: np.random.Generator, style: str) -> list[Mesh]:
    size, length = head.size, head.size * float(random.uniform(0.6, 2.6))
    width = size * float(random.uniform(0.09, 0.2))
    if style in ("twin", "braids"):
        out = []
        tilt, spread = float(random.uniform(0.1, 0.9)), size * float(random.uniform(0.1, 0.7))
        for side in (1, -1):
            start = head.at(side * 1.7, tilt, 1.05)
            end = start + [side * spread, -length, -0.1 * size]
            if style == "braids":
                steps = np.linspace(0, 1, 9)[:, None]
                beads = start + (end - start) * steps
                out += [ellipsoid(p, (0.6 * width, 0.07 * length + 0.3 * width, 0.6 * width)) for p in beads]
            else:
                out.append(_tail(start, end, np.array([side * 0.25 * size, 0.1 * size, 0]), width))
        return out
    start = head.at(np.pi + (0.9 if style == "side" else 0), float(random.uniform(0.2, 1.1)), 1.05)
    if style == "bun":
        radius = size * float(random.uniform(0.16, 0.32))
        return [ellipsoid(start + (start - head.centre) * 0.25, (radius, radius, radius))]
    end = start + [0.3 * size if style == "side" else 0, -length, -0.25 * size]
    return [_tail(start, end, np.array([0, 0.15 * size, -0.3 * size]), width)]


def _spikes(head: Skull, random: np.random.Generator, wild: bool) -> list[Mesh]:
    out = []
    for _ in range(int(random.integers(16, 36))):
        azimuth, tilt = float(random.uniform(-np.pi, np.pi)), float(random.uniform(0.2, 1.45))
        if abs(azimuth) < 1.1 and tilt < 0.55:
            continue
        start = head.at(azimuth, tilt, 0.95)
        direction = (start - head.centre) / np.linalg.norm(start - head.centre) + [0, 0.3, -0.1]
        length = head.size * float(random.uniform(0.2, 0.75 if wild else 0.45))
        bend = np.array([0, -0.25 * length, 0])
        path = start + direction * length * np.array([0, 0.5, 1])[:, None] + bend * np.array([0, 0, 1])[:, None]
        out.append(tube(path, [0.12 * head.size, 0.08 * head.size, 0.003], 0.6))
    return out


def _curls(head: Skull, random: np.random.Generator, low: float) -> list[Mesh]:
    out = []
    for _ in range(70):
        azimuth, tilt = float(random.uniform(-np.pi, np.pi)), float(random.uniform(low, 1.5))
        if abs(azimuth) < 1.0 and tilt < 0.5:
            continue
        radius = head.size * float(random.uniform(0.08, 0.16))
        out.append(ellipsoid(head.at(azimuth, tilt, 1.08), (radius, radius, radius), 6, 8))
    return out


def _mohawk(head: Skull, random: np.random.Generator) -> list[Mesh]:
    tall = head.size * float(random.uniform(0.2, 0.5))
    out = []
    for angle in np.linspace(-0.3, 2.6, 9):
        start = head.centre + head.radii * [0, np.cos(angle - 0.6), np.sin(0.6 - angle)] * 0.95
        tip = start + (start - head.centre) / head.size * tall * 2
        out.append(
            tube(np.linspace(start, tip, 3), [0.13 * head.size, 0.11 * head.size, 0.004], 0.35, np.array([1.0, 0, 0]))
        )
    return out


def _big(head: Skull, random: np.random.Generator, style: str) -> list[Mesh]:
    """A volume about the whole head: its lower front is open."""
    out = float(random.uniform(1.25, 1.7)) if style in ("afro", "big") else 1.12
    low = float(random.uniform(-0.8, 0.1))
    return [cap(head, out, float(random.uniform(0.35, 0.6)), low, low - 0.2), cap(head, 1.04, 0.6, 0.1, -0.6)]


def _dreads(head: Skull, random: np.random.Generator) -> list[Mesh]:
    out, drop = [], head.size * float(random.uniform(0.1, 1.2))
    for _ in range(26):
        azimuth = float(random.uniform(0.9, 2 * np.pi - 0.9))
        out.append(
            lock(head, [(azimuth, 1.2, 1.05), (azimuth, 0.4, 1.15), (azimuth, -0.1, 1.2)], 0.06 * head.size, drop, 1.0)
        )
    return out


def hair_meshes(head: Skull, random: np.random.Generator, style: str) -> list[Mesh]:
    thick = 0.1 * head.size * float(random.uniform(0.8, 1.4))
    line = float(random.uniform(0.45, 0.8))
    base = [cap(head, float(random.uniform(1.05, 1.13)), line, float(random.uniform(0.0, 0.3)), -0.7)]
    bangs = _bangs(head, random, thick) if random.random() < 0.75 else []
    if style in ("afro", "big"):
        return _big(head, random, style)
    if style == "curls":
        return base + _curls(head, random, -0.5)
    if style == "mohawk":
        return _mohawk(head, random)
    if style in ("spiky", "wild"):
        return base + _spikes(head, random, style == "wild")
    if style == "dreads":
        return base + _dreads(head, random)
    if style == "bowl":
        return [cap(head, 1.12, 0.25, -0.2, -0.4)]
    if style == "short":
        return base + bangs
    if style in ("long", "bob"):
        drop = head.size * float(random.uniform(0.5, 2.2) if style == "long" else random.uniform(0.05, 0.35))
        fronts = [lock(head, [(s * 1.3, 0.8, 1.06), (s * 1.35, 0.0, 1.12)], thick, drop * 0.6) for s in (1, -1)]
        return base + bangs + fronts + _around(head, random, 1.5 * thick, 9, drop, -0.3)
    return base + bangs + _tails(head, random, style)


def hair(character: Character, random: np.random.Generator, style: str = "") -> Character:
    """New hair in place of the old."""
    head = skull(character)
    style = style or str(random.choice(STYLES))
    bald = without(character, character.parts == PART["hair"]) if (character.parts == PART["hair"]).any() else character
    mesh = merged(hair_meshes(head, random, style))
    out = attach(bald, mesh, "hair", rigid(len(mesh[0]), head.joint), hair_colour(random), "Hair")
    return with_top(out)


def with_top(character: Character) -> Character:
    """head_top lies on hair that stands higher than the skull over the head's middle, tails and ears aside."""
    at = character.parts == PART["hair"]
    head = skull(character)
    points = character.vertices[character.triangles[at]].reshape(-1, 3)
    near = points[
        (np.abs(points[:, 0] - head.centre[0]) < 0.5 * head.radii[0])
        & (np.abs(points[:, 2] - head.centre[2]) < head.radii[2])
    ]
    face = character.face
    if not len(near) or near[:, 1].max() <= face.head_top[1]:
        return character
    top = np.array([face.head_top[0], float(near[:, 1].max()), face.head_top[2]])
    return character.replace(face=dataclasses.replace(face, head_top=top))


def beard(character: Character, random: np.random.Generator) -> Character:
    """A full beard, a goatee, a moustache, or a long one. A moustache or full beard may hide the mouth."""
    head, face = skull(character), character.face
    if not np.isfinite(face.mouth.centre).all():
        raise ValueError(f"{character.name} has no mouth to grow a beard about")
    mouth, size = face.mouth.centre, head.size
    kind = str(random.choice(("full", "goatee", "moustache", "long")))
    front = max(float(mouth[2]), float(face.chin[2]))
    meshes: list[Mesh] = []
    if kind in ("full", "long"):
        length = size * float(random.uniform(0.15, 0.3) if kind == "full" else random.uniform(0.5, 1.3))
        for azimuth in np.linspace(-1.25, 1.25, 11):
            start = head.at(azimuth, -0.45 + 0.25 * abs(azimuth), 1.0)
            start[1] = min(start[1], mouth[1] - 0.02 * size + 0.16 * size * abs(azimuth))
            end = start + [-0.3 * (start[0] - head.centre[0]), -length * (1.2 - 0.5 * abs(azimuth)), 0.05 * size]
            meshes.append(tube(np.linspace(start, end, 5), [0.04 * size, 0.12 * size, 0.11 * size, 0.07 * size, 0.01]))
    if kind == "goatee":
        start = np.array([mouth[0], 0.5 * mouth[1] + 0.5 * face.chin[1], front])
        end = start + [0, -size * float(random.uniform(0.15, 0.5)), 0]
        meshes.append(tube(np.linspace(start, end, 4), [0.08 * size, 0.09 * size, 0.06 * size, 0.005], 0.5))
    if kind == "moustache" or random.random() < 0.6:
        width = size * float(random.uniform(0.14, 0.3))
        lift = size * float(random.uniform(0.03, 0.08))
        for side in (1, -1):
            start = np.array([mouth[0], mouth[1] + lift, mouth[2] + 0.02 * size])
            end = start + [side * width, -size * float(random.uniform(-0.05, 0.12)), -0.05 * size]
            middle = (start + end) / 2 + [0, 0.03 * size, 0.02 * size]
            meshes.append(tube(np.stack([start, middle, end]), [0.035 * size, 0.055 * size, 0.004]))
    mesh = merged(meshes)
    old = character.parts == PART["hair"]
    shade = commonest(triangle_colours(character)[old], areas(character)[old]) if old.any() else hair_colour(random)
    return attach(character, mesh, "hair", rigid(len(mesh[0]), head.joint), shade, "Beard")
