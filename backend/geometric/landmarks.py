# SPDX-License-Identifier: GPL-3.0-or-later
"""Marker joints of a humanoid mesh: found in its front silhouette, lifted into its solid (shared reference, preview
engine 6).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ..errors import BackendError
from ..image.silhouette import SilhouetteJoints, detect_joints
from ..mesh.raster import View, front_view
from ..mesh.voxels import VoxelGrid, solid_voxels
from .skeleton import SIDES

VIEW_HEIGHT = 640
TORSO = ("hips", "neck", "head", "leftUpperArm", "rightUpperArm", "leftUpperLeg", "rightUpperLeg")


@dataclass
class MeshJoints:
    """joints: name -> (3,) metres in the mesh's own axes. yaw: degrees the character is turned away from +Z (0, 90,
    180 or 270).
    """

    joints: dict[str, np.ndarray]
    confidence: dict[str, float]
    flags: list[str] = field(default_factory=list)
    yaw: int = 0


def turn(points: np.ndarray, yaw: int) -> np.ndarray:
    """(..., 3) points turned by `yaw` (a multiple of 90) degrees about +Y, exactly."""
    x, y, z = np.moveaxis(np.asarray(points, float), -1, 0)
    for _ in range(yaw // 90 % 4):
        x, z = z, -x
    return np.stack([x, y, z], -1)


def find_joints(vertices: np.ndarray, triangles: np.ndarray) -> MeshJoints:
    """The 15 marker joints, `headTop`, hand tips and toes of a standing humanoid, Y up.

    Assumes it faces +Z; if that view is no humanoid, the other three yaws are tried. A figure seen from behind has
    the same silhouette, so the feet decide between two opposite yaws. Raises BackendError("not_humanoid").
    """
    for yaw in (0, 90):
        turned = turn(vertices, yaw)
        view = front_view(turned, triangles, VIEW_HEIGHT)
        flat = detect(view)
        if flat is not None and flat.humanoid:
            break
    else:
        raise BackendError(
            "not_humanoid",
            (
                "No standing humanoid was found in this mesh: the figure must be upright, with the arms away from"
                " the body."
            ),
            "Set the joints by hand, or use an A- or T-pose.",
        )
    grid = solid_voxels(turned, triangles)
    joints = lift(flat.joints, view, grid)
    if yaw and feet_ahead(joints, grid) < 0:
        yaw = 270
        turned = turn(vertices, yaw)
        view = front_view(turned, triangles, VIEW_HEIGHT)
        again = detect(view)
        flat = again if again is not None else flat
        grid = solid_voxels(turned, triangles)
        joints = lift(flat.joints, view, grid)
    joints |= ends(joints, grid)
    back = {name: turn(point, (360 - yaw) % 360) for name, point in joints.items()}
    return MeshJoints(back, flat.confidence, flat.flags, yaw)


def detect(view: View) -> SilhouetteJoints | None:
    mask = ndimage.binary_closing(np.pad(view.mask, 2), np.ones((3, 3)))[2:-2, 2:-2]
    if mask.sum() <= 100:
        return None
    label, _ = ndimage.label(mask, np.ones((3, 3)))
    largest = label == 1 + int(np.argmax(np.bincount(label.ravel())[1:]))
    # A figure is one piece as high as what is seen; of a heap of bits no joints can be told.
    return detect_joints(mask) if 2 * largest.any(1).sum() > mask.any(1).sum() else None


def lift(joints: dict[str, tuple[float, float]], view: View, grid: VoxelGrid) -> dict[str, np.ndarray]:
    """Pixels to 3D joints: each in the middle of the solid behind its pixel, the torso's in one common depth.

    Of several layers the thickest counts, measured by the squared distance to the surface (spec section 6).
    """
    depth = ndimage.distance_transform_edt(grid.solid) ** 2
    xy = view.to_metres(np.array(list(joints.values())))
    lifted = {}
    for name, (x, y) in zip(joints, xy, strict=True):
        i, j, _ = grid.index(np.array([x, y, grid.origin[2]]))
        lifted[name] = np.array([x, y, _middle(depth[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2].sum((0, 1)), grid)])
    known = [lifted[name][2] for name in TORSO if name in lifted and np.isfinite(lifted[name][2])]
    common = float(np.median(known)) if known else float(grid.origin[2] + grid.cell * grid.solid.shape[2] / 2)
    for name, point in lifted.items():
        if not np.isfinite(point[2]):
            point[2] = common
        elif name in TORSO:
            point[2] += 0.6 * (common - point[2])
    if "headTop" in lifted and "head" in lifted:
        lifted["headTop"][2] = lifted["head"][2]
    return lifted


def _middle(column: np.ndarray, grid: VoxelGrid) -> float:
    """z of the weighted middle of the heaviest run of positive values; NaN when there is none."""
    runs, count = ndimage.label(column > 0)
    if not count:
        return float("nan")
    mass = ndimage.sum(column, runs, np.arange(1, count + 1))
    best = np.flatnonzero(runs == 1 + int(np.argmax(mass)))
    return float(grid.origin[2] + grid.cell * np.average(best, weights=column[best]))


def feet_ahead(joints: dict[str, np.ndarray], grid: VoxelGrid) -> float:
    """How far the soles reach forward of the ankles, minus how far backward; positive when the figure faces +Z."""
    lead = 0.0
    for side, _ in SIDES:
        cells = _foot_cells(joints, side, grid)
        if len(cells):
            z = grid.centres(cells)[:, 2]
            lead += (z.max() - joints[f"{side}Foot"][2]) - (joints[f"{side}Foot"][2] - z.min())
    return lead


def _foot_cells(joints: dict[str, np.ndarray], side: str, grid: VoxelGrid) -> np.ndarray:
    """(N, 3) solid cells below the ankle on that side."""
    ankle, other = joints[f"{side}Foot"], joints[("right" if side == "left" else "left") + "Foot"]
    top = int(grid.index(ankle)[1])
    cells = np.argwhere(grid.solid[:, : top + 1])
    at = grid.centres(cells)
    reach = 0.55 * max(float(np.linalg.norm(joints[f"{side}LowerLeg"] - ankle)), 3 * grid.cell)
    near = (np.abs(at[:, 0] - ankle[0]) < np.abs(at[:, 0] - other[0])) & (np.abs(at[:, 0] - ankle[0]) < reach)
    return cells[near]


def ends(joints: dict[str, np.ndarray], grid: VoxelGrid) -> dict[str, np.ndarray]:
    """Toe joints where the sole reaches forward, and the tips of the hands, where the solid ends."""
    ends: dict[str, np.ndarray] = {}
    for side, _ in SIDES:
        ankle = joints[f"{side}Foot"]
        cells = _foot_cells(joints, side, grid)
        if len(cells):
            at = grid.centres(cells)
            ahead = at[at[:, 2] > ankle[2]]
            reach = ahead[:, 2].max() - ankle[2] if len(ahead) else 0.0
            sole = at[:, 1].min()
            if reach > 0.5 * max(ankle[1] - sole, 2 * grid.cell):
                x = float(np.median(ahead[ahead[:, 2] > ankle[2] + 0.5 * reach][:, 0]))
                y = sole + 0.3 * (ankle[1] - sole)
                ends[f"{side}Toes"] = np.array([x, y, ankle[2] + 0.62 * reach])
                ends[f"{side}ToesTip"] = np.array([x, y, ankle[2] + reach])
        hand = joints[f"{side}Hand"]
        direction = hand - joints[f"{side}LowerArm"]
        length = float(np.linalg.norm(direction))
        if length > 1e-9:
            steps = np.arange(0, 1.2 * length, 0.5 * grid.cell)
            i, j, k = grid.index(hand + steps[:, None] * direction / length).T
            inside = grid.solid[i, j, k]
            last = int(np.argmin(inside))
            # A way that stays inside leads on into the trunk, as from a hand on the hip: the tip is not to be seen.
            if last > 1 and not inside.all():
                ends[f"{side}HandTip"] = hand + steps[last - 1] * direction / length
    return ends
