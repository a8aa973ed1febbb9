# SPDX-License-Identifier: GPL-3.0-or-later
"""The humanoid bones of an armature as a person corrects them. They live in the VRM Add-on's properties: every change
is one there.

What the matcher said of them is kept with the armature. Nothing of it is trusted by itself: a note speaks of one
bone, so that it means nothing any more once another is assigned, by whatever panel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import bpy
import numpy as np
from bpy.props import BoolProperty, StringProperty
from bpy.types import Armature, Context, Object, PropertyGroup

from ..avatar import scene, step_states
from ..errors import AvatarError
from ..mesh.armature import read_bones
from ..versions import select_bone
from ..vrm import addon as vrm_addon
from ..vrm import setup
from ..vrm.spec.human_bones import BONES, REQUIRED, humanoid_problems, name_in_vrm0, snake_case
from .match_armature import match_armature
from .matching.assignment import GROUPS, WORST_FIRST, BoneState, Finding, bone_states, count, label, summary
from .matching.matcher import Match
from .matching.mirror import mirrored

MOST_KEPT = 4  # armatures of which the states are kept
ATTRIBUTES = {name: snake_case(name) for name in BONES}
SHOWN = {group: f"show_{group.lower().replace(' ', '_')}" for group in GROUPS}


@dataclass(frozen=True)
class Snapshot:
    """Everything the panel and the overlay draw of an armature; nothing of Blender's in it."""

    states: dict[str, BoneState]
    finding: Finding | None
    roles: dict[str, str]  # bone name -> the humanoid bone that it is
    groups: dict[str, tuple[int, str]]  # how many bones have one, and the worst kind
    summary: tuple[str, str]
    unsure: int


_kept: dict[tuple, Snapshot] = {}
_drawn: tuple[int, Snapshot] | None = (
    None  # while a panel draws: the pointer of the armature, and what it is drawn from
)


def find_armature(context: Context) -> Object | None:
    """The active armature, else that of the active mesh, else that of the scene's only avatar."""
    active = context.view_layer.objects.active
    if active and active.type == "ARMATURE":
        return active
    if active and active.type == "MESH" and (armature := active.find_armature()):
        return armature
    avatar = scene.find_avatar(context)
    return avatar.armature if avatar else None


def _nodes(data: Armature) -> dict[str, PropertyGroup]:
    """Humanoid bone -> the add-on's node. Of a VRM 0.x avatar that another add-on's importer made, those of VRM 0.x."""
    ext = data.vrm_addon_extension
    bones = ext.vrm1.humanoid.human_bones
    nodes = {name: getattr(bones, attribute).node for name, attribute in ATTRIBUTES.items()}
    if str(ext.spec_version).startswith("0") and not any(node.bone_uuid for node in nodes.values()):
        entries = {entry.bone: entry.node for entry in ext.vrm0.humanoid.human_bones}
        return {name: entries[name_in_vrm0(name)] for name in BONES if name_in_vrm0(name) in entries}
    return nodes


def snapshot(armature: Object) -> Snapshot:
    """The states of all humanoid bones. Made again only where something differs that they are made from: the bones
    that are assigned, the names and parents of the armature's bones, and what the matcher said. All of it is read at
    each call, in a fifth of a millisecond with 300 bones, because undo, another panel or a script may change any of
    it without telling.
    """
    data = armature.data
    nodes = _nodes(data) if vrm_addon.is_available() else {}
    key = (
        data.as_pointer(),
        tuple(node.bone_uuid for node in nodes.values()),
        tuple(data.bones.keys()),
        tuple(above.name if (above := bone.parent) else "" for bone in data.bones),
        data.avatar_forge.found,
    )
    kept = _kept.get(key)
    if kept is None:
        while len(_kept) >= MOST_KEPT:
            del _kept[next(iter(_kept))]
        kept = _kept[key] = _made(armature, {name: node.bone_name for name, node in nodes.items()})
    return kept


@contextlib.contextmanager
def drawing(armature: Object, shown: Snapshot) -> Iterator[None]:
    """The panel's fields show this snapshot meanwhile: Blender asks each of them twice."""
    global _drawn
    _drawn = armature.data.as_pointer(), shown
    try:
        yield
    finally:
        _drawn = None


def _made(armature: Object, names: Mapping[str, str]) -> Snapshot:
    assigned = {name: bone for name, bone in names.items() if bone}
    finding = finding_of(armature)
    states = bone_states(assigned, scene.bone_parents(armature), finding.notes if finding else None)
    return Snapshot(
        states,
        finding,
        {bone: name for name, bone in reversed(assigned.items())},
        {group: count(states, members) for group, members in GROUPS.items()},
        summary(states),
        sum(state.kind == "unsure" for state in states.values()),
    )


def assigned_bones(armature: Object) -> dict[str, str]:
    """Humanoid bone -> bone name, of those assigned."""
    if not vrm_addon.is_available():
        return {}
    return {name: bone for name, node in _nodes(armature.data).items() if (bone := node.bone_name)}


def finding_of(armature: Object) -> Finding | None:
    """What the matcher said of the armature; None where it was not asked."""
    with contextlib.suppress(ValueError, KeyError, TypeError):  # written by another version
        return Finding.from_json(armature.data.avatar_forge.found)
    return None


