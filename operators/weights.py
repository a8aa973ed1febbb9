# SPDX-License-Identifier: GPL-3.0-or-later
"""Problem places of the weights: found, shown in the viewport, fixed. Each is one undo step."""

from __future__ import annotations

import bpy
import numpy as np
from bpy.props import IntProperty
from bpy.types import Context, Operator

from ..avatar_addon.avatar import scene
from ..avatar_addon.errors import AvatarError
from ..avatar_addon.ui import viewport
from ..avatar_addon.ui.translation import tr
from ..avatar_addon.vrm.addon import is_available, need_addon
from ..avatar_addon.weights import live, overlay
from ..avatar_addon.weights.analysis import find, fixes
from .avatar_steps import OnAvatar
from .on_avatar import OnRiggedAvatar


class _OnWeights(OnRiggedAvatar):
    @classmethod
    def ready(cls, _context: Context, avatar: scene.Avatar) -> bool:
        if avatar.mesh.mode == "EDIT":
            cls.poll_message_set("Leave Edit Mode first")
        elif not avatar.mesh.vertex_groups:
            cls.poll_message_set("The avatar has no vertex groups; rig it first")
        else:
            return True
        return False

    def act(self, context: Context, avatar: scene.Avatar) -> str | None:
        if not is_available():
            need_addon()  # it knows the humanoid bones
        return self.on_weights(context, avatar)

    def on_weights(self, context: Context, avatar: scene.Avatar) -> str | None:
        """As `act`."""
        raise NotImplementedError


def _tell(operator: Operator, avatar: scene.Avatar, changed: int) -> None:
    """What came of it, and how many places are left."""
    left = len(avatar.record.weights.places)
    if not changed:
        operator.report({"WARNING"}, tr("No weight has changed; check whether the vertex groups are locked"))
        return
    places = f"{left} issues are left" if left > 1 else "One issue is left" if left else "No issues are left"
    operator.report({"INFO"}, tr(f"{changed} vertices have new weights. {places}"))


class AVATARFORGE_OT_find_places(_OnWeights):
    bl_idname = "avatar_forge.find_places"
    bl_label = "Find Weight Issues"
    bl_description = (
        "Find skin that follows no bone, the wrong bone or several limbs, or that tears or opens in the poses"
        " of the report card"
    )

    def on_weights(self, _context: Context, avatar: scene.Avatar) -> str:
        count = live.find_places(avatar)
        found = f"{count} issues were found" if count > 1 else "One issue was found"
        return f"{found}; the Weights panel shows them" if count else "No issues found"


def _current(cls: type[Operator], avatar: scene.Avatar) -> bool:
    if not avatar.record.weights.places:
        cls.poll_message_set("No issues were found")
    elif not live.is_current(avatar):
        cls.poll_message_set("The mesh has changed; find the issues again")
    else:
        return True
    return False


def _shown(cls: type[Operator], avatar: scene.Avatar) -> bool:
    if not _current(cls, avatar):
        return False
    if avatar.record.weights.place is None:
        cls.poll_message_set("Choose an issue in the list first")
        return False
    return True


class _Looking(_OnWeights):
    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        return super().ready(context, avatar) and _current(cls, avatar)

    def show(self, context: Context, avatar: scene.Avatar, index: int) -> None:
        weights = avatar.record.weights
        weights.shown = index
        if weights.place:
            normals = np.empty(len(avatar.mesh.data.vertices) * 3, np.float32)
            avatar.mesh.data.vertex_normals.foreach_get("vector", normals)
            rows = live.vertices_of(weights.place.vertices)
            viewport.show_points(context, live.points_of(avatar, weights.place), normals.reshape(-1, 3)[rows].mean(0))


class AVATARFORGE_OT_show_weights_place(_Looking):
    bl_idname = "avatar_forge.show_weights_place"
    bl_label = "Show"
    bl_description = "Show this issue in the viewport and mark its vertices. Press again to remove the marks"

    index: IntProperty(options={"HIDDEN", "SKIP_SAVE"})

    def on_weights(self, context: Context, avatar: scene.Avatar) -> None:
        weights = avatar.record.weights
        if not 0 <= self.index < len(weights.places):
            raise AvatarError("This issue no longer exists; find the issues again.", "place")
        self.show(context, avatar, -1 if weights.shown == self.index else self.index)


class AVATARFORGE_OT_next_weights_place(_Looking):
    bl_idname = "avatar_forge.next_weights_place"
    bl_label = "Next Issue"
    bl_description = "Show the next issue, or the previous one"

    step: IntProperty(default=1, options={"HIDDEN", "SKIP_SAVE"})

    def on_weights(self, context: Context, avatar: scene.Avatar) -> None:
        weights = avatar.record.weights
        start = weights.shown if weights.place or self.step > 0 else 0
        self.show(context, avatar, (start + self.step) % len(weights.places))


