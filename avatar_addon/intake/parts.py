# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes part of an avatar: meshes, curves and texts with a surface, hung on bones and joined into one mesh."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import bmesh
import bpy
import numpy as np
from mathutils import Vector

from ..errors import AvatarError
from ..mesh import blender_mesh, outside, thinning
from ..mesh.arrays import SkinnedMesh
from ..versions import has_nodes
from ..vrm import existing
from ..vrm.base_colour import colour_attribute, uv_map
from .ownership import Notes

SURFACES = ("MESH", "CURVE", "SURFACE", "META", "FONT")  # kinds of objects that Blender makes a mesh of
SILENT = ("ARMATURE", "EMPTY", "CAMERA", "LIGHT", "LIGHT_PROBE", "SPEAKER")  # nothing of theirs is seen
FLAT = 1e-9  # a scale that leaves nothing of a mesh
WHOLE = 0.6  # of the model's height: a part so tall is the body, and no single bone's
MOST_TRIANGLES = 80_000  # of a mesh that is brought in to be rigged
THINNED = 240_000  # from which on Blender's modifier chooses well: three for one that stays
UV_MAP, COLOURS = "UVMap", "Color"
Objects = list[bpy.types.Object]


def meshes_of(armature: bpy.types.Object, objects: Iterable[bpy.types.Object]) -> Objects:
    """The meshes that an armature moves: skinned to it, or hung on it or on its bones."""
    return [obj for obj in related(armature, objects) if obj.type == "MESH"]


def related(armature: bpy.types.Object, objects: Iterable[bpy.types.Object]) -> Objects:
    """Everything that an armature moves, of whatever kind."""
    return [
        obj for obj in objects if obj != armature and (obj.find_armature() == armature or armature in ancestors(obj))
    ]


def ancestors(obj: bpy.types.Object) -> Objects:
    found = []
    while obj.parent:
        obj = obj.parent
        found.append(obj)
    return found


def gather(
    context: bpy.types.Context, armature: bpy.types.Object | None, objects: Objects, notes: Notes, *, chosen: bool
) -> Objects:
    """The meshes of the avatar among `objects`; what else has a surface is made a mesh, and what cannot be is named.

    chosen: the user has selected these objects, so what hangs on nothing belongs to the avatar as well; of a file
    only what lies where the character is. What is disabled in the viewport, or in a collection that is, stays as it
    is: Blender does not know where it is.
    """
    evaluated = {obj for obj in context.view_layer.objects if not obj.hide_viewport}
    own = set(related(armature, objects)) if armature else set(objects)
    parts, left_out = [], []
    objects = list(objects)
    for place, obj in enumerate(list(objects)):
        if obj.type not in SURFACES:
            instance = obj.type == "EMPTY" and obj.instance_type == "COLLECTION"
            if instance or obj.type not in SILENT:
                left_out.append(obj.name)
            continue
        if obj not in evaluated or (armature and _anothers(obj, armature, context)):
            left_out.append(obj.name)
            continue
        belongs = (
            obj in own
            or chosen
            or _beside(obj, [part for part in objects if part.type == "MESH" and part != obj and part in own])
        )
        if not belongs:
            left_out.append(obj.name)
            continue
        name = obj.name
        mesh = obj if obj.type == "MESH" else _as_mesh(context, obj)
        if mesh is None or not (len(mesh.data.polygons) or mesh.modifiers) or min(map(abs, mesh.scale)) < FLAT:
            left_out.append(name)
            continue
        objects[place] = mesh
        parts.append(mesh)
    name_left_out(left_out, notes)
    refuse_broken(parts)
    return parts


def _anothers(obj: bpy.types.Object, armature: bpy.types.Object, context: bpy.types.Context) -> bool:
    """Whether another armature moves an object: its skin, or what hangs on one that moves the skin of another
    character.
    """
    skinned_to = obj.find_armature()
    if skinned_to or armature in ancestors(obj):
        return skinned_to not in (None, armature)
    carriers = [parent for parent in ancestors(obj) if parent.type == "ARMATURE"]
    return bool(carriers) and any(
        mesh.find_armature() in carriers for mesh in context.scene.objects if mesh.type == "MESH"
    )


def name_left_out(names: Sequence[str], notes: Notes) -> None:
    if names:
        listed = ", ".join(names[:6]) + (" and so on" if len(names) > 6 else "")
        notes.append(("left_out", f"Left out because it cannot be part of the avatar: {listed}."))


