# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender's versions from 4.2 on do in different ways, behind one name each.

Source: Blender's release notes on the Python API: 4.4 (actions have slots), 5.0 (materials and worlds always have
nodes, `use_nodes` is deprecated and goes with 6.0; bones are selected in the pose).
"""

from __future__ import annotations

from collections.abc import Iterator

import bpy

ALWAYS_NODES = bpy.app.version >= (5, 0, 0)


def has_nodes(owner: bpy.types.Material | bpy.types.World) -> bool:
    """Whether it is drawn by its nodes, and not by its plain colour."""
    return owner.node_tree is not None and (ALWAYS_NODES or owner.use_nodes)


def node_tree(owner: bpy.types.Material | bpy.types.World) -> bpy.types.NodeTree:
    """Its nodes, which are made and switched on where it had none."""
    if not ALWAYS_NODES:
        owner.use_nodes = True
    return owner.node_tree


def fcurves(action: bpy.types.Action) -> Iterator[bpy.types.FCurve]:
    """The curves of all its slots."""
    if not hasattr(action, "layers"):
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                yield from bag.fcurves


def select_bone(armature: bpy.types.Object, name: str) -> None:
    """Makes one bone the only selected and the active one, in whatever mode the armature is."""
    for holder in _selectable(armature):
        holder.select = holder.name == name
    bones = armature.data.bones
    bones.active = bones.get(name)


def selected_bones(armature: bpy.types.Object) -> list[str]:
    """Their names, in the armature's order."""
    return [holder.name for holder in _selectable(armature) if holder.select]


def _selectable(armature: bpy.types.Object):
    """What keeps the selection: the bones, or their poses."""
    return armature.data.bones if "select" in bpy.types.Bone.bl_rna.properties else armature.pose.bones
