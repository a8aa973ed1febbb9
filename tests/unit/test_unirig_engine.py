"""The rigger "unirig" on tiny networks of the same architecture: through the worker, in every coordinate system, on
every kind of mesh.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trimesh

from backend.engines import RigRequest
from backend.errors import BackendError
from backend.mesh.files import MeshArrays, write_mesh
from backend.models import store
from backend.nn.beam_search import Decoding
from backend.nn.cube import normalisation, prepare
from backend.nn.joint_tokens import Vocabulary, quantise
from backend.unirig import pipeline as pipelines
from backend.unirig import skin
from backend.unirig.engine import VARIABLE, UniRigRigger, checked_options
from backend.unirig.geodesic import GeodesicSettings
from backend.unirig.pipeline import CHECKPOINTS, PRESETS, Settings, UniRigPipeline
from tests.unit.test_worker import ENV, Client, is_one_sentence, left_in
from tests.unit.tiny_unirig import GOLDEN, make_checkpoint

V = Vocabulary.make()
CPU = {"device": "cpu"}


def figure():
    """A body with two legs and one raised arm: no symmetry that could hide a wrong axis. Y up, facing +Z, feet at 0."""
    boxes = [((0.5, 0.8, 0.3), (0, 1.1, 0)), ((0.15, 0.8, 0.15), (0.15, 0.4, 0)), ((0.15, 0.8, 0.15), (-0.15, 0.4, 0))]
    boxes += [((0.7, 0.12, 0.12), (0.5, 1.4, 0)), ((0.2, 0.1, 0.5), (0, 1.55, 0.3))]
    parts = []
    for size, place in boxes:
        part = trimesh.creation.box(size)
        part.apply_translation(place)
        parts.append(part.subdivide().subdivide())
    return trimesh.util.concatenate(parts)


FIGURE = figure()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("unirig") / "tiny")


@pytest.fixture(scope="module")
def rigger(checkpoint):
    """One rigger for all tests here. The skin's grid is coarse: its resolution is the skin tests' business, and costs
    seconds.
    """
    coarse = partial(skin.geodesic_feature, settings=GeodesicSettings(grid=40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(checkpoint))
        patch.setattr(skin, "geodesic_feature", coarse)
        yield UniRigRigger()


def rig(rigger, folder, vertices, triangles, seed=0, progress=lambda *_: None, **options):
    folder.mkdir(exist_ok=True)
    write_mesh(folder / "mesh.npz", MeshArrays(np.asarray(vertices, float), np.asarray(triangles, int).reshape(-1, 3)))
    out = rigger.rig(RigRequest(folder / "mesh.npz", folder, seed, options={**CPU, **options}), progress)
    with np.load(out.rig) as data:
        return out, dict(data)


def check(arrays, vertices, surface=None):
    """What a rig must be, whatever the mesh. `surface`: the vertices that faces use, all by default."""
    bones = len(arrays["joints"])
    assert arrays["weight"].shape == arrays["weight_joint"].shape == (len(vertices), 4)
    assert np.isfinite(arrays["weight"]).all() and arrays["weight"].min() >= 0
    np.testing.assert_allclose(arrays["weight"].sum(1), 1, atol=1e-5)
    assert arrays["weight_joint"].min() >= 0 and arrays["weight_joint"].max() < bones
    assert (arrays["parents"] < np.arange(bones)).all() and arrays["parents"][0] == -1
    assert len(set(arrays["names"].tolist())) == bones
    assert (np.linalg.norm(arrays["tails"] - arrays["joints"], axis=1) > 0).all() and np.isfinite(arrays["tails"]).all()
    used = vertices if surface is None else surface
    low, high = used.min(0), used.max(0)
    assert np.abs(arrays["joints"] - (low + high) / 2).max() <= (high - low).max() / 2 * (1 + 1e-5), (
        "joints lie in the mesh's cube"
    )


# -- through the worker
# ------------------------------------------------------------------------------------------------------------


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


def ask(tmp_path, name, **options):
    write_mesh(tmp_path / "mesh.npz", MeshArrays(FIGURE.vertices, FIGURE.faces))
    return {
        "rigger": "unirig",
        "mesh": str(tmp_path / "mesh.npz"),
        "out_dir": str(tmp_path / name),
        "seed": 3,
        "options": {**CPU, **options},
    }


def test_mesh_to_rig_through_the_worker(client, tmp_path, checkpoint):
    answer, stages = client.answer(client.send("rig", **ask(tmp_path, "a")))
    assert "result" in answer, answer
    assert stages == ["read", "weights", "prepare", "skeleton", "skin", "write"]
    result = answer["result"]
    assert left_in(tmp_path / "a") == ["rig.npz"] and result["label"] == "UniRig" and result["humanoid"] == {}
    with np.load(result["rig"]) as data:
        arrays = dict(data)
    check(arrays, FIGURE.vertices)
    assert result["metrics"]["bones"] == len(arrays["joints"]) >= 2 and result["metrics"]["attempts"] >= 1
    assert all((checkpoint / path).with_suffix(".safetensors").exists() for path in CHECKPOINTS.values()), (
        "converted once"
    )
    client.call("rig", **ask(tmp_path, "b"))
    assert (tmp_path / "b" / "rig.npz").read_bytes() == (tmp_path / "a" / "rig.npz").read_bytes(), (
        "same seed, same bytes"
    )


@pytest.mark.parametrize("stage", ["skeleton", "skin"])
def test_cancelling_in_mid_stage(client, tmp_path, stage):
    request_id = client.send("rig", **ask(tmp_path, "out"))
    client.until_stage(stage)
    client.send("cancel", request_id=request_id)
    while "event" in (event := client.read()):
        pass
    assert event["error"]["code"] == "cancelled" and left_in(tmp_path / "out") == []


# -- coordinates
# -------------------------------------------------------------------------------------------------------------------

TURN = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # 90 degrees about the up axis
PLACES = {
    "scaled": (np.eye(3) * 100, 0),
    "moved": (np.eye(3), (300, -20, 70)),
    "turned": (TURN, 0),
    "all": (TURN * 100, (5000, 0, 9)),
}


def landmarks(self, mesh, settings, seed, progress):
    """Stands in for the decoder with one that sees the mesh: root at the middle, a joint at the end of the arm, one
    at the nose's tip.
    """
    cube = normalisation(mesh.vertices).apply(mesh.vertices)
    arm = cube[np.argmax(np.linalg.norm((cube - cube.mean(0))[:, :2], axis=1))]
    nose = mesh.vertices[:, 2] > np.quantile(mesh.vertices[:, 2], 0.9)
    points = quantise(np.array([cube.mean(0), arm, cube[nose].mean(0)]))
    return [
        V.bos,
        V.classes[settings.class_name],
        *points[:2].flatten().tolist(),
        V.branch,
        *points[0].tolist(),
        *points[2].tolist(),
        V.eos,
    ]


@pytest.mark.parametrize("place", PLACES)
def test_joints_come_back_in_the_meshs_own_coordinates(rigger, tmp_path, monkeypatch, place):
    """What the skeleton's tokens say about the mesh is true of the given mesh, wherever it is; so it follows
    the mesh.
    """
    monkeypatch.setattr(UniRigPipeline, "write_tokens", landmarks)
    monkeypatch.setattr(skin, "predict", _rigid)
    matrix, offset = PLACES[place]
    _, first = rig(rigger, tmp_path / "a", FIGURE.vertices, FIGURE.faces)
    given = FIGURE.vertices @ matrix.T + offset
    _, second = rig(rigger, tmp_path / "b", given, FIGURE.faces)
    scale = np.abs(matrix).max()
    bin_width = scale * np.ptp(FIGURE.vertices, axis=0).max() / 256
    for name in ("joints", "tails"):
        np.testing.assert_allclose(second[name], first[name] @ matrix.T + offset, atol=2.1 * bin_width)
    tip = given[np.argmax(FIGURE.vertices[:, 0])]
    assert np.linalg.norm(second["joints"][1] - tip) < 0.2 * scale, "the arm's joint is at the arm's end"
    assert (second["weight_joint"] == first["weight_joint"]).mean() > 0.99


def _rigid(model, mesh, joints, parents, vertices, triangles, seed, progress, *count):
    """Each vertex to its nearest joint: enough to see that joints and vertices are in one frame."""
    nearest = np.linalg.norm(vertices[:, None] - joints, axis=2).argmin(1)
    return np.column_stack([nearest, nearest * 0, nearest * 0, nearest * 0]), np.tile(
        [1.0, 0, 0, 0], (len(vertices), 1)
    )


def test_the_networks_see_the_same_mesh_wherever_it_is(rigger, tmp_path):
    """Tiny networks, nothing replaced: a mesh a hundred times as large and far away is the same mesh in the cube."""
    _, first = rig(rigger, tmp_path / "a", FIGURE.vertices, FIGURE.faces)
    check(first, FIGURE.vertices)
    offset = np.array([1024, -512, 256])
    _, second = rig(rigger, tmp_path / "b", np.float32(FIGURE.vertices).astype(float) * 128 + offset, FIGURE.faces)
    np.testing.assert_allclose(second["joints"], first["joints"] * 128 + offset, atol=0.01)
    np.testing.assert_allclose(second["tails"], first["tails"] * 128 + offset, atol=0.01)
    # Rounding of far away coordinates moves a sample across a cell's border here and there.
    moved = np.abs(second["weight"] - first["weight"]).max(1)
    assert (moved < 0.05).mean() > 0.99 and moved.max() < 0.15
    turned = FIGURE.vertices @ TURN.T
    _, third = rig(rigger, tmp_path / "c", turned, FIGURE.faces)
    check(third, turned)


# -- meshes
# --------------------------------------------------------------------------------------------------------------------


def with_loose_point(mesh):
    return np.vstack([mesh.vertices, [[9.0, 9, 9]]]), mesh.faces


def many_islands():
    parts = [
        trimesh.creation.icosphere(1, 0.1).apply_translation(p) for p in ((0, 0, 0), (3, 0, 0), (0, 5, 0), (0, 0, -2))
    ]
    return trimesh.util.concatenate(parts)


MESHES = {
    "non-manifold: three faces at an edge": (
        [[0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [-1, 0, 0]],
        [[0, 1, 2], [0, 1, 3], [0, 1, 4]],
    ),
    "duplicate vertices": (
        FIGURE.vertices[FIGURE.faces].reshape(-1, 3),
        np.arange(3 * len(FIGURE.faces)).reshape(-1, 3),
    ),
    "zero-area faces": (FIGURE.vertices, np.vstack([FIGURE.faces, [[0, 0, 1], [2, 2, 2]]])),
    "several islands": (many_islands().vertices, many_islands().faces),
    "one triangle": ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]),
    "a loose point": with_loose_point(FIGURE),
}


@pytest.mark.parametrize("name", MESHES)
def test_every_vertex_of_any_mesh_gets_weights(rigger, tmp_path, name):
    vertices, triangles = (np.asarray(part) for part in MESHES[name])
    _, arrays = rig(rigger, tmp_path, vertices, triangles)
    check(arrays, vertices, vertices[np.unique(triangles)])


@pytest.mark.parametrize(
    ("vertices", "triangles"),
    [
        (FIGURE.vertices, []),
        ([[0, 0, 0]] * 3, [[0, 1, 2]]),
        ([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]]),
        (np.where(np.arange(len(FIGURE.vertices))[:, None] == 5, np.nan, FIGURE.vertices), FIGURE.faces),
        (np.zeros((0, 3)), []),
        (FIGURE.vertices, FIGURE.faces + 1),
    ],
    ids=["no faces", "one point", "a line", "NaN", "empty", "index beyond the end"],
)
def test_meshes_without_a_surface_are_refused(rigger, tmp_path, vertices, triangles):
    with pytest.raises(BackendError) as caught:
        rig(rigger, tmp_path, vertices, triangles)
    assert caught.value.code == "bad_mesh" and is_one_sentence(caught.value.message) and caught.value.hint
    assert left_in(tmp_path) == ["mesh.npz"]


@pytest.mark.slow
def test_a_million_faces(rigger, tmp_path):
    """Slivers at the poles, which tear the decimation apart when it is not watched: the networks still see the whole
    shape.
    """
    mesh = trimesh.creation.uv_sphere(count=(520, 520))
    mesh.apply_scale([1, 1.8, 0.5])
    assert len(mesh.faces) >= 1_000_000
    _, arrays = rig(rigger, tmp_path, mesh.vertices, mesh.faces)
    check(arrays, mesh.vertices)


def test_decimation_keeps_the_shape():
    mesh = trimesh.creation.uv_sphere(count=(300, 300))
    small = prepare(mesh.vertices, mesh.faces, 4000)
    assert len(small.faces) <= 4100
    assert trimesh.Trimesh(small.vertices, small.faces).volume == pytest.approx(mesh.volume, rel=0.01)


# -- options, retries
# --------------------------------------------------------------------------------------------------------------


def test_an_invalid_sequence_is_tried_again_with_the_next_seed_and_reported(rigger, tmp_path, monkeypatch):
    monkeypatch.setattr(skin, "predict", _rigid)
    seeds = []

    def third_time(self, mesh, settings, seed, progress):
        seeds.append(seed)
        good = landmarks(self, mesh, settings, seed, progress)
        return good if len(seeds) == 3 else good[:-1]

    monkeypatch.setattr(UniRigPipeline, "write_tokens", third_time)
    out, _ = rig(rigger, tmp_path, FIGURE.vertices, FIGURE.faces, seed=7)
    assert seeds == [pipelines.BASE_SEED + 7 + k for k in range(3)] and out.metrics["attempts"] == 3
    assert [w["code"] for w in out.warnings] == ["seed_changed"] and is_one_sentence(out.warnings[0]["message"])
    monkeypatch.setattr(UniRigPipeline, "write_tokens", lambda self, *args: landmarks(self, *args)[:-1])
    with pytest.raises(BackendError) as caught:
        rig(rigger, tmp_path / "b", FIGURE.vertices, FIGURE.faces, attempts=2)
    assert (
        caught.value.code == "no_skeleton"
        and "2 attempts" in caught.value.message
        and is_one_sentence(caught.value.message)
    )


def test_classes_name_their_bones(rigger, tmp_path, monkeypatch):
    body = [
        V.bos,
        V.classes["vroid"],
        V.parts["body"],
        *(n for k in range(22) for n in (100 + k, 128, 100 + 2 * k)),
        V.eos,
    ]
    monkeypatch.setattr(UniRigPipeline, "write_tokens", lambda *_: body)
    monkeypatch.setattr(skin, "predict", _rigid)
    out, arrays = rig(rigger, tmp_path, FIGURE.vertices, FIGURE.faces, **{"class": "vroid"})
    assert out.humanoid["hips"] == "J_Bip_C_Hips" == arrays["names"][0] and len(out.humanoid) == 22 and not out.warnings


@pytest.mark.parametrize(
    "options", [{"class": "mixamo"}, {"preset": "fast", "grammar": "upstream"}, {"preset": "greedy", "class": "vroid"}]
)
def test_every_way_of_decoding_gives_a_skeleton_or_says_why_not(checkpoint, options):
    """On the tiny network's own tokens, skin aside."""
    import torch

    pipeline = UniRigPipeline(checkpoint, torch.device("cpu"), torch.float32)
    decoding = PRESETS[options.get("preset", "quality")]
    settings = Settings(0, options.get("class", "articulationxl"), decoding, options.get("grammar") != "upstream", 2)
    mesh = prepare(FIGURE.vertices, FIGURE.faces)
    with torch.inference_mode():
        try:
            skeleton, tokens, _ = pipeline._skeleton(mesh, settings, lambda *_: None)
        except BackendError as error:
            assert error.code == "no_skeleton" and is_one_sentence(error.message)
        else:
            assert len(skeleton.joints) >= 1 and tokens >= 6


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("unknown_device", {"device": "cuda:7"}),
        ("unknown_device", {"device": 1}),
        ("bad_params", {"preset": "best"}),
        ("bad_params", {"class": "smpl"}),
        ("bad_params", {"attempts": 0}),
        ("bad_params", {"attempts": True}),
        ("bad_params", {"max_tokens": 2049}),
        ("bad_params", {"dtype": ["fp16"]}),
        ("bad_params", {"beams": 3}),
    ],
)
def test_wrong_options(rigger, tmp_path, code, options):
    with pytest.raises(BackendError) as caught:
        rig(rigger, tmp_path, FIGURE.vertices, FIGURE.faces, **options)
    assert caught.value.code == code and is_one_sentence(caught.value.message) and caught.value.hint


