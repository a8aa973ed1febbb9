# SPDX-License-Identifier: GPL-3.0-or-later
"""The humanoid bones: found by the matcher, picked in the viewport, confirmed, mirrored. Each is one undo step."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy.types import Context, Event, Operator, OperatorProperties

from ..avatar_addon.errors import AvatarError
from ..avatar_addon.humanoid import bones, overlay
from ..avatar_addon.humanoid.matching.assignment import label
from ..avatar_addon.ui.translation import tr
from ..avatar_addon.vrm.spec.human_bones import BONES

# What a person turns the view with while picking.
NAVIGATION = (
    "MIDDLEMOUSE",
    "WHEEL",
    "TRACKPAD",
    "MOUSEROTATE",
    "MOUSESMARTZOOM",
    "NUMPAD",
    "NDOF",
    "TIMER",
    "ACCENT_GRAVE",
    "HOME",
)


class _OnBones(Operator):
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        armature = bones.find_armature(context)
        if armature is None:
            cls.poll_message_set("Select an armature first")
        elif armature.mode == "EDIT":
            cls.poll_message_set("Leave Edit Mode first")
        elif armature.data.library:
            cls.poll_message_set("The armature is linked from another file; make it local first")
        elif context.window_manager.avatar_forge.running:
            cls.poll_message_set("A task is running; wait for it or cancel it first")
        else:
            return True
        return False

    def execute(self, context: Context) -> set[str]:
        try:
            return self.act(context, bones.find_armature(context))
        except AvatarError as error:
            self.report({"ERROR"}, tr(str(error)))
            return {"CANCELLED"}

    def act(self, context: Context, armature: bpy.types.Object) -> set[str]:
        raise NotImplementedError


class AVATARFORGE_OT_find_bones(_OnBones):
    bl_idname = "avatar_forge.find_bones"
    bl_label = "Find Bones"
    bl_description = (
        "Find the humanoid bones of any armature by shape and names, and assign them. Existing assignments are replaced"
    )

    def act(self, context: Context, armature: bpy.types.Object) -> set[str]:
        match = bones.find_bones(context, armature)
        context.window_manager.avatar_forge.bones.overlay |= match.humanoid
        self.report({"INFO"} if match.humanoid else {"WARNING"}, tr(match.reason))
        return {"FINISHED"}


class _OnBone(_OnBones):
    name: StringProperty(
        name="Humanoid Bone", description="Name of the bone in VRM, such as leftHand", options={"SKIP_SAVE"}
    )


class AVATARFORGE_OT_assign_bone(_OnBone):
    bl_idname = "avatar_forge.assign_bone"
    bl_label = "Use This Bone"
    bl_description = "Assign the bone that was found automatically"

    bone: StringProperty(name="Bone", description="Bone of the armature; empty for none", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties: OperatorProperties) -> str:
        if not properties.bone:
            return tr(f"Clear the bone of {tr(label(properties.name))}")
        return tr(f"Assign '{properties.bone}', which was found automatically, to {tr(label(properties.name))}")

    def act(self, _context: Context, armature: bpy.types.Object) -> set[str]:
        if self.name not in BONES or (self.bone and self.bone not in armature.data.bones):
            raise AvatarError(
                f"There is no humanoid bone '{self.name}' or no bone '{self.bone}'; choose one that the armature has.",
                "bone",
            )
        bones.change(armature, {self.name: self.bone})
        return {"FINISHED"}


class AVATARFORGE_OT_pick_bone(_OnBone):
    bl_idname = "avatar_forge.pick_bone"
    bl_label = "Pick Bone"

    bone: StringProperty(name="Bone", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties: OperatorProperties) -> str:
        return tr(f"Click the bone for {tr(label(properties.name))} in the viewport")

    act = AVATARFORGE_OT_assign_bone.act

    def invoke(self, context: Context, _event: Event) -> set[str]:
        self._armature = bones.find_armature(context)
        self._area = context.area
        overlay.start_picking(self._armature)
        self._tell(context, "")
        context.window.cursor_modal_set("EYEDROPPER")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: Event) -> set[str]:
        if overlay.picking_now is None:  # the add-on was disabled
            return self._leave(context, {"CANCELLED"})
        if event.type in ("ESC", "RIGHTMOUSE") and event.value == "PRESS":
            return self._leave(context, {"CANCELLED"})
        if event.type.startswith(NAVIGATION):
            return {"PASS_THROUGH"}
        if event.type not in ("MOUSEMOVE", "LEFTMOUSE"):
            return {"RUNNING_MODAL"}
        place = _view_under(context, event)
        if place is None:  # another button lights up, and shall be pressed
            pressed = event.type == "LEFTMOUSE" and event.value == "PRESS"
            return self._leave(context, {"CANCELLED", "PASS_THROUGH"}) if pressed else {"PASS_THROUGH"}
        bone = overlay.hover(*place, context.preferences.system.ui_scale)
        self._tell(context, bone)
        if bone and event.type == "LEFTMOUSE" and event.value == "PRESS":
            self.bone = bone
            return self._leave(context, self.execute(context))
        return {"RUNNING_MODAL"}

    def cancel(self, context: Context) -> None:
        self._leave(context, {"CANCELLED"})

    def _tell(self, context: Context, bone: str) -> None:
        name = tr(label(self.name))
        text = f"Click to assign '{bone}' to {name}" if bone else f"Click the bone for {name}"
        self._area.header_text_set(tr(text) + tr(".  Esc or right click: cancel"))

    def _leave(self, context: Context, outcome: set[str]) -> set[str]:
        overlay.stop_picking()
        self._area.header_text_set(None)
        if context.window:
            context.window.cursor_modal_restore()
        return outcome


def _restore_windows() -> None:
    for window in bpy.context.window_manager.windows:
        window.cursor_modal_restore()
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.header_text_set(None)


def _view_under(context: Context, event: Event):
    """Region, view and place in the region of the mouse, None where it is on no 3D view or on a panel that lies over
    it.
    """
    x, y = event.mouse_x, event.mouse_y
    for area in context.window.screen.areas:
        if area.type != "VIEW_3D":
            continue
        under = [
            r
            for r in area.regions
            if r.x <= x < r.x + r.width and r.y <= y < r.y + r.height and r.width > 1 and r.height > 1
        ]
        if any(region.type not in ("WINDOW", "XR", "TEMPORARY") for region in under):
            continue
        views = [region for region in under if region.type == "WINDOW"]
        if views and views[0].data:
            return views[0], views[0].data, (x - views[0].x, y - views[0].y)
    return None


class AVATARFORGE_OT_confirm_bones(_OnBone):
    bl_idname = "avatar_forge.confirm_bones"
    bl_label = "Confirm"
    bl_description = "Confirm that this bone is correct. It is no longer marked as uncertain"

    def act(self, _context: Context, armature: bpy.types.Object) -> set[str]:
        states = bones.snapshot(armature).states
        names = [self.name] if self.name else [name for name, state in states.items() if state.kind == "unsure"]
        bones.confirm(armature, names)
        return {"FINISHED"}


class AVATARFORGE_OT_mirror_bones(_OnBones):
    bl_idname = "avatar_forge.mirror_bones"
    bl_label = "Mirror Left to Right"

    side: EnumProperty(
        name="From",
        items=[("left", "Left", "The left side stays as it is"), ("right", "Right", "The right side stays as it is")],
        options={"SKIP_SAVE"},
    )

    @classmethod
    def description(cls, _context: Context, properties: OperatorProperties) -> str:
        if properties.side == "right":
            return tr("Mirror the assignment of the right side to the left side, by bone names and positions")
        return tr("Mirror the assignment of the left side to the right side, by bone names and positions")

    def act(self, _context: Context, armature: bpy.types.Object) -> set[str]:
        if not any(name.startswith(self.side) for name in bones.assigned_bones(armature)):
            raise AvatarError(f"No bone of the {self.side} side is assigned; assign its bones first.", "bone")
        changed, alone = bones.mirror(armature, self.side)
        text = f"{changed} bones changed" if changed else "Both sides already match"
        if alone:
            text += f"; no counterpart found for {', '.join(label(name) for name in alone[:4])}"
        self.report({"WARNING"} if alone else {"INFO"}, tr(text))
        return {"FINISHED"} if changed else {"CANCELLED"}


class AVATARFORGE_OT_select_bone(_OnBone):
    bl_idname = "avatar_forge.select_bone"
    bl_label = "Select Bone"

    @classmethod
    def description(cls, context: Context, properties: OperatorProperties) -> str:
        armature = bones.find_armature(context)
        state = bones.snapshot(armature).states[properties.name]
        said = f"{tr(state.reason)} " if state.reason else ""
        action = tr("Select the bone in the viewport") if state.bone else ""
        return f"{tr(label(properties.name))}. {said}{action}".strip()

    def act(self, _context: Context, armature: bpy.types.Object) -> set[str]:
        state = bones.snapshot(armature).states[self.name]
        if state.bone not in armature.data.bones:
            raise AvatarError(f"{label(self.name)} has no bone yet; choose one, or pick it in the viewport.", "bone")
        bones.select(armature, state.bone)
        return {"FINISHED"}


CLASSES = (
    AVATARFORGE_OT_find_bones,
    AVATARFORGE_OT_assign_bone,
    AVATARFORGE_OT_pick_bone,
    AVATARFORGE_OT_confirm_bones,
    AVATARFORGE_OT_mirror_bones,
    AVATARFORGE_OT_select_bone,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    overlay.register()


def unregister() -> None:
    if overlay.picking_now:  # Blender drops a modal operator whose class goes, without a word to it
        _restore_windows()
    overlay.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
