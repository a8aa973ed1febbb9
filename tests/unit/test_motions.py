"""Test poses and animations from the joints of any humanoid, in Blender's axes."""

import dataclasses

import numpy as np
import pytest

from avatar_addon.pose.kinematics import gestures, motions, rest
from avatar_addon.vrm.spec.human_bones import FINGERS

FRAMES = 24


def person(legs=0.9, arms=0.5, root=False, fingers=True):
    """A T-posed skeleton with toes, a shoulder on each side and, above the hips, a bone of no meaning."""
    at = {
        "hips": (0, 0, legs),
        "spine": (0, 0, legs + 0.1),
        "chest": (0, 0, legs + 0.25),
        "neck": (0, 0, legs + 0.5),
        "head": (0, 0, legs + 0.6),
    }
    above = {"hips": None, "spine": "hips", "chest": "spine", "neck": "chest", "head": "neck"}
    shoulder = legs + 0.45
    for side, sign in (("left", 1), ("right", -1)):
        chains = {
            "chest": {"Shoulder": (0.04, 0, shoulder), "UpperArm": (0.15, 0, shoulder),
                      "LowerArm": (0.15 + arms / 2, 0, shoulder),
                      "Hand": (0.15 + arms, 0, shoulder)},
            "hips": {"UpperLeg": (0.1, 0, legs - 0.02), "LowerLeg": (0.1, 0, legs / 2), "Foot": (0.1, 0.02, 0.08),
                     "Toes": (0.1, -0.1, 0.02)},
        }  # fmt: skip
        for parent, chain in chains.items():
            for name, (x, y, z) in chain.items():
                at[side + name], above[side + name], parent = (sign * x, y, z), parent, side + name
        for k, finger in enumerate(FINGERS[1:] if fingers else ()):
            parent = f"{side}Hand"
            for step, part in enumerate(("Proximal", "Intermediate", "Distal")):
                name = side + finger + part
                at[name], above[name], parent = (
                    (sign * (0.2 + arms + 0.03 * step), 0.02 * k - 0.03, legs + 0.45),
                    parent,
                    name,
                )
    if root:
        at, above = {"anything": (0, 0, 0), **at}, {"anything": None, **above, "hips": "anything"}
    names = list(at)
    joints = np.array(list(at.values()), float)
    parents = np.array([names.index(above[name]) if above[name] else -1 for name in names])
    tails = joints + [0, 0, 0.05]
    for side in ("left", "right"):
        k = names.index(f"{side}Toes")
        tails[k] = joints[k] + [0, -0.06, -0.01]
    return motions.PosedBody(joints, tails, parents, names)


def placed(body, moves):
    """name -> (..., 3) the joints after the moves."""
    joints = np.einsum("...kij,kj->...ki", moves[..., :3, :3], body.joints) + moves[..., :3, 3]
    return {name: joints[..., k, :] for k, name in enumerate(body.names)}


BODIES = {
    "adult": person(),
    "child": person(legs=0.35, arms=0.3),
    "root bone": person(root=True),
    "no fingers": person(fingers=False),
}


@pytest.fixture(params=BODIES)
def body(request):
    return BODIES[request.param]


@pytest.mark.parametrize("name", gestures.MOTIONS)
def test_motions_loop_and_keep_the_feet_on_the_ground(body, name):
    make, _ = gestures.MOTIONS[name]
    moves = make(body, FRAMES)
    assert moves.shape == (FRAMES, len(body.names), 4, 4) and np.isfinite(moves).all()
    at = placed(body, moves)
    for side in ("left", "right"):  # bones keep their lengths
        shin = at[f"{side}Foot"] - at[f"{side}LowerLeg"]
        np.testing.assert_allclose(np.linalg.norm(shin, axis=1), np.linalg.norm(shin[0]), atol=1e-9)
    ankles = np.stack([at["leftFoot"][:, 2], at["rightFoot"][:, 2]])
    assert ankles.min() > 0.03 and ankles.min(0).max() < 0.08 + 0.1 * body.height  # one foot always stands
    steps = np.abs(np.diff(np.concatenate([moves, moves[:1]]), axis=0)).max((1, 2, 3))
    assert steps[-1] < 1.5 * steps.max() + 1e-9 and steps[-1] <= steps[:-1].max() * 1.2  # no jump where it begins again


def test_shoes_longer_than_their_bones_stay_on_the_ground_in_a_walk(body):
    feet = [k for k, name in enumerate(body.names) if name.endswith(("Foot", "Toes"))]
    boxes = {  # a shoe reaches beyond its bones at heel and tip
        k: np.array([[body.joints[k][0] + x, y, z] for x in (-0.05, 0.05) for y in ((-0.1, 0.12), (-0.28, -0.1))[
            body.names[k].endswith("Toes")] for z in (0, 0.08)])
        for k in feet
    }  # fmt: skip
    points = np.concatenate(list(boxes.values()))
    bone = np.repeat(feet, [len(box) for box in boxes.values()])
    shod = dataclasses.replace(body, soles=motions.soles_of(points, bone, body.names))

    def lowest(wearer):
        moves = motions.walk(wearer, FRAMES)
        return np.min([(moves[:, k, 2, :3] @ box.T + moves[:, k, 2, 3:]).min(1) for k, box in boxes.items()], axis=0)

    assert np.abs(lowest(shod)).max() < 1e-6 and lowest(body).min() < -0.005


