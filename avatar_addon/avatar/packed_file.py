# SPDX-License-Identifier: GPL-3.0-or-later
"""An avatar's .blend file that another computer can go on with: textures and the reference picture are inside, and
no folder of this computer is named.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import bpy

from ..files import digest
from .scene import Avatar


def save(avatar: Avatar, path: Path) -> Path:
    """Writes the open file to `path`, complete or not at all; the open file itself stays as it is. Raises OSError."""
    part = path.with_name(f"avatar-forge-{uuid.uuid4().hex}.part.blend")
    try:
        with _portable(avatar):
            # RuntimeError: Blender's word for every reason, most often a full disk.
            try:
                bpy.ops.wm.save_as_mainfile(
                    filepath=str(part), copy=True, compress=True, relative_remap=False, check_existing=False
                )
            except RuntimeError as error:
                raise OSError(
                    0, str(error).strip().splitlines()[-1].partition(": ")[2].rstrip(".") or "unknown reason"
                ) from error
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def _portable(avatar: Avatar) -> Iterator[None]:
    """With everything packed, and without paths in the avatar's record and the scene's settings."""
    record, settings = avatar.record, bpy.context.scene.avatar_forge
    kept = {name: getattr(record, name) for name in ("job_folder", "run_folder", "picture")}
    chosen = settings.picture
    picture = Path(kept["picture"])
    if kept["picture"] and picture.is_file():
        _embed(avatar, picture)
    images = {image: image.filepath_raw for image in bpy.data.images if image.source == "FILE"}
    try:
        for image, place in images.items():
            if not image.packed_file and place:
                image.pack()
            if image.packed_file and place:
                image.filepath_raw = f"//{bpy.path.basename(place)}"
        record.job_folder = record.run_folder = ""
        record.picture = settings.picture = picture.name  # no place: it is inside
        yield
    finally:
        for name, value in kept.items():
            setattr(record, name, value)
        settings.picture = chosen
        for image, place in images.items():
            if place and image.filepath_raw != place:
                image.filepath_raw = place


def _embed(avatar: Avatar, picture: Path) -> None:
    image = avatar.record.picture_image
    if image is None:
        image = avatar.record.picture_image = bpy.data.images.load(str(picture))
        image.name = picture.name
        image.pack()


def picture_of(avatar: Avatar, folder: Path) -> Path | None:
    """The picture that the avatar was made from: where it lies, else the one inside the file, written to `folder`;
    None where there is neither.
    """
    named = Path(avatar.record.picture)
    if named.is_absolute() and named.is_file():
        return named
    image = avatar.record.picture_image
    return _written(image, folder) if image and image.packed_file else None


def picture_inside(named: str, folder: Path) -> Path | None:
    """The picture that the settings name as `named`, where it is only inside the file: written below `folder`."""
    for obj in bpy.data.objects:
        image = obj.avatar_forge.picture_image
        if image and image.packed_file and bpy.path.basename(image.filepath_raw) == named:
            return _written(image, folder)
    return None


def _written(image: bpy.types.Image, folder: Path) -> Path:
    """The bytes that were packed, so that the digest is the original's."""
    path = folder / bpy.path.basename(image.filepath_raw)
    path.write_bytes(image.packed_file.data)
    return path


def remember(avatar: Avatar, run: str, vrm: Path) -> None:
    """Notes which recorded run has this state of the avatar: what is exported later is a new version of it."""
    avatar.record.recorded_run, avatar.record.recorded_vrm = run, digest(vrm)


def parent(avatar: Avatar) -> dict[str, str] | None:
    """The recorded run that the avatar is a version of, for the receipt of the next one."""
    record = avatar.record
    return {"run": record.recorded_run, "vrm": record.recorded_vrm} if record.recorded_run else None
