"""Game rigs made for inverse kinematics become humanoids; what is none stays none."""

import numpy as np
import pytest

from avatar_addon.humanoid.matching.matcher import match
from avatar_addon.humanoid.matching.rehang import rehung, stray_arms, stray_fingers

JOINTS = {
    "root": (None, (0, 0, 0)),
    "hips": ("root", (0, 0, 0.9)),
    "spine": ("hips", (0, 0, 1.0)),
    "chest": ("spine", (0, 0, 1.13)),
    "neck": ("chest", (0, 0, 1.33)),
    "head": ("neck", (0, 0, 1.4)),
}
for _side, _x in (("left", 1), ("right", -1)):
    JOINTS |= {
        f"{_side}Shoulder": ("chest", (0.04 * _x, 0, 1.29)),
        f"{_side}UpperArm": (f"{_side}Shoulder", (0.15 * _x, 0, 1.29)),
        f"{_side}LowerArm": (f"{_side}UpperArm", (0.36 * _x, 0, 1.29)),
        f"{_side}Hand": (f"{_side}LowerArm", (0.57 * _x, 0, 1.29)),
        f"{_side}UpperLeg": ("hips", (0.09 * _x, 0, 0.88)),
        f"{_side}LowerLeg": (f"{_side}UpperLeg", (0.09 * _x, -0.005, 0.48)),
        f"{_side}Foot": (f"{_side}LowerLeg", (0.09 * _x, 0.01, 0.08)),
        f"{_side}Toes": (f"{_side}Foot", (0.09 * _x, -0.1, 0.02)),
    }


def skeleton(hung):
    """(heads, parents, true names) with some bones hung elsewhere."""
    names = list(JOINTS)
    above = {name: hung.get(name, parent) for name, (parent, _) in JOINTS.items()}
    parents = [names.index(above[name]) if above[name] else -1 for name in names]
    return np.array([JOINTS[name][1] for name in names], float), parents, names


FEET = {f"{side}Foot": "root" for side in ("left", "right")}
LEGS = {f"{side}UpperLeg": "root" for side in ("left", "right")}


@pytest.mark.parametrize("hung", [FEET, LEGS, FEET | LEGS], ids=["feet", "legs", "both"])
def test_bones_beside_the_root_are_hung_where_they_belong(hung):
    heads, parents, names = skeleton(hung)
    moves, found = rehung(heads, parents, [f"j{k}" for k in range(len(names))])
    assert {names[bone]: names[parent] for bone, parent in moves.items()} == {
        name: JOINTS[name][0] for name in hung if name in JOINTS
    }
    assert {name: names[bone] for name, bone in found.mapping.items()} == {
        name: name for name in names if name != "root"
    }


def test_arms_that_hang_from_the_neck_are_hung_beside_it():
    heads, parents, names = skeleton({f"{side}Shoulder": "neck" for side in ("left", "right")})
    found = match(heads, parents, names)
    assert found.humanoid and "neck" not in found.mapping  # VRM has no arms below a neck
    moves, again = stray_arms(heads, parents, names, found)
    assert {names[bone]: names[parent] for bone, parent in moves.items()} == {
        "leftShoulder": "chest",
        "rightShoulder": "chest",
    }
    assert names[again.mapping["neck"]] == "neck"
    heads, parents, names = skeleton({})
    assert stray_arms(heads, parents, names, match(heads, parents, names)) is None


def test_what_is_no_humanoid_stays_none():
    heads, parents, names = skeleton(FEET)
    legless = [k for k, name in enumerate(names) if "Leg" not in name and "Arm" not in name]
    place = {bone: k for k, bone in enumerate(legless)}
    assert (
        rehung(heads[legless], [place.get(parents[k], 0) if k else -1 for k in legless], ["x"] * len(legless)) is None
    )


def test_a_monster_is_taken_at_its_names():
    heads, parents, names = skeleton({})
    squat = heads * [1.6, 1, 1]
    for name in ("spine", "chest"):
        squat[names.index(name), 1] += 0.35
    assert not match(squat, parents, [f"j{k}" for k in range(len(names))]).humanoid
    found = match(squat, parents, names)
    assert {name: names[bone] for name, bone in found.mapping.items()}.items() >= {n: n for n in names[1:]}.items()


@pytest.mark.parametrize("first", [0.02, 0.0], ids=["near the wrist", "at the wrist"])
def test_fingers_that_start_at_the_metacarpal(first):
    """Four bones, of which the first fills the palm: names count from it, VRM does not."""
    heads, parents, names = skeleton({})
    heads, names = heads.tolist(), list(names)
    for side, x in (("left", 1), ("right", -1)):
        for k, finger in enumerate(("Index", "Middle", "Ring", "Pinky")):
            above = names.index(f"{side}Hand")
            for number, along in enumerate((first, 0.09, 0.13, 0.155), 1):
                heads.append((x * (0.57 + along), 0.02 * k * min(1, along * 20) - 0.03, 1.29))
                parents.append(above)
                names.append(f"{finger}{number}.{'L' if x > 0 else 'R'}")
                above = len(names) - 1
    found = match(np.array(heads), parents, names)
    assert {joint: names[found.mapping[f"leftIndex{joint}"]] for joint in ("Proximal", "Intermediate", "Distal")} == {
        "Proximal": "Index2.L",
        "Intermediate": "Index3.L",
        "Distal": "Index4.L",
    }
    assert names[found.mapping["rightLittleProximal"]] == "Pinky2.R"


def test_a_thumb_that_hangs_from_the_forearm_is_hung_on_the_hand():
    """Its names may be those of the other side, and its first bone may have no number."""
    heads, parents, names = skeleton({})
    for side, x, called in (("left", 1, "R"), ("right", -1, "L")):
        lower, hand, first = names.index(f"{side}LowerArm"), names.index(f"{side}Hand"), len(names)
        thumb, mitten = [(0.55, -0.04, 1.29), (0.58, -0.07, 1.29)], [(0.64, 0, 1.29), (0.68, 0, 1.29)]
        heads = np.concatenate([heads, [(px * x, y, z) for px, y, z in (*thumb, *mitten)]])
        names += [f"Thumb.{called}", f"Thumb2.{called}", f"MiddleHand.{side[0]}", f"Fingers.{side[0]}"]
        parents = [*parents, lower, first, hand, first + 2]
    moves, found = stray_fingers(heads, parents, names, match(heads, parents, names))
    assert {names[bone]: names[hand] for bone, hand in moves.items()} == {"Thumb.R": "leftHand", "Thumb.L": "rightHand"}
    assert names[found.mapping["leftThumbMetacarpal"]] == "Thumb.R"
    assert names[found.mapping["leftThumbProximal"]] == "Thumb2.R"
    assert names[found.mapping["leftMiddleProximal"]] == "MiddleHand.l"
