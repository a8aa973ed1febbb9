# SPDX-License-Identifier: GPL-3.0-or-later
"""What is stored: settings in the scene, the record in the avatar's object, the running task in the window manager
(never saved).
"""

from __future__ import annotations

import zlib
from dataclasses import fields

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)
from bpy.types import PropertyGroup

from .avatar import migration, step_states
from .client import engine_options, session
from .client.engines import GENERATORS, RIGGERS, recall_engines
from .client.process.progress import Progress
from .face import live
from .humanoid import bones as humanoid_bones
from .landmarks import PARTS
from .look import settings
from .picture import cards, on_mesh
from .picture import markers as picture_markers
from .ui.translation import OURS
from .weights import live as weights_live


def _items(known: dict[str, str]):
    """The items of a dynamic enum; a saved choice keeps its meaning whatever else is installed. 0 is the value of one
    never set, so the first engine of the registry stays the first.
    """
    kept: list[tuple] = []  # Blender keeps no reference to the strings of a dynamic enum
    default = next(iter(known))

    def number(name: str) -> int:
        return 0 if name == default else zlib.crc32(name.encode()) & 0x3FFFFFFF

    def items(_self, _context):
        kept[:] = [(name, label.partition(" (")[0], label, number(name)) for name, label in known.items()]
        return kept

    return items


def _forget_error(_settings, context) -> None:
    context.window_manager.avatar_forge.error = ""


def _mirror_markers(_settings, context) -> None:
    picture_markers.set_mirror(context.scene)
    on_mesh.set_mirror(context.scene)


def _choices(known: dict[str, str]):
    """The items of a dynamic enum of which several can be chosen: one bit each, in the registry's order."""
    kept: list[tuple] = []

    def items(_self, _context):
        kept[:] = [(name, label.partition(" (")[0], label, 1 << k) for k, (name, label) in enumerate(known.items())]
        return kept

    return items


class AvatarForgeLandmark(PropertyGroup):
    """A part of the face on the avatar's surface, in world space at rest."""

    center: FloatVectorProperty(name="Centre", subtype="TRANSLATION", unit="LENGTH", precision=4)
    half_width: FloatProperty(name="Half Width", min=0.0, unit="LENGTH", precision=4)
    half_height: FloatProperty(name="Half Height", min=0.0, unit="LENGTH", precision=4)


class AvatarForgeWarning(PropertyGroup):
    code: StringProperty()
    message: StringProperty()


class AvatarForgeCheck(PropertyGroup):
    """A line of the report card (vrm/report_limits.Check); `name` is its id."""

    title: StringProperty()
    status: StringProperty()
    figure: StringProperty()
    meaning: StringProperty()
    step: StringProperty()
    fix: StringProperty()


