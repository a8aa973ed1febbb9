# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture as an atlas of two halves, front and back, and where each corner of the skin lies in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from .thickness import PARTS, Depth, Frame

PAD = 6  # pixels around the figure in each half
# Beyond this angle between normal and view, the texture runs back inwards instead of smearing the outline's pixels over the side.
RIM_DEGREES = 57.0
RIM_BODY, RIM_HEAD = 0.42, 0.10  # how far back at the very rim, in local radii


@dataclass
class Atlas:
    """image: (height, 2 * width, 3) uint8, front half left, back half right. scale and corner take pixels of the picture into a half."""

    image: np.ndarray
    scale: float
    corner: tuple[float, float]

    def uv(self, pixels: np.ndarray, back: np.ndarray) -> np.ndarray:
        """(…, 2) pixels of the picture and whether the back half is meant -> UV, origin bottom left."""
        height, width = self.image.shape[:2]
        x = (pixels[..., 0] - self.corner[0]) * self.scale + 0.5 + np.where(back, width / 2, 0)
        y = (pixels[..., 1] - self.corner[1]) * self.scale + 0.5
        return np.stack([x / width, 1 - y / height], -1)


def make_atlas(rgba: np.ndarray, mask: np.ndarray, depth: Depth, frame: Frame, joints: dict, face: dict, size: int) -> Atlas:
    """Both halves, at most `size` pixels tall and wide each."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = max(rows[0] - PAD, 0), max(columns[0] - PAD, 0)
    window = slice(top, rows[-1] + 1 + PAD), slice(left, columns[-1] + 1 + PAD)
    solid = mask[window] & (rgba[window][..., 3] > 250)
    solid = ndimage.binary_erosion(solid, iterations=2) if ndimage.binary_erosion(solid, iterations=2).any() else mask[window]
    front = _extended(rgba[window][..., :3], solid)
    back = _back(front, mask[window], solid, (left, top), depth, frame, joints, face)
    scale = min(1.0, size / max(front.shape[:2]))
    halves = [Image.fromarray(half).resize((round(half.shape[1] * scale), round(half.shape[0] * scale)), Image.Resampling.LANCZOS) for half in (front, back)]
    return Atlas(np.concatenate([np.asarray(half) for half in halves], 1), halves[0].height / front.shape[0], (left, top))


def _extended(colours: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """Colours carried outwards from the sure inside of the figure, so that no background shows at its edge."""
    rows, columns = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    return np.ascontiguousarray(colours[rows, columns])


def _back(front: np.ndarray, mask: np.ndarray, solid: np.ndarray, corner: tuple[int, int], depth: Depth, frame: Frame, joints: dict, face: dict) -> np.ndarray:
    """The back half: the head shows what its crown shows, the trunk what its sides show, the limbs what they show in front."""
    row, column = np.mgrid[: front.shape[0], : front.shape[1]]
    cells = frame.to_cells(np.stack([column + corner[0], row + corner[1]], -1))
    at = [cells[..., 1], cells[..., 0]]
    parts = ndimage.map_coordinates(depth.parts, at, order=0, mode="nearest")
    inside = ndimage.map_coordinates(depth.inside, at, order=1, mode="nearest")
    back = front.astype(np.float32)
    head = mask & (parts == PARTS.index("head"))
    torso = mask & (parts == PARTS.index("torso"))
    shifted = {name: np.asarray(point, float) - corner for name, point in joints.items()}
    back = _blend(back, _sides_extended(front, torso & solid), torso, inside, 0.10 * _radius(inside, torso))
    return _blend(back, _crown(front, head, shifted, face, corner), head, inside, 0.16 * _radius(inside, head)).round().astype(np.uint8)


def _radius(inside: np.ndarray, part: np.ndarray) -> float:
    return float(inside[part].max()) if part.any() else 1.0


def _blend(base: np.ndarray, other: np.ndarray, where: np.ndarray, inside: np.ndarray, rim: float) -> np.ndarray:
    """`other` in a part, fading into `base` within `rim` cells of the outline and softly at the part's own border."""
    weight = np.clip(inside / max(rim, 1e-6), 0, 1) * where
    weight = np.minimum(ndimage.gaussian_filter(weight, 3), 1)[..., None]
    return base * (1 - weight) + other * weight


