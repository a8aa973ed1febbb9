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

AZIMUTHS = (0.0, 12.0, 348.0, 25.0, 335.0)
HEAD_PIXELS = 170  # of the head in the pictures: about what the network sees of it
LEAST, MOST = 384, 1000  # pixels of the whole figure
SPREAD = 0.05  # of the head's height that the views may differ by
AGREE = 0.06  # of the head's height within which two places are one
FINE = 0.025  # and within which that of the rules, which look at the pixels themselves, is the finer one
# A faint mouth that most views show in one place, this near to the middle between the eyes in heads, is so much surer:
# where nothing is drawn, the network's guesses lie anywhere.
# On one height, that is: those of lips differ by 0.009 of the head's height at most.
MIDDLE, IN_PLACE, LEVEL = 0.025, 0.4, 0.015
# Eyes that are farther above a plain mouth than this many times what they are apart are brows or a cap's badges; people
# have 1.0 to 1.2, drawn characters less.
PLAIN, LONG = 0.4, 1.4
SURE = 0.5
DIM = 0.3  # below it a learned place moves nothing
LOWER = 0.05  # of the head's height that a mouth is below the eyes at least
# On meshes the network's confidence of eyes is too high by itself: what remeshing leaves of small eyes and brows looks
# like eyes that lie beside the true ones. Alone it counts as this logistic function of it; as it is with the rules,
# which look for eyes in another way, and are at least so sure of the same place; and with eyes so far apart, large ones
# of drawn characters, which nothing beside them is mistaken for. docs/performance.md says of which faces this is.
ALONE, STEEP, WIDE = 0.7, 20.0, 0.4
SUPPORT, SAME = 0.4, 0.075  # the latter in heads
CROOKED = 0.08  # of the head's height: eyes that differ more in height belong to a tilted head


def read_face(mesh: MeshArrays, texture: np.ndarray | None, head: float) -> dict[str, Any]:
    """`face` of docs/architecture.md without depth: centres (2,) x and y in metres, sizes, confidence of eyes and
    mouth. The mesh faces +Z; head: the head's height in metres.
    """
    height = float(np.ptp(mesh.vertices[:, 1]))
    pixels = int(np.clip(HEAD_PIXELS * height / max(head, 1e-6), LEAST, MOST))
    looks = look_around(mesh, texture, AZIMUTHS, height=pixels, even=True)
    found = {name: _part(name, looks, head) for name in FACE}
    sure = {"eyes": min(found["leftEye"][1], found["rightEye"][1]), "mouth": found["mouth"][1]}
    places = {name: entry["center"] for name, (entry, _) in found.items()}
    between_eyes = (places["leftEye"][1] + places["rightEye"][1]) / 2
    apart = places["leftEye"][0] - places["rightEye"][0]
    level = abs(places["leftEye"][1] - places["rightEye"][1])
    if apart < 0.08 * head or level > 0.5 * abs(apart):
        sure["eyes"] = min(sure["eyes"], 0.3)
    aside = abs(places["mouth"][0] - (places["leftEye"][0] + places["rightEye"][0]) / 2)
    heights = [look.place(part.x, part.y)[1] for look in looks for part in [look.reading.face["mouth"]]]
    steady = float(np.std(heights)) < LEVEL * head
    if aside < MIDDLE * head and steady and _seen_together("mouth", looks, places["mouth"], head):
        sure["mouth"] = 1 - (1 - sure["mouth"]) * (1 - IN_PLACE)
    if sure["mouth"] > PLAIN and between_eyes - places["mouth"][1] > LONG * max(apart, 0.0):
        sure["eyes"] = min(sure["eyes"], 0.3)
    if between_eyes - places["mouth"][1] < LOWER * head:
        sure["mouth"] = min(sure["mouth"], 0.3)
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


def _seen_together(name: str, looks: list[Look], place: list[float], head: float) -> bool:
    """Whether most views say that the part is drawn, and the front one of them there."""
    drawn = [look.reading.face[name].state == "drawn" for look in looks]
    front = looks[0].reading.face[name]
    x, y = looks[0].place(front.x, front.y)
    return sum(drawn) > len(looks) / 2 and math.dist((x, y), place) < SPREAD * head


def weighed(rules: dict[str, Any], learned: dict[str, Any], head: float) -> dict[str, Any]:
    """The rules' places where they are next to the learned ones, for they are finer; else those of whoever is surer.
    Two that agree confirm each other; two different answers of which none is sure claim nothing. Centres of both in
    metres, x and y at least.
    """
    out, sure = dict(rules), dict(rules["confidence"])
    for names, key in ((("leftEye", "rightEye"), "eyes"), (("mouth",), "mouth")):
        apart = max(math.dist(rules[name]["center"][:2], learned[name]["center"][:2]) for name in names)
        chance, own = learned["confidence"][key], sure[key]
        if apart <= AGREE * head:
            sure[key] = 1 - (1 - own) * (1 - chance) if chance > DIM else max(own, chance)
            if apart > FINE * head and chance > DIM:
                out |= {name: learned[name] for name in names}
        elif chance >= SURE or chance > own:
            sure[key] = chance
            out |= {name: learned[name] for name in names}
        else:
            sure[key] = min(own, 0.49)
        if key == "eyes" and (own < SUPPORT or apart > SAME * head) and not _is_wide(learned, head):
            sure[key] = min(sure[key], _alone(chance))
    out["confidence"] = sure
    _level(out, head)
    return out


def _is_wide(face: dict[str, Any], head: float) -> bool:
    return math.dist(face["leftEye"]["center"][:2], face["rightEye"]["center"][:2]) > WIDE * head


def _alone(chance: float) -> float:
    return 1 / (1 + math.exp(STEEP * (ALONE - chance)))


def _level(face: dict[str, Any], head: float) -> None:
    """Both eyes at one height, in place; about the line to a mouth that is sure, which tells how the head is tilted.
    What blurs or covers one of them moves it, and moves it half as much then.
    """
    left, right, mouth = (np.array(face[name]["center"][:2], float) for name in ("leftEye", "rightEye", "mouth"))
    down = (left + right) / 2 - mouth
    sure = face["confidence"]["mouth"] >= SURE and down[1] > LOWER * head
    off = (left - right)[1]
    if sure:
        tilted = -down[0] / down[1] * (left - right)[0]
        off -= min(max(tilted, min(off, 0.0)), max(off, 0.0))  # not more than the eyes themselves
    if abs(off) < CROOKED * head:
        for name, place, share in (("leftEye", left, -0.5), ("rightEye", right, 0.5)):
            face[name] = face[name] | {"center": [float(place[0]), float(place[1] + share * off)]}
