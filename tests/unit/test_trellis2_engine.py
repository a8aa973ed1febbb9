"""The engine "trellis2" on tiny networks of the same architecture, random weights: through the worker where the worker
matters.
"""

import hashlib

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.engines import GenerateRequest
from backend.errors import BackendError
from backend.trellis2.engine import VARIABLE, Trellis2Generator
from tests.unit.test_trellis_engine import crate, saved
from tests.unit.test_worker import ENV, Client, is_one_sentence, left_in
from tests.unit.tiny_trellis2 import make_checkpoint

SMALL = {"texture_size": 512, "faces": 1000, "device": "cpu"}
STAGES = ["weights", "picture", "encode", "structure", "shape", "texture", "surface", "material", "clean", "simplify"]
STAGES += ["unwrap", "bake", "place", "landmarks", "write"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("trellis2") / "tiny")


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
    shown = {"engine": "trellis2", "picture": str(picture), "out_dir": str(out_dir), "seed": 3}
    return shown | {"options": {**SMALL, **options}}


def test_picture_to_glb_through_the_worker(client, picture, tmp_path, checkpoint):
    answer, stages = client.answer(client.send("generate", **ask(picture, tmp_path / "a")))
    assert "result" in answer, answer
    assert stages == STAGES
    result, path = answer["result"], tmp_path / "a" / "mesh.glb"
    assert result["mesh"] == str(path) and left_in(tmp_path / "a") == ["mesh.glb"]
    (mesh,) = trimesh.load(path, process=False).geometry.values()
    assert mesh.bounds[0, 1] == pytest.approx(0, abs=1e-5) and np.isfinite(mesh.vertices).all()
    assert np.ptp(mesh.vertices, axis=0).max() >= 1.6 - 1e-4
    material = mesh.visual.material
    assert material.metallicFactor == 1 and material.roughnessFactor == 1 and material.alphaMode == "OPAQUE"
    assert material.baseColorTexture.size == (512, 512) and material.baseColorTexture.mode == "RGBA"
    assert material.metallicRoughnessTexture.size == material.normalTexture.size == (512, 512)
    assert np.asarray(material.baseColorTexture)[..., :3].std() > 1, "painted, not plain"
    assert np.asarray(material.normalTexture)[..., 2].mean() > 150, "normals point outwards of the texture"
    metrics = result["metrics"]
    assert metrics["face_count"] == len(mesh.faces) <= 1000 and metrics["resolution"] == 512
    assert metrics["tokens"] > 0 and metrics["voxels"] > metrics["tokens"] and metrics["dense_face_count"] > 0
    assert {f"{stage}_s" for stage in STAGES} <= set(metrics)
    files = {
        p.relative_to(checkpoint).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in checkpoint.rglob("*.safetensors")
    }
    assert result["weights"] == files and len(files) == 9
    client.call("generate", **ask(picture, tmp_path / "b"))
    assert (tmp_path / "b" / "mesh.glb").read_bytes() == path.read_bytes(), "same seed, same bytes"


@pytest.mark.parametrize("stage", ["structure", "shape", "texture"])
def test_cancelling_in_mid_sampling_stops_within_a_step(client, picture, tmp_path, stage):
    request_id = client.send("generate", **ask(picture, tmp_path / "out", **{f"{stage}_steps": 200}))
    client.until_stage(stage)
    client.send("cancel", request_id=request_id)
    later = 0
    while "event" in (event := client.read()):
        later += 1
    assert event["error"]["code"] == "cancelled"
    assert later <= 40, "of the 200 steps nearly all were still to come; what was on the way may arrive"
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("unknown_device", {"device": "cuda:7"}),
        ("bad_params", {"preset": "best"}),
        ("bad_params", {"resolution": "2048"}),
        ("bad_params", {"shape_steps": 0}),
        ("bad_params", {"texture_guidance": -1}),
        ("bad_params", {"dtype": "fp16"}),
        ("bad_params", {"multi_image": "mean"}),
        ("bad_params", {"pictures": ["side.png"]}),
        ("bad_params", {"wings": 2}),
        ("unreadable", {"pictures": ["/no/such/picture.png"]}),
    ],
)
def test_options_that_cannot_be_used(tmp_path, picture, checkpoint, monkeypatch, code, options):
    monkeypatch.setenv(VARIABLE, str(checkpoint))
    with pytest.raises(BackendError) as caught:
        Trellis2Generator().generate(GenerateRequest(picture, tmp_path, options={**SMALL, **options}), lambda *_: None)
    assert caught.value.code == code and is_one_sentence(caught.value.message) and caught.value.hint


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("empty_mask", lambda path: saved(Image.new("RGBA", (64, 64), (9, 9, 9, 0)), path)),
        ("unreadable", lambda path: path.write_text("not a picture")),
        ("too_small", lambda path: saved(crate(12), path)),
    ],
)
def test_pictures_that_cannot_be_used(tmp_path, checkpoint, monkeypatch, code, make):
    monkeypatch.setenv(VARIABLE, str(checkpoint))
    make(tmp_path / "picture.png")
    with pytest.raises(BackendError) as caught:
        request = GenerateRequest(tmp_path / "picture.png", tmp_path, options=SMALL)
        Trellis2Generator().generate(request, lambda *_: None)
    assert caught.value.code == code and is_one_sentence(caught.value.message) and caught.value.hint


def test_options_reach_the_samplers(checkpoint):
    import torch

    from backend.trellis2.pipeline import Trellis2Pipeline

    pipeline = Trellis2Pipeline(checkpoint, torch.device("cpu"), torch.float32)
    fast, quality = pipeline.settings(0, {}), pipeline.settings(0, {"preset": "quality"})
    assert (fast.way, quality.way) == ("512", "1024_cascade") and fast.samplers == pipeline.description.samplers
    own = pipeline.settings(0, {"resolution": "1536_cascade", "shape_steps": 7, "texture_guidance": 2.5})
    assert own.way == "1536_cascade" and own.samplers["shape"].steps == 7
    assert own.samplers["texture"].guidance_strength == 2.5 and own.samplers["structure"] == fast.samplers["structure"]


@pytest.fixture
def unfinished(monkeypatch, checkpoint):
    """An engine that gives what the networks made, before it becomes a file."""
    monkeypatch.setenv(VARIABLE, str(checkpoint))
    monkeypatch.setattr(Trellis2Generator, "_finish", lambda self, request, result, *_: result)
    return Trellis2Generator()


def test_several_pictures_of_one_thing(tmp_path, picture, unfinished):
    def vertices(way=None, **pictures):
        options = SMALL | ({"multi_image": way} if way else {})
        request = GenerateRequest(picture, tmp_path, options=options, pictures=pictures)
        return unfinished.generate(request, lambda *_: None).mesh.vertices

    second = saved(crate().transpose(Image.Transpose.FLIP_TOP_BOTTOM), tmp_path / "second.png")
    alone, same = vertices(), vertices("stochastic")
    assert alone.shape == same.shape and (alone == same).all(), "one picture is combined with nothing"
    for way in ("average", "stochastic", "multidiffusion"):
        both = vertices(way, back=second)
        assert alone.shape != both.shape or (alone != both).any(), way


def test_without_weights_the_engine_says_so_in_one_sentence(picture, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing"))
    engine = Trellis2Generator()
    assert is_one_sentence(engine.unavailable_reason()) and str(tmp_path / "nothing") in engine.unavailable_reason()
    with pytest.raises(BackendError) as caught:
        engine.generate(GenerateRequest(picture, tmp_path, options=SMALL), lambda *_: None)
    assert caught.value.code == "missing_weights" and is_one_sentence(caught.value.message)
