# SPDX-License-Identifier: GPL-3.0-or-later
"""The humanoid matcher on skeletons with known truth."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_addon.humanoid.matching.matcher import match
from avatar_addon.humanoid.matching.names import read_names
from avatar_addon.vrm.spec.human_bones import BONES, REQUIRED, humanoid_problems
from benchmarks import creatures, skeletons
from benchmarks.humanoid import Score, drawn
from benchmarks.skeletons import FINGERS, Look, person

PLAIN = Look(spine=3, fingers=5, toes=True, shoulders=True)


def built(look: Look, seed: int = 0):
    rng = np.random.default_rng(seed)
    made = person(rng, look)
    points = np.array(made.points)
    points += rng.normal(size=points.shape) * 0.001
    return points, np.array(made.parents), made.labels


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def truth_of(labels: list[str]) -> dict[str, int]:
    return {label: k for k, label in enumerate(labels) if label in BONES}


# What the schemes call the bones of `PLAIN`; L and R stand for the side, the numbers of a finger's joints follow its
# name.
SCHEMES = {
    "mixamo": ("mixamorig:",
               dict(zip(BONES[:6], ["Hips", "Spine", "Spine1", "Spine2", "Neck", "Head"], strict=True)),
               "S{}",
               ["Shoulder", "Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot", "ToeBase"], "SHand{}{}",
               ("Left", "Right")),
    "unreal": ("",
               dict(zip(BONES[:6], ["pelvis", "spine_01", "spine_02", "spine_03", "neck_01", "head"], strict=True)),
               "{}_S",
               ["clavicle", "upperarm", "lowerarm", "hand", "thigh", "calf", "foot", "ball"], "{}_0{}_S", ("l", "r")),
    "vroid": ("J_Bip_",
              dict(zip(BONES[:6], ["C_Hips", "C_Spine", "C_Chest", "C_UpperChest", "C_Neck", "C_Head"], strict=True)),
              "S_{}",
              ["Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot", "ToeBase"], "S_{}{}",
              ("L", "R")),
    "rigify": ("DEF-", dict(zip(BONES[:6], ["spine", *(f"spine.00{k}" for k in range(1, 6))], strict=True)), "{}.S",
               ["shoulder", "upper_arm", "forearm", "hand", "thigh", "shin", "foot", "toe"], "f_{}.0{}.S", ("L", "R")),
    "mmd": ("", dict(zip(BONES[:6], ["腰", "上半身", "上半身2", "上半身3", "首", "頭"], strict=True)), "S{}",
            ["肩", "腕", "ひじ", "手首", "足", "ひざ", "足首", "つま先"], "S{}{}", ("左", "右")),
}  # fmt: skip
PARTS = ("Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot", "Toes")
IN_MMD = {"Thumb": "親指", "Index": "人指", "Middle": "中指", "Ring": "薬指", "Little": "小指"}


def named(labels: list[str], scheme: str) -> list[str]:
    prefix, central, sided, parts, finger_form, sides = SCHEMES[scheme]
    counts: dict[str, int] = {}
    out = []
    for label in labels:
        side = sides[0] if label.startswith("left") else sides[1] if label.startswith("right") else ""
        bare = label.removeprefix("left").removeprefix("right")
        finger = next((name for name in FINGERS if bare.startswith(name)), None)
        if label in central:
            out.append(prefix + central[label])
        elif finger:
            counts[side + finger] = counts.get(side + finger, 0) + 1
            word = {"mmd": IN_MMD[finger], "unreal": finger.lower(), "rigify": finger.lower()}.get(scheme, finger)
            out.append(prefix + finger_form.replace("S", side, 1).format(word, counts[side + finger]))
        elif bare in PARTS:
            out.append(prefix + sided.replace("S", side, 1).format(parts[PARTS.index(bare)]))
        else:
            out.append(f"extra{len(out)}")
    return out


def test_ninety_eight_percent_of_unseen_skeletons():
    total = Score()
    for kind in skeletons.KINDS:
        for index in range(3):
            sample = drawn(kind, index, 20260)
            found = match(sample.heads, sample.parents)
            total.add(sample.truth, found.mapping, 0.0, found.sides_sure)
    assert total.share >= 98
    assert total.swapped == 0


@pytest.mark.parametrize("kind", creatures.KINDS)
def test_what_is_no_humanoid_is_refused_with_a_reason(kind):
    for index in range(4):
        sample = drawn(kind, index, 20261, creatures.sample)
        found = match(sample.heads, sample.parents)
        assert not found.humanoid and not found.bones
        assert found.reason.startswith("Not a humanoid: ")


def test_assignments_obey_vrm():
    for kind in ("all at once", "robe", "noise, body", "neck variants"):
        sample = drawn(kind, 0, 3)
        mapping = {name: str(bone) for name, bone in match(sample.heads, sample.parents).mapping.items()}
        parents = {str(k): str(p) if p >= 0 else None for k, p in enumerate(sample.parents)}
        assert humanoid_problems(mapping, parents) == []


def test_every_other_bone_is_set_aside_once_and_for_what_it_is():
    sample = drawn("all at once", 1, 4)
    found = match(sample.heads, sample.parents)
    aside = [bone for chain in found.extras for bone in chain.bones]
    assert sorted(aside + list(found.mapping.values())) == list(range(len(sample.parents)))
    kinds = {bone: chain.kind for chain in found.extras for bone in chain.bones}
    for bone, kind in sample.aside.items():
        if kind in ("hair", "skirt", "tail", "wing", "twist", "bust"):
            assert kinds[bone] == kind
    assert all(
        sample.parents[b] == a for chain in found.extras for a, b in zip(chain.bones, chain.bones[1:], strict=False)
    )


@pytest.mark.parametrize("degrees", [0, 37, 90, 180, 250])
def test_left_is_the_characters_left_wherever_it_faces(degrees):
    points, parents, labels = built(PLAIN)
    found = match(turned(points, degrees), parents, faces=None)
    assert found.mapping == truth_of(labels)
    assert found.sides_sure
    want = turned(np.array([[0.0, -1.0, 0.0]]), degrees)[0, :2]
    assert np.dot(found.facing, want) > 0.98


def test_sides_that_nothing_tells_are_said_to_be_unsure():
    points, parents, _ = built(Look(fingers=0, toes=False, knee=0.0, elbow=0.0))
    points[:, 1] = 0.0
    found = match(points, parents, faces=None)
    assert found.humanoid and not found.sides_sure
    assert any("left and right" in doubt for doubt in found.doubts)
    assert found.bones["leftHand"].unsure and not found.bones["spine"].unsure


@pytest.mark.parametrize("scheme", SCHEMES)
def test_names_of_known_schemes(scheme):
    points, parents, labels = built(PLAIN)
    names = named(labels, scheme)
    found = match(points, parents, names)
    assert found.mapping == truth_of(labels)
    assert sum(entry.confidence > 0.95 for entry in found.bones.values()) >= 40
    read = read_names(names)
    for label, name in zip(labels, read, strict=True):
        if label in REQUIRED and label not in ("hips", "spine", "head"):
            assert name.bone == label


@pytest.mark.parametrize("scheme", SCHEMES)
def test_names_settle_what_geometry_cannot(scheme):
    """Seen from behind, without toes or anything else in front; fingers that lie in one point of the palm."""
    look = Look(toes=False, knee=0.0, elbow=0.0, fingers=5)
    points, parents, labels = built(look)
    points[:, 1] *= 0.02
    found = match(turned(points, 180), parents, named(labels, scheme))
    assert found.mapping == truth_of(labels)


def test_names_that_contradict_the_body_are_not_followed_silently():
    points, parents, labels = built(PLAIN)
    names = named(labels, "unreal")
    swapped = [n[:-1] + {"l": "r", "r": "l"}[n[-1]] if n.endswith(("_l", "_r")) else n for n in names]
    found = match(points, parents, swapped)
    assert not found.sides_sure and any("sides" in doubt for doubt in found.doubts)
    shuffled = list(np.random.default_rng(1).permutation(names))
    found = match(points, parents, shuffled)
    assert found.mapping == truth_of(labels)


def test_no_skeleton_is_a_value_error_and_an_empty_one_is_refused():
    with pytest.raises(ValueError):
        match(np.zeros((3, 3)), [1, 2, 0])
    with pytest.raises(ValueError):
        match(np.full((2, 3), np.nan), [-1, 0])
    assert not match(np.zeros((0, 3)), []).humanoid
    assert not match(np.zeros((30, 3)), [-1, *range(29)]).humanoid
