# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's file into Blender, by Blender's importer for it or the VRM Add-on's, and away where it is no use."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable
from pathlib import Path

import bpy

from ..avatar.scene import Avatar
from ..errors import AvatarError, why_not_read
from ..vrm import existing
from ..vrm.spec.vrm_file import MOST_MISSING, missing_values
from .ownership import Notes

GLTF = (".glb", ".gltf", ".vrm")
MODELS = (".glb", ".gltf", ".vrm", ".fbx", ".obj", ".ply")

KINDS = (
    "objects",
    "meshes",
    "armatures",
    "materials",
    "images",
    "actions",
    "collections",
    "cameras",
    "lights",
    "texts",
    "curves",
    "node_groups",
)


def import_file(path: Path, licensed: bool) -> None:
    """Imports a file with Blender's importer for it, or the VRM Add-on's. Raises AvatarError."""
    suffix = path.suffix.lower()
    if suffix not in MODELS:
        raise AvatarError(
            f"Files of type {suffix or 'without an ending'} cannot be imported; use {', '.join(MODELS)}.",
            "unknown_kind",
        )
    if not path.is_file():
        raise AvatarError(f"The file {path.name} does not exist; choose another one.", "no_file")
    if suffix in GLTF and (count := missing_values(path)) > MOST_MISSING:
        raise AvatarError(
            f"The file {path.name} cannot be imported ({count:,} of its values are missing); check that it is "
            "complete.",
            "import",
        )
    if suffix == ".vrm":
        doubts = [] if licensed else existing.licence_questions(path)
        if doubts:
            raise AvatarError(
                (
                    f"The licence of {path.name} may not permit this: {doubts[0].rstrip('.')}. If it does, confirm"
                    " that and import it again."
                ),
                "licence",
            )
        existing.import_file(path)
        return
    run: dict[str, Callable] = {
        ".glb": lambda: bpy.ops.import_scene.gltf(filepath=str(path), merge_vertices=True, disable_bone_shape=True),
        ".fbx": lambda: bpy.ops.import_scene.fbx(filepath=str(path), automatic_bone_orientation=False),
        ".obj": lambda: bpy.ops.wm.obj_import(filepath=str(path)),
        ".ply": lambda: bpy.ops.wm.ply_import(filepath=str(path)),
    }
    run[".gltf"] = run[".glb"]
    try:
        said = io.StringIO()  # times and tracebacks; what is wrong is in the exception
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            outcome = run[suffix]()
    except Exception as error:  # importers are Python add-ons, which raise what they meet
        raise AvatarError(
            f"The file {path.name} cannot be imported ({why_not_read(error)}); check that it is complete.", "import"
        ) from error
    if outcome != {"FINISHED"}:
        raise AvatarError(f"The file {path.name} cannot be imported; check that it is complete.", "import")


def remove_new(before: dict[str, set]) -> None:
    for name in KINDS:
        new = [item for item in getattr(bpy.data, name) if item not in before[name]]
        if new:
            bpy.data.batch_remove(new)


def remove_unused(before: dict[str, set], avatar: Avatar, is_vrm: bool) -> None:
    """What a file had beside the model: cameras, lights, empties and armatures that carry nothing, actions,
    collections of bone shapes. A VRM's empties are its colliders.
    """
    kinds = ("CAMERA", "LIGHT", "SPEAKER") if is_vrm else ("CAMERA", "LIGHT", "SPEAKER", "EMPTY", "ARMATURE")
    while True:
        gone = [
            obj
            for obj in bpy.data.objects
            if obj not in before["objects"] and obj not in avatar.objects and obj.type in kinds and not obj.children
        ]
        if not gone:
            break
        bpy.data.batch_remove(gone)
    for name in ("actions", "collections", "meshes", "cameras", "lights", "armatures", "curves"):
        unused = [item for item in getattr(bpy.data, name) if item not in before[name] and not item.users]
        if name == "collections":
            unused = [item for item in bpy.data.collections if item not in before[name] and not item.all_objects]
        if unused:
            bpy.data.batch_remove(unused)


def snapshot() -> dict[str, set]:
    """What is in the file now, by kind."""
    return {name: set(getattr(bpy.data, name)) for name in KINDS}


def missing_images(images: Iterable[bpy.types.Image], notes: Notes) -> None:
    """Names pictures whose files are not there: without them the model is white or pink, and cannot be exported."""
    lost = [image for image in images if image.source == "FILE" and image.users and not is_there(image)]
    if lost:
        names = ", ".join(image.name for image in lost[:4]) + (" and so on" if len(lost) > 4 else "")
        notes.append(
            (
                "missing_texture",
                f"Textures were not found: {names}; find them with File > External Data > Find Missing Files.",
            )
        )


def is_there(image: bpy.types.Image) -> bool:
    if image.packed_file or image.has_data:
        return True
    return Path(bpy.path.abspath(image.filepath, library=image.library)).is_file()
