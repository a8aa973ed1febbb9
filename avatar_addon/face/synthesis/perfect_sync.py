# SPDX-License-Identifier: GPL-3.0-or-later
"""ARKit's 52 face shapes from the same lips, lids, brows and irises that the VRM expressions are made from.

Source of names and meanings: Apple, ARFaceAnchor.BlendShapeLocation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...vrm.spec.perfect_sync import SIDES, SYNC_SHAPES
from .cards import SHOWN_BY_SYNC, Cards
from .lids import Lid, move_lids
from .measures import Eye, Face
from .mouth import RINGS, Mouth, follow_lips
from .refine import Skin
from .shapes import LEAST, LOWER_REACH, Eyes, Lips, Slit, brow_field, gaze_field, lip_field, on_surface, wide_field
from .style import Viseme
from .surface import DepthMap, smoothstep

JAW_OPEN = Lips(lower=0.5, upper=0.0, widen=-0.03)
LIPS = {
    "jawOpen": JAW_OPEN,
    "mouthFunnel": Lips(0.22, 0.13, -0.32, 0.09),
    "mouthPucker": Lips(0.0, 0.0, -0.42, 0.1),
}
LIPS_OF_SIDE = {
    "mouthSmile": Lips(widen=0.10, corners=0.24),
    "mouthFrown": Lips(widen=-0.04, corners=-0.22),
    "mouthDimple": Lips(widen=0.12, pout=-0.04, corners=0.04),
    "mouthStretch": Lips(widen=0.2, corners=-0.07),
    "mouthLowerDown": Lips(lower=0.16),
    "mouthUpperUp": Lips(upper=0.12),
}
EYES_OF_SIDE = {
    "eyeBlink": Eyes(1.0),
    "eyeSquint": Eyes(close=0.22, squint=0.75),
    "eyeWide": Eyes(close=-0.22, brow=0.02),
    "browDown": Eyes(brow=-0.08, brow_slant=-0.06),
    "browOuterUp": Eyes(brow=0.06, brow_slant=-0.06),
}
# What moves the corners of a mouth or all of it, which a mouth that is only painted shows as well.
WITHOUT_SLIT = ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch", "mouthLeft", "mouthRight")
WITH_LIDS = ("eyeBlink", "eyeSquint")
INNER_BROWS = Eyes(brow=0.05, brow_slant=0.09)
LOOKS = {"Up": (0.0, 1.0), "Down": (0.0, -1.0), "In": (1.0, 0.0), "Out": (-1.0, 0.0)}  # to the nose, and up
SEAM = 0.22  # mouth widths over which what one half of the mouth does fades into the other half
SHIFT = 0.16  # of mouth and jaw to a side, mouth widths
JAW_FORWARD = 0.12  # mouth widths
ROLL, ROLL_REACH, ROLL_IN = 0.035, 0.35, 0.05  # of a lip: towards the slit, over what height, inwards; mouth widths
SHRUG, SHRUG_REACH, SHRUG_OUT = 0.05, 0.6, 0.04
PRESS = 0.03
TONGUE_OUT, TONGUE_DOWN = 0.42, 0.16  # mouth widths


@dataclass(frozen=True)
class Bump:
    """Skin that moves as a hill: place and radius in the face plane, metres; move: (u, v, d) at its top, metres."""

    u: float
    v: float
    radius: float
    move: tuple[float, float, float]

    def field(self, uv: np.ndarray) -> np.ndarray:
        far = np.hypot(uv[:, 0] - self.u, uv[:, 1] - self.v) / self.radius
        return (np.clip(1 - far * far, 0, 1) ** 2)[:, None] * np.array(self.move)


@dataclass(frozen=True)
class FaceParts:
    """What the face step has made, and the shapes are made from. As in shapes.make_shapes; mouth, lids, cards: where
    made.
    """

    skin: Skin
    lower: np.ndarray
    moving: np.ndarray
    seen: DepthMap
    face: Face
    mouth: Mouth | None
    lids: list[Lid]
    cards: Cards | None = None


def make_perfect_sync(parts: FaceParts) -> dict[str, np.ndarray]:
    """ARKit name -> (V, 3) displacements in metres, face frame; those that this face cannot show are left out.

    Without a mouth there are no shapes of mouth, jaw and tongue; with cards those that open the mouth show a card, and
    those that move its corners or all of it move what is painted. Without lids there are no blinks and squints.
    """
    points, face = parts.skin.points, parts.face
    at = np.flatnonzero(parts.moving > 0)
    skin, amount = points[at], parts.moving[at, None]
    fields = _eye_fields(skin[:, :2], face, bool(parts.lids)) | _cheek_fields(skin[:, :2], face)
    if parts.mouth:
        fields |= _mouth_fields(skin[:, :2], parts.lower[at], face, parts.mouth.slit)
    elif parts.cards:
        painted = _mouth_fields(skin[:, :2], parts.lower[at], face, Slit(0.0, 0.5 * face.width))
        fields |= {name: field for name, field in painted.items() if name.startswith(WITHOUT_SLIT)}
    shapes = {}
    for name, field in fields.items():
        moved = on_surface(skin, field, parts.seen) * amount
        moved[np.abs(moved).max(1) < LEAST * face.width] = 0
        shapes[name] = np.zeros_like(points)
        shapes[name][at] = moved
    if parts.mouth:
        for name in fields:
            if SYNC_SHAPES[name].region in ("mouth", "jaw"):
                follow_lips(parts.skin, parts.mouth, face, parts.seen, shapes[name])
        # Whatever the lips and the bag behind them do as the jaw opens is taken back.
        shapes["mouthClose"] = -shapes["jawOpen"] * _near_lips(points, face)[:, None]
        tongue = _tongue(parts)
        if tongue is not None:
            shapes["tongueOut"] = tongue
    elif parts.cards:
        shapes |= {name: parts.cards.shape(card, Viseme()) for name, card in SHOWN_BY_SYNC.items()}
        shapes["mouthClose"] = -shapes["jawOpen"]
    for eye in face.eyes if parts.lids else ():
        eyes = {name + eye.side: EYES_OF_SIDE[name] for name in WITH_LIDS}
        move_lids(parts.skin, parts.lids, face, parts.seen, shapes, eye, eyes)
    return {name: shapes[name] for name in SYNC_SHAPES if name in shapes and np.abs(shapes[name]).max() > 0}


def missing(shapes: dict[str, np.ndarray]) -> list[str]:
    """ARKit's names that a face does not show."""
    return [name for name in SYNC_SHAPES if name not in shapes]


