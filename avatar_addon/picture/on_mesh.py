# SPDX-License-Identifier: GPL-3.0-or-later
"""The 15 joints, eyes and mouth of a mesh as markers in the viewport: shown, mirrored, read.

The markers stand on a copy of the mesh as it was before it was rigged; the avatar is hidden while they are shown. As
with those on a picture, all that is needed to go on lies in the file.
"""

from __future__ import annotations

import json
import math
from typing import Any

import bpy
import numpy as np
from mathutils import Quaternion, Vector

from ..avatar import before_rig, painting, scene
from ..avatar.scene import Avatar, select
from ..client import session
from ..client.process import jobs
from ..client.process.tasks import Steps, Wait
from ..errors import AvatarError
from ..landmarks import PARTS, FaceLandmarks, Landmark
from ..ui.viewport import FRONT, frame
from .mirroring import are_dragged, hold_right
from .plane import EYE_SIZE, FACE, JOINTS, LABELS, MOUTH_FLATNESS, MOUTH_WIDTH, USUAL, axis_of

ROOT_KEY = "avatar_forge_mesh_markers"  # on the copy: JSON of what was shown at first
PART_KEY = "avatar_forge_mesh_marker"
SHELF_KEY = "avatar_forge_mesh_shelf"  # on the collection
MOVED = 1e-4  # metres
RESIZED = 0.01
JOINT_SIZE = 0.012  # of the height
HITS = 64
WIDE = 1.3  # of the mesh's diagonal: what a view shows
SIDE = Quaternion((0, 0, 1), math.radians(90)) @ FRONT  # the character's left side
VIEWS = {"FRONT": FRONT, "SIDE": SIDE}
Points = dict[str, np.ndarray]


def root_of(scene_: bpy.types.Scene) -> bpy.types.Object | None:
    """The copy of the mesh that the markers stand on, or None."""
    return next((obj for obj in scene_.objects if obj.type == "MESH" and ROOT_KEY in obj), None)


def shown(root: bpy.types.Object) -> dict[str, bpy.types.Object]:
    """Marker name -> empty, of those that are there."""
    return {obj[PART_KEY]: obj for obj in root.users_collection[0].objects if PART_KEY in obj}


def avatar_of(root: bpy.types.Object) -> Avatar:
    """Raises AvatarError where the user has deleted it."""
    mesh = root.get(scene.OF_KEY)
    if mesh is None or mesh.name not in bpy.data.objects:
        raise AvatarError("The avatar of these markers was deleted; discard them.", "deleted")
    return Avatar(mesh, mesh.find_armature())


def unsure(root: bpy.types.Object) -> set[str]:
    """The markers that are estimates and still are where they were put at first."""
    return {name for name in _kept(root)["unsure"] if name not in moved(root)}


def moved(root: bpy.types.Object) -> set[str]:
    """The markers that are no longer where, or as large as, they were shown at first."""
    at, out = _kept(root)["at"], set()
    for name, empty in shown(root).items():
        place, size = np.array(at[name][:3]), np.array(at[name][3:])
        resized = size.size and np.abs(np.array(empty.scale) / size - 1).max() > RESIZED
        if resized or np.abs(np.array(empty.location) - place).max() > MOVED:
            out.add(name)
    return out


def _kept(root: bpy.types.Object) -> dict[str, Any]:
    return json.loads(root[ROOT_KEY])


def check(context: bpy.types.Context, avatar: Avatar) -> Steps:
    """Shows the markers where the joints are, or where they are found; turns a mesh that lies or faces another side.
    Raises AvatarError.
    """
    scene.object_mode()
    remove(context.scene)
    joints, face, doubtful = before_rig.joints_of(avatar), _face_of(avatar), []
    if any(name not in joints for name in JOINTS):
        found = yield from _draft(avatar, with_face=not face)
        if found.get("turn"):
            scene.turn_upright(avatar, np.array(found["turn"]))
            # turned about the origin, then moved onto the ground: the joints come along
            shift = _ground(before_rig.coordinates(avatar.mesh.data)) - _ground(found["vertices"])
        else:
            shift = np.zeros(3)
        joints = {name: scene.to_blender(point) + shift for name, point in found["joints"].items()}
        doubtful = found["unsure"]
        if not face and found.get("face"):
            marks = scene.face_in_blender(found["face"])
            face = {name: _shifted(mark, shift) for name, mark in marks.parts.items() if name in FACE}
            sure = {name: marks.confidence.get("mouth" if name == "mouth" else "eyes", 0.0) for name in FACE}
            doubtful = [*doubtful, *(name for name in FACE if sure[name] < 0.5)]
    root = show(context, avatar, joints, face, doubtful)
    look_at(context, root, "FRONT")


