# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar's weights in Blender: its skin as arrays, the places found in it, and what fixes them written back.

The places are kept in the avatar's record, so undo and the .blend have them. Each change also goes to the mesh that
the face step was made from, so that making the face again does not bring the old weights back.
"""

from __future__ import annotations

import base64
import functools
import uuid
import zlib
from pathlib import Path

import bpy
import numpy as np
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, FloatVectorProperty, IntProperty, StringProperty
from bpy.types import PropertyGroup

from ..avatar import scene
from ..avatar.scene import Avatar
from ..client import session
from ..client.process import jobs
from ..client.process.tasks import Stage, Steps, Wait
from ..errors import AvatarError
from ..mesh import blender_mesh
from ..mesh.armature import read_bones
from ..vrm import setup
from .analysis import find, fixes
from .analysis.find import PARTS, Place
from .analysis.skin import LEAST, WeightedSkin

TOKEN = "avatar_forge_weights"  # on the mesh in which the places were found: another mesh has others
NEAR = 1e-5  # metres within which a vertex of the mesh without a face is the same one
RIGGER = "geometric"


class AvatarForgePlace(PropertyGroup):
    """A place (find.Place). `name` is the sentence; vertices: see `_packed`; centre: world space; bone: of the
    armature.
    """

    kind: StringProperty()
    severity: StringProperty()
    vertices: StringProperty()
    count: IntProperty()
    centre: FloatVectorProperty(subtype="TRANSLATION")
    limb: StringProperty()
    bone: StringProperty()
    fix: StringProperty()
    loose: BoolProperty()


def _chosen(weights: PropertyGroup, _context) -> None:
    """The buttons begin with what suits the place."""
    place = weights.place
    if place and place.limb:
        weights.limb = place.limb
    if place and place.bone:
        weights.bone = place.bone


class AvatarForgeWeights(PropertyGroup):
    """What was found in the avatar's weights; in its record."""

    places: CollectionProperty(type=AvatarForgePlace)
    shown: IntProperty(name="Issue", min=-1, default=-1, update=_chosen)
    limb: EnumProperty(
        name="Limb",
        description="Part of the body to re-weight",
        items=[(name, text.capitalize(), "") for name, text in PARTS.items()],
    )
    bone: StringProperty(name="Bone", description="Bone that the loose part follows. The nearest one is suggested")
    token: StringProperty()
    partial: BoolProperty(description="Humanoid bones were missing, so leaks and tears were not searched for")

    @property
    def place(self) -> AvatarForgePlace | None:
        return self.places[self.shown] if 0 <= self.shown < len(self.places) else None


CLASSES = (AvatarForgePlace, AvatarForgeWeights)


def read_skin(avatar: Avatar) -> WeightedSkin:
    """The avatar's skin in its rest pose, glTF axes; vertex groups that are no bone's are left out. Raises
    AvatarError without a rig.
    """
    if avatar.armature is None:
        raise AvatarError("The avatar has no skeleton yet; rig it first.", "no_rig")
    data, bones = blender_mesh.read_mesh(avatar.mesh), read_bones(avatar.armature)
    weights = np.zeros((len(data.vertices), len(bones.names)))
    for k, name in enumerate(bones.names):
        if name in data.groups and data.weights is not None and avatar.armature.data.bones[name].use_deform:
            weights[:, k] = data.weights[:, data.groups.index(name)]
    humanoid = setup.get_humanoid(avatar.armature) if scene.has_vrm(avatar) else {}
    heads, tails = scene.to_gltf(bones.heads), scene.to_gltf(bones.tails)
    return WeightedSkin(
        scene.to_gltf(data.vertices), data.triangles, weights, bones.names, bones.parents, heads, tails, humanoid
    )


def find_places(avatar: Avatar, skin: WeightedSkin | None = None) -> int:
    """Looks for places and keeps them in the record; how many. What was shown goes on being shown where it is still
    there.
    """
    skin = skin or read_skin(avatar)
    weights = avatar.record.weights
    before = (weights.place.kind, weights.place.limb) if weights.place else None
    weights.places.clear()
    for place in find.find_places(skin):
        _keep(weights.places.add(), place, skin)
    weights.partial = not find.is_complete(skin)
    weights.token = avatar.mesh.data[TOKEN] = uuid.uuid4().hex
    same = [k for k, entry in enumerate(weights.places) if (entry.kind, entry.limb) == before]
    weights.shown = (same or [0])[0] if before and weights.places else -1
    return len(weights.places)


