"""Files that were made to hurt: refused in one sentence, without filling the memory first."""

import json
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.TiffImagePlugin import TiffImageFile

from avatar_addon.client.process.locks import hold
from avatar_addon.errors import AvatarError, why_not_read
from avatar_addon.files import LARGEST_TEXT, from_json, read_text
from avatar_addon.remote.protocol.paths import file_name
from avatar_addon.remote.protocol.registry import Refusal
from avatar_addon.report.report import main, make_report
from avatar_addon.vrm.spec.vrm_file import MOST_MISSING, missing_values
from backend.errors import BackendError
from backend.geometric.rigger import rig_mesh
from backend.image.analysis import write_upright
from backend.image.load import load_picture, resize_rgba
from backend.image.sheet import SheetFigure, write_figures
from backend.mesh.files import MeshArrays


def glb(path, document):
    chunk = document if isinstance(document, bytes) else json.dumps(document).encode()
    chunk += b" " * (-len(chunk) % 4)
    body = struct.pack("<II", len(chunk), 0x4E4F534A) + chunk
    path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body)
    return path


def vrm(**more):
    mesh = {"primitives": [{"attributes": {"POSITION": 0}}]}
    return {
        "asset": {"version": "2.0"},
        "extensions": {"VRMC_vrm": {"specVersion": "1.0", "humanoid": {"humanBones": {}}}},
        "nodes": [{"mesh": 0}],
        "meshes": [mesh],
        **more,
    }


@pytest.mark.parametrize(
    "document",
    [
        b"[" * 200_000,
        b'{"nodes": ' + b"[" * 200_000,
        vrm(accessors=[{"componentType": 5126, "type": "VEC3", "count": 400_000_000}]),
        vrm(accessors=[{"componentType": 5126, "type": "VEC3", "count": -1}]),
        vrm(accessors=[{"componentType": 5126, "type": "VEC3", "count": "many"}]),
        vrm(accessors=[{"componentType": 5126, "type": "MAT4", "count": 2**60, "bufferView": 0}]),
    ],
)
def test_a_hostile_vrm_gets_a_report_card(tmp_path, capsys, document):
    path = glb(tmp_path / "a.vrm", document)
    report = make_report(path)
    assert report.checks[0].status == "FAIL" and report.checks[0].id == "container"
    assert main([str(path)]) == 1 and "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("end", ["glb", "gltf"])
def test_values_that_a_model_has_by_name_only_are_counted_before_they_are_made(tmp_path, end):
    document = vrm(accessors=[{"count": 400_000_000}, {"count": 24, "bufferView": 0}, {"count": -7}])
    path = glb(tmp_path / "a.glb", document)
    if end == "gltf":
        path.write_text(json.dumps(document))
    assert missing_values(path) == 400_000_000 > MOST_MISSING
    path.write_bytes(path.read_bytes()[:40])
    assert missing_values(path) == 0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Error: Couldn't open file '/home/me/it is.fbx' ()\n", "Couldn't open file"),
        ("Error: ASCII FBX files are not supported 'C:\\me\\a.fbx'\n", "ASCII FBX files are not supported"),
        ("Error: Missing resource, 'textures/a.bin'\n", "Missing resource, 'textures/a.bin'"),
    ],
)
def test_an_importers_reason_does_not_name_the_file_again(said, reason):
    assert why_not_read(RuntimeError(said)) == reason


def test_a_name_that_cannot_be_printed_is_no_traceback(tmp_path, capsys):
    document = vrm(nodes=[{"name": "\ud800"}], meshes=[])
    document["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"] = {"\ud800": {"node": 0}}
    assert main([str(glb(tmp_path / "a.vrm", document))]) == 1
    assert capsys.readouterr().out


def test_a_joint_far_away_is_refused(tmp_path):
    vertices = np.random.default_rng(0).random((60, 3)) * (0.6, 1.7, 0.3)
    mesh = MeshArrays(vertices.astype(np.float32), np.arange(60, dtype=np.int32).reshape(-1, 3))
    with pytest.raises(BackendError, match="far outside") as caught:
        rig_mesh(mesh, {"leftHand": [1e7, 1.0, 0.0]})
    assert caught.value.code == "bad_joints"