def _draft(avatar: Avatar, with_face: bool) -> Steps:
    """The backend's first places, glTF's axes after `turn`; `vertices`: the mesh's in Blender's axes, turned."""
    with jobs.job_folder(session.jobs_folder(), keep=False) as folder:
        mesh, texture = painting.write_painted(avatar, folder / "mesh.npz", folder / "texture.png")
        with np.load(mesh, allow_pickle=False) as data:
            points = data["vertices"].astype(float)
        known = {name: point for name, point in scene.read_joints(avatar).items() if name in JOINTS}
        job = jobs.Job("draft_markers", mesh=mesh, texture=texture, joints=known or None, face=with_face)
        found = yield Wait(job)
    turn = np.array(found.get("turn") or np.eye(3))
    return {**found, "vertices": scene.to_blender(points @ turn.T)}


def _ground(points: np.ndarray) -> np.ndarray:
    """The point on the ground under the middle of the points."""
    low, high = points.min(0), points.max(0)
    return np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])


def _shifted(mark: Landmark, shift: np.ndarray) -> Landmark:
    return Landmark(tuple(np.array(mark.center) + shift), mark.half_width, mark.half_height)


def _face_of(avatar: Avatar) -> dict[str, Landmark]:
    """Eyes and mouth of the record, on the mesh that is shown; empty where they are not known there."""
    if not avatar.record.has_face:
        return {}
    out = {}
    for name, mark in scene.read_face(avatar).parts.items():
        place = before_rig.to_shown(avatar, np.array(mark.center)) if name in FACE else None
        if place is not None:
            out[name] = Landmark(tuple(place), mark.half_width, mark.half_height)
    return out if len(out) == len(FACE) else {}


def usual_face(head: np.ndarray, top: float) -> Points:
    """Where eyes and mouth usually are, of the head's joint (3,) and the height of the crown, Blender's axes."""
    share = {name: (USUAL["head"][1] - USUAL[name][1]) / USUAL["head"][1] for name in ("Eye", "mouth")}
    size = max(top - float(head[2]), 1e-3)
    across = size * USUAL["Eye"][0] / USUAL["head"][1]
    places = {"leftEye": (across, share["Eye"]), "rightEye": (-across, share["Eye"]), "mouth": (0.0, share["mouth"])}
    return {name: head + [x, 0.0, z * size] for name, (x, z) in places.items()}


def show(
    context: bpy.types.Context, avatar: Avatar, joints: Points, face: dict[str, Landmark], doubtful: list[str]
) -> bpy.types.Object:
    """Puts the markers into the scene, in place of the avatar: joints, face: in Blender's axes on the mesh that
    `before_rig` gives, a face that is empty where it usually is; doubtful: the names of estimates. Returns the root.
    """
    mesh = before_rig.shown_mesh(avatar).copy()
    mesh.name = "Mesh Markers"
    root = bpy.data.objects.new("Mesh Markers", mesh)
    collection = bpy.data.collections.new("Mesh Markers")
    collection[SHELF_KEY] = True
    context.scene.collection.children.link(collection)
    collection.objects.link(root)
    root.shape_key_clear()
    root.hide_select = True
    root[scene.OF_KEY] = avatar.mesh
    context.view_layer.update()
    corners = np.array(root.bound_box)
    height = max(float(np.ptp(corners[:, 2])), 1e-6)
    if not face:
        usual = usual_face(joints["head"], float(corners[:, 2].max()))
        face = {name: Landmark(tuple(_on_surface(root, point))) for name, point in usual.items()}
        doubtful = list(dict.fromkeys([*doubtful, *FACE]))
    at = {}
    for name in (*JOINTS, *FACE):
        place = joints[name] if name in JOINTS else np.array(face[name].center)
        half = None if name in JOINTS else _half(name, face)
        empty = _add(collection, name, place, half, JOINT_SIZE * height)
        empty[scene.OF_KEY] = avatar.mesh
        at[name] = [*empty.location, *(empty.scale if half is not None else ())]
    root[ROOT_KEY] = json.dumps({"at": at, "unsure": doubtful})
    for obj in avatar.objects:
        obj.hide_set(True)
    set_mirror(context.scene)
    first = next((name for name in JOINTS if name in doubtful and not name.startswith("right")), "leftHand")
    select(context, shown(root)[first])
    return root


