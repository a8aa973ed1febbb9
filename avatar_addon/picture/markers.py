# SPDX-License-Identifier: GPL-3.0-or-later
"""The markers on the picture as objects in the viewport: shown, mirrored, taken over into the scene's settings.

The picture is an image empty, seen from the front, in a collection of its own with the markers; a marker's x and z
are picture_plane's x and y. They have no parent: Blender would draw a line from each marker to it.
All that is needed to go on lies in the file: saved, loaded and undone, the markers stay what they were.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from ..avatar.scene import select
from ..client import session
from ..client.process import jobs
from ..client.process.tasks import Steps, Wait
from ..ui.viewport import FRONT
from . import plane as picture_plane
from .mirroring import are_dragged, hold_right
from .plane import FACE, JOINTS, LABELS, Plane

ROOT_KEY, PART_KEY, SIZE_KEY = "avatar_forge_picture", "avatar_forge_picture_marker", "avatar_forge_marker_size"
SHELF_KEY = "avatar_forge_picture_shelf"  # on the collection
IN_FRONT = 0.02  # metres of a marker before the picture
AWAY = -1.5  # y of the picture: before whatever stands in the middle of the scene
JOINT_SIZE = 0.02
MOVED = 1e-5  # metres


def root_of(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The picture that is shown, or None."""
    return next((obj for obj in scene.objects if obj.type == "EMPTY" and ROOT_KEY in obj), None)


def shown(root: bpy.types.Object) -> dict[str, bpy.types.Object]:
    """Marker name -> empty, of those that are there."""
    return {obj[PART_KEY]: obj for obj in root.users_collection[0].objects if PART_KEY in obj}


def note(root: bpy.types.Object) -> str:
    """Why the picture was refused, as a sentence; "" if it was not."""
    return _kept(root).get("note", "")


def unsure(root: bpy.types.Object) -> set[str]:
    """The markers that were not recognised with confidence and still are where they were put at first."""
    kept, empties = _kept(root), shown(root)
    doubtful = [name for name in kept.get("unsure", ()) if name in empties]
    at = {name: np.array(empties[name].location)[[0, 2]] for name in doubtful}
    return {name for name in doubtful if np.abs(at[name] - kept["points"][name]).max() < MOVED}


def picture_of(root: bpy.types.Object) -> str:
    return _kept(root)["picture"]


def _kept(root: bpy.types.Object) -> dict[str, Any]:
    return json.loads(root[ROOT_KEY])


def check(context: bpy.types.Context, picture: Path, markers: dict[str, Any] | None) -> Steps:
    """Analyses the picture and shows it with its markers. markers: what the user has placed before. Raises
    AvatarError.
    """
    scene = context.scene
    with jobs.job_folder(session.jobs_folder(), keep=False) as folder:
        upright = folder / "upright.png"
        result = yield Wait(jobs.Job("analyse", picture=picture, markers=markers, draft=True, upright=upright))
        image = bpy.data.images.load(str(upright))
        image.name = f"{picture.stem} Markers"
        image.pack()
    image.filepath = ""
    remove(scene)
    root = _show(context, picture, image, result)
    look_at(context, root)


def _show(
    context: bpy.types.Context, picture: Path, image: bpy.types.Image, result: dict[str, Any]
) -> bpy.types.Object:
    points = picture_plane.pre_filled(result)
    plane = Plane(tuple(result["size"]), picture_plane.axis_of(points))
    root = bpy.data.objects.new("Picture Markers", None)
    collection = bpy.data.collections.new("Picture Markers")
    collection[SHELF_KEY] = True
    context.scene.collection.children.link(collection)
    collection.objects.link(root)
    width, height = plane.size
    root.empty_display_type, root.data = "IMAGE", image
    root.empty_display_size = picture_plane.HEIGHT * max(1.0, width / height)
    root.empty_image_offset = (-plane.axis / width, 0.0)
    root.rotation_euler = (math.radians(90), 0, 0)
    root.location = (0, AWAY, 0)
    root.hide_select = True
    refused = result.get("refused") or {}
    at = {name: plane.to_plane(point).tolist() for name, point in points.items()}
    kept = {
        "picture": str(picture),
        "size": plane.size,
        "axis": plane.axis,
        "note": refused.get("message", ""),
        "points": at,
        "unsure": picture_plane.unsure(result),
    }
    root[ROOT_KEY] = json.dumps(kept)
    halves = picture_plane.sizes(result, points)
    for name in (*JOINTS, *FACE):
        _add_marker(collection, name, at[name], halves[name] * plane.pixel if name in halves else None)
    set_mirror(context.scene)
    weakest = min(
        FACE,
        key=lambda name: result.get("face", {}).get("confidence", {}).get("mouth" if name == "mouth" else "eyes", 0.0),
    )
    select(context, shown(root)[weakest])
    return root


