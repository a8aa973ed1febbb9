# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes and mouth of a character mesh: its head is searched like a picture of it, and what is found is put back on the
surface.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError
from ..image.analysis import FACE_WARNING
from ..image.face import locate_face
from ..image.load import load_picture
from ..mesh.files import MeshArrays, read_mesh
from ..mesh.raster import View, colour, front_view, shade
from ..reader import FACE
from .face_views import SURE, read_face, weighed
from .landmarks import find_joints
from .looks import about_y

NECK = ("neck", "head", "headTop")
HEAD_PIXELS = 360  # from the neck to the top of the head
BARE = 0.45  # the most that is believed without a texture: relief shows sockets, not eyes
TURNED, ASIDE = 8.0, 40.0  # degrees from the front: a face that looks aside, and what is no face any more
BELOW = 0.35  # of the neck, in heads: the search uses what lies around the head as well


def locate_face_on_mesh(mesh: Path, texture: Path | None, joints: dict[str, list[float]] | None) -> dict[str, Any]:
    """mesh: mesh.npz, Y up, facing +Z; texture: its colour picture; joints: what is known of neck, head and headTop,
    in metres.

    Returns `face` (docs/architecture.md, metres on the mesh's front), `joints` (neck, head and headTop that were
    used) and `warnings`. Raises BackendError: bad_mesh, unreadable, not_humanoid (no head found, and none given).
    """
    arrays = read_mesh(mesh)
    if not len(arrays.triangles):
        raise BackendError("bad_mesh", "The mesh has no faces.", "Use a mesh that has faces.")
    head = head_joints(arrays, joints or {})
    face = find_face(arrays, head, load_picture(texture).rgba if texture else None)
    sure = min(face["confidence"].values())
    return {
        "face": face,
        "joints": {name: [round(float(v), 6) for v in point] for name, point in head.items()},
        "warnings": [dict(FACE_WARNING)] if sure < 0.5 else [],
    }


def find_face(mesh: MeshArrays, head: dict[str, np.ndarray], texture: np.ndarray | None) -> dict[str, Any]:
    """`face` in metres on the mesh's front. head: neck, head and headTop (3,); texture: (h, w, 4) uint8.

    A face that turns out to look aside is looked at again from where it looks to.
    """
    face = _looked_at(mesh, head, texture)
    yaw = _yaw(face)
    if TURNED < abs(yaw) < ASIDE:
        turn = about_y(-yaw)
        turned = MeshArrays(mesh.vertices @ turn.T, mesh.triangles, mesh.corner_uvs)
        again = _looked_at(turned, {name: turn @ point for name, point in head.items()}, texture)
        if again["confidence"]["eyes"] > max(face["confidence"]["eyes"], SURE):
            for name in FACE:
                again[name]["center"] = [round(float(v), 6) for v in np.array(again[name]["center"]) @ turn]
            return again
    return face


def _yaw(face: dict[str, Any]) -> float:
    """Degrees about +Y that the line through both eyes on the surface is turned from the front."""
    x, _, z = np.array(face["leftEye"]["center"]) - face["rightEye"]["center"]
    return float(np.degrees(np.arctan2(-z, x)))


def _looked_at(mesh: MeshArrays, head: dict[str, np.ndarray], texture: np.ndarray | None) -> dict[str, Any]:
    view, rgba = look_at_head(mesh, head, texture)
    pixels = {name: (float(x), float(y)) for name, point in head.items() for x, y in [view.to_pixels(point)]}
    rules = _in_metres(locate_face(rgba, view.mask, pixels), view)
    size = max(float(head["headTop"][1] - head["neck"][1]), 1e-6)
    face = weighed(rules, read_face(mesh, texture, size), size)
    if texture is None:
        face["confidence"] = {name: min(value, BARE) for name, value in face["confidence"].items()}
    return _on_surface(face, view)