def _half(name: str, face: dict[str, Landmark]) -> tuple[float, float]:
    apart = max(float(np.linalg.norm(np.subtract(face["leftEye"].center, face["rightEye"].center))), 1e-3)
    if name == "mouth":
        half = face[name].half_width or MOUTH_WIDTH * apart / 2
        return half, half * MOUTH_FLATNESS
    return face[name].half_width or EYE_SIZE[0] * apart, face[name].half_height or EYE_SIZE[1] * apart


def _add(
    collection: bpy.types.Collection, name: str, at: np.ndarray, half: tuple[float, float] | None, size: float
) -> bpy.types.Object:
    empty = bpy.data.objects.new(LABELS[name], None)
    collection.objects.link(empty)
    empty[PART_KEY] = name
    empty.location = at
    empty.show_in_front = True
    empty.empty_display_type = "SPHERE"
    empty.empty_display_size = size if half is None else 1.0
    if half is not None:
        empty.scale = (half[0], 0.2 * half[0], half[1])
    return empty


def points_of(root: bpy.types.Object) -> Points:
    """Every marker's place; one that was deleted is where it was at first."""
    points = {name: np.array(place[:3]) for name, place in _kept(root)["at"].items()}
    for name, empty in shown(root).items():
        points[name] = np.array(empty.location)
    return points


def settle_depth(root: bpy.types.Object) -> None:
    """Gives markers that were moved across the view from the front, and not in depth, the depth that is meant there:
    joints lie in the middle of the limb, eyes and mouth on the skin.
    """
    at = _kept(root)["at"]
    for name, empty in shown(root).items():
        first, now = np.array(at[name][:3]), np.array(empty.location)
        if np.abs(now - first)[[0, 2]].max() > MOVED and abs(now[1] - first[1]) < MOVED:
            empty.location = _in_limb(root, now) if name in JOINTS else _on_surface(root, now)


def _crossings(root: bpy.types.Object, point: np.ndarray) -> list[tuple[float, bool]]:
    """Where a line through the point from front to back goes through the surface: y in order, and whether into it."""
    y, found = min(corner[1] for corner in root.bound_box) - 1.0, []
    for _ in range(HITS):
        hit, place, normal, _ = root.ray_cast(Vector((point[0], y, point[2])), Vector((0, 1, 0)))
        if not hit:
            break
        found.append((float(place.y), normal.y < 0))
        y = place.y + 1e-5
    return found


def solid_spans(crossings: list[tuple[float, bool]]) -> list[tuple[float, float]]:
    """Where the line is inside of at least one shell; where the normals contradict each other, between every two
    crossings.
    """
    spans, inside, start = [], 0, 0.0
    for y, enters in crossings:
        start = start if inside else y
        inside += 1 if enters else -1
        if inside < 0:
            break
        if not inside:
            spans.append((start, y))
    if inside:
        places = [y for y, _ in crossings]
        return list(zip(places[::2], places[1::2], strict=False))
    return spans


def _in_limb(root: bpy.types.Object, point: np.ndarray) -> np.ndarray:
    middles = [(a + b) / 2 for a, b in solid_spans(_crossings(root, point))]
    if not middles:
        return point
    return np.array([point[0], min(middles, key=lambda y: abs(y - point[1])), point[2]])


