# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh as it was before it was rigged, so that joints can be corrected on it after the T-pose has bent it: kept in
the avatar's record with the joints of its last rig.
"""

from __future__ import annotations

import json

import bpy
import numpy as np

from ..vrm import addon, setup
from . import scene
from .scene import Avatar

JOINTS_KEY = "avatar_forge_joints"  # on the kept mesh: JSON, VRM bone -> its head in Blender's axes
OF_KEPT_KEY = "avatar_forge_of_kept"  # on the armature while its bones lie in the kept mesh, before any new rest pose
ARRIVED_KEY = "avatar_forge_before_rig"  # on the mesh while its shape is that of the kept one


def keep(avatar: Avatar) -> bool:
    """To be called before a rig is put on the mesh. Returns whether the rig's joints are those of the kept mesh; they
    are not where the user rigs again what has been posed.
    """
    if avatar.armature is None:
        old = avatar.record.mesh_before_rig
        kept = avatar.mesh.data.copy()
        kept.name = f"{avatar.name} before Rig"
        avatar.record.mesh_before_rig = kept
        if old is not None and not old.users:
            bpy.data.meshes.remove(old)
        return True
    return avatar.record.mesh_before_rig is not None and (ARRIVED_KEY in avatar.mesh.data or _is_of_kept(avatar))


def keep_joints(avatar: Avatar) -> None:
    """To be called when the kept mesh was rigged."""
    avatar.armature.data[OF_KEPT_KEY] = True
    joints = scene.read_joints(avatar)
    avatar.record.mesh_before_rig[JOINTS_KEY] = json.dumps(
        {name: scene.to_blender(point).tolist() for name, point in joints.items()}
    )


def posed(avatar: Avatar) -> None:
    """To be called when the avatar got another rest pose: its bones no longer lie in the kept mesh."""
    if _is_of_kept(avatar):
        del avatar.armature.data[OF_KEPT_KEY]


def _is_of_kept(avatar: Avatar) -> bool:
    return avatar.armature is not None and OF_KEPT_KEY in avatar.armature.data


def forget(avatar: Avatar) -> None:
    """The mesh was turned or changed, and the kept one no longer belongs to it."""
    kept = avatar.record.mesh_before_rig
    avatar.record.mesh_before_rig = None
    if kept is not None and not kept.users:
        bpy.data.meshes.remove(kept)


def restore(avatar: Avatar) -> bool:
    """Puts the kept mesh back on the avatar, whose skeleton stays until it is rigged again; False where none is."""
    kept = avatar.record.mesh_before_rig
    if kept is None:
        return False
    old = avatar.mesh.data
    name = old.name
    avatar.mesh.data = kept.copy()
    if not old.users:
        bpy.data.meshes.remove(old)
    avatar.mesh.data.name = name
    avatar.mesh.data[ARRIVED_KEY] = True
    return True


def shown_mesh(avatar: Avatar) -> bpy.types.Mesh:
    """What markers are placed on: the kept mesh, else what the avatar has without its face."""
    record = avatar.record
    return record.mesh_before_rig or record.mesh_without_face or avatar.mesh.data


def joints_of(avatar: Avatar) -> dict[str, np.ndarray]:
    """VRM bone -> (3,) in Blender's axes, of the mesh that `shown_mesh` gives; empty where they are not known. Bones
    that the user has moved in Edit Mode count, as long as they lie in that mesh; before a rig those of the generator.
    """
    kept = avatar.record.mesh_before_rig
    if kept is not None and not _is_of_kept(avatar):
        return {name: np.array(point) for name, point in json.loads(kept.get(JOINTS_KEY, "{}")).items()}
    if avatar.armature and not (addon.is_available() and setup.get_humanoid(avatar.armature)):
        return {}
    return {name: scene.to_blender(point) for name, point in scene.read_joints(avatar).items()}


def to_shown(avatar: Avatar, point: np.ndarray) -> np.ndarray | None:
    """A place on the avatar as it is now, on the mesh that `shown_mesh` gives; None where the two have nothing in
    common.
    """
    kept = avatar.record.mesh_before_rig
    if kept is None:
        return point
    now = avatar.record.mesh_without_face or avatar.mesh.data
    if len(now.vertices) < len(kept.vertices):
        return None
    here, there = (coordinates(mesh)[: len(kept.vertices)] for mesh in (now, kept))
    nearest = int(np.argmin(((here - point) ** 2).sum(1)))
    return np.asarray(point + there[nearest] - here[nearest])


def coordinates(mesh: bpy.types.Mesh) -> np.ndarray:
    """(V, 3) of the vertices."""
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", points)
    return points.reshape(-1, 3).astype(float)
