"""The engine "trellis" on tiny networks of the same architecture, random weights: through the worker where the worker
matters.
"""

import hashlib
import struct
import subprocess
import sys

import numpy as np
import pytest
import trimesh
from PIL import Image, ImageDraw

from backend.engines import GenerateRequest
from backend.errors import BackendError, Cancelled
from backend.image import matting
from backend.trellis.engine import VARIABLE, TrellisGenerator, checked_options
from backend.trellis.pictures import prepare
from tests.unit.test_worker import ENV, Client, is_one_sentence, left_in
from tests.unit.tiny_trellis import make_checkpoint

SMALL = {"structure_steps": 2, "latent_steps": 2, "texture_size": 512, "faces": 1000, "device": "cpu"}
RED, BLUE = (200, 40, 30), (40, 60, 180)


def crate(size=400, mode="RGBA", background=(0, 0, 0, 0)):
    """A crate: nothing like a person. Its upper half is red, its lower half blue."""
    image = Image.new("RGBA", (size, size), background)
    draw = ImageDraw.Draw(image)
    draw.rectangle([size * 0.2, size * 0.25, size * 0.8, size * 0.75], fill=BLUE)
    draw.rectangle([size * 0.2, size * 0.25, size * 0.8, size * 0.5], fill=RED)
    return image.convert(mode)


def saved(image, path, **options):
    image.save(path, **options)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("trellis") / "tiny")


@pytest.fixture(scope="module")
def client(tmp_path_factory, checkpoint):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENV, VARIABLE, str(checkpoint))
        client = Client(tmp_path_factory.mktemp("worker") / "worker.log")
    yield client
    client.process.kill()
    client.process.wait()
    client.process.stdin.close()
    client.process.stdout.close()


@pytest.fixture
def picture(tmp_path):
    return str(saved(crate(), tmp_path / "crate.png"))


def ask(picture, out_dir, **options):
    return {
        "engine": "trellis",
        "picture": str(picture),
        "out_dir": str(out_dir),
        "seed": 3,
        "options": {**SMALL, **options},
    }


def test_picture_to_glb_through_the_worker(client, picture, tmp_path, checkpoint):
    answer, stages = client.answer(client.send("generate", **ask(picture, tmp_path / "a")))
    assert "result" in answer, answer
    wanted = [
        "weights",
        "picture",
        "encode",
        "structure",
        "latent",
        "decode",
        "clean",
        "simplify",
        "unwrap",
        "bake",
        "place",
        "write",
    ]
    assert stages == wanted
    result, path = answer["result"], tmp_path / "a" / "mesh.glb"
    assert result["mesh"] == str(path) and left_in(tmp_path / "a") == ["mesh.glb"]
    (mesh,) = trimesh.load(path, process=False).geometry.values()
    assert mesh.bounds[0, 1] == pytest.approx(0, abs=1e-5) and np.isfinite(mesh.vertices).all()
    assert np.ptp(mesh.vertices, axis=0).max() >= 1.6 - 1e-4
    assert "vertex_normals" in mesh._cache.cache and mesh.visual.uv.min() >= 0 and mesh.visual.uv.max() <= 1
    material = mesh.visual.material
    assert material.metallicFactor == 0 and material.baseColorTexture.size == (512, 512)
    metrics = result["metrics"]
    assert metrics["face_count"] == len(mesh.faces) <= 1000 < metrics["dense_face_count"]
    assert metrics["texture_resolution"] == 512 and metrics["voxels"] > 0 and metrics["vertex_count"] > 0
    assert {f"{stage}_s" for stage in wanted} <= set(metrics)
    files = {
        p.relative_to(checkpoint).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in checkpoint.rglob("*.safetensors")
    }
    assert result["weights"] == files and len(files) == 6
    again = client.call("generate", **ask(picture, tmp_path / "b"))["result"]
    assert (tmp_path / "b" / "mesh.glb").read_bytes() == path.read_bytes(), "same seed, same bytes"
    assert again["metrics"]["vertex_count"] == metrics["vertex_count"]


