"""UniRig's skeleton half against the golden vectors, the released checkpoint's keys, and the specification's text."""

import json
import pickle
from collections import OrderedDict
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import BackendError
from backend.nn import joint_grammar as grammar
from backend.nn.beam_search import Decoding, decode, seeded_draw
from backend.nn.cube import from_gltf, normalisation, prepare, to_gltf
from backend.nn.joint_sequence import VRM_BONES, InvalidSequence, detokenise, humanoid_of
from backend.nn.joint_tokens import TEMPLATES, Vocabulary, coordinates, quantise
from backend.nn.lightning import convert, load, read_pickle, safe_weights
from backend.nn.point_encoder import EncoderConfig
from backend.nn.surface_samples import sample
from backend.unirig import verify
from backend.unirig.checkpoint import UNIRIG
from backend.unirig.opt import OptConfig, SkeletonModel
from tests.unit.test_worker import is_one_sentence
from tests.unit.tiny_unirig import GOLDEN, vector

V = Vocabulary.make()
BOS, EOS, BRANCH, SPRING, BODY, HAND = V.bos, V.eos, V.branch, V.spring, V.parts["body"], V.parts["hand"]
VROID, ARTICULATION = V.classes["vroid"], V.classes["articulationxl"]
KINDS = ("embedders", "encoder", "tokenizer", "ar_", "sample_mesh", "mesh_prepare", "merge")
KEYS = Path(__file__).resolve().parents[1] / "golden" / "unirig_keys"


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize(
    "path", [p for p in sorted(GOLDEN.rglob("*.*")) if p.name.startswith(KINDS)], ids=lambda p: p.stem
)
def test_golden_vectors_hold(path):
    holds, line = verify.check.run(path, torch.device("cpu"))
    assert holds, line


@pytest.mark.parametrize(
    ("manifest", "config"),
    [
        ("skeleton_articulation_xl_quantization_256", OptConfig()),
        ("skeleton_rignet", OptConfig(512, 24, 8, 4096, 1024, 266, EncoderConfig(layers=8, qkv_bias=True))),
    ],
)
def test_full_size_networks_have_the_released_keys(manifest, config):
    wanted = json.loads((KEYS / f"{manifest}.json").read_text())
    with torch.device("meta"):
        model = SkeletonModel(config)
    keys = {name.removeprefix("model."): shape for name, shape in wanted["keys"].items() if name not in wanted["tied"]}
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == keys
    assert sum(parameter.numel() for parameter in model.parameters()) == wanted["parameters"]


# -- decoding
# ----------------------------------------------------------------------------------------------------------------------


def tiny(layers=2, positions=2400, seed=0):
    torch.manual_seed(seed)
    config = OptConfig(32, layers, 4, 64, positions, V.size, EncoderConfig(width=16, heads=2, layers=1, tokens=8))
    model = SkeletonModel(config).eval()
    model.transformer.decoder.embed_tokens.weight.mul_(0.1)  # else a token's own row makes it follow itself
    return model


def test_the_shared_cache_follows_every_beam_across_growth():
    """Beams that part, swap and die still see their own past and nobody else's: the same logits as the whole sequence
    at once.
    """
    model, beams = tiny(), 3
    latents = torch.randn(1, 8, 32)
    session = model.session(latents, [BOS, ARTICULATION], beams)
    rng, histories = np.random.default_rng(0), [[] for _ in range(beams)]
    for step in range(300):
        parents, tokens = rng.integers(0, beams, beams).tolist(), rng.integers(0, 256, beams).tolist()
        histories = [[*histories[p], t] for p, t in zip(parents, tokens, strict=True)]
        logits = session.step(tokens, parents)
        if step in (0, 1, 60, 127, 128, 129, 255, 256, 299):
            whole = model(latents.expand(beams, -1, -1), torch.tensor([[BOS, ARTICULATION, *h] for h in histories]))[
                :, -1
            ]
            torch.testing.assert_close(logits, whole, atol=2e-4, rtol=0)
    assert session.capacity == 512


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near_single(dtype):
    model, points = tiny(), torch.randn(1, 300, 3)
    normals = torch.nn.functional.normalize(points, dim=-1)

    def run(model):
        latents = model.encode(points, normals)
        session = model.session(latents, [BOS, ARTICULATION], 3)
        steps = [session.step([k, k + 1, k + 2], [0, 0, 2]).clone() for k in range(20)]
        return latents, torch.stack(steps)

    single = run(model)
    model.set_dtype(dtype)
    for half, whole in zip(run(model), single, strict=True):
        assert half.dtype == torch.float32, "prefix and logits are single whatever computes them"
        assert (half - whole).abs().max() < 0.03 * whole.abs().max()


