# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that look at the scene, the handshake, and what is not offered here."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

from . import outputs
from .protocol.registry import COMMANDS, Refusal, command

PROTOCOL = 15  # what mcp-for-blender 2.2.4 expects
VERSION = [0, 1, 0]
FIRST_OBJECTS = 10  # that get_scene_info names
MOST_ITEMS = 500
MOST_OBJECTS = 300  # of a snapshot
FORMATS = {"glb": ".glb", "fbx": ".fbx"}
NOT_OFFERED = {"polyhaven": "Poly Haven", "sketchfab": "Sketchfab", "polypizza": "Poly Pizza", "tripo": "Tripo"}


@command("ping")
def ping() -> dict[str, Any]:
    return {"pong": True}


@command("get_addon_info")
def get_addon_info() -> dict[str, Any]:
    """premium_generators: none, else the servers would leave our own engines aside."""
    return {
        "name": "Avatar Forge",
        "addon_version": VERSION,
        "protocol_version": PROTOCOL,
        "capabilities": sorted(COMMANDS),
        "blender_version": bpy.app.version_string,
        "premium_generators": [],
    }


@command("get_telemetry_consent")
def get_telemetry_consent() -> dict[str, Any]:
    return {"consent": False}


@command("set_telemetry_consent")
def set_telemetry_consent(consent: bool | None = None) -> dict[str, Any]:
    """Stays no, whatever is asked: prompts, code and pictures go to nobody."""
    return {"consent": False}


@command("drain_human_activity")
def drain_human_activity() -> dict[str, Any]:
    """What the user does is not recorded."""
    return {"events": []}


def _declare_not_offered(key: str, label: str) -> None:
    message = (
        f"{label} is not offered by Avatar Forge: nothing is downloaded from the internet here. Models are made from"
        " pictures."
    )

    @command(f"get_{key}_status")
    def status() -> dict[str, Any]:
        return {"enabled": False, "message": message}


for _key, _label in NOT_OFFERED.items():
    _declare_not_offered(_key, _label)


# -- objects
# --------------------------------------------------------------------------------------------------------------------


@command("get_scene_info")
def get_scene_info() -> dict[str, Any]:
    scene = bpy.context.scene
    objects = scene.objects
    count = len(objects)
    first = [objects[index] for index in range(min(count, FIRST_OBJECTS))]
    return {
        "name": scene.name,
        "object_count": count,
        "objects": [{"name": obj.name, "type": obj.type, "location": _rounded(obj.location, 2)} for obj in first],
        "materials_count": len(bpy.data.materials),
    }


@command("get_object_info")
def get_object_info(name: str | None = None) -> dict[str, Any]:
    obj = bpy.data.objects.get(name or "")
    if obj is None:
        raise Refusal(f"Object not found: {name}")
    bpy.context.view_layer.update()
    info = {
        "name": obj.name,
        "type": obj.type,
        "location": list(obj.location),
        "rotation": list(_euler(obj)),
        "scale": list(obj.scale),
        "visible": obj.visible_get(),
        "materials": [slot.material.name for slot in obj.material_slots if slot.material],
    }
    if obj.type == "MESH":
        mesh = obj.data
        info["mesh"] = {"vertices": len(mesh.vertices), "edges": len(mesh.edges), "polygons": len(mesh.polygons)}
        info["world_bounding_box"] = world_box(obj)
    return info


def _euler(obj: bpy.types.Object):
    if obj.rotation_mode == "QUATERNION":
        return obj.rotation_quaternion.to_euler()
    if obj.rotation_mode == "AXIS_ANGLE":
        return obj.matrix_basis.to_euler()
    return obj.rotation_euler


def world_box(obj: bpy.types.Object) -> list[list[float]]:
    """[[least x, y, z], [greatest x, y, z]] in world space, of what the modifiers make of it."""
    corners = [obj.matrix_world @ Vector(corner) for corner in obj.bound_box]
    return [_rounded([pick(corner[axis] for corner in corners) for axis in range(3)], 5) for pick in (min, max)]


def about_object(obj: bpy.types.Object) -> dict[str, Any]:
    detail = obj.type.replace("_", " ").capitalize()
    if obj.type == "MESH":
        detail = f"Mesh, {len(obj.data.vertices)} vertices"
    elif obj.type == "ARMATURE":
        detail = f"Armature, {len(obj.data.bones)} bones"
    return {"name": obj.name, "type": obj.type, "detail": detail}


