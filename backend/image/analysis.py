# SPDX-License-Identifier: GPL-3.0-or-later
"""One picture to everything the preview engine needs to know of it: cut-out, joints, face, and what to tell
the user.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import BackendError
from ..reader import Reading, read
from . import judge
from .face import locate_face
from .load import load_picture, resize_rgba
from .mask import Figure, find_figure, is_cut_out, joined
from .refusals import COPED_WITH, limb_remarks, outline_remarks
from .save import save_png
from .silhouette import JOINTS, SilhouetteJoints
from .tilt import detect_upright

MAX_HEIGHT = 1024  # of the figure, in pixels of PictureAnalysis.rgba
MIN_HEIGHT = 256
COARSE_SIDE = 512
SHOWN_SIDE = 2048
ARMS = ("leftArm", "rightArm")
FACE_PARTS = ("leftEye", "rightEye", "mouth")
FACE_WARNING = {
    "code": "face",
    "message": "Eyes or mouth were not recognised with confidence; check the three face markers.",
}


@dataclass
class PictureAnalysis:
    """rgba: (H, W, 4) uint8, the whole upright picture scaled so that the figure is at most 1024 pixels tall; alpha
    is its soft mask.

    mask: (H, W) bool. scale: pixels of rgba per pixel of the upright original; size: (width, height) of that original.
    joints: the 15 marker joints and headTop; face: as in docs/architecture.md; both in pixels of rgba, x right, y down.
    The figure may touch the picture's border. refused: why the picture cannot be used without the user's markers;
    only in a draft. parts: (H, W) uint8, index into backend.reader.PARTS. clear: the silhouette alone tells arms and
    body apart. joint_confidence: how likely each of the 15 joints is right; 1 where the user placed it.
    depths: of joints that the reader is sure of, pixels of rgba towards the viewer.
    """

    rgba: np.ndarray
    mask: np.ndarray
    scale: float
    size: tuple[int, int]
    joints: dict[str, tuple[float, float]]
    face: dict[str, Any]
    confidence: dict[str, float] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)
    refused: BackendError | None = None
    parts: np.ndarray | None = None
    clear: bool = False
    joint_confidence: dict[str, float] = field(default_factory=dict)
    depths: dict[str, float] = field(default_factory=dict)

    def to_result(self) -> dict[str, Any]:
        """The worker's answer to `analyse`: positions and lengths in pixels of the upright original."""
        back = 1.0 / self.scale
        return {
            "size": list(self.size),
            "joints": {name: [round(x * back, 2), round(y * back, 2)] for name, (x, y) in self.joints.items()},
            "face": _scaled_face(self.face, back),
            "confidence": {name: round(value, 4) for name, value in self.confidence.items()},
            "joint_confidence": {name: round(value, 4) for name, value in self.joint_confidence.items()},
            "flags": list(self.flags),
            "warnings": [dict(warning) for warning in self.warnings],
        } | ({"refused": {"code": self.refused.code, "message": self.refused.message}} if self.refused else {})