def _sign(side: str) -> float:
    """Of u, on the character's given side."""
    return 1.0 if side == "Left" else -1.0


def _half(u: np.ndarray, face: Face, middle: float, side: str) -> np.ndarray:
    """(N, 1) 1 on one half of the mouth and 0 on the other."""
    return smoothstep(0.5 + _sign(side) * (u - middle) / (SEAM * face.width))[:, None]


def _eye_fields(uv: np.ndarray, face: Face, lids: bool) -> dict[str, np.ndarray]:
    """Shapes of eyes and brows; the lids themselves move later."""
    fields = {"browInnerUp": np.zeros((len(uv), 3))}
    for eye in face.eyes:
        fields["browInnerUp"] += brow_field(uv, face, eye, INNER_BROWS)
        one = replace(face, eyes=(eye,))  # type: ignore[arg-type]
        for name, (inwards, up) in LOOKS.items():
            fields[f"eyeLook{name}{eye.side}"] = gaze_field(uv, one, (inwards * eye.inward, up))
        for name, eyes in EYES_OF_SIDE.items():
            if lids or name not in WITH_LIDS:
                fields[name + eye.side] = wide_field(uv, eye, eyes) + brow_field(uv, face, eye, eyes)
    return fields


def _cheek_fields(uv: np.ndarray, face: Face) -> dict[str, np.ndarray]:
    d, w = face.spacing, face.width
    fields = {"cheekPuff": np.zeros((len(uv), 3))}
    for eye in face.eyes:
        out = -eye.inward
        below = eye.v - 1.3 * eye.half_height
        puffed = Bump(eye.u + 0.05 * out * d, 0.25 * eye.v, 0.42 * d, (0.05 * out * d, 0.0, -0.1 * d))
        lifted = Bump(eye.u, below - 0.26 * d, 0.26 * d, (0.0, 0.055 * d, -0.02 * d))
        wing = Bump(eye.u * 0.36, 0.42 * eye.v, 0.2 * d, (0.0, 0.05 * d, 0.0))
        wrinkle = brow_field(uv, face, eye, Eyes(brow=-0.025, brow_slant=-0.03))
        fields["cheekPuff"] += puffed.field(uv)
        fields["cheekSquint" + eye.side] = lifted.field(uv)
        fields["noseSneer" + eye.side] = wing.field(uv) + wrinkle + _lip_below_nose(uv, face, w, eye)
    return fields


def _lip_below_nose(uv: np.ndarray, face: Face, w: float, eye: Eye) -> np.ndarray:
    """The skin between nose and lip that a sneer takes along; the lip itself stays."""
    side = -eye.inward
    return Bump(0.25 * side * w, 0.22 * eye.v, 0.16 * eye.v, (0.0, 0.03 * face.spacing, 0.0)).field(uv)


