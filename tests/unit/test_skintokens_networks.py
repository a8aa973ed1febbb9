"""SkinTokens' networks against the golden vectors and the released checkpoint's keys; tokens, grammar, checkpoints."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.errors import BackendError
from backend.nn import lightning
from backend.nn.beam_search import Decoding, decode, seeded_draw
from backend.nn.joint_grammar import walk
from backend.skintokens import grammar, skin_vae, verify
from backend.skintokens.checkpoint import SKINTOKENS, TABLE, TIED, TRAINING
from backend.skintokens.networks import ModelConfig, SkinTokensModel
from backend.skintokens.tokens import SkinVocabulary, check_tree, decode_skeleton, distinct_bins, encode
from tests.unit.test_worker import is_one_sentence
from tests.unit.tiny_skintokens import CODES, CONFIG, tiny_state

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
VECTORS = [p for p in sorted((GOLDEN / "skintokens").iterdir()) if p.suffix in (".json", ".safetensors")]
V = SkinVocabulary.make(CODES)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def tiny():
    model = SkinTokensModel(ModelConfig.of(CONFIG, V.skeleton.size))
    model.load_state_dict(tiny_state())
    return model.eval()


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_golden_vectors_hold(path):
    holds, line = verify.check.run(path, torch.device("cpu"))
    assert holds, line


def test_the_full_size_networks_have_the_released_keys():
    wanted = json.loads((GOLDEN / "skintokens_keys" / "tokenrig_grpo_1400.json").read_text())
    with torch.device("meta"):
        model = SkinTokensModel()
    needed = {k: s for k, s in wanted["keys"].items() if k not in wanted["tied"] and not k.startswith(TRAINING)}
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == needed
    assert sum(p.numel() for p in model.parameters()) == wanted["parameters_needed_for_inference"]
    assert tuple(wanted["not_needed_for_inference"]) == TRAINING and wanted["tied"] == {TIED: TABLE}


def test_half_precision_stays_near_single():
    """What a GPU computes, on the processor: linear layers in bfloat16 around fp32 residuals."""
    single, half = tiny(), tiny()
    half.set_dtype(torch.bfloat16)
    rng = torch.Generator().manual_seed(0)
    points, normals = (torch.rand(1, 300, 3, generator=rng) * 2 - 1 for _ in range(2))
    ids = torch.tensor([[V.skeleton.bos, 266, 3, 70, 200, V.switch, 280]])
    for one, other, limit in (
        (single(points, normals), half(points, normals), 0.1),
        (single.logits(single(points, normals), ids), half.logits(single(points, normals), ids), 0.2),
    ):
        assert one.dtype == other.dtype == torch.float32
        assert 0 < float((one - other).abs().max()) < limit


def test_beams_share_one_cache():
    """A step of several beams gives what the whole sequence gives, for beams that take over each other's histories."""
    model = tiny()
    prefix = model(torch.rand(1, 100, 3), torch.rand(1, 100, 3))
    start = [V.skeleton.bos, 266, 100, 101, 102, V.switch]
    session, histories = model.session(prefix, start, 3), [[], [], []]
    for step in range(5):
        tokens, parents = [270 + step, 280 + step, 290 + step], [(step + k) % 3 for k in (0, 0, 1)]
        histories = [[*histories[p], t] for p, t in zip(parents, tokens, strict=True)]
        logits = session.step(tokens, parents)
        for beam, history in enumerate(histories):
            whole = model.logits(prefix, torch.tensor([[*start, *history]]))[0, -1]
            assert torch.allclose(logits[beam], whole, atol=1e-4)


def test_weights_do_not_depend_on_the_pieces_they_are_computed_in(monkeypatch):
    skin, told = tiny().skin, []
    points, normals = torch.rand(2, 150, 3) * 2 - 1
    condition, codes = skin.condition(points, normals, np.arange(48)), torch.randint(0, CODES, (5, 4))
    whole = skin.weights(points, normals, codes, condition)
    monkeypatch.setattr(skin_vae, "BLOCK", 70)
    pieces = skin.weights(points, normals, codes, condition, 16, 2, lambda *report: told.append(report))
    assert torch.allclose(whole, pieces, atol=1e-6)
    assert [joint for joint, _ in told] == [1, 2, 3, 4, 5] * 3 and told[-1][1] == 1
    assert all(a < b for (_, a), (_, b) in itertools.pairwise(told))