def _on_surface(root: bpy.types.Object, point: np.ndarray) -> np.ndarray:
    hits = _crossings(root, point)
    return np.array([point[0], hits[0][0], point[2]]) if hits else point


def read(root: bpy.types.Object) -> tuple[dict[str, list[float]], FaceLandmarks | None]:
    """The joints in glTF's axes, and the face in Blender's where the user has placed any part of it."""
    settle_depth(root)
    points = points_of(root)
    joints = {name: scene.to_gltf(points[name]).tolist() for name in JOINTS}
    return joints, None if moved(root).isdisjoint(FACE) else read_face(root)


def read_face(root: bpy.types.Object) -> FaceLandmarks:
    """Eyes and mouth in Blender's axes, wherever they are."""
    points = points_of(root)
    empties, parts = shown(root), {}
    for name in FACE:
        scale = empties[name].scale if name in empties else _kept(root)["at"][name][3:]
        high = 0.0 if name == "mouth" else abs(scale[2])
        parts[PARTS[name].name] = Landmark(tuple(map(float, points[name])), abs(scale[0]), high)
    return FaceLandmarks(parts)


def remove(scene_: bpy.types.Scene) -> None:
    """Takes the markers out of the scene and shows the avatar again."""
    root = root_of(scene_)
    if root is None:
        return
    of = root.get(scene.OF_KEY)
    mesh, collection = root.data, root.users_collection[0]
    bpy.data.batch_remove([*shown(root).values(), root])
    if not mesh.users:
        bpy.data.meshes.remove(mesh)
    if SHELF_KEY in collection and not collection.all_objects:
        bpy.data.collections.remove(collection)
    if of is not None and of.name in bpy.data.objects:
        avatar = Avatar(of, of.find_armature())
        for obj in avatar.objects:
            if obj.name in bpy.context.view_layer.objects:
                obj.hide_set(False)
        select(bpy.context, avatar.armature or avatar.mesh)


# Mirroring


def mirror(scene_: bpy.types.Scene) -> None:
    """Puts the right markers where they mirror the left ones about the hips, neck and head."""
    root = root_of(scene_)
    if root is None:
        return
    points, empties = points_of(root), shown(root)
    twice = 2 * axis_of(points)
    for name, empty in empties.items():
        left = empties.get("left" + name[5:]) if name.startswith("right") else None
        if left is None:
            continue
        goal = Vector((twice - left.location.x, left.location.y, left.location.z))
        if (empty.location - goal).length > MOVED:
            empty.location = goal
        if name in FACE and (left.scale - empty.scale).length > MOVED:
            empty.scale = left.scale


def set_mirror(scene_: bpy.types.Scene) -> None:
    """As the option says: the right markers follow and cannot be picked, or are free."""
    root = root_of(scene_)
    if root:
        hold_right(shown(root), scene_.avatar_forge.mirror_markers)


@bpy.app.handlers.persistent
def follow(scene_: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """While the option is on, the right markers follow the left ones as they are dragged."""
    if scene_.avatar_forge.mirror_markers and are_dragged(depsgraph, PART_KEY, "left"):
        root = root_of(scene_)
        if root and any(name.startswith("left") for name in moved(root)):
            mirror(scene_)


# The view


def look_at(context: bpy.types.Context, root: bpy.types.Object, side: str) -> None:
    """Turns every 3D view of the window to the mesh, from a side in VIEWS, with its colours."""
    corners = np.array(root.bound_box)
    for area in context.window.screen.areas if context.window else ():
        if area.type == "VIEW_3D":
            frame(area.spaces.active.region_3d, corners[[0, 6]], VIEWS[side], WIDE)
            area.spaces.active.shading.color_type = "TEXTURE"  # eyes and mouth are hardly seen on grey


def register() -> None:
    bpy.app.handlers.depsgraph_update_post.append(follow)


def unregister() -> None:
    bpy.app.handlers.depsgraph_update_post.remove(follow)
