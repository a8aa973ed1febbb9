# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion of ours as a VRMA file, written on the avatar of a VRM file, with a Python that has bpy:
`python tests/e2e/clip.py AVATAR.vrm NAME CLIP.vrma SENTENCE`.
"""

import importlib
import os
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from avatar_addon.batch import load_extension


def main(vrm: str, name: str, clip: str, sentence: str) -> None:
    addon = f"{load_extension()}.avatar_addon"
    clips, scene = (importlib.import_module(f"{addon}.{part}") for part in ("pose.clips", "avatar.scene"))
    bpy.ops.avatar_forge.bring_in(filepath=vrm, licensed=True)
    clips.export_clip(bpy.context, scene.need_avatar(bpy.context), name, Path(clip), clips.spoken(sentence))


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # bpy can hang while the interpreter shuts down