def analyse(picture: Path, markers: dict[str, Any] | None = None, draft: bool = False) -> PictureAnalysis:
    """Finds the figure, its joints and its face in the file `picture`: the learned reader is asked first, and the rules
    for silhouettes and faces make its answer exact where they agree with it (`judge`).

    `markers` (docs/architecture.md, pixels of the upright original) override single points. With all 15 joints given,
    a picture that would be refused for its shape is taken, and the reason becomes a warning. A draft takes such a
    picture as well and says so in `refused`: its joints are the best guess, for the user to correct.
    Raises BackendError: unreadable, too_large, too_small, cropped, several, not_humanoid, view, bad_markers.
    """
    markers = markers or {}
    loaded = load_picture(Path(picture))
    given = _given_joints(markers)
    reading = read(loaded.rgba)
    figure, rgba = _figure_at_size(loaded.rgba, reading)
    scale = rgba.shape[0] / loaded.size[1]
    zoom = rgba.shape[0] / loaded.rgba.shape[0]
    tall = _tall(figure) / scale
    if tall < MIN_HEIGHT:
        message = f"The character is only {round(tall)} pixels tall; at least {MIN_HEIGHT} are needed."
        raise BackendError(
            "too_small", message, ("Use a larger picture; the character should be at least 768 pixels tall.")
        )
    figure, rgba, found = _with_joints(figure, rgba)
    refused = judge.refusal(figure, found, reading, zoom)
    by_hand = set(JOINTS) <= set(given)
    if refused and not ((by_hand or draft) and refused.code in COPED_WITH):
        raise refused
    limbs = limb_remarks(found, given) if found.humanoid else judge.doubts(reading, set(given))
    warnings = outline_remarks(figure) + limbs + ([] if by_hand or refused else judge.view_remarks(reading))
    if refused:
        warnings.insert(0, {"code": refused.code, "message": refused.message})
    if loaded.animated:
        warnings.append({"code": "animated", "message": "The picture is animated; only its first frame is used."})
    joints = judge.joints_of(found, reading, zoom, _tall(figure))
    sure = judge.joint_confidence(joints, found, reading, zoom, _tall(figure)) | dict.fromkeys(
        set(JOINTS) & set(given), 1.0
    )
    joints |= {name: (x * scale, y * scale) for name, (x, y) in given.items()}
    _check_inside(joints, given, figure.mask.shape)
    analysis = PictureAnalysis(
        rgba=np.dstack([rgba[..., :3], figure.alpha]),
        mask=figure.mask,
        scale=scale,
        size=loaded.size,
        joints=joints,
        face={},
        confidence=dict(found.confidence),
        flags=list(found.flags),
        warnings=warnings,
        refused=refused if draft and not by_hand else None,
        parts=judge.enlarged(reading.parts, figure.mask.shape),
        clear=judge.stands_clear(found, reading, zoom),
        depths={n: j.depth * zoom for n, j in reading.joints.items() if j.confidence >= judge.SURE and n not in given},
        joint_confidence=sure,
    )
    analysis.face = _face(analysis, markers.get("face") or {}, reading, zoom)
    return analysis