class AvatarForgeRecord(PropertyGroup):
    """What the VRM Add-on has no place for; on the avatar's mesh object."""

    is_avatar: BoolProperty()
    run: StringProperty(name="Run")
    format: IntProperty(description="Version of this record, for files of earlier versions")
    job_folder: StringProperty(name="Job Folder", subtype="DIR_PATH", description="Where the generator wrote the mesh")
    run_folder: StringProperty(name="Run Folder", subtype="DIR_PATH", description="Record of how the avatar was made")
    provenance: StringProperty(description="JSON: parameters, weights, metrics and seconds, for the receipt")
    checks: CollectionProperty(type=AvatarForgeCheck)
    shown_check: IntProperty(name="Check", min=-1, description="The line of the report card that is explained")
    card_outdated: BoolProperty(description="A step was run again since the report card was made")
    promoted_key: StringProperty(name="Promoted As")
    promoted_url: StringProperty(name="Public Address")
    picture: StringProperty(name="Picture", subtype="FILE_PATH")
    picture_image: PointerProperty(
        type=bpy.types.Image, description="The reference picture, packed into the file for use on other computers"
    )
    recorded_run: StringProperty(description="The run that was last recorded of the avatar")
    recorded_vrm: StringProperty(description="SHA-256 of that run's VRM file")
    engine: StringProperty(name="Engine")
    rigger: StringProperty(name="Rigger")
    seed: IntProperty(name="Seed")
    label: StringProperty(name="Made With")
    joints: StringProperty(description="JSON: VRM bone name -> point in world space, as the generator found it")
    has_brows: BoolProperty(
        description="The brow markers are placed. Otherwise the brows are at their usual height above the eyes"
    )
    has_jaw: BoolProperty(
        description="The jaw marker is placed. Otherwise the chin is at its usual distance below the mouth"
    )
    visemes: PointerProperty(type=live.AvatarForgeVisemes)
    look: PointerProperty(type=settings.AvatarForgeLook)
    weights: PointerProperty(type=weights_live.AvatarForgeWeights)
    mouth_style: EnumProperty(
        name="Mouth",
        translation_context=OURS,
        description="How the mouth opens",
        items=live.MOUTHS,
        default=live.BY_STYLE,
    )
    mouth_interior: BoolProperty(
        name="Teeth and Tongue",
        description="Add teeth and a tongue inside the mouth. Without them the open mouth is just dark",
        default=True,
    )
    group: StringProperty(description="Which candidates this one was made with")
    group_name: StringProperty(description="Name of the avatar that one of the candidates will be")
    front_match: FloatProperty(name="Match", description="How well the mesh's front matches the picture, from 0 to 1")
    perfect_sync: BoolProperty(name="Perfect Sync", description="The Face step makes ARKit's 52 shapes as well")
    eyes_confidence: FloatProperty(name="Confidence of the Eyes", min=0.0, max=1.0)
    mouth_confidence: FloatProperty(name="Confidence of the Mouth", min=0.0, max=1.0)
    has_face: BoolProperty(description="The face markers are set")
    mesh_without_face: PointerProperty(
        type=bpy.types.Mesh, description="The mesh before the mouth was cut, from which the face is made again"
    )
    mesh_before_rig: PointerProperty(
        type=bpy.types.Mesh, description="The mesh before it was rigged, on which its joints can be corrected"
    )
    warnings: CollectionProperty(type=AvatarForgeWarning)
    steps: PointerProperty(type=step_states.AvatarForgeSteps)


AvatarForgeRecord.__annotations__ |= {
    part.attribute: PointerProperty(type=AvatarForgeLandmark) for part in PARTS.values()
}