def refuse_broken(meshes: Objects) -> None:
    """Positions that are no numbers spread to whatever is computed of them, and absolute keys have no shape at rest.
    Raises AvatarError.
    """
    for obj in meshes:
        keys = obj.data.shape_keys
        if keys and not keys.use_relative:
            raise AvatarError(
                f"The shape keys of {obj.name} are absolute; turn on Relative in the Shape Keys panel first.",
                "absolute",
            )
        for layer in (obj.data.vertices, *(block.data for block in (keys.key_blocks if keys else ()))):
            flat = np.empty(len(layer) * 3, np.float32)
            layer.foreach_get("co", flat)
            if not np.isfinite(flat).all():
                raise AvatarError(
                    f"{obj.name} has vertices or shape keys without a valid position; delete those first.", "broken"
                )


def _beside(obj: bpy.types.Object, body: Objects) -> bool:
    """Whether most of an object lies within the body's box, a little enlarged."""
    if not body:
        return True
    corners = np.array([(part.matrix_world @ Vector(c))[:] for part in body for c in part.bound_box])
    low, high = corners.min(0), corners.max(0)
    margin = 0.15 * (high - low).max()
    own = np.array([(obj.matrix_world @ Vector(c))[:] for c in obj.bound_box])
    middle = own.mean(0)
    small = np.ptp(own, axis=0).max() < 1.2 * (high - low).max()
    return bool(small and ((middle > low - margin) & (middle < high + margin)).all())


def _as_mesh(context: bpy.types.Context, obj: bpy.types.Object) -> bpy.types.Object | None:
    """A curve, text or surface as a mesh in its place, which it leaves; None where it has no surface."""
    context.view_layer.update()
    graph = context.evaluated_depsgraph_get()
    mesh = bpy.data.meshes.new_from_object(obj.evaluated_get(graph), preserve_all_data_layers=True, depsgraph=graph)
    if not len(mesh.polygons):
        bpy.data.meshes.remove(mesh)
        return None
    name, world = obj.name, obj.matrix_world.copy()
    made = bpy.data.objects.new(name, mesh)
    for collection in obj.users_collection:
        collection.objects.link(made)
    made.parent, made.parent_type, made.parent_bone = obj.parent, obj.parent_type, obj.parent_bone
    for child in obj.children:
        child.parent = made
    made.matrix_world = world
    remove_objects([obj])
    made.name = name
    context.view_layer.update()
    return made


def apply_modifiers(context: bpy.types.Context, obj: bpy.types.Object) -> None:
    """All but the armature's; shape keys are carried through one by one. Raises AvatarError where that cannot be."""
    others = [modifier for modifier in obj.modifiers if modifier.type != "ARMATURE"]
    if not others:
        return
    shown = {modifier: modifier.show_viewport for modifier in obj.modifiers}
    for modifier in obj.modifiers:
        if modifier.type == "ARMATURE":
            modifier.show_viewport = False
    keys = obj.data.shape_keys
    if keys is None:
        obj.data = _evaluated(context, obj)
    else:
        _apply_with_keys(context, obj)
    for modifier in others:
        obj.modifiers.remove(modifier)
    for modifier in obj.modifiers:
        modifier.show_viewport = shown[modifier]


def _evaluated(context: bpy.types.Context, obj: bpy.types.Object) -> bpy.types.Mesh:
    context.view_layer.update()
    graph = context.evaluated_depsgraph_get()
    return bpy.data.meshes.new_from_object(obj.evaluated_get(graph), preserve_all_data_layers=True, depsgraph=graph)


def _apply_with_keys(context: bpy.types.Context, obj: bpy.types.Object) -> None:
    keys = obj.data.shape_keys
    blocks = [block for block in keys.key_blocks if block != keys.reference_key]
    kept = [(block.name, block.slider_min, block.slider_max, block.mute) for block in blocks]
    for block in blocks:
        block.value, block.mute = 0.0, False
    mesh = _evaluated(context, obj)
    count, places = len(mesh.vertices), []
    for block in blocks:
        block.slider_max = max(block.slider_max, 1.0)
        block.value = 1.0
        posed = _evaluated(context, obj)
        block.value = 0.0
        points = np.empty(len(posed.vertices) * 3, np.float32)
        posed.vertices.foreach_get("co", points)
        places.append(points)
        same = len(posed.vertices) == count and len(posed.loops) == len(mesh.loops)
        bpy.data.meshes.remove(posed)
        if not same:
            bpy.data.meshes.remove(mesh)
            raise AvatarError(
                (
                    f"The modifiers of {obj.name} change the number of vertices of its shape key {block.name};"
                    " apply or remove them first."
                ),
                "modifiers",
            )
    obj.shape_key_clear()
    obj.data = mesh
    obj.shape_key_add(name="Basis", from_mix=False)
    for (name, least, most, mute), points in zip(kept, places, strict=True):
        block = obj.shape_key_add(name=name, from_mix=False)
        block.data.foreach_set("co", points)
        block.value = 0.0
        block.slider_min, block.slider_max, block.mute = least, most, mute