@pytest.mark.parametrize(
    ("stage", "steps"), [("structure", {"structure_steps": 200}), ("latent", {"latent_steps": 200})]
)
def test_cancelling_in_mid_sampling_stops_within_a_step(client, picture, tmp_path, stage, steps):
    request_id = client.send("generate", **ask(picture, tmp_path / "out", **steps))
    client.until_stage(stage)
    client.send("cancel", request_id=request_id)
    later = 0
    while "event" in (event := client.read()):
        later += 1
    assert event["error"]["code"] == "cancelled"
    assert later <= 20, (
        "of the 200 steps nearly all were still to come; up to a second's events may have been on the way"
    )
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("empty_mask", lambda path: saved(Image.new("RGBA", (64, 64), (9, 9, 9, 0)), path)),
        ("empty_mask", lambda path: saved(Image.new("RGBA", (64, 64), (9, 9, 9, 120)), path)),
        ("empty_mask", lambda path: saved(Image.new("RGB", (64, 64), (9, 9, 9)), path)),
        ("background", lambda path: saved(Image.effect_noise((200, 200), 90).convert("RGB"), path)),
        ("unreadable", lambda path: path.write_text("not a picture")),
        ("too_small", lambda path: saved(crate(12), path)),
        ("too_small", lambda path: saved(Image.new("RGB", (1, 1), "white"), path)),
    ],
)
def test_pictures_that_cannot_be_used(tmp_path, checkpoint, monkeypatch, code, make):
    monkeypatch.setenv(VARIABLE, str(checkpoint))
    path = tmp_path / "picture.png"
    make(path)
    with pytest.raises(BackendError) as caught:
        TrellisGenerator().generate(GenerateRequest(path, tmp_path, options=SMALL), lambda *_: None)
    assert caught.value.code == code and is_one_sentence(caught.value.message) and caught.value.hint


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("unknown_device", {"device": "cuda:7"}),
        ("unknown_device", {"device": "meta"}),
        ("unknown_device", {"device": 1}),
        ("bad_params", {"preset": "best"}),
        ("bad_params", {"structure_steps": 0}),
        ("bad_params", {"latent_steps": 2.5}),
        ("bad_params", {"latent_cfg": -1}),
        ("bad_params", {"structure_cfg": "high"}),
        ("bad_params", {"structure_cfg": float("nan")}),
        ("bad_params", {"faces": True}),
        ("bad_params", {"faces": 10**9}),
        ("bad_params", {"texture_size": 256}),
        ("bad_params", {"texture_size": 8192}),
        ("bad_params", {"memory": "huge"}),
        ("bad_params", {"memory": ["low"]}),
        ("bad_params", {"dtype": "int8"}),
        ("bad_params", {"multi_image": "mean"}),
        ("bad_params", {"pictures": "side.png"}),
        ("bad_params", {"pictures": ["side.png"]}),
        ("bad_params", {"pictures": ["/side.png"] * 16}),
        ("bad_params", {"wings": 2}),
        ("unreadable", {"pictures": ["/no/such/picture.png"]}),
    ],
)
def test_options_that_cannot_be_used(tmp_path, picture, checkpoint, monkeypatch, code, options):
    monkeypatch.setenv(VARIABLE, str(checkpoint))
    with pytest.raises(BackendError) as caught:
        TrellisGenerator().generate(GenerateRequest(picture, tmp_path, options={**SMALL, **options}), lambda *_: None)
    assert caught.value.code == code and is_one_sentence(caught.value.message) and caught.value.hint


def test_options_reach_the_samplers(tmp_path, checkpoint):
    import torch

    from backend.trellis.pipeline import TrellisPipeline

    pipeline = TrellisPipeline(checkpoint, torch.device("cpu"), torch.float32)

    def settings(**options):
        return pipeline.settings(
            0, {name: value for name, value in checked_options(options).items() if value is not None}
        )

    fast, quality, own = settings(), settings(preset="quality"), settings(structure_steps=7, latent_cfg=0, memory="low")
    assert (fast.structure.steps, fast.latent.steps, fast.structure.cfg_strength, fast.latent.cfg_strength) == (
        12,
        12,
        7.5,
        3.0,
    )
    assert (quality.structure.steps, quality.structure.cfg_strength) == (25, 3.0), "the checkpoint's own strength"
    assert (own.structure.steps, own.latent.steps, own.latent.cfg_strength, own.memory) == (7, 12, 0, "low")


