# SPDX-License-Identifier: GPL-3.0-or-later
"""What came from elsewhere becomes an avatar at its step: a mesh at the rig, a rigged model at pose and face, a VRM
at any.
"""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from ..avatar import before_rig, migration, scene, step_states
from ..avatar.scene import Avatar
from ..client.process.tasks import Stage, Steps
from ..errors import AvatarError
from ..humanoid import bones as humanoid_bones
from ..humanoid.match_armature import match_armature
from ..landmarks import PARTS
from ..mesh import blender_mesh, cleaning, outside
from ..mesh.arrays import SkinnedMesh
from ..vrm import existing, setup
from ..vrm.addon import need_addon
from ..vrm.spec.human_bones import humanoid_problems
from . import at_rest, colours, geometry, importing, ownership, parts, placing
from .ownership import Notes
from .parts import Objects

MODELS = importing.MODELS


def bring_in(context: bpy.types.Context, path: Path, height: float = 0.0, licensed: bool = False) -> Steps:
    """A model's file -> an avatar in the scene, at the step it is ready for. Returns the Avatar.

    height: metres to scale it to, 0: as it is where a human can be so tall. licensed: the user says that a VRM's
    licence permits changes. What cannot be used leaves nothing behind; the AvatarError says why.
    """
    yield Stage("import", 0.05, f"Reading {path.name}")
    scene.object_mode()
    before = importing.snapshot()
    notes: Notes = []
    try:
        importing.import_file(path, licensed)
        new = [obj for obj in bpy.data.objects if obj not in before["objects"]]
        yield Stage("prepare", 0.6, "Preparing the avatar")
        importing.missing_images([image for image in bpy.data.images if image not in before["images"]], notes)
        avatar = _adopt(context, new, path.stem, height, notes, is_vrm=path.suffix.lower() == ".vrm")
    except BaseException:
        importing.remove_new(before)
        raise
    avatar.record.label = f"Imported: {path.name}"
    avatar.record.provenance = json.dumps({"parameters": {"brought_in": path.name}})
    importing.remove_unused(before, avatar, path.suffix.lower() == ".vrm")
    return avatar


def use_selected(context: bpy.types.Context, height: float = 0.0) -> Steps:
    """The selected meshes, or the selected armature with its meshes -> an avatar. Returns the Avatar."""
    yield Stage("prepare", 0.2, "Preparing the avatar")
    scene.object_mode()
    objects = candidates(context)
    if not any(obj.type in (*parts.SURFACES, "ARMATURE") for obj in objects):
        raise AvatarError(
            "Nothing is selected that can be an avatar; select a mesh or an armature.", "nothing_selected"
        )
    ownership.refuse_linked(objects)
    active = context.view_layer.objects.active
    name = (active if active in objects else objects[0]).name
    images = {node.image for obj in objects for node in parts.nodes(obj) if node.type == "TEX_IMAGE" and node.image}
    notes: Notes = []
    importing.missing_images(images, notes)
    armatures = [obj for obj in objects if obj.type == "ARMATURE"]
    elsewhere = [obj for each in armatures for obj in parts.meshes_of(each, bpy.data.objects)]
    parts.name_left_out([obj.name for obj in elsewhere if obj.users_scene and obj not in objects], notes)
    avatar = _adopt(context, objects, name, height, notes, chosen=True)
    avatar.record.label = "Made from objects in the scene"
    avatar.record.provenance = json.dumps({"parameters": {"brought_in": name}})
    return avatar


def candidates(context: bpy.types.Context) -> Objects:
    """What is selected, with all that hangs together with it."""
    chosen = [obj for obj in context.selected_objects if obj.type not in ("EMPTY", "CAMERA", "LIGHT")]
    armatures = dict.fromkeys(obj if obj.type == "ARMATURE" else obj.find_armature() for obj in chosen)
    found = dict.fromkeys(chosen)
    for armature in armatures:
        if armature:
            found[armature] = None
            found.update(dict.fromkeys(parts.related(armature, context.scene.objects)))
    return list(found)


