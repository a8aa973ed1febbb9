# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture as an atlas of two halves, front and back, and where each corner of the skin lies in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from .thickness import PARTS, Depth, Frame

PAD = 6  # pixels around the figure in each half
# Beyond this angle between normal and view, the texture runs back inwards instead of smearing the outline's pixels
# over the side.
RIM_DEGREES = 57.0, 72.0  # body, head: a face's outline carries hair, hats and headphones that the front must keep
RIM_BODY, RIM_HEAD = 0.42, 0.04  # how far back at the very rim, in local radii
# How deep inside the outline, in radii, what only the back shows begins and has taken over: the sides show what the
# front shows there.
FADE_TORSO, FADE_HEAD = (0.08, 0.45), (0.10, 0.32)
TRUNK_FLANKS, HEAD_FLANKS = (
    (0.06, 0.26),
    (0.12, 0.34),
)  # of a row's width, on either side: what the back is coloured after
# A cape: what of a row's width is its edge and its middle, and the share of the lower rows that must show it.
CAPE_EDGES, CAPE_MIDDLE, CAPE_SHARE = (0.02, 0.12), (0.36, 0.5), 0.5
CAPE_APART, CAPE_EVEN = (
    25.0,
    12.0,
)  # of 255: difference of a channel between edge and middle, and mean difference along the edge
SAME_COLOUR = 36.0  # largest difference of a channel, of 255


@dataclass
class Atlas:
    """image: (height, 2 * width, 3) uint8, front half left, back half right. scale and corner take pixels of the
    picture into a half.
    """

    image: np.ndarray
    scale: float
    corner: tuple[float, float]

    def uv(self, pixels: np.ndarray, back: np.ndarray) -> np.ndarray:
        """(…, 2) pixels of the picture and whether the back half is meant -> UV, origin bottom left."""
        height, width = self.image.shape[:2]
        x = (pixels[..., 0] - self.corner[0]) * self.scale + 0.5 + np.where(back, width / 2, 0)
        y = (pixels[..., 1] - self.corner[1]) * self.scale + 0.5
        return np.stack([x / width, 1 - y / height], -1)


