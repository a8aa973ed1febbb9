# SPDX-License-Identifier: GPL-3.0-or-later
"""Springs for the chains of bones that are no humanoid's, with colliders, in the VRM Add-on's properties; for VRM 0.x
at the export.

What swings is read and written in the add-on's own springs, so its panels and ours show the same. The avatar's record
only knows which chains there are (look_settings.AvatarForgeChain), so that one can be switched off and on again.
Sources: VRMC_springBone-1.0; VRM 0.0 (secondaryAnimation).
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix

from ..errors import AvatarError
from ..humanoid.matching.extras import SPRUNG, other_chains
from ..humanoid.matching.names import read_name, read_names
from ..humanoid.matching.tree import Tree
from ..mesh import blender_mesh
from ..mesh.armature import editing, read_bones
from ..mesh.measures import to_segment
from ..vrm.addon import extension, need_addon
from ..vrm.setup import get_humanoid
from .spring_figures import KINDS, LEAST_RADIUS, USUAL_HEIGHT, Shape, attach, fit_body, joints, leave_room

GROUP = "Avatar Forge "  # the names of our collider groups begin so
END = "_end"
HELD = 0.5  # weight from which on a vertex counts as a bone's


@dataclass(frozen=True)
class SpringChain:
    """bones: from the body outwards, each the next one's parent."""

    kind: str
    bones: tuple[str, ...]


def find_chains(armature: bpy.types.Object) -> list[SpringChain]:
    """What hangs on the humanoid bones and may swing, the longest way at every fork. Empty where hips or head are not
    assigned.
    """
    bones = read_bones(armature)
    index = {name: k for k, name in enumerate(bones.names)}
    assigned = {vrm: index[bone] for vrm, bone in get_humanoid(armature).items() if bone in index}
    if "hips" not in assigned or "head" not in assigned or len(assigned) == len(index):
        return []
    tree = Tree(bones.heads, bones.parents)
    kinds = {
        bone: chain.kind
        for chain in other_chains(tree, assigned, read_names(bones.names))
        if chain.sprung
        for bone in chain.bones
    }
    chains, starts = [], [k for k in tree.order if k in kinds and tree.parents[k] not in kinds]
    while starts:
        path = _longest(tree, starts.pop(0), set(kinds))
        starts += [child for bone in path for child in tree.children[bone] if child in kinds and child not in path]
        chains.append(SpringChain(kinds[path[0]], tuple(bones.names[k] for k in path)))
    return chains


def _longest(tree: Tree, start: int, among: set[int]) -> list[int]:
    path = [start]
    while below := [child for child in tree.children[path[-1]] if child in among]:
        path.append(max(below, key=lambda child: (tree.reach[child] + tree.distance(path[-1], child), -child)))
    return path


def chain_from(armature: bpy.types.Object, bone: str) -> SpringChain:
    """The chain that begins with a bone of the user's choice. Raises AvatarError where it cannot swing."""
    humanoid = {name: vrm for vrm, name in get_humanoid(armature).items()}
    if bone in humanoid:
        raise AvatarError(
            (
                f"{bone} is the humanoid bone {humanoid[bone]}, which animations move; select a bone of hair,"
                " skirt, tail or the like."
            ),
            "spring",
        )
    bones = read_bones(armature)
    tree, start = Tree(bones.heads, bones.parents), bones.names.index(bone)
    if any(bones.names[k] in humanoid for k in tree.below(start)):
        raise AvatarError(f"{bone} has humanoid bones among its children; select a bone that has none.", "spring")
    names = tuple(bones.names[k] for k in _longest(tree, start, set(tree.below(start))))
    known = next((chain.kind for chain in find_chains(armature) if bone in chain.bones), read_name(bone).kind)
    return SpringChain(known if known in SPRUNG else "cloth", names)


def spring_of(armature: bpy.types.Object, root: str):
    """The add-on's spring whose first joint is the bone `root`, or None."""
    springs = extension(armature).spring_bone1.springs
    spring = springs.get(root)  # our springs, and those seen before, are named so
    return spring if spring and spring.joints and spring.joints[0].node.bone_name == root else None