def write_upright(picture: Path, path: Path) -> None:
    """The picture as `analyse` counts its pixels, turned as its EXIF orientation says, at most 2048 pixels on a side,
    as PNG.
    """
    rgba = load_picture(Path(picture)).rgba
    height, width = rgba.shape[:2]
    factor = min(1.0, SHOWN_SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    save_png(Image.fromarray(resize_rgba(rgba, size)), path)


def _figure_at_size(rgba: np.ndarray, reading: Reading) -> tuple[Figure, np.ndarray]:
    """Finds the figure roughly, scales the picture for it to be at most 1024 pixels tall, and finds it there."""
    height, width = rgba.shape[:2]
    factor = min(1.0, COARSE_SIDE / max(height, width))
    coarse = resize_rgba(rgba, (max(1, round(width * factor)), max(1, round(height * factor))))
    tall = _tall(_figure(coarse, reading)) / factor
    final = min(1.0, MAX_HEIGHT / (tall + 2.0 / factor))
    if final < 1.0:
        rgba = resize_rgba(rgba, (max(1, round(width * final)), max(1, round(height * final))))
    return _figure(rgba, reading), rgba


def _figure(rgba: np.ndarray, reading: Reading) -> Figure:
    """By the rules on a transparent or plain background; the reader's on any other, and where the rules see something
    else than a person stands there.
    """
    try:
        exact = find_figure(rgba)
    except BackendError:
        return judge.figure_of(reading, rgba.shape[:2])
    if is_cut_out(rgba[..., 3]) or reading.humanoids["one"] < judge.SURE:
        return exact
    rough = judge.figure_of(reading, rgba.shape[:2])
    if judge.overlap(exact, rough) >= judge.OVERLAP:
        return exact
    return replace(rough, low_contrast=exact.low_contrast)


def _tall(figure: Figure) -> int:
    """Rows of the figure with what may belong to it."""
    everything = figure.mask if figure.loose is None else figure.mask | figure.loose
    return int(np.ptp(np.flatnonzero(everything.any(axis=1)))) + 1


def _with_joints(figure: Figure, rgba: np.ndarray) -> tuple[Figure, np.ndarray, SilhouetteJoints]:
    """The figure and its joints; loose parts are joined to it where that makes a better person."""
    found = detect_upright(figure.mask)
    if figure.loose is None:
        return figure, rgba, found
    whole, painted = joined(figure, rgba)
    better = detect_upright(whole.mask)
    if better.humanoid and (
        not found.humanoid or min(better.confidence[arm] - found.confidence[arm] for arm in ARMS) >= -0.1
    ):
        return whole, painted, better
    return figure, rgba, found


def _given_joints(markers: dict[str, Any]) -> dict[str, tuple[float, float]]:
    given = {}
    for name, point in (markers.get("joints") or {}).items():
        if name not in JOINTS and name != "headTop":
            raise BackendError(
                "bad_markers",
                f"The markers contain an unknown joint, {name!r}.",
                f"The joints are {', '.join(JOINTS)}.",
            )
        given[name] = _point(point, name)
    return given


def _point(value: Any, name: str) -> tuple[float, float]:
    try:
        x, y = (float(number) for number in value)
    except (TypeError, ValueError):
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise BackendError(
            "bad_markers",
            f"The marker {name!r} is not a pair of numbers.",
            "Give [x, y] in pixels of the upright picture.",
        )
    return x, y


def _check_inside(joints: dict[str, tuple[float, float]], given: dict[str, Any], shape: tuple[int, ...]) -> None:
    for name in given:
        x, y = joints[name]
        if not (-0.5 <= x <= shape[1] and -0.5 <= y <= shape[0]):
            raise BackendError(
                "bad_markers",
                f"The marker {name!r} lies outside the picture.",
                "Markers are in pixels of the upright picture.",
            )


def _face(analysis: PictureAnalysis, given: dict[str, Any], reading: Reading, zoom: float) -> dict[str, Any]:
    """The face found, with what the user has placed (pixels of the original) put in; adds a warning where neither is
    reliable.
    """
    face = judge.face_of(locate_face(analysis.rgba, analysis.mask, analysis.joints), reading, zoom)
    placed = {
        name: _face_entry(given[name], name, analysis.scale) for name in FACE_PARTS if given.get(name) is not None
    }
    face = _with_placed(face, placed)
    if min(face["confidence"]["eyes"], face["confidence"]["mouth"]) < 0.5:
        analysis.warnings.append(dict(FACE_WARNING))
    return face


def _face_entry(value: Any, name: str, scale: float) -> dict[str, Any]:
    entry = dict(value) if isinstance(value, dict) else {"center": value}
    x, y = _point(entry.get("center"), name)
    sizes = {key: float(entry[key]) * scale for key in ("half_width", "half_height", "width") if entry.get(key)}
    return {"center": [x * scale, y * scale], **sizes}


def _with_placed(face: dict[str, Any], placed: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Sizes that were not given follow the distance between the eyes, so that a wrong size is corrected by moving
    points.
    """
    merged = {name: dict(face[name]) for name in FACE_PARTS if name in face}
    before = _eye_distance(merged)
    for name, entry in placed.items():
        merged[name] = merged.get(name, {}) | entry
    after = _eye_distance(merged)
    for name, part in merged.items():
        for key, usual in (("width", 0.6),) if name == "mouth" else (("half_width", 0.24), ("half_height", 0.15)):
            if name in placed and key in placed[name]:
                continue
            if after is not None and (key not in part or before is None):
                part[key] = usual * after
            elif after is not None and before is not None and {"leftEye", "rightEye"} <= set(placed):
                part[key] *= after / before
    confidence = dict(face.get("confidence", {}))
    eyes_placed, mouth_placed = {"leftEye", "rightEye"} <= set(placed), "mouth" in placed
    return merged | {
        "confidence": {
            "eyes": 1.0 if eyes_placed else float(confidence.get("eyes", 0.0)),
            "mouth": 1.0 if mouth_placed else float(confidence.get("mouth", 0.0)),
        }
    }


def _eye_distance(face: dict[str, Any]) -> float | None:
    if "leftEye" not in face or "rightEye" not in face:
        return None
    (ax, ay), (bx, by) = face["leftEye"]["center"], face["rightEye"]["center"]
    return max(math.hypot(ax - bx, ay - by), 1.0)


def _scaled_face(face: dict[str, Any], factor: float) -> dict[str, Any]:
    scaled: dict[str, Any] = {}
    for name, part in face.items():
        if name not in FACE_PARTS:
            scaled[name] = part
            continue
        sizes = {key: round(float(value) * factor, 2) for key, value in part.items() if key != "center"}
        scaled[name] = {"center": [round(float(value) * factor, 2) for value in part["center"]], **sizes}
    return scaled
