# SPDX-License-Identifier: GPL-3.0-or-later
"""One file per step; each operator polls and makes one call into avatar_addon."""

from . import (
    avatar_steps,
    backend,
    bring_in,
    candidates,
    clips,
    diagnostic,
    face_markers,
    face_shapes,
    humanoid,
    look,
    make_avatar,
    mesh_markers,
    meta,
    models,
    picture_cards,
    picture_markers,
    pose,
    presets,
    publish,
    remote,
    speak,
    task_operator,
    text_pictures,
    view,
    vscode,
    weights,
)

MODULES = (
    task_operator,
    text_pictures,
    make_avatar,
    candidates,
    bring_in,
    picture_cards,
    picture_markers,
    mesh_markers,
    meta,
    presets,
    avatar_steps,
    humanoid,
    pose,
    clips,
    face_markers,
    face_shapes,
    look,
    speak,
    weights,
    publish,
    models,
    backend,
    diagnostic,
    remote,
    vscode,
    view,
)


def register() -> None:
    for module in MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(MODULES):
        module.unregister()