def _mouth_fields(uv: np.ndarray, lower: np.ndarray, face: Face, slit: Slit) -> dict[str, np.ndarray]:
    fields = {name: lip_field(uv, lower, face, slit, lips) for name, lips in LIPS.items()}
    for side in SIDES:
        half = _half(uv[:, 0], face, slit.middle, side)
        for name, lips in LIPS_OF_SIDE.items():
            fields[name + side] = lip_field(uv, lower, face, slit, lips) * half
        towards = np.array([_sign(side), 0.0, 0.0])
        fields["mouth" + side] = _mouth_weight(uv, face)[:, None] * towards * SHIFT * face.width
        fields["jaw" + side] = _jaw_weight(uv, lower, face, slit)[:, None] * towards * SHIFT * face.width
        fields["mouthPress" + side] = (
            sum(_rolled(uv, rows, face, slit, PRESS, ROLL_REACH, 0.0) for rows in (lower, ~lower)) * half
            + lip_field(uv, lower, face, slit, Lips(widen=0.04)) * half
        )
    fields["jawForward"] = _jaw_weight(uv, lower, face, slit)[:, None] * [0.0, 0.0, -JAW_FORWARD * face.width]
    fields["mouthRollLower"] = _rolled(uv, lower, face, slit, ROLL, ROLL_REACH, ROLL_IN)
    fields["mouthRollUpper"] = _rolled(uv, ~lower, face, slit, ROLL, ROLL_REACH, ROLL_IN)
    fields["mouthShrugLower"] = _rolled(uv, lower, face, slit, SHRUG, SHRUG_REACH, -SHRUG_OUT)
    fields["mouthShrugUpper"] = _rolled(uv, ~lower, face, slit, -SHRUG, SHRUG_REACH, -SHRUG_OUT)
    return fields


def _near_lips(points: np.ndarray, face: Face) -> np.ndarray:
    """(N,) 1 at the lips, 0 at the chin: what closes the mouth and leaves the jaw open."""
    return smoothstep(1 - np.abs(points[:, 1]) / (LOWER_REACH * face.chin))


def _mouth_weight(uv: np.ndarray, face: Face) -> np.ndarray:
    """(N,) how far the skin around the mouth follows when the whole mouth moves."""
    w = face.width
    far = np.hypot(uv[:, 0] / (1.05 * w), uv[:, 1] / (0.75 * min(w, 1.2 * face.chin)))
    return np.clip(1 - far * far, 0, 1) ** 2


def _jaw_weight(uv: np.ndarray, lower: np.ndarray, face: Face, slit: Slit) -> np.ndarray:
    """(N,) how far the skin follows when the jaw is pushed: most at the chin, not at the corners of the mouth."""
    below = 1.5 * face.chin
    down = np.clip(-uv[:, 1] / below, 0, 1)
    wide = slit.half * (1 + 1.4 * down)
    across = np.clip(1 - ((uv[:, 0] - slit.middle) / wide) ** 2, 0, 1) ** 2
    along = (0.6 + 1.6 * down) * (1 - smoothstep(down))
    return np.where(lower, across * along, 0.0)


def _rolled(
    uv: np.ndarray, rows: np.ndarray, face: Face, slit: Slit, towards: float, reach: float, inwards: float
) -> np.ndarray:
    """(N, 3) one lip's skin (`rows`) drawn towards the slit, and its edge inwards; in mouth widths.

    The edge stays at the slit. Towards it the skin is compressed by at most `towards * 6.75 / reach`, less than 1.
    """
    w = face.width
    t = np.clip(np.abs(uv[:, 1]) / (reach * w), 0, 1)
    across = np.clip(1 - ((uv[:, 0] - slit.middle) / (1.05 * slit.half)) ** 2, 0, 1) ** 0.75
    drawn = 6.75 * t * (1 - t) ** 2
    field = np.zeros((len(uv), 3))
    field[:, 1] = -np.sign(uv[:, 1]) * towards * w * drawn * across
    field[:, 2] = inwards * w * (1 - t) ** 2 * across
    return np.where(rows[:, None], field, 0.0)


def _tongue(parts: FaceParts) -> np.ndarray | None:
    """(V, 3) the bottom of the mouth folded forward between the lips; None where the mouth has no tongue."""
    mouth, w = parts.mouth, parts.face.width
    if mouth is None or not len(mouth.teeth):  # both come with the inside of the mouth
        return None
    rest = parts.skin.points[mouth.arcs]
    lips = parts.skin.points[mouth.lower]
    place = (lips[:, 0] - mouth.slit.middle) / mouth.slit.half
    across = np.clip(1 - (place / 0.7) ** 2, 0, 1)[:, None]
    ring = np.arange(rest.shape[1])
    # From the back of the mouth over the tip to the lip: how far each ring comes out, and how far it hangs.
    out = np.interp(ring, [RINGS - 1, RINGS + 0.5, RINGS + 2, 2 * RINGS - 2], [0.0, 0.9, 1.0, 0.35])
    down = np.interp(ring, [RINGS - 1, RINGS + 0.5, RINGS + 2, 2 * RINGS - 2], [0.0, 0.55, 1.0, 0.7])
    front = lips[:, None, 2] - TONGUE_OUT * w * np.sqrt(across)
    shape = np.zeros_like(parts.skin.points)
    moved = np.zeros_like(rest)
    moved[:, :, 2] = np.minimum(front - rest[:, :, 2], 0) * out * across
    moved[:, :, 1] = -TONGUE_DOWN * w * down * across
    shape[mouth.arcs] = moved
    return shape
