# SPDX-License-Identifier: GPL-3.0-or-later
"""The face's settings on the avatar's record, and visemes that follow them while a slider moves."""

from __future__ import annotations

from types import SimpleNamespace

import bpy
import numpy as np
from bpy.props import FloatProperty, PointerProperty
from bpy.types import PropertyGroup

from ..avatar import scene
from ..avatar.scene import Avatar
from ..errors import AvatarError
from ..mesh import blender_mesh
from ..ui.translation import OURS
from ..vrm import setup
from ..vrm.spec.presets import VISEMES
from . import materials as face_materials
from .synthesis import lids
from .synthesis.build import build_face
from .synthesis.cards import Cards
from .synthesis.style import Reshape, Style, Viseme

BY_STYLE, CUT, DRAWN = "STYLE", "CUT", "DRAWN"
MOUTHS = (
    (
        BY_STYLE,
        "By Style",
        "Drawn cards for a flatly drawn face without Perfect Sync and where no mouth can be cut, otherwise cut open",
    ),
    (CUT, "Cut Open", "The skin is cut along the lips and opens to show the inside of the mouth"),
    (DRAWN, "Drawn Cards", "A drawn mouth for each viseme appears in front of the lips, as in cartoons and anime"),
)
NO_CARDS = (
    "Mouth cards need an avatar with a single texture, so the mouth is cut open; bake its materials into one texture,"
    " or choose Cut Open."
)

_kept: tuple[tuple, Reshape | Cards] | None = (
    None  # of the avatar whose sliders were moved last; arrays only, nothing of Blender's
)


def _changed(viseme: PropertyGroup, _context) -> None:
    preview(viseme.id_data, viseme.path_from_id().rpartition(".")[2])


class AvatarForgeViseme(PropertyGroup):
    """How one viseme differs from what is usual."""

    strength: FloatProperty(
        name="Strength",
        description="How far the mouth opens and the lips move",
        default=1.0,
        min=0.0,
        max=2.0,
        update=_changed,
    )
    width: FloatProperty(
        name="Width",
        description="How much wider the mouth becomes, in mouth widths",
        min=-0.6,
        max=0.6,
        step=1,
        update=_changed,
    )
    corners: FloatProperty(
        name="Corners",
        translation_context=OURS,
        description="How far the corners of the mouth rise, in mouth widths",
        min=-0.4,
        max=0.4,
        step=1,
        update=_changed,
    )

    def as_style(self) -> Viseme:
        return Viseme(self.strength, self.width, self.corners)


class AvatarForgeVisemes(PropertyGroup):
    """One for each of VISEMES, by its name."""

    __annotations__ = {name: PointerProperty(type=AvatarForgeViseme) for name in VISEMES}


CLASSES = (AvatarForgeViseme, AvatarForgeVisemes)


def style_of(avatar: Avatar, texture: np.ndarray | None) -> Style:
    """What the face is made with. texture: what the cards would continue the skin of; without it the mouth is cut."""
    record = avatar.record
    styles = {name: getattr(record.visemes, name).as_style() for name in VISEMES}
    cards: bool | None = {CUT: False, DRAWN: True}.get(record.mouth_style)
    if cards is None and record.perfect_sync:
        cards = False  # trackers open a mouth by degrees
    if cards and texture is None:
        scene.add_warnings(avatar, [{"code": "no_cards", "message": NO_CARDS}])
        cards = False
    changed = {name: style for name, style in styles.items() if style != Viseme()}
    return Style(changed, record.mouth_interior, cards, cards_if_uncut=record.mouth_style == BY_STYLE)


def knows_eyes(avatar: Avatar) -> bool:
    """Whether the eye markers are sure enough for eyelids."""
    return bool(avatar.record.eyes_confidence >= lids.SURE)


def has_cards(avatar: Avatar) -> bool:
    """Whether the mouth is drawn on cards."""
    name = face_materials.cards_name(avatar.name)
    return any(slot.material and slot.material.name == name for slot in avatar.mesh.material_slots)


def has_interior(avatar: Avatar) -> bool | None:
    """Whether the mouth has teeth and a tongue; None where there is no mouth."""
    names = {slot.material.name for slot in avatar.mesh.material_slots if slot.material}
    if f"{avatar.name} Mouth" not in names:
        return None
    return f"{avatar.name} Teeth" in names


def preview(obj: bpy.types.Object, viseme: str) -> None:
    """Makes one viseme's shape key again as the record says, and shows it alone. Nothing where our face step did not
    make it.
    """
    avatar = Avatar(obj, obj.find_armature())
    keys = obj.data.shape_keys
    reshape = _reshape(avatar)
    if reshape is None or not keys or viseme not in keys.key_blocks:
        return
    moved = reshape.in_blender(viseme, getattr(avatar.record.visemes, viseme).as_style())
    key, base = keys.key_blocks[viseme], np.empty(len(obj.data.vertices) * 3, np.float32)
    if moved.size != base.size:
        return
    keys.reference_key.data.foreach_get("co", base)
    turned = moved @ np.linalg.inv(np.array(obj.matrix_world)[:3, :3]).T.astype(np.float32)
    key.data.foreach_set("co", base + turned.ravel())
    if not (keys.animation_data and keys.animation_data.action):  # while it speaks, it goes on
        show_alone(obj, viseme)
    obj.data.update_tag()


def show_alone(obj: bpy.types.Object, name: str = "") -> None:
    """One shape key at 1 and all others at 0; without a name the resting face."""
    for block in obj.data.shape_keys.key_blocks[1:] if obj.data.shape_keys else ():
        value = float(block.name == name)
        if block.value != value:
            block.value = value


def _reshape(avatar: Avatar) -> Reshape | Cards | None:
    """What visemes are made from, built once for an avatar and its markers."""
    global _kept
    bare = avatar.record.mesh_without_face
    if bare is None or avatar.armature is None:
        return None
    mesh = avatar.mesh.data
    key = (
        mesh.name,
        mesh.as_pointer(),
        len(mesh.vertices),
        avatar.record.mouth_interior,
        has_cards(avatar),
        repr(scene.read_face(avatar)),
    )
    if _kept and _kept[0] == key:
        return _kept[1]
    slots = [SimpleNamespace(material=material) for material in bare.materials]
    groups, place = avatar.mesh.vertex_groups, avatar.mesh.matrix_world
    data = blender_mesh.read_mesh(
        SimpleNamespace(data=bare, material_slots=slots, vertex_groups=groups, matrix_world=place)
    )
    interior = has_interior(avatar)
    try:
        head = setup.get_humanoid(avatar.armature)["head"]
        built = build_face(
            data,
            scene.read_face(avatar),
            head,
            style=Style(interior=interior is not False, cards=has_cards(avatar)),
            closing=knows_eyes(avatar),
        )
    except (AvatarError, KeyError):
        return None
    if built.reshape is None:
        return None
    _kept = (key, built.reshape)
    return built.reshape


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    global _kept
    _kept = None
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