def test_capturing_a_step_leaves_no_trace(monkeypatch):
    """Without a GPU: a graph whose replay runs the step. What warming up and recording write must not reach any later
    logits.
    """

    class Graph:
        def replay(self):
            session._forward()

    for name in ("Stream", "current_stream", "stream"):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", MagicMock())
    model, latents = tiny(), torch.randn(1, 8, 32)
    session, plain = (model.session(latents, [BOS, ARTICULATION], 3, graphs) for graphs in (True, False))
    rng = np.random.default_rng(0)
    for _ in range(140):
        tokens, parents = rng.integers(0, 256, 3).tolist(), rng.integers(0, 3, 3).tolist()
        assert torch.equal(session.step(tokens, parents), plain.step(tokens, parents))


def test_decoding_ends_where_positions_end():
    model = tiny(positions=40)
    session = model.session(torch.randn(1, 8, 32), [BOS, ARTICULATION], 4)
    state = grammar.walk(grammar.start(V, True), [BOS, ARTICULATION])
    tokens = decode(session, state, -1, Decoding(beams=4), seeded_draw(0))
    assert len(tokens) == 40 - 8 - 2 + 1, "the last token needs no position of its own"


def test_the_same_seed_gives_the_same_tokens_and_cancelling_stops_at_once():
    model, latents = tiny(), torch.randn(1, 8, 32)
    state = grammar.walk(grammar.start(V, True), [BOS, ARTICULATION])

    def run(seed, on_step=lambda _: None):
        how = Decoding(beams=5, max_new_tokens=40)
        return decode(model.session(latents, [BOS, ARTICULATION], 5), state, EOS, how, seeded_draw(seed), on_step)

    assert run(1) == run(1) != run(2)
    seen = []

    def stop(step):
        seen.append(step.index)
        if step.index == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(1, stop)
    assert seen == list(range(8))


# -- grammar and tokens
# ------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(V.classes)))
@settings(max_examples=60, deadline=None)
def test_every_walk_of_the_strict_grammar_is_a_skeleton(seed, class_name):
    rng = np.random.default_rng(seed)
    tokens = [BOS, V.classes[class_name]]
    state = grammar.walk(grammar.start(V, True), tokens)
    while tokens[-1] != EOS:
        allowed = np.flatnonzero(state.allowed())
        assert len(allowed), "the grammar never leads to a dead end"
        special = allowed[allowed >= V.bins]
        tokens.append(int(rng.choice(special if len(special) and rng.random() < 0.2 else allowed)))
        state = state.after(tokens[-1])
    skeleton = detokenise(tokens, V)
    assert len(skeleton.joints) >= 2 and len(set(skeleton.names)) == len(skeleton.names) == len(skeleton.joints)
    assert (skeleton.parents[0], skeleton.parents[1:].min()) == (-1, 0) and (
        skeleton.parents < np.arange(len(skeleton.joints))
    ).all()
    for part in skeleton.parts:
        assert set(TEMPLATES.get(class_name, {}).get(part, [])) <= set(skeleton.names)


def allowed_after(*tokens, strict=True):
    return set(np.flatnonzero(grammar.walk(grammar.start(V, strict), [BOS, *tokens]).allowed()).tolist())


def test_what_the_strict_grammar_mends():
    numbers, joint = set(range(256)), (1, 2, 3)
    body = joint * 22
    assert allowed_after(ARTICULATION, BODY, *joint, SPRING) == numbers | {BRANCH}
    assert allowed_after(ARTICULATION, BODY, *joint, SPRING, strict=False) == numbers, "the shipped grammar's defect"
    for k in range(6):
        assert allowed_after(ARTICULATION, *joint, BRANCH, *range(k)) == numbers
    assert EOS in allowed_after(ARTICULATION, *joint, BRANCH, *joint, strict=False), (
        "the shipped grammar's other defect"
    )
    assert EOS not in allowed_after(ARTICULATION, *joint) and EOS in allowed_after(ARTICULATION, *joint, *joint)
    assert allowed_after(VROID, BODY, *body[:-3]) == numbers | {BRANCH}, "no end before the last name has its joint"
    assert allowed_after(VROID, BODY, *body) == {SPRING, HAND, EOS}
    assert allowed_after(VROID, BODY, *body, HAND) == numbers | {BRANCH}


def test_bins_are_bin_centres_and_rounding_goes_to_even():
    assert quantise(np.array([-2, -1, 0, 1, 2])).tolist() == [0, 0, 128, 255, 255]
    assert coordinates(np.arange(256)).tolist() == pytest.approx(((np.arange(256) + 0.5) / 128 - 1).tolist())
    assert quantise(np.array([0.5, 1.5, 2.5]) / 128 - 1).tolist() == [0, 2, 2]


