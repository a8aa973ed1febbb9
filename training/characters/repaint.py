# SPDX-License-Identifier: GPL-3.0-or-later
"""Paints a face onto the front of any Character's head and takes its truth from the drawing.

The face's front triangles get a new texture, projected along Z: what they showed stays where nothing is painted, the
old eyes and mouth are covered with skin.
"""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import resvg_py
from PIL import Image
from scipy import ndimage

from . import facepaint
from .character import PART, Character, Face, Feature
from .labels import areas, commonest, triangle_colours
from .raster import colours, rasterise

SIDE = 512
FRONT = 0.12  # least share of Z in the normal of a triangle that is painted


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the face goes: the point between the eyes (x, y) and the eyes' distance, in metres, bind pose."""

    x: float
    y: float
    apart: float


def skin_colour(character: Character) -> np.ndarray:
    """(3,) 0..255: the commonest colour of the face; of the whole body where there is no face."""
    face = character.parts == PART["face"]
    face = face if face.any() else np.ones(len(face), bool)
    return commonest(triangle_colours(character)[face], areas(character)[face])


def head_span(character: Character) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner (3,) of the face's triangles."""
    at = character.parts == PART["face"]
    corners = character.vertices[character.triangles[at]].reshape(-1, 3)
    return corners.min(0), corners.max(0)


def default_layout(character: Character) -> Layout:
    """Where the eyes are, or where they would be on such a head."""
    face = character.face
    left, right = face.left_eye.centre, face.right_eye.centre
    low, high = head_span(character)
    if np.isfinite([left, right]).all() and np.linalg.norm(left - right) > 1e-3:
        middle = (left + right) / 2
        return Layout(float(middle[0]), float(middle[1]), float(np.linalg.norm((left - right)[:2])))
    bottom = face.chin[1] if np.isfinite(face.chin).all() else low[1]
    width = float(high[0] - low[0])
    return Layout(float((low[0] + high[0]) / 2), float(bottom + 0.42 * (high[1] - bottom)), 0.42 * width)


def random_layout(
    random: np.random.Generator, character: Character, style: facepaint.Style
) -> tuple[Layout, facepaint.Style]:
    """A place for a face of this style, and the style with a mouth that stays above the chin."""
    found = default_layout(character)
    low, high = head_span(character)
    width, chin = float(high[0] - low[0]), character.face.chin[1]
    apart = float(np.clip(found.apart * random.uniform(0.9, 1.35), 0.25 * width, 0.56 * width))
    below = found.y - (chin if np.isfinite(chin) else low[1])
    y = found.y + 0.05 * below * float(random.normal())
    room = max(below / apart - 0.12, 0.4)
    return (
        Layout(found.x, y, apart),
        dataclasses.replace(style, mouth_y=-float(np.clip(-style.mouth_y, 0.5 * room, 0.86 * room))),
    )


@dataclasses.dataclass(frozen=True)
class _Front:
    """The painted triangles (T,) bool, seen from the front: middle (2,) and pixels per metre of the texture, which
    triangle (SIDE, SIDE) and depth shows where, and the colours as they are.
    """

    where: np.ndarray
    middle: np.ndarray
    scale: float
    depth: np.ndarray
    image: np.ndarray


