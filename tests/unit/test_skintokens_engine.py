"""The rigger "skintokens" on tiny networks of the same architecture: the skeleton it is given, the way through the
worker, every kind of mesh.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import fast_simplification
import numpy as np
import pytest
import torch
import trimesh

from backend.engines import RigRequest
from backend.errors import BackendError
from backend.mesh.files import MeshArrays, write_mesh
from backend.models import store
from backend.skintokens import mask
from backend.skintokens import pipeline as pipelines
from backend.skintokens.engine import VARIABLE, SkinTokensRigger, checked_options
from backend.skintokens.fingers import FINGERS, find_fingers
from backend.skintokens.humanoid import place
from backend.skintokens.pipeline import MAX_LENGTH, Given, Settings, SkinTokensPipeline
from backend.skintokens.prepare import prepared, sampled
from backend.skintokens.skin_vae import SkinNetwork
from backend.skintokens.vertices import Targets
from benchmarks.figures import ADULT, make, true_joints
from tests.unit.test_worker import ENV, Client, is_one_sentence, left_in
from tests.unit.tiny_skintokens import CHECKPOINT, hand, make_checkpoint

CPU = {"device": "cpu", "preset": "greedy"}
_SOLID = make(ADULT)
BODY = MeshArrays(*fast_simplification.simplify(np.float32(_SOLID.vertices), _SOLID.triangles, target_count=2400)[:2])
JOINTS = {name: [float(c) for c in point] for name, point in true_joints(ADULT).items()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def rigger(monkeypatch, checkpoint):
    monkeypatch.setenv(VARIABLE, str(checkpoint))
    return SkinTokensRigger()


def rig(rigger, folder, vertices=BODY.vertices, triangles=BODY.triangles, joints=JOINTS, seed=0, **options):
    folder.mkdir(exist_ok=True)
    write_mesh(folder / "mesh.npz", MeshArrays(np.asarray(vertices, float), np.asarray(triangles, int).reshape(-1, 3)))
    request = RigRequest(folder / "mesh.npz", folder, seed, joints, {**CPU, **options})
    out = rigger.rig(request, lambda *_: None)
    with np.load(out.rig) as data:
        return out, dict(data)


def check(arrays, vertices):
    """What a rig must be, whatever the mesh."""
    bones = len(arrays["joints"])
    assert arrays["weight"].shape == arrays["weight_joint"].shape == (len(vertices), 4)
    assert np.isfinite(arrays["weight"]).all() and arrays["weight"].min() >= 0
    np.testing.assert_allclose(arrays["weight"].sum(1), 1, atol=1e-5)
    assert arrays["weight_joint"].min() >= 0 and arrays["weight_joint"].max() < bones
    assert (arrays["parents"] < np.arange(bones)).all() and arrays["parents"][0] == -1
    assert len(set(arrays["names"].tolist())) == bones
    assert (np.linalg.norm(arrays["tails"] - arrays["joints"], axis=1) > 0).all() and np.isfinite(arrays["tails"]).all()


# -- the skeleton
# ----------------------------------------------------------------------------------------------------------------------

TURNED = np.array([[0, 0.6, 0.8], [0.8, -0.48, 0.36], [0.6, 0.64, -0.48]])


@pytest.mark.parametrize("matrix", [np.eye(3), TURNED, np.diag([-1.0, 1, 1]) * 40], ids=["left", "turned", "right"])
def test_five_fingers_are_found_and_named_in_any_place(matrix):
    """Directions, size and side of the hand do not matter."""
    mesh, tips = hand()
    offset = np.array([3.0, -1, 2])
    found, count = find_fingers(
        mesh.vertices @ matrix.T + offset, np.asarray(mesh.faces), matrix @ [-0.24, 0, 0] + offset, offset
    )
    assert count == 5 and tuple(found) == FINGERS
    size = np.abs(np.linalg.det(matrix)) ** (1 / 3)
    for name, tip in zip(FINGERS, tips, strict=True):
        place = found[name]
        assert np.linalg.norm(place.tip - matrix @ tip - offset) < 0.02 * size
        reach = np.linalg.norm([*place.joints, place.tip] - offset, axis=1)
        assert (np.diff(reach) > 0).all(), "joints go outwards"


def test_fingers_of_their_own_shells_are_found():
    mesh, tips = hand(one_shell=False)
    found, count = find_fingers(mesh.vertices, np.asarray(mesh.faces), np.array([-0.24, 0, 0]), np.zeros(3))
    assert count == 5
    assert all(np.linalg.norm(found[name].tip - tip) < 0.025 for name, tip in zip(FINGERS, tips, strict=True))


@pytest.mark.parametrize(("fingers", "count"), [(0, 0), (1, 2), (4, 4)])
def test_hands_without_five_fingers_get_none(fingers, count):
    mesh, _ = hand(fingers)
    found, seen = find_fingers(mesh.vertices, np.asarray(mesh.faces), np.array([-0.24, 0, 0]), np.zeros(3))
    assert found == {} and seen == count


def test_the_humanoid_is_placed_inside_the_mesh_parents_first():
    joints = {name: point for name, point in JOINTS.items() if name != "leftHand"}
    joints |= {"spine": [0, 0.9, 0.5], "leftEye": [0.03, 1.5, 0.05]}  # one joint in front of the body
    placed = place(BODY, joints)
    assert placed.names[0] == "hips" and (placed.parents[1:] < np.arange(1, len(placed.names))).all()
    assert {"leftHand", "leftShoulder", "upperChest", "leftEye"} <= set(placed.names) and placed.fingers == 0
    moved = placed.joints[placed.names.index("spine")]
    assert np.abs(moved[:2]).max() < 1.1 and abs(moved[2]) < 0.15
    assert np.allclose(placed.joints[placed.names.index("leftUpperArm")], JOINTS["leftUpperArm"], atol=0.03)
    codes = [warning["code"] for warning in placed.warnings]
    assert codes.count("no_fingers") == 2 and "joints_moved" in codes
    assert all(is_one_sentence(warning["message"]) for warning in placed.warnings)


def test_known_fingers_are_used_as_they_are():
    tip = np.array(JOINTS["leftHand"])
    step = (tip - JOINTS["leftLowerArm"]) / 40
    chain = {f"leftIndex{bone}": (tip + k * step).tolist() for k, bone in enumerate(("Proximal", "Intermediate"), 1)}
    chain["leftIndexDistal"] = (tip + 3 * step).tolist()
    placed = place(BODY, {**JOINTS, **chain})
    assert placed.fingers == 1
    for name, point in chain.items():
        assert np.allclose(placed.joints[placed.names.index(name)], point, atol=0.02)
    assert placed.names[placed.parents[placed.names.index("leftIndexProximal")]] == "leftHand"
    template = place(BODY, {**JOINTS, **chain}, template_order=True)
    assert sorted(template.names) == sorted(placed.names) and template.names[-1] == "leftIndexDistal"
    assert placed.names.index("leftIndexDistal") == placed.names.index("leftHand") + 3, "depth first"


# -- through the worker
# ----------------------------------------------------------------------------------------------------------------------


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


def ask(tmp_path, name, finer=0, **options):
    vertices, triangles = BODY.vertices, BODY.triangles
    for _ in range(finer):
        vertices, triangles = trimesh.remesh.subdivide(vertices, triangles)
    write_mesh(tmp_path / "mesh.npz", MeshArrays(vertices, triangles))
    return {
        "rigger": "skintokens",
        "mesh": str(tmp_path / "mesh.npz"),
        "out_dir": str(tmp_path / name),
        "seed": 3,
        "joints": JOINTS,
        "options": {**CPU, **options},
    }


def test_mesh_to_rig_through_the_worker(client, tmp_path, checkpoint):
    request = client.send("rig", **ask(tmp_path, "a"))
    told, event = [], client.read()
    while "event" in event:
        told.append((event["stage"], event["fraction"], event["message"]))
        event = client.read()
    assert event["id"] == request and "result" in event, event
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["read", "skeleton", "weights", "prepare", "load", "shape", "tokens", "vertices", "write"]
    assert (np.diff([fraction for _, fraction, _ in told]) >= 0).all()
    result = event["result"]
    with np.load(result["rig"]) as data:
        arrays = dict(data)
    check(arrays, BODY.vertices)
    bones = len(arrays["names"])
    assert result["humanoid"] == {name: name for name in arrays["names"].tolist()} and result["label"] == "SkinTokens"
    assert result["metrics"]["bones"] == bones and result["metrics"]["fingers"] == 0
    assert (checkpoint / CHECKPOINT).with_suffix(".safetensors").exists(), "converted once"
    client.call("rig", **ask(tmp_path, "b"))
    assert (tmp_path / "b" / "rig.npz").read_bytes() == (tmp_path / "a" / "rig.npz").read_bytes(), "same seed"


@pytest.mark.parametrize("stage", ["skeleton", "prepare", "shape", "tokens", "weights", "vertices"])
def test_cancelling_in_every_stage(client, tmp_path, stage):
    # So many vertices that their stage is still running when the cancellation arrives.
    request_id = client.send("rig", **ask(tmp_path, "out", finer=2, mask=True))
    client.until_stage(stage)
    client.send("cancel", request_id=request_id)
    while "event" in (event := client.read()):
        pass
    assert event["error"]["code"] == "cancelled" and left_in(tmp_path / "out") == []


def test_long_stages_ask_whether_to_go_on(rigger, tmp_path, monkeypatch):
    """Cancelling inside the networks' layers, not only between stages."""
    monkeypatch.setattr("backend.nn.pulse.BEAT", 0.0)
    told = []
    write_mesh(tmp_path / "mesh.npz", MeshArrays(BODY.vertices, BODY.triangles))
    rigger.rig(RigRequest(tmp_path / "mesh.npz", tmp_path, 0, JOINTS, CPU), lambda *report: told.append(report))
    asked = Counter(stage for stage, _, _ in told)
    assert asked["shape"] > 20 and asked["tokens"] > 80 and asked["weights"] > 100
    joints = [message for message in dict.fromkeys(m for _, _, m in told) if message.startswith("Weights of joint ")]
    assert joints == [f"Weights of joint {k} of {len(joints)}" for k in range(1, len(joints) + 1)]