def test_parents_tails_and_names():
    root, arm, hand = (128, 128, 128), (200, 128, 128), (220, 128, 128)
    s = detokenise([BOS, ARTICULATION, *root, *arm, *hand, BRANCH, *root, 128, 128, 200, EOS], V)
    assert s.parents.tolist() == [-1, 0, 1, 0] and s.names == ["bone_0", "bone_1", "bone_2", "bone_3"]
    np.testing.assert_allclose(s.tails[2], s.joints[2] + 0.5 * (s.joints[2] - s.joints[1]))
    np.testing.assert_allclose(s.tails[1], s.joints[2])
    (one,) = detokenise([BOS, ARTICULATION, *root, EOS], V).tails
    np.testing.assert_allclose(one, [1 / 256, 1 / 256, 1 / 256 + 0.5])


def test_a_deep_chain_and_equal_joints():
    chain = [BOS, ARTICULATION, *(n for k in range(200) for n in (k, k, k)), EOS]
    assert detokenise(chain, V).parents.tolist() == list(range(-1, 199))
    same = detokenise([BOS, ARTICULATION, *(5, 5, 5) * 4, EOS], V)
    assert same.parents.tolist() == [-1, 0, 1, 2], "the last of equals"
    assert np.isfinite(same.tails).all() and (same.tails[-1] != same.joints[-1]).any()


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        [ARTICULATION, 1, 2, 3, EOS],
        [BOS, ARTICULATION, 1, 2, 3],
        [BOS, ARTICULATION, EOS],
        [BOS, ARTICULATION, 1, 2, EOS],
        [BOS, ARTICULATION, 1, 2, 3, BRANCH, 1, 2, 3, EOS],
        [BOS, ARTICULATION, 1, 2, 3, BRANCH, 1, 2, 3, BRANCH, 4, 5, EOS],
        [BOS, ARTICULATION, 1, 2, 3, BOS, 4, 5, 6, EOS],
        [BOS, VROID, BODY, *(1, 2, 3) * 21, EOS],
    ],
)
def test_sequences_that_are_no_skeleton(tokens):
    with pytest.raises(InvalidSequence):
        detokenise(tokens, V)


def test_vrm_names_of_the_classes():
    tokens = [BOS, VROID, BODY, *(1, 2, 3) * 22, HAND, *(1, 2, 3) * 30, SPRING, *(1, 2, 3) * 2, EOS]
    found = humanoid_of(detokenise(tokens, V))
    assert (
        len(found) == 52
        and found["leftThumbMetacarpal"] == "J_Bip_L_Thumb1"
        and found["rightLittleDistal"] == "J_Bip_R_Little3"
    )
    assert found["rightToes"] == "J_Bip_R_ToeBase"
    mixamo = VRM_BONES["mixamo"]
    assert (mixamo["mixamorig:Spine2"], mixamo["mixamorig:LeftForeArm"]) == ("upperChest", "leftLowerArm")
    assert (mixamo["mixamorig:RightHandPinky1"], mixamo["mixamorig:LeftUpLeg"]) == (
        "rightLittleProximal",
        "leftUpperLeg",
    )
    assert len(set(mixamo.values())) == 52
    assert humanoid_of(detokenise([BOS, ARTICULATION, 1, 2, 3, 4, 5, 6, EOS], V)) == {}


# -- meshes
# --------------------------------------------------------------------------------------------------------------------


def test_axes_and_affine_go_there_and_back():
    points = np.random.default_rng(0).normal(size=(50, 3)) * [3, 1, 2] + 1000
    affine = normalisation(points)
    inside = affine.apply(points)
    assert np.abs(inside).max() == pytest.approx(1) and inside.max(0) == pytest.approx(-inside.min(0))
    np.testing.assert_allclose(affine.invert(inside), points)
    np.testing.assert_allclose(to_gltf(from_gltf(points)), points)
    assert from_gltf(np.array([0, 1, 0])).tolist() == [0, 0, 1] and from_gltf(np.array([0, 0, 1])).tolist() == [
        0,
        -1,
        0,
    ]
    assert normalisation(np.zeros((4, 3))).scale == 1