def is_dense(data: SkinnedMesh) -> bool:
    """Whether `decimated` will change it."""
    return len(data.triangles) > MOST_TRIANGLES and not data.shape_keys


def decimated(context: bpy.types.Context, data: SkinnedMesh, notes: Notes) -> SkinnedMesh:
    """The mesh with at most MOST_TRIANGLES, UVs and colours kept; one with shape keys stays as it is. Blender's
    modifier needs about 0.8 KB for each triangle that it starts with.
    """
    if not is_dense(data):
        return data
    count = len(data.triangles)
    thinning.thin(data, THINNED)
    obj = bpy.data.objects.new("decimated", bpy.data.meshes.new("decimated"))
    context.scene.collection.objects.link(obj)
    try:
        blender_mesh.set_mesh(obj, data)
        obj.modifiers.new("Decimate", "DECIMATE").ratio = MOST_TRIANGLES / len(data.triangles)
        apply_modifiers(context, obj)
        fewer = blender_mesh.read_mesh(obj)
    finally:
        remove_objects([obj])
    notes.append(("decimated", f"The mesh had {count:,} triangles and now has {len(fewer.triangles):,}."))
    return fewer


def hang_by_weights(obj: bpy.types.Object, armature: bpy.types.Object, height: float, notes: Notes) -> None:
    """One Armature modifier, no parent bone: what hung on a bone follows it by its weights, and what hung on none
    follows the nearest.
    """
    world = obj.matrix_world.copy()
    bones = armature.data.bones
    bone = obj.parent_bone if obj.parent == armature and obj.parent_type == "BONE" else ""
    if not any(group.name in bones for group in obj.vertex_groups):
        tall = max((world @ Vector(c)).z for c in obj.bound_box) - min((world @ Vector(c)).z for c in obj.bound_box)
        if bone not in bones and tall < WHOLE * height:
            bone = _nearest_bone(obj, armature)
            notes.append(("hung", f"{obj.name} followed no bone; it now follows {bone}."))
        if bone in bones:
            obj.vertex_groups.new(name=bone).add(range(len(obj.data.vertices)), 1.0, "REPLACE")
    for modifier in [m for m in obj.modifiers if m.type == "ARMATURE"]:
        obj.modifiers.remove(modifier)
    obj.modifiers.new("Armature", "ARMATURE").object = armature
    obj.parent, obj.parent_type, obj.parent_bone = armature, "OBJECT", ""
    obj.matrix_parent_inverse.identity()
    obj.matrix_world = world


def _nearest_bone(obj: bpy.types.Object, armature: bpy.types.Object) -> str:
    """The deforming bone whose line is nearest to the middle of an object."""
    corners = [obj.matrix_world @ Vector(corner) for corner in obj.bound_box]
    middle = armature.matrix_world.inverted() @ (sum(corners, Vector()) / len(corners))
    deforming = [bone for bone in armature.data.bones if bone.use_deform] or list(armature.data.bones)

    def off(bone: bpy.types.Bone) -> float:
        way = bone.tail_local - bone.head_local
        share = max(0.0, min(1.0, (middle - bone.head_local).dot(way) / max(way.length_squared, 1e-12)))
        return (bone.head_local + share * way - middle).length

    return min(deforming, key=off).name


def settle_layers(obj: bpy.types.Object) -> None:
    """The UV map that the base colour is on comes first and is called UVMap, material by material; the vertex colours
    that a base colour is made of are called Color. Else joining meshes would put them beside the others'.
    """
    _settle_uvs(obj)
    mesh = obj.data
    found = [colour_attribute(slot.material) for slot in obj.material_slots if slot.material]
    used = {name for name in found if name is not None}
    if not used:
        return
    active = mesh.color_attributes.active_color
    name = next((one for one in sorted(used) if one in mesh.color_attributes), active.name if active else "")
    if not name:
        return
    for node in nodes(obj):
        if node.type == "VERTEX_COLOR" and node.layer_name in ("", name):
            node.layer_name = COLOURS
        elif node.type == "ATTRIBUTE" and node.attribute_name == name:
            node.attribute_name = COLOURS
    colours = mesh.color_attributes[name]
    colours.name = COLOURS
    mesh.color_attributes.render_color_index = mesh.color_attributes.find(colours.name)