class AvatarForgeSettings(PropertyGroup):
    """What the next avatar is made with; in the scene. `engine_options` adds a group of options for each engine."""

    picture: StringProperty(
        name="Picture",
        subtype="FILE_PATH",
        description=(
            "One character, whole body, from the front, arms away from the body, plain or transparent background"
        ),
        update=_forget_error,
    )
    cards: CollectionProperty(type=cards.AvatarForgeCard)
    cards_note: StringProperty(description="What does not fit between the pictures", options={"SKIP_SAVE"})
    cards_swap: BoolProperty(description="Left and right may be the wrong way round", options={"SKIP_SAVE"})
    name: StringProperty(name="Name", description="Name of the avatar and its file; empty for the picture's name")
    engine: EnumProperty(
        name="Generator", items=_items(GENERATORS), description="Engine that makes the mesh from the picture"
    )
    rigger: EnumProperty(
        name="Rigger", items=_items(RIGGERS), description="Engine that makes the skeleton and the weights"
    )
    text: StringProperty(name="Description", description="The character to make pictures of, in a sentence")
    text_pictures: StringProperty(
        description="JSON: the pictures that were made from the description", options={"HIDDEN"}
    )
    candidates: IntProperty(
        name="Candidates",
        description="Make several avatars with different seeds, to choose one from",
        default=1,
        min=1,
        max=16,
        soft_max=8,
    )
    candidate_engines: EnumProperty(
        name="Compare",
        items=_choices(GENERATORS),
        options={"ENUM_FLAG"},
        description="Generators that make the candidates in turn. If none is chosen, the current generator"
        " makes all of them",
    )
    seed: IntProperty(name="Seed", min=0, description="The same picture and seed give the same avatar")
    markers: StringProperty(
        name="Markers File",
        subtype="FILE_PATH",
        description="JSON file with joints and face markers in pixels of the picture, to correct the automatic ones",
    )
    checked_markers: StringProperty(
        description="JSON: a picture, and the markers that were accepted for it", options={"HIDDEN"}
    )
    mirror_markers: BoolProperty(
        name="Mirror",
        description="Move the character's right markers together with the left ones",
        update=_mirror_markers,
    )
    sentence: StringProperty(name="Sentence", description="What the avatar says: English, or Japanese in kana")
    author: StringProperty(name="Author", description="Author, written to the VRM file. VRM requires one")
    vrm_version: EnumProperty(
        name="VRM Version",
        items=[
            ("1.0", "VRM 1.0", "For three-vrm and current applications"),
            ("0.0", "VRM 0.x", "For older applications"),
        ],
    )
    perfect_sync: BoolProperty(
        name="Perfect Sync",
        description="Make the 52 face shapes of ARKit as well, which face trackers drive one by one",
    )
    out_dir: StringProperty(
        name="Folder", subtype="DIR_PATH", default="//", description="Where the VRM file is written"
    )
    clips_dir: StringProperty(
        name="Clips", subtype="DIR_PATH", default="//clips", description="Where animation clips are written"
    )
    publish_name: StringProperty(
        name="Name",
        description="Name of the model in the bucket, without the version; empty for the avatar's name",
    )
    override: StringProperty(
        name="Reason", description="Why the avatar is promoted although checks failed. The reason is recorded"
    )
    diff: StringProperty(options={"SKIP_SAVE"})
    export: BoolProperty(name="Export VRM", description="Also write the VRM file at the end of Make Avatar")


class AvatarForgeState(PropertyGroup):
    """The task in progress, for the panels; also every field of `Progress`."""

    running: BoolProperty()
    title: StringProperty()
    error: StringProperty()
    cancel: BoolProperty()
    bones: PointerProperty(type=humanoid_bones.AvatarForgeBonesView)
    remote: BoolProperty(description="Started by a client of the socket, so Esc in a window does not cancel it")


PROPERTIES = {str: StringProperty, float: FloatProperty, int: IntProperty, bool: BoolProperty}
AvatarForgeState.__annotations__.update(
    {field.name: PROPERTIES[type(field.default)](default=field.default) for field in fields(Progress)}
)

CLASSES = (
    AvatarForgeLandmark,
    AvatarForgeWarning,
    AvatarForgeCheck,
    AvatarForgeRecord,
    AvatarForgeSettings,
    AvatarForgeState,
)


def register() -> None:
    live.register()
    settings.register()
    weights_live.register()
    step_states.register()
    humanoid_bones.register()
    cards.register()
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    recall_engines(session.engines_file())
    engine_options.register(AvatarForgeSettings)
    bpy.types.Object.avatar_forge = PointerProperty(type=AvatarForgeRecord)
    migration.register()
    bpy.types.Scene.avatar_forge = PointerProperty(type=AvatarForgeSettings)
    bpy.types.WindowManager.avatar_forge = PointerProperty(type=AvatarForgeState, options={"SKIP_SAVE"})


def unregister() -> None:
    del bpy.types.WindowManager.avatar_forge
    del bpy.types.Scene.avatar_forge
    migration.unregister()
    del bpy.types.Object.avatar_forge
    engine_options.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    cards.unregister()
    humanoid_bones.unregister()
    step_states.unregister()
    weights_live.unregister()
    settings.unregister()
    live.unregister()
