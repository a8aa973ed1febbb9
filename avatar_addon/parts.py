# SPDX-License-Identifier: GPL-3.0-or-later
"""An avatar made in parts: what a part begins with, which steps are left to do, and what it leaves when it ends before
the VRM file. `workflow.make_avatar` does the steps themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import bpy

from .avatar import packed_file, scene
from .avatar.scene import Avatar
from .avatar.step_states import DONE, NEEDS, STEPS
from .client.process.tasks import Stage, Steps
from .errors import AvatarError
from .files import digest
from .intake import objects
from .request import Request
from .workflow_states import states

BLEND = ".blend"
LAST = ("mesh", "rig", "face")  # the steps that a part can end with; the T-pose belongs to the rig
BEGINS = {"mesh": 0.0, "rig": 0.45, "pose": 0.6, "face": 0.62, "vrm": 0.72, "export": 0.78}  # of the whole
ENDS = {"mesh": 0.45, "rig": 0.62, "face": 0.72, "": 1.0}
STEPS_TO = {"mesh": (), "rig": ("rig", "pose"), "face": ("rig", "pose", "face"), "": ("rig", "pose", "face", "vrm")}


class Clock:
    """Seconds per step, as the receipt of a run has them."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


def begin(context: bpy.types.Context, request: Request) -> Steps | None:
    """The steps that put what the request begins with into the scene, which return the Avatar; None: a generator's
    mesh.
    """
    if request.begun:
        return _opened(request)
    if request.model:
        return _brought_in(context, request, request.model)
    return None


def _opened(request: Request) -> Steps:
    """The avatar of a .blend file, which replaces the open one. Raises AvatarError."""
    yield Stage("open", 0.0, "Opening the avatar")
    path = request.begun
    assert path
    try:
        bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False)
    except RuntimeError as error:
        raise AvatarError(
            f"{path.name} cannot be opened; check that it is a complete .blend file.", "unreadable"
        ) from error
    avatar = scene.find_avatar(bpy.context)
    if avatar is None:
        raise AvatarError(
            f"{path.name} has no avatar, or several; open it in Blender, select one and save the file.", "no_avatar"
        )
    avatar.record.perfect_sync |= request.perfect_sync
    return avatar


def _brought_in(context: bpy.types.Context, request: Request, path: Path) -> Steps:
    """A model's file in place of a generator's mesh, with the request's picture."""
    avatar = yield from objects.bring_in(context, path)
    for obj in avatar.objects:
        obj.name = request.avatar_name if obj is (avatar.armature or avatar.mesh) else f"{request.avatar_name} Mesh"
    record = avatar.record
    record.picture, record.perfect_sync = str(request.picture), request.perfect_sync
    return avatar


def to_do(avatar: Avatar, request: Request) -> set[str]:
    """The steps that are left: all but the mesh after a generator; else those that are not done or outdated, and those
    that need one of these.
    """
    if not (request.begun or request.model):
        return set(STEPS) - {"mesh"}
    found, left = states(avatar), {"export"}
    for name in STEPS:
        if name != "mesh" and (found[name].state != DONE or left & set(NEEDS[name])):
            left.add(name)
    return left


def parameters(request: Request) -> dict:
    """What makes the avatar what it is, for the receipt: of a part, what it has itself added."""
    whole = request.parameters()
    if not request.begun:
        return whole | ({"model": request.model.name, "model_sha256": digest(request.model)} if request.model else {})
    given = {"vrm": whole["vrm"], "blend_sha256": digest(request.begun)}
    return given | ({"author": request.author} if request.author else {})


def scale(request: Request, left: set[str]) -> Callable[[float], float]:
    """From the fraction of all steps to that of this part's, 0 to 1."""
    first = BEGINS["mesh"] if not request.begun else min(BEGINS[name] for name in left)
    last = ENDS[request.until]
    return lambda fraction: (fraction - first) / max(last - first, 1e-6)


def leave(avatar: Avatar, request: Request) -> None:
    """The files of a part that ends before the VRM: the .blend that the next one begins with, and a GLB to look at."""
    assert request.blend
    scene.export_glb(avatar, request.blend.with_suffix(".glb"))
    packed_file.save(avatar, request.blend)