def used_bones(armature: bpy.types.Object) -> dict[str, str]:
    """Bone -> the name of the spring that has it."""
    springs = extension(armature).spring_bone1.springs
    return {
        joint.node.bone_name: spring.vrm_name for spring in springs for joint in spring.joints if joint.node.bone_name
    }


def adopt(avatar) -> int:
    """Lists springs that came with the file or from the VRM Add-on's panels, and forgets bones that are gone; how
    many are new.
    """
    record, armature = avatar.record.look, avatar.armature
    bones = armature.data.bones
    for index in reversed(range(len(record.chains))):
        if record.chains[index].name not in bones:
            record.chains.remove(index)
    new = 0
    for spring in extension(armature).spring_bone1.springs:
        root = spring.joints[0].node.bone_name if spring.joints else ""
        if root not in bones:
            continue
        spring.name = root
        if root not in record.chains:
            kind = read_name(root).kind
            entry = record.chains.add()
            entry.name, entry.kind = root, kind if kind in KINDS else "cloth"
            new += 1
    return new


def set_default(avatar) -> int:
    """Springs for every chain found, where the avatar has no springs at all; how many there are new."""
    adopt(avatar)
    springs = extension(avatar.armature).spring_bone1.springs
    if len(springs) or len(avatar.record.look.chains):
        return 0
    chains = find_chains(avatar.armature)
    if chains:
        add(avatar, chains)
    return len(chains)


def add(avatar, chains: Sequence[SpringChain]) -> None:
    """Makes springs with the kinds' usual figures. Raises AvatarError where a bone has one already."""
    need_addon()
    armature = avatar.armature
    taken = used_bones(armature)
    for chain in chains:
        for bone in chain.bones:
            if bone in taken:
                raise AvatarError(f"{bone} already swings with {taken[bone]}; remove that chain first.", "spring")
    with at_rest(armature):
        body = _Body(avatar)
        _add_ends(avatar, chains, body)
        tails = [body.points(chain)[1:] for chain in chains]
        shapes = leave_room(
            body.shapes, [(chain.kind, tail) for chain, tail in zip(chains, tails, strict=True)], body.least
        )
        _make_colliders(armature, shapes, {name for chain in chains for name in KINDS[chain.kind].against})
        shapes = {
            name: _shape_of(armature, name) or shape for name, shape in shapes.items()
        }  # an earlier chain's may be other
        for chain, tail in zip(chains, tails, strict=True):
            _make_spring(avatar, chain, body, tail, shapes)


def remove(avatar, root: str) -> None:
    """Takes a chain out of the list, with its spring and the end bone that was made for it."""
    record, armature = avatar.record.look, avatar.armature
    entry = record.chains[root]
    end = entry.end
    _drop_spring(armature, root)
    record.chains.remove(record.chains.find(root))
    if end in armature.data.bones:
        with editing(armature):
            armature.data.edit_bones.remove(armature.data.edit_bones[end])
    _drop_unused_colliders(armature)


def switch(avatar, root: str, on: bool) -> None:
    """Takes a spring out of the avatar, keeping what it was, or puts it back."""
    entry, spring = avatar.record.look.chains[root], spring_of(avatar.armature, root)
    if on and spring is None and entry.kept:
        _write(avatar.armature, root, json.loads(entry.kept))
    elif not on and spring is not None:
        entry.kept = json.dumps(_read(spring))
        _drop_spring(avatar.armature, root)


def change_kind(avatar, root: str, kind: str) -> None:
    """Makes the spring again with another kind's usual figures."""
    entry, spring = avatar.record.look.chains[root], spring_of(avatar.armature, root)
    entry.kind = kind
    if spring is None:
        return
    bones = tuple(joint.node.bone_name for joint in spring.joints if joint.node.bone_name != entry.end)
    _drop_spring(avatar.armature, root)
    add(avatar, [SpringChain(kind, bones)])


