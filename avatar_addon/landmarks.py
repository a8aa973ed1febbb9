# SPDX-License-Identifier: GPL-3.0-or-later
"""The landmarks of a face, in a picture (2D, pixels) or on a mesh (3D, metres): what markers show and let a person
drag. Their form in requests, results and files is the face dict of docs/architecture.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Part:
    """A part of the face. name: in a face dict; attribute: of an avatar's record; label: of its marker; sizes: in a
    face dict, beside the centre; required: no face can be made without it.
    """

    name: str
    attribute: str
    label: str
    sizes: tuple[str, ...] = ()
    required: bool = False


PARTS = {
    part.name: part
    for part in (
        Part("leftEye", "left_eye", "Left Eye", ("half_width", "half_height"), required=True),
        Part("rightEye", "right_eye", "Right Eye", ("half_width", "half_height"), required=True),
        Part("mouth", "mouth", "Mouth", ("width",), required=True),
        Part("leftBrow", "left_brow", "Left Brow"),
        Part("rightBrow", "right_brow", "Right Brow"),
        Part("jaw", "jaw", "Jaw"),
    )
}
REQUIRED = tuple(part.name for part in PARTS.values() if part.required)
OPTIONAL = tuple(part.name for part in PARTS.values() if not part.required)
BROWS = ("leftBrow", "rightBrow")


@dataclass(frozen=True)
class Landmark:
    """A place in the face. center: 2 or 3 coordinates; half_width, half_height: 0 where they are not known."""

    center: tuple[float, ...]
    half_width: float = 0.0
    half_height: float = 0.0


@dataclass
class FaceLandmarks:
    """parts: those that are known, by the names in PARTS; confidence: from 0 to 1 of "eyes" and "mouth"."""

    parts: dict[str, Landmark] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, face: Mapping[str, Any]) -> FaceLandmarks:
        """Of a face dict; entries without a centre, and of parts that are not known, are left out."""
        parts = {}
        for name, entry in face.items():
            if name in PARTS and entry and entry.get("center") is not None:
                wide = entry["width"] / 2 if entry.get("width") else entry.get("half_width") or 0.0
                parts[name] = Landmark(tuple(map(float, entry["center"])), wide, entry.get("half_height") or 0.0)
        return cls(parts, dict(face.get("confidence") or {}))

    def to_dict(self) -> dict[str, Any]:
        """The face dict; sizes that are not known are left out."""
        face: dict[str, Any] = {}
        for name, mark in self.parts.items():
            known = {"half_width": mark.half_width, "half_height": mark.half_height, "width": 2 * mark.half_width}
            face[name] = {"center": list(mark.center)} | {s: known[s] for s in PARTS[name].sizes if known[s] > 0}
        return face | ({"confidence": dict(self.confidence)} if self.confidence else {})

    def moved(self, move: Callable[[tuple[float, ...]], Any]) -> FaceLandmarks:
        """In other axes; sizes stay. move: a centre to its new place."""
        parts = {n: replace(mark, center=tuple(map(float, move(mark.center)))) for n, mark in self.parts.items()}
        return FaceLandmarks(parts, dict(self.confidence))

    def is_placed(self, name: str) -> bool:
        """Whether a part is there, at a place in space."""
        mark = self.parts.get(name)
        return mark is not None and len(mark.center) == 3 and all(map(math.isfinite, mark.center))
