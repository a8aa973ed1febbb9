"""The rigger "skintokens" where something is wrong or odd: checkpoints, memory, meshes, skeletons."""

import numpy as np
import pytest
import torch

from backend.errors import BackendError
from backend.skintokens import pipeline as pipelines
from backend.skintokens.engine import VARIABLE, SkinTokensRigger
from backend.skintokens.networks import SkinTokensModel
from backend.skintokens.pipeline import Given, Settings, SkinTokensPipeline
from backend.skintokens.skin_vae import SkinNetwork
from tests.unit.test_skintokens_engine import rig
from tests.unit.test_worker import is_one_sentence
from tests.unit.tiny_skintokens import CHECKPOINT, make_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def repeated(state):
    state["output_proj.0.weight"] = torch.zeros(1).expand(1 << 45)


def scattered(state):
    state["output_proj.0.weight"] = state["output_proj.0.weight"].float().to_sparse()


def without_numbers(state):
    for name in state:
        if name.startswith("vae."):
            state[name].fill_(float("inf"))


@pytest.mark.parametrize("change", [repeated, scattered, without_numbers])
def test_checkpoints_whose_tensors_are_no_weights_are_refused(tmp_path, monkeypatch, change):
    folder = make_checkpoint(tmp_path / "model")
    content = torch.load(folder / CHECKPOINT, weights_only=True)
    change(content["state_dict"])
    torch.save(content, folder / CHECKPOINT)
    monkeypatch.setenv(VARIABLE, str(folder))
    with pytest.raises(BackendError) as caught:
        rig(SkinTokensRigger(), tmp_path / "a")
    assert caught.value.code == "bad_weights" and is_one_sentence(caught.value.message)


DAMAGED = ["{", "[1]", '{"llm": {"hidden_size": "x"}}', '{"samples": "many"}']
DAMAGED += ['{"llm": {"num_attention_heads": 0}}', '{"vae": {"num_attention_heads": 0}}']


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_description_is_named(tmp_path, text):
    folder = make_checkpoint(tmp_path)
    (folder / CHECKPOINT).with_name("model.json").write_text(text)
    with pytest.raises(BackendError) as caught:
        SkinTokensPipeline(folder, torch.device("cpu"), torch.float32)
    assert caught.value.code == "bad_weights" and "model.json" in caught.value.message


TRIANGLE = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
ODD = {
    "one triangle, one joint": (TRIANGLE, [[0, 1, 2]], 1),
    "a joint outside, others in one place": (TRIANGLE, [[0, 1, 2]], 5),
    "an edge of three triangles": (np.vstack([TRIANGLE, np.eye(3)[:2] - 2]), [[0, 1, 2], [0, 1, 3], [0, 1, 4]], 2),
    "more joints than a humanoid has": (TRIANGLE, [[0, 1, 2]], 56),
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", ODD)
def test_odd_meshes_and_skeletons(checkpoint, name, strict):
    vertices, triangles, count = ODD[name]
    pipeline = SkinTokensPipeline(checkpoint, torch.device("cpu"), torch.float32)
    joints = np.full((count, 3), 0.2) if count < 10 else np.random.default_rng(0).uniform(0, 1, (count, 3))
    joints[-1] += 3.0 * (count == 5)
    names = [f"b{k}" for k in range(count)]
    given = Given(joints, joints + 0.1, np.arange(count) - 1, names)
    greedy = Settings(decoding=pipelines.PRESETS["greedy"], strict=strict, mask=True)
    result = pipeline.run(vertices, np.array(triangles), given, greedy, lambda *_: None)
    assert result.names == names and (result.joints == joints).all() and result.weight_joint.max() < count
    assert np.isfinite(result.weight).all() and np.allclose(result.weight.sum(1), 1)


STAGES = {
    "load": (pipelines.lightning, "load"),
    "shape": (SkinTokensModel, "forward"),
    "condition": (SkinNetwork, "condition"),
    "prompt": (SkinTokensModel, "session"),
    "tokens": (pipelines, "decode"),
    "weights": (SkinNetwork, "weights"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_memory_that_runs_out_in_any_stage(tmp_path, monkeypatch, checkpoint, stage):
    monkeypatch.setenv(VARIABLE, str(checkpoint))
    _, expected = rig(SkinTokensRigger(), tmp_path / "a")
    owner, name = STAGES[stage]
    whole, failures = getattr(owner, name), [torch.OutOfMemoryError("CUDA out of memory")]

    def failing(*given, **more):
        if failures:
            raise failures.pop()
        return whole(*given, **more)

    monkeypatch.setattr(owner, name, failing)
    _, arrays = rig(SkinTokensRigger(), tmp_path / "b")
    assert not failures and all(np.array_equal(arrays[key], expected[key]) for key in expected), "the same weights"
    failures.extend([MemoryError()] * 9)
    with pytest.raises(BackendError) as caught:
        rig(SkinTokensRigger(), tmp_path / "c")
    assert caught.value.code == "out_of_memory" and is_one_sentence(caught.value.message) and caught.value.hint
