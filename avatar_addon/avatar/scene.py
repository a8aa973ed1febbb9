# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar in Blender's scene: which objects it is, its record, a GLB coming in, mesh and rig files going
out and in.
"""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..errors import AvatarError, last_line
from ..landmarks import BROWS, PARTS, REQUIRED, FaceLandmarks, Landmark
from ..mesh import blender_mesh, cutting
from ..mesh.armature import Bones, make_armature, read_bones
from ..vrm import addon as vrm_addon
from ..vrm import setup
from ..vrm.base_colour import base_image
from ..vrm.materials import kept_styles, outline_of

OF_KEY = "avatar_forge_of"  # on a marker: the avatar's mesh object


@dataclass
class Avatar:
    """mesh: the object that has the record; armature: an armature object, None before it is rigged."""

    mesh: bpy.types.Object
    armature: Any

    @property
    def record(self):
        return self.mesh.avatar_forge

    @property
    def name(self) -> str:
        return self.armature.name if self.armature else self.mesh.name

    @property
    def objects(self) -> list[bpy.types.Object]:
        return [obj for obj in (self.mesh, self.armature) if obj]


def export_glb(avatar: Avatar, path: Path) -> Path:
    """Mesh, skeleton and weights as a GLB without shape keys; the selection stays as it was. Raises AvatarError."""
    layer = bpy.context.view_layer
    active, selected = layer.objects.active, [obj for obj in layer.objects if obj.select_get()]
    try:
        for obj in layer.objects:
            obj.select_set(obj in avatar.objects)
        with contextlib.redirect_stdout(io.StringIO()):
            bpy.ops.export_scene.gltf(
                filepath=str(path), use_selection=True, export_morph=False, export_animations=False
            )
    except RuntimeError as error:
        raise AvatarError(
            f"The rigged mesh could not be written ({last_line(error)}); free some space and try again.", "files"
        ) from error
    finally:
        for obj in layer.objects:
            obj.select_set(obj in selected)
        layer.objects.active = active
    return path


def find_avatar(context: bpy.types.Context) -> Avatar | None:
    """The avatar that the active object belongs to, else the scene's only one."""
    active = context.view_layer.objects.active
    if active and OF_KEY in active:  # one of its markers
        active = active[OF_KEY]
    if (
        active and active.type == "MESH" and active.avatar_forge.is_avatar
    ):  # panels ask at every redraw, in scenes of any size
        return Avatar(active, active.find_armature())
    avatars = []
    for obj in context.scene.objects:
        if obj.type == "MESH" and obj.avatar_forge.is_avatar:
            avatars.append(Avatar(obj, obj.find_armature()))
            if active and avatars[-1].armature == active:
                return avatars[-1]
    return avatars[0] if len(avatars) == 1 else None


def need_avatar(context: bpy.types.Context) -> Avatar:
    avatar = find_avatar(context)
    if avatar is None:
        raise AvatarError("No avatar is selected; select its mesh or armature, or generate one first.", "no_avatar")
    return avatar


def import_mesh(path: Path, name: str, context: bpy.types.Context) -> bpy.types.Object:
    """The meshes of a GLB as one object in the scene, transforms applied, seams welded. Raises AvatarError."""
    before = set(bpy.data.objects)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the importer reports its times
            bpy.ops.import_scene.gltf(filepath=str(path), merge_vertices=True)
    except (RuntimeError, AttributeError) as error:
        raise AvatarError(
            (
                f"The mesh {path.name} cannot be imported ({last_line(error)}); check that Blender's glTF add-on"
                " is enabled."
            ),
            "import",
        ) from error
    new = [obj for obj in bpy.data.objects if obj not in before]
    parts = [blender_mesh.read_mesh(obj) for obj in new if obj.type == "MESH"]
    for obj in new:
        data = obj.data
        bpy.data.objects.remove(obj)
        if isinstance(data, bpy.types.Mesh) and data.users == 0:
            bpy.data.meshes.remove(data)
    if not parts:
        raise AvatarError(f"The file {path.name} has no mesh in it; use another one.", "no_mesh")
    joined = blender_mesh.join(parts)
    obj = bpy.data.objects.new(name, blender_mesh.make_mesh(name, joined))
    context.collection.objects.link(obj)
    select(context, obj)
    return obj


