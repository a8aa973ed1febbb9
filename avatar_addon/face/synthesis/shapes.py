# SPDX-License-Identifier: GPL-3.0-or-later
"""Visemes, blinks, emotions and gaze as displacements of the face's front, in the face frame (u, v, d).

The texture rides on the vertices, as in Live2D puppets. Blinks are the lids' alone (lids.py), and empty here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...vrm.spec.presets import EMOTIONS, LOOKS, PRESETS, VISEMES
from .measures import BROW_AT, LID, Eye, Face
from .surface import DepthMap, smoothstep


@dataclass(frozen=True)
class Lips:
    """A shape of the mouth, in mouth widths. lower, upper: how far each lip opens; widen: of the mouth, negative
    narrows; pout: forward; corners: how far they rise.
    """

    lower: float = 0.0
    upper: float = 0.0
    widen: float = 0.0
    pout: float = 0.0
    corners: float = 0.0


@dataclass(frozen=True)
class Slit:
    """Where the mouth opens: u of its middle, and half its width."""

    middle: float
    half: float


@dataclass(frozen=True)
class Eyes:
    """A shape of the eyes. close: of the upper lid, 1 is shut, negative opens wider; slant: how much more the lid
    closes at the nose than outside; brow, brow_slant: how far the brows rise in eye distances, and how much more so
    at the nose; squint: the lower lid's rise.
    """

    close: float = 0.0
    slant: float = 0.0
    brow: float = 0.0
    brow_slant: float = 0.0
    squint: float = 0.0


VISEME_SHAPES = {
    "aa": Lips(0.50, 0.09, -0.04, 0.0),
    "ih": Lips(0.18, 0.07, 0.18, 0.0, 0.03),
    "ou": Lips(0.20, 0.06, -0.42, 0.06),
    "ee": Lips(0.16, 0.10, 0.26, 0.0, 0.07),
    "oh": Lips(0.38, 0.09, -0.34, 0.06),
}
EMOTION_SHAPES = {
    "happy": (Lips(0.0, 0.0, 0.10, 0.0, 0.22), Eyes(0.30, 0.0, 0.03, 0.0, 0.45)),
    "angry": (Lips(0.07, 0.06, 0.05, 0.0, -0.13), Eyes(0.16, 0.62, -0.07, -0.14, 0.12)),
    "sad": (Lips(0.0, 0.0, -0.08, 0.0, -0.24), Eyes(0.26, -0.50, 0.03, 0.15)),
    "relaxed": (Lips(0.0, 0.0, 0.06, 0.0, 0.11), Eyes(0.55, 0.0, 0.02)),
    "surprised": (Lips(0.34, 0.08, -0.20, 0.02), Eyes(-0.12, 0.0, 0.13)),
}

LOWER_REACH = 1.15  # of the way to the chin that follows the lower lip
UPPER_REACH = 0.55  # mouth widths above the mouth that follow the upper lip
# Of the eyes' marked size, what the lids cover: lashes and liner are painted around the eye.
LID_WIDTH, LID_TOP, LID_BOTTOM = 1.18, 1.25, 1.25
WIDENED_FROM, WIDENED_TO = -1.6, 2.2  # half heights from the middle of the eye: the skin that a wide open eye stretches
GAZE = 0.42  # of the eye's half width and height
STEEPEST = 0.85  # a fold of the skin is kept this far away
LEAST = 0.0015  # mouth widths; smaller displacements are left out


def make_shapes(
    points: np.ndarray, lower: np.ndarray, moving: np.ndarray, seen: DepthMap, face: Face, slit: Slit | None
) -> dict[str, np.ndarray]:
    """name -> (V, 3) displacements in metres, of the face's skin.

    points: (V, 3) as (u, v, d); lower: (V,) what follows the lower lip; moving: (V,) from 0 to 1, 0 off the face's
    front; slit: the opening of the mouth; without one there are no visemes.
    """
    at = np.flatnonzero(moving > 0)
    skin, below, amount = points[at], lower[at], moving[at, None]
    uv = skin[:, :2]
    fields: dict[str, np.ndarray] = {}
    if slit:
        fields |= {name: lip_field(uv, below, face, slit, VISEME_SHAPES[name]) for name in VISEMES}
    fields |= {"blink" + eye.side: np.zeros_like(skin) for eye in face.eyes}
    for name in EMOTIONS:
        lips, eyes = EMOTION_SHAPES[name]
        possible = lips if slit else Lips(widen=lips.widen, corners=lips.corners)
        fields[name] = lip_field(uv, below, face, slit, possible) + eyes_field(uv, face, eyes)
    fields |= {name: gaze_field(uv, face, PRESETS[name].direction) for name in LOOKS}
    out = {}
    for name, field in fields.items():
        moved = on_surface(skin, field, seen) * amount
        moved[np.abs(moved).max(1) < LEAST * face.width] = 0
        out[name] = np.zeros_like(points)
        out[name][at] = moved
    return out


def on_surface(points: np.ndarray, field: np.ndarray, seen: DepthMap) -> np.ndarray:
    """(N, 3) a displacement (u, v, depth) with what keeps a point as far from the smooth front as it was."""
    uv, moved = points[:, :2], field[:, :2]
    change = seen.at(uv + moved, seen.smooth) - seen.at(uv, seen.smooth)
    most = 1.2 * np.linalg.norm(moved, axis=1)
    return np.column_stack([moved, field[:, 2] + np.clip(change, -most, most)])


def lip_field(uv: np.ndarray, lower: np.ndarray, face: Face, slit: Slit | None, lips: Lips) -> np.ndarray:
    """(N, 3) how the skin around the mouth moves for a shape of the mouth."""
    w = face.width
    u, v = uv.T / w
    below = LOWER_REACH * face.chin / w
    reach = np.where(lower, below, UPPER_REACH)
    distance = np.clip(np.abs(v) / reach, 0, 1)
    middle, half = (slit.middle / w, slit.half / w) if slit else (0.0, 0.5)
    wide = half * (1 + np.where(lower, 0.7, 0.5) * distance)  # the jaw is wider than the mouth
    across = np.sqrt(np.clip(1 - ((u - middle) / wide) ** 2, 0, 1))
    fall = 0.5 * (1 + np.cos(np.pi * distance))
    steepest = STEEPEST * 2 / np.pi
    opening = np.where(lower, -min(lips.lower, steepest * below), min(lips.upper, steepest * UPPER_REACH))
    around = np.hypot(u / 1.15, v / np.where(lower, min(0.95, below), 0.85))
    near = 0.5 * (1 + np.cos(np.pi * np.clip(around, 0, 1)))
    side = np.abs(u) / 0.5
    fade = np.clip(np.hypot(np.maximum(side - 1, 0) / 0.9, v / 0.6), 0, 1)
    lift = lips.corners * np.minimum(side, 1) ** 1.7 * (0.5 * (1 + np.cos(np.pi * fade)))
    field = np.zeros((len(uv), 3))
    field[:, 0] = lips.widen * u * near
    field[:, 1] = opening * across * fall + lift
    field[:, 2] = -lips.pout * near
    return field * w


def eyes_field(uv: np.ndarray, face: Face, eyes: Eyes) -> np.ndarray:
    """(N, 3) the skin around both eyes: brows, and eyes opened wide."""
    return sum(
        (wide_field(uv, eye, eyes) + brow_field(uv, face, eye, eyes) for eye in face.eyes), np.zeros((len(uv), 3))
    )


def lid_amount(a: np.ndarray, eye: Eye, eyes: Eyes) -> np.ndarray:
    """How far the upper lid closes at the relative place `a` across it: 1 is shut, below 0 the eye is opened wider."""
    return np.clip(eyes.close - 0.5 * eyes.slant * np.clip(-a * eye.inward, -1, 1), -0.6, 1)


def wide_field(uv: np.ndarray, eye: Eye, eyes: Eyes) -> np.ndarray:
    """(N, 3) an eye that is opened wider than it is painted: its upper half grows, and the skin above gives way."""
    a, b = (uv[:, 0] - eye.u) / (eye.half_width * LID_WIDTH), (uv[:, 1] - eye.v) / eye.half_height
    rim = lid_rim(a)
    raised = -np.minimum(lid_amount(a, eye, eyes), 0) * rim
    rise = np.where(
        b < rim,
        smoothstep((b - WIDENED_FROM) / (rim - WIDENED_FROM)),
        smoothstep((WIDENED_TO - b) / (WIDENED_TO - rim)),
    )
    field = np.zeros((len(uv), 3))
    field[:, 1] = raised * rise * eye.half_height
    return field


def lid_rim(a: np.ndarray) -> np.ndarray:
    """Half height of the eye at the relative place `a` across it, from 1 in the middle to 0 at the corners."""
    return np.clip(1 - a * a, 0, 1) ** 0.45


def brow_field(uv: np.ndarray, face: Face, eye: Eye, eyes: Eyes) -> np.ndarray:
    """(N, 3) the brow, which is where brows are: above the eye's upper lid, which stays."""
    d = face.spacing
    across = (uv[:, 0] - eye.u) / (0.5 * d)
    lid = eye.v + LID * eye.half_height
    height = (uv[:, 1] - lid) / (eye.brow / BROW_AT)
    band = np.where(height < BROW_AT, smoothstep(height / BROW_AT), smoothstep((1 - height) / (1 - BROW_AT)))
    near = smoothstep(1 - np.abs(across)) * band
    field = np.zeros((len(uv), 3))
    field[:, 1] = d * near * (eyes.brow + eyes.brow_slant * np.clip(across * eye.inward, -1, 1))
    return field


def gaze_field(uv: np.ndarray, face: Face, direction: tuple[float, float]) -> np.ndarray:
    """(N, 3) both irises moved; the eyes' rims stay."""
    field = np.zeros((len(uv), 3))
    for eye in face.eyes:
        size = np.array([eye.half_width, eye.half_height])
        inside = np.clip(1 - (((uv - [eye.u, eye.v]) / size) ** 2).sum(1), 0, 1)
        field[:, :2] += GAZE * (inside**2)[:, None] * size * direction
    return field