def test_a_hostile_checkpoint_runs_nothing(tmp_path, monkeypatch):
    proof = tmp_path / "proof"

    class Hostile:
        def __reduce__(self):
            return open, (str(proof), "w")

    folder = make_checkpoint(tmp_path / "model", callbacks=Hostile())
    monkeypatch.setenv(VARIABLE, str(folder))
    _, arrays = rig(SkinTokensRigger(), tmp_path / "a")
    check(arrays, BODY.vertices)
    assert not proof.exists()
    path = folder / CHECKPOINT
    path.with_suffix(".safetensors").unlink()
    torch.save({"state_dict": {"output_proj.0.weight": Hostile()}}, path)
    with pytest.raises(BackendError) as caught:
        rig(SkinTokensRigger(), tmp_path / "b")
    assert caught.value.code == "bad_weights" and is_one_sentence(caught.value.message) and not proof.exists()


# -- coordinates, meshes
# ----------------------------------------------------------------------------------------------------------------------


def test_the_skeleton_comes_back_exactly_and_weights_do_not_depend_on_the_place(rigger, tmp_path):
    _, first = rig(rigger, tmp_path / "a")
    offset = np.array([512.0, -64, 128])
    there = {name: (np.array(point) * 8 + offset).tolist() for name, point in JOINTS.items()}
    _, second = rig(rigger, tmp_path / "b", np.float32(BODY.vertices).astype(float) * 8 + offset, joints=there)
    for name in ("joints", "tails"):
        np.testing.assert_allclose(second[name], first[name] * 8 + offset, atol=0.02)
    assert (np.abs(dense(second) - dense(first)).max(1) < 0.1).mean() > 0.9


