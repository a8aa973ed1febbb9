# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a reader of pictures sees joints and face where the file has them. It knows nothing of the steps that made
the avatar: it gets the finished file's skin and pictures, in two poses, from the front (`views`); what it answers is
compared with the bones and with what blinks and visemes move (`seen`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..vrm.spec.presets import VISEMES
from .limits import LIMITS, PASS, WARN, Check, line
from .measured import Degrees, Measured, rotation
from .shape import FACE_SHAPES, moved_place

LOWERED: dict[str, Degrees] = {"leftUpperArm": (0, 0, -45), "rightUpperArm": (0, 0, 45)}
JOINTS = ("head", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
OPEN = "aa"
SURE = 0.5  # of the reader's confidence; what it is less sure of tells nothing
FAINT = 0.25  # and of a mouth that is only looked at to see whether it opens
# In heights of the head: what opens is no farther above the mouth that is seen; and farther below than FAR only if that
# mouth opens, by this share of how far below. Sound avatars have at least 0.008, and 0.16 (docs/report.md).
ABOVE, FAR, OPENS = -0.01, 0.025, 0.14
WORDS = {
    "head": "head", "UpperArm": "shoulder", "LowerArm": "elbow", "Hand": "wrist", "UpperLeg": "hip",
    "LowerLeg": "knee", "Foot": "ankle",
}  # fmt: skip
PNG = b"\x89PNG"
PARTS = {"leftEye": "left eye", "rightEye": "right eye", "mouth": "mouth"}
SHAPES = {"leftEye": (FACE_SHAPES["left"],), "rightEye": (FACE_SHAPES["right"],), "mouth": tuple((v,) for v in VISEMES)}


def views(m: Measured, folder: Path) -> dict[str, Any]:
    """Writes what the reader looks at into a folder: the parameters of the backend's `look_over`
    (docs/architecture.md).
    """
    slots = sorted({-1 if part.material is None else part.material for part in m.parts})
    colours: list[list[float]] = []
    chosen: list[int] = []
    pictures: list[Path] = []
    stored: dict[int, int] = {}
    for material in slots:
        factor, image = m.file.base_colour(material)
        if image is not None and image not in stored:
            data = m.file.image(image)
            path = folder / f"picture{image}.{'png' if data.startswith(PNG) else 'jpg'}"
            path.write_bytes(data)
            stored[image] = len(pictures)
            pictures.append(path)
        colours.append(factor)
        chosen.append(-1 if image is None else stored[image])
    slot = [np.full(len(p.triangles), slots.index(-1 if p.material is None else p.material)) for p in m.parts]
    path = folder / "views.npz"
    np.savez(
        path,
        poses=np.stack([m.rest, m.posed(LOWERED)]).astype(np.float32),
        opened=(m.rest + np.nan_to_num(m.expression(OPEN))).astype(np.float32),
        triangles=m.triangles,
        uvs=np.concatenate([part.uvs[part.triangles] for part in m.parts]).astype(np.float32),
        held=held_groups(m)[m.triangles[:, 0]],
        slot=np.concatenate(slot),
        colours=np.array(colours, np.float32),
        picture=np.array(chosen, np.int64),
        head=m.head_height,
    )
    return {"views": path, "pictures": pictures}


def seen(m: Measured, answer: dict[str, Any]) -> Iterator[Check]:
    """answer: of `look_over`."""
    value, name = joints_off(m, answer["views"])
    yield line(
        "seen_joints",
        "Skeleton where the limbs are seen",
        LIMITS["seen_joints"].judge(value) if name else WARN,
        f"{word_of(name)}: {100 * value:.0f} % of the height off" if name else "no body is seen",
        "on a picture of the avatar, a limb is not where its bones are; it bends in the wrong place",
        "rig",
        "Check the markers and rig again.",
    )
    value, name = overlap(answer["views"])
    yield line(
        "seen_parts",
        "Arms and head that are seen move",
        LIMITS["seen_parts"].judge(value),
        f"{name}: {100 * value:.0f} % of what is seen",
        "on a picture of the avatar, what looks like an arm or the head is not what moves as one",
        "rig",
        "Check the markers and rig again.",
    )
    lips = opens(m, answer["views"][0])
    if lips is not None:
        low, drop = lips
        yield line(
            "seen_opens",
            "Mouth that is seen opens",
            PASS if low > ABOVE and (low < FAR or drop > OPENS * low) else WARN,
            f"{100 * drop:.1f} % of the head lower when open, what moves lies {100 * low:.1f} % below",
            "on a picture of the avatar that says Ah, the mouth that one sees stays closed; another place moves",
            "face",
            "Move the marker of the mouth and make the face again.",
        )
    opened = lips is not None and lips[1] > OPENS * abs(lips[0])
    off = face_off(m, answer["views"][0].get("face") or {}, opened)
    if not off:
        return  # no face is drawn that the reader knows, or nothing in it moves
    limits = {part: LIMITS["seen_mouth" if part == "mouth" else "seen_eyes"] for part in off}
    name = max(off, key=lambda part: off[part] / limits[part].good)
    yield line(
        "seen_face",
        "Eyes and mouth where they are seen",
        limits[name].judge(off[name]),
        f"{PARTS[name]}: {100 * off[name]:.0f} % of the head off",
        "on a picture of the avatar, an eye or the mouth is not where the face moves",
        "face",
        "Move the markers of eyes and mouth and make the face again.",
    )


def opens(m: Measured, look: dict[str, Any]) -> tuple[float, float] | None:
    """(how far the middle of what an open mouth moves lies below the mouth that is seen, how much lower the open mouth
    itself is seen), in heights of the head; None where no mouth is seen, or where nothing moves.

    A jaw moves skin below the lips only. The farther below, the more it opens, which lowers the middle of the mouth.
    """
    closed, opened = (look.get("face") or {}).get("mouth"), look.get("opened")
    place = moved_place(m, (OPEN,))
    if not closed or not opened or closed[2] < FAINT or place is None:
        return None
    return float(closed[1] - place[1]) / m.head_height, float(closed[1] - opened[1]) / m.head_height


def not_seen() -> Check:
    """The line in place of the checks, where the reader of pictures is not there."""
    return line(
        "seen_joints",
        "Skeleton where the limbs are seen",
        WARN,
        "not looked at",
        "nobody has compared pictures of the avatar with its bones",
        "export",
        "Install the backend, then check the avatar again.",
    )


def held_groups(m: Measured) -> np.ndarray:
    """(V,) 1: an arm holds the vertex, 2: the head does, 0: neither."""
    arms = m.held_by("leftUpperArm") | m.held_by("rightUpperArm")
    return np.where(m.in_head, 2, arms.astype(int))


def overlap(looks: list[dict[str, Any]]) -> tuple[float, str]:
    """(0..1, arms or head): the group whose skin follows its bones least, in the view that shows it better."""
    best = {group: max(look["overlap"][group] for look in looks) for group in ("arms", "head")}
    worst = min(best, key=lambda group: best[group])
    return best[worst], worst


def word_of(name: str) -> str:
    """leftHand -> left wrist."""
    side = name[: len(name) - len(name.removeprefix("left").removeprefix("right"))]
    return f"{side} {WORDS[name.removeprefix(side)]}".strip()


def joints_off(m: Measured, looks: list[dict[str, Any]]) -> tuple[float, str]:
    """(distance in heights between a joint and where it is seen, its name) of the worst one, which counts only as far
    as all views that are sure of it agree; (0, "") where no joint is seen.
    """
    height = max(float(np.ptp(m.rest[:, 1])), 1e-6)
    least: dict[str, float] = {}
    for look, turned in zip(looks, (False, True), strict=True):
        for name, joint in (lowered(m) if turned else m.heads).items():
            x, y, sure = look["joints"].get(name, (0, 0, 0))
            if sure >= SURE and name.removeprefix("left").removeprefix("right") in JOINTS:
                off = float(np.hypot(x - joint[0], y - joint[1])) / height
                least[name] = min(off, least.get(name, np.inf))
    worst = max(least, key=lambda name: least[name], default="")
    return least.get(worst, 0.0), worst


def lowered(m: Measured) -> dict[str, np.ndarray]:
    """Bone -> its head with the arms lowered as in the second view."""
    out = dict(m.heads)
    for upper, degrees in LOWERED.items():
        side, turn = upper.removesuffix("UpperArm"), rotation(degrees)
        for name in (f"{side}LowerArm", f"{side}Hand"):
            out[name] = m.heads[upper] + turn @ (m.heads[name] - m.heads[upper])
    return out


def face_off(m: Measured, face: dict[str, list[float]], opened: bool = False) -> dict[str, float]:
    """Part of the face -> distance between where it is seen and what moves, in heights of the head; the worst of the
    mouth's visemes. Parts that the reader is not sure of, and those that nothing moves, are left out. opened: the mouth
    that is seen was seen to open; then a jaw may move as much as it likes below it, and only what lies aside counts.
    """
    found: dict[str, float] = {}
    for part, moves in SHAPES.items():
        x, y, sure = face.get(part, (0, 0, 0))
        for names in moves if sure >= SURE else ():
            place = moved_place(m, names)
            if place is not None:
                below = 0.0 if part == "mouth" and opened and place[1] < y else y - place[1]
                off = float(np.hypot(x - place[0], below)) / m.head_height
                found[part] = max(off, found.get(part, 0.0))
    return found