def figure(avatar, root: str, name: str) -> float:
    """The first joint's stiffness, gravity_power or drag_force, also of a spring that is switched off."""
    spring = spring_of(avatar.armature, root)
    if spring is not None:
        return float(getattr(spring.joints[0], name))
    kept = avatar.record.look.chains[root].kept
    return float(json.loads(kept)["joints"][0][name]) if kept else 0.0


def set_figure(avatar, root: str, name: str, value: float) -> None:
    """Sets it for the whole chain: the joints keep their proportions to each other."""
    spring = spring_of(avatar.armature, root)
    if spring is None:
        return
    before = getattr(spring.joints[0], name)
    for joint in spring.joints:
        new = getattr(joint, name) * value / before if before > 0 else value
        setattr(joint, name, min(new, 1.0) if name == "drag_force" else new)


def colliders(armature: bpy.types.Object) -> list[bpy.types.Object]:
    """The empties that stand for colliders in the viewport, ends of capsules included."""
    found = [collider.bpy_object for collider in extension(armature).spring_bone1.colliders if collider.bpy_object]
    return [obj for one in found for obj in (one, *one.children)]


@contextlib.contextmanager
def at_rest(armature: bpy.types.Object) -> Iterator[None]:
    """The rest pose, and afterwards the pose, the selection and the active object as they were."""
    layer = bpy.context.view_layer
    position, active, selected = (
        armature.data.pose_position,
        layer.objects.active,
        [o for o in layer.objects if o.select_get()],
    )
    armature.data.pose_position = "REST"
    layer.update()
    try:
        yield
    finally:
        armature.data.pose_position = position
        layer.update()
        for obj in layer.objects:
            obj.select_set(obj in selected)
        layer.objects.active = active