def head_joints(mesh: MeshArrays, given: dict[str, list[float]]) -> dict[str, np.ndarray]:
    """neck, head and headTop (3,). The outline's own come first, because riggers differ in where a neck begins.

    Raises BackendError("not_humanoid") when neither the outline nor `given` tells.
    """
    try:
        found = find_joints(mesh.vertices, mesh.triangles)
    except BackendError:
        found = None
    if found is not None and found.yaw == 0 and all(name in found.joints for name in NECK):
        head = {name: found.joints[name] for name in NECK}
        size = head["headTop"][1] - head["neck"][1]
        agree = "head" not in given or np.hypot(*(head["head"] - np.array(given["head"]))[:2]) < 0.6 * size
        if agree:
            return head
    if "head" not in given:
        raise BackendError(
            "not_humanoid",
            "No head was found on this mesh: the figure must stand upright and face the front (+Z in glTF, -Y in"
            " Blender).",
            "Turn the mesh, rig it first, or place the face markers by hand.",
        )
    base = np.array(given["head"], float)
    neck = np.array(given.get("neck", base - [0, 0.25 * (mesh.vertices[:, 1].max() - base[1]), 0]), float)
    near = np.abs(mesh.vertices[:, 0] - base[0]) < 0.5 * max(mesh.vertices[:, 1].max() - base[1], 1e-6)
    top = float(mesh.vertices[near & (mesh.vertices[:, 1] > base[1]), 1].max(initial=base[1] + 1e-3))
    return {"neck": neck, "head": base, "headTop": np.array(given.get("headTop", [base[0], top, base[2]]), float)}


def look_at_head(mesh: MeshArrays, head: dict[str, np.ndarray], texture: np.ndarray | None) -> tuple[View, np.ndarray]:
    """The head and what is next to it from the front, HEAD_PIXELS tall, and its colours (H, W, 4) uint8."""
    neck, top = head["neck"][1], head["headTop"][1]
    size = max(float(top - neck), 1e-6)
    centre = mesh.vertices[mesh.triangles].mean(1)
    near = (centre[:, 1] > neck - BELOW * size) & (np.abs(centre[:, 0] - head["head"][0]) < 1.5 * size)
    used, triangles = np.unique(mesh.triangles[near], return_inverse=True)
    vertices, triangles = mesh.vertices[used], triangles.reshape(-1, 3)
    if not len(triangles):
        raise BackendError(
            "not_humanoid", "There is no surface where the head should be.", "Correct the head joint or the mesh."
        )
    pixels = round(HEAD_PIXELS * float(np.ptp(vertices[:, 1])) / size)
    view = front_view(vertices, triangles, max(pixels, 32))
    if texture is None or mesh.corner_uvs is None:
        return view, shade(view, vertices, triangles)
    return view, colour(view, mesh.corner_uvs[near], texture)


def _in_metres(face: dict[str, Any], view: View) -> dict[str, Any]:
    """Pixels of the view to metres, x and y."""
    out: dict[str, Any] = {"confidence": face["confidence"]}
    for name in FACE:
        sizes = {key: float(value) / view.scale for key, value in face[name].items() if key != "center"}
        out[name] = {"center": view.to_metres(np.array(face[name]["center"])).tolist(), **sizes}
    return out


def _on_surface(face: dict[str, Any], view: View) -> dict[str, Any]:
    """Each centre with the depth of the surface that is seen there; rounded."""
    out: dict[str, Any] = {"confidence": {name: round(float(value), 4) for name, value in face["confidence"].items()}}
    rows, columns = np.nonzero(view.mask)
    for name in FACE:
        x, y = view.to_pixels(np.array(face[name]["center"]))
        nearest = int(np.argmin((columns - x) ** 2 + (rows - y) ** 2))
        centre = [*face[name]["center"], view.depth[rows[nearest], columns[nearest]]]
        sizes = {key: round(float(value), 6) for key, value in face[name].items() if key != "center"}
        out[name] = {"center": [round(float(v), 6) for v in centre], **sizes}
    return out
