# SPDX-License-Identifier: GPL-3.0-or-later
"""The Look panel's settings: of an avatar, of a material that has its own, of a chain of spring bones. What moves a
slider is seen at once.

Where the VRM Add-on keeps a value itself, the property here reads and writes that one.
"""

from __future__ import annotations

from collections.abc import Iterator

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)
from bpy.types import PropertyGroup

from ..avatar.scene import Avatar, find_avatar, meshes
from ..face.materials import is_bare
from ..face.synthesis.build import PARTS
from ..vrm import addon as vrm_addon
from ..vrm import look_at as gaze
from ..vrm import materials as look
from . import spring_bones
from .spring_figures import KINDS

SHADOW_COLOUR, OUTLINE_COLOUR = (0.62, 0.5, 0.6), (0.09, 0.05, 0.05)
DEFAULTS = {
    "shadow": 0.0,
    "shadow_colour": SHADOW_COLOUR,
    "softness": 0.05,
    "outline_width": 0.0,
    "outline_colour": OUTLINE_COLOUR,
}


def materials(avatar: Avatar) -> list[bpy.types.Material]:
    """Those on the avatar's meshes, each once, in the order of the slots."""
    found = [slot.material for mesh in meshes(avatar) for slot in mesh.material_slots if slot.material]
    return list(dict.fromkeys(found))


def is_interior(avatar: Avatar, material: bpy.types.Material) -> bool:
    """Whether it is the mouth's, the teeth's or the tongue's: those are never outlined nor shaded."""
    return material.name in {f"{avatar.name} {part}" for part in PARTS}


def has_outline(avatar: Avatar, material: bpy.types.Material) -> bool:
    """Whether the outline's settings are about it."""
    return not is_interior(avatar, material) and not is_bare(avatar.name, material)


def style(avatar: Avatar) -> str:
    """What the avatar's materials without a look of their own have in common, or ""."""
    styles = {look.style_of(material) for material in materials(avatar) if not material.avatar_forge_look.own}
    return styles.pop() if len(styles) == 1 else ""


def set_style(avatar: Avatar, new: str, name: str = "") -> None:
    """For every material without a look of its own, or for the one that is named."""
    for material in materials(avatar):
        if material.name == name if name else not material.avatar_forge_look.own:
            look.set_style(material, new)


def set_defaults(avatar: Avatar) -> None:
    """MToon for what has no style yet, and the settings as the materials say."""
    for material in materials(avatar):
        look.set_default(material, double_sided=not avatar.record.engine)
    found = next((back for m in materials(avatar) if has_outline(avatar, m) and (back := look.read_back(m))), {})
    with look.quietly():
        for name, value in found.items():
            if not avatar.record.look.is_property_set(name):
                setattr(avatar.record.look, name, value)
    if avatar.record.look.outline_width > 0:  # the picture's own line, taken off the texture
        for material in materials(avatar):
            apply_outline(avatar, material, avatar.record.look)


def apply_shadow(avatar: Avatar, material: bpy.types.Material, settings: PropertyGroup) -> None:
    strength = 0.0 if is_interior(avatar, material) else settings.shadow
    look.set_shadow(material, strength, settings.shadow_colour, settings.softness)


def apply_outline(avatar: Avatar, material: bpy.types.Material, settings: PropertyGroup) -> None:
    width = settings.outline_width if has_outline(avatar, material) else 0.0
    look.set_outline(material, width, settings.outline_colour)


def _shadow_changed(settings: PropertyGroup, context) -> None:
    for avatar, material in _meant(settings, context):
        apply_shadow(avatar, material, settings)


def _outline_changed(settings: PropertyGroup, context) -> None:
    for avatar, material in _meant(settings, context):
        apply_outline(avatar, material, settings)


def _meant(settings: PropertyGroup, context) -> Iterator[tuple[Avatar, bpy.types.Material]]:
    """What a setting of an avatar or of a material is about; nothing before the VRM Add-on is on, when a mesh brings
    its outline: set_defaults applies that.
    """
    if look.quiet or not vrm_addon.is_available():
        return
    owner = settings.id_data
    if isinstance(owner, bpy.types.Object):
        avatar = Avatar(owner, owner.find_armature())
        yield from ((avatar, material) for material in materials(avatar) if not material.avatar_forge_look.own)
    elif settings.own and (found := find_avatar(context)):
        yield found, owner


