# SPDX-License-Identifier: GPL-3.0-or-later
"""An avatar's expressions as pictures, in any scene and without a window; nothing of the avatar is changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..avatar import scene
from ..avatar.scene import Avatar
from ..errors import AvatarError
from ..mesh import blender_mesh
from ..mesh.arrays import SkinnedMesh
from ..vrm import addon as vrm_addon
from ..vrm import setup
from ..vrm.setup import Bind
from ..vrm.spec.presets import PRESETS
from . import pictures

REST = "rest"
VIEWS = ("face", "body")
LARGEST = 768  # pixels


def binds(avatar: Avatar) -> dict[str, list[Bind]]:
    """Every expression -> (mesh object, shape key, weight): as the VRM Add-on has it, else the shape key of
    that name.
    """
    meshes = scene.meshes(avatar)
    keys = {
        name: [(obj.name, name, 1.0)]
        for obj in meshes
        if obj.data.shape_keys
        for name in obj.data.shape_keys.key_blocks.keys()[1:]
    }
    if avatar.armature is None or not vrm_addon.is_available():
        return keys
    known = vrm_addon.extension(avatar.armature).vrm1.expressions
    expressions = {name: found for name in PRESETS if (found := setup.expression_of(avatar.armature, name))}
    expressions |= {custom.custom_name: custom for custom in known.custom}
    bound = {
        name: [(bind.node.mesh_object_name, bind.index, bind.weight) for bind in expression.morph_target_binds]
        for name, expression in expressions.items()
    }
    return keys | {name: found for name, found in bound.items() if found}


def picture(avatar: Avatar, weights: Mapping[str, float], path: Path, size: int = 384, view: str = "face") -> Path:
    """Writes the avatar's head or body at rest as a PNG, wearing expressions. weights: expression -> 0..1. Raises
    AvatarError.
    """
    known = binds(avatar)
    worn = {name: weight for name, weight in weights.items() if name != REST}
    if unknown := [name for name in worn if name not in known]:
        there = f"it has {', '.join([REST, *known])}" if known else "it has none yet; make its face first"
        raise AvatarError(f"The avatar has no expression {unknown[0]!r}: {there}.", "no_expression")
    parts = []
    for obj in scene.meshes(avatar):
        data = blender_mesh.read_mesh(obj, shape_keys=True)
        for name, weight in worn.items():
            for mesh, key, amount in known[name]:
                if mesh == obj.name and key in data.shape_keys:
                    data.vertices = data.vertices + weight * amount * data.shape_keys[key]
        parts.append(data)
    head = setup.get_bone(avatar.armature, "head") if avatar.armature and vrm_addon.is_available() else ""
    return pictures.still(parts, _frame(parts, head or "head", view), path, size)


def _frame(parts: list[SkinnedMesh], head: str, view: str) -> tuple[np.ndarray, np.ndarray]:
    points = np.concatenate([part.vertices for part in parts])
    if view == "face":
        on_head = np.concatenate([_weight_of(part, head) > 0.5 for part in parts])
        points = points[on_head] if on_head.any() else points
    return points.min(0), points.max(0)


def _weight_of(part: SkinnedMesh, bone: str) -> np.ndarray:
    if part.weights is None or bone not in part.groups:
        return np.zeros(len(part.vertices), np.float32)
    return part.weights[:, part.groups.index(bone)]
