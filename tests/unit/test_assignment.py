# SPDX-License-Identifier: GPL-3.0-or-later
"""The humanoid panel's states: what is wrong with an assignment, who is to blame, and in which words; mirroring;
picking.
"""

from dataclasses import replace

import numpy as np
import pytest

from avatar_addon.humanoid.matching import picking
from avatar_addon.humanoid.matching.assignment import (
    GROUPS,
    Finding,
    Note,
    bone_states,
    count,
    label,
    other_side,
    summary,
)
from avatar_addon.humanoid.matching.matcher import match
from avatar_addon.humanoid.matching.mirror import mirrored, mirrored_name
from avatar_addon.vrm.spec.human_bones import BONES, PARENTS, REQUIRED, humanoid_problems
from benchmarks import skeletons


@pytest.fixture
def whole():
    """(assigned, parents) of an armature with exactly VRM's bones, called b_..., and three hair bones."""
    parents = {f"b_{name}": f"b_{parent}" if parent else None for name, parent in PARENTS.items()}
    parents |= {"hair0": "b_head", "hair1": "hair0", "hair2": "hair1"}
    return {name: f"b_{name}" for name in BONES}, parents


def kinds(states):
    return {name: state.kind for name, state in states.items() if state.kind != "assigned"}


def test_every_bone_is_in_one_group_and_all_is_well(whole):
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(BONES)
    states = bone_states(*whole)
    assert not kinds(states) and not any(state.word or state.suggestion for state in states.values())
    assert summary(states) == ("All required bones are assigned.", "")
    assert count(states, GROUPS["Arms"]) == (8, "") and len({label(name) for name in BONES}) == len(BONES)


def test_missing_and_optional(whole):
    assigned, parents = whole
    for name in ("leftHand", "jaw", "chest", "rightIndexProximal"):
        del assigned[name]
    states = bone_states(assigned, parents)
    assert kinds(states) == {
        "leftHand": "missing",
        "jaw": "optional",
        "chest": "missing",
        "rightIndexProximal": "missing",
    }
    assert "Upper Chest" in states["chest"].reason and "Right Index 2" in states["rightIndexProximal"].reason
    text, worst = summary(states)
    assert "1 required bone is missing: Left Hand" in text and worst == "missing"
    assert summary(bone_states({}, parents))[0] == "No bones are assigned yet."


@pytest.mark.parametrize("name", ["chest", "leftUpperArm", "leftHand", "hips", "rightUpperLeg"])
def test_the_bone_that_was_set_wrong_is_blamed_for_all_that_hangs_from_it(whole, name):
    assigned, parents = whole
    assigned[name] = "hair1"
    states = bone_states(assigned, parents)
    assert kinds(states) == {name: "order"}
    assert humanoid_problems(assigned, parents)
    assert "Above" in states[name].word or "Below" in states[name].word
    assert label(name) in states[name].reason and "hair1" in states[name].reason


def test_a_bone_below_one_that_vrm_does_not_have_above_it_is_a_problem(whole):
    """The VRM Add-on empties the neck of such a skeleton and refuses to export it."""
    assigned, parents = whole
    parents[assigned["leftShoulder"]] = assigned["neck"]
    (problem,) = humanoid_problems(assigned, parents)
    assert "leftShoulder" in problem and "neck" in problem


def test_a_limb_that_hangs_elsewhere_is_blamed_at_its_first_bone(whole):
    assigned, parents = whole
    parents["b_leftHand"] = None
    assert kinds(bone_states(assigned, parents)) == {"leftHand": "order"}
    assert bone_states(assigned, parents)["leftHand"].word == "Below Left Lower Arm?"


def test_of_two_exchanged_bones_those_are_blamed_that_the_matcher_had_otherwise(whole):
    assigned, parents = whole
    notes = {name: Note(bone, 0.9, "Seen.") for name, bone in assigned.items()}
    assigned["leftUpperLeg"], assigned["rightUpperLeg"] = assigned["rightUpperLeg"], assigned["leftUpperLeg"]
    assert kinds(bone_states(assigned, parents, notes)) == {"leftUpperLeg": "order", "rightUpperLeg": "order"}
    assigned["leftFoot"] = "hair0"  # nothing but its toes and leg tell
    states = bone_states(assigned, parents, notes)
    assert states["leftFoot"].kind == "order" and states["leftFoot"].suggestion == "b_leftFoot"


def test_assigned_twice_is_said_of_both_and_no_more(whole):
    assigned, parents = whole
    assigned["leftHand"] = "b_leftLowerArm"
    states = bone_states(assigned, parents)
    assert states["leftHand"].kind == states["leftLowerArm"].kind == "twice"
    assert states["leftHand"].word == "Also Left Lower Arm" and states["leftLowerArm"].word == "Also Left Hand"
    assigned["leftHand"] = "nowhere"
    assert bone_states(assigned, parents)["leftHand"].kind == "gone"


def test_doubts_of_single_bones_are_their_rows(whole):
    sample = skeletons.sample("5 fingers", np.random.default_rng(3))
    names = [f"bone{k}" for k in range(len(sample.parents))]
    found = match(sample.heads, sample.parents)
    doubts = [
        "Uncertain bones: hips. Check it.",
        "No bone was found for head.",
        "The skeleton is an unusual humanoid: so.",
    ]
    finding = Finding.of(replace(found, doubts=doubts), names)
    assert finding.doubts == (doubts[2],) and {n: note.bone for n, note in finding.notes.items()} == {
        n: names[k] for n, k in found.mapping.items()
    }


