# SPDX-License-Identifier: GPL-3.0-or-later
"""Further pictures of the character as cards in the scene's settings: which side each shows, or that it is ignored.

Left and right are the character's own. The front is the settings' picture; a sheet's figures are cards too, of which
one is the front.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ..client import session
from ..client.process import jobs
from ..client.process.tasks import Steps, Wait
from ..errors import AvatarError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
SIDES = ("left", "back", "right")
KINDS = (
    ("front", "Front", "The picture that the avatar is made from"),
    ("left", "Left", "The character's own left side: its face points to the left in the picture"),
    ("back", "Back", "From behind"),
    ("right", "Right", "The character's own right side: its face points to the right in the picture"),
    ("ignore", "Ignore", "Not used"),
)
WHY = {
    "portrait": "A portrait or a detail",
    "three_quarter": "Seen at an angle",
    "repeated": "There is already a picture of this side",
}


def _changed(card: AvatarForgeCard, context: bpy.types.Context) -> None:
    """One card a side: the one that had it before is ignored. A card that becomes the front is the picture."""
    settings = context.scene.avatar_forge
    settings.cards_note, settings.cards_swap = "", False
    if card.kind == "ignore":
        return
    for other in settings.cards:
        if other != card and other.kind == card.kind:
            other.kind = "ignore"
    if card.kind == "front":
        settings.picture = str(file_of(card))


def _mirrored(card: AvatarForgeCard, context: bpy.types.Context) -> None:
    _changed(card, context)


class AvatarForgeCard(bpy.types.PropertyGroup):
    """A further picture. why: the reason that a sheet's figure is ignored, a key of WHY."""

    picture: StringProperty(name="Picture", subtype="FILE_PATH")
    kind: EnumProperty(name="Side", description="Which side of the character it shows", items=KINDS, update=_changed)
    mirror: BoolProperty(name="Mirror", description="Use the mirrored picture", update=_mirrored)
    why: StringProperty()


def file_of(card: AvatarForgeCard) -> Path:
    """The card's picture, mirrored where the card says so."""
    path = Path(bpy.path.abspath(card.picture)).resolve()
    return mirrored(path) if card.mirror else path


def sides(scene: bpy.types.Scene) -> dict[str, Path]:
    """The files of left, back and right, of those there are."""
    return {card.kind: file_of(card) for card in scene.avatar_forge.cards if card.kind in SIDES and card.picture}


def add(context: bpy.types.Context, files: list[Path]) -> None:
    """Cards for pictures of one side each: the side that a name ends in (NAME.back.png), else the next that is free."""
    settings = context.scene.avatar_forge
    for file in files:
        named = side_of_name(file)
        if named == "front" or (not settings.picture and named is None):
            settings.picture = str(file)
            continue
        taken = {card.kind for card in settings.cards}
        kind = named or next((side for side in ("left", "back", "right") if side not in taken), "ignore")
        _add(context, file, kind)


def _add(context: bpy.types.Context, file: Path, kind: str, why: str = "") -> None:
    card = context.scene.avatar_forge.cards.add()
    card.picture, card.why = str(file), why
    card.kind = kind
    _changed(card, context)


def side_of_name(file: Path) -> str | None:
    """front, left, back or right where a file's name ends in it: knight.back.png, knight_left.png."""
    stem = file.stem.lower()
    return next((side for side in ("front", *SIDES) if stem.endswith(tuple(f"{mark}{side}" for mark in "._- "))), None)


def cut(context: bpy.types.Context, sheet: Path) -> Steps:
    """The figures of a model sheet as cards, in place of those there were. One figure alone is the picture.
    Returns how many there are; raises AvatarError.
    """
    figures = yield from cut_sheet(sheet)
    settings = context.scene.avatar_forge
    if len(figures) < 2:
        return len(figures)
    settings.cards.clear()
    settings.cards_note, settings.cards_swap = "", False
    settings.name = settings.name or sheet.stem
    for figure in figures:
        _add(context, Path(figure["picture"]), figure["view"], figure["why"])
    yield from review(context)
    if all(figure["view"] != "front" for figure in figures):
        settings.cards_note = str(_no_front(sheet))
    return len(figures)


