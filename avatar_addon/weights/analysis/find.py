# SPDX-License-Identifier: GPL-3.0-or-later
"""The places where the skin does not follow its bones, the worst first: the report's measures and limits, on the
scene. No bpy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...mesh.measures import to_segment
from ...report.limits import FAIL, HEAD_FOLLOWS, LIMITS, PASS
from ...report.skin_measures import SkinFinding, following, head_turn, leaks, strays, tearing
from ...vrm.spec.human_bones import REQUIRED
from .skin import LEAST, WeightedSkin

# How a place is fixed: the operators' names without "avatar_forge.".
REWEIGHT, BIND, FILL, SMOOTH, CLOSE, NORMALISE = (
    "reweight_limb", "bind_island", "fill_weights", "smooth_weights", "close_cracks", "normalise_weights",
)  # fmt: skip
SAFE = (FILL, CLOSE, NORMALISE)  # nothing about them is a guess
PARTS = {
    "leftArm": "left arm", "rightArm": "right arm", "leftLeg": "left leg", "rightLeg": "right leg", "head": "head",
    "torso": "torso",
}  # fmt: skip
KINDS = (
    "island",
    "unweighted",
    "stray",
    "leak",
    "follow",
    "stretch",
    "crack",
    "influences",
    "sum",
)  # in this order, of equal severity
MOST_OF_A_KIND = 8
EXPLAINED = 0.9  # of what stays behind is at a place that says why
SAMPLED = 24  # vertices of a loose part that look for the skin next to them
LOOSE = 0.5  # of the mesh: a part that hangs together and is smaller


@dataclass
class Place:
    """One place. kind: of KINDS; severity: WARN or FAIL; vertices: (n,) indices; centre: (3,) metres, glTF axes;
    limb: of PARTS or ""; bone: VRM bone that is nearest, or ""; fix: what fixes it; loose: its vertices are parts
    that do not hang together with the body.
    """

    kind: str
    severity: str
    sentence: str
    vertices: np.ndarray
    centre: np.ndarray
    limb: str
    bone: str
    fix: str
    loose: bool = False


def words(bone: str) -> str:
    """leftUpperArm -> left upper arm."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", bone).lower()


def part_of(bone: str) -> str:
    """The key of PARTS that a VRM bone belongs to."""
    for side in ("left", "right"):
        if bone.startswith(side) and not bone.endswith(("Eye", "Shoulder")):
            return side + ("Leg" if bone.endswith(("Leg", "Foot", "Toes")) else "Arm")
    return "head" if bone in ("head", "neck", "jaw", "leftEye", "rightEye") else "torso"


def is_complete(skin: WeightedSkin) -> bool:
    """Whether all bones are assigned that the measures turn."""
    return all(name in skin.bones for name in REQUIRED)


def find_places(skin: WeightedSkin) -> list[Place]:
    """Every place, the worst first. Without the required humanoid bones only what is wrong whatever they are."""
    if not len(skin.rest) or not skin.weights.shape[1]:
        return []
    places = [*_unweighted(skin), *_too_many(skin)]
    if is_complete(skin):
        for find in (_strays, _leaks, _behind):  # each after what explains it
            known = _marked(skin, places)
            places += [
                place for place in find(skin) if place.kind != "follow" or known[place.vertices].mean() < EXPLAINED
            ]
        places += _torn(skin, skin.grown(_marked(skin, places), 2))
    for place in places:
        place.loose = _is_loose(skin, place.vertices)
    return sorted(places, key=lambda place: (place.severity != FAIL, KINDS.index(place.kind), -len(place.vertices)))


def _marked(skin: WeightedSkin, places: list[Place]) -> np.ndarray:
    """(V,) bool: what is in the places found so far, but for those that are not about where the skin goes."""
    known = np.zeros(len(skin.rest), bool)
    for place in places:
        if place.fix != NORMALISE:
            known[place.vertices] = True
    return known


def _place(
    skin: WeightedSkin, kind: str, severity: str, sentence: str, rows: np.ndarray, limb: str, fix: str, bone: str = ""
) -> Place:
    return Place(kind, severity, sentence, rows, skin.rest[rows].mean(0), limb, bone or nearest_bone(skin, rows), fix)


def _unweighted(skin: WeightedSkin) -> Iterator[Place]:
    clusters = skin.clusters(skin.empty)
    size = np.bincount(skin.island, minlength=len(skin.rest))
    empty = np.bincount(skin.island[skin.empty], minlength=len(skin.rest))
    for rows in clusters[:MOST_OF_A_KIND]:
        island, bone = skin.island[rows[0]], nearest_bone(skin, rows)
        if empty[island] == size[island]:
            sentence = f"Loose part without a bone: {words(bone)}."
            yield _place(skin, "island", FAIL, sentence, rows, part_of(bone), BIND, bone)
        else:
            sentence = f"Skin without a bone: {words(bone)}."
            yield _place(skin, "unweighted", FAIL, sentence, rows, part_of(bone), FILL, bone)