def _own_changed(settings: PropertyGroup, context) -> None:
    avatar = find_avatar(context)
    if look.quiet or avatar is None:
        return
    if settings.own:  # begins as what is seen
        with look.quietly():
            for name in DEFAULTS:
                setattr(settings, name, getattr(avatar.record.look, name))
        return
    material = settings.id_data
    others = {
        look.style_of(other) for other in materials(avatar) if other != material and not other.avatar_forge_look.own
    }
    if len(others) == 1:
        material = look.set_style(material, others.pop())
    apply_shadow(avatar, material, avatar.record.look)
    apply_outline(avatar, material, avatar.record.look)


def _colour(description: str, default: tuple[float, float, float], update):
    return FloatVectorProperty(
        name="Colour",
        description=description,
        size=3,
        subtype="COLOR",
        default=default,
        min=0.0,
        max=1.0,
        update=update,
    )


SHADOW = FloatProperty(
    name="Shadow",
    description="Darkness of MToon's shadow; 0 shows the texture as it was drawn",
    default=DEFAULTS["shadow"],
    min=0.0,
    max=1.0,
    subtype="FACTOR",
    update=_shadow_changed,
)
SHADE = _colour(
    description="Colour that the texture is multiplied by in the shadow", default=SHADOW_COLOUR, update=_shadow_changed
)
SOFTNESS = FloatProperty(
    name="Softness",
    description="Softness of the shadow's edge: 0 is a sharp line, 1 spreads around the whole body",
    default=DEFAULTS["softness"],
    min=0.0,
    max=1.0,
    subtype="FACTOR",
    update=_shadow_changed,
)
OUTLINE_WIDTH = FloatProperty(
    name="Outline",
    description="Width of the outline around the silhouette; 0 for none",
    default=0.0,
    min=0.0,
    soft_max=0.01,
    max=0.1,
    precision=4,
    step=0.01,
    unit="LENGTH",
    update=_outline_changed,
)
OUTLINE_INK = _colour(
    description="Colour of the outline, independent of the light", default=OUTLINE_COLOUR, update=_outline_changed
)


class AvatarForgeMaterialLook(PropertyGroup):
    """Of a material: settings of its own, and the styles that wait while another is worn."""

    shadow: SHADOW
    shadow_colour: SHADE
    softness: SOFTNESS
    outline_width: OUTLINE_WIDTH
    outline_colour: OUTLINE_INK
    own: BoolProperty(
        name="Custom Look",
        description="This material does not follow the avatar's style, shadow and outline",
        update=_own_changed,
    )
    mtoon: PointerProperty(type=bpy.types.Material)
    unlit: PointerProperty(type=bpy.types.Material)
    pbr: PointerProperty(type=bpy.types.Material)


def _of_chain(chain: PropertyGroup) -> Avatar:
    return Avatar(chain.id_data, chain.id_data.find_armature())


def _figure(name: str, label: str, description: str, **limits):
    def get(chain) -> float:
        return spring_bones.figure(_of_chain(chain), chain.name, name)

    def put(chain, value: float) -> None:
        spring_bones.set_figure(_of_chain(chain), chain.name, name, value)

    return FloatProperty(name=label, description=description, min=0.0, get=get, set=put, **limits)


def _is_on(chain: PropertyGroup) -> bool:
    return spring_bones.spring_of(_of_chain(chain).armature, chain.name) is not None


def _switch(chain: PropertyGroup, value: bool) -> None:
    spring_bones.switch(_of_chain(chain), chain.name, value)


class AvatarForgeChain(PropertyGroup):
    """A chain of bones that may swing; `name` is its first bone. Its figures are those of the VRM Add-on's spring."""

    kind: StringProperty(description="Type of chain")
    kept: StringProperty(description="JSON: the spring while it is disabled")
    end: StringProperty(description="The bone that was added at the end of the chain")
    on: BoolProperty(
        name="Swings",
        description="Use the chain as a spring of the avatar. Its values are kept while it is disabled",
        get=_is_on,
        set=_switch,
    )
    stiffness: _figure("stiffness", "Stiffness", "How strongly the chain returns to its shape", soft_max=4.0)
    gravity: _figure("gravity_power", "Gravity", "How strongly the chain is pulled down", soft_max=2.0)
    drag: _figure("drag_force", "Drag", "How soon the chain comes to rest", max=1.0)