def select(context: bpy.types.Context, active: bpy.types.Object) -> None:
    context.view_layer.update()  # else objects that are gone are still listed, as None
    for other in context.view_layer.objects:
        other.select_set(other == active)
    context.view_layer.objects.active = active


def remove(avatar: Avatar) -> None:
    """Removes the avatar with all that only it uses; for a task that was cancelled."""
    record = avatar.record
    meshes = [mesh for mesh in (avatar.mesh.data, record.mesh_without_face, record.mesh_before_rig) if mesh]
    materials = {material for mesh in meshes for material in mesh.materials if material}
    materials |= {kept for material in materials for kept in kept_styles(material)}
    materials |= {outline for material in materials if (outline := outline_of(material))}
    images = {image for material in materials if (image := base_image(material))}
    armature = avatar.armature.data if avatar.armature else None
    if armature and vrm_addon.is_available():
        images.add(vrm_addon.extension(avatar.armature).vrm1.meta.thumbnail_image)
    for obj in (*empties(avatar.armature), *avatar.objects):
        bpy.data.objects.remove(obj)
    bpy.data.batch_remove([item for item in (armature, *meshes) if item and not item.users])
    for items in (list(materials), list(images - {None})):
        # A material that waits aside is used by the one that is worn.
        while unused := [item for item in items if not _is_used(item)]:
            items = [item for item in items if item not in unused]
            bpy.data.batch_remove(unused)


def _is_used(item: bpy.types.ID) -> bool:
    """By something else: in Blender 5 a material of the VRM Add-on names itself."""
    return bool(item.use_fake_user or bpy.data.user_map(subset=[item])[item] - {item})


def empties(armature: bpy.types.Object | None) -> list[bpy.types.Object]:
    """What hangs from an armature and holds nothing but its colliders, children first."""
    return [obj for obj in reversed(armature.children_recursive) if obj.type == "EMPTY"] if armature else []


# Axes: the files are glTF's, (x, y, z) = Blender's (x, z, -y)


def to_gltf(points: np.ndarray) -> np.ndarray:
    return np.asarray(points)[..., [0, 2, 1]] * [1, 1, -1]


def to_blender(points: Any) -> np.ndarray:
    return np.asarray(points, float)[..., [0, 2, 1]] * [1, -1, 1]


def turn_upright(avatar: Avatar, turn: np.ndarray) -> None:
    """Turns mesh and armature by a rotation (3, 3) in glTF's axes, puts the feet on the ground, and says so."""
    axes = np.array([to_gltf(one) for one in np.eye(3)]).T  # Blender's axes in glTF's
    rotation = Matrix((axes.T @ turn @ axes).tolist()).to_4x4()
    kept = avatar.record.mesh_before_rig
    turned = [obj.data for obj in avatar.objects] + ([kept] if kept else [])
    for data in turned:
        data.transform(rotation)
    points = blender_mesh.read_mesh(avatar.mesh).vertices
    low, high = points.min(0), points.max(0)
    shift = Matrix.Translation([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]])
    for data in turned:
        data.transform(shift)
    avatar.mesh.data.update()
    message = (
        "The model was lying, or did not face the front, so it was rotated. If it faces another way now, rotate it in"
        " Object Mode and make the avatar's skeleton again."
    )
    add_warnings(avatar, [{"code": "turned", "message": message}])


def write_mesh_file(avatar: Avatar, path: Path) -> Path:
    """mesh.npz (docs/architecture.md)."""
    data = blender_mesh.read_mesh(avatar.mesh)
    vertices = to_gltf(data.vertices).astype(np.float32)
    np.savez(path, vertices=vertices, triangles=data.triangles, corner_uvs=data.corner_uvs)
    return path


def image_pixels(image: bpy.types.Image) -> np.ndarray:
    """(h, w, channels) float32, bottom row first, with what was painted and is not saved yet."""
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(height, width, -1)


def write_pixels(rgba: np.ndarray, path: Path) -> Path:
    """A PNG of (h, w, 4) float32, bottom row first."""
    image = bpy.data.images.new(path.stem, rgba.shape[1], rgba.shape[0], alpha=True)
    try:
        image.pixels.foreach_set(np.ascontiguousarray(rgba, np.float32).ravel())
        image.filepath_raw, image.file_format = str(path), "PNG"
        image.save()
    finally:
        bpy.data.images.remove(image)
    return path


