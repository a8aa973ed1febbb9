# SPDX-License-Identifier: GPL-3.0-or-later
"""Shape keys that came with an avatar's meshes, bound to the VRM expressions by their names (face/names.py)."""

from __future__ import annotations

from ..avatar.scene import Avatar, meshes
from ..vrm import setup
from ..vrm.spec.shape_key_names import describe, recognise


def bind(avatar: Avatar) -> tuple[int, str]:
    """How many expressions are bound now, and a sentence about them. Where nothing is known, what was bound stays."""
    found = {
        obj: recognise(key.name for key in obj.data.shape_keys.key_blocks[1:])
        for obj in meshes(avatar)
        if obj.data.shape_keys
    }
    binds: dict[str, list[setup.Bind]] = {}
    for obj, recognised in found.items():
        for preset, keys in recognised.binds.items():
            binds.setdefault(preset, []).extend((obj.name, key, weight) for key, weight in keys)
    if binds:
        setup.bind_expressions(avatar.armature, binds)
    conventions = dict.fromkeys(name for one in found.values() for name in one.conventions)
    return len(binds), describe(binds, conventions)