def turn(context: bpy.types.Context, avatar: Avatar, axis: str) -> None:
    """Turns the avatar by a quarter about X (stands it up) or Z (another side looks to the front), feet on
    the ground.
    """
    scene.object_mode()
    matrix = Matrix(geometry.quarter_turn(axis).tolist()).to_4x4()
    if avatar.armature is None:
        data = blender_mesh.read_mesh(avatar.mesh, shape_keys=True)
        _transform(data, np.array(matrix.to_3x3()), 1.0)
        blender_mesh.set_mesh(avatar.mesh, data)
    else:
        placing.move_rigged(avatar.armature, list(parts.meshes_of(avatar.armature, context.scene.objects)), matrix)
        placing.on_the_ground(avatar.armature, [avatar.mesh])
    for part in PARTS.values():
        avatar.record.property_unset(part.attribute)
    avatar.record.has_face = False  # they were found where the face was before
    before_rig.forget(avatar)
    step_states.done(avatar, "mesh")


# Objects


def _adopt(
    context: bpy.types.Context,
    objects: Objects,
    name: str,
    height: float,
    notes: Notes,
    *,
    is_vrm: bool = False,
    chosen: bool = False,
) -> Avatar:
    for obj in objects:
        if obj.type == "MESH" and obj.avatar_forge.is_avatar:
            raise AvatarError(f"{obj.name} is already an avatar; continue with its next step.", "is_avatar")
    armature = _most_worn(objects, context.view_layer.objects.active if chosen else None)
    if armature is None:
        meshes = parts.gather(context, None, objects, notes, chosen=True)
        if not meshes:
            raise AvatarError("The model has no mesh; use another model.", "no_mesh")
        return _adopt_meshes(context, meshes, name, height, notes)
    need_addon()
    meshes = parts.gather(context, armature, objects, notes, chosen=chosen)
    return _adopt_rigged(context, armature, meshes, name, height, notes, is_vrm)


def _most_worn(objects: Objects, active: bpy.types.Object | None) -> bpy.types.Object | None:
    """The active object's armature, or else the one that moves most vertices; None where none moves any."""
    worn = {
        a: sum(len(mesh.data.vertices) for mesh in parts.meshes_of(a, objects)) for a in objects if a.type == "ARMATURE"
    }
    wanted = active and (active if active.type == "ARMATURE" else active.find_armature())
    if worn.get(wanted):
        return wanted
    return max(worn, key=lambda a: worn[a]) if any(worn.values()) else None


def _adopt_meshes(context: bpy.types.Context, meshes: Objects, name: str, height: float, notes: Notes) -> Avatar:
    """Meshes without a skeleton as one, ready to be rigged."""
    ownership.make_single(meshes, notes)
    at_rest.rest(None, meshes, notes)
    data = _joined(context, meshes)
    notes += cleaning.clean(data)
    if len(meshes) > 1:
        notes.append(("joined", f"{len(meshes)} meshes were joined into one."))
    collection = meshes[0].users_collection[0] if meshes[0].users_collection else context.collection
    parts.remove_objects(meshes)  # before the mesh is made lighter, which needs the most memory
    painted = colours.take(data)
    if painted and parts.is_dense(data):
        painted = colours.at_points(painted, data)
    data = parts.decimated(context, data, notes)
    colours.settle(data, painted, name, notes)
    wrong = outside.inside_out(data.vertices, data.triangles)
    if wrong.any():
        for corners in (data.triangles, data.corner_uvs, *data.corner_layers.values()):
            corners[wrong] = corners[wrong][:, ::-1]
        notes.append(("turned_out", f"{wrong.mean():.0%} of the surface faced inwards and was flipped."))
    turned, said = geometry.upright(data.vertices)
    factor, why = geometry.scale_to_human(float(np.ptp((data.vertices @ turned.T)[:, 2])), height)
    _transform(data, turned, factor)
    notes += [(code, text) for code, text in (("turned", said), ("scaled", why)) if text]
    obj = bpy.data.objects.new(name, bpy.data.meshes.new(name))
    obj.name = name  # free now
    collection.objects.link(obj)
    blender_mesh.set_mesh(obj, data)
    scene.select(context, obj)
    avatar = Avatar(obj, None)
    _begin_record(avatar, notes)
    return avatar


def _joined(context: bpy.types.Context, meshes: Objects) -> SkinnedMesh:
    read = []
    for obj in meshes:
        parts.apply_modifiers(context, obj)
        parts.settle_layers(obj)
        read.append(blender_mesh.read_mesh(obj, shape_keys=True))
        read[-1].groups, read[-1].weights = [], None
    data = blender_mesh.join(read)
    if not len(data.triangles):
        raise AvatarError("The model has no mesh; use another model.", "no_mesh")
    data.shape_keys = geometry.joined_keys([part.shape_keys for part in read], [len(part.vertices) for part in read])
    return data