def write_image(image: bpy.types.Image, path: Path) -> Path:
    """A PNG of an image, which stays as it is. Its pixels are read: a copy of an image loses unsaved ones."""
    pixels = image_pixels(image)
    rgba = np.ones((*pixels.shape[:2], 4), np.float32)
    colours = pixels.shape[2]
    rgba[..., : colours if colours >= 3 else 3] = pixels if colours >= 3 else pixels[..., :1]
    return write_pixels(rgba, path)


def texture_pixels(avatar: Avatar) -> np.ndarray | None:
    """(H, W, 4) float32, top row first, of the only base colour image on the avatar; None where it has none, or
    several.
    """
    images = {image for slot in avatar.mesh.material_slots if slot.material and (image := base_image(slot.material))}
    image = images.pop() if len(images) == 1 else None
    if image is None or not len(image.pixels):
        return None
    return image_pixels(image)[::-1]


def apply_rig(avatar: Avatar, path: Path, context: bpy.types.Context) -> Avatar:
    """Puts the armature and the weights of a rig.npz on the avatar's mesh; an armature it had is replaced. Raises
    AvatarError.
    """
    with np.load(path, allow_pickle=False) as rig:
        arrays = {name: rig[name] for name in rig.files}
    mesh = avatar.mesh.data
    if len(arrays["weight"]) != len(mesh.vertices):
        raise AvatarError(
            "The rig does not fit the mesh, because the mesh was changed in the meantime; rig it again.", "rig_mismatch"
        )
    bones = Bones(
        arrays["names"].tolist(), arrays["parents"].tolist(), to_blender(arrays["joints"]), to_blender(arrays["tails"])
    )
    data = blender_mesh.read_mesh(avatar.mesh, shape_keys=True)
    data.groups = bones.names
    data.weights = np.zeros((len(data.vertices), len(bones.names)), np.float32)
    np.add.at(data.weights, (np.arange(len(data.vertices))[:, None], arrays["weight_joint"]), arrays["weight"])
    name = avatar.mesh.name.removesuffix(" Mesh")
    meta = {}
    if avatar.armature:
        old = avatar.armature.data
        meta = setup.read_meta(avatar.armature) if vrm_addon.is_available() else {}
        for obj in (*empties(avatar.armature), avatar.armature):
            bpy.data.objects.remove(obj)
        bpy.data.armatures.remove(old)
    blender_mesh.set_mesh(avatar.mesh, data)
    if len(arrays.get("cut", ())):
        arms = cutting.arm_shares(data.weights, data.groups)
        cutting.cut_and_cap(avatar.mesh, arrays["cut"], arms)
    avatar.mesh.name = f"{name} Mesh"  # first: the armature takes the avatar's name
    armature = make_armature(name, bones, avatar.mesh.users_collection[0])
    avatar.mesh.parent = armature
    for modifier in [m for m in avatar.mesh.modifiers if m.type == "ARMATURE"]:
        avatar.mesh.modifiers.remove(modifier)
    avatar.mesh.modifiers.new("Armature", "ARMATURE").object = armature
    setup.write_meta(armature, meta)
    select(context, armature)
    return Avatar(avatar.mesh, armature)


def bone_parents(armature: bpy.types.Object) -> dict[str, str | None]:
    return {bone.name: bone.parent.name if bone.parent else None for bone in armature.data.bones}


# The record


def store_landmarks(avatar: Avatar, landmarks: dict[str, Any]) -> None:
    """Landmarks of the backend (glTF axes) into the record (Blender's)."""
    joints = landmarks.get("joints") or {}
    avatar.record.joints = json.dumps({name: to_blender(point).tolist() for name, point in joints.items()})
    store_face(avatar, face_in_blender(landmarks.get("face") or {}))
    if outline := landmarks.get("outline"):
        avatar.record.look.outline_width = outline["width"]
        avatar.record.look.outline_colour = [linear(channel / 255) for channel in outline["colour"]]


