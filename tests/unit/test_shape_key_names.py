"""Existing shape keys are recognised by the names that avatars in the wild have."""

import pytest

from avatar_addon.vrm.spec.presets import PRESETS
from avatar_addon.vrm.spec.shape_key_names import describe, recognise

ARKIT = [
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
]
MMD = [
    "まばたき",
    "笑い",
    "ウィンク",
    "ウィンク右",
    "ウィンク２",
    "ウィンク２右",
    "なごみ",
    "びっくり",
    "怒り",
    "困る",
    "にこり",
    "あ",
    "い",
    "う",
    "え",
    "お",
    "ω",
]
VRCHAT = [
    f"vrc.v_{name}"
    for name in ["sil", "pp", "ff", "th", "dd", "kk", "ch", "ss", "nn", "rr", "aa", "e", "ih", "oh", "ou"]
] + [
    "vrc.blink_left",
    "vrc.blink_right",
]
VISEMES = ("aa", "ih", "ou", "ee", "oh")


def test_arkit_has_everything_put_together_from_parts():
    found = recognise(["Basis", *ARKIT])
    assert set(found.binds) == set(PRESETS) and found.conventions == ("ARKit",)
    assert found.binds["aa"][0][0] == "jawOpen" and dict(found.binds["oh"])["mouthFunnel"] > 0.5
    assert found.binds["blinkLeft"] == [("eyeBlinkLeft", 1.0)]
    # To the left looks the left eye outwards and the right one inwards.
    assert {key for key, _ in found.binds["lookLeft"]} == {"eyeLookOutLeft", "eyeLookInRight"}
    assert all(0 < weight <= 1 for binds in found.binds.values() for _, weight in binds)


def test_mmd():
    found = recognise(MMD)
    assert {name: found.binds[name][0][0] for name in VISEMES} == dict(zip(VISEMES, "あいうえお", strict=True))
    assert found.binds["blink"] == [("まばたき", 1.0)]
    # MMD's wink is the model's left eye.
    assert found.binds["blinkLeft"] == [("ウィンク２", 1.0)] and found.binds["blinkRight"] == [("ウィンク２右", 1.0)]


def test_vrchat_and_its_blink_from_two():
    found = recognise(VRCHAT)
    assert set(VISEMES) <= set(found.binds) and found.binds["ee"] == [("vrc.v_e", 1.0)]
    assert found.binds["blink"] == [("vrc.blink_left", 1.0), ("vrc.blink_right", 1.0)]


@pytest.mark.parametrize(
    "keys, preset, key",
    [
        (["Fcl_MTH_A", "Fcl_EYE_Close_L", "Fcl_ALL_Fun"], "aa", "Fcl_MTH_A"),
        (["A", "I", "U", "E", "O", "Blink_L", "Joy"], "ee", "E"),
        (["A", "I", "U", "E", "O", "Blink_L", "Joy"], "blinkLeft", "Blink_L"),
        (["eyeBlink_L", "eyeBlink_R"], "blinkLeft", "eyeBlink_L"),
        (["BlendShape.jawOpen"], "aa", "BlendShape.jawOpen"),
        (["JawOpen"], "aa", "JawOpen"),
        (["aa", "jawOpen"], "aa", "aa"),
        (["blinkLeft"], "blinkLeft", "blinkLeft"),
    ],
)
def test_spellings(keys, preset, key):
    assert recognise(keys).binds[preset][0][0] == key


def test_names_that_mean_nothing_are_left_alone():
    found, known = recognise(["Basis", "Key 1", "A", "Fat", "Muscle", "shoe_size"]), recognise(MMD)
    assert found.binds == {} and describe(found.binds, found.conventions).startswith("No shape key")
    assert describe(known.binds, known.conventions).startswith("Bound 13 of 17")
