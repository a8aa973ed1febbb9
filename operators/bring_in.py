# SPDX-License-Identifier: GPL-3.0-or-later
"""What came from elsewhere: a file or the selection becomes an avatar; dropped files; a wrong side is turned to the
front.
"""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, FloatProperty, StringProperty
from bpy.types import Context, Event, FileHandler, OperatorFileListElement
from bpy_extras.io_utils import ImportHelper, poll_file_object_drop

from ..avatar_addon import workflow
from ..avatar_addon.avatar import scene
from ..avatar_addon.client.process.tasks import Stage
from ..avatar_addon.errors import AvatarError
from ..avatar_addon.intake import objects
from ..avatar_addon.picture.cards import PICTURES
from ..avatar_addon.ui.sentences import sentence
from ..avatar_addon.ui.translation import tr
from ..avatar_addon.vrm import existing
from .idle_operator import IdleOperator
from .picture_cards import add_and_check
from .task_operator import TaskOperator

DIALOG_WIDTH = 420  # pixels at scale 1


def _height() -> FloatProperty:
    return FloatProperty(
        name="Height",
        description="Height of the avatar. 0 keeps the model's height if it is plausible for a human",
        min=0.0,
        soft_max=2.5,
        unit="LENGTH",
    )


class AVATARFORGE_OT_bring_in(TaskOperator, ImportHelper):
    bl_idname = "avatar_forge.bring_in"
    bl_label = "Import as Avatar"
    bl_description = (
        "Make an avatar from a model file. A mesh is rigged next; a rigged model or a VRM continues with pose and face"
    )

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default=";".join(f"*{ending}" for ending in objects.MODELS), options={"HIDDEN"})
    height: _height()
    _asked = False

    licensed: BoolProperty(
        name="Licence Permits Changes",
        description="You have read the licence of this VRM, and it permits what you want to do",
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: Context, event: Event) -> set[str]:
        if not self.filepath:
            return ImportHelper.invoke(self, context, event)
        return self.execute(context)  # it was dropped

    def execute(self, context: Context) -> set[str]:
        if not bpy.app.background and not self.licensed and not self._asked and self._doubts():
            self._asked = True
            return context.window_manager.invoke_props_dialog(
                self, title=self.bl_label, width=DIALOG_WIDTH, confirm_text="Import"
            )
        return super().execute(context)

    def draw(self, context: Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        if doubts := self._doubts():
            for doubt in doubts:
                sentence(layout, context, doubt, "INFO", DIALOG_WIDTH if self._asked else 0)
            layout.prop(self, "licensed")
        layout.prop(self, "height")

    def _doubts(self) -> list[str]:
        """What the VRM Add-on would ask about the chosen file's licence, read once a file."""
        path = Path(self.filepath)
        if path.suffix.lower() != ".vrm" or not path.is_file():
            return []
        key = (str(path), path.stat().st_mtime_ns)
        if key not in _doubts:
            _doubts.clear()
            try:
                _doubts[key] = existing.licence_questions(path)
            except AvatarError:  # it is said when it is brought in
                _doubts[key] = []
        return _doubts[key]

    def steps(self, context: Context):
        if not self.filepath:
            raise AvatarError("No file was chosen; choose a model file.", "no_file")
        return objects.bring_in(context, Path(bpy.path.abspath(self.filepath)), self.height, self.licensed)


_doubts: dict[tuple[str, int], list[str]] = {}


class AVATARFORGE_OT_use_selected(TaskOperator):
    bl_idname = "avatar_forge.use_selected"
    bl_label = "Use Selected as Avatar"
    bl_description = "Make an avatar from the selected meshes, or from the selected armature and its meshes"

    height: _height()

    @classmethod
    def ready(cls, context: Context) -> bool:
        chosen = [obj for obj in context.selected_objects if obj.type in ("MESH", "ARMATURE")]
        if not chosen:
            cls.poll_message_set("Select a mesh or an armature in the viewport first")
            return False
        avatar = scene.find_avatar(context)
        if avatar and any(obj in avatar.objects for obj in chosen):
            cls.poll_message_set("The selection is already an avatar")
            return False
        return True

    def steps(self, context: Context):
        return objects.use_selected(context, self.height)


class AVATARFORGE_OT_turn(TaskOperator):
    bl_idname = "avatar_forge.turn"
    bl_label = "Rotate 90°"
    bl_description = (
        "Rotate the avatar by 90° and put its feet on the ground, for models that lie down or face another direction"
    )

    axis: EnumProperty(
        name="Direction",
        items=[("Z", "To the Side", "Another side faces forwards"), ("X", "Up", "Makes it stand upright")],
    )

    @classmethod
    def description(cls, _context: Context, properties) -> str:
        return (
            "Rotate an avatar that lies down by 90°, so that it stands"
            if properties.axis == "X"
            else "Rotate by 90° around the vertical axis, so that another side faces forwards"
        )

    @classmethod
    def ready(cls, context: Context) -> bool:
        if scene.find_avatar(context) is None:
            cls.poll_message_set("Select or import an avatar first")
            return False
        return True

    def steps(self, context: Context):
        yield Stage("turn", 0.1, "Rotating the avatar")
        avatar = scene.need_avatar(context)
        workflow.remove_face(avatar)
        objects.turn(context, avatar, self.axis)


class AVATARFORGE_OT_drop_picture(IdleOperator):
    bl_idname = "avatar_forge.drop_picture"
    bl_label = "Avatar from Picture"
    bl_description = "Use a picture for the next avatar, and optionally make the avatar now"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE", "HIDDEN"})
    files: CollectionProperty(type=OperatorFileListElement, options={"SKIP_SAVE", "HIDDEN"})
    make: EnumProperty(
        name="Action",
        items=[
            ("MAKE", "Make Avatar", "Run all steps with the settings in the sidebar"),
            ("SET", "Set Picture", "Check markers and options before you make the avatar"),
            ("SHEET", "Cut Sheet", "The picture shows the character from several sides: cut it into its figures"),
        ],
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: Context, _event: Event) -> set[str]:
        if len(self.files) > 1:  # one picture a side
            add_and_check(context, [Path(self.directory) / file.name for file in self.files])
            return {"FINISHED"}
        return context.window_manager.invoke_props_dialog(self, title=self.bl_label, width=300)

    def draw(self, _context: Context) -> None:
        self.layout.label(text=Path(self.filepath).name, icon="IMAGE_DATA", translate=False)
        self.layout.prop(self, "make", expand=True)

    def execute(self, context: Context) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        if path.suffix.lower() not in PICTURES or not path.is_file():
            self.report({"ERROR"}, tr(f"{path.name or 'This'} is not a readable picture; use {', '.join(PICTURES)}."))
            return {"CANCELLED"}
        context.scene.avatar_forge.picture = str(path)
        if self.make == "SHEET" and bpy.ops.avatar_forge.cut_sheet.poll():
            return bpy.ops.avatar_forge.cut_sheet(*([] if bpy.app.background else ["INVOKE_DEFAULT"]))
        if self.make == "MAKE":
            if not bpy.ops.avatar_forge.make_avatar.poll():  # its reason is on the button in the sidebar
                self.report(
                    {"WARNING"}, tr("The picture is set. The sidebar shows what is still needed to make the avatar.")
                )
                return {"FINISHED"}
            if bpy.app.background:
                return bpy.ops.avatar_forge.make_avatar()
            bpy.ops.avatar_forge.make_avatar("INVOKE_DEFAULT")
        return {"FINISHED"}


class AVATARFORGE_FH_picture(FileHandler):
    """A menu of Blender's lets the user choose between this and an image empty."""

    bl_idname = "AVATARFORGE_FH_picture"
    bl_label = "Avatar from Picture"
    bl_import_operator = AVATARFORGE_OT_drop_picture.bl_idname
    bl_file_extensions = ";".join(PICTURES)

    @classmethod
    def poll_drop(cls, context: Context) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


class AVATARFORGE_FH_model(FileHandler):
    """Beside Blender's importers for the same files; several answer with a menu."""

    bl_idname = "AVATARFORGE_FH_model"
    bl_label = "Import as Avatar"
    bl_import_operator = AVATARFORGE_OT_bring_in.bl_idname
    bl_file_extensions = ";".join(objects.MODELS)

    @classmethod
    def poll_drop(cls, context: Context) -> bool:
        return bool(poll_file_object_drop(context))


CLASSES = (
    AVATARFORGE_OT_bring_in,
    AVATARFORGE_OT_use_selected,
    AVATARFORGE_OT_turn,
    AVATARFORGE_OT_drop_picture,
    AVATARFORGE_FH_picture,
    AVATARFORGE_FH_model,
)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
