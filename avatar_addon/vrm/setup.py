# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills the VRM Add-on's properties: humanoid bones, expressions, look-at, meta, materials, for VRM 1.0 and 0.x alike.

Sources: specifications VRMC_vrm-1.0 (humanoid, expressions, lookAt, meta), VRMC_materials_mtoon-1.0, and VRM 0.0.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bpy

from .addon import bring_up_to_date, extension, need_addon
from .base_colour import base_colour, base_image
from .spec.human_bones import BONES, name_in_vrm0, snake_case
from .spec.perfect_sync import SYNC_SHAPES
from .spec.presets import PRESETS, Preset
from .spec.shape_key_names import plain, recognise

Bind = tuple[str, str, float]  # mesh object's name, shape key, weight

UNKNOWN = "unknown"  # an author; VRM requires one
MADE_WITH = "Made with Avatar Forge"
MOST_OF_SYNC = 26  # shapes from which on a face is one for perfect sync, and not one with a key named "jawOpen"
LOOK_RANGE = 60.0  # degrees of gaze at which the look expressions are complete


@dataclass(frozen=True)
class Meta:
    """What VRM's meta needs. thumbnail: a square image."""

    name: str
    author: str
    version: str = "1"
    made_with: str = ""
    thumbnail: bpy.types.Image | None = None


def set_humanoid(armature: bpy.types.Object, assigned: Mapping[str, str]) -> None:
    """assigned: VRM 1.0 bone name -> bone name. Bones that are not in it become unassigned. The rest pose is the
    T-pose.
    """
    need_addon()
    ext = extension(armature)
    for humanoid in (ext.vrm1.humanoid, ext.vrm0.humanoid):
        humanoid.pose = "restPositionPose"
    assign_bones(armature, assigned)


def assign_bones(armature: bpy.types.Object, assigned: Mapping[str, str]) -> None:
    """As `set_humanoid`, for any rest pose: nothing but the bones is changed."""
    need_addon()
    ext = extension(armature)
    bones1 = ext.vrm1.humanoid.human_bones
    for bones in (bones1, ext.vrm0.humanoid):
        bones.initial_automatic_bone_assignment = False
    _assign_all(armature, {getattr(bones1, snake_case(name)).node: assigned.get(name, "") for name in BONES})
    entries = {entry.bone: entry for entry in ext.vrm0.humanoid.human_bones}
    for name in BONES:
        if name_in_vrm0(name) not in entries:
            ext.vrm0.humanoid.human_bones.add().bone = name_in_vrm0(name)
    entries = {entry.bone: entry for entry in ext.vrm0.humanoid.human_bones}  # adding one may move the others
    _assign_all(armature, {entries[name_in_vrm0(name)].node: assigned.get(name, "") for name in BONES})


def assign(node, bone: str) -> None:
    """Sets one of the add-on's bone names; it looks at the whole armature then, so only where it changes."""
    if node.bone_name != bone:
        node.bone_name = bone


def _assign_all(armature: bpy.types.Object, wanted: Mapping[Any, str]) -> None:
    """wanted: every node of one of the add-on's humanoids -> bone name.

    All names of 300 bones set as in `assign` take five seconds. So the bones' identifiers are set, which are what the
    add-on keeps, and the last of the names as names are, so that it looks once.
    """
    for node in wanted:  # it looks 55 times as often where it has not looked yet
        getattr(node, "pointer_to_bone_name_candidates", {}).setdefault(node.as_pointer(), set())
    changed = [(node, bone) for node, bone in wanted.items() if node.bone_name != bone]
    identifiers = _identifiers(armature) if len(changed) > 1 else {"": ""}
    for node, bone in changed[:-1]:
        node.bone_uuid = identifiers.get(bone, "")
    for node, bone in changed[-1:]:
        node.bone_name = bone


def _identifiers(armature: bpy.types.Object) -> dict[str, str]:
    """Bone name -> the add-on's identifier of the bone, made where there is none yet or one that another bone has."""
    found: dict[str, str] = {"": ""}
    used: set[str] = set()
    for bone in armature.data.bones:
        if not bone.vrm_addon_extension.uuid or bone.vrm_addon_extension.uuid in used:
            bone.vrm_addon_extension.uuid = uuid.uuid4().hex
        used.add(bone.vrm_addon_extension.uuid)
        found[bone.name] = bone.vrm_addon_extension.uuid
    return found


