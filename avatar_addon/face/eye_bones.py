# SPDX-License-Identifier: GPL-3.0-or-later
"""Face markers where the skeleton's eye bones are: they outrank what was found on the outline and in the picture."""

from __future__ import annotations

import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from ..avatar.scene import Avatar
from ..landmarks import FaceLandmarks, Landmark
from ..mesh import blender_mesh
from ..mesh.armature import read_bones
from ..mesh.arrays import SkinnedMesh
from ..vrm import setup

EYES = ("leftEye", "rightEye")
SURE = 0.9  # confidence of an eye that has a bone
# Of the distance between the eyes that a found eye may be off its bone, for its size and the mouth to count.
AGREE = 0.4
GUESSED = 0.4  # confidence of a mouth that is put where it usually is below such eyes
MOUTH_BELOW = 0.95  # of the distance between the eyes
FORWARD = Vector((0.0, -1.0, 0.0))


def corrected(avatar: Avatar, face: FaceLandmarks) -> FaceLandmarks:
    """The landmarks (Blender's axes) with the eyes at the eye bones; as it is where the avatar has no pair of them."""
    eyes = _eyes(avatar)
    if eyes is None:
        return face
    spacing = float(np.linalg.norm(eyes["leftEye"] - eyes["rightEye"]))
    data = blender_mesh.read_mesh(avatar.mesh)
    tree = BVHTree.FromPolygons(data.vertices.tolist(), data.triangles.tolist(), all_triangles=True)
    off = [np.hypot(*(np.array(face.parts[name].center) - eyes[name])[[0, 2]]) for name in EYES]
    agree = max(off) < AGREE * spacing
    parts, confidence = dict(face.parts), dict(face.confidence) | {"eyes": SURE}
    for name in EYES:
        size = _ball(avatar, data, name)
        if size is None:
            found = face.parts[name]
            size = (found.half_width, found.half_height) if agree else (0.0, 0.0)
        parts[name] = Landmark(_in_front(tree, eyes[name], spacing), *size)
    if not agree:
        middle = (eyes["leftEye"] + eyes["rightEye"]) / 2
        place = middle - [0, 0, MOUTH_BELOW * spacing]
        parts["mouth"] = Landmark(_on_head(avatar, data, place))
        confidence["mouth"] = min(face.confidence.get("mouth", 0.0), GUESSED)
    return FaceLandmarks(parts, confidence)


def _eyes(avatar: Avatar) -> dict[str, np.ndarray] | None:
    """World places of the joints of both eye bones, left on +X; None where they are no pair."""
    if avatar.armature is None:
        return None
    known, bones = setup.get_humanoid(avatar.armature), read_bones(avatar.armature)
    if not all(known.get(name) in bones.names for name in EYES):
        return None
    found = {name: bones.heads[bones.names.index(known[name])] for name in EYES}
    across = found["leftEye"] - found["rightEye"]
    return found if across[0] > 0.8 * np.linalg.norm(across) > 0 else None


def _in_front(tree: BVHTree, eye: np.ndarray, spacing: float) -> tuple[float, ...]:
    """On the first surface before the joint: the eyeball's own, or the skin that an eye is painted on."""
    hit = tree.ray_cast(Vector(eye), FORWARD, 1.5 * spacing)[0]
    return tuple(hit) if hit else tuple(eye.tolist())


def _on_head(avatar: Avatar, data: SkinnedMesh, place: np.ndarray) -> tuple[float, ...]:
    """On the front of what follows the head, before or behind a place."""
    head = setup.get_humanoid(avatar.armature)["head"]
    if data.weights is None or head not in data.groups:
        return tuple(place.tolist())
    inside = data.weights[:, data.groups.index(head)] > 0.5
    skin = data.triangles[inside[data.triangles].all(1)]
    if not len(skin):
        return tuple(place.tolist())
    tree = BVHTree.FromPolygons(data.vertices.tolist(), skin.tolist(), all_triangles=True)
    start = Vector((place[0], float(data.vertices[:, 1].min()) - 1.0, place[2]))
    hit = tree.ray_cast(start, -FORWARD)[0]
    return tuple(hit) if hit else tuple(place.tolist())


def _ball(avatar: Avatar, data: SkinnedMesh, name: str) -> tuple[float, float] | None:
    """Half the width and height that is seen of an eyeball of its own; None where nothing follows the bone."""
    bone = setup.get_humanoid(avatar.armature)[name]
    if data.weights is None or bone not in data.groups:
        return None
    points = data.vertices[data.weights[:, data.groups.index(bone)] > 0.5]
    if len(points) < 6:
        return None
    wide, tall = np.ptp(points[:, 0]) / 2, np.ptp(points[:, 2]) / 2
    return float(wide), float(min(tall, 0.8 * wide))