def dense(arrays):
    out = np.zeros((len(arrays["weight"]), len(arrays["joints"])))
    np.put_along_axis(out, arrays["weight_joint"].astype(int), arrays["weight"], 1)
    return out


def cloth():
    """A sheet of two sides in one place, and a point that no face uses."""
    vertices = np.array([[x, y, 0.02] for x in (-0.1, 0, 0.1) for y in (0.9, 1.0, 1.1)])
    faces = np.array([[0, 1, 4], [0, 4, 3], [3, 4, 7], [3, 7, 6], [1, 2, 5], [1, 5, 4], [4, 5, 8], [4, 8, 7]])
    faces = np.concatenate([faces, faces[:, ::-1]])
    return np.vstack([BODY.vertices, vertices, [[0, 0.5, 0.3]]]), np.vstack(
        [BODY.triangles, faces + len(BODY.vertices)]
    )


MESHES = {
    "split vertices": (BODY.vertices[BODY.triangles].reshape(-1, 3), np.arange(3 * len(BODY.triangles)).reshape(-1, 3)),
    "zero-area faces": (BODY.vertices, np.vstack([BODY.triangles, [[0, 0, 1], [2, 2, 2]]])),
    "two-sided cloth and a loose point": cloth(),
}


@pytest.mark.parametrize("points", ["surface", "vertices"])
@pytest.mark.parametrize("name", MESHES)
def test_every_vertex_given_has_weights(rigger, tmp_path, name, points):
    vertices, triangles = MESHES[name]
    _, arrays = rig(rigger, tmp_path, vertices, triangles, points=points)
    check(arrays, vertices)
    _, place = np.unique(np.float32(vertices), axis=0, return_inverse=True)
    first = np.zeros(place.max() + 1, int)
    first[place] = np.arange(len(place))
    np.testing.assert_array_equal(arrays["weight"], arrays["weight"][first[place]])


