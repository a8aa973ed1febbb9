"""The preview engine's figure: closed, solid from every side, coloured all round, and made from further pictures."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from PIL import Image, ImageDraw
from scipy import ndimage

from backend.engines import GenerateRequest
from backend.errors import BackendError
from backend.geometric.rigger import rig_mesh
from backend.image.analysis import analyse
from backend.image.sheet import sheet_result
from backend.image.views import View
from backend.mesh.files import MeshArrays
from backend.preview.engine import PreviewGenerator, landmarks
from backend.preview.head_paint import HeadLines, read_head
from backend.preview.sides import Profile, Views, without_hand
from backend.preview.solid import inflate
from backend.preview.thickness import make_frame
from benchmarks.figures import Figure, make
from benchmarks.posed_glb import Coloured, load_made
from benchmarks.views import aligned, compare
from tests.unit.people import ADULT, CAPE, SKIRT, picture
from tools.characters.make_set import SET, save

SMALL = {"triangles": 12000, "texture_size": 512}
SHOWN = 768
SKIN, HAIR, CLOTH, SHOES = (232, 180, 140), (90, 58, 42), (59, 110, 168), (40, 40, 44)


def generate(path, folder, **request):
    folder.mkdir(exist_ok=True)
    return PreviewGenerator().generate(GenerateRequest(path, folder, options=SMALL, **request), lambda *_: None)


def skins(made):
    mesh = trimesh.load(made.mesh, process=False, force="mesh")
    return trimesh.Trimesh(mesh.vertices, mesh.faces).split(only_watertight=False)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """(the look, its line-art picture, what was made of it)"""
    folder = tmp_path_factory.mktemp("drawn")
    look = SET[0]
    path = save(look, folder)
    return path, generate(path, folder / "made")


@pytest.mark.parametrize(("person", "pieces"), [(ADULT, 1), (SKIRT, 1)], ids=["adult", "skirt"])
def test_every_skin_is_closed_and_without_tunnels(tmp_path, person, pieces):
    picture(person)[0].save(tmp_path / "picture.png")
    found = skins(generate(tmp_path / "picture.png", tmp_path / "made"))
    assert len(found) == pieces
    assert all(skin.is_watertight and skin.euler_number == 2 and skin.volume > 0 for skin in found)


def test_a_cape_is_a_skin_of_its_own_behind_the_body(tmp_path):
    picture(CAPE)[0].save(tmp_path / "picture.png")
    found = sorted(skins(generate(tmp_path / "picture.png", tmp_path / "made")), key=lambda skin: -skin.volume)
    assert len(found) == 2 and all(skin.is_watertight and skin.euler_number == 2 for skin in found)
    body, cape = found
    assert cape.vertices[:, 2].mean() < body.vertices[:, 2].min() * 0.5 < 0
    assert np.ptp(cape.vertices[:, 1]) > 0.5


def at_height(vertices, y, x=0.0, reach=0.03):
    near = (np.abs(vertices[:, 1] - y) < 0.012) & (np.abs(vertices[:, 0] - x) < reach)
    return vertices[near, 2]


def test_chin_feet_and_trunk_have_the_depth_of_a_body(drawn):
    _, made = drawn
    vertices = load_vertices(made)
    joints, face = made.landmarks["joints"], made.landmarks["face"]
    mouth, crown, neck = face["mouth"]["center"][1], joints["headTop"][1], joints["neck"][1]
    head = crown - neck
    assert at_height(vertices, mouth).max() - at_height(vertices, neck).max() > 0.12 * head
    foot = vertices[(vertices[:, 1] < 0.06) & (vertices[:, 0] > 0)]
    assert foot[:, 2].max() > 1.3 * -foot[:, 2].min() and np.ptp(foot[:, 2]) > 0.12 * crown
    shoulder, hips = joints["leftUpperArm"][1], joints["hips"][1]
    waist = at_height(vertices, (shoulder + hips) / 2)
    assert 0.5 < np.ptp(waist) / (2 * joints["leftUpperArm"][0]) < 1.3


def load_vertices(made):
    return np.asarray(trimesh.load(made.mesh, process=False, force="mesh").vertices)


def test_sides_and_back_carry_no_outline_and_the_outline_is_told(drawn):
    path, made = drawn
    outline = made.landmarks["outline"]
    assert 0.001 < outline["width"] < 0.02
    ink = np.array(outline["colour"])
    rgba = np.asarray(Image.open(path))
    assert (np.abs(rgba[rgba[..., 3] > 250][:, :3].astype(int) - ink).max(1) < 40).mean() > 0.01
    mesh = load_made(made.mesh)
    for azimuth in (90, 180):
        seen = mesh.picture(azimuth, 256)
        tall = len(seen)
        head = seen[int(0.06 * tall) : int(0.3 * tall)]
        columns = np.flatnonzero(head[..., 3].any(0))
        head = head[:, columns[0] if azimuth == 180 else int(columns.mean()) :]  # without the face
        shown = head[head[..., 3] > 0][:, :3].astype(int)
        assert (np.abs(shown - ink).max(1) < 40).mean() < 0.03


def test_the_front_is_the_picture_and_the_same_bytes_come_twice(drawn, tmp_path):
    path, made = drawn
    assert made.metrics["silhouette_iou"] > 0.96
    again = generate(path, tmp_path / "again")
    assert hashlib.sha256(made.mesh.read_bytes()).digest() == hashlib.sha256(again.mesh.read_bytes()).digest()


@pytest.fixture(scope="module")
def solid(tmp_path_factory):
    """A capsule person in colours and its pictures from four sides."""
    look = Figure(arm=40)
    mesh = make(look)
    middle = mesh.vertices[mesh.triangles].mean(1)
    hips = 0.47 * look.height + 0.055 * look.height
    colour = np.select(
        [middle[:, 1] > 1.42, middle[:, 1] > 1.36, middle[:, 1] < 0.1, middle[:, 1] > hips], [1, 0, 3, 2], 3
    )
    colour[(colour == 1) & (middle[:, 2] > 0.04) & (middle[:, 1] < 1.53)] = 0
    textures = [np.full((1, 1, 3), value, np.uint8) for value in (SKIN, HAIR, CLOTH, SHOES)]
    truth = Coloured(mesh.vertices / look.height, mesh.triangles, np.zeros((len(colour), 3, 2)), colour, textures, {})
    folder = tmp_path_factory.mktemp("sides")
    paths = {}
    for side, azimuth in (("front", 0), ("left", 90), ("back", 180), ("right", 270)):
        paths[side] = folder / f"{side}.png"
        Image.fromarray(truth.picture(azimuth, SHOWN)).save(paths[side])
    return truth, paths


def test_further_pictures_give_shape_and_colour(solid, tmp_path):
    truth, paths = solid
    scores = {}
    for title, sides in (("one", ()), ("three", ("left", "back"))):
        made = generate(paths["front"], tmp_path / title, pictures={side: paths[side] for side in sides})
        assert not [w for w in made.warnings if w["code"] == "views"]
        mesh = aligned(load_made(made.mesh), truth)
        scores[title] = [compare(mesh.picture(a, 256), truth.picture(a, 256)) for a in (90, 180)]
    assert scores["three"][0][0] > max(scores["one"][0][0], 0.96)
    assert scores["three"][1][1] < min(scores["one"][1][1], 4.0)


def with_bunches(paths, folder):
    """The same pictures with hair that stands off beside the head, and far behind it from the side."""
    found = {}
    for side in ("front", "left", "back"):
        image = Image.open(paths[side])
        mask = np.asarray(image)[..., 3] > 127
        rows = np.flatnonzero(mask.any(1))
        head = rows[0] + int(0.11 * np.ptp(rows))
        line, size = np.flatnonzero(mask[head]), int(0.035 * np.ptp(rows))
        places = [line[-1] + 5 * size] if side == "left" else [line[0] - size, line[-1] + size]
        draw = ImageDraw.Draw(image)
        for x in places:
            near = min(max(x, line[0]), line[-1])
            draw.line([near, head, x, head], fill=(*HAIR, 255), width=size)
            draw.ellipse([x - size, head - size, x + size, head + size], fill=(*HAIR, 255))
        found[side] = folder / f"{side}.png"
        image.save(found[side])
    return found


@pytest.mark.parametrize("sides", [("left",), ("left", "back")], ids=str)
def test_hair_that_a_side_picture_shows_behind_leaves_the_head_where_it_is(solid, tmp_path, sides):
    paths = with_bunches(solid[1], tmp_path)
    alone = generate(paths["front"], tmp_path / "alone").landmarks
    made = generate(paths["front"], tmp_path / "made", pictures={side: paths[side] for side in sides})
    assert not [w for w in made.warnings if w["code"] == "views"]
    for joint in ("neck", "head", "headTop"):
        assert abs(made.landmarks["joints"][joint][2] - alone["joints"][joint][2]) < 0.03
    mesh = trimesh.load(made.mesh, process=False, force="mesh")
    assert mesh.vertices[:, 2].min() < -0.3  # the bunches are where the picture has them
    mesh = trimesh.Trimesh(mesh.vertices, mesh.faces)
    rig = rig_mesh(MeshArrays(np.asarray(mesh.vertices), np.asarray(mesh.faces)), made.landmarks["joints"])
    head = rig.skeleton.names.index("head")
    for part in ("leftEye", "rightEye", "mouth"):
        at = np.array(made.landmarks["face"][part]["center"])
        nearest = int(((mesh.vertices - at) ** 2).sum(1).argmin())
        assert np.linalg.norm(mesh.vertices[nearest] - at) < 0.02
        assert rig.weight[nearest][rig.weight_joint[nearest] == head].sum() > 0.9


def test_a_head_that_is_read_below_the_neck_does_not_hang_the_face_on_the_trunk(solid, tmp_path):
    paths = solid[1]
    neck = analyse(paths["front"]).joints["neck"]
    markers = {"joints": {"head": [neck[0], neck[1] + 30]}}
    joints = generate(paths["front"], tmp_path / "made", markers=markers).landmarks["joints"]
    assert joints["neck"][1] < joints["head"][1] < joints["headTop"][1]


def test_pictures_that_cannot_be_of_the_same_figure(solid, tmp_path):
    _, paths = solid
    for given, message in (
        ({"left": paths["right"]}, "looks like the right side"),
        ({"right": paths["left"]}, "looks like the left side"),
        ({"left": shrunk(paths["left"], tmp_path)}, "tall"),
    ):
        with pytest.raises(BackendError) as caught:
            generate(paths["front"], tmp_path / "made", pictures=given)
        assert caught.value.code == "views" and message in caught.value.message and caught.value.hint
    made = generate(paths["front"], tmp_path / "made", pictures={"back": paths["left"]})
    assert [w for w in made.warnings if w["code"] == "views" and "%" in w["message"]]


def shrunk(path, folder):
    image = Image.open(path)
    small = image.resize((int(image.width * 0.9), int(image.height * 0.9)))
    canvas = Image.new("RGBA", image.size)
    canvas.paste(small, (20, 20))
    canvas.save(folder / "shrunk.png")
    return folder / "shrunk.png"


def test_a_sheet_is_cut_into_its_views(solid, tmp_path):
    truth, paths = solid
    tiles = [Image.open(paths[side]) for side in ("front", "left", "back", "right")]
    tiles.insert(1, Image.fromarray(truth.picture(45, SHOWN)))
    tiles = [tile.crop(tile.getbbox()) for tile in tiles]
    tiles.append(tiles[0].crop((0, 0, tiles[0].width, int(0.4 * tiles[0].height))))
    sheet = Image.new("RGB", (sum(tile.width + 40 for tile in tiles) + 40, tiles[0].height + 80), "white")
    x = 40
    for tile in tiles:
        sheet.paste(tile, (x, 40), tile)
        x += tile.width + 40
    sheet.save(tmp_path / "sheet.png")
    figures = sheet_result(tmp_path / "sheet.png", tmp_path / "figures")["figures"]
    assert [figure["view"] for figure in figures] == ["front", "ignore", "left", "back", "right", "ignore"]
    assert [figure["why"] for figure in figures if figure["view"] == "ignore"] == ["three_quarter", "portrait"]
    pictures = {figure["view"]: Path(figure["picture"]) for figure in figures if figure["view"] != "ignore"}
    made = generate(pictures.pop("front"), tmp_path / "made", pictures=pictures)
    assert made.metrics["silhouette_iou"] > 0.95 and not [w for w in made.warnings if w["code"] == "views"]


def test_ears_beside_the_skull_do_not_colour_its_back():
    colours, where = np.full((200, 300, 3), 90.0, np.float32), np.zeros((200, 300), bool)
    where[20:180, 100:200] = where[30:90, 10:290] = True  # the skull, and ears at its crown
    colours[:, :95] = colours[:, 205:] = (240, 150, 190)
    colours[110:180] = SKIN
    found = read_head(colours, where, HeadLines(150.0, 170.0, 100.0, 115.0, 150.0, 50.0))
    assert np.abs(found.ring[: 100 - found.top] - 90).max() < 3


def test_a_head_joint_above_the_mouth_is_put_below_it(drawn):
    """Else the mouth hangs on the neck, and cannot be cut."""
    path, _ = drawn
    picture = analyse(path)
    mouth, eyes = (picture.face[name]["center"][1] for name in ("mouth", "leftEye"))
    frame = make_frame(picture.mask, picture.joints, 1.6, 0.012)
    for by_hand in (False, True):
        picture.joints["head"] = (picture.joints["head"][0], mouth - 0.3 * (mouth - eyes))
        picture.joint_confidence["head"] = 1.0 if by_hand else 0.9
        depth = inflate(picture.rgba, picture.mask, picture.joints, picture.face, frame)
        found = landmarks(picture, depth, frame)
        assert (found["joints"]["head"][1] > found["face"]["mouth"]["center"][1]) == by_hand


def test_a_drawn_side_picture_leaves_no_line_on_the_figure(solid, tmp_path):
    """A contour belongs to its own view; on the other views' skin it would be a stripe."""
    _, paths = solid
    drawn = {}
    for side in ("front", "left", "back"):
        rgba = np.array(Image.open(paths[side]))
        mask = rgba[..., 3] > 127
        rgba[mask & ~ndimage.binary_erosion(mask, iterations=5), :3] = (20, 0, 90)
        drawn[side] = tmp_path / f"{side}.png"
        Image.fromarray(rgba).save(drawn[side])
    made = generate(drawn.pop("front"), tmp_path / "made", pictures=drawn)
    mesh = load_made(made.mesh)
    for azimuth in (60, 120):
        shown = mesh.picture(azimuth, 256)
        shown = shown[shown[..., 3] > 0][:, :3].astype(int)
        assert (np.abs(shown - (20, 0, 90)).max(1) < 40).mean() < 0.01


@pytest.mark.parametrize(("thigh", "left"), [((60, 60, 75), (60, 60, 75)), ((224, 180, 150), (224, 180, 150))])
def test_a_hand_in_the_side_picture_is_not_painted_on_the_hip(thigh, left):
    """Its fingers reach lower than in the front picture. Bare legs, which look like it, stay."""
    colours = np.full((200, 80, 3), 90, np.float32)
    colours[100:] = thigh
    colours[95:150, 30:50] = (224, 180, 150)
    mask = np.zeros((200, 80), bool)
    mask[:, 10:70] = True
    frame = SimpleNamespace(pixels=1.0, origin=(0.0, 0.0), cell=0.01)
    views = Views(left=Profile(View(colours, mask, 1.0, (80, 200)), frame, top=0.0, zero=40.0))
    shown = without_hand(views, np.array([224, 180, 150]), (100.0, 130.0), 6.0).left.view.colours
    assert np.abs(shown[102:148, 30:50] - left).max() < 1
    assert np.abs(shown[:90] - 90).max() < 1 and np.abs(shown[160:] - thigh).max() < 1
