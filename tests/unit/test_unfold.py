"""Limbs that touch the body are set apart by a map of the parts, and the trunk is filled where they hid it."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy import ndimage

from avatar_addon.batch import grouped, names_for
from backend.engines import GenerateRequest
from backend.image.analysis import PictureAnalysis, analyse
from backend.image.silhouette import JOINTS
from backend.preview.engine import PreviewGenerator
from backend.preview.fill import filled_trunk
from backend.preview.hands import left_behind, skin_like, take_bare_hand
from backend.preview.limbs import Limb
from backend.preview.thickness import PARTS
from backend.preview.unfold import Bone, PartMap, _compose, _core, _legs, unfold
from benchmarks.figures import Figure, make, true_joints
from benchmarks.posed_glb import MARGIN, Coloured

LIMBS = tuple(
    side + part for side in ("left", "right") for part in ("UpperArm", "Forearm", "Hand", "Thigh", "Shin", "Foot")
)
NAMES = ("background", "torso", "head", *LIMBS, "prop")
BONES = {
    "UpperArm": ("UpperArm", "LowerArm"),
    "Forearm": ("LowerArm", "Hand"),
    "Hand": ("Hand", None),
    "Thigh": ("UpperLeg", "LowerLeg"),
    "Shin": ("LowerLeg", "Foot"),
    "Foot": ("Foot", None),
}
SIZE = 640
SLEEVE, SHIRT, SKIN, TROUSERS, STICK = (200, 60, 60), (60, 110, 170), (230, 180, 140), (60, 60, 80), (90, 200, 90)


def distance(points, a, b):
    t = np.clip((points - a) @ (b - a) / max(float((b - a) @ (b - a)), 1e-9), 0, 1)
    return np.linalg.norm(points - a - t[:, None] * (b - a), axis=1)


def labelled(look):
    """(picture RGBA, labels, joints in pixels) of a capsule person, the parts by the nearest bone."""
    mesh, joints = make(look), true_joints(look)
    middle = mesh.vertices[mesh.triangles].mean(1)
    spine = distance(middle, joints["hips"], joints["neck"]) - 0.09
    found = {"torso": spine, "head": distance(middle, joints["head"], joints["headTop"]) - 0.05}
    for side in ("left", "right"):
        for part, (start, end) in BONES.items():
            a = joints[side + start]
            before = joints[side + {"Hand": "LowerArm", "Foot": "LowerLeg"}.get(part, start)]
            b = joints[side + end] if end else a + 0.5 * (a - before) * [1, part == "Hand", 1]
            found[side + part] = distance(middle, a, b) - 0.035
    names = list(found)
    owner = np.array([NAMES.index(name) for name in names])[np.argmin([found[name] for name in names], axis=0)]
    palette = {"torso": SHIRT, "head": SKIN, "Hand": SKIN, "Arm": SLEEVE, "arm": SLEEVE}
    textures = [
        np.full((1, 1, 3), next((c for key, c in palette.items() if name.endswith(key)), TROUSERS), np.uint8)
        for name in NAMES
    ]
    truth = Coloured(mesh.vertices / look.height, mesh.triangles, np.zeros((len(owner), 3, 2)), owner, textures, {})
    view = truth.view(0, SIZE)
    labels = np.where(view.mask, owner[np.maximum(view.triangle, 0)], 0)
    k = SIZE / (1 + 2 * MARGIN)
    pixels = {
        name: (float((point[0] / look.height + 0.62) * k), float((1 + MARGIN - point[1] / look.height) * k))
        for name, point in joints.items()
    }
    return truth.picture(0, SIZE), labels, pixels


def reader_of(labels, joints):
    def read(picture):
        y, x = np.indices(picture.mask.shape)
        rows = np.clip(np.round(y / picture.scale).astype(int), 0, len(labels) - 1)
        columns = np.clip(np.round(x / picture.scale).astype(int), 0, labels.shape[1] - 1)
        scaled = {name: (px * picture.scale, py * picture.scale) for name, (px, py) in joints.items()}
        return PartMap(labels[rows, columns], NAMES, scaled)

    return read


@pytest.fixture(scope="module")
def hanging(tmp_path_factory):
    """(path, reader) of somebody with hanging arms and closed legs."""
    image, labels, joints = labelled(Figure(arm=88, gap=0.7))
    path = tmp_path_factory.mktemp("hanging") / "picture.png"
    Image.fromarray(image).save(path)
    return path, reader_of(labels, joints)


def test_arms_and_legs_that_touch_are_set_apart(hanging):
    path, read = hanging
    before = analyse(path, draft=True)
    found = unfold(before, read(before))
    assert found.moved == ["leftArm", "rightArm", "leftLeg", "rightLeg"] and not found.left_out
    joints = found.picture.joints
    for side, sign in (("left", 1), ("right", -1)):
        shoulder, elbow, hand = (np.array(joints[side + name]) for name in ("UpperArm", "LowerArm", "Hand"))
        for way in (elbow - shoulder, hand - elbow):
            assert np.degrees(np.arctan2(way[1], way[0] * sign)) == pytest.approx(45, abs=1)
        column, row = np.round(hand).astype(int)
        assert found.picture.mask[row, column]
    # The trunk keeps its shirt where the arms were, and no sleeve is left on it.
    row = round((joints["leftUpperArm"][1] + joints["hips"][1]) / 2)
    line = np.flatnonzero(found.parts[row] == 0)
    assert (np.diff(line) == 1).all() and len(line) > 0.1 * len(found.picture.mask)
    shirt = found.picture.rgba[row, line[3:-3], :3].astype(int)
    assert (np.abs(shirt - SHIRT).max(1) < 40).mean() > 0.95


def test_forearms_before_the_belly_do_not_cut_the_trunk_in_two(hanging):
    path, read = hanging
    before = analyse(path, draft=True)
    given = read(before)
    joints = before.joints | given.joints
    row = round((joints["leftUpperArm"][1] + joints["hips"][1]) / 2)
    band = given.labels[row - 20 : row + 20]
    for side, half in (
        ("right", slice(None, round(joints["hips"][0]))),
        ("left", slice(round(joints["hips"][0]), None)),
    ):
        band[:, half] = np.where(band[:, half] > 0, NAMES.index(f"{side}Forearm"), 0)
    found = unfold(before, given)
    trunk = (found.parts == PARTS.index("torso")).any(1)
    joints = found.picture.joints
    assert trunk[round(joints["leftUpperArm"][1]) : round(joints["hips"][1])].all()


def test_a_hand_on_a_thigh_leaves_no_hole_in_it():
    parts, rgba = np.full((300, 400), -1), np.full((300, 400, 4), 255, np.uint8)
    arm = np.zeros(parts.shape, bool)
    arm[170:220, 165:185] = True
    parts[60:150, 100:200] = PARTS.index("torso")
    parts[150:280, 100:145], parts[150:280, 155:200] = PARTS.index("rightLeg"), PARTS.index("leftLeg")
    rgba[..., :3] = TROUSERS
    rgba[arm, :3], parts[arm] = SKIN, PARTS.index("leftArm")
    joints = dict.fromkeys(JOINTS, (150.0, 100.0)) | {"hips": (150.0, 150.0)}
    picture = PictureAnalysis(rgba, parts >= 0, 1.0, (400, 300), joints, {})
    start, aside = np.array([175.0, 170.0]), np.array([275.0, 100.0])
    moved = Bone(arm, arm, start, start, aside, np.eye(2), 5.0, PARTS.index("leftArm"))
    legs = {
        side: [Bone(cells, cells, joint, joint, joint, np.eye(2), 0.0, PARTS.index(f"{side}Leg"))]
        for side, joint in (("left", np.array([177.0, 150.0])), ("right", np.array([122.0, 150.0])))
        for cells in (parts == PARTS.index(f"{side}Leg"),)
    }
    made, parts = _compose(picture, parts, {"left": [moved, moved]}, legs, np.zeros(arm.shape, bool))
    low = np.flatnonzero(made.mask.any(1))[0] - 60
    thigh = parts[low + 175 : low + 215] == PARTS.index("leftLeg")
    assert (thigh.sum(1) == 45).all()
    assert np.abs(made.rgba[low + 175 : low + 215][thigh][:, :3].astype(int) - TROUSERS).max() < 20


def test_hanging_arms_become_one_closed_skin(hanging, tmp_path):
    path, read = hanging
    request = GenerateRequest(path, tmp_path, options={"triangles": 12000, "texture_size": 512})
    made = PreviewGenerator(read).generate(request, lambda *_: None)
    loaded = trimesh.load(made.mesh, process=False, force="mesh")
    (skin,) = trimesh.Trimesh(loaded.vertices, loaded.faces).split(only_watertight=False)
    assert skin.is_watertight and skin.euler_number == 2
    hand, hips = (np.array(made.landmarks["joints"][name]) for name in ("leftHand", "hips"))
    assert hand[0] - hips[0] > 0.3 and np.linalg.norm(skin.vertices - hand, axis=1).min() < 0.05


def test_limbs_that_stand_off_stay_and_props_are_left_out(tmp_path):
    image, labels, joints = labelled(Figure(arm=40))
    column, row = (round(value) for value in joints["leftHand"])
    image[row - 90 : row + 90, column + 6 : column + 12] = (*STICK, 255)
    labels[row - 90 : row + 90, column + 6 : column + 12] = NAMES.index("prop")
    Image.fromarray(image).save(tmp_path / "picture.png")
    before = analyse(tmp_path / "picture.png", {"joints": {name: joints[name] for name in JOINTS}})
    found = unfold(before, reader_of(labels, joints)(before))
    assert not found.moved and found.left_out > 500
    shown = found.picture.rgba[found.picture.mask][:, :3].astype(int)
    assert (np.abs(shown - STICK).max(1) < 30).mean() < 0.001


@pytest.mark.parametrize(("place", "held"), [("leftHand", True), ("head", False), ("hips", False)])
def test_only_what_a_hand_holds_is_left_out(place, held, tmp_path):
    """A map that calls an ear or a pocket a prop must not have it bitten out of the figure."""
    image, labels, joints = labelled(Figure(arm=40))
    column, row = (round(value) for value in joints[place])
    edge = np.flatnonzero(labels[row] > 0)
    column = column if place == "leftHand" else int(edge[edge > column][-1] if place == "head" else column + 12)
    here = slice(row - 14, row + 14), slice(column - 6, column + 12)
    image[here], labels[here] = (*STICK, 255), NAMES.index("prop")
    Image.fromarray(image).save(tmp_path / "picture.png")
    before = analyse(tmp_path / "picture.png", {"joints": {name: joints[name] for name in JOINTS}})
    found = unfold(before, reader_of(labels, joints)(before))
    shown = found.picture.rgba[found.picture.mask][:, :3].astype(int)
    assert (found.left_out > 100) == held
    assert ((np.abs(shown - STICK).max(1) < 30).sum() < 50) == held


def test_a_sword_that_the_map_takes_for_hair_is_left_out_and_a_horn_is_not(tmp_path):
    """It would stay in the air as a part of the head when the arm that holds it moves."""
    image, labels, joints = labelled(Figure(arm=40))
    column, row = (round(value) for value in joints["leftHand"])
    above, top = round(joints["neck"][1]), int(np.flatnonzero((labels > 0).any(1))[0])
    middle = round(joints["neck"][0])
    sword = slice(row - 16, row + 60), slice(column + 6, column + 12)
    horn = slice(top - 12, top - 2), slice(middle - 4, middle + 4)
    image[sword], labels[sword] = (*STICK, 255), NAMES.index("head")
    image[top - 2 : top + 4, middle - 4 : middle + 4] = (*SKIN, 255)
    labels[top - 2 : top + 4, middle - 4 : middle + 4] = NAMES.index("torso")
    image[horn], labels[horn] = (*SKIN, 255), NAMES.index("head")
    assert sword[0].start > above
    Image.fromarray(image).save(tmp_path / "picture.png")
    before = analyse(tmp_path / "picture.png", {"joints": {name: joints[name] for name in JOINTS}})
    found = unfold(before, reader_of(labels, joints)(before))
    shown = found.picture.rgba[found.picture.mask][:, :3].astype(int)
    assert found.left_out > 200 and (np.abs(shown - STICK).max(1) < 30).sum() < 50
    tall, before_tall = (np.ptp(np.flatnonzero(p.mask.any(1))) for p in (found.picture, before))
    assert tall >= before_tall - 2


def test_an_arm_beside_a_trunk_slimmer_than_the_shoulders_is_joined_to_it(hanging):
    path, read = hanging
    before = analyse(path, draft=True)
    given = read(before)
    upper = [NAMES.index(f"{side}UpperArm") for side in ("left", "right")]
    before.mask = before.mask & ~np.isin(given.labels, upper)
    given.labels = np.where(np.isin(given.labels, upper), 0, given.labels)
    found = unfold(before, given)
    assert ndimage.label(found.picture.mask)[1] == 1
    for side in ("left", "right"):
        x, y = (round(v) for v in found.picture.joints[f"{side}Hand"])
        assert found.picture.mask[y, x]


def test_an_arm_that_hangs_like_the_moved_one_moves_with_it(tmp_path):
    image, labels, joints = labelled(Figure(arm=50))
    Image.fromarray(image).save(tmp_path / "picture.png")
    before = analyse(tmp_path / "picture.png", {"joints": {name: joints[name] for name in JOINTS}})
    given = reader_of(labels, joints)(before)
    assert not unfold(before, given).moved
    bent = {"leftHand": tuple(np.array(given.joints["leftLowerArm"]) - [40, 0])}
    assert {"leftArm", "rightArm"} <= set(unfold(before, PartMap(given.labels, NAMES, given.joints | bent)).moved)


@pytest.mark.parametrize("skirt", [140, 180])
def test_a_bare_hand_on_the_hip_is_taken_by_its_skin(skirt):
    rgba = np.full((200, 200, 4), 255, np.uint8)
    rgba[..., :3] = TROUSERS
    rgba[20:40, 20:60, :3] = rgba[100:140, 90:110, :3] = SKIN  # face; hand
    face = np.zeros((200, 200), bool)
    face[20:40, 20:60] = True
    joints = np.array([(100.0, 20.0), (100.0, 60.0), (100.0, 105.0)])
    cells = np.zeros((200, 200), bool)
    cells[20:104, 92:108] = cells[104:skirt, 112:124] = True  # the map's hand is a piece of the skirt
    limb = Limb(cells, joints, np.zeros((200, 200)), np.zeros((200, 200), np.int8), 8.0, 1.0)
    skin = skin_like(rgba, face)
    take_bare_hand(limb, skin & ~face)
    assert limb.cells[110:135, 92:108].all() and not limb.cells[110:150, 116:].any()


def test_fingers_on_the_belly_do_not_stay_there_and_a_bare_belly_does():
    y, x = np.indices((300, 300))
    joints = np.array([(90.0, 60.0), (80.0, 140.0), (150.0, 160.0)])
    points = np.column_stack([x.ravel(), y.ravel()])
    sleeve = (distance(points, joints[1], joints[2]) < 14).reshape(x.shape)
    fingers = (np.hypot(x - 172, y - 163) < 12) & ~sleeve
    belly = (np.abs(x - 160) < 60) & (y > 190) & (y < 290)
    limb = Limb(sleeve, joints, np.zeros((300, 300), np.float32), np.ones((300, 300), np.int8), 14.0, 1.0)
    found = left_behind(limb, fingers | belly)
    assert found[fingers].all() and not found[sleeve].any() and found[belly].mean() < 0.02
    assert not left_behind(limb, fingers | (np.abs(x - 160) < 60) & (y > 150) & ~sleeve)[fingers].any()


def test_an_arm_across_the_shoulders_leaves_no_gap_below_the_neck():
    joints = dict.fromkeys(JOINTS, (150.0, 150.0)) | {"neck": (150.0, 80.0), "hips": (150.0, 200.0)}
    joints |= {"leftUpperArm": (190.0, 100.0), "rightUpperArm": (110.0, 110.0)}
    picture = SimpleNamespace(mask=np.ones((300, 300), bool), joints=joints)
    core = _core(picture)
    assert core[82:198, 150].all() and 60 < core[150].sum() < 68 and 15 < core[82].sum() < 40


def test_an_arm_that_is_not_to_be_seen_mirrors_the_other(hanging):
    """The map of the parts has no right arm: the skin must not be stretched out of the trunk instead."""
    path, read = hanging
    before = analyse(path, draft=True)
    given = read(before)
    right = [NAMES.index(f"right{part}") for part in ("UpperArm", "Forearm", "Hand")]
    given.labels = np.where(np.isin(given.labels, right), NAMES.index("torso"), given.labels)
    found = unfold(before, given)
    assert {"leftArm", "rightArm"} <= set(found.moved)
    joints = found.picture.joints
    for side in ("left", "right"):
        shoulder, hand = (np.array(joints[side + name]) for name in ("UpperArm", "Hand"))
        line = np.round(shoulder + (hand - shoulder) * np.linspace(0.4, 1, 9)[:, None]).astype(int)
        assert (found.parts[line[:, 1], line[:, 0]] == PARTS.index(f"{side}Arm")).all()


def test_a_batch_takes_pictures_of_further_sides_with_their_front():
    folder = Path("pictures")
    given = [folder / name for name in ("a.back.png", "a.front.png", "b.left.jpg", "b.png", "c.right.png", "d.png")]
    pictures, sides = grouped(given)
    assert [picture.name for picture in pictures] == ["a.front.png", "b.png", "c.right.png", "d.png"]
    assert sides == [{"back": given[0]}, {"left": given[2]}, {}, {}]
    assert names_for(pictures, None) == ["a", "b", "c.right", "d"]


def test_an_arm_that_is_only_supposed_mirrors_the_one_that_is_seen(hanging):
    path, read = hanging
    before = analyse(path, draft=True)
    given = read(before)
    stray = {"leftHand": (given.joints["leftHand"][0], 1.1 * given.joints["leftHand"][1])}
    given = replace(given, joints=given.joints | stray)
    lengths = []
    for sure in (0.3, 0.6):
        doubtful = replace(before, joint_confidence=before.joint_confidence | {"leftHand": sure})
        doubtful.joint_confidence |= dict.fromkeys(("rightUpperArm", "rightLowerArm", "rightHand"), 0.9)
        doubtful.joint_confidence |= dict.fromkeys(("leftUpperArm", "leftLowerArm"), 0.9)
        found = unfold(doubtful, given)
        assert found.mirrored == (sure < 0.5)
        joints = found.picture.joints
        lengths.append([np.hypot(*np.subtract(joints[f"{s}Hand"], joints[f"{s}LowerArm"])) for s in ("left", "right")])
    assert lengths[0][0] == pytest.approx(lengths[0][1], rel=0.02)
    assert lengths[1][0] > 1.15 * lengths[1][1]


def test_what_is_between_the_thighs_stays_whole_where_the_legs_below_it_are_spread():
    joints = dict.fromkeys(JOINTS, (100.0, 60.0)) | {"neck": (100.0, 20.0), "hips": (100.0, 100.0)}
    parts, legs = np.full((280, 200), -1), {}
    parts[10:110, 70:130] = PARTS.index("torso")
    for side, x in (("left", 115.0), ("right", 85.0)):
        joints |= {f"{side}UpperLeg": (x, 100.0), f"{side}LowerLeg": (x, 180.0), f"{side}Foot": (x, 260.0)}
        chain = np.array([joints[side + name] for name in ("UpperLeg", "LowerLeg", "Foot")])
        cells = np.zeros(parts.shape, bool)
        cells[100:270, slice(100, 130) if side == "left" else slice(70, 100)] = True
        cells[100:150, 90:110] = False  # the front of a skirt
        parts[cells] = PARTS.index(f"{side}Leg")
        legs[f"{side}Leg"] = Limb(cells, chain, np.zeros(parts.shape), np.zeros(parts.shape, int), 15.0, 1.0)
    parts[100:150, 90:110] = PARTS.index("torso")
    rgba = np.full((*parts.shape, 4), 255, np.uint8)
    picture = PictureAnalysis(rgba, parts >= 0, 1.0, (200, 280), joints, {})
    moved = _legs(picture, legs, parts)
    made, parts = _compose(picture, parts, {}, moved, np.zeros(parts.shape, bool))
    gaps = [(np.diff(np.flatnonzero(row)) > 2).sum() for row in made.mask]
    top = round(made.joints["neck"][1]) - 20
    assert not any(gaps[: top + 150]) and all(gaps[top + 185 : top + 265])
    assert made.joints["leftFoot"][0] - made.joints["rightFoot"][0] > 40


def test_a_belly_that_hands_hid_becomes_slimmer_upwards_from_the_hips():
    mask, taken = np.zeros((120, 120), bool), np.zeros((120, 120), bool)
    mask[20:100, 50:70] = True
    mask[80:100, 25:95] = True
    taken[20:80, 25:50] = taken[20:80, 70:95] = True
    rgba = np.full((120, 120, 4), 255, np.uint8)
    _, filled, _ = filled_trunk(rgba, mask, np.where(mask, 0, -1), taken, np.zeros_like(mask))
    width = filled.sum(1)
    assert width[79] > 0.95 * width[90] and width[60] > 30 and (np.diff(width[20:80]) >= 0).all()
    free = filled_trunk(rgba, mask, np.where(mask, 0, -1), taken & False, np.zeros_like(mask))[1]
    assert free[79].sum() == 20  # what was not hidden is as it was
