# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar's meta: usual licences by name, and presets of the user's own with author, contact and permissions."""

from __future__ import annotations

from pathlib import Path

import bpy
from bl_operators.presets import AddPresetBase
from bpy.props import EnumProperty, IntProperty, StringProperty
from bpy.types import Context, Menu, Operator

from ..avatar_addon.avatar import scene
from ..avatar_addon.ui.translation import tr
from ..avatar_addon.vrm import licences
from ..avatar_addon.vrm.addon import extension, is_available

FOLDER = "avatar_forge/meta"
FIELDS = (
    "version",
    "authors",
    "copyright_information",
    "contact_information",
    "references",
    "avatar_permission",
    "commercial_usage",
    "credit_notation",
    "allow_redistribution",
    "modification",
    *licences.ALLOWED_ACTS,
    "other_license_url",
)
FIELDS_IN_VRM0 = (
    "version",
    "author",
    "contact_information",
    "reference",
    "allowed_user_name",
    "violent_ussage_name",
    "sexual_ussage_name",
    "commercial_ussage_name",
    "license_name",
    "other_license_url",
)


class _OnRigged(Operator):
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        avatar = scene.find_avatar(context)
        if avatar is None or avatar.armature is None or not is_available():
            cls.poll_message_set("Select a rigged avatar first")
            return False
        return True


class AVATARFORGE_OT_apply_licence(_OnRigged):
    bl_idname = "avatar_forge.apply_licence"
    bl_label = "Use Licence"
    bl_description = "Set who may use this avatar and what they may do with it"

    name: EnumProperty(
        name="Licence",
        items=[(name, licence.title, licence.description) for name, licence in licences.LICENCES.items()],
    )

    @classmethod
    def description(cls, _context: Context, properties) -> str:
        return licences.LICENCES[properties.name].description

    def execute(self, context: Context) -> set[str]:
        avatar = scene.need_avatar(context)
        licences.apply(avatar.armature, self.name)
        avatar.record.card_outdated = True
        return {"FINISHED"}


class AVATARFORGE_OT_apply_preset(Operator):
    """Blender's own operator for this is no undo step."""

    bl_idname = "avatar_forge.apply_preset"
    bl_label = "Apply Preset"
    bl_description = "Apply all settings of this preset"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    menu_idname: StringProperty(options={"SKIP_SAVE"})

    def execute(self, _context: Context) -> set[str]:
        if not Path(self.filepath).is_file():
            self.report({"ERROR"}, tr("The preset's file no longer exists; save the preset again."))
            return {"CANCELLED"}
        return bpy.ops.script.execute_preset(filepath=self.filepath, menu_idname=self.menu_idname)


class AVATARFORGE_MT_meta_presets(Menu):
    bl_label = "Licences and Presets"
    preset_subdir = FOLDER
    preset_operator = AVATARFORGE_OT_apply_preset.bl_idname

    @staticmethod
    def metas(context: Context) -> tuple:
        """The selected avatar's meta for VRM 1.0 and 0.x; what the files of presets write to. Raises AvatarError."""
        ext = extension(scene.need_avatar(context).armature)
        return ext.vrm1.meta, ext.vrm0.meta

    def draw(self, context: Context) -> None:
        layout = self.layout
        layout.operator_enum("avatar_forge.apply_licence", "name")
        if bpy.utils.preset_paths(FOLDER):
            layout.separator()
            Menu.draw_preset(self, context)


class AVATARFORGE_OT_add_meta_preset(AddPresetBase, _OnRigged):
    bl_idname = "avatar_forge.add_meta_preset"
    bl_label = "Add Meta Preset"
    bl_description = (
        "Save author, version, contact, references and permissions as a preset, or remove the selected preset"
    )
    bl_options = {"REGISTER", "UNDO"}
    preset_menu = "AVATARFORGE_MT_meta_presets"
    preset_subdir = FOLDER
    preset_defines = ["meta, old = bpy.types.AVATARFORGE_MT_meta_presets.metas(bpy.context)"]
    preset_values = [*(f"meta.{name}" for name in FIELDS), *(f"old.{name}" for name in FIELDS_IN_VRM0)]


class AVATARFORGE_OT_edit_meta_list(_OnRigged):
    bl_idname = "avatar_forge.edit_meta_list"
    bl_label = "Add or Remove"
    bl_description = "Add an empty line, or remove this one"

    which: EnumProperty(items=[("authors", "Authors", ""), ("references", "References", "")], options={"SKIP_SAVE"})
    index: IntProperty(default=-1, options={"SKIP_SAVE"}, description="-1 adds a line")

    @classmethod
    def description(cls, _context: Context, properties) -> str:
        if properties.index >= 0:
            return "Remove this line"
        return (
            "Add an author"
            if properties.which == "authors"
            else "Add a reference, such as the URL of the work that the avatar is based on"
        )

    def execute(self, context: Context) -> set[str]:
        values = getattr(AVATARFORGE_MT_meta_presets.metas(context)[0], self.which)
        if self.index < 0:
            values.add().value = ""
        elif self.index < len(values):
            values.remove(self.index)
        return {"FINISHED"}


CLASSES = (
    AVATARFORGE_OT_apply_licence,
    AVATARFORGE_OT_apply_preset,
    AVATARFORGE_MT_meta_presets,
    AVATARFORGE_OT_add_meta_preset,
    AVATARFORGE_OT_edit_meta_list,
)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