def test_without_weights_the_rigger_says_so(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("AVATAR_FORGE_MODELS", str(tmp_path))
    assert is_one_sentence(UniRigRigger().unavailable_reason())
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(BackendError) as caught:
        rig(UniRigRigger(), tmp_path, FIGURE.vertices, FIGURE.faces)
    assert caught.value.code == "missing_weights"


def test_the_defaults_are_the_originals():
    options = checked_options({})
    assert options["class"] == "articulationxl" and options["grammar"] == "strict" and options["max_tokens"] == 2048
    assert Settings().decoding == Decoding(15, True, 1.5, 5, 0.95, 3.0, 1.0, False, 2048)


def test_the_benchmark_measures_every_stage(monkeypatch, tmp_path, checkpoint, rigger):
    import torch

    from benchmarks import unirig as bench

    pipeline = UniRigPipeline(checkpoint, torch.device("cpu"), torch.float32)
    networks = iter([pipeline._load("skeleton"), pipeline._load("skin")])
    monkeypatch.setattr(bench, "random_network", lambda *_: next(networks))
    with torch.inference_mode():
        rows = bench.run(
            [GOLDEN / "example_bird.npz"], torch.device("cpu"), torch.float32, ["skeleton", "skin"], 24, PRESETS["fast"]
        )
    stages = [row.stage for row in rows]
    assert (
        stages[:5] == ["prepare", "sample", "encode", "prefill", "decode"] and f"skin: {bench.SKIN_NETWORK}" in stages
    )
    assert all(row.seconds > 0 and row.peak_gib > 0 for row in rows)
    assert rows[4].note.startswith("24 tokens, 4 beams")
    text = bench.table(rows, tflops=1.0, gbs=100.0)
    assert len(text.splitlines()) == len(rows) + 1 and "%" in text


def test_a_downloaded_model_is_converted_once_and_the_pickle_may_go(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("AVATAR_FORGE_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(skin, "geodesic_feature", partial(skin.geodesic_feature, settings=GeodesicSettings(grid=40)))
    folder = make_checkpoint(tmp_path / "models" / "unirig")
    first = UniRigRigger()
    assert first.unavailable_reason() == ""
    _, arrays = rig(first, tmp_path / "a", FIGURE.vertices, FIGURE.faces)
    converted = {Path(path).with_suffix(".safetensors").as_posix() for path in CHECKPOINTS.values()}
    assert converted <= set(store.digests("unirig"))
    for path in CHECKPOINTS.values():
        (folder / path).unlink()
    _, again = rig(UniRigRigger(), tmp_path / "b", FIGURE.vertices, FIGURE.faces)
    assert all((again[name] == arrays[name]).all() for name in arrays)
    with (folder / sorted(converted)[0]).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    with pytest.raises(BackendError) as caught:
        rig(UniRigRigger(), tmp_path / "c", FIGURE.vertices, FIGURE.faces)
    assert caught.value.code == "bad_weights"


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_runs_through_both_networks(rigger, tmp_path, dtype):
    _, arrays = rig(rigger, tmp_path, FIGURE.vertices, FIGURE.faces, dtype=dtype, preset="fast")
    check(arrays, FIGURE.vertices)
