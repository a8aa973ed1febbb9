"""Full-size networks against the released files' manifests; checkpoints that do not fit; memory plans and what runs
out of memory.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from backend.errors import BackendError, Cancelled
from backend.nn import memory, sparse
from backend.nn.device import choose_device
from backend.nn.memory import Plan, Residents, choose_plan, with_ladder
from backend.nn.precision import MixedPrecision, choose_dtype
from backend.nn.sparse import Sparse, Voxels
from backend.trellis.checkpoint import CLASSES, ENCODER, NETWORKS, describe, from_transformers, load_network
from backend.trellis.dino import DinoV2
from backend.trellis.latent import SlatFlow
from backend.trellis.pipeline import TrellisPipeline
from tests.unit.tiny_trellis import make_checkpoint

KEYS = Path(__file__).resolve().parents[1] / "golden" / "trellis_keys"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("trellis") / "model")


@pytest.fixture
def damaged(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "copy")


# -- full size
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(KEYS.glob("*.json")), ids=lambda file: file.stem)
def test_full_size_networks_have_the_released_keys_shapes_and_dtypes(file):
    manifest = json.loads(file.read_text())
    kind = CLASSES[manifest.get("class", "DinoVisionTransformer").removeprefix("Elastic")]
    with torch.device("meta"):
        network = kind(**manifest["args"])
    if isinstance(network, MixedPrecision):
        network.set_dtype(torch.float16)
    ours = {
        name: [list(value.shape), str(value.dtype).removeprefix("torch.")]
        for name, value in network.state_dict().items()
    }
    assert ours == {name: [entry["shape"], entry["dtype"]] for name, entry in manifest["keys"].items()}
    assert sum(p.numel() for p in network.parameters()) == manifest["parameters"]


def test_the_encoder_re_host_has_the_same_weights_under_other_names():
    network = DinoV2(img_size=28, embed_dim=8, depth=2, num_heads=2)
    state = network.state_dict()
    names = {
        "cls_token": "cls_token",
        "mask_token": "mask_token",
        "register_tokens": "register_tokens",
        "pos_embed": "position_embeddings",
    }
    names = {ours: f"embeddings.{theirs}" for ours, theirs in names.items()}
    names |= {f"patch_embed.proj.{k}": f"embeddings.patch_embeddings.projection.{k}" for k in ("weight", "bias")}
    names |= {f"norm.{k}": f"layernorm.{k}" for k in ("weight", "bias")}
    hosted = {}
    for name, value in state.items():
        if ".attn.qkv." in name:
            block, kind = name.split(".")[1], name.rsplit(".", 1)[1]
            for part, rows in zip(("query", "key", "value"), value.chunk(3), strict=True):
                hosted[f"encoder.layer.{block}.attention.attention.{part}.{kind}"] = rows.clone()
        elif name.startswith("blocks."):
            renamed = name.replace("blocks.", "encoder.layer.").replace("attn.proj", "attention.output.dense")
            hosted[
                renamed.replace("ls1.gamma", "layer_scale1.lambda1").replace("ls2.gamma", "layer_scale2.lambda1")
            ] = value
        else:
            hosted[names[name]] = value
    mapped = from_transformers(hosted)
    assert mapped.keys() == state.keys() and all(torch.equal(mapped[name], state[name]) for name in state)


# -- what does not fit
# -----------------------------------------------------------------------------------------------------------------


def refused(folder, name="slat_flow_model"):
    with pytest.raises(BackendError) as error:
        load_network(describe(folder).files[name], CPU, torch.float32)
    assert error.value.hint
    return error.value


def rewrite(folder, change, name="slat_flow_model"):
    path = folder / "ckpts" / f"{name}.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)


def test_a_key_missing_or_of_another_shape_or_too_many_is_named(damaged):
    key = "blocks.1.self_attn.to_out.weight"
    rewrite(damaged, lambda state: state.pop(key))
    assert f"{key} is missing" in refused(damaged).message and refused(damaged).code == "bad_weights"
    rewrite(damaged, lambda state: state.update({key: torch.zeros(3, 4)}))
    assert f"{key} has shape [3, 4], not [32, 32]" in refused(damaged).message
    rewrite(damaged, lambda state: state.update({key: torch.zeros(32, 32), "evil": torch.zeros(1)}))
    assert "evil is not part of the network" in refused(damaged).message


def test_a_truncated_file_and_one_of_another_kind(damaged):
    path = damaged / "ckpts" / "slat_flow_model.safetensors"
    whole = path.read_bytes()
    for content in (whole[:-100], whole[:4], b"", b"\x80\x04not a safetensors file" * 10):
        path.write_bytes(content)
        assert refused(damaged).code == "bad_weights" and path.name in refused(damaged).message
    path.unlink()
    assert refused(damaged).code == "missing_weights"


def test_damaged_descriptions(damaged):
    (damaged / "ckpts" / "slat_flow_model.json").write_text('{"name": "os.system", "args": {}}')
    assert refused(damaged).code == "bad_weights"
    (damaged / "ckpts" / "slat_flow_model.json").write_text('{"name": "SLatFlowModel", "args": {"resolution": 8}}')
    assert refused(damaged).code == "bad_weights"
    for text in ("{", "{}", '{"args": {"models": {}}}'):
        (damaged / "pipeline.json").write_text(text)
        with pytest.raises(BackendError) as error:
            describe(damaged)
        assert error.value.code == "bad_weights" and "pipeline.json" in error.value.message
    (damaged / "pipeline.json").unlink()
    with pytest.raises(BackendError, match="not in") as error:
        describe(damaged)
    assert error.value.code == "missing_weights" and "models download trellis" in error.value.hint


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_files_load_in_every_precision(checkpoint, tmp_path, dtype):
    folder = shutil.copytree(checkpoint, tmp_path / "half")
    rewrite(
        folder,
        lambda state: state.update(
            {k: v.half() for k, v in state.items() if k.startswith("blocks.") and "norm" not in k}
        ),
    )
    network = load_network(describe(folder).files["slat_flow_model"], CPU, dtype)
    assert network.blocks[0].mlp.mlp[0].weight.dtype == dtype and network.input_layer.weight.dtype == torch.float32
    assert network.blocks[0].self_attn.q_rms_norm.gamma.dtype == torch.float32


# -- exact shortcuts
# -------------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_shortcuts_of_guidance_are_exact(checkpoint):
    files = describe(checkpoint).files
    flow: SlatFlow = load_network(files["slat_flow_model"], CPU, torch.float32)
    coords = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 4], [0, 7, 0, 0], [0, 5, 5, 5]])
    x, t, cond = torch.randn(4, 8), torch.tensor([512.0]), torch.randn(1, 6, 24)
    voxels = Voxels(coords)
    positive = flow(Sparse(x, voxels), t, flow.contexts(cond)).feats
    negative = flow(Sparse(x, voxels), t, flow.contexts(torch.zeros_like(cond))).feats
    torch.testing.assert_close(flow(Sparse(x, voxels), t, flow.contexts(None)).feats, negative, rtol=1e-5, atol=1e-5)
    both = flow(Sparse(torch.cat([x, x]), voxels.twice), t.expand(2), flow.contexts(cond)).feats
    torch.testing.assert_close(both, torch.cat([positive, negative]), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(positive, negative, atol=1e-3)

    flow = load_network(files["sparse_structure_flow_model"], CPU, torch.float32)
    x = torch.randn(1, 8, 4, 4, 4)
    halves = [flow(x, t, flow.contexts(c)) for c in (cond, torch.zeros_like(cond))]
    torch.testing.assert_close(
        flow(torch.cat([x, x]), t.expand(2), flow.contexts(cond)), torch.cat(halves), rtol=1e-5, atol=1e-5
    )


# -- memory, devices, stopping
# ---------------------------------------------------------------------------------------------------------


class Allocator(torch.utils._python_dispatch.TorchDispatchMode):
    """Stands where tensors are made: notes the largest attention of each stage, and refuses larger ones where a limit
    is set.
    """

    def __init__(self, limits=None):
        super().__init__()
        self.limits, self.largest, self.stage, self.refusals = limits or {}, {}, "", 0

    def progress(self, stage, fraction, message):
        self.stage = stage

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if "scaled_dot_product" in func.overloadpacket.__name__:
            size = args[0].numel() * args[0].element_size()
            if size > self.limits.get(self.stage, size):
                self.refusals += 1
                raise torch.OutOfMemoryError(f"out of memory: tried to allocate {size} bytes")
            self.largest[self.stage] = max(self.largest.get(self.stage, 0), size)
        return out


def generate(checkpoint, allocator, **options):
    pipeline = TrellisPipeline(checkpoint, CPU, torch.float32)
    picture = Image.radial_gradient("L").resize((518, 518)).convert("RGB")
    settings = pipeline.settings(1, {"structure_steps": 2, "latent_steps": 2, **options})
    with allocator:
        return pipeline.run([picture], settings, allocator.progress), pipeline


def test_out_of_memory_goes_down_the_ladder_and_changes_nothing(checkpoint):
    roomy = Allocator()
    wanted, pipeline = generate(checkpoint, roomy, memory="low")
    assert not list(pipeline.residents) and sparse.limits.scratch == choose_plan("low", CPU).scratch
    tight = Allocator({"structure": roomy.largest["structure"]})
    got, pipeline = generate(checkpoint, tight, memory="high")
    assert tight.refusals and got.plan.keep_all and not got.plan.batch_guidance and len(list(pipeline.residents)) > 1
    assert got.voxels == wanted.voxels
    torch.testing.assert_close(got.mesh.vertices, wanted.mesh.vertices, rtol=1e-3, atol=1e-4)
    with pytest.raises(BackendError) as error:
        generate(checkpoint, Allocator({"latent": 10}), memory="auto")
    assert error.value.code == "out_of_memory" and error.value.hint


def test_low_holds_one_network_and_high_all():
    for keep, count in ((False, 1), (True, len(NETWORKS) + 1)):
        residents = Residents(lambda name: torch.nn.Identity(), CPU)
        for name in (ENCODER, *NETWORKS):
            residents.get(name, Plan(keep_all=keep, batch_guidance=False))
        assert len(list(residents)) == count


def test_plans_follow_the_free_memory(monkeypatch):
    for free, keep, batch in ((80, True, True), (7, False, True), (4, False, False)):
        monkeypatch.setattr(memory, "free_bytes", lambda _, free=free: free * memory.GB)
        plan = choose_plan("auto", torch.device("cuda"))
        assert (plan.keep_all, plan.batch_guidance) == (keep, batch)
    # Free memory is now 4 GB because the last job's networks take 5: they are not sent away for that.
    assert choose_plan("auto", torch.device("cuda"), held=5 * memory.GB).keep_all
    residents = Residents(lambda name: torch.nn.Linear(10, 10), CPU)
    residents.get("one", Plan(True, True))
    assert residents.bytes == 110 * 4
    rungs = [plan := Plan(True, True)]
    while plan := plan.smaller():
        rungs.append(plan)
    assert len(set(rungs)) == len(rungs) > 3 and rungs[-1].scratch < rungs[0].scratch
    with pytest.raises(BackendError, match="medium"):
        choose_plan("medium", CPU)


def test_an_error_that_is_not_memory_is_not_retried():
    calls = []

    def stage(plan):
        calls.append(plan)
        raise RuntimeError("cuBLAS is missing")

    with pytest.raises(RuntimeError):
        with_ladder(Plan(True, True), Residents(lambda name: torch.nn.Identity(), CPU), CPU, stage)
    assert len(calls) == 1


def test_a_job_stops_inside_a_step(checkpoint):
    seen = []

    class Stopping(Allocator):
        def progress(self, stage, fraction, message):
            seen.append((stage, fraction))
            if len(seen) == 5:
                raise Cancelled

    with pytest.raises(Cancelled):
        generate(checkpoint, Stopping())
    fractions = [fraction for stage, fraction in seen if stage == "structure"]
    assert (
        len(seen) == 5 and fractions[0] < fractions[-1] < (0.03 + 0.45) / 2
    )  # it was told of progress within the first of two steps


def test_unknown_device_and_precision():
    with pytest.raises(BackendError) as error:
        choose_device("abacus")
    assert error.value.code == "unknown_device"
    with pytest.raises(BackendError):
        choose_dtype("fp8", CPU)
    assert choose_dtype("auto", CPU) == torch.float32 and choose_dtype("auto", torch.device("cuda")) == torch.float16
