# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the 52 face shapes that trackers drive move the right part of the face, and fold nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..vrm.spec.perfect_sync import BROW, EYE, JAW, MOUTH, NOSE, SYNC_SHAPES, TONGUE, SyncShape
from ..vrm.spec.presets import BLINKS, VISEMES
from .limits import FAIL, LIMITS, PASS, WARN, Check, line, worst
from .measured import Measured
from .skin_measures import MOVED

LEAST = 26  # shapes from which on a file is one for perfect sync
NAMED = 3  # faults in the figure


def perfect_sync(m: Measured) -> Iterator[Check]:
    """One line for a file that has these shapes, none for others."""
    bound = m.file.expressions()
    names = [name for name in SYNC_SHAPES if bound.get(name)]
    if len(names) < LEAST:
        return
    eyes, mouth = _height(m, BLINKS), _height(m, VISEMES)
    faults = []
    middle = middles(m)
    for name in names:
        faults += [(status, f"{name} {text}") for status, text in _faults(m, SYNC_SHAPES[name], eyes, mouth, middle)]
    empty = [name for name in SYNC_SHAPES if name not in names]
    figure = f"{len(names)} of {len(SYNC_SHAPES)} shapes"
    if empty:
        figure += f", without {', '.join(empty[:NAMED])}{' and others' if len(empty) > NAMED else ''}"
    if faults:
        faults.sort(key=lambda fault: fault[0] != FAIL)
        figure += "; " + ", ".join(text for _, text in faults[:NAMED])
        figure += f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    yield line(
        "perfect_sync",
        "Perfect sync",
        worst([status for status, _ in faults]),
        figure,
        "a face tracker moves the wrong part of the face, or folds the skin",
        "face",
        "Check the markers of eyes and mouth and make the face again.",
    )


def _faults(
    m: Measured, shape: SyncShape, eyes: float | None, mouth: float | None, middle: dict[str, float]
) -> Iterator[tuple[str, str]]:
    field = m.expression(shape.name)
    length = np.linalg.norm(field, axis=1)
    if not np.isfinite(length).all():
        yield FAIL, "is not a number"
        return
    if length.max(initial=0) < LIMITS["sync_amount"].bad * m.head_height:
        yield WARN, "moves almost nothing"
        return
    if (status := LIMITS["face_most"].judge(float(length.max()) / m.head_height)) != PASS:
        yield status, "distorts the face"
    moved = length > MOVED
    if (status := LIMITS["spill"].judge(float((moved & ~m.in_head).sum() / max(moved.sum(), 1)))) != PASS:
        yield status, "moves more than the head"
    if shape.side and share_of_side(m, length, shape.side, middle[shape.region]) < 1 - LIMITS["other_side"].bad:
        yield FAIL, "moves the other side"
    if eyes is not None and mouth is not None and not _in_region(m, length, shape, eyes, mouth):
        yield WARN, f"does not move the {shape.region}"
    if (status := LIMITS["flipped"].judge(flipped(m, shape))) != PASS:
        yield status, "folds the skin"


def flipped(m: Measured, shape: SyncShape) -> float:
    """Share of the surface that the shape at full weight turns over, together with the one that it corrects."""
    together = m.expression(shape.name) + (m.expression(shape.with_) if shape.with_ else 0)
    before, after = _normals(m, m.rest), _normals(m, m.rest + together)
    area = np.linalg.norm(before, axis=1)
    return float(area[(before * after).sum(1) < 0].sum() / max(area.sum(), 1e-12))


def _normals(m: Measured, points: np.ndarray) -> np.ndarray:
    """(T, 3) normals, twice as long as the triangles are large."""
    corners = points[m.triangles]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _height(m: Measured, names: tuple[str, ...]) -> float | None:
    """Where some expressions move, on average."""
    length = np.sum([np.linalg.norm(np.nan_to_num(m.expression(name)), axis=1) for name in names], axis=0)
    return float(np.average(m.rest[:, 1], weights=length)) if length.max(initial=0) > 0 else None


def middles(m: Measured) -> dict[str, float]:
    """Region -> x where left and right meet: between the lids, and in the middle of the mouth, which in a face that
    looks aside are not in the middle of the head.
    """

    def centre(names: tuple[str, ...]) -> float | None:
        length = np.sum([np.linalg.norm(np.nan_to_num(m.expression(name)), axis=1) for name in names], axis=0)
        return float(np.average(m.rest[:, 0], weights=length)) if length.max(initial=0) > 0 else None

    lids = [x for x in (centre((name,)) for name in BLINKS if name != "blink") if x is not None]
    head = float(m.heads["head"][0])
    eyes = float(np.mean(lids)) if len(lids) == 2 else head
    mouth = centre(VISEMES)
    mouth = head if mouth is None else mouth
    between = {NOSE: (eyes + mouth) / 2, MOUTH: mouth, JAW: mouth, TONGUE: mouth}
    return {shape.region: between.get(shape.region, eyes) for shape in SYNC_SHAPES.values()}


def share_of_side(m: Measured, length: np.ndarray, side: str, middle: float) -> float:
    """Of a movement (V,), how much lies on the character's given side of a middle."""
    left = m.rest[:, 0] > middle
    return float(length[left if side == "Left" else ~left].sum() / length.sum())


def _in_region(m: Measured, length: np.ndarray, shape: SyncShape, eyes: float, mouth: float) -> bool:
    height = float(np.average(m.rest[:, 1], weights=length))
    middle = (eyes + mouth) / 2
    if shape.region in (EYE, BROW):
        return height > middle
    return height < eyes if shape.region in ("cheek", "nose") else height < middle