@pytest.mark.skipif(sys.platform == "win32", reason="asks the kernel for the peak of memory")
def test_a_picture_of_99_megapixels_is_refused_before_it_is_decoded(tmp_path):
    import tracemalloc

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", 9900, 10_000, 8, 2, 0, 0, 0)
    packed = zlib.compress(b"\0" * 1000)
    path = tmp_path / "huge.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", packed) + chunk(b"IEND", b""))
    tracemalloc.start()
    with pytest.raises(BackendError) as caught:
        load_picture(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code == "too_large" and peak < 50e6


def test_a_large_picture_is_converted_piece_by_piece(tmp_path, monkeypatch):
    import tracemalloc

    monkeypatch.setattr("backend.image.load.MAX_SIDE", 1024)
    monkeypatch.setattr("backend.image.load.TILE", 256)
    Image.new("F", (2000, 2000), 0.5).save(tmp_path / "large.tif")
    tracemalloc.start()
    picture = load_picture(tmp_path / "large.tif")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert picture.rgba.shape == (1024, 1024, 4) and np.all(picture.rgba == (128, 128, 128, 255))
    assert peak < 2 * picture.rgba.nbytes


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_pieces_of_a_reduced_picture_have_no_seams(tmp_path, monkeypatch, mode):
    monkeypatch.setattr("backend.image.load.MAX_SIDE", 300)
    monkeypatch.setattr("backend.image.load.TILE", 100)
    noise = np.random.default_rng(0).integers(0, 256, (70, 50, len(mode)), dtype=np.uint8)
    image = Image.fromarray(noise).resize((457, 611), Image.Resampling.BICUBIC)
    image.save(tmp_path / "a.png")
    found = load_picture(tmp_path / "a.png")
    whole = resize_rgba(np.asarray(image.convert("RGBA")), (224, 300))
    assert found.size == (457, 611) and found.rgba.shape == (300, 224, 4)
    assert np.abs(found.rgba.astype(int) - whole)[whole[..., 3] > 50].max() <= 2


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_a_turned_tiff_is_turned_once(tmp_path, mode, compression):
    shades = np.arange(60 * 40, dtype=np.uint16).reshape(40, 60) // 10
    values = {"L": shades.astype(np.uint8), "I;16": shades * 256, "RGB": np.dstack([shades.astype(np.uint8)] * 3)}
    image = Image.fromarray(values[mode])
    for orientation in (1, 3, 5, 6, 7, 8):
        loaded = []
        for name, options in (("a.tif", {"compression": compression}), ("a.png", {})):
            exif = Image.Exif()
            exif[0x0112] = orientation
            image.save(tmp_path / name, exif=exif, **options)
            loaded.append(load_picture(tmp_path / name))
        assert loaded[0].size == loaded[1].size == ((60, 40) if orientation < 5 else (40, 60))
        assert np.array_equal(loaded[0].rgba, loaded[1].rgba)


@pytest.mark.skipif(sys.platform == "win32", reason="makes a pipe")
def test_a_pipe_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(BackendError, match="ordinary file"):
        load_picture(tmp_path / "pipe.png")


@pytest.mark.parametrize("end", ["gif", "tif", "webp", "png"])
def test_frames_are_not_counted(tmp_path, monkeypatch, end):
    """A file of 7 MB may have 50 thousand of them, each of which would be read."""
    frames = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in (0, 90, 180)]
    frames[0].save(tmp_path / f"one.{end}")
    frames[0].save(tmp_path / f"three.{end}", save_all=True, append_images=frames[1:])

    def walk(image):
        raise AssertionError("walks through all frames")

    for kind in (GifImageFile, TiffImageFile):
        monkeypatch.setattr(kind, "n_frames", property(walk))
    assert [load_picture(tmp_path / f"{name}.{end}").animated for name in ("one", "three")] == [False, True]


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_no_picture_is_written_through_a_link(tmp_path):
    secret, whole = tmp_path / ".bashrc", np.full((90, 60, 4), 255, np.uint8)
    secret.write_text("precious")
    for name in ("upright.png", "figure_1.png"):
        (tmp_path / name).symlink_to(secret)
    Image.fromarray(whole).save(tmp_path / "a.png")
    write_upright(tmp_path / "a.png", tmp_path / "upright.png")
    write_figures([SheetFigure((0, 0, 60, 90), "front", "", whole, whole[..., 0] > 0)], tmp_path)
    assert secret.read_text() == "precious"
    assert {Image.open(tmp_path / name).format for name in ("upright.png", "figure_1.png")} == {"PNG"}


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".bashrc",
        "../up",
        "a/b",
        "a\\b",
        "a\nb",
        "a\0b",
        "\u202egnp",
        "\ud800",
        "x" * 300,
        "CON",
        "nul.tar",
        "Lpt1 ",
    ],
)
def test_names_that_would_leave_their_folder_are_refused(name):
    with pytest.raises(Refusal):
        file_name(name)
    assert file_name("Ein Name, 名前 (2)") == "Ein Name, 名前 (2)" and file_name("Connie") == "Connie"


def test_no_other_stream_of_a_file_on_windows(monkeypatch):
    assert file_name("a: b?") == "a: b?"
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(Refusal):
        file_name("a: b?")


@pytest.mark.skipif(sys.platform == "win32", reason="makes links and pipes")
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_lock_is_a_file_of_ours(tmp_path, kind):
    """Opening a link would make the file that it names, opening a pipe would wait for ever."""
    lock = tmp_path / ".mia.lock"
    {"link": lambda: lock.symlink_to(tmp_path / "made"), "pipe": lambda: os.mkfifo(lock), "folder": lock.mkdir}[kind]()
    with pytest.raises(AvatarError) as caught:
        hold(lock, AvatarError("Busy.", "busy"))
    assert caught.value.code == "not_writable" and not (tmp_path / "made").exists()


@pytest.mark.parametrize("text", ["NaN", "[1e999]", '{"a": -Infinity}', "[" * 200_000, "", "{"])
def test_json_that_is_none_is_a_value_error(text):
    with pytest.raises(ValueError):
        from_json(text)
    assert from_json('{"a": [1, 2.5]}') == {"a": [1, 2.5]}


def test_a_text_is_a_file_of_moderate_size(tmp_path):
    (tmp_path / "large").write_bytes(b" " * (LARGEST_TEXT + 1))
    (tmp_path / "latin").write_bytes("Zoë".encode("latin-1"))
    for path in (
        tmp_path,
        tmp_path / "large",
        tmp_path / "latin",
        *([Path("/dev/zero")] if os.name == "posix" else []),
    ):
        with pytest.raises(ValueError):
            read_text(path)
