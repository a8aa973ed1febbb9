# SPDX-License-Identifier: GPL-3.0-or-later
"""The look: how materials are lit, where the eyes look, what swings."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel, UILayout, UIList

from ..avatar_addon.avatar import scene
from ..avatar_addon.look import settings as look_settings
from ..avatar_addon.look import spring_bones, spring_preview
from ..avatar_addon.ui.sentences import sentence
from ..avatar_addon.vrm import look_at, materials
from .sidebar import RiggedAvatarPanel


class _Look(RiggedAvatarPanel):
    @classmethod
    def applies(cls, avatar: scene.Avatar) -> bool:
        return scene.has_vrm(avatar)


class AVATARFORGE_PT_look(_Look, Panel):
    bl_idname = "AVATARFORGE_PT_look"
    bl_label = "Look"

    def draw(self, context: Context) -> None:
        layout, avatar = self.layout, scene.find_avatar(context)
        style = look_settings.style(avatar)
        _draw_styles(layout, style)
        layout.operator(
            "avatar_forge.show_materials",
            text="Show in the Viewport",
            icon="SHADING_TEXTURE",
            depress=_is_shown(context),
        )
        if style == materials.MTOON:
            _draw_shading(layout, avatar.record.look)
        elif style == "":
            sentence(layout, context, "The materials have different styles; choose one for all.", "INFO")


def _is_shown(context: Context) -> bool:
    space = context.space_data
    return isinstance(space, bpy.types.SpaceView3D) and space.shading.type in ("MATERIAL", "RENDERED")


def _draw_styles(layout: UILayout, worn: str, material: str = "") -> None:
    row = layout.row(align=True)
    for style, label in materials.STYLES.items():
        button = row.operator("avatar_forge.set_style", text=label, depress=style == worn)
        button.style, button.material = style, material


def _draw_shading(layout: UILayout, settings: bpy.types.PropertyGroup) -> None:
    for amount, colour in (("shadow", "shadow_colour"), ("softness", ""), ("outline_width", "outline_colour")):
        row = layout.split(factor=0.78, align=True)
        row.prop(settings, amount, slider=amount != "outline_width")
        if colour:
            row.prop(settings, colour, text="")
        else:
            row.label()
        row.active = not (amount == "softness" and settings.shadow == 0)


class _OfLook(_Look):
    bl_parent_id = "AVATARFORGE_PT_look"


class AVATARFORGE_PT_materials(_OfLook, Panel):
    bl_idname = "AVATARFORGE_PT_materials"
    bl_label = "Materials"

    def draw(self, context: Context) -> None:
        layout, avatar = self.layout, scene.find_avatar(context)
        for material in look_settings.materials(avatar):
            own = material.avatar_forge_look
            style = materials.style_of(material)
            box = layout.box() if own.own else layout
            row = box.row()
            row.label(text=material.name, icon="MATERIAL", translate=False)
            if not own.own:
                row.label(text=materials.STYLES[style])
            row.prop(own, "own", text="", icon="CHECKBOX_HLT" if own.own else "CHECKBOX_DEHLT", emboss=False)
            if own.own:
                _draw_styles(box, style, material.name)
                if style == materials.MTOON and not look_settings.is_interior(avatar, material):
                    _draw_shading(box, own)


class AVATARFORGE_PT_gaze(_OfLook, Panel):
    bl_idname = "AVATARFORGE_PT_gaze"
    bl_label = "Gaze"

    def draw(self, context: Context) -> None:
        layout, avatar = self.layout, scene.find_avatar(context)
        settings, by_bones = avatar.record.look, look_at.kind(avatar.armature) == look_at.BONE
        layout.row().prop(settings, "gaze", expand=True)
        if by_bones and not look_at.eye_bones(avatar.armature):
            sentence(layout, context, "The avatar has no eye bones; choose Expressions, or assign both eyes.", "ERROR")
        following = look_at.is_following(avatar.armature)
        column = layout.column(align=True)
        column.active = not following
        column.label(text="Test")
        column.prop(settings, "yaw", slider=True)
        column.prop(settings, "pitch", slider=True)
        row = layout.row(align=True)
        row.operator("avatar_forge.follow_gaze", icon="PIVOT_CURSOR")
        row.operator("avatar_forge.follow_gaze", text="", icon="OUTLINER_OB_CAMERA").camera = True
        row.operator("avatar_forge.rest_gaze", text="", icon="LOOP_BACK")
        column = layout.column(align=True)
        column.label(text="Angle of Full Gaze")
        for name in ("sideways", "up", "down"):
            column.prop(settings, name)
        if by_bones:
            column = layout.column(align=True)
            column.label(text="Maximum Eye Rotation")
            for name in ("turn_in", "turn_out", "turn_up", "turn_down"):
                column.prop(settings, name)


class AVATARFORGE_UL_chains(UIList):
    bl_idname = "AVATARFORGE_UL_chains"

    def draw_item(self, _context, layout, _data, chain, _icon, _active_data, _active_property) -> None:
        row = layout.row(align=True)
        row.prop(chain, "on", text="")
        split = row.split(factor=0.35)
        split.label(text=look_settings.kind_label(chain.kind))
        split.label(text=chain.name, translate=False)


class AVATARFORGE_PT_springs(_OfLook, Panel):
    bl_idname = "AVATARFORGE_PT_springs"
    bl_label = "Spring Bones"

    def draw(self, context: Context) -> None:
        layout, avatar = self.layout, scene.find_avatar(context)
        settings = avatar.record.look
        if not len(settings.chains):
            sentence(layout, context, "Hair, skirts, tails and ears swing if they have bones.", "INFO")
        row = layout.row()
        row.template_list("AVATARFORGE_UL_chains", "", settings, "chains", settings, "active_chain", rows=4)
        column = row.column(align=True)
        column.operator("avatar_forge.add_chain", text="", icon="ADD")
        column.operator("avatar_forge.remove_chain", text="", icon="REMOVE")
        column.separator()
        column.operator("avatar_forge.find_chains", text="", icon="VIEWZOOM")
        column.separator()
        shown = any(obj.visible_get() for obj in spring_bones.colliders(avatar.armature)[:1])
        column.operator("avatar_forge.show_colliders", text="", icon="SPHERE", depress=shown)
        if 0 <= settings.active_chain < len(settings.chains):
            chain = settings.chains[settings.active_chain]
            column = layout.column(align=True)
            column.operator_menu_enum("avatar_forge.chain_kind", "kind", text=look_settings.kind_label(chain.kind))
            column = layout.column(align=True)
            column.enabled = chain.on
            for name in ("stiffness", "gravity", "drag"):
                column.prop(chain, name, slider=True)
        row = layout.row(align=True)
        if spring_preview.is_playing(avatar.armature):
            row.scale_y = 1.3
            row.operator("avatar_forge.stop_springs", icon="PAUSE")
        else:
            for motion in ("Turn", "Walk"):
                row.operator("avatar_forge.play_springs", text=motion, icon="PLAY").motion = motion


CLASSES = (
    AVATARFORGE_UL_chains,
    AVATARFORGE_PT_look,
    AVATARFORGE_PT_materials,
    AVATARFORGE_PT_gaze,
    AVATARFORGE_PT_springs,
)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
