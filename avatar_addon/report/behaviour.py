# SPDX-License-Identifier: GPL-3.0-or-later
"""What an avatar's file does: whether it talks, blinks, shows emotions and looks around, and whether its limbs follow
their bones.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from ..vrm.spec.presets import EMOTIONS, LOOKS, PRESETS, VISEMES
from .limits import FAIL, HEAD_FOLLOWS, LIMITS, PASS, WARN, Check, line, worst
from .measured import Measured
from .perfect_sync import perfect_sync
from .skin_measures import MOVED, following, head_turn, leaks, strays, tearing

COMES_OUT = 0.02  # of its height: so far a card moves at least, from behind the skin to before it


def behaviour(m: Measured) -> Iterator[Check]:
    """Every check of movement, in the card's order; needs the required bones."""
    fields = {name: m.expression(name) for name in PRESETS}
    yield from _visemes(m, fields)
    yield from _blinks(m, fields)
    yield from _emotions(m, fields)
    yield from _gaze(m, fields)
    yield from perfect_sync(m)
    yield from _limbs(m)
    yield from _tearing(m)


def _length(field: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(field, axis=1))


def _amount(m: Measured, name: str, field: np.ndarray, limit: str) -> tuple[str, str]:
    """(status, figure) of one expression: whether it is bound, moves a sensible amount, and only the head."""
    binds = m.file.expressions().get(name, [])
    if not binds:
        return FAIL, "not bound to anything"
    length = _length(field)
    if not np.isfinite(length).all():
        return FAIL, "not a number"
    drawn = _drawn_mouth(m, field) if name in VISEMES else None
    most = float(length.max(initial=0)) / m.head_height if drawn is None else drawn
    moved = length > MOVED
    spill = float((moved & ~m.in_head).sum() / max(moved.sum(), 1))
    statuses = [LIMITS[limit].judge(most), LIMITS["face_most"].judge(most), LIMITS["spill"].judge(spill)]
    figure = f"{100 * most:.1f} % of the head" if most > 0 else "moves nothing"
    return worst(statuses), figure + (f", {100 * spill:.0f} % of it outside of the head" if spill else "")


def _centre(m: Measured, field: np.ndarray) -> np.ndarray | None:
    """Where an expression moves: mean position weighted by the length of the movement."""
    length = _length(field)
    if not np.isfinite(length).all() or length.max(initial=0) <= 0:
        return None
    return np.asarray(np.average(m.rest, axis=0, weights=length))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def _most_alike(fields: dict[str, np.ndarray], names: tuple[str, ...]) -> tuple[float, str]:
    """(largest cosine of two movements, their names); dead ones are left to their own check."""
    alive = [name for name in names if np.isfinite(fields[name]).all() and np.abs(fields[name]).max(initial=0) > 0]
    pairs = [(cosine(fields[a], fields[b]), f"{a} and {b}") for a, b in itertools.combinations(alive, 2)]
    return max(pairs, default=(0.0, ""))


def _visemes(m: Measured, fields: dict[str, np.ndarray]) -> Iterator[Check]:
    for name in VISEMES:
        status, figure = _amount(m, name, fields[name], "viseme_amount")
        yield line(
            f"viseme_{name}",
            f"Viseme {name}",
            status,
            figure,
            "the mouth stays shut, or the face distorts, with this sound",
            "face",
            "Check the mouth's marker and make the face again.",
        )
    value, pair = _most_alike(fields, VISEMES)
    yield line(
        "visemes_differ",
        "Visemes differ",
        LIMITS["viseme_cosine"].judge(value),
        f"{pair}: {value:.3f}" if pair else "nothing to compare",
        "the mouth moves alike for different sounds",
        "face",
        "Make the face again, or sculpt one of the two.",
    )
    yield _mouth_place(m, fields)
    yield _mouth_opens(m, fields["aa"])


def _mouth_place(m: Measured, fields: dict[str, np.ndarray]) -> Check:
    """The visemes move what lies below the eyes, in the front half of the head, near its middle."""
    mouths = [centre for name in VISEMES if (centre := _centre(m, fields[name])) is not None]
    eyes = _centre(m, fields["blink"])
    inside = m.rest[m.in_head]
    if not mouths or not len(inside):
        return line(
            "mouth_place",
            "Mouth in the right place",
            FAIL,
            "no viseme moves the mouth",
            "the avatar cannot talk",
            "face",
            "Make the face.",
        )
    mouth = np.mean(mouths, axis=0)
    faults = []
    if abs(mouth[0] - m.heads["head"][0]) > 0.25 * m.head_height:
        faults.append("beside the face")
    if mouth[2] < np.percentile(inside[:, 2], (5, 95)).mean():  # a cap's peak or a pony tail hardly counts
        faults.append("at the back of the head")
    if eyes is not None and mouth[1] >= eyes[1]:
        faults.append("above the eyes")
    return line(
        "mouth_place",
        "Mouth in the right place",
        not faults,
        ", ".join(faults) or "below the eyes, in front",
        "something other than the mouth moves during speech",
        "face",
        "Move the mouth's marker onto the mouth and make the face again.",
    )


