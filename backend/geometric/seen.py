# SPDX-License-Identifier: GPL-3.0-or-later
"""A finished avatar as a person sees it: pictures of it from the front, and where the reader sees joints and face."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError
from ..image.load import load_picture
from ..mesh.raster import View, front_view, shade
from ..reader import FACE, JOINTS, PARTS, Reading, read
from .looks import SOFT

HEAD_PIXELS = 170  # of the head in the first picture: about what the reader sees of it
LEAST, MOST = 384, 900  # pixels of a picture's height
PLAIN = 200.0  # grey of a surface without a picture
GROUPS = {"arms": ("UpperArm", "Forearm", "Hand"), "head": ("face", "hair", "headgear")}  # ends of the parts' names
THINGS = ("prop", "background")  # parts that belong to no limb, whatever they follow
OPAQUE = 0.5  # a triangle with less is not drawn


def look_over(views: Path, pictures: Sequence[Path]) -> dict[str, Any]:
    """views: .npz with `poses` (P, V, 3) in metres, Y up, facing +Z; `triangles` (T, 3); `uvs` (T, 3, 2), origin top
    left; `held` (T,), which part of GROUPS (1, 2, ...) or none of them (0) a triangle follows; `slot` (T,), the
    triangle's material; `colours` (S, 3), 0..1; `picture` (S,), index into `pictures` or -1; and `head`, the head's
    height in metres. `opened` (V, 3), may be absent: the first pose with an open mouth. The first pose is drawn large
    enough to read its face.

    Returns `views`, one of each pose: {humanoid: 0..1, joints: {name: [x, y, confidence]}, overlap: {group: 0..1}}, in
    metres; the first one also has `face`: {name: [x, y, confidence]} of what is drawn, and `opened`, the same of the
    open mouth. overlap: of the picture's area
    that looks like a group or follows it, the share that does both. Raises BackendError("bad_mesh").
    """
    try:
        with np.load(views, allow_pickle=False) as data:
            given = {name: data[name] for name in data.files}
        poses, triangles = given["poses"].astype(float), given["triangles"].astype(np.int64)
        held = given["held"].astype(np.int64)
        skin = _Skin(given, [_picture(path) for path in pictures])
    except (KeyError, ValueError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise BackendError("bad_mesh", f"The file {views.name} is damaged.", "Check the avatar again.") from error
    head = max(float(given["head"]), 1e-6)
    solid = np.flatnonzero(skin.opaque())

    def look(points: np.ndarray, large: bool) -> tuple[View, Reading]:
        tall = max(float(np.ptp(points[:, 1])), 1e-6)
        pixels = int(np.clip(HEAD_PIXELS * tall / head, LEAST, MOST)) if large else LEAST
        view = front_view(points, triangles[solid], pixels)
        return view, read(skin.paint(view, points, triangles[solid], solid))

    out = []
    for number, points in enumerate(poses):
        view, reading = look(points, large=not number)
        overlap = _overlap(reading, np.where(view.mask, held[solid][view.triangle], -1))
        out.append(_places(view, reading) | {"overlap": overlap} | ({} if number else {"face": _face(view, reading)}))
    if "opened" in given:
        view, reading = look(given["opened"].astype(float), large=True)
        out[0]["opened"] = _place(view, reading.face["mouth"])
    return {"views": out}


class _Skin:
    """The colours of the triangles."""

    def __init__(self, given: dict[str, np.ndarray], pictures: list[np.ndarray | None]) -> None:
        self.uvs, self.slot = given["uvs"].astype(float), given["slot"].astype(np.int64)
        self.colours = given["colours"].astype(float)
        chosen = given["picture"].astype(np.int64)
        self.pictures = [pictures[index] if index >= 0 else None for index in chosen]

    def at(self, triangles: np.ndarray, uvs: np.ndarray) -> np.ndarray:
        """(n, 4) 0..1: the colour of places (n, 2) on the pictures of triangles (n,)."""
        out = np.ones((len(triangles), 4))
        out[:, :3] = PLAIN / 255
        slots = self.slot[triangles]
        for number, picture in enumerate(self.pictures):
            here = slots == number
            if not here.any():
                continue
            out[here, :3] = self.colours[number]
            if picture is not None:
                high, wide = picture.shape[:2]
                place = uvs[here] - np.floor(uvs[here])
                column = np.minimum((place[:, 0] * wide).astype(np.int64), wide - 1)
                row = np.minimum((place[:, 1] * high).astype(np.int64), high - 1)
                texel = picture[row, column].astype(float) / 255
                out[here, :3] *= texel[:, :3]
                out[here, 3] = texel[:, 3]
        return out

    def opaque(self) -> np.ndarray:
        """(T,) bool: those that can be seen, by the alpha of their middle."""
        return self.at(np.arange(len(self.slot)), self.uvs.mean(1))[:, 3] > OPAQUE

    def paint(self, view: View, points: np.ndarray, triangles: np.ndarray, number: np.ndarray) -> np.ndarray:
        """(H, W, 4) uint8 in soft light. number: of each drawn triangle, its place among all."""
        rgba = shade(view, points, triangles)
        seen = view.mask
        owner = number[view.triangle[seen]]
        colour = self.at(owner, (view.bary[seen][..., None] * self.uvs[owner]).sum(1))[:, :3]
        light = rgba[seen][:, :1].astype(float) / PLAIN
        rgba[seen, :3] = np.clip(255 * colour * (1 - SOFT + SOFT * light), 0, 255).astype(np.uint8)
        return rgba


def _picture(path: Path) -> np.ndarray | None:
    """None for what is no picture: its surface is drawn plain."""
    try:
        return load_picture(path).rgba
    except BackendError:
        return None


def _places(view: View, reading: Reading) -> dict[str, Any]:
    return {
        "humanoid": round(float(reading.humanoids["one"]), 4),
        "joints": {name: _place(view, reading.joints[name]) for name in (*JOINTS, "headTop", "chin")},
    }


def _overlap(reading: Reading, held: np.ndarray) -> dict[str, float]:
    """held (H, W): the group that the visible triangle follows, -1 where there is none."""
    body = (held >= 0) & ~np.isin(reading.parts, [PARTS.index(name) for name in THINGS])
    out = {}
    for number, (group, ends) in enumerate(GROUPS.items(), 1):
        looks = body & np.isin(reading.parts, [k for k, name in enumerate(PARTS) if name.endswith(ends)])
        follows = body & (held == number)
        out[group] = round(float((looks & follows).sum() / max((looks | follows).sum(), 1)), 4)
    return out


def _face(view: View, reading: Reading) -> dict[str, list[float]]:
    return {name: _place(view, reading.face[name]) for name in FACE if reading.face[name].state == "drawn"}


def _place(view: View, found: Any) -> list[float]:
    x, y = view.to_metres(np.array([found.x - 0.5, found.y - 0.5]))
    return [round(float(x), 5), round(float(y), 5), round(float(found.confidence), 4)]