def _keep(entry: AvatarForgePlace, place: Place, skin: WeightedSkin) -> None:
    entry.name, entry.vertices, entry.count = place.sentence, _packed(place.vertices), len(place.vertices)
    entry.centre = scene.to_blender(place.centre)
    entry.bone = skin.names[skin.bones[place.bone]] if place.bone else ""
    for attribute in ("kind", "severity", "limb", "fix", "loose"):
        setattr(entry, attribute, getattr(place, attribute))


def is_current(avatar: Avatar) -> bool:
    """Whether the places were found in the mesh that the avatar has now."""
    token = avatar.record.weights.token
    return bool(token) and avatar.mesh.data.get(TOKEN) == token


def _packed(vertices: np.ndarray) -> str:
    """Indices as text: differences, packed."""
    return base64.b64encode(zlib.compress(np.diff(vertices, prepend=0).astype("<i4").tobytes())).decode()


@functools.lru_cache(4)
def vertices_of(packed: str) -> np.ndarray:
    """The indices of a place; do not write to them."""
    return (
        np.cumsum(np.frombuffer(zlib.decompress(base64.b64decode(packed)), "<i4")) if packed else np.zeros(0, np.int64)
    )


def points_of(avatar: Avatar, place: AvatarForgePlace, depsgraph: bpy.types.Depsgraph | None = None) -> np.ndarray:
    """(n, 3) where the place's vertices are, in world space; with a depsgraph in the pose and with the expressions of
    now.
    """
    obj = avatar.mesh.evaluated_get(depsgraph) if depsgraph else avatar.mesh
    mesh = obj.data if len(obj.data.vertices) == len(avatar.mesh.data.vertices) else avatar.mesh.data
    rows = vertices_of(place.vertices)
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", points)
    points, matrix = points.reshape(-1, 3)[rows[rows < len(mesh.vertices)]], np.array(avatar.mesh.matrix_world)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


# Fixing


def locks(avatar: Avatar, skin: WeightedSkin) -> np.ndarray:
    """(J,) bool: bones whose vertex group the user has locked."""
    groups = avatar.mesh.vertex_groups
    return np.array([name in groups and groups[name].lock_weight for name in skin.names], bool)


def apply(avatar: Avatar, skin: WeightedSkin, change: fixes.Change) -> int:
    """Writes new weights into the mesh and into the one without a face, and looks for places again. How many vertices
    have changed.
    """
    rows, weights = change
    if len(rows):
        _write(avatar.mesh, rows, weights, skin)
        kept = avatar.record.mesh_without_face
        if kept is not None:
            there, here = _shared(skin, kept, avatar, rows)
            carrier = bpy.data.objects.new("weights", kept)
            try:
                _write(carrier, there, weights[here], skin)
            finally:
                bpy.data.objects.remove(carrier)
        avatar.mesh.data.update_tag()
        avatar.record.card_outdated = True
    find_places(avatar)
    return len(rows)


def _write(obj: bpy.types.Object, rows: np.ndarray, weights: np.ndarray, skin: WeightedSkin) -> None:
    """The bones' weights of some vertices, all of them; other groups stay."""
    for k, name in enumerate(skin.names):
        some = weights[:, k] > LEAST
        group = obj.vertex_groups.get(name)
        if group is None:
            if not some.any():
                continue
            group = obj.vertex_groups.new(name=name)
        group.remove(rows[~some].tolist())
        for row, weight in zip(rows[some].tolist(), weights[some, k].tolist(), strict=True):
            group.add([row], weight, "REPLACE")


