# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh's own shape keys carried through the face step, which cuts its skin and adds vertices."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np
from mathutils.bvhtree import BVHTree

from ..mesh.arrays import SkinnedMesh

SETTINGS = ("slider_min", "slider_max", "value", "mute", "vertex_group")
OWN = ".own"  # after the name of a key whose name the face step needs


@dataclass
class OwnShapes:
    """offsets: shape key -> (V, 3) float32, world space, against the key it is relative to; settings: what else a key
    has.
    """

    offsets: dict[str, np.ndarray]
    settings: dict[str, dict[str, Any]]
    names: dict[str, str] = field(default_factory=dict)  # as they were -> as they are now, after `carried`

    def carried(self, before: SkinnedMesh, vertices: np.ndarray, taken: Collection[str]) -> dict[str, np.ndarray]:
        """(name, offsets) for the new mesh, whose first vertices are those of `before`; a new vertex moves as the old
        skin nearest to it.

        A name in `taken` is kept for the face step's own key.
        """
        self.names = {name: name + OWN if name in taken else name for name in self.offsets}
        if not self.offsets:
            return {}
        old = len(before.vertices)
        corners, share = _on_skin(before, vertices[old:])
        return {
            self.names[name]: np.concatenate([moved, np.einsum("nk,nkj->nj", share, moved[corners])]).astype(np.float32)
            for name, moved in self.offsets.items()
        }

    def settle(self, obj: bpy.types.Object) -> None:
        """Gives the carried keys the ranges and values that they had."""
        for name, settings in self.settings.items():
            block = obj.data.shape_keys.key_blocks[self.names[name]]
            for setting, value in settings.items():
                setattr(block, setting, value)

    def notes(self) -> list[dict[str, str]]:
        if not self.offsets:
            return []
        text = f"The mesh's own {len(self.offsets)} shape keys are kept."
        renamed = [new for old, new in self.names.items() if new != old]
        if renamed:
            text += (
                " Those with a name that the face needs are called"
                f" {', '.join(renamed[:4])}{' and so on' if len(renamed) > 4 else ''} now."
            )
        return [{"code": "own_shapes", "message": text}]


def read(obj: bpy.types.Object) -> OwnShapes:
    """The shape keys of a mesh as they are before the face is made."""
    keys = obj.data.shape_keys
    blocks = [block for block in keys.key_blocks if block != keys.reference_key] if keys else []
    turn = np.array(obj.matrix_world, np.float32)[:3, :3].T
    offsets = {block.name: (_points(block) - _points(block.relative_key)) @ turn for block in blocks}
    return OwnShapes(offsets, {block.name: {name: getattr(block, name) for name in SETTINGS} for block in blocks})


def _points(block: bpy.types.ShapeKey) -> np.ndarray:
    points = np.empty(len(block.data) * 3, np.float32)
    block.data.foreach_get("co", points)
    return points.reshape(-1, 3)


def _on_skin(mesh: SkinnedMesh, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) vertex numbers and (N, 3) shares of them, for the place on the mesh nearest to each point."""
    tree = BVHTree.FromPolygons(mesh.vertices.tolist(), mesh.triangles.tolist(), all_triangles=True)
    found = [tree.find_nearest(point) for point in points.tolist()]
    corners = mesh.triangles[[entry[2] for entry in found]]
    at = np.array([entry[0][:] for entry in found]).reshape(-1, 3)
    a, b, c = (mesh.vertices[corners[:, k]] for k in range(3))
    u, v, w = b - a, c - a, at - a
    uu, uv, vv = (np.einsum("ij,ij->i", x, y) for x, y in ((u, u), (u, v), (v, v)))
    wu, wv = np.einsum("ij,ij->i", w, u), np.einsum("ij,ij->i", w, v)
    area = np.maximum(uu * vv - uv * uv, 1e-30)
    s, t = (vv * wu - uv * wv) / area, (uu * wv - uv * wu) / area
    share = np.clip(np.column_stack([1 - s - t, s, t]), 0, 1)
    return corners, share / np.maximum(share.sum(1, keepdims=True), 1e-12)
