"""TRELLIS.2's checkpoints load strictly; its pipeline survives a full device and stops inside a step."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from backend.errors import BackendError, Cancelled
from backend.methods.models import _row
from backend.models import store
from backend.nn import sparse
from backend.nn.precision import MixedPrecision
from backend.nn.sparse import Sparse, Voxels
from backend.trellis2.checkpoint import CLASSES, DECODERS, ENCODER, FLOWS, describe, load_network
from backend.trellis2.dino import DinoV3, from_timm
from backend.trellis2.engine import MODEL
from backend.trellis2.pipeline import Trellis2Pipeline, choose_dtype, inner_dtype
from tests.unit.tiny_trellis2 import make_checkpoint

KEYS = Path(__file__).resolve().parents[1] / "golden" / "trellis2_keys"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("trellis2") / "model")


@pytest.fixture
def damaged(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "copy")


# -- full size


@pytest.mark.parametrize("file", sorted(KEYS.glob("*_*16.json")), ids=lambda file: file.stem)
def test_full_size_networks_have_the_released_keys_shapes_and_dtypes(file):
    manifest = json.loads(file.read_text())
    half = {"bfloat16": torch.bfloat16, "float16": torch.float16}[
        next(entry["runtime"] for entry in manifest["keys"].values() if entry["runtime"] != "float32")
    ]
    with torch.device("meta"):
        network = CLASSES[manifest["class"].removeprefix("Elastic")](**manifest["args"])
    assert isinstance(network, MixedPrecision)
    network.set_dtype(half)
    ours = {
        name: [list(value.shape), str(value.dtype).removeprefix("torch.")]
        for name, value in network.state_dict().items()
    }
    assert ours == {name: [entry["shape"], entry["runtime"]] for name, entry in manifest["keys"].items()}
    assert sum(p.numel() for p in network.parameters()) == manifest["parameters"]


def test_the_encoder_fits_both_names_of_its_weights():
    with torch.device("meta"):
        network = DinoV3()
        own = json.loads((KEYS / "dinov3_vitl16_transformers.json").read_text())["keys"]
        timm = json.loads((KEYS / "dinov3_vitl16_timm.json").read_text())["keys"]
        hosted = from_timm({name: torch.empty(entry["shape"]) for name, entry in timm.items()})
    ours = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert ours == {name: entry["shape"] for name, entry in own.items()}
    assert ours == {name: list(value.shape) for name, value in hosted.items()}


def test_the_model_names_every_file_that_a_checkpoint_needs():
    """What describe() finds in pipeline.json as it is published is what the download brings."""
    files = {target for _, _, target in MODEL.files()}
    names = {file.stem for file in KEYS.glob("*16.json")} | {"slat_flow_img2shape_dit_1_3B_1024_bf16"}
    for name in names - {"dinov3_vitl16_timm"}:
        assert {f"ckpts/{name}.json", f"ckpts/{name}.safetensors"} <= files
    assert {"pipeline.json", "dinov3/model.safetensors"} <= files
    assert "TRELLIS-image-large/ckpts/ss_dec_conv3d_16l8_fp16.safetensors" in files
    (terms,) = MODEL.terms.values()
    assert "DINO Materials" in terms.read_text(encoding="utf-8")
    assert _row(MODEL, [])["terms"] == [terms.as_uri()], "the panel links it before the download"


def test_a_file_that_another_model_has_is_not_downloaded_twice(tmp_path, monkeypatch):
    content = b"the structure decoder"
    size = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    shared = store.File("ckpts/shared.safetensors", **size)
    first, second = (
        store.Model(name, name, (store.Source("a/b", "c" * 40, "MIT", (shared,), into),))
        for name, into in (("first", ""), ("second", "deeper"))
    )
    monkeypatch.setattr(store, "MODELS", {"first": first, "second": second})
    path = tmp_path / "first" / "ckpts" / "shared.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    where = store.download("second", root=tmp_path)  # there is no network here: it must not ask
    assert (where / "deeper/ckpts/shared.safetensors").read_bytes() == content
    assert store.remove("second", tmp_path) and path.read_bytes() == content


# -- strict loading


def test_every_network_loads(checkpoint):
    files = describe(checkpoint).files
    assert set(files) == {ENCODER, *FLOWS, *DECODERS}
    for name, path in files.items():
        network = load_network(path, CPU, inner_dtype(name, torch.bfloat16))
        kinds = {p.dtype for n, p in network.named_parameters() if n.startswith("blocks") and n.endswith("weight")}
        if name == ENCODER:
            assert {p.dtype for p in network.parameters()} == {torch.float32}
        else:
            assert (torch.bfloat16 if name in FLOWS else torch.float16) in kinds, name


def refused(folder, name):
    with pytest.raises(BackendError) as error:
        load_network(describe(folder).files[name], CPU, torch.float32)
    return error.value


def rewrite(path, change):
    state = load_file(path)
    change(state)
    save_file(state, path)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("tex_slat_flow_model_512", "blocks.1.modulation"),
        ("shape_slat_decoder", "blocks.3.0.to_subdiv.weight"),
        (ENCODER, "layer.0.attention.q_proj.bias"),
        ("sparse_structure_decoder", "blocks.0.norm1.weight"),
    ],
)
def test_a_key_missing_or_of_another_shape_or_too_many_is_named(damaged, name, key):
    path = describe(damaged).files[name].with_suffix(".safetensors")
    right = load_file(path)[key]
    rewrite(path, lambda state: state.pop(key))
    assert f"{key} is missing" in refused(damaged, name).message and refused(damaged, name).code == "bad_weights"
    rewrite(path, lambda state: state.update({key: torch.zeros(3, 4)}))
    assert f"{key} has shape [3, 4]" in refused(damaged, name).message
    rewrite(path, lambda state: state.update({key: right, "evil": torch.zeros(1)}))
    assert "evil is not part of the network" in refused(damaged, name).message
    path.write_bytes(b"\x80\x04not a safetensors file" * 10)
    assert refused(damaged, name).code == "bad_weights"
    path.unlink()
    assert refused(damaged, name).code == "missing_weights"


@pytest.mark.parametrize(
    "change",
    [
        lambda args: args.pop("tex_slat_sampler"),
        lambda args: args["models"].pop("shape_slat_decoder"),
        lambda args: args["models"].update(shape_slat_decoder="../../etc/passwd"),
        lambda args: args["models"].update(shape_slat_decoder="/etc/passwd"),
        lambda args: args["shape_slat_normalization"].update(std=[0.0]),
        lambda args: args["shape_slat_sampler"]["params"].update(guidance_interval=3),
    ],
)
def test_damaged_descriptions(damaged, change):
    path = damaged / "pipeline.json"
    content = json.loads(path.read_text())
    change(content["args"])
    path.write_text(json.dumps(content))
    with pytest.raises(BackendError) as error:
        describe(damaged)
    assert error.value.code == "bad_weights" and "pipeline.json" in error.value.message


def test_a_description_of_another_network_is_refused(damaged):
    config = damaged / "ckpts" / "shape_slat_decoder.json"
    for text in (
        '{"name": "os.system", "args": {}}',
        '{"name": "SLatFlowModel", "args": {"resolution": 8}}',
        "[]",
        "{",
    ):
        config.write_text(text)
        assert refused(damaged, "shape_slat_decoder").code == "bad_weights"


# -- shortcuts, memory, stopping


@torch.no_grad()
def test_shortcuts_of_guidance_are_exact(checkpoint):
    flow = load_network(describe(checkpoint).files["shape_slat_flow_model_512"], CPU, torch.float32)
    x, t, cond = torch.randn(4, 16), torch.tensor([512.0]), torch.randn(1, 6, 48)
    voxels = Voxels(torch.tensor([[0, 1, 2, 3], [0, 1, 2, 4], [0, 7, 0, 0], [0, 5, 5, 5]]))
    positive = flow(Sparse(x, voxels), t, flow.contexts(cond)).feats
    negative = flow(Sparse(x, voxels), t, flow.contexts(torch.zeros_like(cond))).feats
    torch.testing.assert_close(flow(Sparse(x, voxels), t, flow.contexts(None)).feats, negative, rtol=1e-5, atol=1e-5)
    both = flow(Sparse(torch.cat([x, x]), voxels.twice), t.expand(2), flow.contexts(cond)).feats
    torch.testing.assert_close(both, torch.cat([positive, negative]), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(positive, negative, atol=1e-3)


class Allocator(torch.utils._python_dispatch.TorchDispatchMode):
    """Stands where products are made: refuses the first ones of a stage, as a full device does."""

    def __init__(self, stage="", refusals=0):
        super().__init__()
        self.stage, self.left, self.now, self.seen = stage, refusals, "", []

    def progress(self, stage, fraction, message):
        self.now = stage
        self.seen.append((stage, fraction))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if self.left and self.now == self.stage and name in ("linear", "mm", "addmm"):
            self.left -= 1
            raise torch.OutOfMemoryError("out of memory: tried to allocate more than there is")
        return func(*args, **(kwargs or {}))


def generate(checkpoint, allocator, **options):
    pipeline = Trellis2Pipeline(checkpoint, CPU, torch.float32)
    picture = Image.radial_gradient("L").convert("RGB")
    with allocator:
        return pipeline.run([picture], pipeline.settings(42, options), allocator.progress), pipeline


@pytest.fixture(scope="module")
def wanted(checkpoint):
    """By preset, what a device with room for all gives."""
    allocators = {"fast": Allocator(), "quality": Allocator()}
    results = {preset: generate(checkpoint, allocators[preset], preset=preset)[0] for preset in allocators}
    stages = list(dict.fromkeys(stage for stage, _ in allocators["quality"].seen))
    assert stages == ["encode", "structure", "shape", "refine", "texture", "surface", "material"]
    return results


@pytest.mark.parametrize(
    ("preset", "stage"),
    [("fast", stage) for stage in ("encode", "structure", "shape", "texture", "surface")]
    + [("quality", "refine"), ("quality", "material")],
)
def test_out_of_memory_at_any_stage_goes_down_the_ladder_and_changes_nothing(checkpoint, wanted, preset, stage):
    tight, wanted = Allocator(stage, refusals=2), wanted[preset]
    got, pipeline = generate(checkpoint, tight, preset=preset, memory="high")
    assert not tight.left and not got.plan.batch_guidance and not got.plan.keep_all
    assert sparse.limits.scratch == got.plan.scratch and not list(pipeline.residents)
    assert torch.equal(got.voxels.coords, wanted.voxels.coords)
    torch.testing.assert_close(got.mesh.vertices, wanted.mesh.vertices, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(got.attributes, wanted.attributes, rtol=1e-2, atol=1e-3)


def test_below_the_lowest_rung_it_is_an_error(checkpoint):
    with pytest.raises(BackendError) as error:
        generate(checkpoint, Allocator("shape", refusals=10**6))
    assert error.value.code == "out_of_memory" and "TRELLIS.2" in error.value.message and error.value.hint


def test_a_job_stops_inside_a_step(checkpoint):
    class Stopping(Allocator):
        def progress(self, stage, fraction, message):
            super().progress(stage, fraction, message)
            if sum(stage == "structure" for stage, _ in self.seen) == 3:
                raise Cancelled

    stopping = Stopping()
    with pytest.raises(Cancelled):
        generate(checkpoint, stopping)
    first, *_, last = (fraction for stage, fraction in stopping.seen if stage == "structure")
    assert first < last < first + (0.38 - 0.01) / 4, "within the first of four steps"


def test_one_seed_is_one_mesh_and_another_is_another(checkpoint):
    fast = {"preset": "fast"}
    meshes = [generate(checkpoint, Allocator(), memory=m, **fast)[0].mesh.vertices for m in ("low", "low", "high")]
    assert torch.equal(meshes[0], meshes[1])
    torch.testing.assert_close(meshes[0], meshes[2], rtol=1e-3, atol=1e-4)
    pipeline = Trellis2Pipeline(checkpoint, CPU, torch.float32)
    settings = replace(pipeline.settings(42, fast), seed=43)
    other = pipeline.run([Image.radial_gradient("L").convert("RGB")], settings, lambda *_: None)
    assert other.mesh.vertices.shape != meshes[0].shape or not torch.equal(other.mesh.vertices, meshes[0])


def test_precision():
    assert choose_dtype("auto", CPU) == torch.float32 and choose_dtype("bf16", CPU) == torch.bfloat16
    with pytest.raises(BackendError):
        choose_dtype("fp16", CPU)
