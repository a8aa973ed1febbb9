# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of further sides: chosen one by one, or cut from a sheet; swapped, checked, removed."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import CollectionProperty, IntProperty, StringProperty
from bpy.types import Context, Event, OperatorFileListElement
from bpy_extras.io_utils import ImportHelper

from ..avatar_addon.picture import cards
from ..avatar_addon.request import picture_path
from ..avatar_addon.ui.translation import tr
from .idle_operator import IdleOperator
from .make_avatar import FromPicture


def add_and_check(context: Context, files: list[Path]) -> None:
    """Cards for the pictures among the files; what does not fit between them is looked for at once."""
    cards.add(context, [path for path in files if path.suffix.lower() in cards.PICTURES])
    if not bpy.app.background and bpy.ops.avatar_forge.check_pictures.poll():
        bpy.ops.avatar_forge.check_pictures("INVOKE_DEFAULT")


class AVATARFORGE_OT_add_pictures(IdleOperator, ImportHelper):
    bl_idname = "avatar_forge.add_pictures"
    bl_label = "Add Pictures"
    bl_description = "Choose pictures of the character's left side, back or right side"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: StringProperty(default=";".join(f"*{ending}" for ending in cards.PICTURES), options={"HIDDEN"})
    files: CollectionProperty(type=OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: Context, event: Event) -> set[str]:
        return ImportHelper.invoke(self, context, event)

    def execute(self, context: Context) -> set[str]:
        names = [file.name for file in self.files if file.name]
        chosen = [Path(self.directory) / name for name in names] or [Path(self.filepath)]
        add_and_check(context, [path.resolve() for path in chosen])
        return {"FINISHED"}


class AVATARFORGE_OT_cut_sheet(FromPicture):
    bl_idname = "avatar_forge.cut_sheet"
    bl_label = "Cut Sheet"
    bl_description = (
        "The picture is a sheet that shows the character from several sides: cut it into its figures and find out which"
        " side each shows"
    )

    def steps(self, context: Context):
        if (yield from cards.cut(context, picture_path(context.scene))) == 1:
            self.report({"INFO"}, tr("The picture shows one figure, which is used as the front."))


class AVATARFORGE_OT_check_pictures(FromPicture):
    bl_idname = "avatar_forge.check_pictures"
    bl_label = "Check Pictures"
    bl_description = "Compare heights and silhouettes of the pictures before the avatar is made"

    @classmethod
    def ready(cls, context: Context) -> bool:
        if not any(card.kind in cards.SIDES for card in context.scene.avatar_forge.cards):
            cls.poll_message_set("Add a picture of another side first")
            return False
        return super().ready(context)

    def steps(self, context: Context):
        return cards.review(context)


class AVATARFORGE_OT_swap_sides(IdleOperator):
    bl_idname = "avatar_forge.swap_sides"
    bl_label = "Swap Sides"
    bl_description = "The picture of the left side becomes that of the right side, and the other way round"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Context) -> set[str]:
        cards.swap(context)
        return {"FINISHED"}


class AVATARFORGE_OT_remove_picture(IdleOperator):
    bl_idname = "avatar_forge.remove_picture"
    bl_label = "Remove Picture"
    bl_description = "Do not use this picture. The file is kept"
    bl_options = {"REGISTER", "UNDO"}

    index: IntProperty(options={"SKIP_SAVE"})

    def execute(self, context: Context) -> set[str]:
        settings = context.scene.avatar_forge
        settings.cards.remove(self.index)
        settings.cards_note, settings.cards_swap = "", False
        return {"FINISHED"}


CLASSES = (
    AVATARFORGE_OT_add_pictures,
    AVATARFORGE_OT_cut_sheet,
    AVATARFORGE_OT_check_pictures,
    AVATARFORGE_OT_swap_sides,
    AVATARFORGE_OT_remove_picture,
)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