def test_the_clip_of_a_walk_keeps_big_shoes_above_the_ground(body):
    leg = body.joints[body.names.index("leftUpperLeg")][2]

    def hips(length):  # of a body with such shoes, in metres
        soles = {}
        for side in ("left", "right"):
            foot = body.names.index(f"{side}Foot")
            heel, tip = (np.array([body.joints[foot][0], body.joints[foot][1] + y, 0]) for y in (0.2 * leg, -length))
            soles[foot] = np.array([heel, tip])
        shod = dataclasses.replace(body, soles=soles)
        return motions.walk(shod, FRAMES)[:, body.names.index("hips"), 2, 3]

    sunk = hips(0.5 * leg) - hips(0.27 * leg)  # what the hips of a usual body's clip are too low for big shoes
    assert sunk.max() < 0.05 * leg


def test_the_hand_that_waves_stays_away_from_a_wide_head(body):
    at = placed(body, motions.wave(body, FRAMES))
    elbow, hand = (-at[f"right{name}"][:, 0] for name in ("LowerArm", "Hand"))
    reach = np.linalg.norm(body.joints[body.names.index("rightHand")] - body.joints[body.names.index("rightLowerArm")])
    assert (hand - elbow).min() > 0.2 * reach


def test_the_walk_takes_steps_with_arms_against_the_legs(body):
    at = placed(body, motions.walk(body, FRAMES))
    ahead = {side: -at[f"{side}Foot"][:, 1] for side in ("left", "right")}
    assert ahead["left"].argmax() != ahead["right"].argmax()
    assert abs(ahead["left"].argmax() - ahead["right"].argmax()) == pytest.approx(FRAMES / 2, abs=2)
    assert np.ptp(ahead["left"]) > 0.25 * at["hips"][:, 2].mean()
    for side in ("left", "right"):
        hand = -at[f"{side}Hand"][:, 1]
        assert np.corrcoef(hand, ahead[side])[0, 1] < -0.5
        assert (at[f"{side}Hand"][:, 2] < at[f"{side}UpperArm"][:, 2]).all()
        lifted = at[f"{side}Foot"][:, 2]
        assert np.ptp(lifted) > 0.05 * at["hips"][:, 2].mean()
        back = (
            ahead[side] - np.roll(ahead[side], 1) < 0
        )  # the foot goes back while it stands, and comes forward through the air
        assert lifted[back].mean() < lifted[~back].mean()


def test_the_wave_raises_the_right_hand_and_the_turn_goes_around_once(body):
    at = placed(body, motions.wave(body, FRAMES))
    assert (at["rightHand"][:, 2] > at["rightUpperArm"][:, 2]).all() and (
        at["leftHand"][:, 2] < at["leftUpperArm"][:, 2]
    ).all()
    assert np.ptp(at["rightHand"][:, 0]) > 0.05
    moves = motions.turn(body, FRAMES)
    facing = moves[:, body.names.index("hips"), :2, 1]
    angle = np.unwrap(np.arctan2(facing[:, 1], facing[:, 0]))
    assert np.degrees(angle[-1] - angle[0]) == pytest.approx(360 * (FRAMES - 1) / FRAMES)


def test_test_poses_are_what_they_say(body):
    names = motions.pose_names("leftIndexProximal" in body.names)
    at = {name: placed(body, motions.pose(body, name)) for name in names}
    for side, sign in (("left", 1), ("right", -1)):

        def arm(name, side=side):
            return at[name][f"{side}Hand"] - at[name][f"{side}UpperArm"]

        assert arm("Arms Up")[2] > 0 > arm("Arms Down")[2]
        assert -arm("Arms Forward")[1] > 0.9 * np.linalg.norm(arm("Arms Forward"))
        knee, hip, foot = (at["Sit"][side + bone] for bone in ("LowerLeg", "UpperLeg", "Foot"))
        assert hip[1] - knee[1] > 3 * abs(hip[2] - knee[2]) and knee[2] - foot[2] > 3 * abs(foot[1] - knee[1])
        assert at["Sit"][f"{side}Foot"][2] == pytest.approx(0.08, abs=0.01)
        assert at["Squat"]["hips"][2] < 0.7 * at["Arms Down"]["hips"][2]
        assert sign * at["Squat"][f"{side}LowerLeg"][0] > 0.1
        if "Fists" in names:
            tip, palm = at["Fists"][f"{side}MiddleDistal"], at["Fists"][f"{side}Hand"]
            assert tip[2] < palm[2] and np.linalg.norm(tip - palm) < 0.08


def test_limbs_without_bones_stay_and_a_body_without_feet_is_no_error():
    whole = person(fingers=False)
    keep = [k for k, name in enumerate(whole.names) if not name.endswith(("Foot", "Toes", "LowerArm", "Hand"))]
    place = {k: n for n, k in enumerate(keep)}
    body = motions.PosedBody(
        whole.joints[keep],
        whole.tails[keep],
        np.array([place.get(p, -1) for p in whole.parents[keep]]),
        [whole.names[k] for k in keep],
    )
    for make, _ in gestures.MOTIONS.values():
        assert np.isfinite(make(body, 8)).all()


def test_an_armature_with_other_axes_is_turned_to_the_usual_ones():
    body = person()
    for turn in (
        np.eye(3),
        motions.about(motions.X, -90),
        motions.about(motions.Z, 90),
        motions.about(motions.X, 90) @ motions.about(motions.Z, 180),
    ):
        frame = rest.body_frame(100 * body.joints @ turn.T, body.names)
        np.testing.assert_allclose(frame @ turn, np.eye(3), atol=1e-9)