def linear(channel: float) -> float:
    """sRGB 0..1 to linear light."""
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def face_in_blender(face: dict[str, Any]) -> FaceLandmarks:
    """The backend's face dict (glTF axes) as landmarks in Blender's."""
    return FaceLandmarks.from_dict(face).moved(to_blender)


def store_face(avatar: Avatar, face: FaceLandmarks) -> None:
    """Landmarks in Blender's axes into the record; parts that they lack stay as they are."""
    record = avatar.record
    for name, mark in face.parts.items():
        stored = getattr(record, PARTS[name].attribute)
        stored.center, stored.half_width, stored.half_height = mark.center, mark.half_width, mark.half_height
    record.has_face = record.has_face or all(name in face.parts for name in REQUIRED)
    record.has_brows = record.has_brows or all(name in face.parts for name in BROWS)
    record.has_jaw = record.has_jaw or "jaw" in face.parts
    record.eyes_confidence = face.confidence.get("eyes", record.eyes_confidence)
    record.mouth_confidence = face.confidence.get("mouth", record.mouth_confidence)


def read_face(avatar: Avatar) -> FaceLandmarks:
    """The record's landmarks, Blender's axes."""
    record = avatar.record
    names = REQUIRED + (BROWS if record.has_brows else ()) + (("jaw",) if record.has_jaw else ())
    stored = {name: getattr(record, PARTS[name].attribute) for name in names}
    parts = {name: Landmark(tuple(s.center), s.half_width, s.half_height) for name, s in stored.items()}
    return FaceLandmarks(parts, {"eyes": record.eyes_confidence, "mouth": record.mouth_confidence})


def set_face_by_hand(avatar: Avatar, face: FaceLandmarks) -> None:
    """Stores landmarks that a person or a client has placed, and trusts them fully."""
    store_face(avatar, FaceLandmarks(face.parts, {"eyes": 1.0, "mouth": 1.0}))
    for index in reversed([k for k, warning in enumerate(avatar.record.warnings) if warning.code == "face"]):
        avatar.record.warnings.remove(index)


def read_joints(avatar: Avatar) -> dict[str, list[float]]:
    """Joints that are known of the avatar, glTF axes: the armature's, else what the generator found."""
    if avatar.armature:
        bones = read_bones(avatar.armature)
        known = setup.get_humanoid(avatar.armature) if vrm_addon.is_available() else {}
        called = {bone: name for name, bone in known.items()}  # a model from elsewhere has names of its own
        return {
            called.get(name, name): to_gltf(head).tolist() for name, head in zip(bones.names, bones.heads, strict=True)
        }
    stored = json.loads(avatar.record.joints or "{}")
    return {name: to_gltf(np.array(point)).tolist() for name, point in stored.items()}


def add_warnings(avatar: Avatar, warnings: list[dict[str, str]]) -> None:
    known = {entry.message for entry in avatar.record.warnings}
    for warning in warnings:
        if warning["message"] not in known:
            entry = avatar.record.warnings.add()
            entry.code, entry.message = warning["code"], warning["message"]


def has_vrm(avatar: Avatar) -> bool:
    """Whether the VRM Add-on is there and knows the avatar's hips."""
    return vrm_addon.is_available() and bool(setup.get_bone(avatar.armature, "hips"))


def is_set_up(avatar: Avatar) -> bool:
    """Whether the VRM Add-on has this avatar's meta, which comes last of its settings."""
    return has_vrm(avatar) and vrm_addon.extension(avatar.armature).vrm1.meta.thumbnail_image is not None


def object_mode() -> None:
    """For all objects: several can be edited at once, and another one be active then."""
    objects = bpy.context.view_layer.objects
    active = objects.active
    for obj in [obj for obj in objects if obj.mode != "OBJECT"]:
        objects.active = obj
        bpy.ops.object.mode_set(mode="OBJECT")
    objects.active = active


def meshes(avatar: Avatar) -> list[bpy.types.Object]:
    """Every mesh that the avatar's armature moves; the avatar's own first."""
    armature = avatar.armature
    others = (
        [obj for obj in armature.children_recursive if obj.type == "MESH" and obj != avatar.mesh and obj.users_scene]
        if armature
        else []
    )
    return [avatar.mesh, *others]
