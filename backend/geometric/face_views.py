# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes and mouth in space: what the network reads of them in several views of the head, checked against each other, and
weighed against what the rules find in the front view.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..mesh.files import MeshArrays
from ..reader import FACE
from .consensus import meet
from .looks import Look, look_around

AZIMUTHS = (0.0, 25.0, 335.0)
HEAD_PIXELS = 170  # of the head in the pictures: about what the network sees of it
LEAST, MOST = 384, 1000  # pixels of the whole figure
SPREAD = 0.05  # of the head's height that the views may differ by
AGREE = 0.06  # of the head's height within which two places are one
SURE = 0.5
BARE = 0.45  # the most that is believed without a texture: relief shows sockets, not eyes
LOWER = 0.05  # of the head's height that a mouth is below the eyes at least


def read_face(mesh: MeshArrays, texture: np.ndarray | None, head: float) -> dict[str, Any]:
    """`face` of docs/architecture.md without depth: centres (2,) x and y in metres, sizes, confidence of eyes and
    mouth. The mesh faces +Z; head: the head's height in metres.
    """
    height = float(np.ptp(mesh.vertices[:, 1]))
    pixels = int(np.clip(HEAD_PIXELS * height / max(head, 1e-6), LEAST, MOST))
    looks = look_around(mesh, texture, AZIMUTHS, height=pixels)
    found = {name: _part(name, looks, head) for name in FACE}
    sure = {"eyes": min(found["leftEye"][1], found["rightEye"][1]), "mouth": found["mouth"][1]}
    places = {name: entry["center"] for name, (entry, _) in found.items()}
    between_eyes = (places["leftEye"][1] + places["rightEye"][1]) / 2
    apart = places["leftEye"][0] - places["rightEye"][0]
    level = abs(places["leftEye"][1] - places["rightEye"][1])
    if apart < 0.08 * head or level > 0.5 * abs(apart):
        sure["eyes"] = min(sure["eyes"], 0.3)
    if between_eyes - places["mouth"][1] < LOWER * head:
        sure["mouth"] = min(sure["mouth"], 0.3)
    if texture is None:
        sure = {name: min(value, BARE) for name, value in sure.items()}
    return {**{name: entry for name, (entry, _) in found.items()}, "confidence": sure}


def _part(name: str, looks: list[Look], head: float) -> tuple[dict[str, Any], float]:
    parts = [look.reading.face[name] for look in looks]
    chance = np.array([part.confidence if part.state == "drawn" else 0.1 * part.confidence for part in parts])
    at = np.array([look.place(part.x, part.y) for look, part in zip(looks, parts, strict=True)])
    rows = np.array([look.across for look in looks])
    point, spread = meet(rows, at, chance**2 + 1e-6, SPREAD * head)
    front, scale = parts[0], looks[0].view.scale
    entry: dict[str, Any] = {"center": [float(point[0]), float(point[1])]}
    if name == "mouth":
        entry["width"] = 2 * front.half_width / scale
    else:
        entry |= {"half_width": front.half_width / scale, "half_height": front.half_height / scale}
    sure = float(np.sort(chance)[-2:].mean())
    return entry, sure if spread < SPREAD * head else 0.6 * sure


def weighed(rules: dict[str, Any], learned: dict[str, Any], head: float) -> dict[str, Any]:
    """The rules' places where both agree, for they are finer; else those of whoever is sure; two different answers of
    which none is sure claim nothing. Centres of both in metres, x and y at least.
    """
    out, sure = dict(rules), dict(rules["confidence"])
    for names, key in ((("leftEye", "rightEye"), "eyes"), (("mouth",), "mouth")):
        apart = max(math.dist(rules[name]["center"][:2], learned[name]["center"][:2]) for name in names)
        chance = learned["confidence"][key]
        if apart <= AGREE * head:
            sure[key] = max(sure[key], chance)
        elif chance >= SURE or chance > sure[key]:
            sure[key] = chance
            out |= {name: learned[name] for name in names}
        else:
            sure[key] = min(sure[key], 0.49)
    out["confidence"] = sure
    return out
