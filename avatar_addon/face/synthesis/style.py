# SPDX-License-Identifier: GPL-3.0-or-later
"""How the user wants the visemes: stronger, wider, with raised corners; and the mouth with teeth and tongue or plain.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .measures import Face
from .mouth import Mouth, follow_lips
from .refine import Skin
from .shapes import LEAST, VISEME_SHAPES, Lips, lip_field, on_surface
from .surface import DepthMap

WIDEN_RANGE = (-0.75, 0.9)  # beyond, the corners of the mouth would pass each other, or its skin


@dataclass(frozen=True)
class Viseme:
    """strength: of the whole shape, 1 as it is; width: how much wider it becomes, corners: how far they rise, in
    mouth widths.
    """

    strength: float = 1.0
    width: float = 0.0
    corners: float = 0.0

    def lips(self, usual: Lips) -> Lips:
        widen = min(max(usual.widen * self.strength + self.width, WIDEN_RANGE[0]), WIDEN_RANGE[1])
        return replace(
            usual,
            lower=usual.lower * self.strength,
            upper=usual.upper * self.strength,
            pout=usual.pout * self.strength,
            widen=widen,
            corners=usual.corners * self.strength + self.corners,
        )


@dataclass(frozen=True)
class Style:
    """visemes: those that differ from usual; interior: teeth and tongue in the mouth, else it is plainly dark; cards:
    mouths are drawn on cards and the skin is not cut, None: on a face that is drawn flat; cards_if_uncut: also where
    the skin cannot be cut.
    """

    visemes: Mapping[str, Viseme] = field(default_factory=dict)
    interior: bool = True
    cards: bool | None = False
    cards_if_uncut: bool = False

    def changed(self) -> dict[str, Lips]:
        """Viseme -> lips, of those that are not as usual."""
        return {
            name: VISEME_SHAPES[name] if viseme == Viseme() else viseme.lips(VISEME_SHAPES[name])
            for name, viseme in self.visemes.items()
        }


@dataclass(frozen=True)
class Reshape:
    """What a viseme is made from, kept so that it can be made again at once while a slider moves."""

    skin: Skin
    mouth: Mouth
    face: Face
    seen: DepthMap
    lower: np.ndarray
    moving: np.ndarray

    def __call__(self, lips: Lips) -> np.ndarray:
        """(V, 3) displacements in the face frame, metres: what make_shapes and follow_lips give for these lips."""
        at = np.flatnonzero(self.moving > 0)
        skin = self.skin.points[at]
        moved = (
            on_surface(skin, lip_field(skin[:, :2], self.lower[at], self.face, self.mouth.slit, lips), self.seen)
            * self.moving[at, None]
        )
        moved[np.abs(moved).max(1) < LEAST * self.face.width] = 0
        shape = np.zeros_like(self.skin.points)
        shape[at] = moved
        follow_lips(self.skin, self.mouth, self.face, self.seen, shape)
        return shape

    def in_blender(self, viseme: str, style: Viseme) -> np.ndarray:
        """(V, 3) float32 displacements in Blender's axes."""
        return (self(style.lips(VISEME_SHAPES[viseme])) @ self.face.turn).astype(np.float32)