def nodes(obj: bpy.types.Object) -> list[bpy.types.Node]:
    materials = {slot.material for slot in obj.material_slots if slot.material and has_nodes(slot.material)}
    return [node for material in materials for node in material.node_tree.nodes]


def _settle_uvs(obj: bpy.types.Object) -> None:
    mesh = obj.data
    layers = mesh.uv_layers
    if not layers:
        return
    usual = next((k for k, layer in enumerate(layers) if layer.active_render), 0)
    slots = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", slots)
    totals = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_total", totals)
    slot_of = np.repeat(slots, totals)
    names = [layer.name for layer in layers]
    values: list[np.ndarray] = []
    for layer in layers:
        flat: np.ndarray = np.empty(len(mesh.loops) * 2, np.float32)
        layer.uv.foreach_get("vector", flat)
        values.append(flat.reshape(-1, 2))
    swapped = np.full(len(mesh.loops), usual)
    for number, slot in enumerate(obj.material_slots):
        name = uv_map(slot.material) if slot.material else ""
        place = names.index(name) if name in names else usual
        swapped[slot_of == number] = place
        _rename_uv_nodes(slot.material, names, place)
    for place in set(swapped.tolist()) - {0}:
        some = swapped == place
        values[0][some], values[place][some] = values[place][some], values[0][some].copy()
    for layer, places in zip(layers, values, strict=True):
        layer.uv.foreach_set("vector", places.ravel())
    if UV_MAP in names[1:]:
        layers[names.index(UV_MAP)].name = f"{UV_MAP} 2"
    layers[0].name = UV_MAP
    layers.active_index = 0
    layers[0].active_render = True


def _rename_uv_nodes(material: bpy.types.Material | None, names: Sequence[str], place: int) -> None:
    """What the material's nodes call the layers, after the first and the one at `place` have changed places."""
    if material is None or not has_nodes(material):
        return
    first = f"{UV_MAP} 2" if place and names[place] == UV_MAP else names[place]
    for node in material.node_tree.nodes:
        if node.type != "UVMAP" or node.uv_map not in names:
            continue
        if node.uv_map == names[place]:
            node.uv_map = UV_MAP
        elif node.uv_map == names[0]:
            node.uv_map = first


def join(context: bpy.types.Context, armature: bpy.types.Object, meshes: Objects, notes: Notes) -> bpy.types.Object:
    """All meshes as one, with shape keys and groups; the expressions' binds follow, and nothing is left of the
    others.
    """
    main = max(meshes, key=lambda obj: len(obj.data.vertices))
    if len(meshes) > 1:
        _same_colours(meshes)
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
        # Whatever else still names a joined mesh keeps it in the file, without a scene.
        remove_objects([obj for obj in bpy.data.objects if obj.name in names and obj != main and not obj.users_scene])
    loose = [vertex for vertex in main.data.vertices if not vertex.groups]
    if loose:
        notes.append(("unweighted", f"{len(loose)} vertices follow no bone; bind them or rig the avatar again."))
    return main


def _same_colours(meshes: Objects) -> None:
    """Vertex colours of one kind in every mesh, white where a mesh lacks those of others: joining would leave them
    black there, and put those of another kind into an attribute of another name.
    """
    if any(COLOURS in obj.data.color_attributes for obj in meshes):
        for obj in meshes:
            mesh = obj.data
            values = blender_mesh.corner_colours(mesh, COLOURS)
            if values is not None:
                mesh.color_attributes.remove(mesh.color_attributes[COLOURS])
            made = mesh.color_attributes.new(COLOURS, "FLOAT_COLOR", "CORNER")
            flat = np.ones(len(made.data) * 4, np.float32) if values is None else values.ravel()
            made.data.foreach_set("color", flat)
            mesh.color_attributes.render_color_index = mesh.color_attributes.find(COLOURS)


def turn_out(obj: bpy.types.Object, notes: Notes) -> None:
    """Reverses the faces that look inwards; weights, UVs and shape keys stay."""
    data = blender_mesh.read_mesh(obj)
    wrong = outside.inside_out(data.vertices, data.triangles)
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
        # A file's own normals were those of the old sides.
        mesh.normals_split_custom_set([(0.0, 0.0, 0.0)] * len(mesh.loops))
    notes.append(("turned_out", f"{wrong.mean():.0%} of the surface faced inwards and was flipped."))


def remove_objects(objects: Objects) -> None:
    for obj in objects:
        data = obj.data
        bpy.data.objects.remove(obj)
        if data is not None and data.users == 0:
            bpy.data.batch_remove([data])