def _drawn_mouth(m: Measured, field: np.ndarray) -> float | None:
    """How high a drawn mouth on a card is, in heads, once it has come out; 0 if it shrinks or hardly moves. None where
    an expression draws out skin, or moves nothing.
    """
    length = _length(field)
    moved = length > 0
    corners = moved[m.triangles]
    if not moved.any() or (corners.any(1) & ~corners.all(1)).any():
        return None
    waiting, shown = (float(np.ptp(points[moved, 1])) for points in (m.rest, m.rest + field))
    return shown / m.head_height if shown > 0.99 * waiting and length.max() > COMES_OUT * shown else 0.0


def _mouth_opens(m: Measured, aa: np.ndarray) -> Check:
    """The lower lip and jaw go down more than the upper lip goes up, and the two part; or a drawn mouth appears."""
    drawn = _drawn_mouth(m, aa)
    down, up = float(-aa[:, 1].min(initial=0)), float(aa[:, 1].max(initial=0))
    if drawn is not None:
        down, up = drawn * m.head_height, 0.0
    opening = (down + up) / m.head_height
    ok = PASS if down > up and opening > 0.02 else WARN if 1.5 * down > up and opening > 0.008 else FAIL
    return line(
        "mouth_opens",
        "Mouth opens at aa",
        ok,
        f"{100 * opening:.1f} % of the head",
        "the lips stretch, but the mouth does not open",
        "face",
        "Make the face with the inside of the mouth, with the marker on the line between the lips.",
    )


def _blinks(m: Measured, fields: dict[str, np.ndarray]) -> Iterator[Check]:
    middle = _between_eyes(m, fields)
    for name, side in (("blinkLeft", 1.0), ("blinkRight", -1.0)):
        status, figure = _amount(m, name, fields[name], "blink_amount")
        centre = _centre(m, fields[name])
        if centre is not None:
            ours, theirs = (length.max(initial=0) for length in _by_side(m, fields[name], middle, side))
            if theirs > LIMITS["other_eye"].good * ours:
                status, figure = FAIL, "moves the other eye" if theirs > ours else "moves both eyes"
        yield line(
            name,
            "Left eye blinks" if side > 0 else "Right eye blinks",
            status,
            figure,
            "winks are mirrored, or one eye stays open",
            "face",
            "Check the eyes' markers and make the face again.",
        )
    status, figure = _amount(m, "blink", fields["blink"], "blink_amount")
    if np.isfinite(fields["blink"]).all():
        for what, length in zip(("left", "right"), _by_side(m, fields["blink"], middle, 1.0), strict=True):
            if length.max(initial=0) < LIMITS["blink_amount"].bad * m.head_height:
                status, figure = FAIL, f"the {what} eye does not close"
    yield line(
        "blink",
        "Both eyes blink",
        status,
        figure,
        "the avatar does not blink",
        "face",
        "Check the eyes' markers and make the face again.",
    )


def _between_eyes(m: Measured, fields: dict[str, np.ndarray]) -> float:
    """x between what the two winks move, which is beside the head's middle in a face seen at an angle; else
    the head's.
    """
    left, right = (_centre(m, fields[name]) for name in ("blinkLeft", "blinkRight"))
    if left is None or right is None or abs(left[0] - right[0]) < 0.05 * m.head_height:
        return float(m.heads["head"][0])
    return float(left[0] + right[0]) / 2


