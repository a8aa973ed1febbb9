# SPDX-License-Identifier: GPL-3.0-or-later
"""The texture: the picture on the front; sides and back texel by texel from what each part would show there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from ..mesh.raster import covered
from .body import ARMS, HEAD, LEGS, TORSO, smooth
from .charts import FADE, FRONT, RIM, Charts, make_charts, on_grid, rim_map
from .flanks import LIMB_BANDS, LIMB_CALM, TRUNK_BANDS, TRUNK_CALM, Flanks, at_rows, ramp, sampled
from .head_paint import HAIR, HAT, HEADGEAR, TOLD, HeadLines, HeadPaint, read_head
from .sides import Views, without_hand
from .solid import Depth
from .strokes import Cleaned, cleaned
from .thickness import Frame
from .volume import Skin

AROUND_ARM = 0.012  # of the height: as far around an arm a side picture is not looked at
HANGING = 0.7  # a forearm's share downwards from which it hangs
FRONT_ONLY = 0.35  # half widths of the trunk around its middle that do not show on its back
PAD = 6  # pixels around the figure in the cut-out
OCCLUSION, REACH = 0.08, 0.014  # darkest, and how far what darkens stands, of the height


@dataclass
class Texture:
    """image: (H, W, 3) uint8; uvs: (T, 3, 2), origin bottom left. stroke: metres, the width of the picture's line, 0
    without one; ink: (3,) uint8, its colour.
    """

    image: np.ndarray
    uvs: np.ndarray
    stroke: float
    ink: np.ndarray


@dataclass
class Texels:
    """Points on the skin that want a colour. pixels: (N, 2) of the cut-out; points, normals: (N, 3); part, cape: (N,);
    rim: (N,) local radii inside the outline.
    """

    pixels: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    part: np.ndarray
    cape: np.ndarray
    rim: np.ndarray


def paint(
    rgba: np.ndarray,
    mask: np.ndarray,
    skin: Skin,
    normals: np.ndarray,
    depth: Depth,
    frame: Frame,
    joints: dict[str, tuple[float, float]],
    face: dict[str, Any],
    size: int,
    views: Views,
    kinds: np.ndarray | None = None,
) -> Texture:
    """rgba (H, W, 4), mask (H, W): the picture; joints, face: its pixels; normals: (V, 3) of the skin; kinds: (H, W) of
    head_paint.KINDS.
    """
    painter = Painter(rgba, mask, depth, frame, joints, face, views, kinds)
    axes = {label: flanks.axis for label, flanks in painter.flanks.items()}
    charts = make_charts(skin, normals, depth, frame, painter.corner, painter.mask.shape, size, axes)
    image = painter.image(skin, charts)
    stroke = painter.clean.stroke * frame.cell / frame.pixels
    return Texture(image, charts.uvs(), stroke, painter.clean.ink)


class Painter:
    """What one picture tells of every side of its figure."""

    def __init__(
        self,
        rgba: np.ndarray,
        mask: np.ndarray,
        depth: Depth,
        frame: Frame,
        joints: dict[str, tuple[float, float]],
        face: dict[str, Any],
        views: Views,
        kinds: np.ndarray | None = None,
    ) -> None:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, left = max(int(rows[0]) - PAD, 0), max(int(columns[0]) - PAD, 0)
        window = slice(top, rows[-1] + 1 + PAD), slice(left, columns[-1] + 1 + PAD)
        self.corner, self.depth, self.frame = (left, top), depth, frame
        self.mask = mask[window]
        self.tall = int(np.ptp(rows)) + 1
        self.clean: Cleaned = cleaned(rgba[window], self.mask)
        self.rim = rim_map(depth)
        cells = self._cells()
        self.parts = on_grid(depth.parts, cells, order=0).reshape(self.mask.shape)
        self.views = self._without_hands(views, joints)
        self.cape = np.zeros(self.mask.shape, bool)
        if depth.cape is not None:
            self.cape = on_grid(depth.cape.shown.astype(np.float32), cells).reshape(self.mask.shape) > 0.5
        arm, thick = (depth.inside > 0) & np.isin(depth.parts, ARMS), depth.thick
        # A side picture's arm is not quite where the front's is.
        reach = AROUND_ARM * depth.body.height
        near = 2 * round(reach) + 1
        lowest = ndimage.minimum_filter1d(np.where(arm, depth.centre - thick, np.inf).min(1), near) - reach
        highest = ndimage.maximum_filter1d(np.where(arm, depth.centre + thick, -np.inf).max(1), near) + reach
        self.arm_depths = np.stack([lowest, highest], 1)
        self.flanks = self._flanks({name: np.array(point, float) - self.corner for name, point in joints.items()})
        self.head = self._head(face, None if kinds is None else kinds[window])
        self.cape_rows = self._cape_rows()

    def _cells(self) -> np.ndarray:
        row, column = np.indices(self.mask.shape)
        return self.frame.to_cells(np.stack([column.ravel() + self.corner[0], row.ravel() + self.corner[1]], -1))

    def _without_hands(self, views: Views, joints: dict[str, tuple[float, float]]) -> Views:
        """Side pictures without the hand that hangs before the hip there: it is the arm's, not the hip's."""
        for side, label in zip(("left", "right"), ARMS, strict=True):
            elbow, wrist = (np.array(joints[side + part]) - self.corner for part in ("LowerArm", "Hand"))
            along = wrist - elbow
            row, column = np.nonzero((self.parts == label) & self.mask & self.clean.sure)
            beyond = (np.column_stack([column, row]) - wrist) @ along > 0
            if along[1] < HANGING * np.hypot(*along) or beyond.sum() < 20:
                continue
            colour = np.median(self.clean.colours[row[beyond], column[beyond]], axis=0)
            span = float(wrist[1]) + self.corner[1], float(row[beyond].max()) + self.corner[1]
            views = without_hand(views, colour, span, 0.02 * self.tall)
        return views

    def _flanks(self, joints: dict[str, np.ndarray]) -> dict[int, Flanks]:
        sure = self.clean.sure & self.mask & ~self.cape
        down = np.array([0.0, 1.0])
        axes = {
            label: joints[f"{s}Hand"] - joints[f"{s}UpperArm"] for s, label in zip(("left", "right"), ARMS, strict=True)
        }
        found = {}
        for label in (*ARMS, *LEGS, TORSO):
            where = sure & (self.parts == label)
            bands, calm = (TRUNK_BANDS, TRUNK_CALM) if label == TORSO else (LIMB_BANDS, LIMB_CALM)
            if where.sum() > 50:
                found[label] = Flanks(self.clean.colours, where, axes.get(label, down), bands, calm * self.tall)
        return found

    def _head(self, face: dict[str, Any], kinds: np.ndarray | None) -> HeadPaint | None:
        where = self.mask & (self.parts == HEAD) & ~self.cape
        if not where.any():
            return None
        body, frame, (left, top) = self.depth.body, self.frame, self.corner
        crown = float(np.flatnonzero(where.any(1))[0])
        chin = body.chin * frame.pixels + frame.origin[1] - top
        height = chin - crown
        eyes = [face[name] for name in ("leftEye", "rightEye") if name in face]
        brows = [eye["center"][1] - top - 1.9 * eye.get("half_height", 0.05 * height) for eye in eyes]
        brow = float(np.clip(min(brows, default=crown + 0.5 * height), crown + 0.2 * height, crown + 0.66 * height))
        row = float(np.mean([eye["center"][1] for eye in eyes]) - top) if eyes else crown + 0.55 * height
        middle = body.axis * frame.pixels + frame.origin[0] - left
        brim = self.depth.head.brim
        hat = None if brim is None else brim * frame.pixels + frame.origin[1] - top
        if hat is not None and kinds is not None:
            above = kinds[: max(int(hat), 1)][where[: max(int(hat), 1)]]
            hair = (above == HAIR).mean() > TOLD and (above == HEADGEAR).mean() < HAT
            hat = None if hair else hat
        lines = HeadLines(middle, chin, brow, row, height, self.depth.head.half * frame.pixels, hat)
        return read_head(self.clean.colours, where, lines, kinds)

    def _cape_rows(self) -> np.ndarray | None:
        """(H, 3): the cape's colour row by row."""
        rows, known = np.zeros((len(self.mask), 3), np.float32), np.zeros(len(self.mask), bool)
        shown = self.cape & self.clean.sure
        for r in np.flatnonzero(shown.sum(1) > 6):
            rows[r], known[r] = np.median(self.clean.colours[r][shown[r]], axis=0), True
        return ramp(rows, known, 0.05 * self.tall)

    def image(self, skin: Skin, charts: Charts) -> np.ndarray:
        """(H, W, 3) uint8."""
        image = np.zeros((*charts.shape, 3), np.float32)
        painted = np.zeros(charts.shape, bool)
        rows, columns = charts.front_shape
        front = Image.fromarray(self.clean.front).resize((columns, rows), Image.Resampling.LANCZOS)
        image[:rows, :columns] = np.asarray(front)
        painted[:rows, :columns] = True
        shade = occlusion(self.depth, self.frame)
        others = np.flatnonzero(~charts.front)
        for owner, pixel, bary in covered(charts.corners[others] - 0.5, charts.shape):
            here = others[owner]
            texels = self._texels(skin, charts, here, bary)
            image.reshape(-1, 3)[pixel] = self.colour(texels) * shade(texels)[:, None]
            painted.reshape(-1)[pixel] = True
        nearest = ndimage.distance_transform_edt(~painted, return_distances=False, return_indices=True)
        return np.clip(image[tuple(nearest)].round(), 0, 255).astype(np.uint8)

    def _texels(self, skin: Skin, charts: Charts, triangle: np.ndarray, bary: np.ndarray) -> Texels:
        corners = skin.triangles[triangle]
        points = np.einsum("nk,nki->ni", bary, skin.vertices[corners])
        normals = np.einsum("nk,nki->ni", bary, charts.normals[corners])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        pixels = self.frame.to_pixels(points[:, :2])
        rim = on_grid(self.rim, self.frame.to_cells(pixels))
        return Texels(pixels - self.corner, points, normals, charts.part[triangle], charts.cape[triangle], rim)

    def colour(self, texels: Texels) -> np.ndarray:
        """(N, 3): the picture where it looks forward, beyond that what the part's side and back would show."""
        forward = texels.normals[:, 2]
        at_rim = smooth(texels.rim, *RIM) * smooth(forward, -0.05, 0.06)
        front = np.maximum(smooth(forward, FADE, FRONT), at_rim)[:, None]
        behind = smooth(-forward, 0.22, 0.6)[:, None]
        shown = sampled(self.clean.colours, texels.pixels)
        side, back = self._around(texels, shown)
        side, back, given = self._from_views(texels, side, back)
        colours = shown * front + back * behind + side * np.clip(1 - front - behind, 0, 1)
        if self.cape_rows is not None and texels.cape.any():
            plain = texels.cape & ~given
            colours[plain] = at_rows(self.cape_rows, texels.pixels[plain, 1])
        return colours

    def _from_views(
        self, texels: Texels, side: np.ndarray, back: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The colours of side and back where there are pictures of them, and (N,) bool where there are."""
        given = np.zeros(len(side), bool)
        aside = np.abs(texels.normals[:, 0])
        if self.views.profiles:
            rows = texels.pixels[:, 1] + self.corner[1]
            free = ~self._behind_an_arm(texels) & (aside > 0.15)
            free &= self.views.arms | ~np.isin(texels.part, ARMS)
            side = np.where(free[:, None], self.views.side(texels.points, rows), side)
            given |= free & (aside > 0.4)
        if self.views.back:
            elsewhere = (np.isin(texels.part, ARMS) & (not self.views.arms))[:, None]
            own, back = back, self.views.back.colour(texels.pixels + self.corner)
            back = np.where(elsewhere, own, back)
            if not self.views.profiles:
                behind = smooth(-texels.normals[:, 2], -0.2, 0.35)[:, None]
                side = np.where(elsewhere, side, side * (1 - behind) + back * behind)
            given |= texels.normals[:, 2] < -0.3
        return side, back, given

    def _behind_an_arm(self, texels: Texels) -> np.ndarray:
        """(N,) bool: a side picture shows the arm where these texels are."""
        cells = self.frame.to_cells(texels.pixels + self.corner)
        row = np.clip(np.round(cells[:, 1]).astype(int), 0, len(self.arm_depths) - 1)
        z = texels.points[:, 2] / self.frame.cell
        low, high = self.arm_depths[row].T
        return ~np.isin(texels.part, ARMS) & (z > low - 1) & (z < high + 1)

    def _around(self, texels: Texels, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 3) colours of side and back. An arm's back is what the picture shows; the trunk's has no buttons, and a
        leg's is as its outer side: no opening of a coat, no knee pads.
        """
        side, back = shown.copy(), shown.copy()
        for label, flanks in self.flanks.items():
            here = np.flatnonzero(texels.part == label)
            if not len(here):
                continue
            pixels, normals = texels.pixels[here], texels.normals[here]
            across = normals[:, 0] * flanks.across[0] - normals[:, 1] * flanks.across[1]
            flank = smooth(across, -0.35, 0.35)
            side[here] = flanks.colour(pixels, flank)
            if label in ARMS:
                continue
            behind = 0.5 + 0.5 * np.sign(across) * smooth(np.abs(across), 0.0, 0.8)
            if label in LEGS:
                behind = np.full(len(here), float(label == LEGS[1]))
            back[here] = flanks.colour(pixels, behind)
            azimuth = np.degrees(np.arctan2(np.hypot(normals[:, 0], normals[:, 1]), normals[:, 2]))
            turned = flanks.turned(self.clean.colours, pixels, azimuth, FRONT_ONLY if label == TORSO else 0.0)
            for colours, at in ((side, flank), (back, behind)):
                pattern = flanks.pattern_at(pixels, at)[:, None]
                colours[here] = colours[here] * (1 - pattern) + turned * pattern
        here = np.flatnonzero(texels.part == HEAD)
        if self.head is not None and len(here):
            side[here] = back[here] = self._head_colour(texels, here)
        return side, back

    def _head_colour(self, texels: Texels, here: np.ndarray) -> np.ndarray:
        assert self.head is not None
        points, normals = texels.points[here], texels.normals[here]
        reach = self.depth.head.half * self.frame.cell
        x = (points[:, 0] - self.frame.to_metres(np.array([self.depth.body.axis, 0.0]))[0]) / reach
        # Half by where the point lies, half by where it looks: hair is neither a cylinder nor a cap.
        by_place = np.arctan2(np.abs(x), points[:, 2] / reach)
        by_look = np.arctan2(np.abs(normals[:, 0]), normals[:, 2])
        azimuth = np.degrees(by_place + by_look) / 2
        return self.head.colour(texels.pixels[here], smooth(x, -0.25, 0.25), azimuth)


def occlusion(depth: Depth, frame: Frame) -> Callable[[Texels], np.ndarray]:
    """(N,) factors on the colour: darker where something stands close by, but not what looks at the viewer."""
    thick = depth.thick
    front, back = depth.centre + thick, depth.centre - thick
    near, far = int(np.ceil(front.max())) + 6, int(np.ceil(-back.min())) + 6
    levels = np.arange(-far, near + 1)[:, None, None]
    solid = (levels < front[None]) & (levels > back[None]) & (depth.inside > 0)[None]
    sigma = max(REACH * len(front), 1.2)
    around = ndimage.gaussian_filter(solid.astype(np.float32), sigma, truncate=3)

    def shade(texels: Texels) -> np.ndarray:
        points = texels.points + texels.normals * 1.3 * sigma * frame.cell
        cells = frame.to_cells(frame.to_pixels(points[:, :2]))
        at = [points[:, 2] / frame.cell + far, cells[:, 1], cells[:, 0]]
        dark = OCCLUSION * smooth(ndimage.map_coordinates(around, at, order=1, mode="nearest"), 0.14, 0.62)
        return 1 - dark * smooth(-texels.normals[:, 2], -0.40, -0.1)

    return shade