def test_samples_lie_on_the_surface_and_follow_squared_area():
    """Two triangles of areas 1/2 and 2, with vertices for 6 of the samples; four times the area is drawn sixteen
    times as often.
    """
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 1], [0, 2, 1]], float)
    mesh = prepare(vertices, np.array([[0, 1, 2], [3, 4, 5]]))
    s = sample(mesh, 20_000, 8192, np.random.RandomState(1))
    assert s.points.shape == s.normals.shape == (20_000, 3) and sorted(s.vertex_index.tolist()) == list(range(6))
    np.testing.assert_allclose(s.interpolate(mesh.vertices), s.points, atol=1e-6)
    assert set(np.unique(s.points[6:, 2])) == {0, 1} and (s.points[:, :2].sum(1) <= 1 + s.points[:, 2] + 1e-6).all()
    assert (s.points[6:, 2] == 1).mean() == pytest.approx(16 / 17, abs=0.01)
    assert len(sample(mesh, 3, 8192, np.random.RandomState(1)).points) == 3


# -- checkpoints
# -------------------------------------------------------------------------------------------------------------------


class Box(dict):
    """A configuration object as Lightning stores it: neither importable by the reader nor needed."""


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def lightning(path, extra, state=None):
    weights = vector("encoder_a")[1] if state is None else state
    torch.save(
        {"hyper_parameters": extra, "state_dict": {f"model.{name}": value for name, value in weights.items()}}, path
    )
    return path


def test_a_checkpoint_with_configuration_objects_is_read_and_converted_once(tmp_path):
    path = lightning(tmp_path / "model.ckpt", {"config": Box(a=Box(b=[1, 2])), "call": print})
    state, refused = read_pickle(path, UNIRIG)
    assert {f"{__name__}.Box", "builtins.print"} <= refused | {"builtins.print"} and f"{__name__}.Box" in refused
    assert {name.removeprefix("model.") for name in state} == set(vector("encoder_a")[1])
    told = []
    weights = safe_weights(path, UNIRIG, told.append)
    path.write_bytes(b"gone")
    assert safe_weights(path, UNIRIG, told.append) == weights and told == [weights], (
        "only the safetensors is needed from now on"
    )
    from backend.nn.point_encoder import MeshEncoder

    model = load(weights, lambda: MeshEncoder(EncoderConfig.of(vector("encoder_a")[0]["config"])), torch.device("cpu"))
    assert all(torch.equal(value, vector("encoder_a")[1][name]) for name, value in model.state_dict().items())


def test_a_hostile_pickle_runs_nothing(tmp_path):
    proof = tmp_path / "proof"
    path = lightning(tmp_path / "model.ckpt", {"payload": Hostile(proof)})
    _, refused = read_pickle(path, UNIRIG)
    assert not proof.exists() and any(name.endswith(".open") for name in refused)
    torch.load(path, weights_only=False)
    assert proof.exists(), "the file is hostile indeed"
    proof.unlink()
    bad = lightning(tmp_path / "bad.ckpt", {}, {"weight": Hostile(proof)})
    with pytest.raises(BackendError) as caught:
        convert(bad, tmp_path / "bad.safetensors", UNIRIG)
    assert caught.value.code == "bad_weights" and is_one_sentence(caught.value.message)
    assert not proof.exists() and not list(tmp_path.glob("*.safetensors*"))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(pickle.dumps({"state_dict": {}})),
        lambda path: torch.save({"weights": {}}, path),
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save(OrderedDict(state_dict={"model.a": 3}), path),
        lambda path: torch.save({"state_dict": {"a": torch.zeros(3)}}, path, _use_new_zipfile_serialization=False),
        lambda path: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path),
        lambda path: path.write_bytes(lightning(path, {}).read_bytes()[:3000]),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_files_that_are_no_checkpoint(tmp_path, write):
    path = tmp_path / "model.ckpt"
    write(path)
    with pytest.raises(BackendError) as caught:
        safe_weights(path, UNIRIG)
    assert caught.value.code == "bad_weights" and is_one_sentence(caught.value.message) and caught.value.hint
    assert [p.name for p in tmp_path.iterdir()] == ["model.ckpt"]


def test_weights_that_do_not_fit_are_listed(tmp_path):
    meta, weights = vector("ar_vroid")
    name = "output_proj.bias"
    weights[name] = torch.zeros(3)
    weights["bogus"] = torch.zeros(1)
    del weights["output_proj.weight"]
    path = safe_weights(lightning(tmp_path / "model.ckpt", {}, weights), UNIRIG)
    config = OptConfig.of({**meta["config"], "opt": meta["opt"]})
    with pytest.raises(BackendError) as caught:
        load(path, lambda: SkeletonModel(config), torch.device("cpu"))
    assert caught.value.code == "bad_weights"
    for word in ("output_proj.weight is missing", "bogus is not part", "output_proj.bias has shape [3], not [64]"):
        assert word in caught.value.message