def get_humanoid(armature: bpy.types.Object) -> dict[str, str]:
    """VRM 1.0 bone name -> bone name, of those assigned."""
    bones = extension(armature).vrm1.humanoid.human_bones
    found = {name: getattr(bones, snake_case(name)).node.bone_name for name in BONES}
    return {name: bone for name, bone in found.items() if bone}


def get_bone(armature: bpy.types.Object, name: str) -> str:
    """The bone that is assigned to one humanoid bone, or ""; for panels, which cannot wait for all of them."""
    return str(getattr(extension(armature).vrm1.humanoid.human_bones, snake_case(name)).node.bone_name)


def set_expressions(armature: bpy.types.Object, mesh: bpy.types.Object) -> list[str]:
    """Binds every preset to the mesh's shape keys, ours or others of a known name; presets that found none are
    returned.
    """
    keys = mesh.data.shape_keys.key_blocks.keys()[1:] if mesh.data.shape_keys else []
    found = recognise(keys).binds
    missing = bind_expressions(
        armature, {name: [(mesh.name, key, weight) for key, weight in bound] for name, bound in found.items()}
    )
    _bind_perfect_sync(armature, mesh.name, keys)
    return missing


def _bind_perfect_sync(armature: bpy.types.Object, mesh: str, keys: Sequence[str]) -> None:
    """ARKit's shapes as custom expressions, where the mesh has most of them; those that it lacks move nothing.

    Where it has few, the expressions that an earlier face had are removed.
    """
    known = {plain(key): key for key in keys}
    found = {name: known[plain(name)] for name in SYNC_SHAPES if plain(name) in known}
    custom = extension(armature).vrm1.expressions.custom
    if len(found) < MOST_OF_SYNC:
        for index in reversed(range(len(custom))):
            binds = custom[index].morph_target_binds
            if custom[index].custom_name in SYNC_SHAPES and all(
                bind.node.mesh_object_name == mesh and bind.index not in keys for bind in binds
            ):
                custom.remove(index)
        return
    groups = extension(armature).vrm0.blend_shape_master.blend_shape_groups
    for name in SYNC_SHAPES:
        expression = expression_of(armature, name, make=True)
        expression.morph_target_binds.clear()
        if name in found:
            bind = expression.morph_target_binds.add()
            bind.node.mesh_object_name, bind.index, bind.weight = mesh, found[name], 1.0
            _add_group(groups, Preset(name, "perfect sync"), [(mesh, found[name], 1.0)])


def bind_expressions(armature: bpy.types.Object, binds: Mapping[str, Sequence[Bind]]) -> list[str]:
    """binds: preset -> (mesh object's name, shape key, weight). Presets without are unbound, and returned."""
    need_addon()
    ext = extension(armature)
    groups = ext.vrm0.blend_shape_master.blend_shape_groups
    groups.clear()
    for name, preset in PRESETS.items():
        expression = expression_of(armature, name, make=bool(binds.get(name)))
        if expression is None:
            continue
        bound = bool(len(expression.morph_target_binds))
        expression.morph_target_binds.clear()
        for mesh, key, weight in binds.get(name, ()):
            bind = expression.morph_target_binds.add()
            bind.node.mesh_object_name, bind.index, bind.weight = mesh, key, weight
        chosen = (expression.override_blink, expression.override_mouth) != ("none", "none")
        if preset.override != "none" and not bound and not chosen:  # what a file or a person has said stays
            expression.override_blink = expression.override_mouth = preset.override
        if binds.get(name):
            _add_group(groups, preset, binds[name])
    return [name for name in PRESETS if not binds.get(name)]


def expression_of(armature: bpy.types.Object, name: str, make: bool = False):
    """The VRM Add-on's expression of a name: VRM 1.0's preset, else the custom one, which is added where `make` says
    so; None where there is none.
    """
    known = extension(armature).vrm1.expressions
    preset = getattr(known.preset, snake_case(name), None)
    found = preset or next((custom for custom in known.custom if custom.custom_name == name), None)
    if found is None and make:
        found = known.custom.add()
        found.custom_name = name
    return found


