# SPDX-License-Identifier: GPL-3.0-or-later
"""The depth of a whole figure: cross-sections for head, trunk and legs, tubes for arms, a sheet for a cape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from .body import ARMS, HEAD, Body, measure, smooth
from .cape import Cape, build_cape, find_cape
from .head import Head, add_head, measure_head
from .thickness import Frame, continue_outside, label_parts, poisson, signed_distance, to_grid
from .trunk import Halves, Trunk, build_trunk

ARM_ROUNDNESS, HAND_FLATTENING = 1.1, 0.74
# No deeper than this many Poisson thicknesses, which is what makes an outline round; hems, cuffs and soles, where the
# outline looks down, may be FLAT_END as deep again: they end flat.
LIMIT, FLAT_END = 2.2, 1.2
THINNEST = 0.35  # cells


@dataclass
class Depth:
    """On the grid, in cells. inside: signed distance to the body's outline, positive inside, without a cape's cells.
    square: half thickness squared, below 0 outside. centre: z of the middle between front and back; middle: of the
    body, where joints lie, whatever hangs on it. parts: index into PARTS per cell, continued outside the figure.
    """

    inside: np.ndarray
    square: np.ndarray
    centre: np.ndarray
    middle: np.ndarray
    parts: np.ndarray
    body: Body
    head: Head
    trunk: Trunk
    cape: Cape | None = None

    @property
    def thick(self) -> np.ndarray:
        """(R, C) half thickness."""
        return np.sqrt(np.maximum(self.square, 0))


def inflate(
    rgba: np.ndarray,
    mask: np.ndarray,
    joints_px: dict[str, tuple[float, float]],
    face: dict[str, Any],
    frame: Frame,
    parts: np.ndarray | None = None,
    capes: bool = True,
) -> Depth:
    """The figure's depth on the grid. rgba (H, W, 4), mask (H, W): the picture; joints and face: its pixels; parts:
    (H, W) index into PARTS, -1 outside, where they are known. capes: whether to look for one; where arms were moved
    away, what the picture shows at the trunk's edges was filled in.
    """
    inside = signed_distance(mask, frame)
    joints = {name: frame.to_cells(point) for name, point in joints_px.items()}
    labels = label_parts(inside > 0, joints) if parts is None else to_grid(parts, frame)
    body = measure(frame, inside, labels, joints, face)
    hidden, colour = find_cape(body, rgba, mask) if capes else (np.zeros_like(body.figure), None)
    head = measure_head(body, hidden)
    trunk, halves = build_trunk(body, hidden)
    tube = np.sqrt(np.maximum(poisson(inside), 0))
    halves = add_head(body, head, _add_arms(body, halves, hidden, tube), hidden, tube)
    cape = None
    if colour is not None:
        cape = build_cape(body, halves, hidden, colour)
        inside = np.minimum(inside, ndimage.distance_transform_edt(~hidden) - 0.5)
    return _finish(body, head, trunk, cape, inside, halves, tube)


def _add_arms(body: Body, halves: Halves, cape: np.ndarray, tube: np.ndarray) -> Halves:
    """Tubes, hands flatter, in the plane that the trunk's middle has near by; so is what belongs to no other part."""
    both = halves.front + halves.back
    loose = body.figure & (body.parts != HEAD) & ~cape & (both < 0.5)
    arm = body.of(*ARMS) | loose
    row, column = body.rows[:, None], body.columns[None]
    flat = np.ones(arm.shape)
    for side, label in zip(("left", "right"), ARMS, strict=True):
        wrist, elbow = body.joints[f"{side}Hand"], body.joints[f"{side}LowerArm"]
        along = (wrist - elbow) / max(np.hypot(*(wrist - elbow)), 1e-6)
        beyond = (column - wrist[0]) * along[0] + (row - wrist[1]) * along[1]
        flat[(body.parts == label) & (beyond > 0)] = HAND_FLATTENING
    radius = max(float(np.percentile(body.inside[arm], 97)), 1.0) if arm.any() else 1.0
    thick = ARM_ROUNDNESS * tube * ndimage.gaussian_filter(flat, 1.5)
    thick = thick / (1 + (thick / (1.2 * radius)) ** 4) ** 0.25
    share = np.clip(1.6 * ndimage.gaussian_filter(arm.astype(float), 1.2) * body.figure, 0, 1)
    centre = (halves.front - halves.back) / 2
    known = (~arm & ~cape & body.figure & (both > 1)).astype(float)
    reach = 0.03 * body.height
    near = ndimage.gaussian_filter(centre * known, reach) / np.maximum(ndimage.gaussian_filter(known, reach), 1e-4)
    near = np.where(body.figure, np.clip(near, -0.02 * body.height, 0.02 * body.height), 0)
    thick = _soft_maximum(both / 2, thick * share)
    centre = np.where(both > 0.5, centre, near)
    return Halves(thick + centre, thick - centre)


def _soft_maximum(a: np.ndarray, b: np.ndarray, power: float = 6.0) -> np.ndarray:
    larger = np.maximum(np.maximum(a, b), 1e-6)
    return larger * ((np.maximum(a, 0) / larger) ** power + (np.maximum(b, 0) / larger) ** power) ** (1 / power)


def _finish(
    body: Body, head: Head, trunk: Trunk, cape: Cape | None, inside: np.ndarray, halves: Halves, tube: np.ndarray
) -> Depth:
    """Calms the grid, rounds the outline, and continues everything beyond it."""
    figure = inside > 0
    weight = {sigma: np.maximum(ndimage.gaussian_filter(figure.astype(float), sigma), 1e-6) for sigma in (1.0, 0.8)}

    def calm(values: np.ndarray, sigma: float) -> np.ndarray:
        return ndimage.gaussian_filter(np.where(figure, values, 0), sigma) / weight[sigma]

    centre = calm((halves.front - halves.back) / 2, 1.0)
    thick = calm(np.maximum((halves.front + halves.back) / 2, THINNEST), 0.8)
    slope_row, slope_column = np.gradient(ndimage.gaussian_filter(inside, 1.0))
    down = smooth(-slope_row / np.maximum(np.hypot(slope_row, slope_column), 1e-6), 0.75, 0.95) * figure
    limit = LIMIT * (1 + FLAT_END * ndimage.gaussian_filter(down, 0.8)) * tube
    thick = thick / (1 + (thick / np.maximum(limit, 1e-3)) ** 4) ** 0.25
    square = continue_outside(np.maximum(thick, 1e-3) ** 2 * figure, inside)
    nearest = ndimage.distance_transform_edt(~figure, return_distances=False, return_indices=True)
    centre = centre[tuple(nearest)]
    return Depth(inside, square, centre, centre, body.parts[tuple(nearest)], body, head, trunk, cape)
