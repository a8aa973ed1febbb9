# SPDX-License-Identifier: GPL-3.0-or-later
"""The look: style of the materials, gaze, chains of spring bones."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy.types import Context, Operator

from ..avatar_addon.avatar import scene
from ..avatar_addon.avatar.scene import meshes
from ..avatar_addon.errors import AvatarError
from ..avatar_addon.look import settings as look_settings
from ..avatar_addon.look import spring_bones, spring_preview
from ..avatar_addon.look.spring_figures import KINDS
from ..avatar_addon.pose.kinematics.gestures import MOTIONS
from ..avatar_addon.ui.translation import OURS
from ..avatar_addon.vrm import look_at, materials
from .on_avatar import OnRiggedAvatar


class _OnLook(OnRiggedAvatar):
    outdates_card = True

    @classmethod
    def ready(cls, _context: Context, avatar: scene.Avatar) -> bool:
        if not scene.has_vrm(avatar):
            cls.poll_message_set("The avatar has no humanoid bones yet; assign them first")
            return False
        return True


class AVATARFORGE_OT_set_style(_OnLook):
    bl_idname = "avatar_forge.set_style"
    bl_label = "Style"
    bl_description = "How the materials are shaded. The settings of the other styles are kept"

    style: EnumProperty(
        name="Style",
        items=[
            (
                materials.MTOON,
                "MToon",
                ("Toon shading with a sharp edge between light and shadow, and an optional outline"),
            ),
            (materials.UNLIT, "Unlit", "Shows the texture without any lighting"),
            (materials.PBR, "PBR", "Lit realistically, like other objects in the scene"),
        ],
    )
    material: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties) -> str:
        items = properties.bl_rna.properties["style"].enum_items
        return f"{items[properties.style].description}. The settings of the other styles are kept"

    def act(self, _context: Context, avatar: scene.Avatar) -> None:
        look_settings.set_style(avatar, self.style, self.material)


class AVATARFORGE_OT_show_materials(Operator):
    bl_idname = "avatar_forge.show_materials"
    bl_label = "Show"
    bl_description = "Switch the 3D Viewport to Material Preview, which shows the style, or back to Solid"

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not isinstance(context.space_data, bpy.types.SpaceView3D):
            cls.poll_message_set("Works only in a 3D Viewport")
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        shading = context.space_data.shading
        shading.type = "SOLID" if shading.type in ("MATERIAL", "RENDERED") else "MATERIAL"
        return {"FINISHED"}


class AVATARFORGE_OT_follow_gaze(_OnLook):
    bl_idname = "avatar_forge.follow_gaze"
    bl_label = "Follow a Target"
    bl_description = "Add a target in front of the face. The eyes follow it while you move it"

    camera: bpy.props.BoolProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties) -> str:
        return "Make the eyes follow the scene's camera" if properties.camera else cls.bl_description

    def act(self, context: Context, avatar: scene.Avatar) -> None:
        if self.camera and context.scene.camera is None:
            raise AvatarError("The scene has no camera to look at; add one first.", "no_camera")
        look_at.rest(avatar.armature, meshes(avatar))
        target = look_at.follow(context, avatar.armature, context.scene.camera if self.camera else None)
        if not self.camera:
            scene.select(context, target)


class AVATARFORGE_OT_rest_gaze(_OnLook):
    bl_idname = "avatar_forge.rest_gaze"
    bl_label = "Look Ahead"
    bl_translation_context = OURS
    bl_description = "End the test. The eyes look straight ahead again and the target is removed"

    def act(self, context: Context, avatar: scene.Avatar) -> None:
        followed = look_at.is_following(avatar.armature)
        look_at.rest(avatar.armature, meshes(avatar))
        avatar.record.look.yaw = avatar.record.look.pitch = 0.0
        if followed:
            scene.select(context, avatar.armature)


class AVATARFORGE_OT_find_chains(_OnLook):
    bl_idname = "avatar_forge.find_chains"
    bl_label = "Find"
    bl_description = (
        "Find hair, skirts, tails and the like among the bones that are not humanoid bones, and make them swing"
    )

    def act(self, _context: Context, avatar: scene.Avatar) -> str:
        known = spring_bones.adopt(avatar)
        taken = set(spring_bones.used_bones(avatar.armature)) | {chain.name for chain in avatar.record.look.chains}
        new = [chain for chain in spring_bones.find_chains(avatar.armature) if not taken.intersection(chain.bones)]
        spring_bones.add(avatar, new)
        if not new and not known:
            return "No more chains were found; select a bone and press Add to add one by hand."
        count = len(new) + known
        return f"{count} chains were added." if count > 1 else "One chain was added."


def _active_bone(context: Context, armature: bpy.types.Object) -> str:
    """The bone that the user has selected last, in any mode."""
    bones = armature.data.edit_bones if armature.mode == "EDIT" else armature.data.bones
    return bones.active.name if bones.active else ""


class AVATARFORGE_OT_add_chain(_OnLook):
    bl_idname = "avatar_forge.add_chain"
    bl_label = "Add"
    bl_translation_context = OURS
    bl_description = "Make the selected bone and its children swing"

    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        if not super().ready(context, avatar):
            return False
        if avatar.armature.mode == "EDIT":
            cls.poll_message_set("Leave Edit Mode first")
        elif not _active_bone(context, avatar.armature):
            cls.poll_message_set("Select the first bone of the chain in Pose Mode first")
        else:
            return True
        return False

    def act(self, context: Context, avatar: scene.Avatar) -> None:
        spring_bones.adopt(avatar)
        bone = _active_bone(context, avatar.armature)
        mode = avatar.armature.mode
        spring_bones.add(avatar, [spring_bones.chain_from(avatar.armature, bone)])
        avatar.record.look.active_chain = avatar.record.look.chains.find(bone)
        if mode == "POSE" and context.view_layer.objects.active == avatar.armature:
            bpy.ops.object.mode_set(mode="POSE")


class _OnChain(_OnLook):
    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        if not super().ready(context, avatar):
            return False
        if not 0 <= avatar.record.look.active_chain < len(avatar.record.look.chains):
            cls.poll_message_set("Choose a chain in the list first")
            return False
        return True

    def act(self, _context: Context, avatar: scene.Avatar) -> None:
        settings = avatar.record.look
        self.on_chain(avatar, settings.chains[settings.active_chain].name)

    def on_chain(self, avatar: scene.Avatar, root: str) -> None:
        raise NotImplementedError


class AVATARFORGE_OT_remove_chain(_OnChain):
    bl_idname = "avatar_forge.remove_chain"
    bl_label = "Remove"
    bl_description = "Remove the chain from the list. Its bones are kept but no longer swing"

    def on_chain(self, avatar: scene.Avatar, root: str) -> None:
        spring_bones.remove(avatar, root)
        settings = avatar.record.look
        settings.active_chain = max(0, min(settings.active_chain, len(settings.chains) - 1))


class AVATARFORGE_OT_chain_kind(_OnChain):
    bl_idname = "avatar_forge.chain_kind"
    bl_label = "Type"
    bl_description = "Type of chain. Applies the usual values and colliders of this type"

    kind: EnumProperty(name="Type", items=[(name, kind.label, "") for name, kind in KINDS.items()])

    def on_chain(self, avatar: scene.Avatar, root: str) -> None:
        spring_bones.change_kind(avatar, root, self.kind)


class AVATARFORGE_OT_show_colliders(_OnLook):
    bl_idname = "avatar_forge.show_colliders"
    bl_label = "Colliders"
    bl_description = "Show or hide the spheres that hair and skirts do not pass through. You can move and scale them"

    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        if not super().ready(context, avatar):
            return False
        if not spring_bones.colliders(avatar.armature):
            cls.poll_message_set("The avatar has no colliders; add a chain first")
            return False
        return True

    def act(self, _context: Context, avatar: scene.Avatar) -> None:
        empties = spring_bones.colliders(avatar.armature)
        shown = any(obj.visible_get() for obj in empties)
        for obj in empties:
            obj.hide_set(shown)


class AVATARFORGE_OT_play_springs(_OnLook):
    bl_idname = "avatar_forge.play_springs"
    bl_label = "Play"
    bl_description = "Move the avatar to make its hair and clothes swing"

    motion: EnumProperty(name="Motion", items=[(name, name, "") for name in MOTIONS], default=spring_preview.MOTION)

    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        if not super().ready(context, avatar):
            return False
        if not any(chain.on for chain in avatar.record.look.chains):
            cls.poll_message_set("No chain is enabled; add or enable one first")
            return False
        return True

    def act(self, context: Context, avatar: scene.Avatar) -> None:
        spring_preview.play(context, avatar, self.motion)
        spring_preview.start_playback(context)


class AVATARFORGE_OT_stop_springs(_OnLook):
    bl_idname = "avatar_forge.stop_springs"
    bl_label = "Stop"
    bl_description = "End the motion and restore the pose"

    @classmethod
    def ready(cls, context: Context, avatar: scene.Avatar) -> bool:
        if not super().ready(context, avatar):
            return False
        if not spring_preview.is_playing(avatar.armature):
            cls.poll_message_set("Nothing is playing")
            return False
        return True

    def act(self, context: Context, avatar: scene.Avatar) -> None:
        spring_preview.stop(context, avatar)


CLASSES = (
    AVATARFORGE_OT_set_style,
    AVATARFORGE_OT_show_materials,
    AVATARFORGE_OT_follow_gaze,
    AVATARFORGE_OT_rest_gaze,
    AVATARFORGE_OT_find_chains,
    AVATARFORGE_OT_add_chain,
    AVATARFORGE_OT_remove_chain,
    AVATARFORGE_OT_chain_kind,
    AVATARFORGE_OT_show_colliders,
    AVATARFORGE_OT_play_springs,
    AVATARFORGE_OT_stop_springs,
)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