@pytest.mark.parametrize(
    "mesh", [MeshArrays(BODY.vertices, np.zeros((0, 3), int)), MeshArrays(np.zeros((3, 3)), BODY.triangles[:0])]
)
def test_meshes_without_a_surface_are_refused(rigger, tmp_path, mesh):
    with pytest.raises(BackendError) as caught:
        rig(rigger, tmp_path, mesh.vertices, mesh.triangles)
    assert caught.value.code in ("bad_mesh", "not_humanoid", "bad_joints") and is_one_sentence(caught.value.message)


def test_only_points_that_a_vertex_takes_from_are_asked_for():
    box = trimesh.creation.box()
    mesh = prepared(np.asarray(box.vertices, float), np.asarray(box.faces))
    samples = sampled(mesh, 4000, np.random.RandomState(0))
    surface = Targets.choose(mesh, samples, "surface", "cpu")
    assert surface.count <= 8 * len(box.vertices) and Targets.choose(mesh, samples, "auto", "cpu").count == 8
    assert Targets.choose(mesh, samples, "auto", "cuda").count == surface.count
    field = samples.points[:, :1].astype(float)  # a field that grows along x
    at = {tuple(p) for p in surface.points.tolist()}
    asked = surface.to_vertices(np.array([[p[0]] for p in surface.points.astype(float)]))
    assert len(at) == surface.count and np.abs(asked[:, 0] - box.vertices[:, 0]).max() < 0.15 > field.std() / 10
    vertices = Targets.choose(mesh, samples, "vertices", "cuda")
    assert (np.einsum("nc,nc->n", vertices.normals, vertices.points) > 0.3).all(), "normals point outwards"


def test_the_mask_keeps_weights_from_crossing_a_gap(monkeypatch):
    monkeypatch.setattr(mask, "ROWS", 48)
    parts = [trimesh.creation.box((2, 0.2, 2)).subdivide().subdivide() for _ in range(2)]
    parts[1].apply_translation([0, 0.35, 0])
    both = trimesh.util.concatenate(parts)
    near = mask.mask_of(np.asarray(both.vertices), np.asarray(both.faces), np.array([[0, 0.0, 0], [0, 0.35, 0]]))
    lower, central = both.vertices[:, 1] < 0.2, np.abs(both.vertices).max(1) < 0.6
    assert near[lower & central, 0].min() > 0.75 and near[~lower & central, 1].min() > 0.75


# -- options
# ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"preset": "fast"}, {"grammar": "shipped"}, {"class": "vroid", "mask": True}, {"dtype": "bf16"}]
)
def test_every_way_gives_a_rig(rigger, tmp_path, options):
    _, arrays = rig(rigger, tmp_path, **options)
    check(arrays, BODY.vertices)


@pytest.mark.parametrize("grammar", ["strict", "shipped"])
def test_a_skeleton_of_its_own_or_why_there_is_none(rigger, tmp_path, grammar):
    try:
        out, arrays = rig(rigger, tmp_path, joints=None, skeleton="free", grammar=grammar, preset="fast", attempts=2)
    except BackendError as error:
        assert error.code == "no_skeleton" and is_one_sentence(error.message)
    else:
        check(arrays, BODY.vertices)
        assert out.humanoid == {} and arrays["names"][0] == "bone_0"


