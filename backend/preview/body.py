# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules of depth share about a figure: its lines of reference on the grid and its style, adult to chibi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .thickness import PARTS, Frame

TORSO, HEAD = PARTS.index("torso"), PARTS.index("head")
ARMS = PARTS.index("leftArm"), PARTS.index("rightArm")
LEGS = PARTS.index("leftLeg"), PARTS.index("rightLeg")
# The head's share of the height where the style is an adult's, and by how much more it is a chibi's.
ADULT_HEAD, CHIBI_SPAN = 0.15, 0.25


@dataclass
class Face:
    """On the grid, (column, row). apart: columns between the eyes; gap: rows from eyes to mouth."""

    eyes: np.ndarray
    mouth: np.ndarray
    apart: float
    gap: float


@dataclass
class Body:
    """Lengths, rows and columns in cells. inside: signed distance to the outline, positive inside; parts: index into
    PARTS per cell; joints: (column, row). top, chin, neck, shoulder, hips, knee, ankle, ground: rows.

    chibi: 0 for an adult's proportions to 1 for a chibi's.
    """

    frame: Frame
    inside: np.ndarray
    parts: np.ndarray
    joints: dict[str, np.ndarray]
    face: Face | None
    top: float
    chin: float
    ground: float
    shoulder: float
    half_shoulder: float
    axis: float
    chibi: float

    @property
    def figure(self) -> np.ndarray:
        """(R, C) bool."""
        return self.inside > 0

    @property
    def height(self) -> float:
        return self.ground - self.top

    @property
    def head(self) -> float:
        """The head's height."""
        return self.chin - self.top

    @property
    def hips(self) -> float:
        return float(self.joints["hips"][1])

    @property
    def neck(self) -> np.ndarray:
        return self.joints["neck"]

    @property
    def knee(self) -> float:
        return float(self.joints["leftLowerLeg"][1] + self.joints["rightLowerLeg"][1]) / 2

    @property
    def ankle(self) -> float:
        return float(self.joints["leftFoot"][1] + self.joints["rightFoot"][1]) / 2

    @property
    def rows(self) -> np.ndarray:
        """(R,) float."""
        return np.arange(self.inside.shape[0], dtype=float)

    @property
    def columns(self) -> np.ndarray:
        """(C,) float."""
        return np.arange(self.inside.shape[1], dtype=float)

    def of(self, *parts: int) -> np.ndarray:
        """(R, C) bool: cells of these parts."""
        return self.figure & np.isin(self.parts, parts)

    def along_trunk(self, share: float) -> float:
        """The row at this share of the way from shoulder to hips."""
        return self.shoulder + share * (self.hips - self.shoulder)


def measure(
    frame: Frame,
    inside: np.ndarray,
    parts: np.ndarray,
    joints: dict[str, np.ndarray],
    face: Mapping[str, dict],
) -> Body:
    """joints: cells; face: as backend.image.face has it, pixels of the picture. Takes shoulders back from the head."""
    rows = np.flatnonzero((inside > 0).any(1))
    top, ground = float(rows[0]), frame.ground
    neck = joints["neck"]
    found = _face(frame, face)
    chin = neck[1] - 0.02 * (ground - top)
    if found:
        # A face that is sure tells more than the neck, which a silhouette with sloping shoulders hides.
        sure = min(face.get("confidence", {}).get(part, 0.0) for part in ("eyes", "mouth")) >= 0.5
        lowest, highest = neck[1] + 0.01 * (ground - top), neck[1] - (0.55 if sure else 0.30) * (neck[1] - top)
        chin = float(np.clip(found.mouth[1] + 0.66 * (found.mouth[1] - found.eyes[1]), highest, lowest))
    body = Body(
        frame,
        inside,
        parts.copy(),
        joints,
        found,
        top,
        float(chin),
        ground,
        shoulder=float(joints["leftUpperArm"][1] + joints["rightUpperArm"][1]) / 2,
        half_shoulder=float(abs(joints["leftUpperArm"][0] - joints["rightUpperArm"][0])) / 2,
        axis=_axis(frame, face, joints),
        chibi=float(np.clip(((chin - top) / (ground - top) - ADULT_HEAD) / CHIBI_SPAN, 0, 1)),
    )
    _give_shoulders_back(body)
    return body


def _face(frame: Frame, face: Mapping[str, dict]) -> Face | None:
    if not {"leftEye", "rightEye", "mouth"} <= face.keys():
        return None
    left, right, mouth = (frame.to_cells(face[name]["center"]) for name in ("leftEye", "rightEye", "mouth"))
    eyes = (left + right) / 2
    return Face(eyes, mouth, max(float(abs(left[0] - right[0])), 1.0), max(float(mouth[1] - eyes[1]), 1.0))


def _axis(frame: Frame, face: Mapping[str, dict], joints: dict[str, np.ndarray]) -> float:
    """The column of the head's middle."""
    eyes = [frame.to_cells(face[name]["center"])[0] for name in ("leftEye", "rightEye") if name in face]
    return float(np.mean(eyes)) if len(eyes) == 2 else float(joints["head"][0])


def _give_shoulders_back(body: Body) -> None:
    """Hair over the shoulders is of the head; the shoulders under its ends are not."""
    row, column = body.rows[:, None], np.abs(body.columns - body.axis)[None]
    head = body.of(HEAD)
    widths = head.sum(1)[int(body.top + 0.3 * body.head) : int(body.chin - 0.08 * body.head)]
    if not widths.any():
        return
    half = np.median(widths[widths > 0]) / 2
    low = row > body.chin + 0.3 * max(body.shoulder - body.chin, 0)
    shoulders = (row > body.chin + 0.12 * body.head) & (body.figure.sum(1) > 3.2 * half)[:, None]
    beside = (row > body.chin - 0.12 * body.head) & (column > 1.45 * half)
    body.parts[head & ((low & (column > 1.2 * half)) | beside | shoulders)] = TORSO


def smooth(x: np.ndarray | float, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth step between."""
    t = np.clip((np.asarray(x, float) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bell(x: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.exp(-(((x - centre) / max(width, 1e-6)) ** 2))


def runs(line: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edge = np.flatnonzero(np.diff(np.r_[0, line.astype(np.int8), 0]))
    return list(zip(edge[::2].tolist(), (edge[1::2] - 1).tolist(), strict=True))


def filled(values: np.ndarray, sigma: float) -> np.ndarray:
    """NaN replaced by what lies between the nearest known values, then smoothed; all NaN stays."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values
    whole = np.interp(np.arange(len(values)), known, values[known])
    return ndimage.gaussian_filter1d(whole, sigma, mode="nearest")


def section(columns: np.ndarray, middle: np.ndarray, half: np.ndarray, exponent: float | np.ndarray) -> np.ndarray:
    """(R, C): how deep a superellipse is across each row, 1 in its middle, 0 from its edge on. middle, half: (R,)."""
    u = np.abs(columns[None] - middle[:, None]) / np.maximum(half[:, None] + 0.5, 1)
    return np.sqrt(1 - np.clip(u, 0, 1) ** exponent)