def _shared(
    skin: WeightedSkin, kept: bpy.types.Mesh, avatar: Avatar, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the mesh without a face that are among `rows` of the mesh with one, and which: by their number, for
    the face step puts new vertices behind the old ones; where those were renumbered, by their place.
    """
    points = np.empty(len(kept.vertices) * 3, np.float32)
    kept.vertices.foreach_get("co", points)
    matrix = np.array(avatar.mesh.matrix_world)
    points = scene.to_gltf(points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
    first = min(len(points), len(skin.rest))
    same = np.linalg.norm(points[:first] - skin.rest[:first], axis=1) < NEAR
    if same.mean() > 0.5:
        here = np.flatnonzero(rows < first)  # also those that the lips have moved a little
        return rows[here], here
    index = {tuple(key): k for k, key in enumerate(np.round(skin.rest[rows], 4).tolist())}
    pairs = [(k, index[tuple(key)]) for k, key in enumerate(np.round(points, 4).tolist()) if tuple(key) in index]
    there, here = np.array(pairs, np.int64).reshape(-1, 2).T
    return there, here


def reweight(avatar: Avatar, limb: str, vertices: np.ndarray) -> Steps:
    """A limb's skin is weighted again by the geometric rigger, for the bones as they are. Returns how many vertices
    have changed.
    """
    yield Stage("rig", 0.0, "Sending the mesh to the rigger")
    skin = read_skin(avatar)
    if not find.is_complete(skin):
        raise AvatarError("Humanoid bones are missing, so no limb can be weighted; assign them first.", "humanoid")
    with jobs.job_folder(session.jobs_folder(), keep=False) as folder:
        mesh = scene.write_mesh_file(avatar, folder / "mesh.npz")
        joints = {name: point.tolist() for name, point in skin.heads.items()}
        result = yield Wait(
            jobs.Job("rig", rigger=RIGGER, mesh=mesh, out_dir=folder, seed=0, joints=joints, options={})
        )
        fresh = _fresh(Path(result["rig"]))
    if len(next(iter(fresh.values()))) != len(skin.rest) or len(avatar.mesh.data.vertices) != len(skin.rest):
        raise AvatarError("The mesh was changed in the meantime; re-weight the limb again.", "rig_mismatch")
    yield Stage("weights", 0.95, "Blending the weights")
    skin = read_skin(avatar)
    return apply(avatar, skin, fixes.reweight(skin, fresh, limb, vertices, locks(avatar, skin)))


def _fresh(path: Path) -> dict[str, np.ndarray]:
    """VRM bone -> (V,) weights of a rig.npz by the geometric rigger, whose joints have VRM's names."""
    with np.load(path, allow_pickle=False) as rig:
        names, joint, weight = rig["names"].tolist(), rig["weight_joint"], rig["weight"]
    dense = np.zeros((len(weight), len(names)))
    np.add.at(dense, (np.arange(len(weight))[:, None], joint), weight)
    return {name: dense[:, k] for k, name in enumerate(names)}


def change_for(
    avatar: Avatar, skin: WeightedSkin, fix: str, vertices: np.ndarray, bone: str = "", rounds: int = fixes.ROUNDS
) -> fixes.Change:
    """What a button other than Re-weight would write. fix: of find.py. Raises AvatarError for a bone that is
    not there.
    """
    locked = locks(avatar, skin)
    if fix == find.BIND:
        if bone not in skin.names or not avatar.armature.data.bones[bone].use_deform:
            raise AvatarError(f"There is no bone '{bone}' that moves skin; choose another one.", "bone")
        return fixes.bind(skin, vertices, skin.names.index(bone), locked)
    if fix == find.SMOOTH:
        return fixes.smooth(skin, vertices, locked, rounds)
    if fix == find.FILL:
        return fixes.fill(skin, vertices, locked)
    return fixes.close(skin, locked) if fix == find.CLOSE else fixes.normalise(skin, locked)


def fix_safe(avatar: Avatar) -> int:
    """Everything whose fix is no guess: too many bones, sums, cracks and patches without weights. How many
    vertices have changed.
    """
    total = 0
    for fix in find.SAFE:
        skin = read_skin(avatar)
        if fix == find.FILL:
            kinds = [place.vertices for place in find.find_places(skin) if place.fix == fix]
            vertices = np.sort(np.concatenate(kinds)) if kinds else np.zeros(0, np.int64)
        else:
            vertices = np.zeros(0, np.int64)
        total += apply(avatar, skin, change_for(avatar, skin, fix, vertices))
    return total


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