def _too_many(skin: WeightedSkin) -> Iterator[Place]:
    count = (skin.weights > LEAST).sum(1)
    most = int(LIMITS["influences"].good)
    rows = np.flatnonzero(count > most)
    if len(rows):
        sentence = f"{len(rows)} vertices follow more than {most} bones."
        yield _place(skin, "influences", LIMITS["influences"].judge(float(count.max())), sentence, rows, "", NORMALISE)
    off = np.where(skin.empty, 0.0, np.abs(skin.total - 1))
    severity = LIMITS["weight_sum"].judge(float(off.max()))
    if severity != PASS:
        rows = np.flatnonzero(off > LIMITS["weight_sum"].good)
        yield _place(skin, "sum", severity, f"Weights of {len(rows)} vertices do not sum to 1.", rows, "", NORMALISE)


def _leaks(skin: WeightedSkin) -> Iterator[Place]:
    for found in leaks(skin):
        severity = LIMITS["leak"].judge(found.value)
        if severity != PASS:
            sentence = f"The {PARTS[found.first]} drags the {PARTS[found.second]} along."
            yield _place(skin, "leak", severity, sentence, np.flatnonzero(found.vertices), found.second, REWEIGHT)
    _, drags = head_turn(skin)
    severity = LIMITS["leak"].judge(drags.value)
    if severity != PASS:
        rows = np.flatnonzero(drags.vertices)
        bone = _most_common(skin, rows)
        yield _place(
            skin, "leak", severity, f"The head drags the {PARTS[part_of(bone)]} along.", rows, part_of(bone), REWEIGHT
        )


def _strays(skin: WeightedSkin) -> Iterator[Place]:
    for found in strays(skin):
        severity = LIMITS["stray"].judge(found.value)
        if severity != PASS:
            sentence = f"Skin of the {PARTS[found.second]} follows the {PARTS[found.first]}."
            yield _place(skin, "stray", severity, sentence, np.flatnonzero(found.vertices), found.second, REWEIGHT)


def _behind(skin: WeightedSkin) -> Iterator[Place]:
    """What stays behind when its limb, or the head, turns; vertices without any bone are told of by themselves."""

    def place(found: SkinFinding, severity: str) -> Iterator[Place]:
        rows = np.flatnonzero(found.vertices & ~skin.empty)
        if severity != PASS and len(rows):
            yield _place(
                skin, "follow", severity, f"Skin of the {PARTS[found.first]} stays behind.", rows, found.first, REWEIGHT
            )

    for found in following(skin):
        yield from place(found, LIMITS["follow"].judge(found.value))
    moves, _ = head_turn(skin)
    yield from place(moves, FAIL if moves.value < HEAD_FOLLOWS else PASS)


def _torn(skin: WeightedSkin, explained: np.ndarray) -> Iterator[Place]:
    """Stretched skin and cracks, but for what another place explains: (V,) bool."""
    stretched, gaps = zip(*tearing(skin), strict=True)
    for kind, limit, findings, fix in (("stretch", "stretch", stretched, SMOOTH), ("crack", "seam", gaps, CLOSE)):
        severity = LIMITS[limit].judge(max(found.value for found in findings))
        if severity == PASS:
            continue
        some = np.any([found.vertices for found in findings], axis=0)
        clusters = [rows for rows in skin.clusters(some) if not explained[rows].any()]
        if kind == "crack" and clusters:  # a seam is one thing, however many pieces of it open
            clusters = [np.sort(np.concatenate(clusters))]
        for rows in clusters[:MOST_OF_A_KIND]:
            marked = [int(found.vertices[rows].sum()) for found in findings]
            pose = findings[marked.index(max(marked))].first
            bone = _most_common(skin, rows)
            what = "Stretched" if kind == "stretch" else "Crack"
            yield _place(skin, kind, severity, f"{what}: {words(bone)}, {pose}.", rows, part_of(bone), fix)


def _most_common(skin: WeightedSkin, rows: np.ndarray) -> str:
    """The VRM bone that holds most of these vertices."""
    owners = skin.owner[rows]
    owners = owners[owners >= 0]
    return humanoid_bone(skin, int(np.bincount(owners).argmax())) if len(owners) else nearest_bone(skin, rows)


def humanoid_bone(skin: WeightedSkin, bone: int) -> str:
    """The VRM bone that a bone is or hangs from; "" where there is none."""
    names = {k: name for name, k in skin.bones.items()}
    while bone >= 0 and bone not in names:
        bone = skin.parents[bone]
    return names.get(bone, "")


def nearest_bone(skin: WeightedSkin, rows: np.ndarray) -> str:
    """The VRM bone of the skin that lies nearest to a loose part, or of the bones where no skin has weights; ""
    without bones.
    """
    some = rows[np.linspace(0, len(rows) - 1, min(SAMPLED, len(rows))).astype(np.int64)]
    other = ~skin.empty
    other[rows] = False
    others = np.flatnonzero(other)
    if len(others):
        near = [others[((skin.rest[others] - point) ** 2).sum(1).argmin()] for point in skin.rest[some]]
        if bone := humanoid_bone(skin, int(np.bincount(skin.owner[near]).argmax())):
            return bone
    apart = {
        name: float(to_segment(skin.rest[some], skin.joints[k], skin.tails[k])[0].mean())
        for name, k in skin.bones.items()
    }
    return min(apart, key=lambda name: apart[name], default="")


def _is_loose(skin: WeightedSkin, rows: np.ndarray) -> bool:
    return bool(np.isin(skin.island, np.unique(skin.island[rows])).mean() < LOOSE)
