# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the built-in engines as properties; names, limits and defaults are the engines' own
(backend/*/engine.py).
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty
from bpy.types import PropertyGroup

HEIGHT: dict[str, Any] = {
    "name": "Height",
    "description": "Of the character, from its feet to the top of its head",
    "default": 1.6,
    "min": 0.2,
    "max": 10.0,
    "unit": "LENGTH",
}
SAMPLING = ("structure_steps", "structure_cfg", "latent_steps", "latent_cfg")
DEVICES = [
    ("auto", "Automatic", "The first there is of CUDA (or ROCm), Metal and the processor"),
    ("cuda", "GPU (CUDA or ROCm)", ""),
    ("mps", "GPU (Metal)", ""),
    ("cpu", "Processor", "Slow: for trying out"),
]
PRECISIONS = [
    ("auto", "Automatic", "Half precision on a GPU, single precision on the processor"),
    ("fp16", "Half (fp16)", ""),
    ("bf16", "Half (bfloat16)", ""),
    ("fp32", "Single (fp32)", "Twice the memory"),
]


class AvatarForgePreviewOptions(PropertyGroup):
    height: FloatProperty(**HEIGHT)
    triangles: IntProperty(name="Triangles", description="About so many", default=28000, min=4000, max=200000)
    texture_size: IntProperty(
        name="Texture Size",
        description="Pixels of the longer side of front and back",
        default=1024,
        min=256,
        max=4096,
        subtype="PIXEL",
    )


class AvatarForgeTrellisOptions(PropertyGroup):
    preset: EnumProperty(
        name="Sampling",
        items=[
            ("fast", "Fast", "12 + 12 sampling steps"),
            ("quality", "Quality", "25 + 25 sampling steps, guidance as the checkpoint says: twice the time"),
        ],
    )
    height: FloatProperty(**HEIGHT)
    faces: IntProperty(
        name="Faces", description="The mesh is simplified to so many triangles", default=30000, min=500, max=500000
    )
    texture_size: IntProperty(
        name="Texture Size",
        description="Pixels of a side of the baked texture",
        default=1024,
        min=512,
        max=4096,
        subtype="PIXEL",
    )
    memory: EnumProperty(
        name="Memory",
        items=[
            ("auto", "Automatic", "As much as is free"),
            ("low", "Low", "One network on the GPU at a time"),
            ("high", "High", "All networks stay on the GPU, also between avatars"),
        ],
    )
    own_sampling: BoolProperty(name="Own Steps", description="Steps and guidance of your own instead of the preset's")
    structure_steps: IntProperty(
        name="Structure Steps", description="Of the sampler for the shape", default=12, min=1, max=200
    )
    structure_cfg: FloatProperty(
        name="Guidance",
        description="How closely the shape follows the picture",
        default=7.5,
        min=0.0,
        max=30.0,
        precision=1,
    )
    latent_steps: IntProperty(
        name="Latent Steps", description="Of the sampler for details and colours", default=12, min=1, max=200
    )
    latent_cfg: FloatProperty(
        name="Guidance",
        description="How closely details and colours follow the picture",
        default=3.0,
        min=0.0,
        max=30.0,
        precision=1,
    )
    device: EnumProperty(name="Device", items=DEVICES)
    dtype: EnumProperty(name="Precision", items=PRECISIONS)


class AvatarForgeUniRigOptions(PropertyGroup):
    bone_class: EnumProperty(
        name="Skeleton",
        items=[
            ("articulationxl", "Articulation-XL", "Any skeleton; its bones are matched by their shape"),
            ("vroid", "VRoid", "A character's 52 named bones"),
            ("mixamo", "Mixamo", "Mixamo's bones; the released weights were not trained for it"),
        ],
    )
    preset: EnumProperty(
        name="Search",
        items=[
            ("quality", "Quality", "15 beams, as the original"),
            ("fast", "Fast", "4 beams"),
            ("greedy", "Greedy", "Always the likeliest token; a fifth of the time or less"),
        ],
    )
    grammar: EnumProperty(
        name="Grammar",
        items=[
            ("strict", "Strict", "Every skeleton, and no broken one"),
            ("upstream", "As Shipped", "The original's, with its two defects"),
        ],
    )
    skeleton_seed: IntProperty(
        name="Skeleton Seed", min=0, description="Another number gives another skeleton for the same mesh"
    )
    attempts: IntProperty(
        name="Attempts", description="Seeds to try when one gives no valid skeleton", default=3, min=1, max=20
    )
    device: EnumProperty(name="Device", items=DEVICES)
    dtype: EnumProperty(name="Precision", items=PRECISIONS)


# Engine -> (what is drawn at once, what is drawn under Advanced)
DRAWN = {
    "preview": (("height", "triangles", "texture_size"), ()),
    "trellis": (
        ("preset", "height", "faces", "texture_size", "memory"),
        ("own_sampling", *SAMPLING, "device", "dtype"),
    ),
    "unirig": (("bone_class", "skeleton_seed", "preset"), ("grammar", "attempts", "device", "dtype")),
}


def engine_options(settings: PropertyGroup) -> dict[str, Any]:
    """The chosen generator's options as the backend takes them; none for another package's engine."""
    if settings.engine == "preview":
        group = settings.preview
        return {name: _value(group, name) for name in DRAWN["preview"][0]}
    if settings.engine == "trellis":
        group = settings.trellis
        names = ["preset", "height", "faces", "texture_size", "memory", "device", "dtype"]
        return {name: _value(group, name) for name in names + (list(SAMPLING) if group.own_sampling else [])}
    return {}


def rigger_options(settings: PropertyGroup) -> dict[str, Any]:
    """The chosen rigger's options; see `engine_options`."""
    if settings.rigger != "unirig":
        return {}
    group = settings.unirig
    return {"class": group.bone_class} | {
        name: getattr(group, name) for name in ("preset", "grammar", "attempts", "device", "dtype")
    }


def rigger_seed(settings: PropertyGroup) -> int:
    """UniRig has a seed of its own, so that a skeleton can be drawn again for the same mesh."""
    return settings.unirig.skeleton_seed if settings.rigger == "unirig" else settings.seed


def _value(group: PropertyGroup, name: str) -> Any:
    """Blender stores single precision: 1.6 comes back as 1.60000002."""
    value = getattr(group, name)
    return round(value, 6) if isinstance(value, float) else value


CLASSES = (AvatarForgePreviewOptions, AvatarForgeTrellisOptions, AvatarForgeUniRigOptions)
register, unregister = bpy.utils.register_classes_factory(CLASSES)