def _front(character: Character) -> _Front:
    corners = character.vertices[character.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    face = character.parts == PART["face"]
    if not face.any():
        raise ValueError(f"{character.name} has no face")
    low, high = head_span(character)
    half = (low[2] + high[2]) / 2 - 0.1 * (high[2] - low[2])
    where = face & (normals[:, 2] > FRONT) & (corners.mean(1)[:, 2] > half)
    if not where.any():
        raise ValueError(f"{character.name} has no front of a face")
    points = corners[where].reshape(-1, 3)
    low, high = points.min(0), points.max(0)
    middle, scale = ((low + high) / 2)[:2], SIDE / (float((high - low)[:2].max()) * 1.01)
    picked = np.flatnonzero(where)
    ids, depth, weights = rasterise(
        character.vertices, character.triangles[picked], (middle[0], middle[1]), scale, (SIDE, SIDE)
    )
    ids = np.where(ids >= 0, picked[ids], -1)
    return _Front(where, middle, scale, depth, _filled(colours(character, ids, weights), ids >= 0))


def _textured(character: Character, front: _Front, image: Image.Image) -> Character:
    """The front's triangles show the image, projected along Z."""
    corners = character.vertices[character.triangles[front.where]]
    uvs = (corners[..., :2] - front.middle) * [front.scale, -front.scale] / SIDE + 0.5
    corner_uvs, materials = character.corner_uvs.copy(), character.materials.copy()
    corner_uvs[front.where] = np.clip(uvs, 0, 1 - 1e-6)
    materials[front.where] = len(character.textures)
    return character.replace(
        corner_uvs=corner_uvs.astype(np.float32),
        materials=materials,
        textures=(*character.textures, np.asarray(image).copy()),
        material_names=(*character.material_names, "PaintedFace"),
    )


def repaint(character: Character, style: facepaint.Style, layout: Layout) -> Character:
    """Raises ValueError where the character has no face to paint on."""
    front = _front(character)
    svg, drawn = facepaint.draw(style)
    image = _cover(front.image, style, layout, front.middle, front.scale)
    image = Image.alpha_composite(image, _picture(svg, layout, front.middle, front.scale))
    nearest = float(front.depth.max())

    def feature(name: str) -> Feature:
        found = drawn[name]
        x, y = layout.x + found.x * layout.apart, layout.y + found.y * layout.apart
        column = int(np.clip((x - front.middle[0]) * front.scale + SIDE / 2, 0, SIDE - 1))
        row = int(np.clip((front.middle[1] - y) * front.scale + SIDE / 2, 0, SIDE - 1))
        near = front.depth[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5]
        near = near[np.isfinite(near)]
        z = float(near.max()) if len(near) else nearest
        return Feature(
            np.array([x, y, z]), found.half_width * layout.apart, found.half_height * layout.apart, found.state
        )

    painted = Face(
        feature("left_eye"), feature("right_eye"), feature("mouth"), character.face.head_top, character.face.chin
    )
    return _textured(character, front, image).replace(face=painted)


def make_up(character: Character, random: np.random.Generator) -> Character:
    """Brows, lashes and marks on a modelled face; its own eyes and mouth stay. Raises ValueError without eyes."""
    eye = character.face.left_eye
    if not np.isfinite([*eye.centre, *character.face.right_eye.centre, eye.half_width]).all():
        raise ValueError(f"{character.name} has no eyes of its own")
    front, layout = _front(character), default_layout(character)
    style = dataclasses.replace(
        random_style(random, character), width=eye.half_width / layout.apart, height=eye.half_height / layout.apart
    )
    image = Image.fromarray(np.dstack([front.image, np.full((SIDE, SIDE), 255)]).astype(np.uint8), "RGBA")
    details = _picture(facepaint.draw_details(style), layout, front.middle, front.scale)
    return _textured(character, front, Image.alpha_composite(image, details))


def _filled(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pixels beside the face take the colour of the nearest pixel on it, so that no seam shows at its border."""
    if not known.any():
        return image
    rows, columns = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return image[rows, columns]


def _cover(image: np.ndarray, style: facepaint.Style, layout: Layout, middle: np.ndarray, scale: float) -> Image.Image:
    """Skin over everything between brows and chin, with a soft border."""
    x = (layout.x - middle[0]) * scale + SIDE / 2
    y = (middle[1] - layout.y) * scale + SIDE / 2
    unit = layout.apart * scale
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    below = (0.3 - style.mouth_y) * unit
    reach = np.hypot((columns - x) / (1.05 * unit), (rows - y) / np.where(rows < y, 0.8 * unit, below))
    amount = np.clip((1.15 - reach) / 0.2, 0, 1)[..., None]
    out = image * (1 - amount) + np.array(style.skin, float) * amount
    return Image.fromarray(np.dstack([out.round(), np.full((SIDE, SIDE), 255)]).astype(np.uint8), "RGBA")


def _picture(svg: str, layout: Layout, middle: np.ndarray, scale: float) -> Image.Image:
    x = (layout.x - middle[0]) * scale + SIDE / 2
    y = (middle[1] - layout.y) * scale + SIDE / 2
    unit = layout.apart * scale
    document = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIDE}" height="{SIDE}">'
        f'<g transform="translate({x:.3f} {y:.3f}) scale({unit:.4f})">{svg}</g></svg>'
    )
    data = bytes(resvg_py.svg_to_bytes(svg_string=document, skip_system_fonts=True))
    return Image.open(io.BytesIO(data)).convert("RGBA")


def random_style(random: np.random.Generator, character: Character) -> facepaint.Style:
    """A style in the character's own colours of skin and hair."""
    skin = tuple(int(v) for v in skin_colour(character))
    hair = character.parts == PART["hair"]
    shade = random.integers(20, 90, 3)
    if hair.any():
        shade = commonest(triangle_colours(character)[hair], areas(character)[hair])
    return facepaint.random_style(random, skin, tuple(int(v) for v in shade))  # type: ignore[arg-type]


def random_repaint(character: Character, random: np.random.Generator, mouth: str = "") -> Character:
    """A random face; mouth: that one instead of a random one."""
    style = random_style(random, character)
    if mouth:
        style = dataclasses.replace(style, mouth=mouth, nose="none" if mouth == "none" else style.nose)
    layout, style = random_layout(random, character, style)
    return repaint(character, style, layout)
