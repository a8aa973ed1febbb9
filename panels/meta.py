# SPDX-License-Identifier: GPL-3.0-or-later
"""Who made the avatar, and what may be done with it: VRM's meta, which every VRM file has."""

from __future__ import annotations

import bpy
from bpy.types import Context, Panel, UILayout

from ..avatar_addon.avatar import scene
from ..avatar_addon.ui.translation import tr
from ..avatar_addon.vrm import licences
from ..avatar_addon.vrm.addon import extension, is_available
from .sidebar import RiggedAvatarPanel

PERMISSIONS = {
    "avatar_permission": "Who May Use It",
    "commercial_usage": "Commercial",
    "credit_notation": "Credit",
    "modification": "Changes",
    "other_license_url": "Licence Text",
}
ACTS = ("Violence", "Sexual Acts", "Politics, Religion", "Antisocial, Hate")
IN_VRM0 = {
    "title": "Name",
    "version": "Version",
    "author": "Author",
    "contact_information": "Contact",
    "reference": "Reference",
}
PERMISSIONS_IN_VRM0 = {
    "allowed_user_name": "Who May Use It",
    "violent_ussage_name": "Violence",
    "sexual_ussage_name": "Sexual Acts",
    "commercial_ussage_name": "Commercial",
    "license_name": "Licence",
    "other_license_url": "Licence Text",
}


class AVATARFORGE_PT_meta(RiggedAvatarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_meta"
    bl_label = "Author and Licence"

    @classmethod
    def applies(cls, _avatar: scene.Avatar) -> bool:
        return is_available()

    def draw(self, context: Context) -> None:
        layout = self.layout
        armature = scene.find_avatar(context).armature
        meta = extension(armature).vrm1.meta
        known = licences.current(armature)
        row = layout.row(align=True)
        row.menu(
            "AVATARFORGE_MT_meta_presets", text=licences.LICENCES[known].title if known else "Licences and Presets"
        )
        row.operator("avatar_forge.add_meta_preset", text="", icon="ADD")
        row.operator("avatar_forge.add_meta_preset", text="", icon="REMOVE").remove_active = True
        layout.use_property_split = True
        layout.use_property_decorate = False
        if context.scene.avatar_forge.vrm_version == "0.0":
            _draw_vrm0(layout, extension(armature).vrm0.meta)
        else:
            _draw_vrm1(layout, meta)


def _draw_vrm1(layout: UILayout, meta) -> None:
    column = layout.column()
    column.prop(meta, "vrm_name")
    column.prop(meta, "version")
    _draw_list(layout, meta.authors, "authors", "Author")
    column = layout.column()
    column.prop(meta, "copyright_information", text="Copyright")
    column.prop(meta, "contact_information", text="Contact")
    _draw_list(layout, meta.references, "references", "Reference")
    column = layout.column()
    for name, text in PERMISSIONS.items():
        column.prop(meta, name, text=text)
    column = layout.column(heading="Allowed")
    column.prop(meta, "allow_redistribution", text="Redistribution")
    for name, text in zip(licences.ALLOWED_ACTS, ACTS, strict=True):
        column.prop(meta, name, text=text)


def _draw_vrm0(layout: UILayout, meta) -> None:
    """The options above say that the file is to be VRM 0.x, which has fields of its own."""
    for names in (IN_VRM0, PERMISSIONS_IN_VRM0):
        column = layout.column()
        for name, text in names.items():
            column.prop(meta, name, text=text)


def _draw_list(layout: UILayout, values, which: str, text: str) -> None:
    """Its lines, each with a button to remove it, and one that adds a line."""
    column = layout.column(align=True)
    for index, entry in enumerate(values):
        row = column.row(align=True)
        row.prop(entry, "value", text=text if index == 0 else " ")
        edit = row.operator("avatar_forge.edit_meta_list", text="", icon="REMOVE")
        edit.which, edit.index = which, index
    row = column.row(align=True)
    row.alignment = "RIGHT"
    edit = row.operator("avatar_forge.edit_meta_list", text=tr("Add {}").format(tr(text)), icon="ADD", emboss=False)
    edit.which, edit.index = which, -1


CLASSES = (AVATARFORGE_PT_meta,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
