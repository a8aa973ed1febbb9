# SPDX-License-Identifier: GPL-3.0-or-later
"""How a cut-out figure stands to the viewer, by what the reader sees of its face and feet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..reader import PARTS, read

LOOKED_AT = 512  # pixels, height at which a figure is read
ROOM = 0.06  # of that height, around the figure
FRONTAL = 0.35  # of Facing.face, with
MIDDLE = 0.15  # of Facing.aside at most: a face that looks at the viewer
ASIDE = 0.25  # of Facing.furthest: a profile's has more, most faces seen at an angle less
LEGS = [PARTS.index(side + part) for side in ("left", "right") for part in ("Thigh", "Shin", "Foot")]
PROFILE = 62.0, 130.0  # degrees of yaw that the reader sees in sides, and hardly ever in anything else
LOST = 0.2  # of Facing.face: less tells nothing of where the face is


@dataclass
class Facing:
    """face: 0..1, how surely eyes and a mouth are seen. aside: where they are in the head, in its heights from its
    middle to the picture's right; furthest: that of the eyes or of the mouth, whichever is more. eyes: 0..1, how surely
    they are seen, which dots without a mouth are as well. yaw: degrees, the reader's: positive looks to the picture's
    right. feet: 0..1, how surely both are seen; legs: their share of the figure's area.
    """

    face: float
    aside: float
    furthest: float
    eyes: float
    yaw: float
    feet: float
    legs: float

    @property
    def is_front(self) -> bool:
        return self.face >= FRONTAL and abs(self.aside) < MIDDLE

    @property
    def is_profile(self) -> bool:
        return PROFILE[0] < abs(self.yaw) < PROFILE[1]


def face_viewer(rgba: np.ndarray) -> Facing:
    """rgba: (H, W, 4) uint8, a figure cut out, cropped to its box."""
    factor = min(1.0, LOOKED_AT / len(rgba))
    size = max(round(rgba.shape[1] * factor), 1), max(round(len(rgba) * factor), 1)
    small = np.asarray(Image.fromarray(rgba).resize(size, Image.Resampling.LANCZOS))
    room = max(round(ROOM * len(small)), 1)
    reading = read(np.pad(small, ((room, room), (room, room), (0, 0))))
    top, chin = reading.joints["headTop"], reading.joints["chin"]
    tall, middle = max(abs(top.y - chin.y), 1.0), (top.x + chin.x) / 2
    eyes, mouth = [reading.face[name] for name in ("leftEye", "rightEye")], reading.face["mouth"]
    sure = np.array([sum(eye.confidence for eye in eyes) / 2, mouth.confidence]) + 1e-6
    places = (np.array([sum(eye.x for eye in eyes) / 2, mouth.x]) - middle) / tall
    return Facing(
        face=float(np.sqrt(sure[0] * sure[1])),
        aside=float((sure * places).sum() / sure.sum()),
        furthest=float(max(places, key=abs)),
        eyes=float(sum(eye.confidence for eye in eyes) / 2),
        yaw=reading.yaw,
        feet=min(reading.joints[side].confidence for side in ("leftFoot", "rightFoot")),
        legs=float(np.isin(reading.parts, LEGS)[reading.mask > 0.5].mean()) if (reading.mask > 0.5).any() else 0.0,
    )
