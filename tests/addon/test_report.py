"""The report card: a good avatar has no FAIL, and each way to break one is caught by the check that should catch it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from avatar_addon.report.report import make_report
from avatar_addon.vrm.spec.vrm_file import VrmFile
from tests.addon.vrm_surgery import Surgery

HALF = np.sqrt(0.5)


def swap(mapping, a, b):
    mapping[a], mapping[b] = mapping[b], mapping[a]


def swap_sides(s):
    for name in list(s.bones):
        if name.startswith("left"):
            swap(s.bones, name, "right" + name[4:])


def lower_the_arms(s):
    for bone, turn in (("leftUpperArm", -1), ("rightUpperArm", 1)):
        s.node(bone)["rotation"] = [0, 0, turn * np.sin(np.radians(22)), np.cos(np.radians(22))]


def scale_root(s, factor):
    s.node("hips")["scale"] = [factor] * 3
    s.node("hips")["translation"] = [factor * value for value in s.node("hips")["translation"]]


def turn_around(s):
    s.node("hips")["rotation"] = [0, 1, 0, 0]


def float_above(s):
    s.node("hips")["translation"][1] += 1.0


def remove_skin(s):
    for node in s.json["nodes"]:
        node.pop("skin", None)


def spoil_position(s):
    def change(points):
        points[7] = np.nan
        return points

    s.each("POSITION", change)


def flatten_triangles(s):
    for primitive in s.mesh["primitives"]:
        indices = s.array(primitive["indices"])
        indices[: len(indices) // 6 * 3] = 0
        s.replace(primitive["indices"], indices)


def spoil_image(s):
    view = s.json["bufferViews"][s.json["images"][0]["bufferView"]]
    s.binary[view.get("byteOffset", 0) : view.get("byteOffset", 0) + 4] = b"RIFF"


def bind_like(s, name, other):
    s.presets[name]["morphTargetBinds"] = [dict(bind) for bind in s.presets[other]["morphTargetBinds"]]


def move_an_arm(s):
    def change(field, points):
        field[points[:, 0] > 0.4] += [0, 0.05, 0]
        return field

    s.expression("oh", change)


def spoil_weights_sum(s):
    s.weights(lambda joints, weights, points: (joints, 0.7 * weights))


def give_hand_to_the_other_arm(s):
    theirs = s.skin_index("rightUpperArm")

    def change(joints, weights, points):
        hand = points[:, 0] > 0.5
        joints[hand], weights[hand] = theirs, [1, 0, 0, 0]
        return joints, weights

    s.weights(change)


def glue_arm_to_the_chest(s):
    chest = s.skin_index("spine")

    def change(joints, weights, points):
        arm = points[:, 0] > 0.2
        joints[arm], weights[arm] = chest, [1, 0, 0, 0]
        return joints, weights

    def all_but_the_tip(joints, weights, points):
        tip = points[:, 0] > 0.62  # so that the limb still has an owner
        glued = change(joints.copy(), weights.copy(), points)
        return [np.where(tip[:, None], old, new) for old, new in zip((joints, weights), glued, strict=True)]

    s.weights(all_but_the_tip)


def glue_head_to_the_hips(s):
    hips = s.skin_index("hips")

    def change(joints, weights, points):
        head = (points[:, 1] > 1.2) & (np.arange(len(points)) % 8 > 0)
        joints[head], weights[head] = hips, [1, 0, 0, 0]
        return joints, weights

    s.weights(change)


def scatter_weights(s):
    chest = s.skin_index("spine")

    def change(joints, weights, points):
        # By position, so that the seams' twins stay together.
        some = (np.abs(points[:, 0]) > 0.3) & (np.floor(points[:, 0] / 0.02).astype(int) % 3 == 0)
        joints[some], weights[some] = chest, [1, 0, 0, 0]
        return joints, weights

    s.weights(change)


def crack_the_seams(s):
    chest = s.skin_index("spine")

    def change(joints, weights, points):
        _, first = np.unique(np.round(points * 1e5).astype(np.int64), axis=0, return_index=True)
        twin = np.ones(len(points), bool)
        twin[first] = False
        joints[twin], weights[twin] = chest, [1, 0, 0, 0]
        return joints, weights

    s.weights(change)


def add_second_influences(s):
    for primitive in s.mesh["primitives"]:
        primitive["attributes"]["JOINTS_1"] = primitive["attributes"]["JOINTS_0"]
        primitive["attributes"]["WEIGHTS_1"] = primitive["attributes"]["WEIGHTS_0"]


def make_a_ring(s):
    s.json["nodes"][s.bones["head"]["node"]].setdefault("children", []).append(s.bones["hips"]["node"])


def put_the_mouth_behind(s):
    for name in ("aa", "ih", "ou", "ee", "oh"):

        def change(field, points):
            out = np.zeros_like(field)
            out[(points[:, 1] > 1.35) & (points[:, 2] < 0)] = [0, -0.02, 0]
            return out

        s.expression(name, change)


def no_vrm(s):
    s.json["extensions"] = {}


def far_view(s):
    s.json["bufferViews"][0]["byteLength"] = s.json["bufferViews"][0]["byteOffset"] = 10**9


def far_index(s):
    primitive = s.mesh["primitives"][0]
    indices = s.array(primitive["indices"]).astype(np.uint32)
    indices[5] = 10**7
    s.replace(primitive["indices"], indices)


BREAKS = {
    "no VRM extension": ("container", no_vrm),
    "view behind the file's end": ("container", far_view),
    "index without a vertex": ("container", far_index),
    "nodes in a ring": ("container", make_a_ring),
    "missing bone": ("bones_required", lambda s: s.bones.pop("leftHand")),
    "one bone twice": ("bones_unique", lambda s: s.bones["leftHand"].update(s.bones["leftLowerArm"])),
    "wrong order": ("bones_hierarchy", lambda s: swap(s.bones, "leftUpperLeg", "leftFoot")),
    "swapped sides": ("sides", swap_sides),
    "A-pose": ("t_pose", lower_the_arms),
    "100 times too large": ("height", lambda s: scale_root(s, 100)),
    "a tenth of the size": ("height", lambda s: scale_root(s, 0.1)),
    "facing away": ("facing", turn_around),
    "floating": ("feet", float_above),
    "not skinned": ("skinned", remove_skin),
    "NaN position": ("finite", spoil_position),
    "NaN in a shape": ("finite", lambda s: s.expression("ee", lambda field, points: field * np.nan)),
    "weights do not sum to 1": ("weights", spoil_weights_sum),
    "eight influences": ("influences", add_second_influences),
    "triangles without area": ("slivers", flatten_triangles),
    "no name": ("meta", lambda s: s.vrm["meta"].pop("name")),
    "no author": ("meta", lambda s: s.vrm["meta"].update(authors=[])),
    "no licence": ("licence", lambda s: s.vrm["meta"].pop("licenseUrl")),
    "compressed": ("extensions", lambda s: s.json.update(extensionsRequired=["KHR_draco_mesh_compression"])),
    "image of another format": ("images", spoil_image),
    "no thumbnail": ("thumbnail", lambda s: s.vrm["meta"].pop("thumbnailImage")),
    "dead viseme": ("viseme_oh", lambda s: s.expression("oh", lambda field, points: 0 * field)),
    "viseme bound to nothing": ("viseme_ih", lambda s: s.presets["ih"].update(morphTargetBinds=[])),
    "viseme a hundred times too weak": ("viseme_aa", lambda s: s.expression("aa", lambda field, points: 0.01 * field)),
    "viseme a hundred times too strong": ("viseme_aa", lambda s: s.expression("aa", lambda field, points: 100 * field)),
    "viseme that moves an arm": ("viseme_oh", move_an_arm),
    "two equal visemes": ("visemes_differ", lambda s: bind_like(s, "ee", "aa")),
    "mouth that closes upwards": (
        "mouth_opens",
        lambda s: s.expression("aa", lambda field, points: field * [1, -1, 1]),
    ),
    "mouth at the back of the head": ("mouth_place", put_the_mouth_behind),
    "swapped blinks": ("blinkLeft", lambda s: swap(s.presets, "blinkLeft", "blinkRight")),
    "one eye only": ("blink", lambda s: bind_like(s, "blink", "blinkLeft")),
    "dead emotion": ("sad", lambda s: s.expression("sad", lambda field, points: 0 * field)),
    "two equal emotions": ("emotions_differ", lambda s: bind_like(s, "angry", "happy")),
    "gaze reversed": ("gaze", lambda s: swap(s.presets, "lookLeft", "lookRight")),
    "gaze by bones that are not there": ("gaze", lambda s: s.vrm["lookAt"].update(type="bone")),
    "gaze from the neck": ("gaze_origin", lambda s: s.vrm["lookAt"].update(offsetFromHeadBone=[0, 0, 0])),
    "hand on the other arm's bone": ("strays", give_hand_to_the_other_arm),
    "arm glued to the chest": ("follow", glue_arm_to_the_chest),
    "head glued to the hips": ("head_turns", glue_head_to_the_hips),
    "scattered weights": ("stretch", scatter_weights),
    "seams with different weights": ("seams", crack_the_seams),
}


@pytest.fixture(scope="module")
def good(made):
    return VrmFile(made.vrm)


def status(report, check):
    return {entry.id: entry.status for entry in report.checks}.get(check)


def test_a_good_avatar_has_no_fail(made, good, tmp_path):
    report = make_report(made.vrm)
    assert report.promotable, report.text()
    assert report.counts["WARN"] <= 1, report.text()
    # Taken apart and put together without a break, it is still as good: the tests below measure the breaks alone.
    again = make_report(Surgery(good).write(tmp_path / "again.vrm"))
    assert [check.figure for check in again.checks if check.id != "size"] == [
        check.figure for check in report.checks if check.id != "size"
    ]


@pytest.mark.parametrize("name", BREAKS)
def test_each_break_is_caught_by_its_check(good, tmp_path, name):
    check, break_it = BREAKS[name]
    surgery = Surgery(good)
    break_it(surgery)
    report = make_report(surgery.write(tmp_path / "broken.vrm"))
    caught = status(report, check)
    assert caught in ("FAIL", "WARN") and (caught == "FAIL" or check in ("thumbnail", "gaze_origin")), report.text()


@pytest.mark.parametrize("content", ["short", "text", "json"])
def test_files_that_are_no_vrm(made, tmp_path, content):
    whole = made.vrm.read_bytes()
    path = tmp_path / "broken.vrm"
    path.write_bytes(
        {"short": whole[: len(whole) // 2], "text": b"not a model\n" * 9, "json": whole[:20] + b"{" * 40 + whole[60:]}[
            content
        ]
    )
    report = make_report(path)
    assert status(report, "container") == "FAIL" and not report.promotable


def test_the_command_prints_a_card_and_its_status_tells(made, tmp_path):
    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "avatar_addon.report", *map(str, arguments)], capture_output=True, text=True
        )

    good = call(made.vrm, "--json")
    assert good.returncode == 0 and json.loads(good.stdout)["counts"]["FAIL"] == 0
    (tmp_path / "bad.vrm").write_text("no")
    bad = call(tmp_path / "bad.vrm")
    assert bad.returncode == 1 and "FAIL" in bad.stdout and "Traceback" not in bad.stderr
    missing = call(tmp_path / "none.vrm")
    assert missing.returncode == 1 and "cannot be read" in missing.stderr