def make_atlas(
    rgba: np.ndarray, mask: np.ndarray, depth: Depth, frame: Frame, joints: dict, face: dict, size: int
) -> Atlas:
    """Both halves, at most `size` pixels tall and wide each."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = max(rows[0] - PAD, 0), max(columns[0] - PAD, 0)
    window = slice(top, rows[-1] + 1 + PAD), slice(left, columns[-1] + 1 + PAD)
    solid = mask[window] & (rgba[window][..., 3] > 250)
    sure = ndimage.binary_erosion(solid, iterations=2)
    solid = sure if sure.any() else mask[window]
    front = _extended(rgba[window][..., :3], solid)
    back = _back(front, mask[window], solid, (left, top), depth, frame, joints, face)
    scale = min(1.0, size / max(front.shape[:2]))
    halves = [
        Image.fromarray(half).resize(
            (round(half.shape[1] * scale), round(half.shape[0] * scale)), Image.Resampling.LANCZOS
        )
        for half in (front, back)
    ]
    return Atlas(
        np.concatenate([np.asarray(half) for half in halves], 1), halves[0].height / front.shape[0], (left, top)
    )


def _extended(colours: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """Colours carried outwards from the sure inside of the figure, so that no background shows at its edge."""
    rows, columns = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    return np.ascontiguousarray(colours[rows, columns])


def _back(
    front: np.ndarray,
    mask: np.ndarray,
    solid: np.ndarray,
    corner: tuple[int, int],
    depth: Depth,
    frame: Frame,
    joints: dict,
    face: dict,
) -> np.ndarray:
    """The back half: the head shows what its crown shows, the trunk what its sides show, the limbs what they show in
    front.
    """
    row, column = np.mgrid[: front.shape[0], : front.shape[1]]
    cells = frame.to_cells(np.stack([column + corner[0], row + corner[1]], -1))
    at = [cells[..., 1], cells[..., 0]]
    parts = ndimage.map_coordinates(depth.parts, at, order=0, mode="nearest")
    inside = ndimage.map_coordinates(depth.inside, at, order=1, mode="nearest")
    head = mask & (parts == PARTS.index("head"))
    torso = mask & (parts == PARTS.index("torso"))
    nape = joints["head"][1] - corner[1]
    eyes = [face[name] for name in ("leftEye", "rightEye") if name in face]
    brow = min((eye["center"][1] - corner[1] - 2.2 * eye.get("half_height", 0) for eye in eyes), default=None)
    back = _blend(front.astype(np.float32), _plain_trunk(front, torso & solid), torso, inside, FADE_TORSO)
    cape = _cape(front, torso & solid, mask & solid & np.isin(parts, [PARTS.index("leftLeg"), PARTS.index("rightLeg")]))
    if cape is not None:
        back = _blend(back, np.broadcast_to(cape[0], back.shape), cape[1], inside, FADE_TORSO)
    return _blend(back, _back_of_head(front, head, brow, nape), head, inside, FADE_HEAD).round().astype(np.uint8)


def _blend(
    base: np.ndarray, other: np.ndarray, where: np.ndarray, inside: np.ndarray, fade: tuple[float, float]
) -> np.ndarray:
    """`other` inside a part, fading into `base` towards the outline (fade: of the part's radius) and softly at the
    part's own border.
    """
    radius = float(inside[where].max()) if where.any() else 1.0
    start, end = fade[0] * radius, fade[1] * radius
    weight = np.clip((inside - start) / (end - start), 0, 1) * where
    weight = ndimage.uniform_filter(weight.astype(np.float32), 9)[..., None]
    return base + (other - base) * weight


def _row_colours(
    front: np.ndarray, part: np.ndarray, band: tuple[float, float], calm: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a part and the colour that most of its flanks have in each; `calm`: share of the rows below which a
    stripe is ignored.

    A median along the rows keeps the edges of garments, which a mean would wash out.
    """
    rows = np.array([r for r in np.flatnonzero(part.any(1)) if part[r].sum() >= 24], int)
    colours = np.zeros((len(rows), 3), np.float32)
    for k, r in enumerate(rows):
        run = np.flatnonzero(part[r])
        near, far = (max(int(share * len(run)), 1) for share in band)
        colours[k] = np.median(front[r, np.concatenate([run[near:far], run[-far:-near]])], axis=0)
    window = max(len(rows) // calm, 1) | 1
    return rows, ndimage.median_filter(colours, size=(window, 1), mode="nearest") if len(rows) else colours


def _plain_trunk(front: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Each row of the trunk in the colour of its flanks: no buttons, zips or badges on the back, but belts and hems."""
    out = front.astype(np.float32)
    rows, colours = _row_colours(front, part, TRUNK_FLANKS, 9)
    if len(rows):
        out[rows] = ndimage.uniform_filter1d(colours, 5, axis=0, mode="nearest")[:, None]
    return out


def _cape(front: np.ndarray, torso: np.ndarray, legs: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(colour, where) of what hangs down the back, if one colour shows on both sides of trunk and legs, and not
    between; else None.
    """
    body = torso | legs
    rows, edges = _row_colours(front, body, CAPE_EDGES, 20)
    _, middle = _row_colours(front, body, CAPE_MIDDLE, 20)
    trunk = np.flatnonzero(torso.any(1))
    if not len(rows) or not len(trunk):
        return None
    low = rows > np.quantile(trunk, 0.4)
    if not low.any():
        return None
    colour = np.median(edges[low], axis=0)
    shows = np.abs(edges - colour).max(1) < SAME_COLOUR
    if (shows & (np.abs(middle - colour).max(1) > CAPE_APART))[low].mean() < CAPE_SHARE:
        return None
    if np.abs(edges[shows & low] - colour).mean() > CAPE_EVEN:
        return None
    # It ends where it stops showing, but for what a hand or a buckle hides.
    gap = len(rows) // 20 + 1
    held = ndimage.binary_closing(np.pad(shows & low, gap), iterations=gap)[gap:-gap]
    pieces, _ = ndimage.label(held)
    longest = int(np.bincount(pieces[pieces > 0]).argmax())
    where = body.copy()
    where[rows[pieces == longest][-1] + 1 :] = False
    return colour, where


def _back_of_head(front: np.ndarray, head: np.ndarray, brow: float | None, nape: float) -> np.ndarray:
    """Hair, hat, helmet or bald skin: the rows above the brow in the colour of their flanks, then on down to the nape
    as they end.

    brow: the row where the forehead begins, if it is known. A bare forehead above it is left out.
    nape: the row of the head joint; below it the neck keeps its own colour unless hair hangs beside it.
    """
    out = front.astype(np.float32)
    rows, colours = _row_colours(front, head, HEAD_FLANKS, 12)
    if len(rows) < 8:
        return out
    top, height = rows[0], rows[-1] - rows[0]
    brow = top + 0.45 * height if brow is None else float(np.clip(brow, top + 0.18 * height, top + 0.6 * height))
    skin = _face_colour(front, head, int(brow + 0.15 * height), int(brow + 0.5 * height))
    crown = np.median(colours[(rows > top + 0.06 * height) & (rows < top + 0.25 * height)], axis=0)
    covered = rows < brow
    if np.abs(crown - skin).max() > SAME_COLOUR:  # not bald
        covered &= np.abs(colours - skin).max(1) > SAME_COLOUR
    last = np.maximum.accumulate(np.where(covered, np.arange(len(rows)), 0))
    calm = len(rows) // 12  # the hairline's mixture of hair and skin is not carried on
    held = np.where(np.arange(len(rows)) > last, np.maximum(last - calm, 0), last)
    neck = (rows > nape) & (np.abs(colours - crown).max(1) > SAME_COLOUR)
    held[neck] = np.flatnonzero(neck)
    out[rows] = ndimage.uniform_filter1d(colours[held], max(len(rows) // 40, 1) | 1, axis=0, mode="nearest")[:, None]
    return out


def _face_colour(front: np.ndarray, head: np.ndarray, start: int, end: int) -> np.ndarray:
    """The colour that most of the middle of the face has, between two rows."""
    pixels = []
    for r in range(start, min(end, len(head))):
        run = np.flatnonzero(head[r])
        if len(run) >= 8:
            pixels.append(front[r, run[int(0.35 * len(run)) : int(0.65 * len(run)) + 1]])
    return np.median(np.concatenate(pixels), axis=0) if pixels else np.zeros(3)


def corner_uvs(
    vertices: np.ndarray, triangles: np.ndarray, normals: np.ndarray, depth: Depth, frame: Frame, atlas: Atlas
) -> np.ndarray:
    """(T, 3, 2) UV of every corner: triangles that look forward take the front half, the others the back half.

    normals: (V, 3) of the vertices. The rim's corners are moved inwards, the same way on both halves, so that the
    halves meet.
    """
    pixels = frame.to_pixels(vertices[:, :2])
    cells = frame.to_cells(pixels)
    at = [cells[:, 1], cells[:, 0]]
    inside = ndimage.gaussian_filter(depth.inside, 1.0)
    slope_row, slope_column = (ndimage.map_coordinates(g, at, order=1, mode="nearest") for g in np.gradient(inside))
    length = np.maximum(np.hypot(slope_row, slope_column), 1e-6)
    thick = ndimage.maximum_filter(np.sqrt(np.maximum(depth.square, 0)), size=5)
    radius = ndimage.map_coordinates(thick, at, order=1, mode="nearest")
    figure = depth.inside > 0
    share = ndimage.gaussian_filter(((depth.parts == PARTS.index("head")) & figure).astype(float), 3)
    head = ndimage.map_coordinates(
        share / (ndimage.gaussian_filter(figure.astype(float), 3) + 1e-3), at, order=1, mode="nearest"
    )
    angle = np.degrees(np.arccos(np.clip(np.abs(normals[:, 2]), 0, 1)))
    head = np.clip(head, 0, 1)
    start = RIM_DEGREES[0] + (RIM_DEGREES[1] - RIM_DEGREES[0]) * head
    amount = np.clip((angle - start) / (90 - start), 0, 1) * (RIM_BODY + (RIM_HEAD - RIM_BODY) * head) * radius
    amount += 1.2 / frame.pixels * (angle > start)  # never the outermost pixels, where the picture's edge is
    moved = cells + np.stack([slope_column, slope_row], 1) / length[:, None] * amount[:, None]
    pixels = moved * frame.pixels + frame.origin
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    back = np.cross(b - a, c - a)[:, 2] < 0
    return atlas.uv(pixels[triangles], np.broadcast_to(back[:, None], triangles.shape))
