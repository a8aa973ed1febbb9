# SPDX-License-Identifier: GPL-3.0-or-later
"""The report card passes a sound avatar, made of tubes by this test, and names each fault that is put into it."""

import copy
import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest

from avatar_addon.report.report import add_seen, make_report
from avatar_addon.report.shape import moved_place

# Bone: (parent, head of the bone, tail of the tube around it); glTF axes, left is +X.
SKELETON: dict[str, tuple[str | None, tuple, tuple]] = {
    "hips": (None, (0, 0.9, 0), (0, 1.0, 0)),
    "spine": ("hips", (0, 1.0, 0), (0, 1.4, 0)),
    "head": ("spine", (0, 1.45, 0), (0, 1.7, 0)),
}
for _side, _x in (("left", 1), ("right", -1)):
    SKELETON |= {
        f"{_side}UpperArm": ("spine", (_x * 0.2, 1.35, 0), (_x * 0.4, 1.35, 0)),
        f"{_side}LowerArm": (f"{_side}UpperArm", (_x * 0.4, 1.35, 0), (_x * 0.6, 1.35, 0)),
        f"{_side}Hand": (f"{_side}LowerArm", (_x * 0.6, 1.35, 0), (_x * 0.75, 1.35, 0)),
        f"{_side}UpperLeg": ("hips", (_x * 0.1, 0.85, 0), (_x * 0.1, 0.5, 0)),
        f"{_side}LowerLeg": (f"{_side}UpperLeg", (_x * 0.1, 0.5, 0), (_x * 0.1, 0.1, 0)),
        f"{_side}Foot": (f"{_side}LowerLeg", (_x * 0.1, 0.1, 0), (_x * 0.1, 0, 0)),
    }
RINGS, SIDES = 14, 16
# Expression: (middle x, middle y, displacement), on the front of the head.
FACE = {
    "aa": (0, 1.52, (0, -0.02, 0)),
    "ih": (0, 1.52, (0, 0, 0.02)),
    "ou": (0, 1.52, (0.02, 0, 0)),
    "ee": (0, 1.53, (0, 0.015, -0.01)),
    "oh": (0, 1.50, (-0.02, 0, 0.015)),
    "happy": (0, 1.54, (0, 0.01, 0)),
    "angry": (0, 1.62, (0, -0.01, 0)),
    "sad": (0, 1.58, (0.01, 0, 0)),
    "relaxed": (0, 1.60, (0, 0, -0.01)),
    "surprised": (0, 1.62, (0, 0.02, 0)),
    "blinkLeft": (0.035, 1.6, (0, -0.02, 0)),
    "blinkRight": (-0.035, 1.6, (0, -0.02, 0)),
    "lookUp": (0, 1.6, (0, 0.01, 0)),
    "lookDown": (0, 1.6, (0, -0.01, 0)),
    "lookLeft": (0, 1.6, (0.01, 0, 0)),
    "lookRight": (0, 1.6, (-0.01, 0, 0)),
}


