# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators on markers share, on a picture's and on a mesh's; `kind` is the module that shows them."""

from __future__ import annotations

from types import ModuleType

from bpy.types import Context

from .idle_operator import IdleOperator


def are_shown(operator: type, context: Context, kind: ModuleType) -> bool:
    """As `poll`."""
    if kind.root_of(context.scene) is None:
        operator.poll_message_set("Press Check Markers first")
    elif context.mode != "OBJECT":
        operator.poll_message_set("Leave Edit Mode first")
    else:
        return True
    return False


class OnMarkers(IdleOperator):
    kind = None

    @classmethod
    def may_run(cls, context: Context) -> bool:
        return are_shown(cls, context, cls.kind)


class DiscardMarkers(OnMarkers):
    bl_label = "Discard"

    def execute(self, context: Context) -> set[str]:
        self.kind.remove(context.scene)
        return {"FINISHED"}


class MirrorMarkers(OnMarkers):
    bl_label = "Mirror Left to Right"
    bl_description = "Mirror the character's left markers to the right, across the line through hips, neck and head"

    def execute(self, context: Context) -> set[str]:
        self.kind.mirror(context.scene)
        return {"FINISHED"}
