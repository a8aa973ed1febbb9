# SPDX-License-Identifier: GPL-3.0-or-later
"""A first place for each marker on a mesh, for a person to correct: a draft refuses nothing that can be drawn."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError
from ..image.load import load_picture
from ..mesh.files import MeshArrays, read_mesh
from .face import find_face, head_joints
from .finding import DOUBTFUL, LOST, Body, find_body
from .rigger import checked_joints
from .skeleton import MARKERS

# An adult with the arms a little away: shares of the height, from the middle to the left and from the ground up.
USUAL = {
    "hips": (0.0, 0.51), "neck": (0.0, 0.82), "head": (0.0, 0.855), "UpperArm": (0.095, 0.795),
    "LowerArm": (0.2, 0.7), "Hand": (0.295, 0.605), "UpperLeg": (0.055, 0.48), "LowerLeg": (0.065, 0.27),
    "Foot": (0.075, 0.055),
}  # fmt: skip


def draft_markers(
    mesh: Path, texture: Path | None, joints: dict[str, list[float]] | None, face: bool = True
) -> dict[str, Any]:
    """mesh, texture: as for `locate_face`; joints: those that are known, in the mesh's axes; with all 15 none are
    looked for. face: whether it is looked for.

    Returns `joints` (the 15 markers) and `face` where a head was found, both in metres after `turn` (3, 3), which is
    absent for a mesh that stands and faces +Z; and `unsure`, the names of joints that are estimates. Raises
    BackendError: bad_mesh, bad_joints, unreadable.
    """
    arrays = read_mesh(mesh)
    if not len(arrays.triangles):
        raise BackendError("bad_mesh", "The mesh has no faces.", "Use a mesh that has faces.")
    rgba = load_picture(texture).rgba if texture else None
    known = checked_joints(joints or {}, arrays.vertices)
    unsure: list[str] = []
    turn = np.eye(3)
    if any(name not in known for name in MARKERS):
        body = find_body(arrays, rgba, draft=True)
        standing = stands(body.joints)
        turn = body.turn if standing else turn
        found = body.joints if standing else usual_joints(arrays.vertices)
        unsure = _unsure(body) if standing else list(MARKERS)
        known = {name: turn @ known[name] if name in known else found[name] for name in MARKERS}
    turned = MeshArrays(arrays.vertices @ turn.T, arrays.triangles, arrays.corner_uvs)
    result: dict[str, Any] = {
        "joints": {name: [round(float(v), 6) for v in known[name]] for name in MARKERS},
        "unsure": unsure,
    }
    if not np.allclose(turn, np.eye(3), atol=1e-6):
        result["turn"] = turn.tolist()
    if not face:
        return result
    with contextlib.suppress(BackendError):  # no surface where the head should be: the user places the face as well
        result["face"] = find_face(turned, head_joints(turned, result["joints"]), rgba)
    return result


def stands(joints: dict[str, np.ndarray]) -> bool:
    """Whether the joints are those of an upright body, from the head down to the feet."""
    legs = [max(joints[f"left{part}"][1], joints[f"right{part}"][1]) for part in ("LowerLeg", "Foot")]
    heights = [joints["head"][1], joints["hips"][1], *legs]
    return bool(np.all(np.diff(heights) < 0))


def usual_joints(vertices: np.ndarray) -> dict[str, np.ndarray]:
    """The 15 markers (3,) of an adult of the mesh's height, in its middle."""
    low, high = vertices.min(0), vertices.max(0)
    middle, height = (low + high) / 2, float(high[1] - low[1])
    found = {}
    for name in MARKERS:
        side = -1 if name.startswith("right") else 1
        x, y = USUAL[name.removeprefix("left").removeprefix("right")]
        found[name] = np.array([middle[0] + side * x * height, low[1] + y * height, middle[2]])
    return found


def _unsure(body: Body) -> list[str]:
    """Those on which the views disagree; all, where they do so badly that `find_body` would refuse."""
    lost = float(np.quantile([body.spread[name] for name in MARKERS], 0.75)) > LOST
    return [name for name in MARKERS if lost or body.spread[name] > DOUBTFUL]