def test_a_note_speaks_of_its_bone_only(whole):
    assigned, parents = whole
    notes = {"leftHand": Note("b_leftHand", 0.3, "It is so."), "leftFoot": Note("b_leftFoot", 0.4, "So.")}
    finding = Finding(True, "A humanoid.", 0.3, ("Check.",), notes)
    finding = Finding.from_json(finding.to_json())
    state = bone_states(assigned, parents, finding.notes)["leftHand"]
    assert (state.kind, state.word, state.reason) == ("unsure", "Uncertain", "It is so.")
    sure = finding.confirmed(["leftHand"], assigned)
    assert bone_states(assigned, parents, sure.notes)["leftHand"].kind == "assigned" and sure.doubts == finding.doubts
    surer = sure.confirmed(["leftFoot"], assigned)
    assert not surer.doubts and surer.confidence == 1 and surer.to_json() != sure.to_json()
    parents["other"] = "b_leftLowerArm"
    for finger in [name for name in assigned if name.startswith("left") and PARENTS[name] == "leftHand"]:
        parents[f"b_{finger}"] = "other"
    assert bone_states(assigned | {"leftHand": "other"}, parents, finding.notes)["leftHand"].kind == "assigned"
    del assigned["leftHand"]
    assert bone_states(assigned, parents, finding.notes)["leftHand"].suggestion == "b_leftHand"


@pytest.mark.parametrize(
    "name, other",
    [
        ("hand_L", "hand_R"), ("L Hand", "R Hand"), ("mixamorig:LeftHand", "mixamorig:RightHand"), ("左腕", "右腕"),
        ("lShldr", "rShldr"),
        ("upper_arm.L.001", "upper_arm.R.001"), ("J_Bip_L_Hand", "J_Bip_R_Hand"), ("lower", ""), ("Rig", ""),
    ],
)  # fmt: skip
def test_names_of_the_other_side(name, other):
    assert mirrored_name(name, {other, name, "Hand"}) == other


@pytest.mark.parametrize("kind", ["5 fingers", "no fingers", "any axes"])
def test_the_right_side_comes_from_the_left(kind):
    for seed in range(5):
        sample = skeletons.sample(kind, np.random.default_rng([seed, 7]))
        names = [f"bone{k}" for k in range(len(sample.parents))]
        found = match(sample.heads, sample.parents)
        assigned = {name: names[k] for name, k in found.mapping.items()}
        left = {name: bone for name, bone in assigned.items() if not name.startswith("right")}
        order, parents, heads = in_order(sample)
        ordered = [names[k] for k in order]
        again, alone = mirrored(left, ordered, parents, heads)
        assert again == {name: bone for name, bone in assigned.items() if name.startswith("right")} and not alone
        right = {name: bone for name, bone in assigned.items() if not name.startswith("left")}
        back, _ = mirrored(right, ordered, parents, heads, "right")
        assert back == {name: bone for name, bone in assigned.items() if name.startswith("left")}


def in_order(sample):
    order, known = [], {-1}
    while len(order) < len(sample.parents):
        for k, parent in enumerate(sample.parents):
            if k not in known and parent in known:
                known.add(k)
                order.append(k)
    place = {k: n for n, k in enumerate(order)} | {-1: -1}
    return order, [place[sample.parents[k]] for k in order], np.asarray(sample.heads)[order]


def test_a_bone_without_a_counterpart_is_told():
    names, parents = ["hips", "spine", "a", "b"], [-1, 0, 0, 2]
    heads = np.array([[0, 0, 1.0], [0, 0, 1.5], [0.1, 0, 0.9], [0.1, 0, 0.5]])
    found, alone = mirrored(
        {"hips": "hips", "spine": "spine", "leftUpperLeg": "a", "leftLowerLeg": "b"}, names, parents, heads
    )
    assert not found and alone == ["leftUpperLeg", "leftLowerLeg"]
    assert other_side("leftHand") == "rightHand" and other_side("jaw") == "jaw" and "jaw" not in REQUIRED


def test_the_bone_under_the_mouse_is_the_nearest_and_the_foremost():
    perspective = np.array(
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1.0, 0]]
    )  # looks along +Z, a right angle wide
    starts = np.array([[-1, 0, 2.0], [-1, 0, 4], [0, 1, 2], [0, 0, -3]])
    ends = starts + [2.0, 0, 0]
    a, depth = picking.to_screen(starts, perspective, (200, 100))
    b, _ = picking.to_screen(ends, perspective, (200, 100))
    assert a[0] == pytest.approx((50, 50)) and np.isnan(a[3]).all()
    depth = np.array([0.2, 0.1, 0.5, 0.0])
    assert picking.nearest((100, 51), a, b, depth, 10) == 1  # both lie there: the one before the other
    assert picking.nearest((52, 51), a, b, depth, 10) == 0
    assert picking.nearest((120, 73), a, b, depth, 10) == 2
    assert (
        picking.nearest((10, 10), a, b, depth, 10) == -1 and picking.nearest((1, 1), a[:0], b[:0], depth[:0], 10) == -1
    )