def _add_group(groups, preset: Preset, binds: Sequence[Bind]) -> None:
    group = groups.add()
    group.name = preset.name
    if preset.vrm0:
        group.preset_name = preset.vrm0
    for mesh, key, weight in binds:
        bind = group.binds.add()
        bind.mesh.mesh_object_name, bind.index, bind.weight = mesh, key, weight


def set_look_at(armature: bpy.types.Object, offset: tuple[float, float, float]) -> None:
    """The gaze moves shape keys, unless it was set. offset: from the head bone's head to between the eyes, Blender's
    axes, metres.
    """
    bring_up_to_date(armature)
    look = extension(armature).vrm1.look_at
    x, y, z = offset
    fresh = not any(look.offset_from_head_bone)
    look.offset_from_head_bone = (x, z, -y)  # the add-on writes it as it is: glTF's axes
    first = extension(armature).vrm0.first_person
    first.first_person_bone.bone_name = get_humanoid(armature).get("head", "")
    first.first_person_bone_offset = (x, -y, z)
    if not fresh:
        return
    look.type = "expression"
    for side in ("horizontal_inner", "horizontal_outer", "vertical_down", "vertical_up"):
        part = getattr(look, "range_map_" + side)
        part.input_max_value, part.output_scale = LOOK_RANGE, 1.0
    first.look_at_type_name = "BlendShape"
    for side in ("horizontal_inner", "horizontal_outer", "vertical_down", "vertical_up"):
        part = getattr(first, "look_at_" + side)
        part.x_range, part.y_range = LOOK_RANGE, 1.0


def set_meta(armature: bpy.types.Object, meta: Meta) -> None:
    """Thumbnail, and name, author and version where nobody has set them; the permissions are the user's (or the
    add-on's strict ones).
    """
    ext = extension(armature)
    new, old = ext.vrm1.meta, ext.vrm0.meta
    new.vrm_name, new.version = new.vrm_name or meta.name, new.version or meta.version
    if not new.authors:
        new.authors.add().value = ""  # one that was never set reads "None"
    author = meta.author or new.authors[0].value or UNKNOWN
    new.authors[0].value = author
    if not new.third_party_licenses or new.third_party_licenses.startswith(MADE_WITH):
        new.third_party_licenses = meta.made_with
    new.thumbnail_image = old.texture = meta.thumbnail
    old.title, old.version = old.title or new.vrm_name, old.version or new.version
    old.author = author if meta.author or not old.author else old.author


def read_meta(armature: bpy.types.Object) -> dict[str, dict]:
    """Everything that meta says but the thumbnail, for `write_meta`."""
    ext = extension(armature)
    return {version: _values(getattr(ext, version).meta) for version in ("vrm1", "vrm0")}


def write_meta(armature: bpy.types.Object, values: Mapping[str, Mapping]) -> None:
    """What `read_meta` has read, onto another armature."""
    for version, known in values.items():
        meta = getattr(extension(armature), version).meta
        for name, value in known.items():
            if isinstance(value, list):
                items = getattr(meta, name)
                items.clear()
                for text in value:
                    items.add().value = text
            else:
                setattr(meta, name, value)


def _values(meta: bpy.types.PropertyGroup) -> dict:
    found = {}
    for name, kind in meta.bl_rna.properties.items():
        if kind.type == "COLLECTION":
            found[name] = [entry.value for entry in getattr(meta, name)]
        elif kind.type != "POINTER" and not kind.is_readonly and name != "name" and meta.is_property_set(name):
            found[name] = getattr(meta, name)
    return found


def make_toon(material: bpy.types.Material) -> None:
    """MToon without shading: the picture already holds its light; viewers keep control of the light's colour."""
    image = base_image(material)
    colour = base_colour(material)
    toon = material.vrm_addon_extension.mtoon1
    toon.enabled = True
    toon.alpha_mode = "OPAQUE"
    toon.double_sided = False
    toon.pbr_metallic_roughness.base_color_factor = colour
    shading = toon.extensions.vrmc_materials_mtoon
    shading.shade_color_factor = colour[:3]
    shading.shading_toony_factor = 0.9
    shading.gi_equalization_factor = 0.9
    if image:
        toon.pbr_metallic_roughness.base_color_texture.index.source = image
        shading.shade_multiply_texture.index.source = image
    for node in material.node_tree.nodes:  # what Workbench and texture painting show
        if node.type == "TEX_IMAGE" and node.image == image and image:
            material.node_tree.nodes.active = node
            break
