# SPDX-License-Identifier: GPL-3.0-or-later
"""What came from elsewhere becomes an avatar at its step: a mesh at the rig, a rigged model at pose and face, a VRM
at any.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import bmesh
import bpy
import numpy as np
from mathutils import Matrix

from ..avatar import migration, scene, step_states
from ..avatar.scene import Avatar
from ..client.process.tasks import Stage, Steps
from ..errors import AvatarError
from ..humanoid import bones as humanoid_bones
from ..humanoid.match_armature import match_armature
from ..humanoid.matching.matcher import match
from ..landmarks import PARTS
from ..mesh import blender_mesh
from ..mesh.arrays import SkinnedMesh
from ..vrm import existing, setup
from ..vrm.addon import need_addon
from ..vrm.spec.human_bones import humanoid_problems
from . import geometry

MODELS = (".glb", ".gltf", ".vrm", ".fbx", ".obj")
Objects = list[bpy.types.Object]


def bring_in(context: bpy.types.Context, path: Path, height: float = 0.0, licensed: bool = False) -> Steps:
    """A model's file -> an avatar in the scene, at the step it is ready for. Returns the Avatar.

    height: metres to scale it to, 0: as it is where a human can be so tall. licensed: the user says that a VRM's
    licence permits changes. What cannot be used leaves nothing behind; the AvatarError says why.
    """
    yield Stage("import", 0.05, f"Reading {path.name}")
    scene.object_mode()
    before = {name: set(getattr(bpy.data, name)) for name in _KINDS}
    try:
        _import(path, licensed)
        new = [obj for obj in bpy.data.objects if obj not in before["objects"]]
        yield Stage("prepare", 0.6, "Preparing the avatar")
        avatar = _adopt(context, new, path.stem, height, is_vrm=path.suffix.lower() == ".vrm")
    except BaseException:
        _remove_new(before)
        raise
    avatar.record.label = f"Imported: {path.name}"
    avatar.record.provenance = json.dumps({"parameters": {"brought_in": path.name}})
    _remove_unused(before)
    return avatar


def use_selected(context: bpy.types.Context, height: float = 0.0) -> Steps:
    """The selected meshes, or the selected armature with its meshes -> an avatar. Returns the Avatar."""
    yield Stage("prepare", 0.2, "Preparing the avatar")
    scene.object_mode()
    objects = candidates(context)
    if not objects:
        raise AvatarError(
            "Nothing is selected that can be an avatar; select a mesh or an armature.", "nothing_selected"
        )
    active = context.view_layer.objects.active
    name = (active if active in objects else objects[0]).name
    avatar = _adopt(context, objects, name, height, is_vrm=False)
    avatar.record.label = "Made from objects in the scene"
    avatar.record.provenance = json.dumps({"parameters": {"brought_in": name}})
    return avatar


def candidates(context: bpy.types.Context) -> Objects:
    """The selected meshes and armatures with all that hangs together with them."""
    chosen = [obj for obj in context.selected_objects if obj.type in ("MESH", "ARMATURE")]
    armatures = dict.fromkeys(obj if obj.type == "ARMATURE" else obj.find_armature() for obj in chosen)
    found = dict.fromkeys(chosen)
    for armature in armatures:
        if armature:
            found[armature] = None
            found.update(dict.fromkeys(_meshes_of(armature, context.scene.objects)))
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
        _move_rigged(avatar.armature, list(_meshes_of(avatar.armature, context.scene.objects)), matrix)
        _on_the_ground(avatar.armature, [avatar.mesh])
    for part in PARTS.values():
        avatar.record.property_unset(part.attribute)
    avatar.record.has_face = False  # they were found where the face was before
    step_states.done(avatar, "mesh")


# Files

_KINDS = (
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
    "node_groups",
)


def _import(path: Path, licensed: bool) -> None:
    """Imports a file with Blender's importer for it, or the VRM Add-on's. Raises AvatarError."""
    suffix = path.suffix.lower()
    if suffix not in MODELS:
        raise AvatarError(
            f"Files of type {suffix or 'without an ending'} cannot be imported; use {', '.join(MODELS)}.",
            "unknown_kind",
        )
    if not path.is_file():
        raise AvatarError(f"The file {path.name} does not exist; choose another one.", "no_file")
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
    }
    run[".gltf"] = run[".glb"]
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the importers report their times
            outcome = run[suffix]()
    except Exception as error:  # importers are Python add-ons, which raise what they meet
        raise AvatarError(
            f"The file {path.name} cannot be imported ({scene.last_line(error)}); check that it is complete.", "import"
        ) from error
    if outcome != {"FINISHED"}:
        raise AvatarError(f"The file {path.name} cannot be imported; check that it is complete.", "import")


def _remove_new(before: dict[str, set]) -> None:
    for name in _KINDS:
        new = [item for item in getattr(bpy.data, name) if item not in before[name]]
        if new:
            bpy.data.batch_remove(new)


def _remove_unused(before: dict[str, set]) -> None:
    """What an importer made beside the model: actions, collections of bone shapes."""
    for name in ("actions", "collections", "meshes", "cameras", "lights"):
        gone = [item for item in getattr(bpy.data, name) if item not in before[name] and not item.users]
        if name == "collections":
            gone = [item for item in bpy.data.collections if item not in before[name] and not item.all_objects]
        if gone:
            bpy.data.batch_remove(gone)


# Objects


def _adopt(context: bpy.types.Context, objects: Objects, name: str, height: float, is_vrm: bool) -> Avatar:
    for obj in objects:
        if obj.type == "MESH" and obj.avatar_forge.is_avatar:
            raise AvatarError(f"{obj.name} is already an avatar; continue with its next step.", "is_avatar")
    armature = _most_worn(objects)
    if armature is None:
        meshes = [obj for obj in objects if obj.type == "MESH" and len(obj.data.polygons)]
        if not meshes:
            raise AvatarError("The model has no mesh; use another model.", "no_mesh")
        return _adopt_meshes(context, meshes, objects, name, height)
    return _adopt_rigged(context, armature, objects, name, height, is_vrm)


def _meshes_of(armature: bpy.types.Object, objects: Iterable[bpy.types.Object]) -> Objects:
    """The meshes that an armature moves: skinned to it, or hung on it or on its bones."""
    return [
        obj
        for obj in objects
        if obj.type == "MESH" and (obj.find_armature() == armature or armature in _ancestors(obj))
    ]


def _ancestors(obj: bpy.types.Object) -> Objects:
    found = []
    while obj.parent:
        obj = obj.parent
        found.append(obj)
    return found


def _most_worn(objects: Objects) -> bpy.types.Object | None:
    """The armature that moves most vertices; None where none moves any."""
    worn = {a: sum(len(mesh.data.vertices) for mesh in _meshes_of(a, objects)) for a in objects if a.type == "ARMATURE"}
    return max(worn, key=lambda a: worn[a]) if any(worn.values()) else None


def _adopt_meshes(context: bpy.types.Context, meshes: Objects, objects: Objects, name: str, height: float) -> Avatar:
    """Meshes without a skeleton as one, ready to be rigged."""
    notes: list[tuple[str, str]] = []
    parts = []
    for obj in meshes:
        _apply_modifiers(context, obj, notes)
        parts.append(blender_mesh.read_mesh(obj, shape_keys=True))
        parts[-1].groups, parts[-1].weights = [], None
    keys = geometry.joined_keys([part.shape_keys for part in parts], [len(part.vertices) for part in parts])
    data = blender_mesh.join(parts)
    data.shape_keys = keys
    if len(meshes) > 1:
        notes.append(("joined", f"{len(meshes)} meshes were joined into one."))
    wrong = geometry.inside_out(data.vertices, data.triangles)
    if wrong.any():
        data.triangles[wrong], data.corner_uvs[wrong] = data.triangles[wrong][:, ::-1], data.corner_uvs[wrong][:, ::-1]
        notes.append(("turned_out", f"{wrong.mean():.0%} of the surface faced inwards and was flipped."))
    turned, said = geometry.upright(data.vertices)
    factor, why = geometry.scale_to_human(float(np.ptp((data.vertices @ turned.T)[:, 2])), height)
    _transform(data, turned, factor)
    notes += [(code, text) for code, text in (("turned", said), ("scaled", why)) if text]
    collection = meshes[0].users_collection[0] if meshes[0].users_collection else context.collection
    _remove_objects([obj for obj in objects if obj.type in ("MESH", "EMPTY", "ARMATURE", "CAMERA", "LIGHT")])
    obj = bpy.data.objects.new(name, bpy.data.meshes.new(name))
    obj.name = name  # free now
    collection.objects.link(obj)
    blender_mesh.set_mesh(obj, data)
    scene.select(context, obj)
    avatar = Avatar(obj, None)
    _begin_record(avatar, notes)
    return avatar


def _adopt_rigged(
    context, armature: bpy.types.Object, objects: Objects, name: str, height: float, is_vrm: bool
) -> Avatar:
    """A rigged model as it is, its meshes joined, its humanoid bones assigned by the VRM file or by the matcher."""
    need_addon()
    notes: list[tuple[str, str]] = []
    meshes = [obj for obj in _meshes_of(armature, objects) if len(obj.data.polygons)]
    _rest(armature, meshes, notes)
    if is_vrm and existing.is_vrm0(armature):
        existing.also_as_vrm1(armature)
    _free(armature, objects)
    for obj in meshes:
        _apply_modifiers(context, obj, notes)
        _hang_by_weights(obj, armature)
    _move_rigged(armature, meshes, Matrix())
    matrix = _place(armature, meshes, height, is_vrm, notes)
    if matrix != Matrix():
        _move_rigged(armature, meshes, matrix)
    if not is_vrm:
        _on_the_ground(armature, meshes)
    mesh = _join(context, armature, meshes, notes)
    if not is_vrm:
        _turn_out(mesh, notes)
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
        notes = [{"code": "humanoid", "message": f"{problems[0]} Assign the humanoid bones by hand."}]
    else:
        notes = [{"code": "humanoid_unsure", "message": doubt} for doubt in found.doubts]
        setup.set_humanoid(avatar.armature, assigned)
    scene.add_warnings(avatar, notes)


def _rest(armature: bpy.types.Object, meshes: Objects, notes: list) -> None:
    """Out of any animation, into the rest pose."""
    animated = [owner for owner in (armature, *meshes) if owner.animation_data]
    if any(owner.animation_data.action for owner in animated):
        notes.append(("animation", "The model's animation was removed."))
    for owner in animated:
        owner.animation_data_clear()
    for mesh in meshes:
        if mesh.data.shape_keys and mesh.data.shape_keys.animation_data and mesh.data.shape_keys.animation_data.action:
            mesh.data.shape_keys.animation_data.action = None
    for bone in armature.pose.bones:
        bone.matrix_basis.identity()
    bpy.context.view_layer.update()


def _free(armature: bpy.types.Object, objects: Objects) -> None:
    """Takes the armature out of the empties above it, which go where nothing else needs them, and off what a file has
    beside the model.
    """
    above = [obj for obj in _ancestors(armature) if obj in objects]
    world = armature.matrix_world.copy()
    armature.parent = None
    armature.matrix_world = world
    bpy.context.view_layer.update()
    extras = [obj for obj in objects if obj.type in ("CAMERA", "LIGHT")]
    _remove_objects([*extras, *(obj for obj in above if obj.type == "EMPTY" and not obj.children)])


def _hang_by_weights(obj: bpy.types.Object, armature: bpy.types.Object) -> None:
    """One Armature modifier, no parent bone: what hung on a bone follows it by its weights."""
    world = obj.matrix_world.copy()
    bone = obj.parent_bone if obj.parent == armature and obj.parent_type == "BONE" else ""
    if obj.data.users > 1:
        obj.data = obj.data.copy()
    if bone and not any(group.name in armature.data.bones for group in obj.vertex_groups):
        obj.vertex_groups.new(name=bone).add(range(len(obj.data.vertices)), 1.0, "REPLACE")
    for modifier in [m for m in obj.modifiers if m.type == "ARMATURE"]:
        obj.modifiers.remove(modifier)
    obj.modifiers.new("Armature", "ARMATURE").object = armature
    obj.parent, obj.parent_type, obj.parent_bone = armature, "OBJECT", ""
    obj.matrix_parent_inverse.identity()
    obj.matrix_world = world
    if obj.data.uv_layers.active:
        obj.data.uv_layers.active.name = "UVMap"  # else joining keeps every mesh's own beside the others'


def _move_rigged(armature: bpy.types.Object, meshes: Objects, matrix: Matrix) -> None:
    """Moves armature and meshes by `matrix` in world space and applies their transforms."""
    bpy.context.view_layer.update()
    places = {obj: matrix @ obj.matrix_world for obj in (armature, *meshes)}
    if places[armature] != Matrix():
        armature.data.transform(places[armature])
    armature.matrix_basis = Matrix()
    for mesh in meshes:
        place = places[mesh]
        if place != Matrix():
            mesh.data.transform(place, shape_keys=True)
            if place.determinant() < 0:
                mesh.data.flip_normals()
        mesh.matrix_parent_inverse.identity()
        mesh.matrix_basis = Matrix()
        mesh.data.update()
    bpy.context.view_layer.update()


def _place(armature, meshes: Objects, height: float, is_vrm: bool, notes: list) -> Matrix:
    """How the model has to be turned and scaled. A VRM stands and looks as it should, and keeps its size unless one
    is wished.
    """
    points = _points(meshes)
    turned, said = (np.eye(3), "") if is_vrm else geometry.upright(points)
    heads = np.array([bone.head_local[:] for bone in armature.data.bones]) @ turned.T
    if not is_vrm:
        facing = _facing(armature, heads)
        if facing is not None:
            sideways = geometry.quarter_turn("Z", facing)
            turned = sideways @ turned
            if facing and not said:
                said = (
                    "The model faced backwards and was rotated."
                    if facing == 2
                    else "The model faced sideways and was rotated."
                )
    tall = float(np.ptp((points @ turned.T)[:, 2]))
    factor, why = (1.0, "") if is_vrm and not height else geometry.scale_to_human(tall, height)
    notes += [(code, text) for code, text in (("turned", said), ("scaled", why)) if text]
    return Matrix((factor * turned).tolist()).to_4x4()


def _facing(armature: bpy.types.Object, heads: np.ndarray) -> int | None:
    """Quarter turns about Z after which the skeleton looks along -Y; None where the matcher knows no humanoid."""
    index = {bone.name: k for k, bone in enumerate(armature.data.bones)}
    parents = [index[bone.parent.name] if bone.parent else -1 for bone in armature.data.bones]
    found = match(heads, parents, list(index), (0.0, -1.0))
    if not found.humanoid:
        return None
    x, y = found.facing
    return round((np.arctan2(-1.0, 0.0) - np.arctan2(y, x)) / (np.pi / 2)) % 4


def _on_the_ground(armature: bpy.types.Object, meshes: Objects) -> None:
    """Feet at z = 0, the middle at x = 0; nothing where they are there."""
    points = _points(meshes)
    low, high = points.min(0), points.max(0)
    shift = np.array([-(low[0] + high[0]) / 2, 0.0, -low[2]])
    if np.abs(shift).max() > 0.02 * (high[2] - low[2]):
        every = _meshes_of(armature, bpy.data.objects)
        _move_rigged(armature, every, Matrix.Translation(shift.tolist()))


def _points(meshes: Objects) -> np.ndarray:
    return np.concatenate([blender_mesh.read_mesh(mesh).vertices for mesh in meshes])


def _join(context, armature, meshes: Objects, notes: list) -> bpy.types.Object:
    """All meshes as one, with shape keys and groups; the expressions' binds follow."""
    main = max(meshes, key=lambda obj: len(obj.data.vertices))
    if len(meshes) > 1:
        names = {obj.name for obj in meshes}
        bound = [node for node in existing.binds(armature) if node.mesh_object_name in names]
        with context.temp_override(
            active_object=main, object=main, selected_objects=meshes, selected_editable_objects=meshes
        ):
            bpy.ops.object.join()
        for node in bound:
            node.mesh_object_name = main.name
        notes.append(("joined", f"{len(meshes)} meshes were joined into one; shape keys and materials are kept."))
        if existing.forget_lost_annotations(armature):
            notes.append(
                (
                    "first_person",
                    (
                        "The first-person settings of single meshes were lost by that; viewers use the head's"
                        " weights instead."
                    ),
                )
            )
    loose = [vertex for vertex in main.data.vertices if not vertex.groups]
    if loose:
        notes.append(("unweighted", f"{len(loose)} vertices follow no bone; bind them or rig the avatar again."))
    return main


