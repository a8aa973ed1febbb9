# SPDX-License-Identifier: GPL-3.0-or-later
"""A contact sheet to look at characters: front view lit, parts in colours, the face with its truth.

python -m training.characters.sheet OUT.png --cc0 FOLDER | --formula N [--seed S]
"""

from __future__ import annotations

import argparse
import colorsys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .character import PART, PARTS, Character, vertex_normals
from .raster import colours, rasterise

TILE = 200
LIGHT = np.array([0.35, 0.5, 0.8])
PALETTE = np.array(
    [[255, 255, 255]]
    + [[round(255 * v) for v in colorsys.hsv_to_rgb(0.618 * k % 1, 0.75, 0.95 - 0.3 * (k % 2))] for k in range(19)],
    np.uint8,
)


def _view(character: Character, centre: np.ndarray, span: float, yaw: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Lit colours (TILE, TILE, 3) and part labels (TILE, TILE)."""
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    vertices = character.vertices @ turn.T
    ids, _, weights = rasterise(
        vertices, character.triangles, ((turn @ centre)[0], centre[1]), TILE / span, (TILE, TILE)
    )
    normals = vertex_normals(vertices, character.triangles)[character.triangles[ids]]
    light = np.abs(np.einsum("yxk,yxkc->yxc", weights, normals) @ (LIGHT / np.linalg.norm(LIGHT)))
    image = colours(character, ids, weights) * np.where(ids >= 0, 0.45 + 0.6 * light, 1)[..., None]
    return np.clip(image, 0, 255).astype(np.uint8), np.where(ids >= 0, character.parts[ids], 0)


def _mark(image: Image.Image, character: Character, centre: np.ndarray, span: float) -> None:
    draw = ImageDraw.Draw(image)
    scale = TILE / span
    face = character.face
    for feature, colour in ((face.left_eye, "#f0f"), (face.right_eye, "#0c0"), (face.mouth, "#f80")):
        x, y = (feature.centre[:2] - centre[:2]) * scale * [1, -1] + TILE / 2
        if np.isfinite(feature.half_width) and feature.state in ("drawn", "closed"):
            w, h = feature.half_width * scale, feature.half_height * scale
            draw.rectangle([x - w, y - h, x + w, y + h], outline=colour)
        elif np.isfinite(x):
            draw.line([x - 3, y - 3, x + 3, y + 3], fill=colour)
            draw.line([x - 3, y + 3, x + 3, y - 3], fill=colour)
    for point in (face.head_top, face.chin):
        y = (centre[1] - point[1]) * scale + TILE / 2
        if np.isfinite(y):
            draw.line([TILE * 0.3, y, TILE * 0.7, y], fill="#00f")


def sheet(characters: Iterable[Character], columns: int = 4) -> Image.Image:
    """Per character four views side by side: front, turned by 40 degrees, parts, face with truth."""
    rows = []
    for character in characters:
        low, high = character.vertices.min(0), character.vertices.max(0)
        middle, span = (low + high) / 2, float((high - low)[:2].max()) * 1.05
        front, parts = _view(character, middle, span)
        turned, _ = _view(character, middle, span, -0.7)
        head = np.isin(character.parts, (PART["face"], PART["hair"], PART["headgear"]))
        skin = np.unique(character.triangles[character.parts == PART["face"]])
        corners = character.vertices[skin if len(skin) else np.unique(character.triangles[head])]
        centre = middle if not len(corners) else (corners.min(0) + corners.max(0)) / 2
        near = span if not len(corners) else float(np.ptp(corners[:, :2], axis=0).max()) * 1.15
        face = Image.fromarray(_view(character, centre, near)[0])
        _mark(face, character, centre, near)
        tile = Image.fromarray(np.hstack([front, turned, PALETTE[parts % len(PARTS)], np.asarray(face)]))
        ImageDraw.Draw(tile).text((3, 2), character.name, fill="#000")
        rows.append(np.asarray(tile))
    blank = np.full_like(rows[0], 255)
    rows += [blank] * (-len(rows) % columns)
    return Image.fromarray(np.vstack([np.hstack(rows[k : k + columns]) for k in range(0, len(rows), columns)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cc0", type=Path)
    parser.add_argument("--names", default="", help="only characters whose name has this in it")
    parser.add_argument("--columns", type=int, default=2)
    options = parser.parse_args()
    from .glb import load_glb, load_index

    entries = [entry for entry in load_index(options.cc0) if options.names in entry["name"]]
    sheet((load_glb(options.cc0, entry) for entry in entries), options.columns).save(options.out)


if __name__ == "__main__":
    main()
