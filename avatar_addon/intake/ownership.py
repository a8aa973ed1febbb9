# SPDX-License-Identifier: GPL-3.0-or-later
"""An avatar changes its objects, so they have to be its own: what other objects or files use stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from ..errors import AvatarError

Notes = list[tuple[str, str]]


def refuse_linked(objects: Sequence[bpy.types.Object]) -> None:
    """Raises AvatarError for objects of another file, and for overrides of such: they cannot be changed here."""
    for obj in objects:
        if obj.library:
            raise AvatarError(
                f"{obj.name} is linked from another file; make it local first (Object > Relations > Make Local).",
                "linked",
            )
        if obj.override_library:
            raise AvatarError(
                f"{obj.name} is an override of another file's object; make it local first (Object > Library Override >"
                " Make Local).",
                "linked",
            )


def make_single(objects: Sequence[bpy.types.Object], notes: Notes) -> None:
    """Data and materials that other objects or files have too are copied."""
    shared = [obj for obj in objects if obj.data.library or _used_elsewhere(obj)]
    for obj in shared:
        obj.data = obj.data.copy()
    notes += [("single", f"{obj.name} shared its data with other objects and was made single-user.") for obj in shared]
    inside = set(objects)
    others = {
        slot.material for obj in bpy.data.objects if obj not in inside for slot in obj.material_slots if slot.material
    }
    copies: dict[bpy.types.Material, bpy.types.Material] = {}
    for obj in objects:
        for slot in obj.material_slots:
            material = slot.material
            if material and (material in others or material.library):
                if material not in copies:
                    copies[material] = material.copy()
                slot.material = copies[material]
    if copies:
        names = ", ".join(material.name for material in list(copies)[:4])
        notes.append(("single", f"Other objects use the same materials ({names}), so the avatar uses copies."))


def _used_elsewhere(obj: bpy.types.Object) -> bool:
    return obj.data.users - obj.data.use_fake_user > 1