def need_humanoid(armature: Object) -> None:
    """Raises AvatarError with what the matcher said of a skeleton that has no humanoid bones, else with the first thing
    that is wrong with them.
    """
    assigned = {name: bone for name, bone in assigned_bones(armature).items() if bone in armature.data.bones}
    problems = humanoid_problems(assigned, scene.bone_parents(armature))
    if not problems:
        return
    finding = finding_of(armature)
    reason = finding.reason if finding and not finding.humanoid and not assigned else problems[0]
    raise AvatarError(f"{reason} Assign the bones by hand in the Humanoid Bones panel.", "humanoid")


def find_bones(context: Context, armature: Object) -> Match:
    """Asks the matcher, keeps what it says, and assigns what it found; where it is no humanoid, nothing is assigned.
    Raises AvatarError.
    """
    vrm_addon.need_addon()
    match = match_armature(armature)
    keep_finding(armature, match)
    if match.humanoid:
        bones = armature.data.bones
        change(armature, dict.fromkeys(BONES, "") | {name: bones[k].name for name, k in match.mapping.items()})
        open_groups(context, armature)
    return match


def keep_finding(armature: Object, match: Match) -> None:
    armature.data.avatar_forge.found = Finding.of(match, armature.data.bones.keys()).to_json()


def open_groups(context: Context, armature: Object) -> None:
    """Shows those that have something to look at, and closes the others."""
    view = context.window_manager.avatar_forge.bones
    for group, (_, worst) in snapshot(armature).groups.items():
        setattr(view, SHOWN[group], worst in WORST_FIRST)


def change(armature: Object, bones: Mapping[str, str]) -> None:
    """Assigns a bone to each of these humanoid bones, "" for none; the others stay. Raises AvatarError without the
    VRM Add-on.
    """
    vrm_addon.need_addon()
    before = assigned_bones(armature)
    setup.assign_bones(armature, {**before, **bones})
    armature.data.update_tag()
    for obj in bpy.data.objects:
        if obj.type == "MESH" and obj.avatar_forge.is_avatar and obj.find_armature() == armature:
            obj.avatar_forge.card_outdated = True
            if any(
                before.get(name, "") != bone for name, bone in bones.items() if name in REQUIRED
            ):  # the next steps use these
                step_states.done(scene.Avatar(obj, armature), "rig")
    redraw()


def confirm(armature: Object, names: Iterable[str]) -> None:
    """A person has said that these humanoid bones are right as they are."""
    finding = finding_of(armature)
    if finding:
        armature.data.avatar_forge.found = finding.confirmed(names, assigned_bones(armature)).to_json()
        redraw()


def mirror(armature: Object, side: str) -> tuple[int, list[str]]:
    """Assigns the other side as `side` ("left" or "right") is: how many bones changed, and those without a
    counterpart.
    """
    bones, before = read_bones(armature), assigned_bones(armature)
    heads = np.array([bone.head_local[:] for bone in armature.data.bones])  # the object may stand askew in the world
    found, alone = mirrored(before, bones.names, bones.parents, heads, side)
    changed = {name: bone for name, bone in found.items() if before.get(name) != bone}
    if changed:
        change(armature, changed)
    return len(changed), alone


def select(armature: Object, bone: str) -> None:
    """Makes one bone the only selected and the active one, in whatever mode the armature is."""
    select_bone(armature, bone)
    redraw()


def redraw() -> None:
    """Every 3D view: its sidebar has the panel, its window the overlay."""
    for manager in bpy.data.window_managers:
        for window in manager.windows:
            for area in window.screen.areas:
                if area.type == "VIEW_3D":
                    area.tag_redraw()


# Properties: a field of the panel for each humanoid bone, which reads and writes the VRM Add-on's


def _field(name: str):
    def get(group: PropertyGroup) -> str:
        if _drawn and _drawn[0] == group.id_data.as_pointer():
            return _drawn[1].states[name].bone
        ext = getattr(group.id_data, "vrm_addon_extension", None)
        if ext is None:
            return ""
        bone = getattr(ext.vrm1.humanoid.human_bones, ATTRIBUTES[name]).node.bone_name
        if bone or not str(ext.spec_version).startswith("0"):
            return bone
        node = _nodes(group.id_data).get(name)
        return node.bone_name if node else ""

    def assign(group: PropertyGroup, bone: str) -> None:
        armature = next((obj for obj in bpy.data.objects if obj.data == group.id_data), None)
        if armature:
            change(armature, {name: bone})

    return StringProperty(name=label(name), description="The assigned bone of the armature", get=get, set=assign)


def _redraw_for(_view: PropertyGroup, _context: Context) -> None:
    redraw()


class AvatarForgeBones(PropertyGroup):
    """On an armature."""

    found: StringProperty(description="JSON: result of the humanoid bone matching")


class AvatarForgeBonesView(PropertyGroup):
    """What the user sees of the bones; not in the file."""

    overlay: BoolProperty(
        name="Show Bones",
        description=(
            "Draw the humanoid bones and their names in the viewport: solid if they are fine, dashed if they"
            " need attention"
        ),
        update=_redraw_for,
    )


for _name in BONES:
    AvatarForgeBones.__annotations__[ATTRIBUTES[_name]] = _field(_name)
for _group, _attribute in SHOWN.items():
    AvatarForgeBonesView.__annotations__[_attribute] = BoolProperty(name=_group, default=_group == "Torso")

CLASSES = (AvatarForgeBones, AvatarForgeBonesView)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Armature.avatar_forge = bpy.props.PointerProperty(type=AvatarForgeBones)


def unregister() -> None:
    _kept.clear()
    del bpy.types.Armature.avatar_forge
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
