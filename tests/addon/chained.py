# SPDX-License-Identifier: GPL-3.0-or-later
"""A skinned figure with hair, a skirt and a tail on an armature without names, as other tools make them; bpy."""

import numpy as np

from benchmarks.skeletons import Look, person

LOOK = Look(pose=0.0, elbow=0.0, fingers=0, hair=3, skirt=6, skirt_joints=3, tail=4, eyes=True)


def tube(start, end, radius, rings=6, sides=10):
    """(vertices, triangles) of a tube with caps from start to end, metres."""
    way = np.asarray(end) - start
    across = np.cross(way, (0.3, 1.0, 0.2))
    across /= np.linalg.norm(across)
    other = np.cross(way, across) / np.linalg.norm(way)
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    circle = radius * (np.cos(turn)[:, None] * across + np.sin(turn)[:, None] * other)
    rows = np.concatenate([start + way * t + circle for t in np.linspace(0, 1, rings)])
    vertices = np.vstack([rows, start, end])
    first, last = len(rows), len(rows) + 1
    quads = [(r * sides + k, r * sides + (k + 1) % sides) for r in range(rings - 1) for k in range(sides)]
    triangles = [t for a, b in quads for t in ((a, b, b + sides), (a, b + sides, a + sides))]
    triangles += [(first, (k + 1) % sides, k) for k in range(sides)]
    top = (rings - 1) * sides
    triangles += [(last, top + k, top + (k + 1) % sides) for k in range(sides)]
    return vertices, np.array(triangles)


def figure(seed=3):
    """(Bones' names, parents, heads, tails, labels, per bone tube) of the figure, Blender's axes."""
    built = person(np.random.default_rng(seed), LOOK)
    heads, parents, labels = np.array(built.points), np.array(built.parents), built.labels
    tails = heads + [0, 0, 0.05]
    for k in range(len(heads)):
        below = np.flatnonzero(parents == k)
        if len(below):
            tails[k] = heads[below[0]]
        elif parents[k] >= 0 and labels[k].startswith(":"):
            tails[k] = heads[k] + (heads[k] - heads[parents[k]]) * 0.8
    head = labels.index("head")
    tails[head] = heads[head] + [0, 0, 0.2]
    for side in ("left", "right"):
        tails[labels.index(f"{side}Hand")] = heads[labels.index(f"{side}Hand")] + [
            0.08 if side == "left" else -0.08,
            0,
            0,
        ]
    return [f"bone_{k}" for k in range(len(heads))], parents, heads, tails, labels


RADII = {"head": 0.1, "hips": 0.13, "spine": 0.12, "chest": 0.12, "upperChest": 0.12, "neck": 0.05}


def make(addon, bpy, name="Chained"):
    """(Avatar, labels): the figure in the scene, humanoid bones assigned; labels: of each bone, VRM's or ":hair" and
    the like.
    """
    names, parents, heads, tails, labels = figure()
    module = addon("mesh.armature")
    addon("vrm.addon").need_addon()
    armature = module.make_armature(
        name, module.Bones(names, parents.tolist(), heads, tails), bpy.context.scene.collection
    )
    vertices, triangles, owner = [], [], []
    for k, label in enumerate(labels):
        radius = RADII.get(label, 0.02 if label.startswith(":") or label.endswith(("Eye", "Toes")) else 0.045)
        points, faces = tube(heads[k], tails[k], radius)
        triangles.append(faces + sum(map(len, vertices)))
        vertices.append(points)
        owner += [k] * len(points)
    mesh = addon("mesh.arrays").SkinnedMesh(
        vertices=np.concatenate(vertices),
        triangles=np.concatenate(triangles).astype(np.int32),
        corner_uvs=np.zeros((sum(map(len, triangles)), 3, 2), np.float32),
        material_index=np.zeros(sum(map(len, triangles)), np.int32),
        materials=[],
    )
    mesh.groups, mesh.weights = names, np.zeros((len(owner), len(names)), np.float32)
    mesh.weights[np.arange(len(owner)), owner] = 1.0
    material = bpy.data.materials.new(f"{name} Skin")
    addon("versions").node_tree(material)
    mesh.materials = [material.name]
    body = bpy.data.objects.new(f"{name} Mesh", addon("mesh.blender_mesh").make_mesh(name, mesh))
    bpy.context.scene.collection.objects.link(body)
    for group in names:
        body.vertex_groups.new(name=group)
    body.parent = armature
    body.modifiers.new("Armature", "ARMATURE").object = armature
    body.avatar_forge.is_avatar = True
    bpy.context.view_layer.objects.active = body
    addon("vrm.setup").set_humanoid(
        armature, {label: names[k] for k, label in enumerate(labels) if not label.startswith(":")}
    )
    return addon("avatar.scene").Avatar(body, armature), dict(zip(names, labels, strict=True))