def test_without_weights_the_worker_refuses_in_one_sentence_and_lists_the_reason(
    client, picture, tmp_path, monkeypatch
):
    monkeypatch.setitem(ENV, VARIABLE, str(tmp_path / "nothing"))
    other = Client(tmp_path / "other.log")
    try:
        listed = {engine["name"]: engine for engine in other.call("hello")["result"]["generators"]}["trellis"]
        assert not listed["available"] and is_one_sentence(listed["reason"])
        error = other.call("generate", **ask(picture, tmp_path / "out"))["error"]
        assert error["code"] == "engine_unavailable" and str(tmp_path / "nothing") in error["message"]
    finally:
        other.close()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(BackendError) as caught:
        TrellisGenerator().generate(GenerateRequest(picture, tmp_path, options=SMALL), lambda *_: None)
    assert caught.value.code == "missing_weights"


def test_the_list_of_engines_needs_no_torch():
    code = (
        "import sys; from backend.registry import Engines; Engines('generators').describe(); print('torch' in"
        " sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-P", "-c", code], env=ENV, capture_output=True, text=True)
    assert ended.stdout.strip() == "False", ended.stderr


@pytest.fixture
def unfinished(monkeypatch, checkpoint):
    """An engine that gives what the networks made, before it becomes a file."""
    monkeypatch.setenv(VARIABLE, str(checkpoint))
    monkeypatch.setattr(TrellisGenerator, "_finish", lambda self, result, *_: (result, self._loaded.published()))
    return TrellisGenerator()


def test_several_pictures_of_one_thing(tmp_path, picture, unfinished):
    second = saved(crate().transpose(Image.Transpose.FLIP_TOP_BOTTOM), tmp_path / "second.png")
    request = GenerateRequest(picture, tmp_path, options=dict(SMALL))
    alone = unfinished.generate(request, lambda *_: None)[0].gaussians.xyz
    for way in ("stochastic", "multidiffusion"):
        request.options |= {"pictures": [str(second)], "multi_image": way}
        both = unfinished.generate(request, lambda *_: None)[0].gaussians.xyz
        assert alone.shape != both.shape or (alone != both).any(), way


def test_an_engine_stopped_half_way_works_again_and_another_checkpoint_is_noticed(
    tmp_path, picture, unfinished, monkeypatch
):
    request = GenerateRequest(picture, tmp_path, options=SMALL)

    def stop(stage, fraction, message):
        if stage == "latent":
            raise Cancelled

    with pytest.raises(Cancelled):
        unfinished.generate(request, stop)
    _, first = unfinished.generate(request, lambda *_: None)
    monkeypatch.setenv(VARIABLE, str(make_checkpoint(tmp_path / "other")))
    changed = tmp_path / "other" / "ckpts" / "slat_decoder_gs.safetensors"
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    _, second = unfinished.generate(request, lambda *_: None)
    assert {name for name in first if first[name] != second[name]} == {"ckpts/slat_decoder_gs.safetensors"}


def looks_like_the_crate(prepared):
    pixels = np.asarray(prepared).astype(int)
    assert pixels.shape == (518, 518, 3)
    red, blue = pixels[150:240, 100:420].mean((0, 1)), pixels[280:370, 100:420].mean((0, 1))
    assert red[0] > red[2] + 40 and blue[2] > blue[0] + 40, (red, blue)
    assert pixels[:30].max() < 40 and pixels[-30:].max() < 40, "around it is nothing"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("alpha.png", lambda p: saved(crate(), p)),
        ("plain.png", lambda p: saved(crate(background="white", mode="RGB"), p)),
        ("palette.gif", lambda p: saved(crate(mode="RGB", background="white").quantize(8), p)),
        ("cmyk.jpg", lambda p: saved(crate(mode="RGB", background="white").convert("CMYK"), p, quality=95)),
        ("huge.png", lambda p: saved(huge(), p, compress_level=1)),
        ("small.png", lambda p: saved(crate(40), p)),
        ("corner.png", lambda p: saved(corner(), p)),
        ("turned.jpg", lambda p: saved(path=p, **turned())),
    ],
)
def test_pictures_of_every_kind_show_the_same_crate(tmp_path, name, make):
    looks_like_the_crate(prepare(make(tmp_path / name)))