def test_a_free_skeleton_lies_where_its_tokens_say(monkeypatch, checkpoint):
    """The tokens of a written skeleton, in the mesh's own coordinates and axes (Y up)."""
    pipeline = SkinTokensPipeline(checkpoint, torch.device("cpu"), torch.float32)
    v = pipeline.vocabulary
    body = [v.skeleton.bos, 266, 128, 128, 128, 128, 128, 255, v.switch, *range(267, 275), v.end]
    monkeypatch.setattr(SkinTokensPipeline, "_write", lambda *_: (body, []))
    result = pipeline.run(BODY.vertices, BODY.triangles, None, Settings(), lambda *_: None)
    low, high = BODY.vertices.min(0), BODY.vertices.max(0)
    half = (high - low).max() / 2
    np.testing.assert_allclose(result.joints[0], (low + high) / 2, atol=0.01 * half)
    np.testing.assert_allclose(result.joints[1] - result.joints[0], [0, half, 0], atol=0.01 * half)
    assert result.parents.tolist() == [-1, 0] and result.names == ["bone_0", "bone_1"]


def test_skeletons_that_cannot_be_written_are_refused(checkpoint):
    pipeline = SkinTokensPipeline(checkpoint, torch.device("cpu"), torch.float32)
    many = np.random.default_rng(0).uniform(-0.2, 0.2, (MAX_LENGTH // 7, 3))
    for joints, parents in (
        (np.zeros((2, 3)), [-1, -1]),
        (np.full((1, 3), np.nan), [-1]),
        (many, [-1, *[0] * (len(many) - 1)]),
    ):
        given = Given(joints, joints + 1, np.array(parents), [f"b{k}" for k in range(len(joints))])
        with pytest.raises(BackendError) as caught:
            pipeline.run(BODY.vertices, BODY.triangles, given, Settings(), lambda *_: None)
        assert caught.value.code == "bad_joints" and is_one_sentence(caught.value.message) and caught.value.hint


def test_when_memory_runs_out_the_pieces_get_smaller(rigger, tmp_path, monkeypatch):
    pieces, whole = [], SkinNetwork.weights

    def weights(self, points, normals, codes, condition, chunk, *rest):
        pieces.append(chunk)
        if len(pieces) < 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, points, normals, codes, condition, chunk, *rest)

    monkeypatch.setattr(SkinNetwork, "weights", weights)
    monkeypatch.setattr(pipelines, "PROCESSOR_CHUNK", 1 << 20)
    _, arrays = rig(rigger, tmp_path)
    check(arrays, BODY.vertices)
    assert pieces == [1 << 14, 1 << 12, 1 << 10]
    monkeypatch.setattr(SkinNetwork, "weights", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(BackendError) as caught:
        rig(rigger, tmp_path)
    assert caught.value.code == "out_of_memory" and is_one_sentence(caught.value.message) and caught.value.hint


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("unknown_device", {"device": "cuda:x"}),
        ("bad_params", {"skeleton": "given"}),
        ("bad_params", {"repetition_penalty": 0.5}),
        ("bad_params", {"repetition_penalty": True}),
        ("bad_params", {"mask": 1}),
        ("bad_params", {"beams": 3}),
    ],
)
def test_wrong_options(code, options):
    with pytest.raises(BackendError) as caught:
        checked_options(options)
    assert caught.value.code == code and is_one_sentence(caught.value.message) and caught.value.hint


def test_without_weights_the_rigger_says_so(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("AVATAR_FORGE_MODELS", str(tmp_path))
    assert is_one_sentence(SkinTokensRigger().unavailable_reason())
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(BackendError) as caught:
        rig(SkinTokensRigger(), tmp_path / "a")
    assert caught.value.code == "missing_weights"


def test_a_downloaded_model_is_converted_once_and_its_training_data_are_named(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("AVATAR_FORGE_MODELS", str(tmp_path / "models"))
    released = store.get("skintokens")
    source = released.sources[0]
    unpinned = replace(source, files=(replace(source.files[0], sha256=""),))
    monkeypatch.setitem(store.MODELS, "skintokens", replace(released, sources=(unpinned,)))
    folder = make_checkpoint(tmp_path / "models" / "skintokens")
    rigger = SkinTokensRigger()
    assert rigger.unavailable_reason() == ""
    _, arrays = rig(rigger, tmp_path / "a")
    converted = Path(CHECKPOINT).with_suffix(".safetensors").as_posix()
    assert converted in store.digests("skintokens")
    (folder / CHECKPOINT).unlink()
    _, again = rig(SkinTokensRigger(), tmp_path / "b")
    assert all((again[name] == arrays[name]).all() for name in arrays)
    assert all(word in store.get("skintokens").licence for word in ("MIT", "VRoid Hub", "ModelsResource"))