def _armature(settings: PropertyGroup) -> bpy.types.Object | None:
    """None for a mesh that is no avatar: Blender reads these of any, such as when it overrides a library."""
    return settings.id_data.find_armature() if vrm_addon.is_available() else None


GAZE = (
    (
        gaze.EXPRESSION,
        "Expressions",
        "Shape keys move the eyes, for avatars whose eyes are painted on the skin",
        0,
    ),
    (gaze.BONE, "Eye Bones", "Eye bones turn the eyes; both must be assigned in the humanoid bones", 1),
)


def _get_gaze(settings: PropertyGroup) -> int:
    armature = _armature(settings)
    return 1 if armature and gaze.kind(armature) == gaze.BONE else 0


def _set_gaze(settings: PropertyGroup, value: int) -> None:
    if armature := _armature(settings):
        gaze.set_kind(armature, GAZE[value][0])


def _get_range(side: str, index: int):
    def get(settings: PropertyGroup) -> float:
        armature = _armature(settings)
        return gaze.ranges(armature)[side][index] if armature else 0.0

    return get


def _set_range(sides: tuple[str, ...], index: int):
    def put(settings, value: float) -> None:
        armature = _armature(settings)
        if armature is None:
            return
        for side in sides:
            now = list(gaze.ranges(armature)[side])
            now[index] = value
            gaze.set_range(armature, side, *now)
        _look_again(settings, None)

    return put


def _angle(name: str, description: str, sides: tuple[str, ...], index: int):
    return FloatProperty(
        name=name, description=description, min=0.0001 if index == 0 else 0.0, max=180.0, precision=0, step=100,
        get=_get_range(sides[0], index), set=_set_range(sides, index),
    )  # fmt: skip


def _look_again(settings: PropertyGroup, _context) -> None:
    avatar = Avatar(settings.id_data, _armature(settings))
    if not gaze.is_following(avatar.armature):
        gaze.look(avatar.armature, meshes(avatar), settings.yaw, settings.pitch)


class AvatarForgeLook(PropertyGroup):
    """Of an avatar, on its mesh object."""

    shadow: SHADOW
    shadow_colour: SHADE
    softness: SOFTNESS
    outline_width: OUTLINE_WIDTH
    outline_colour: OUTLINE_INK
    chains: CollectionProperty(type=AvatarForgeChain)
    active_chain: IntProperty(name="Chain", description="Hair, skirt, tail and the like, by their first bone")
    gaze: EnumProperty(name="Eyes Move By", items=GAZE, get=_get_gaze, set=_set_gaze)
    yaw: FloatProperty(
        name="Sideways",
        description="Degrees to the avatar's left, to test the gaze",
        min=-90.0,
        max=90.0,
        precision=0,
        step=100,
        update=_look_again,
    )
    pitch: FloatProperty(
        name="Up",
        description="Degrees upwards, to test the gaze",
        min=-90.0,
        max=90.0,
        precision=0,
        step=100,
        update=_look_again,
    )
    sideways: _angle(
        "Sideways",
        "Angle of the gaze in degrees at which the eyes are turned sideways as far as possible",
        gaze.SIDES[:2],
        0,
    )
    up: _angle(
        "Up", "Angle of the gaze in degrees at which the eyes are turned up as far as possible", gaze.SIDES[2:3], 0
    )
    down: _angle(
        "Down", "Angle of the gaze in degrees at which the eyes are turned down as far as possible", gaze.SIDES[3:], 0
    )
    turn_in: _angle("Inwards", "Maximum rotation of an eye bone towards the nose, in degrees", gaze.SIDES[:1], 1)
    turn_out: _angle("Outwards", "Maximum rotation of an eye bone away from the nose, in degrees", gaze.SIDES[1:2], 1)
    turn_up: _angle("Up", "Maximum upward rotation of an eye bone, in degrees", gaze.SIDES[2:3], 1)
    turn_down: _angle("Down", "Maximum downward rotation of an eye bone, in degrees", gaze.SIDES[3:], 1)


CLASSES = (AvatarForgeMaterialLook, AvatarForgeChain, AvatarForgeLook)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Material.avatar_forge_look = PointerProperty(type=AvatarForgeMaterialLook)


def unregister() -> None:
    del bpy.types.Material.avatar_forge_look
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)


def kind_label(kind: str) -> str:
    return KINDS[kind].label if kind in KINDS else "Cloth"
