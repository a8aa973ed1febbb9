# SPDX-License-Identifier: GPL-3.0-or-later
"""A face that talks, on a mesh that has only the picture of one: mouth with a cavity, visemes, eyelids, emotions, gaze."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import AvatarError
from ..mesh_arrays import SkinnedMesh
from .markers import Face, read_face
from .shapes import make_shapes
from .surface import DepthMap, front_layer, front_map, smoothstep

HEAD_WEIGHT = (0.25, 0.75)  # from nothing moves to everything does


@dataclass
class BuiltFace:
    """mesh: with shape keys; landmarks: the face dict, its markers on the surface; warnings: [{code, message}]."""

    mesh: SkinnedMesh
    landmarks: dict[str, Any]
    warnings: list[dict[str, str]] = field(default_factory=list)


def build_face(data: SkinnedMesh, landmarks: Mapping[str, Any], head_group: str) -> BuiltFace:
    """Mouth and shape keys at the markers of a face dict (docs/architecture.md, Blender's axes).

    head_group: the vertex group that follows the head; nothing else moves. Raises AvatarError where there is no face to work on.
    """
    face = read_face(landmarks)
    points = face.to_face(data.vertices)
    seen = front_map(points, data.triangles, face)
    places = np.array([[0.0, 0.0], *([eye.u, eye.v] for eye in face.eyes)])
    if not seen.is_seen(places).all():
        raise AvatarError("A face marker is not in front of the character; move it onto the face.", "face_markers")
    moving = front_layer(points, data.triangles, seen, face) * _head_share(data, head_group)
    shapes = make_shapes(points, points[:, 1] < 0, moving, seen, face, True)
    keys = {name: (shape @ face.turn).astype(np.float32) for name, shape in shapes.items()}
    return BuiltFace(replace(data, shape_keys=keys), _on_surface(landmarks, face, seen), [])


def _head_share(data: SkinnedMesh, head_group: str) -> np.ndarray:
    """(V,) 0 to 1, smoothly to 0 where the head's skin ends."""
    if data.weights is None or head_group not in data.groups:
        raise AvatarError("No skin follows the head; rig the avatar first.", "no_rig")
    low, high = HEAD_WEIGHT
    return smoothstep((data.weights[:, data.groups.index(head_group)].astype(np.float64) - low) / (high - low))


def _on_surface(landmarks: Mapping[str, Any], face: Face, seen: DepthMap) -> dict[str, Any]:
    """The face dict as it was used: sizes within their limits, centres on the surface."""
    places = np.array([[0.0, 0.0], *([eye.u, eye.v] for eye in face.eyes)])
    centres = face.to_blender(np.column_stack([places, seen.at(places)])).tolist()
    out: dict[str, Any] = {"mouth": {"center": centres[0], "width": face.width}}
    for eye, centre in zip(face.eyes, centres[1:], strict=True):
        out[eye.side.lower() + "Eye"] = {"center": centre, "half_width": eye.half_width, "half_height": eye.half_height}
    return out | ({"confidence": dict(landmarks["confidence"])} if "confidence" in landmarks else {})
