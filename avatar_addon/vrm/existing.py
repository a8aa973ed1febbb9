# SPDX-License-Identifier: GPL-3.0-or-later
"""A VRM file that exists already: imported by the VRM Add-on, what a 0.x file says also as 1.0, its binds kept when
meshes are joined.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import bpy

from ..errors import AvatarError, why_not_read
from . import expressions0, setup
from .addon import extension, need_addon
from .spec.human_bones import BONES, name_in_vrm0, snake_case
from .spec.presets import name_of_vrm0

CONFIRMED = "BLENDER_VRM_AUTOMATIC_LICENSE_CONFIRMATION"  # the VRM Add-on's way to answer its own licence dialogue
USERS = {"OnlyAuthor": "onlyAuthor", "ExplicitlyLicensedPerson": "onlySeparatelyLicensedPerson", "Everyone": "everyone"}
# licence of VRM 0.x -> may be redistributed, modification, licence text
LICENCES = {
    "Redistribution_Prohibited": (False, "prohibited", ""),
    "CC0": (True, "allowModificationRedistribution", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "CC_BY": (True, "allowModificationRedistribution", "https://creativecommons.org/licenses/by/4.0/"),
    "CC_BY_NC": (True, "allowModificationRedistribution", "https://creativecommons.org/licenses/by-nc/4.0/"),
    "CC_BY_SA": (True, "allowModificationRedistribution", "https://creativecommons.org/licenses/by-sa/4.0/"),
    "CC_BY_NC_SA": (True, "allowModificationRedistribution", "https://creativecommons.org/licenses/by-nc-sa/4.0/"),
    "CC_BY_ND": (True, "prohibited", "https://creativecommons.org/licenses/by-nd/4.0/"),
    "CC_BY_NC_ND": (True, "prohibited", "https://creativecommons.org/licenses/by-nc-nd/4.0/"),
    "Other": (False, "prohibited", ""),
}


def licence_questions(path: Path) -> list[str]:
    """What the VRM Add-on would ask about the file's licence before it imports it; [] where nothing stands against
    changing it.
    """
    need_addon()
    scene = importlib.import_module(bpy.types.IMPORT_SCENE_OT_vrm.__module__)
    parse, doubt = getattr(scene, "parse_vrm_json", None), getattr(scene, "LicenseConfirmationRequiredError", None)
    if parse is None or doubt is None:  # another version of the VRM Add-on, which asks by itself
        return []
    try:
        parse(path, license_validation=True)
    except doubt as error:
        found = [" ".join(str(entry.get("message", "")).split()) for entry in error.license_confirmations()]
        return [text for text in found if text] or ["Its licence may not allow changes to the model."]
    except Exception as error:
        raise AvatarError(
            f"The file {path.name} is not a readable VRM file ({why_not_read(error)}); use another one.", "import"
        ) from error
    return []


def import_file(path: Path) -> None:
    """Imports the file; its licence was asked about before. Raises AvatarError."""
    need_addon()
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), _confirmed():
            outcome = bpy.ops.import_scene.vrm(
                filepath=str(path),
                set_shading_type_to_material_on_import=False,
                set_view_transform_to_standard_on_import=False,
                set_armature_display_to_wire=False,
            )
    except Exception as error:  # the add-on raises what it likes
        raise AvatarError(
            f"The VRM file {path.name} cannot be imported ({why_not_read(error)}); use another one.", "import"
        ) from error
    if outcome != {"FINISHED"}:
        raise AvatarError(f"The VRM Add-on did not import {path.name}; check that it is a complete VRM file.", "import")


@contextlib.contextmanager
def _confirmed() -> Iterator[None]:
    before = os.environ.get(CONFIRMED)
    os.environ[CONFIRMED] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[CONFIRMED]
        else:
            os.environ[CONFIRMED] = before


def is_vrm0(armature: bpy.types.Object) -> bool:
    return str(extension(armature).spec_version).startswith("0")


def also_as_vrm1(armature: bpy.types.Object) -> None:
    """What a file of VRM 0.x says of bones, expressions and meta, in the properties of VRM 1.0 as well."""
    ext = extension(armature)
    names = {name_in_vrm0(name): name for name in BONES}
    bones = {
        names[entry.bone]: entry.node.bone_name
        for entry in ext.vrm0.humanoid.human_bones
        if entry.bone in names and entry.node.bone_name
    }
    human = ext.vrm1.humanoid.human_bones
    human.initial_automatic_bone_assignment = False
    for name in BONES:
        setup.assign(getattr(human, snake_case(name)).node, bones.get(name, ""))
    for group in ext.vrm0.blend_shape_master.blend_shape_groups:
        preset = name_of_vrm0(group.preset_name, group.name)
        if preset:
            expression = setup.expression_of(armature, preset, make=True)
        elif (group.binds or group.material_values) and group.preset_name in ("unknown", ""):
            expression = ext.vrm1.expressions.custom.add()
            expression.custom_name = group.name
        else:
            continue
        expression.is_binary = group.is_binary
        expression.morph_target_binds.clear()
        for bind in group.binds:
            new = expression.morph_target_binds.add()
            new.node.mesh_object_name, new.index, new.weight = bind.mesh.mesh_object_name, bind.index, bind.weight
        expressions0.values_as_vrm1(group, expression)
    _meta_as_vrm1(ext.vrm0.meta, ext.vrm1.meta)


def _meta_as_vrm1(old, new) -> None:
    """Permissions that VRM 1.0 divides finer become the stricter of those that are meant."""
    new.vrm_name, new.version, new.contact_information = old.title, old.version, old.contact_information
    new.thumbnail_image = old.texture
    for values, text in ((new.authors, old.author), (new.references, old.reference)):
        values.clear()
        if text:
            values.add().value = text
    new.avatar_permission = USERS.get(old.allowed_user_name, "onlyAuthor")
    new.allow_excessively_violent_usage = old.violent_ussage_name == "Allow"
    new.allow_excessively_sexual_usage = old.sexual_ussage_name == "Allow"
    new.commercial_usage = "personalProfit" if old.commercial_ussage_name == "Allow" else "personalNonProfit"
    new.allow_redistribution, new.modification, text = LICENCES.get(old.license_name, LICENCES["Other"])
    new.other_license_url = old.other_license_url or text or old.other_permission_url


def binds(armature: bpy.types.Object) -> list:
    """Every property that names a mesh of which an expression moves a shape key, for VRM 1.0 and 0.x."""
    ext = extension(armature)
    found = [bind.node for _, expression in expressions0.named(armature) for bind in expression.morph_target_binds]
    return found + [bind.mesh for group in ext.vrm0.blend_shape_master.blend_shape_groups for bind in group.binds]


def forget_lost_annotations(armature: bpy.types.Object) -> int:
    """Removes first-person settings of meshes that are gone; their number. Viewers hide the head of what has none by
    its weights.
    """
    ext = extension(armature)
    lost = 0
    for values, name in (
        (ext.vrm1.first_person.mesh_annotations, "node"),
        (ext.vrm0.first_person.mesh_annotations, "mesh"),
    ):
        for index in reversed(range(len(values))):
            if not getattr(values[index], name).mesh_object_name:
                values.remove(index)
                lost += 1
    return lost