def huge():
    image = Image.new("RGBA", (6000, 700))
    image.paste(crate(600), (2000, 50))
    return image


def corner():
    """A white picture in which one pixel has lost its opacity: that is no cut-out."""
    image = crate(background="white")
    image.putpixel((0, 0), (255, 255, 255, 0))
    return image


def turned():
    """As a camera held upright writes it: rows and columns swapped, with a note to show it turned by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"image": crate(mode="RGB", background="white").transpose(Image.Transpose.ROTATE_90), "exif": exif}


@pytest.mark.parametrize("mode", ["L", "I;16"])
def test_grey_pictures(tmp_path, mode):
    grey = np.full((300, 300), 250, np.uint8)
    grey[80:220, 60:240] = 60
    image = Image.fromarray(grey) if mode == "L" else Image.fromarray(grey.astype(np.uint16) * 257)
    pixels = np.asarray(prepare(saved(image, tmp_path / "grey.png")))
    assert abs(int(pixels[259, 259, 0]) - 60) < 3 and pixels[:30].max() < 40


def protobuf(*fields):
    """A message of (number, value): an int as varint, text and bytes with their length."""

    def varint(value):
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes([*out, value])

    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def brightness_network(side=64):
    """An ONNX matting network: one 1 x 1 convolution that gives bright pixels a positive logit, dark ones a negative
    one.
    """

    def value(name, channels):
        shape = protobuf(*((1, protobuf((1, n))) for n in (1, channels, side, side)))
        return protobuf((1, name), (2, protobuf((1, protobuf((1, 1), (2, shape))))))

    def tensor(name, shape, numbers):
        return protobuf(*((1, n) for n in shape), (2, 1), (8, name), (9, struct.pack(f"<{len(numbers)}f", *numbers)))

    node = protobuf((1, "in"), (1, "weight"), (1, "bias"), (2, "out"), (4, "Conv"))
    weights = [(5, tensor("weight", (1, 3, 1, 1), [10.0] * 3)), (5, tensor("bias", (1,), [25.0]))]
    graph = protobuf((1, node), (2, "brightness"), *weights, (11, value("in", 3)), (12, value("out", 1)))
    return protobuf((1, 8), (7, graph), (8, protobuf((2, 13))))


def on_noise(path):
    dark = np.array([[60, 0, 0], [0, 60, 0], [0, 0, 60]], np.uint8)
    noise = Image.fromarray(dark[np.random.default_rng(0).integers(0, 3, (400, 400))])
    noise.paste(crate(), mask=crate())
    return saved(noise, path)


def test_a_matting_network_takes_the_background_away_where_one_is_installed(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("AVATAR_FORGE_MODELS", str(tmp_path))
    picture = on_noise(tmp_path / "noise.png")
    with pytest.raises(BackendError, match="not plain"):
        prepare(picture)
    model = tmp_path / "matting" / "brightness.onnx"
    model.parent.mkdir()
    model.write_bytes(brightness_network())
    looks_like_the_crate(prepare(picture))
    model.write_bytes(b"no network")
    with pytest.raises(BackendError) as caught:
        prepare(picture)
    assert caught.value.code == "bad_weights" and "brightness.onnx" in caught.value.message


def test_without_onnxruntime_no_matting_network_is_used(tmp_path, monkeypatch):
    (tmp_path / "matting").mkdir()
    (tmp_path / "matting" / "brightness.onnx").write_bytes(brightness_network())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert matting.installed_model(tmp_path) is None