def _sides_extended(front: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Each row of the trunk filled from what lies at a sixth of its width from either side: no buttons, zips or faces on the back."""
    out = front.astype(np.float32)
    calm = np.asarray(Image.fromarray(front).filter(ImageFilter.MedianFilter(7)))
    for r in np.flatnonzero(part.any(1)):
        run = np.flatnonzero(part[r])
        left, right = run[0], run[-1]
        width = right - left
        if width < 8:
            continue
        a, b = left + width // 6, right - width // 6
        t = np.clip((np.arange(left, right + 1) - a) / max(b - a, 1), 0, 1)[:, None]
        ends = [np.median(calm[r, max(x - width // 24, 0) : x + width // 24 + 1], axis=0) for x in (a, b)]
        filled = ends[0] * (1 - t) + ends[1] * t
        keep = (t == 0) | (t == 1)
        out[r, left : right + 1] = np.where(keep, out[r, left : right + 1], filled)
    smooth = ndimage.gaussian_filter(out, (1.5, 0, 0))
    return np.where(part[..., None], smooth, out)


def _crown(front: np.ndarray, head: np.ndarray, joints: dict, face: dict, corner: tuple[int, int]) -> np.ndarray:
    """The head's part above the eyes stretched down over all of it: hair, hat, helmet or bald skin, whatever is up there."""
    out = front.astype(np.float32)
    rows = np.flatnonzero(head.any(1))
    if not len(rows):
        return out
    top, bottom = rows[0], rows[-1]
    brow = top + 0.45 * (bottom - top)
    if {"leftEye", "rightEye"} <= face.keys():
        eyes = [face[name]["center"][1] - corner[1] - 2.2 * face[name].get("half_height", 0) for name in ("leftEye", "rightEye")]
        brow = float(np.clip(min(eyes), top + 0.18 * (bottom - top), top + 0.55 * (bottom - top)))
    ends = np.array([[np.flatnonzero(head[r])[0], np.flatnonzero(head[r])[-1]] if head[r].any() else (0, 0) for r in range(len(head))], float)
    for r in rows:
        source = top + (r - top) * (brow - top) / max(bottom - top, 1)
        run = np.arange(int(ends[r, 0]), int(ends[r, 1]) + 1)
        near = int(round(source))
        middle, half = ends[r].mean(), max(np.ptp(ends[r]) / 2, 1)
        source_half = np.ptp(ends[near]) / 2
        x = ends[near].mean() + (run - middle) / half * source_half * 0.9
        for channel in range(3):
            out[r, run, channel] = ndimage.map_coordinates(front[..., channel], [np.full(len(x), source), x], order=1, output=np.float32)
    return out


def corner_uvs(vertices: np.ndarray, triangles: np.ndarray, normals: np.ndarray, depth: Depth, frame: Frame, atlas: Atlas) -> np.ndarray:
    """(T, 3, 2) UV of every corner: triangles that look forward take the front half, the others the back half.

    normals: (V, 3) of the vertices. The rim's corners are moved inwards, the same way on both halves, so that the halves meet.
    """
    pixels = frame.to_pixels(vertices[:, :2])
    cells = frame.to_cells(pixels)
    at = [cells[:, 1], cells[:, 0]]
    inside = ndimage.gaussian_filter(depth.inside, 1.0)
    slope_row, slope_column = (ndimage.map_coordinates(g, at, order=1, mode="nearest") for g in np.gradient(inside))
    length = np.maximum(np.hypot(slope_row, slope_column), 1e-6)
    thick = ndimage.maximum_filter(np.sqrt(np.maximum(depth.square, 0)), size=5)
    radius = ndimage.map_coordinates(thick, at, order=1, mode="nearest")
    head = ndimage.map_coordinates(ndimage.gaussian_filter((depth.parts == PARTS.index("head")).astype(float), 3), at, order=1)
    angle = np.degrees(np.arccos(np.clip(np.abs(normals[:, 2]), 0, 1)))
    amount = np.clip((angle - RIM_DEGREES) / (90 - RIM_DEGREES), 0, 1) * (RIM_BODY + (RIM_HEAD - RIM_BODY) * np.clip(head, 0, 1)) * radius
    amount += 1.2 / frame.pixels * (angle > RIM_DEGREES)  # never the outermost pixels, where the picture's edge is
    moved = cells + np.stack([slope_column, slope_row], 1) / length[:, None] * amount[:, None]
    pixels = moved * frame.pixels + frame.origin
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    back = np.cross(b - a, c - a)[:, 2] < 0
    return atlas.uv(pixels[triangles], np.broadcast_to(back[:, None], triangles.shape))