def _turn_out(obj: bpy.types.Object, notes: list) -> None:
    """Reverses the faces that look inwards; weights, UVs and shape keys stay."""
    data = blender_mesh.read_mesh(obj)
    wrong = geometry.inside_out(data.vertices, data.triangles)
    if not wrong.any():
        return
    mesh = obj.data
    if wrong.all():
        mesh.flip_normals()
    else:
        face_of = np.empty(len(mesh.loop_triangles), np.int32)
        mesh.loop_triangles.foreach_get("polygon_index", face_of)
        bm = bmesh.new()
        bm.from_mesh(mesh)
        bm.faces.ensure_lookup_table()
        bmesh.ops.reverse_faces(bm, faces=[bm.faces[number] for number in np.unique(face_of[wrong]).tolist()])
        bm.to_mesh(mesh)
        bm.free()
        mesh.normals_split_custom_set(
            [(0.0, 0.0, 0.0)] * len(mesh.loops)
        )  # a file's normals were those of the old sides
    notes.append(("turned_out", f"{wrong.mean():.0%} of the surface faced inwards and was flipped."))


def _apply_modifiers(context: bpy.types.Context, obj: bpy.types.Object, notes: list) -> None:
    """All but the armature's, which a mesh with shape keys keeps."""
    others = [modifier for modifier in obj.modifiers if modifier.type != "ARMATURE"]
    if not others:
        return
    if obj.data.shape_keys:
        notes.append(
            (
                "modifiers",
                (
                    f"The modifiers of {obj.name} were ignored because it has shape keys; apply them first if"
                    " you need them."
                ),
            )
        )
        for modifier in others:
            obj.modifiers.remove(modifier)
        return
    for modifier in obj.modifiers:
        if modifier.type == "ARMATURE":
            modifier.show_viewport = False
    context.view_layer.update()
    graph = context.evaluated_depsgraph_get()
    mesh = bpy.data.meshes.new_from_object(obj.evaluated_get(graph), preserve_all_data_layers=True, depsgraph=graph)
    obj.data = mesh
    for modifier in others:
        obj.modifiers.remove(modifier)
    for modifier in obj.modifiers:
        modifier.show_viewport = True


def _transform(data: SkinnedMesh, turned: np.ndarray, factor: float) -> None:
    """Turned, scaled, in the middle and on the ground."""
    data.vertices = factor * data.vertices @ turned.T
    low, high = data.vertices.min(0), data.vertices.max(0)
    data.vertices -= [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]
    data.shape_keys = {name: (factor * moved @ turned.T).astype(np.float32) for name, moved in data.shape_keys.items()}


def _remove_objects(objects: Objects) -> None:
    for obj in objects:
        data = obj.data
        bpy.data.objects.remove(obj)
        if data is not None and data.users == 0:
            bpy.data.batch_remove([data])
