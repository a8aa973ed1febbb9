# SPDX-License-Identifier: GPL-3.0-or-later
"""The face: markers, every expression, the visemes' settings, shape keys that came with the mesh, and Speak."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel

from ..avatar_addon.avatar import scene
from ..avatar_addon.face import live, marker_objects
from ..avatar_addon.picture import on_mesh
from ..avatar_addon.speech import animation
from ..avatar_addon.ui.sentences import sentence
from ..avatar_addon.ui.translation import tr
from ..avatar_addon.vrm.spec.perfect_sync import SYNC_SHAPES
from ..avatar_addon.vrm.spec.presets import BLINKS, EMOTIONS, LOOKS, SHAPE_KEYS, VISEMES
from ..avatar_addon.vrm.spec.shape_key_names import recognise
from .mesh_markers import draw_check
from .sidebar import RiggedAvatarPanel, SidebarPanel

EXPRESSIONS = {"Visemes": VISEMES, "Blink": BLINKS, "Emotions": EMOTIONS, "Gaze": LOOKS}


class AVATARFORGE_PT_face(RiggedAvatarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_face"
    bl_label = "Face"

    def draw_header(self, context: Context) -> None:
        record = scene.find_avatar(context).record
        if record.has_face and min(record.eyes_confidence, record.mouth_confidence) < 0.5:  # the notes say it in words
            self.layout.label(icon="ERROR")

    def draw(self, context: Context) -> None:
        layout = self.layout
        avatar = scene.find_avatar(context)
        row = layout.row(align=True)
        row.operator("avatar_forge.show_face_markers")
        row.operator("avatar_forge.apply_face_markers")
        if marker_objects.shown(avatar):
            text = (
                "Fit the ellipses to the eyes and the mouth. Move the crosses of brows and jaw if they are"
                " wrong. Then apply."
            )
            sentence(layout, context, text, "INFO")
        if on_mesh.root_of(context.scene) is None:
            draw_check(layout)
        keys = avatar.mesh.data.shape_keys
        if not keys:
            return
        layout.operator("avatar_forge.rest_face")
        for title, names in EXPRESSIONS.items():
            column = layout.column(align=True)
            shown = [name for name in names if name in keys.key_blocks]
            if shown:
                column.label(text=title)
            for name in shown:
                column.prop(keys.key_blocks[name], "value", text=name, slider=True)


class _OfFace(SidebarPanel):
    bl_parent_id = "AVATARFORGE_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return scene.find_avatar(context) is not None


class AVATARFORGE_PT_visemes(_OfFace, Panel):
    bl_idname = "AVATARFORGE_PT_visemes"
    bl_label = "Mouth"

    @classmethod
    def poll(cls, context: Context) -> bool:
        avatar = scene.find_avatar(context)
        return avatar is not None and avatar.record.mesh_without_face is not None

    def draw(self, context: Context) -> None:
        layout, avatar = self.layout, scene.find_avatar(context)
        record = avatar.record
        grid = layout.column(align=True)
        row = grid.row(align=True)
        for text in ("", "Strength", "Width", "Corners"):
            row.label(text=tr(text), translate=False)
        for name in VISEMES:
            viseme = getattr(record.visemes, name)
            row = grid.row(align=True)
            row.label(text=name)
            for setting in ("strength", "width", "corners"):
                row.prop(viseme, setting, text="", slider=True)
        layout.operator("avatar_forge.reset_visemes", icon="LOOP_BACK")
        column = layout.column()
        column.use_property_split, column.use_property_decorate = True, False
        column.prop(record, "mouth_style")
        interior, cards = live.has_interior(avatar), live.has_cards(avatar)
        if record.mouth_style != live.DRAWN and not cards:
            layout.prop(record, "mouth_interior")
        other = record.mouth_style != live.BY_STYLE and cards != (record.mouth_style == live.DRAWN)
        if other or (interior is not None and interior != record.mouth_interior):
            sentence(layout, context, "Regenerate the face to see the change.", "INFO")
        layout.operator("avatar_forge.face", text="Regenerate", icon="FILE_REFRESH")


class AVATARFORGE_PT_perfect_sync(_OfFace, Panel):
    bl_idname = "AVATARFORGE_PT_perfect_sync"
    bl_label = "Perfect Sync"

    @classmethod
    def poll(cls, context: Context) -> bool:
        avatar = scene.find_avatar(context)
        return avatar is not None and avatar.record.mesh_without_face is not None

    def draw(self, context: Context) -> None:
        layout, avatar = self.layout, scene.find_avatar(context)
        layout.prop(avatar.record, "perfect_sync", text="52 Shapes for Face Trackers")
        keys = avatar.mesh.data.shape_keys
        shown = [name for name in SYNC_SHAPES if keys and name in keys.key_blocks]
        if bool(shown) != avatar.record.perfect_sync:
            sentence(layout, context, "Regenerate the face to see the change.", "INFO")
            layout.operator("avatar_forge.face", text="Regenerate", icon="FILE_REFRESH")
        column = layout.column(align=True)
        for name in shown:
            column.prop(keys.key_blocks[name], "value", text=name, slider=True)


class AVATARFORGE_PT_speak(_OfFace, Panel):
    bl_idname = "AVATARFORGE_PT_speak"
    bl_label = "Speak"

    def draw(self, context: Context) -> None:
        layout, avatar = self.layout, scene.find_avatar(context)
        column = layout.column()
        column.enabled = not context.window_manager.avatar_forge.running
        column.prop(context.scene.avatar_forge, "sentence", text="", placeholder="English or Japanese kana")
        row = column.row(align=True)
        row.operator("avatar_forge.speak", icon="PLAY")
        row.operator("avatar_forge.speak_sound", text="WAV", icon="FILE_SOUND")
        if animation.is_speaking(avatar):
            row = layout.row()
            row.scale_y = 1.3
            row.operator("avatar_forge.stop_speaking", icon="PAUSE")


class AVATARFORGE_PT_shape_keys(_OfFace, Panel):
    bl_idname = "AVATARFORGE_PT_shape_keys"
    bl_label = "Existing Shape Keys"

    def draw(self, context: Context) -> None:
        layout, avatar = self.layout, scene.find_avatar(context)
        layout.operator("avatar_forge.bind_shape_keys", icon="SHAPEKEY_DATA")
        keys = avatar.mesh.data.shape_keys
        made = tuple(SYNC_SHAPES) if avatar.record.perfect_sync else ()
        others = [block for block in keys.key_blocks[1:] if block.name not in SHAPE_KEYS + made] if keys else []
        if not others:
            sentence(layout, context, "The mesh has only the shape keys of the Face step.", "INFO")
            return
        known = {key for bound in recognise(block.name for block in others).binds.values() for key, _ in bound}
        column = layout.column(align=True)
        for block in others:
            column.prop(
                block, "value", text=block.name, slider=True, icon="CHECKMARK" if block.name in known else "NONE"
            )


CLASSES = (
    AVATARFORGE_PT_face,
    AVATARFORGE_PT_speak,
    AVATARFORGE_PT_visemes,
    AVATARFORGE_PT_perfect_sync,
    AVATARFORGE_PT_shape_keys,
)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
