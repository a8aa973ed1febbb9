# SPDX-License-Identifier: GPL-3.0-or-later
"""The VRM Add-on for Blender as a library: the one that is installed, else the wheel that comes with this extension."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Iterator
from typing import Any

import bpy

from ..errors import AvatarError

WHEEL = "io_scene_vrm"
# What Blender's glTF exporter reads of its settings since 5.3 and the VRM Add-on (4.10.2) does not give it.
NEWER_SETTINGS = {
    "gltf_add_compressed_images": False,
    "gltf_compressed_images_type": "WEBP",
    "gltf_compressed_images_fallback": True,
    "gltf_use_zstd": False,
    "gltf_ktx_zstd_level": 1,
    "gltf_active_vertex_color_when_no_material": False,
    "image_names": [],
    "gltf_filedirectory": "",
    "gltf_texturedirectory": "",
}


def is_available() -> bool:
    return hasattr(bpy.types.Armature, "vrm_addon_extension")


def need_addon() -> None:
    """Enables the bundled VRM Add-on unless there is one already; two at once would fight over the same properties.
    Raises AvatarError.
    """
    if is_available():
        return
    try:
        enabled = bpy.ops.preferences.addon_enable(module=WHEEL) == {"FINISHED"}
    except RuntimeError:
        enabled = False
    if not enabled or not is_available():
        raise AvatarError(
            "The VRM Add-on is missing; install 'VRM format' from Blender's extensions and try again.", "no_vrm_addon"
        )


def extension(armature: bpy.types.Object):
    """The VRM Add-on's properties of an armature object."""
    return armature.data.vrm_addon_extension


def bring_up_to_date(armature: bpy.types.Object) -> None:
    """The VRM Add-on's properties as of its present version. It does so itself before it exports, and takes those of a
    new armature for old ones: it would then turn what was set, such as the gaze's offset.
    """
    migration = sys.modules.get(type(extension(armature)).__module__.removesuffix("extension") + "migration")
    if migration and hasattr(migration, "migrate"):
        with contextlib.suppress(TypeError):  # another version of it takes other arguments
            migration.migrate(None, armature.name, heavy_migration=False)


@contextlib.contextmanager
def exporter_of_today() -> Iterator[None]:
    """For VRM 0.x the VRM Add-on lets Blender's glTF exporter read the materials that are not MToon, with settings and
    a result as they were before Blender 5.3: without this, those materials lose their texture and lighting there.
    """
    support, exporter = (_module(end) for end in (".external.io_scene_gltf2_support", ".exporter.vrm0_exporter"))
    if bpy.app.version < (5, 3, 0) or not hasattr(support, "create_export_settings"):
        yield
        return
    settings, gather = support.create_export_settings, getattr(exporter, "gather_gltf2_io_material", None)
    support.create_export_settings = lambda: copy.deepcopy(NEWER_SETTINGS) | settings()
    if gather:
        exporter.gather_gltf2_io_material = _gather_material
    try:
        yield
    finally:
        support.create_export_settings = settings
        if gather:
            exporter.gather_gltf2_io_material = gather


def _module(end: str) -> Any:
    """The VRM Add-on's module of this name, whatever package the add-on is installed as; None without it."""
    return next((module for name, module in list(sys.modules.items()) if name.endswith(end)), None)


def _gather_material(material: bpy.types.Material, settings: dict) -> object:
    from io_scene_gltf2.blender.exp.material.materials import gather_material

    gathered = gather_material(material, settings)  # since 5.3 with the nodes that it read in front
    return gathered[-2]
