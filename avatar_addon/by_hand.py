# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows once a person has put the joints of a mesh right: the mesh as it arrived is rigged with them, and goes
on to the T-pose and the face.
"""

from __future__ import annotations

import bpy

from . import workflow
from .avatar import before_rig, scene
from .client.process.tasks import Stage, Steps
from .errors import AvatarError
from .picture import on_mesh


def rig_with_markers(context: bpy.types.Context, rigger: str, options: dict | None = None, seed: int = 0) -> Steps:
    """Rig, T-pose and face with the markers that are shown, which then go. Returns the Avatar. Raises AvatarError."""
    root = on_mesh.root_of(context.scene)
    if root is None:
        raise AvatarError("No markers are shown; press Check Markers first.", "no_markers")
    avatar = on_mesh.avatar_of(root)
    joints, face = on_mesh.read(root)
    was_by_hand = min(avatar.record.eyes_confidence, avatar.record.mouth_confidence) >= 1.0
    if face is None and avatar.record.has_face and was_by_hand:
        face = on_mesh.read_face(root)
    yield Stage("rig", 0.02, "Preparing the mesh")
    on_mesh.remove(context.scene)
    workflow.remove_face(avatar)
    restored = before_rig.restore(avatar)
    avatar = yield from workflow.rig(context, avatar, rigger, options, seed, None, (0.05, 0.6), joints)
    if face is not None:
        scene.set_face_by_hand(avatar, face)
        avatar.record.has_face = True
    elif restored:
        avatar.record.has_face = False  # it was found on the mesh in another pose
    yield Stage("pose", 0.62, "Straightening into the T-pose")
    workflow.pose(avatar)
    yield from workflow.face_if_possible(avatar, (0.65, 1.0))
    return avatar