# -- tokens and grammar
# ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parents", [[], [0], [-1, -1], [-1, 2, 0], [-1, 1], [1, -1]])
def test_trees_that_tokens_cannot_write_are_refused(parents):
    with pytest.raises(ValueError, match="joint 0 must be the only root"):
        check_tree(np.array(parents, int))


def test_joints_in_one_bin_are_moved_to_bins_of_their_own():
    joints = np.array([[0, 0, 0], [0.001, 0, 0], [0.001, 0.001, 0], [1, 1, 1], [1, 1, 0.9999], [-0.3, 0.2, 0.7]])
    moved = distinct_bins(joints)
    tokens = encode(moved, np.arange(6) - 1, "articulation", V.skeleton)
    rows = {tuple(tokens[2 + 3 * k : 5 + 3 * k]) for k in range(6)}
    assert len(rows) == 6 and np.abs(moved - joints).max() < 3 / 128
    assert (moved[[0, 3, 5]] == joints[[0, 3, 5]]).all()
    assert (decode_skeleton([*tokens], V).parents == np.arange(6) - 1).all()


@pytest.mark.parametrize("beams", [1, 4])
def test_strict_mode_writes_four_codes_a_joint_and_the_end(beams):
    model = tiny()
    prefix = model(torch.rand(1, 100, 3), torch.rand(1, 100, 3))
    prompt = encode(np.array([[0, 0, -0.5], [0, 0, 0], [0.2, 0, 0.3]]), np.array([-1, 0, 0]), "vroid", V.skeleton)
    how = Decoding(beams=beams, temperature=1.0, repetition_penalty=2.0, max_new_tokens=100)
    state = walk(grammar.start(V, strict=True), prompt)
    tokens = decode(model.session(prefix, prompt, beams), state, V.end, how, seeded_draw(1))
    assert len(tokens) == 13 and tokens[-1] == V.end
    assert all(0 <= code < CODES for code in V.codes(tokens[:-1]))


# -- checkpoint
# ----------------------------------------------------------------------------------------------------------------------


def published(path, state, **extra):
    torch.save({"state_dict": state, "hyper_parameters": {"lr": 1e-4}, **extra}, path)
    return path


def released_state():
    """Like the released file: bfloat16, training parts and the tied table, some names of a compiled network."""
    state = {name: value.bfloat16() for name, value in tiny_state().items()}
    state |= {f"{prefix}weight": torch.zeros(2, dtype=torch.bfloat16) for prefix in TRAINING}
    state[TIED] = state[TABLE].clone()
    name = "transformer.model.layers.0.mlp.up_proj.weight"
    state["transformer._orig_mod.model.layers.0.mlp.up_proj.weight"] = state.pop(name)
    return state


def loaded(path):
    weights = lightning.safe_weights(path, SKINTOKENS)
    return lightning.load(
        weights, lambda: SkinTokensModel(ModelConfig.of(CONFIG, V.skeleton.size)), torch.device("cpu")
    )


@pytest.mark.parametrize("prefix", ["", "model."])
def test_the_checkpoint_is_converted_and_loads(tmp_path, prefix):
    state = {f"{prefix}{name}": value for name, value in released_state().items()}
    model = loaded(published(tmp_path / "grpo_1400.ckpt", state))
    for name, value in model.state_dict().items():
        assert torch.equal(value, tiny_state()[name].bfloat16().float()), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("output_proj.0.bias"), "output_proj.0.bias is missing"),
        (lambda s: s.update(bogus=torch.zeros(1)), "bogus is not part of the network"),
        (lambda s: s.update({"output_proj.1.weight": torch.zeros(3)}), "output_proj.1.weight has shape [3], not [48]"),
        (lambda s: s.update({TIED: s[TABLE] + 1}), "differs from"),
    ],
    ids=["missing", "surplus", "misshapen", "another output table"],
)
def test_keys_that_do_not_fit_are_named(tmp_path, change, words):
    state = released_state()
    change(state)
    with pytest.raises(BackendError) as caught:
        loaded(published(tmp_path / "grpo_1400.ckpt", state))
    assert caught.value.code == "bad_weights" and words in caught.value.message
    assert is_one_sentence(caught.value.message) and caught.value.hint