def _adopt_rigged(
    context, armature: bpy.types.Object, meshes: Objects, name: str, height: float, notes: Notes, is_vrm: bool
) -> Avatar:
    """A rigged model as it is, its meshes joined, its humanoid bones assigned by the VRM file or by the matcher."""
    ownership.make_single([armature, *meshes], notes)
    at_rest.rest(armature, meshes, notes)
    if is_vrm and existing.is_vrm0(armature):
        existing.also_as_vrm1(armature)
    _free(armature)
    for obj in meshes:
        parts.apply_modifiers(context, obj)
    parts.name_left_out([obj.name for obj in meshes if not len(obj.data.polygons)], notes)
    meshes = [obj for obj in meshes if len(obj.data.polygons)]
    if not meshes:
        raise AvatarError("The model has no mesh; use another model.", "no_mesh")
    context.view_layer.update()
    tall = float(np.ptp(placing.points(meshes)[:, 2]))
    for obj in meshes:
        parts.settle_layers(obj)
        parts.hang_by_weights(obj, armature, tall, notes)
    placing.move_rigged(armature, meshes, Matrix())
    reading = None if is_vrm else placing.read_skeleton(armature)
    if reading and reading.moves:
        placing.rehang(armature, reading.moves, notes)
    matrix = placing.place(reading, meshes, height, is_vrm, notes)
    if matrix != Matrix():
        placing.move_rigged(armature, meshes, matrix)
    if not is_vrm:
        placing.on_the_ground(armature, meshes)
    mesh = parts.join(context, armature, meshes, notes)
    if not is_vrm:
        parts.turn_out(mesh, notes)
    armature.name = name
    mesh.name = f"{armature.name} Mesh"
    armature.show_in_front = True
    scene.select(context, armature)
    avatar = Avatar(mesh, armature)
    _begin_record(avatar, notes)
    step_states.done(avatar, "rig")
    if setup.get_humanoid(armature).get("hips"):
        step_states.done(avatar, "vrm")
    else:
        _assign_bones(avatar)
    return avatar


def _begin_record(avatar: Avatar, notes: list[tuple[str, str]]) -> None:
    migration.mark(avatar.record)
    scene.add_warnings(avatar, [{"code": code, "message": text} for code, text in notes])
    step_states.done(avatar, "mesh")


def _assign_bones(avatar: Avatar) -> None:
    """The matcher's bones, if they make a humanoid; else a note, and the user assigns them."""
    found = match_armature(avatar.armature)
    humanoid_bones.keep_finding(avatar.armature, found)
    bones = avatar.armature.data.bones
    assigned = {name: bones[index].name for name, index in found.mapping.items()}
    problems = humanoid_problems(assigned, scene.bone_parents(avatar.armature)) if found.humanoid else [found.reason]
    if problems:
        notes = [
            {"code": "humanoid", "message": (f"{problems[0]} Assign the bones by hand in the Humanoid Bones panel.")}
        ]
        setup.assign_bones(avatar.armature, {})  # else the VRM Add-on would guess them when it exports
    else:
        notes = [{"code": "humanoid_unsure", "message": doubt} for doubt in found.doubts]
        setup.set_humanoid(avatar.armature, assigned)
    scene.add_warnings(avatar, notes)


def _free(armature: bpy.types.Object) -> None:
    """Takes the armature out of the empties above it, which go where nothing else needs them."""
    above = parts.ancestors(armature)
    world = armature.matrix_world.copy()
    armature.parent = None
    armature.matrix_world = world
    bpy.context.view_layer.update()
    parts.remove_objects([obj for obj in above if obj.type == "EMPTY" and not obj.children])


def _transform(data: SkinnedMesh, turned: np.ndarray, factor: float) -> None:
    """Turned, scaled, in the middle and on the ground."""
    data.vertices = factor * data.vertices @ turned.T
    low, high = data.vertices.min(0), data.vertices.max(0)
    data.vertices -= [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]
    data.shape_keys = {name: (factor * moved @ turned.T).astype(np.float32) for name, moved in data.shape_keys.items()}