class _Body:
    """The avatar's mesh and bones at rest, measured once for all its chains."""

    def __init__(self, avatar) -> None:
        self.armature, self.data = avatar.armature, blender_mesh.read_mesh(avatar.mesh)
        others = [
            obj
            for obj in avatar.armature.children_recursive
            if obj.type == "MESH" and obj != avatar.mesh and obj.vertex_groups
        ]
        self.parts = [self.data, *map(blender_mesh.read_mesh, others)]
        self.read()
        low, high = (
            (self.data.vertices.min(0), self.data.vertices.max(0))
            if len(self.data.vertices)
            else (self.heads.min(0), self.heads.max(0))
        )
        self.height = max(float((high - low)[2]), 1e-3)
        self.least = LEAST_RADIUS * self.height / USUAL_HEIGHT
        humanoid = get_humanoid(self.armature)
        segments = {
            vrm: (self.heads[self.index[bone]], self.tails[self.index[bone]])
            for vrm, bone in humanoid.items()
            if bone in self.index
        }
        self.shapes = fit_body(self._to_next(segments), {vrm: self.held(bone) for vrm, bone in humanoid.items()})

    def read(self) -> None:
        bones = read_bones(self.armature)
        self.index = {name: k for k, name in enumerate(bones.names)}
        self.heads, self.tails = bones.heads, bones.tails

    def held(self, bone: str) -> np.ndarray:
        """(N, 3) the vertices that mostly follow one bone."""
        parts = [(p, p.weights) for p in self.parts if p.weights is not None and bone in p.groups]
        return np.concatenate(
            [np.zeros((0, 3)), *(part.vertices[weights[:, part.groups.index(bone)] > HELD] for part, weights in parts)]
        )

    def points(self, chain: SpringChain) -> np.ndarray:
        """(J + 1, 3) a chain's heads and its last tail."""
        rows = [self.index[bone] for bone in chain.bones]
        return np.vstack([self.heads[rows], self.tails[rows[-1:]]])

    def thickness(self, chain: SpringChain) -> list[float]:
        """Metres from each bone to its skin, 0 where it has hardly any."""
        points, out = self.points(chain), []
        for k, bone in enumerate(chain.bones):
            held = self.held(bone)
            out.append(float(np.median(to_segment(held, points[k], points[k + 1])[0])) if len(held) >= 4 else 0.0)
        return out

    @staticmethod
    def _to_next(segments: dict) -> dict:
        """Bones end where the next of their limb begins: tails of imported bones point anywhere."""
        following = {"neck": "head"}
        for side in ("left", "right"):
            limbs = (("UpperArm", "LowerArm"), ("LowerArm", "Hand"), ("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))
            following |= {side + a: side + b for a, b in limbs}
        return {
            name: (start, segments[following[name]][0] if following.get(name) in segments else end)
            for name, (start, end) in segments.items()
        }


def _add_ends(avatar, chains: Sequence[SpringChain], body: _Body) -> None:
    """VRM 1.0 turns a joint only towards the next one, so a last bone that holds skin needs a bone behind it."""
    last_bones = [chain.bones[-1] for chain in chains if len(chain.bones) == 1 or len(body.held(chain.bones[-1]))]
    wanted = [name for name in last_bones if name + END not in body.index]
    if not wanted:
        return
    with editing(avatar.armature):
        bones = avatar.armature.data.edit_bones
        for name in wanted:
            last = bones[name]
            end = bones.new(name + END)
            end.head, end.tail = last.tail, last.tail + (last.tail - last.head) * 0.3
            end.parent, end.use_deform = last, False
    body.read()


def _make_spring(avatar, chain: SpringChain, body: _Body, tails: np.ndarray, shapes: dict[str, Shape]) -> None:
    armature, record = avatar.armature, avatar.record.look
    made = joints(chain.kind, body.points(chain), body.height, body.thickness(chain))
    made, names = attach(chain.kind, tails, made, shapes, body.least)
    root, end = chain.bones[0], chain.bones[-1] + END
    bones = [*chain.bones, end] if end in armature.data.bones else list(chain.bones)
    groups = extension(armature).spring_bone1.collider_groups
    ours = [
        group.uuid
        for group in groups
        if group.vrm_name.removeprefix(GROUP) in names and group.vrm_name.startswith(GROUP)
    ]
    rows = [
        {
            "bone": bone,
            "stiffness": j.stiffness,
            "gravity_power": j.gravity,
            "drag_force": j.drag,
            "hit_radius": j.radius,
        }
        for bone, j in zip(bones, [*made, made[-1]], strict=False)
    ]
    _write(
        armature, root, {"vrm_name": f"{KINDS[chain.kind].label} {root}", "center": "", "joints": rows, "groups": ours}
    )
    if root in record.chains:
        entry = record.chains[root]
    else:
        entry = record.chains.add()
        entry.name = root
    entry.kind, entry.kept, entry.end = chain.kind, "", end if end in bones else ""


def _read(spring) -> dict:
    rows = []
    for joint in spring.joints:
        row = {name: getattr(joint, name) for name in ("stiffness", "gravity_power", "drag_force", "hit_radius")}
        limit = getattr(joint, "vrmc_spring_bone_limit", None)
        kept = (
            {
                p.identifier: getattr(limit, p.identifier)
                for p in limit.bl_rna.properties
                if p.identifier not in ("rna_type", "name")
            }
            if limit
            else {}
        )
        kept = {name: value if isinstance(value, str | float) else list(value) for name, value in kept.items()}
        rows.append(row | {"bone": joint.node.bone_name, "gravity_dir": list(joint.gravity_dir), "limit": kept})
    groups = [reference.collider_group_uuid for reference in spring.collider_groups]
    return {"vrm_name": spring.vrm_name, "center": spring.center.bone_name, "joints": rows, "groups": groups}


def _write(armature: bpy.types.Object, root: str, kept: dict) -> None:
    ext = extension(armature).spring_bone1
    spring = ext.springs.add()
    spring.name, spring.vrm_name = root, kept["vrm_name"]
    if kept["center"]:
        spring.center.bone_name = kept["center"]
    for row in kept["joints"]:
        joint = spring.joints.add()
        joint.node.bone_name = row["bone"]
        for name in ("stiffness", "gravity_power", "drag_force", "hit_radius", "gravity_dir"):
            if name in row:
                setattr(joint, name, row[name])
        for name, value in row.get("limit", {}).items():
            setattr(joint.vrmc_spring_bone_limit, name, value)
    known = {group.uuid for group in ext.collider_groups}
    for identifier in kept["groups"]:
        if identifier in known:
            spring.collider_groups.add().collider_group_uuid = identifier


def _drop_spring(armature: bpy.types.Object, root: str) -> None:
    springs = extension(armature).spring_bone1.springs
    if spring_of(armature, root) is not None:
        springs.remove(springs.find(root))


def _make_colliders(armature: bpy.types.Object, shapes: dict[str, Shape], wanted: set[str]) -> None:
    """One collider in a group of its own for each part of the body that has none of ours yet."""
    ext, humanoid = extension(armature).spring_bone1, get_humanoid(armature)
    there = {group.vrm_name for group in ext.collider_groups}
    new = [name for name in shapes if name in wanted and GROUP + name not in there]
    made = []
    for name in new:
        collider = ext.colliders.add()
        collider.uuid = uuid.uuid4().hex
        collider.node.bone_name = humanoid[name]
        collider.shape_type = "Sphere" if shapes[name].is_sphere else "Capsule"
        collider.reset_bpy_object(bpy.context, armature)
        group = ext.collider_groups.add()
        group.uuid, group.vrm_name = uuid.uuid4().hex, GROUP + name
        group.colliders.add().collider_uuid = collider.uuid
        made.append((collider.bpy_object, shapes[name]))
    bpy.context.view_layer.update()
    for obj, shape in made:
        _place(armature, obj, shape)
    bpy.context.view_layer.update()
    for obj, _ in made:
        for one in (obj, *obj.children):
            one.hide_set(True)  # until the user wants to see them; they follow their bones all the same


def _place(armature: bpy.types.Object, obj: bpy.types.Object, shape: Shape) -> None:
    scale = float(np.mean(armature.matrix_world.to_scale()))
    obj.matrix_world = Matrix.Translation(shape.start) @ Matrix.Scale(scale, 4)
    obj.empty_display_size = shape.radius / scale
    for one in (obj, *obj.children):
        for collection in one.users_collection:
            collection.objects.unlink(one)
        armature.users_collection[0].objects.link(one)
        one.hide_render = True
    if obj.children:
        bpy.context.view_layer.update()
        obj.children[0].matrix_world = Matrix.Translation(shape.end) @ Matrix.Scale(scale, 4)
        obj.children[0].empty_display_size = obj.empty_display_size


def _shape_of(armature: bpy.types.Object, name: str) -> Shape | None:
    """What our collider of a part of the body is now, in world space at rest."""
    ext = extension(armature).spring_bone1
    group = next((group for group in ext.collider_groups if group.vrm_name == GROUP + name), None)
    uuids = {reference.collider_uuid for reference in group.colliders} if group else set()
    obj = next((collider.bpy_object for collider in ext.colliders if collider.uuid in uuids), None)
    if obj is None:
        return None
    start, scale = np.array(obj.matrix_world.translation), float(np.mean(obj.matrix_world.to_scale()))
    end = np.array(obj.children[0].matrix_world.translation) if obj.children else start
    return Shape(start, end, obj.empty_display_size * scale)


def _drop_unused_colliders(armature: bpy.types.Object) -> None:
    """Ours that no spring in the list can meet any more."""
    ext = extension(armature).spring_bone1
    if len(ext.springs):
        return
    for index in reversed(range(len(ext.collider_groups))):
        group = ext.collider_groups[index]
        if not group.vrm_name.startswith(GROUP):
            continue
        uuids = {reference.collider_uuid for reference in group.colliders}
        for number in reversed(range(len(ext.colliders))):
            if ext.colliders[number].uuid in uuids:
                forget(ext.colliders[number].bpy_object)
                ext.colliders.remove(number)
        ext.collider_groups.remove(index)


def forget(obj: bpy.types.Object | None) -> None:
    """Removes a collider's empties."""
    for one in (*obj.children, obj) if obj else ():
        bpy.data.objects.remove(one)
