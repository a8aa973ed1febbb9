# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators share that change a rigged avatar at once: when they may be pressed, and how they say what went
wrong.
"""

from __future__ import annotations

from bpy.types import Context

from ..avatar_addon.avatar import scene
from ..avatar_addon.errors import AvatarError
from ..avatar_addon.ui.translation import tr
from .idle_operator import IdleOperator


class OnRiggedAvatar(IdleOperator):
    """Subclasses give `act`, and `ready` where they need more than a skeleton. What runs for a while is a
    TaskOperator instead.
    """

    outdates_card = False  # whether the report card has to be made again afterwards

    @classmethod
    def may_run(cls, context: Context) -> bool:
        avatar = scene.find_avatar(context)
        if avatar is None or avatar.armature is None:
            cls.poll_message_set("Select a rigged avatar first")
            return False
        return cls.ready(context, avatar)

    @classmethod
    def ready(cls, _context: Context, _avatar: scene.Avatar) -> bool:
        """As `may_run`, for the subclass; the avatar has an armature."""
        return True

    def execute(self, context: Context) -> set[str]:
        try:
            avatar = scene.need_avatar(context)
            said = self.act(context, avatar)
        except AvatarError as error:
            self.report({"ERROR"}, tr(str(error)))
            return {"CANCELLED"}
        if said:
            self.report({"INFO"}, tr(said))
        if self.outdates_card:
            avatar.record.card_outdated = True
        return {"FINISHED"}

    def act(self, context: Context, avatar: scene.Avatar) -> str | None:
        """What the button does; a sentence for the status bar, or None. Raises AvatarError."""
        raise NotImplementedError
