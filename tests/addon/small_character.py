"""A character of boxes and tubes, 22 bones, that tests build in an instant; faces -Y, 1.6 m."""

from types import SimpleNamespace

import bpy  # the module itself, before the modules in it

import bmesh  # isort: skip
from mathutils import Matrix, Vector

# Bone: (parent, head, tail, radius of the tube around it); the right side is mirrored.
BONES = {
    "hips": (None, (0, 0, 0.9), (0, 0, 1.0), 0.11),
    "spine": ("hips", (0, 0, 1.0), (0, 0, 1.13), 0.1),
    "chest": ("spine", (0, 0, 1.13), (0, 0, 1.33), 0.12),
    "neck": ("chest", (0, 0, 1.33), (0, 0, 1.4), 0.045),
    "head": ("neck", (0, 0, 1.4), (0, 0, 1.6), 0.1),
    "leftShoulder": ("chest", (0.04, 0, 1.29), (0.15, 0, 1.29), 0.05),
    "leftUpperArm": ("leftShoulder", (0.15, 0, 1.29), (0.36, 0, 1.29), 0.045),
    "leftLowerArm": ("leftUpperArm", (0.36, 0, 1.29), (0.57, 0, 1.29), 0.04),
    "leftHand": ("leftLowerArm", (0.57, 0, 1.29), (0.72, 0, 1.29), 0.035),
    "leftUpperLeg": ("hips", (0.09, 0, 0.88), (0.09, -0.005, 0.48), 0.075),
    "leftLowerLeg": ("leftUpperLeg", (0.09, -0.005, 0.48), (0.09, 0.01, 0.08), 0.055),
    "leftFoot": ("leftLowerLeg", (0.09, 0.01, 0.08), (0.09, -0.1, 0.02), 0.045),
    "leftToes": ("leftFoot", (0.09, -0.1, 0.02), (0.09, -0.17, 0.02), 0.035),
}


def right(name):
    return name.replace("left", "right") if name else name


def bones():
    out = {}
    for name, (parent, head, tail, radius) in BONES.items():
        out[name] = (parent, Vector(head), Vector(tail), radius)
        if name.startswith("left"):
            flip = Matrix.Diagonal((-1, 1, 1))
            out[right(name)] = (right(parent), flip @ Vector(head), flip @ Vector(tail), radius)
    return out


def build(split=(), parents=None, rigged=True, smooth=True, called=lambda name: name):
    """.armature and .meshes; `split`: bones whose part is a mesh of its own, parents: other parents of bones."""
    every, meshes = bones(), []
    armature = _armature(every, parents or {}, called) if rigged else None
    for part in (None, *split):
        inside = [name for name in every if (name == part if part else name not in split)]
        bm = bmesh.new()
        layer = bm.verts.layers.deform.verify()
        for number, name in enumerate(inside):
            _parent, head, tail, radius = every[name]
            if name == "head":
                new = bmesh.ops.create_uvsphere(bm, u_segments=24, v_segments=16, radius=radius)["verts"]
                place = Matrix.Translation((0, -0.01, 1.5)) @ Matrix.Diagonal((0.95, 1, 1.15, 1))
            else:
                depth = (tail - head).length * 1.05
                new = bmesh.ops.create_cone(
                    bm, cap_ends=True, segments=10, radius1=radius, radius2=radius * 0.9, depth=depth
                )["verts"]
                turn = (tail - head).to_track_quat("Z", "Y").to_matrix().to_4x4()
                place = Matrix.Translation((head + tail) / 2) @ turn
            bmesh.ops.transform(bm, matrix=place, verts=new)
            for vertex in new:
                vertex[layer][number] = 1.0
        meshes.append(_mesh(part or "Body", bm, inside, armature, smooth, called))
    bpy.context.view_layer.update()
    return SimpleNamespace(armature=armature, meshes=meshes)


def _armature(every, parents, called):
    obj = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    made = {name: obj.data.edit_bones.new(called(name)) for name in every}
    if "root" in parents.values():
        made["root"] = obj.data.edit_bones.new("root")
        made["root"].head, made["root"].tail = (0, 0, 0), (0, 0.2, 0)
        parents = {"hips": "root", **parents}
    for name, (parent, head, tail, _radius) in every.items():
        made[name].head, made[name].tail = head, tail
        above = parents.get(name, parent)
        if above:
            made[name].parent = made[above]
    bpy.ops.object.mode_set(mode="OBJECT")
    return obj


def _mesh(name, bm, inside, armature, smooth, called):
    mesh = bpy.data.meshes.new(name)
    bm.to_mesh(mesh)
    bm.free()
    mesh.shade_smooth() if smooth else mesh.shade_flat()
    uvs = mesh.uv_layers.new(name="UVMap")
    for loop in mesh.loops:
        x, _, z = mesh.vertices[loop.vertex_index].co
        uvs.data[loop.index].uv = ((x + 0.8) / 1.6, z / 1.6)
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(obj)
    material = bpy.data.materials.new(f"{name} material")
    if bpy.app.version < (5, 0, 0):  # later ones always have nodes
        material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.8, 0.3, 0.2, 1)
    mesh.materials.append(material)
    if armature:
        for bone in inside:
            obj.vertex_groups.new(name=called(bone))
        obj.parent = armature
        obj.modifiers.new("Armature", "ARMATURE").object = armature
    return obj


def add_key(obj, name, move=(0, 0, -0.01), where=lambda point: True, value=0.0):
    if obj.data.shape_keys is None:
        obj.shape_key_add(name="Basis", from_mix=False)
    key = obj.shape_key_add(name=name, from_mix=False)
    for point, vertex in zip(key.data, obj.data.vertices, strict=True):
        if where(vertex.co):
            point.co = vertex.co + Vector(move)
    key.value = value
    return key


def select(*objects):
    bpy.ops.object.select_all(action="DESELECT")
    for obj in objects:
        obj.select_set(True)
    bpy.context.view_layer.objects.active = objects[0]