def _no_front(sheet: Path) -> AvatarError:
    return AvatarError(
        f"No front view was recognised in the sheet {sheet.name}; give the pictures one by one.", "no_front"
    )


def from_sheet(sheet: Path) -> Steps:
    """(front, {side: file}, sentences on what the sheet shows and which figures are not used) of a model sheet; the
    sheet itself where it shows one figure. Raises AvatarError.
    """
    figures = yield from cut_sheet(sheet)
    found = {figure["view"]: Path(figure["picture"]) for figure in figures if figure["view"] != "ignore"}
    if len(figures) < 2:
        return sheet, {}, ["The sheet shows one figure, which is taken for the front."]
    if "front" not in found:
        raise _no_front(sheet)
    front = found.pop("front")
    return front, found, [f"The sheet shows: {', '.join(['front', *found])}.", *_unused(figures)]


def _unused(figures: list[dict[str, Any]]) -> list[str]:
    """A sentence for each figure of a sheet that is not used."""
    said = []
    for number, figure in enumerate(figures, 1):
        if figure["view"] == "ignore":
            why = WHY.get(figure["why"], "Not recognised")
            said.append(f"Figure {number} of {len(figures)} from the left is not used: {why[0].lower()}{why[1:]}.")
    return said


def cut_sheet(sheet: Path) -> Steps:
    """The worker's figures of a sheet, from left to right; the same sheet is cut into the same files."""
    try:
        content = sheet.read_bytes()
    except OSError as error:
        raise AvatarError(f"The picture {sheet.name} cannot be read; check the path.", "unreadable") from error
    folder = session.runs_folder() / "pictures" / f"sheet-{hashlib.sha256(content).hexdigest()[:16]}"
    result = yield Wait(jobs.Job("cut_sheet", picture=sheet, out_dir=folder))
    if not result["figures"]:
        raise AvatarError(f"No figure was found in the picture {sheet.name}; use another one.", "no_figure")
    return result["figures"]


def review(context: bpy.types.Context) -> Steps:
    """What does not fit between the pictures, for the panel."""
    settings, further = context.scene.avatar_forge, sides(context.scene)
    settings.cards_note, settings.cards_swap = "", False
    if further and settings.picture:
        picture = Path(bpy.path.abspath(settings.picture)).resolve()
        found = yield Wait(jobs.Job("check_views", picture=picture, pictures=further))
        settings.cards_note, settings.cards_swap = found["message"], found["swap"]


def swap(context: bpy.types.Context) -> None:
    """The left side becomes the right one and the other way round."""
    other = {"left": "right", "right": "left"}
    for card, kind in [(card, other[card.kind]) for card in context.scene.avatar_forge.cards if card.kind in other]:
        card["kind"] = [name for name, *_ in KINDS].index(kind)  # without the update, which would ignore one of them
    context.scene.avatar_forge.cards_note, context.scene.avatar_forge.cards_swap = "", False


def mirrored(path: Path) -> Path:
    """A mirrored copy of a picture, kept among the runs: the same file has the same copy. Raises AvatarError."""
    try:
        name = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise AvatarError(f"The picture {path.name} cannot be read; check the path.", "unreadable") from error
    file = session.runs_folder() / "pictures" / f"mirrored-{name}.png"
    if file.exists():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    source = bpy.data.images.load(str(path))
    width, height = source.size
    copy: Any = bpy.data.images.new("Mirrored", max(width, 1), max(height, 1), alpha=True)
    try:
        pixels = np.empty(4 * width * height, np.float32)
        source.pixels.foreach_get(pixels)
        copy.pixels.foreach_set(np.ascontiguousarray(pixels.reshape(height, width, 4)[:, ::-1]).ravel())
        copy.file_format = "PNG"
        copy.save(filepath=str(file))
    finally:
        bpy.data.images.remove(source)
        bpy.data.images.remove(copy)
    return file


def register() -> None:
    bpy.utils.register_class(AvatarForgeCard)


def unregister() -> None:
    bpy.utils.unregister_class(AvatarForgeCard)