def _by_side(m: Measured, field: np.ndarray, middle: float, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of a movement on the character's given side (1 left, -1 right) of `middle`, and on the other one."""
    there = side * (m.rest[:, 0] - middle) > 0
    length = _length(field)
    return length[there], length[~there]


def _emotions(m: Measured, fields: dict[str, np.ndarray]) -> Iterator[Check]:
    for name in EMOTIONS:
        status, figure = _amount(m, name, fields[name], "emotion_amount")
        yield line(
            name,
            f"Emotion {name}",
            status,
            figure,
            "the face does not change with this emotion",
            "face",
            "Make the face again.",
        )
    value, pair = _most_alike(fields, EMOTIONS)
    yield line(
        "emotions_differ",
        "Emotions differ",
        LIMITS["emotion_cosine"].judge(value),
        f"{pair}: {value:.3f}" if pair else "nothing to compare",
        "two emotions look the same",
        "face",
        "Make the face again, or sculpt one of the two.",
    )


def _gaze(m: Measured, fields: dict[str, np.ndarray]) -> Iterator[Check]:
    look = m.file.vrm.get("lookAt") or {} if m.file.version == "1.0" else m.file.vrm.get("firstPerson") or {}
    kind = str(look.get("type" if m.file.version == "1.0" else "lookAtTypeName", "bone")).lower()
    if kind == "bone":
        there = all(name in m.bones for name in ("leftEye", "rightEye"))
        yield line(
            "gaze",
            "Gaze",
            PASS if there else FAIL,
            "eye bones" if there else "set to bones, but there are no eye bones",
            "the eyes never follow anything",
            "vrm",
            "Assign eye bones, or set up VRM again so that shape keys move the eyes.",
        )
        return
    statuses, figures = [], []
    for name in LOOKS:
        status, figure = _amount(m, name, fields[name], "look_amount")
        length = _length(fields[name])
        if status != FAIL and length.max(initial=0) > 0:
            towards = float(np.average(fields[name][:, :2] @ PRESETS[name].direction, weights=length))
            if towards <= 0:
                status, figure = FAIL, "looks the other way"
        statuses.append(status)
        if status != PASS:
            figures.append(f"{name}: {figure}")
    yield line(
        "gaze",
        "Gaze",
        worst(statuses),
        "; ".join(figures) or "by shape keys, in all four directions",
        "the eyes do not follow, or look the wrong way",
        "face",
        "Check the eyes' markers and make the face again.",
    )
    offset = look.get("offsetFromHeadBone") or look.get("firstPersonBoneOffset") or [0, 0, 0]
    values = np.array([float(v) for v in (offset.values() if isinstance(offset, dict) else offset)])
    yield line(
        "gaze_origin",
        "Gaze starts at the eyes",
        PASS if np.isfinite(values).all() and np.abs(values).max(initial=0) > 0.01 * m.head_height else WARN,
        f"{100 * float(np.linalg.norm(values)):.1f} cm from the head bone",
        "the avatar looks past the camera",
        "vrm",
        "Set up VRM again after making the face.",
    )


def _limbs(m: Measured) -> Iterator[Check]:
    leak = max(leaks(m), key=lambda found: found.value, default=None)
    value = leak.value if leak else 0.0
    yield line(
        "leaks",
        "Limbs move independently",
        LIMITS["leak"].judge(value),
        f"{100 * value:.1f} %" + (f" ({leak.first} moves {leak.second})" if leak and value > 0 else ""),
        "one limb drags the skin of another limb along",
        "rig",
        "Rig again, or re-weight the limb.",
    )
    stray = max(strays(m), key=lambda found: found.value)
    yield line(
        "strays",
        "Skin follows its own limb",
        LIMITS["stray"].judge(stray.value),
        f"{100 * stray.value:.1f} %" + (f" ({stray.first})" if stray.value > 0 else ""),
        "pieces of one limb are pulled away by another limb",
        "rig",
        "Re-weight the limb, or rig again.",
    )
    least = min(following(m), key=lambda found: found.value)
    yield line(
        "follow",
        "Limbs follow their bones",
        LIMITS["follow"].judge(least.value),
        f"{100 * least.value:.0f} % ({least.first})",
        "the limb stays behind when its bone turns",
        "rig",
        "Check the weights of the limb, or rig again.",
    )
    moves, drags = (found.value for found in head_turn(m))
    yield line(
        "head_turns",
        "Head turns alone",
        FAIL if moves < HEAD_FOLLOWS else LIMITS["leak"].judge(drags),
        f"{100 * moves:.0f} % of the head moves, {100 * drags:.1f} % of the limbs",
        "the face does not follow the head, or the arms move with it",
        "rig",
        "Rig again.",
    )


def _tearing(m: Measured) -> Iterator[Check]:
    stretched, gaps = zip(*tearing(m), strict=True)
    stretch = max(stretched, key=lambda found: (found.value, found.first))
    yield line(
        "stretch",
        "No stretched skin",
        LIMITS["stretch"].judge(stretch.value),
        f"{100 * stretch.value:.2f} %" + (f" ({stretch.first})" if stretch.value > 0 else ""),
        "spikes and webs of skin between body parts",
        "rig",
        "Rig again, or smooth the weights there.",
    )
    gap = max(gaps, key=lambda found: (found.value, found.first))
    yield line(
        "seams",
        "No cracks",
        LIMITS["seam"].judge(gap.value),
        f"{1000 * gap.value:.1f} mm" + (f" ({gap.first})" if gap.value > 0 else ""),
        "the skin opens along a seam",
        "rig",
        "Give vertices at the same position the same weights (Merge by Distance, then rig again).",
    )