def _add_marker(collection: bpy.types.Collection, name: str, at: list[float], half: np.ndarray | None) -> None:
    empty = bpy.data.objects.new(LABELS[name], None)
    collection.objects.link(empty)
    empty[PART_KEY] = name
    empty.location = _place(at)
    empty.lock_location[1] = True
    empty.show_in_front = True
    if half is None:
        empty.empty_display_type, empty.empty_display_size = "SPHERE", JOINT_SIZE
        return
    empty.empty_display_type, empty.empty_display_size = "SPHERE", 1.0
    empty.scale = (half[0], 0.1 * half[0], half[1])
    empty[SIZE_KEY] = [float(value) for value in half]


def _place(point: Any) -> tuple[float, float, float]:
    return float(point[0]), AWAY - IN_FRONT, float(point[1])


def points_of(root: bpy.types.Object) -> dict[str, np.ndarray]:
    """Every marker's place on the plane; one that was deleted is where it was at first."""
    points = {name: np.array(point) for name, point in _kept(root)["points"].items()}
    for name, empty in shown(root).items():
        points[name] = np.array(empty.location)[[0, 2]]
    return points


def markers_of(root: bpy.types.Object) -> dict[str, Any]:
    """What the backend gets (docs/architecture.md)."""
    kept = _kept(root)
    scaled = {}
    for name, empty in shown(root).items():
        if SIZE_KEY in empty:
            half = np.abs(np.array(empty.scale)[[0, 2]])
            if np.abs(half / np.array(empty[SIZE_KEY]) - 1).max() > 0.01:
                scaled[name] = half
    return picture_plane.to_markers(Plane(tuple(kept["size"]), kept["axis"]), points_of(root), scaled)


def accept(context: bpy.types.Context) -> None:
    """The markers become the request's, and the picture leaves the scene."""
    root = root_of(context.scene)
    assert root
    context.scene.avatar_forge.checked_markers = json.dumps({"picture": picture_of(root), "markers": markers_of(root)})
    remove(context.scene)


def accepted(scene: bpy.types.Scene, picture: Path) -> dict[str, Any] | None:
    """The markers that the user has accepted for this picture."""
    stored = json.loads(scene.avatar_forge.checked_markers or "{}")
    return stored["markers"] if stored.get("picture") == str(picture) else None


def remove(scene: bpy.types.Scene) -> None:
    """Takes picture and markers out of the scene."""
    root = root_of(scene)
    if root is None:
        return
    image, collection = root.data, root.users_collection[0]
    bpy.data.batch_remove([*shown(root).values(), root])
    if SHELF_KEY in collection and not collection.all_objects:
        bpy.data.collections.remove(collection)
    if image and not image.users:
        bpy.data.images.remove(image)


# Mirroring


def mirror(scene: bpy.types.Scene) -> None:
    """Puts the right markers where they mirror the left ones about the hips, neck and head."""
    root = root_of(scene)
    if root is None:
        return
    empties = shown(root)
    for name, point in picture_plane.mirrored(points_of(root)).items():
        empty, left = empties.get(name), empties.get("left" + name[5:])
        if empty is None:
            continue
        if np.abs(np.array(empty.location)[[0, 2]] - point).max() > MOVED:
            empty.location = _place(point)
        if left and SIZE_KEY in empty and (left.scale - empty.scale).length > MOVED:
            empty.scale = left.scale


def set_mirror(scene: bpy.types.Scene) -> None:
    """As the option says: the right markers follow and cannot be picked, or are free."""
    root = root_of(scene)
    if root is None:
        return
    on = scene.avatar_forge.mirror_markers
    hold_right(shown(root), on)
    if on:
        mirror(scene)


@bpy.app.handlers.persistent
def follow(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """While the option is on, the right markers follow the left ones as they are dragged."""
    if scene.avatar_forge.mirror_markers and are_dragged(depsgraph, PART_KEY):
        mirror(scene)


# The view


def look_at(context: bpy.types.Context, root: bpy.types.Object) -> None:
    """Turns every 3D view of the window to the picture, from the front."""
    for view in _views(context):
        view.view_perspective = "ORTHO"
        view.view_rotation = FRONT
        view.view_location = Vector((0, AWAY, picture_plane.HEIGHT / 2))
        view.view_distance = 1.35 * root.empty_display_size


def _views(context: bpy.types.Context) -> Iterator[bpy.types.RegionView3D]:
    for area in context.window.screen.areas if context.window else ():
        if area.type == "VIEW_3D":
            yield area.spaces.active.region_3d


def register() -> None:
    bpy.app.handlers.depsgraph_update_post.append(follow)


def unregister() -> None:
    bpy.app.handlers.depsgraph_update_post.remove(follow)