class Avatar:
    """A body of separate tubes, one a bone, as arrays that a test can spoil before `save` writes them as a .vrm."""

    def __init__(self):
        self.names = list(SKELETON)
        self.parents = {name: parent for name, (parent, _, _) in SKELETON.items()}
        self.heads = {name: np.array(head, float) for name, (_, head, _) in SKELETON.items()}
        self.humanoid = {name: index for index, name in enumerate(self.names)}
        points, owner, triangles = [], [], []
        for index, (_, start, end) in enumerate(SKELETON.values()):
            tube, faces = self.tube(
                np.array(start, float), np.array(end, float), 0.07 if index < 3 else 0.03 + 0.0002 * index
            )
            triangles.append(faces + len(points) * RINGS * SIDES)
            points.append(tube)
            owner += [index] * len(tube)
        self.positions, self.triangles = np.concatenate(points), np.concatenate(triangles)
        self.positions[:, 1] = np.maximum(self.positions[:, 1], 0)
        self.owner = np.array(owner)
        self.joints = np.zeros((len(owner), 4), int)
        self.joints[:, 0] = owner
        self.weights = np.zeros((len(owner), 4))
        self.weights[:, 0] = 1
        self.morphs = {name: self.bump(*bump) for name, bump in FACE.items()}
        self.skinned, self.sets, self.padding = True, 1, 0
        self.meta = {"name": "Tubes", "authors": ["Test"], "licenseUrl": "https://vrm.dev/licenses/1.0/"}

    @staticmethod
    def tube(start, end, radius):
        along = (end - start) / np.linalg.norm(end - start)
        one = np.cross(along, [0.0, 0.0, 1.0])
        two = np.cross(along, one)
        angles = np.arange(SIDES) * 2 * np.pi / SIDES
        ring = radius * (np.cos(angles)[:, None] * one + np.sin(angles)[:, None] * two)
        points = (start + np.linspace(0, 1, RINGS)[:, None, None] * (end - start) + ring[None]).reshape(-1, 3)
        at = np.arange(RINGS * SIDES).reshape(RINGS, SIDES)
        quads = np.stack([at[:-1], np.roll(at, -1, 1)[:-1], np.roll(at, -1, 1)[1:], at[1:]], -1).reshape(-1, 4)
        return points, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])

    def bump(self, x, y, shift):
        near = np.exp(-((self.positions[:, :2] - [x, y]) ** 2).sum(1) / (2 * 0.015**2)) * (self.positions[:, 2] > 0)
        return (near * (self.owner == self.names.index("head")))[:, None] * np.array(shift)

    def of(self, *bones):
        return np.isin(self.owner, [self.names.index(bone) for bone in bones])

    def save(self, path):
        binary, views, accessors = b"", [], []

        def put(array, kind, component):
            nonlocal binary
            data = np.ascontiguousarray(
                array, {5126: np.float32, 5123: np.uint16, 5125: np.uint32}[component]
            ).tobytes()
            views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
            binary += data + bytes(-len(data) % 4)
            accessors.append(
                {"bufferView": len(views) - 1, "componentType": component, "count": len(array), "type": kind}
            )
            return len(accessors) - 1

        nodes = []
        for name in self.names:
            parent = self.parents[name]
            offset = self.heads[name] - (self.heads[parent] if parent else 0)
            nodes.append({"name": name, "translation": offset.tolist()})
            children = [k for k, other in enumerate(self.names) if self.parents[other] == name]
            if children:
                nodes[-1]["children"] = children
        inverse = np.tile(np.eye(4), (len(nodes), 1, 1))
        inverse[:, 3, :3] = [
            -self.heads[name] for name in self.names
        ]  # column-major: the translation is the last row here
        attributes = {"POSITION": put(self.positions, "VEC3", 5126)}
        for index in range(self.sets):
            attributes |= {
                f"JOINTS_{index}": put(self.joints, "VEC4", 5123),
                f"WEIGHTS_{index}": put(self.weights, "VEC4", 5126),
            }
        targets = [{"POSITION": put(field, "VEC3", 5126)} for field in self.morphs.values()]
        indices = put(self.triangles.reshape(-1, 1), "SCALAR", 5125)
        skin = {"joints": list(range(len(nodes))), "inverseBindMatrices": put(inverse.reshape(-1, 16), "MAT4", 5126)}
        mesh_node = len(nodes)
        nodes.append({"mesh": 0} | ({"skin": 0} if self.skinned else {}))
        binary += bytes(self.padding)

        def bind(name):
            return {"node": mesh_node, "index": list(self.morphs).index(name), "weight": 1.0}

        preset = {name: {"morphTargetBinds": [bind(name)]} for name in self.morphs}
        preset["blink"] = {"morphTargetBinds": [bind("blinkLeft"), bind("blinkRight")]}
        document = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0, mesh_node]}],
            "nodes": nodes,
            "materials": [{}],
            "meshes": [
                {"primitives": [{"attributes": attributes, "indices": indices, "targets": targets, "material": 0}]}
            ],
            "skins": [skin],
            "accessors": accessors,
            "bufferViews": views,
            "buffers": [{"byteLength": len(binary)}],
            "extensions": {
                "VRMC_vrm": {
                    "specVersion": "1.0",
                    "meta": self.meta,
                    "lookAt": {"type": "expression", "offsetFromHeadBone": [0, 0.15, 0.07]},
                    "humanoid": {"humanBones": {name: {"node": node} for name, node in self.humanoid.items()}},
                    "expressions": {"preset": preset},
                }
            },
        }
        text = json.dumps(document).encode()
        text += b" " * (-len(text) % 4)
        binary += bytes(-len(binary) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
        path.write_bytes(struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks)
        return path


SOUND = Avatar()


def swap_blinks(a):
    a.morphs["blinkLeft"], a.morphs["blinkRight"] = a.morphs["blinkRight"], a.morphs["blinkLeft"]


def hang_arms(a):
    for name in ("leftLowerArm", "leftHand"):
        a.heads[name] = a.heads[name] + [0, -0.3 * (a.heads[name][0] - 0.2), 0]


def leak(a):
    some = np.flatnonzero(a.of("rightUpperArm", "rightLowerArm", "rightHand"))[::20]
    a.joints[some, 1], a.weights[some] = a.names.index("leftUpperArm"), [0.9, 0.1, 0, 0]


def tear(a):
    some = np.flatnonzero(a.of("leftHand"))[::3]
    a.joints[some, 0] = a.names.index("spine")


def move_a_hand(a):
    a.morphs["aa"][a.of("leftHand")] = [0, 0.01, 0]


def one_limb_less(a):
    a.joints[a.of("leftUpperArm", "leftLowerArm", "leftHand"), 0] = a.names.index("spine")


def lose_a_hand(a):
    """And half of the forearm: its skin ends where the elbow is."""
    far = a.of("leftLowerArm", "leftHand")
    a.positions[far] = 0.05 * (a.positions[far] - a.heads["leftLowerArm"]) + a.heads["leftLowerArm"]


def scrap(a):
    """A ring of the hand hangs in the air, tied to nothing."""
    ring = np.flatnonzero(a.of("leftHand"))[:SIDES]
    added = len(a.positions) + np.arange(SIDES)
    for name in ("positions", "joints", "weights"):
        setattr(a, name, np.concatenate([getattr(a, name), getattr(a, name)[ring]]))
    a.positions[added] -= [0, 0.2, 0]
    a.morphs = {name: np.pad(field, ((0, SIDES), (0, 0))) for name, field in a.morphs.items()}
    a.triangles = np.concatenate([a.triangles, np.column_stack([added[1:-1], added[2:], np.full(SIDES - 2, added[0])])])


def sit(a):
    """Thighs that point at the viewer are short in the picture: knees just below the hips."""
    for side in ("left", "right"):
        knee, hip, foot = (f"{side}{bone}" for bone in ("LowerLeg", "UpperLeg", "Foot"))
        a.heads[knee] = a.heads[hip] + 0.15 * (a.heads[foot] - a.heads[hip])


def give_a_bone_twice(a):
    a.humanoid["leftFoot"] = a.humanoid["leftLowerLeg"]


def both_eyes(a):
    a.morphs["blinkLeft"] = a.morphs["blinkLeft"] + 0.6 * a.morphs["blinkRight"]


FAULTS = {
    "missing bone": ("bones_required", lambda a: a.humanoid.pop("leftHand")),
    "bone twice": ("bones_unique", give_a_bone_twice),
    "bone of another chain": ("bones_hierarchy", lambda a: a.parents.update(leftLowerArm="spine")),
    "hanging arms": ("t_pose", hang_arms),
    "feet in the air": ("feet", lambda a: a.positions.__setitem__((slice(None), 1), a.positions[:, 1] + 0.02)),
    "too tall": ("height", lambda a: a.positions.__setitem__((a.of("head"), 1), a.positions[a.of("head"), 1] * 2)),
    "facing away": ("facing", lambda a: a.positions.__setitem__((a.of("head"), 2), -a.positions[a.of("head"), 2])),
    "not skinned": ("skinned", lambda a: setattr(a, "skinned", False)),
    "eight influences": ("influences", lambda a: setattr(a, "sets", 2)),
    "weights of 0.98": ("weights", lambda a: a.weights.__imul__(0.98)),
    "not a number": ("finite", lambda a: a.positions.__setitem__((5, 0), np.nan)),
    "dead emotion": ("happy", lambda a: a.morphs["happy"].__imul__(0)),
    "faint gaze": ("gaze", lambda a: a.morphs["lookUp"].__imul__(0.02)),
    "viseme that moves a hand": ("viseme_aa", move_a_hand),
    "two visemes alike": ("visemes_differ", lambda a: a.morphs.update(ih=0.5 * a.morphs["aa"])),
    "swapped blinks": ("blinkLeft", swap_blinks),
    "both eyes at once": ("blinkLeft", both_eyes),
    "sitting in the picture": ("thighs", sit),
    "leaking arm": ("leaks", leak),
    "arm without skin": ("follow", one_limb_less),
    "torn hand": ("stretch", tear),
    "lost hand": ("arm_gap", lose_a_hand),
    "scrap in the air": ("scraps", scrap),
    "many triangles": (
        "triangles",
        lambda a: setattr(a, "triangles", np.tile(a.triangles, (1 + 60_000 // len(a.triangles), 1))),
    ),
    "large file": ("size", lambda a: setattr(a, "padding", 12_000_000)),
    "no name": ("meta", lambda a: a.meta.pop("name")),
}


def open_checks(avatar, path):
    """The checks that are not in order."""
    return [check.id for check in make_report(avatar.save(path)).checks if check.status != "PASS"]


def test_a_sound_avatar_passes_every_check(tmp_path):
    assert open_checks(SOUND, tmp_path / "sound.vrm") == ["thumbnail"]  # tubes have no picture


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named(tmp_path, name):
    check, spoil = FAULTS[name]
    avatar = copy.deepcopy(SOUND)
    spoil(avatar)
    assert check in open_checks(avatar, tmp_path / "spoilt.vrm")


def test_what_is_too_large_says_the_limit(tmp_path):
    avatar = copy.deepcopy(SOUND)
    avatar.padding = 12_000_000
    (check,) = [check for check in make_report(avatar.save(tmp_path / "large.vrm")).checks if check.id == "size"]
    assert check.figure.endswith(" MB (recommended: at most 12 MB)")


def test_a_leg_as_thick_as_a_barrel_follows_its_bones(tmp_path):
    """None of its skin is within a twentieth of the height of them."""
    avatar = copy.deepcopy(SOUND)
    leg = avatar.of("leftUpperLeg", "leftLowerLeg", "leftFoot")
    middle = avatar.positions[leg][:, [0, 2]].mean(0)
    out = avatar.positions[leg][:, [0, 2]] - middle
    away = np.linalg.norm(out, axis=1, keepdims=True)
    avatar.positions[np.ix_(leg, [0, 2])] = middle + out / np.maximum(away, 1e-6) * 0.1
    assert "follow" not in open_checks(avatar, tmp_path / "thick.vrm")
    avatar.joints[leg, 0] = avatar.names.index("hips")
    assert "follow" in open_checks(avatar, tmp_path / "stays.vrm")


@pytest.mark.parametrize(
    ("bone", "away", "seen"), [("leftHand", 0.0, False), ("leftHand", 0.3, True), ("leftUpperArm", 0.0, True)]
)
def test_a_sword_in_the_hand_is_no_part_of_the_arm(tmp_path, bone, away, seen):
    """But a sheet that flies beside the hand, or hangs from the upper arm, is what must not be there."""
    avatar = copy.deepcopy(SOUND)
    count = len(avatar.positions)
    grip = avatar.heads[bone] + [0.05, 0.03 + away, 0]
    blade, faces = avatar.tube(grip, grip + [0, 0.6, 0], 0.05)
    avatar.positions = np.concatenate([avatar.positions, blade])
    avatar.triangles = np.concatenate([avatar.triangles, faces + count])
    avatar.joints = np.concatenate([avatar.joints, np.tile([avatar.names.index(bone), 0, 0, 0], (len(blade), 1))])
    avatar.weights = np.concatenate([avatar.weights, np.tile([1.0, 0, 0, 0], (len(blade), 1))])
    avatar.morphs = {name: np.concatenate([field, np.zeros_like(blade)]) for name, field in avatar.morphs.items()}
    assert ("arm_stray" in open_checks(avatar, tmp_path / "held.vrm")) == seen


def answer_of(avatar, moved=(), overlap=0.9):
    """What the backend says of an avatar whose joints are seen where they are; `moved`: name -> metres upwards."""
    moved = dict(moved)
    joints = {name: [*(at[:2] + [0, moved.get(name, 0)]), 0.9] for name, at in avatar.heads.items()}
    low = {name: [*at[:2], 0.2] for name, at in avatar.heads.items()}  # seen, but not surely
    face = {
        "leftEye": [0.035, 1.6, 0.8],
        "rightEye": [-0.035, 1.6, 0.8],
        "mouth": [0, 1.516 + moved.get("mouth", 0), 0.8],
    }
    look = {"humanoid": 1.0, "overlap": {"arms": overlap, "head": 0.9}}
    opened = [0, 1.506 + moved.get("open", 0), 0.8]
    return {"views": [look | {"joints": joints, "face": face, "opened": opened}, look | {"joints": low}]}


@pytest.mark.parametrize(
    ("moved", "status"),
    [({}, "PASS"), ({"mouth": 0.012, "open": 0.021}, "WARN"), ({"mouth": -0.012, "open": -0.012}, "WARN")],
)
def test_a_mouth_that_is_seen_to_stay_closed_is_told(tmp_path, moved, status):
    """It stays closed while the chin moves; or the nose moves."""
    report = make_report(SOUND.save(tmp_path / "seen.vrm"))
    add_seen(report, answer_of(SOUND, moved))
    (opens,) = [entry for entry in report.checks if entry.id == "seen_opens"]
    assert opens.status == status, opens.figure


@pytest.mark.parametrize(("drop", "status"), [(0.0, "FAIL"), (0.03, "PASS")])
def test_a_jaw_that_opens_far_below_a_mouth_that_opens_is_in_its_place(tmp_path, drop, status):
    report = make_report(SOUND.save(tmp_path / "seen.vrm"))
    add_seen(report, answer_of(SOUND, {"mouth": 0.02, "open": 0.03 - drop}))
    (face,) = [entry for entry in report.checks if entry.id == "seen_face"]
    assert face.status == status, face.figure


@pytest.mark.parametrize(
    ("check", "moved", "overlap"),
    [
        ("", {}, 0.9),
        ("seen_joints", {"leftHand": -0.5}, 0.9),
        ("seen_parts", {}, 0.2),
        ("seen_face", {"mouth": -0.09}, 0.9),
    ],
)
def test_what_is_seen_elsewhere_than_the_file_says_fails(tmp_path, check, moved, overlap):
    report = make_report(SOUND.save(tmp_path / "seen.vrm"))
    add_seen(report, answer_of(SOUND, moved, overlap))
    seen = {entry.id: entry.status for entry in report.checks if entry.id.startswith("seen")}
    del seen["seen_opens"]
    assert seen == {name: "FAIL" if name == check else "PASS" for name in ("seen_joints", "seen_parts", "seen_face")}


def test_a_few_places_that_move_far_are_not_the_mouth():
    """The bottom of the cavity moves farther than the lips, below a small chin."""
    moves = np.array([[0.0, 0, 0]] * 5 + [[0, -0.01, 0]] * 40 + [[0, 0, -0.03]] * 5)
    rest = np.array([[0.0, 1, 0]] * 5 + [[0, 1.5, 0.1]] * 40 + [[0, 1.4, 0]] * 5)
    skin = SimpleNamespace(rest=rest, in_head=np.ones(50, bool), expression=lambda name: moves)
    assert moved_place(skin, ("aa",))[1] == pytest.approx(1.485, abs=2e-3)


def test_an_avatar_that_nobody_looks_at_is_told(tmp_path):
    report = make_report(SOUND.save(tmp_path / "blind.vrm"))
    add_seen(report, None)
    assert [(entry.status, entry.figure) for entry in report.checks][-1] == ("WARN", "not looked at")


def test_a_file_that_is_cut_off_is_named(tmp_path):
    path = SOUND.save(tmp_path / "cut.vrm")
    path.write_bytes(path.read_bytes()[:-1000])
    assert [check.id for check in make_report(path).checks] == ["container"]


@pytest.mark.parametrize(("forward", "seen"), [(0.0006, True), (0.00003, False)])
def test_a_drawn_mouth_counts_by_its_size_once_it_comes_out(tmp_path, forward, seen):
    """On a large head a card moves by a smaller share of it than lips do."""
    avatar = copy.deepcopy(SOUND)
    count, head = len(avatar.positions), avatar.names.index("head")
    card = np.array([[-0.015, 1.51, 0.069], [0.015, 1.51, 0.069], [0.015, 1.53, 0.069], [-0.015, 1.53, 0.069]])
    avatar.positions = np.concatenate([avatar.positions, card])
    avatar.joints = np.concatenate([avatar.joints, [[head, 0, 0, 0]] * 4])
    avatar.weights = np.concatenate([avatar.weights, [[1, 0, 0, 0]] * 4])
    avatar.triangles = np.concatenate([avatar.triangles, [[0, 1, 2], [0, 2, 3]] + np.array(count)])
    avatar.morphs = {name: np.pad(field, ((0, 4), (0, 0))) for name, field in avatar.morphs.items()}
    avatar.morphs["aa"][:] = 0
    avatar.morphs["aa"][count:] = [0, 0, forward]
    wrong = open_checks(avatar, tmp_path / "card.vrm")
    assert [name in wrong for name in ("viseme_aa", "mouth_opens")] == [not seen] * 2