class AVATARFORGE_OT_reweight_limb(OnAvatar):
    bl_idname = "avatar_forge.reweight_limb"
    bl_label = "Re-weight This Limb"
    bl_description = (
        "Compute the weights of this part of the body again from its bones, and blend them into the"
        " surrounding skin. Locked groups are kept"
    )
    needs_backend = True

    @classmethod
    def ready(cls, context: Context) -> bool:
        if not super().ready(context):
            return False
        avatar = scene.find_avatar(context)
        if avatar.mesh.mode == "EDIT":
            cls.poll_message_set("Leave Edit Mode first")
            return False
        if not scene.has_vrm(avatar):
            cls.poll_message_set("The humanoid bones are not assigned yet; assign them first")
            return False
        return True

    def steps(self, context: Context):
        avatar = scene.need_avatar(context)
        weights = avatar.record.weights
        place = weights.place if live.is_current(avatar) else None
        vertices = live.vertices_of(place.vertices) if place and place.limb == weights.limb else np.zeros(0, np.int64)
        changed = yield from live.reweight(avatar, weights.limb, vertices)
        _tell(self, avatar, changed)


class _Fixing(_OnWeights):
    fix = ""

    def on_weights(self, _context: Context, avatar: scene.Avatar) -> None:
        skin, weights = live.read_skin(avatar), avatar.record.weights
        vertices = (
            live.vertices_of(weights.place.vertices)
            if weights.place and live.is_current(avatar)
            else np.zeros(0, np.int64)
        )
        change = live.change_for(avatar, skin, self.fix, vertices, weights.bone, getattr(self, "rounds", fixes.ROUNDS))
        _tell(self, avatar, live.apply(avatar, skin, change))


class _FixingPlace(_Fixing):
    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        return super().ready(context, avatar) and _shown(cls, avatar)


class AVATARFORGE_OT_bind_island(_FixingPlace):
    bl_idname = f"avatar_forge.{find.BIND}"
    bl_label = "Bind Part to Bone"
    bl_description = "Bind the whole loose part to the bone above, and to no other bone"
    fix = find.BIND

    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        if not super().ready(context, avatar):
            return False
        weights = avatar.record.weights
        if not weights.place.loose:
            cls.poll_message_set(
                "This is part of the body's skin, not a loose part; re-weight the limb or smooth the weights"
            )
            return False
        bone = avatar.armature.data.bones.get(weights.bone)
        if bone is None or not bone.use_deform:
            cls.poll_message_set("Choose a bone that deforms the skin")
            return False
        return True


class AVATARFORGE_OT_smooth_weights(_FixingPlace):
    bl_idname = f"avatar_forge.{find.SMOOTH}"
    bl_label = "Smooth Here"
    bl_description = "Smooth the weights at this place and around it"
    fix = find.SMOOTH

    rounds: IntProperty(
        name="Iterations", description="How strongly the weights are smoothed", default=fixes.ROUNDS, min=1, max=500
    )


class AVATARFORGE_OT_fill_weights(_FixingPlace):
    bl_idname = f"avatar_forge.{find.FILL}"
    bl_label = "Fill from Surroundings"
    bl_description = "Give skin without weights those of the surrounding skin"
    fix = find.FILL

    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        if not super().ready(context, avatar):
            return False
        if avatar.record.weights.place.kind != "unweighted":
            cls.poll_message_set("This skin already has weights, or no surrounding skin has weights")
            return False
        return True


class AVATARFORGE_OT_close_cracks(_Fixing):
    bl_idname = f"avatar_forge.{find.CLOSE}"
    bl_label = "Close Cracks"
    bl_description = "Give vertices at the same position the same weights, everywhere on the avatar"
    fix = find.CLOSE


class AVATARFORGE_OT_normalise_weights(_Fixing):
    bl_idname = f"avatar_forge.{find.NORMALISE}"
    bl_label = "Normalise"
    bl_description = "Limit every vertex of the avatar to four bones, with weights that sum to 1"
    fix = find.NORMALISE


class AVATARFORGE_OT_fix_safe_places(_OnWeights):
    bl_idname = "avatar_forge.fix_safe_places"
    bl_label = "Fix Safe Issues"
    bl_description = "Normalise, close cracks and fill skin without weights. These fixes are safe without review"

    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        if not (super().ready(context, avatar) and _current(cls, avatar)):
            return False
        if not any(place.fix in find.SAFE for place in avatar.record.weights.places):
            cls.poll_message_set("None of these issues can be fixed automatically")
            return False
        return True

    def on_weights(self, _context: Context, avatar: scene.Avatar) -> None:
        _tell(self, avatar, live.fix_safe(avatar))


CLASSES = (
    AVATARFORGE_OT_find_places,
    AVATARFORGE_OT_show_weights_place,
    AVATARFORGE_OT_next_weights_place,
    AVATARFORGE_OT_reweight_limb,
    AVATARFORGE_OT_bind_island,
    AVATARFORGE_OT_smooth_weights,
    AVATARFORGE_OT_fill_weights,
    AVATARFORGE_OT_close_cracks,
    AVATARFORGE_OT_normalise_weights,
    AVATARFORGE_OT_fix_safe_places,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    overlay.register()


def unregister() -> None:
    overlay.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