@command("list_scene_items")
def list_scene_items(query: str | None = None, limit: int | None = None) -> dict[str, Any]:
    """Objects of the scene, materials and collections whose name contains the query; those that begin with it come
    first.
    """
    sought, most = (query or "").casefold(), min(max(limit or 50, 1), MOST_ITEMS)
    kinds = (
        ("object", bpy.context.scene.objects),
        ("collection", bpy.data.collections),
        ("material", bpy.data.materials),
    )
    found = [(kind, item) for kind, items in kinds for item in items if sought in item.name.casefold()]
    found.sort(key=lambda entry: not entry[1].name.casefold().startswith(sought))
    return {
        "items": [{"kind": kind, "name": item.name, "detail": _detail(kind, item)} for kind, item in found[:most]],
        "total": len(found),
    }


def _detail(kind: str, item) -> str:
    if kind == "object":
        return about_object(item)["detail"]
    if kind == "collection":
        return f"Collection, {len(item.all_objects)} objects"
    return f"Material, used {item.users} times"


@command("get_world_state_snapshot")
def get_world_state_snapshot() -> dict[str, Any]:
    """The scene in numbers; servers ask for it with telemetry consent only, which is never given."""
    scene = bpy.context.scene
    bpy.context.view_layer.update()
    objects = list(scene.objects)
    camera = scene.camera
    return {
        "scene": scene.name,
        "blender_version": bpy.app.version_string,
        "frame_current": scene.frame_current,
        "frame_start": scene.frame_start,
        "frame_end": scene.frame_end,
        "object_count": len(objects),
        "objects": [
            {
                "name": obj.name,
                "type": obj.type,
                "location": _rounded(obj.matrix_world.translation, 4),
                "aabb": world_box(obj),
            }
            for obj in objects[:MOST_OBJECTS]
        ],
        "camera": (
            camera
            and {
                "name": camera.name,
                "location": _rounded(camera.matrix_world.translation, 4),
                "lens": camera.data.lens,
            }
        ),
        "lights": [
            {"name": obj.name, "type": obj.data.type, "energy": obj.data.energy}
            for obj in objects
            if obj.type == "LIGHT"
        ],
        "materials": [
            {"name": material.name, "users": material.users} for material in bpy.data.materials[:MOST_OBJECTS]
        ],
    }


def _rounded(values, digits: int) -> list[float]:
    return [round(value, digits) for value in values]


# -- export
# --------------------------------------------------------------------------------------------------------------------


@command("export_scene")
def export_scene(
    filepath: str | None = None,
    format: str | None = None,
    object_names: list | None = None,
    selection_only: bool | None = None,
    apply_modifiers: bool | None = None,
    replace: bool | None = None,
) -> dict[str, Any]:
    """Writes GLB or FBX: the whole scene, what is selected, or the named objects. The selection is as before
    afterwards. replace: also a file that was not written for a client.
    """
    kind = (format or "glb").lower().lstrip(".")
    if kind not in FORMATS:
        return {"error": f"Scenes are written as glb or fbx, not {format}."}
    try:
        path = outputs.place(filepath or "", FORMATS[kind], replace is True)
    except Refusal as refusal:
        return {"error": str(refusal)}
    layer = bpy.context.view_layer.objects
    missing = [name for name in object_names or () if not isinstance(name, str) or name not in layer]
    if missing:
        return {"error": f"There is no object {missing[0]!r} in the view layer."}
    before, active = [obj for obj in layer if obj.select_get()], layer.active
    chosen = [layer[name] for name in object_names] if object_names else before if selection_only else list(layer)
    if not chosen:
        return {"error": "Nothing is selected; select objects or name them."}
    only = bool(object_names or selection_only)
    try:
        if object_names:
            for obj in layer:
                obj.select_set(obj in chosen)
        _write(kind, path, only, apply_modifiers is not False)
        outputs.written(path)
    except RuntimeError as problem:
        return {"error": f"Blender could not write {path.name} ({str(problem).strip()})."}
    finally:
        if object_names:
            for obj in layer:
                obj.select_set(obj in before)
            layer.active = active
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "selection_only": only,
        "exported": [obj.name for obj in chosen],
    }


def _write(kind: str, path: Path, only: bool, apply: bool) -> None:
    """Complete or not at all, and never into a file that `path` was made a link to meanwhile."""
    part = path.with_name(f"avatar-forge-{uuid.uuid4().hex}.part{path.suffix}")
    try:
        if kind == "glb":
            bpy.ops.export_scene.gltf(filepath=str(part), export_format="GLB", use_selection=only, export_apply=apply)
        else:
            bpy.ops.export_scene.fbx(filepath=str(part), use_selection=only, use_mesh_modifiers=apply)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
