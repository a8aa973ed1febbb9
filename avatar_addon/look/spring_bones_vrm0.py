# SPDX-License-Identifier: GPL-3.0-or-later
"""Spring bones of VRM 1.0 written as VRM 0.x has them, while a file is exported."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..vrm.addon import extension
from .spring_bones import at_rest

MOST_SPHERES = 4  # that a capsule becomes in VRM 0.x


@contextlib.contextmanager
def also_as_vrm0(armature: bpy.types.Object) -> Iterator[None]:
    """While it lasts the springs are VRM 0.x's as well, where that has none of its own: capsules as rows of spheres."""
    old, new = extension(armature).vrm0.secondary_animation, extension(armature).spring_bone1
    if len(old.bone_groups) or not len(new.springs):
        yield
        return
    made: list[bpy.types.Object] = []
    try:
        with at_rest(armature):
            _fill_vrm0(armature, old, new, made)
        yield
    finally:
        old.bone_groups.clear()
        old.collider_groups.clear()
        for obj in made:
            bpy.data.objects.remove(obj)


def _fill_vrm0(armature: bpy.types.Object, old, new, made: list[bpy.types.Object]) -> None:
    by_uuid = {collider.uuid: collider for collider in new.colliders}
    groups: dict = {}
    for group in new.collider_groups:
        for number, reference in enumerate(group.colliders):
            collider = by_uuid.get(reference.collider_uuid)
            if collider is None or not collider.bpy_object or not collider.node.bone_name:
                continue
            copy = old.collider_groups.add()
            copy.uuid = uuid.uuid4().hex
            copy.node.bone_name = collider.node.bone_name
            groups.setdefault(group.uuid, []).append(copy.uuid)
            for point, radius in _spheres(collider):
                empty = bpy.data.objects.new(f"{group.vrm_name} {number}", None)
                armature.users_collection[0].objects.link(empty)
                empty.empty_display_type, empty.empty_display_size = "SPHERE", radius
                empty.parent, empty.parent_type, empty.parent_bone = armature, "BONE", collider.node.bone_name
                made.append(empty)
                bpy.context.view_layer.update()
                empty.matrix_world = Matrix.Translation(point)
                copy.colliders.add().bpy_object = empty
    bpy.context.view_layer.update()
    for spring in new.springs:
        if not spring.joints:
            continue
        first, group = spring.joints[0], old.bone_groups.add()
        group.comment, group.center.bone_name = spring.vrm_name, spring.center.bone_name
        group.stiffiness, group.gravity_power, group.drag_force = first.stiffness, first.gravity_power, first.drag_force
        group.gravity_dir, group.hit_radius = (
            first.gravity_dir,
            float(np.median([joint.hit_radius for joint in spring.joints])),
        )
        group.bones.add().bone_name = first.node.bone_name
        for reference in spring.collider_groups:
            for copied in groups.get(reference.collider_group_uuid, ()):
                group.collider_groups.add().collider_group_uuid = copied


def _spheres(collider) -> list[tuple[Vector, float]]:
    """(point in world space, radius) of a collider, or of a row that fills its capsule."""
    start, radius = collider.bpy_object.matrix_world.translation, collider.bpy_object.empty_display_size
    if collider.shape_type != "Capsule" or not collider.bpy_object.children:
        return [(start, radius)]
    end = collider.bpy_object.children[0].matrix_world.translation
    count = int(np.clip(np.ceil((end - start).length / max(radius, 1e-6)) + 1, 2, MOST_SPHERES))
    return [(start.lerp(end, t), radius) for t in np.linspace(0, 1, count)]
