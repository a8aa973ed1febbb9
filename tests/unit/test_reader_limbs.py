"""The second opinion on the limbs: where it counts, how its points become ours, and how it was translated."""

import dataclasses

import numpy as np
import pytest

from backend.reader import limbs
from backend.reader.layout import HEIGHT, JOINTS, KEYPOINTS, WIDTH
from backend.reader.network import Outputs
from backend.reader.reader import Window, _carried

ROWS, COLUMNS = 40, 32


def spots(count, places, shape=(ROWS, COLUMNS)):
    """Heatmaps with all of map k at places[k], or shares of it at several: ((row, column, share), ...)."""
    heat = np.zeros((count, *shape), np.float32)
    for k, spread in places.items():
        for row, column, share in spread:
            heat[k, row, column] = share
    return heat


def outputs(heat):
    k = len(KEYPOINTS)
    rest = dict.fromkeys(("seen", "parts", "front", "back", "depth", "yaw", "humanoids", "mouth", "sizes"), np.zeros(1))
    return Outputs(heat=heat, points=np.zeros((k, 2)), mass=np.zeros(k), **rest)


def test_a_hand_is_where_both_networks_think_it_may_be():
    hand, mouth = KEYPOINTS.index("leftHand"), KEYPOINTS.index("mouth")
    own = dict.fromkeys(range(len(KEYPOINTS)), ((20, 16, 1.0),)) | {hand: ((10, 5, 0.55), (30, 20, 0.45))}
    own |= {limbs.LEGS[0]: ((20, 10, 1.0),), limbs.LEGS[1]: ((20, 20, 1.0),)}
    second = dict.fromkeys(range(len(limbs.POINTS)), ((20, 16, 1.0),)) | {k: own[k] for k in limbs.LEGS}
    second |= {hand: ((30, 20, 0.8), (2, 2, 0.2)), KEYPOINTS.index("neck"): ((35, 3, 0.5), (20, 16, 0.5))}
    second = limbs.Look(spots(len(limbs.POINTS), second), np.array([-0.5, 0.5]), np.arange(len(JOINTS)))
    other = dataclasses.replace(second, turned=np.array([-0.1, 0.1]), depth=second.depth + 2.0)
    found = limbs.pooled(outputs(spots(len(KEYPOINTS), own)), [second, other])
    cell = np.array([WIDTH / COLUMNS, HEIGHT / ROWS])
    assert found.points[hand] == pytest.approx(np.array([20.5, 30.5]) * cell, abs=0.1)
    assert found.points[KEYPOINTS.index("neck")] == pytest.approx(np.array([16.5, 20.5]) * cell, abs=0.1)
    # Of the face it says nothing, and the hips lie between the legs.
    assert found.points[mouth] == pytest.approx(np.array([16.5, 20.5]) * cell, abs=0.1)
    assert found.points[limbs.HIPS] == pytest.approx(found.points[limbs.LEGS].mean(0))
    assert found.yaw == pytest.approx(-45)
    assert found.depth == pytest.approx(np.arange(len(JOINTS)) + 1.0)


def test_shoulders_and_hips_move_down_the_limb():
    places = dict.fromkeys(range(len(limbs.NAMES)), ((40, 40, 1.0),))
    places |= {
        limbs.NAMES.index("rightUpperArm"): ((10, 20, 1.0),),
        limbs.NAMES.index("rightLowerArm"): ((10, 10, 1.0),),
    }
    moved = limbs.moved(spots(len(limbs.NAMES), places, (64, 64)))
    arm = moved[limbs.NAMES.index("rightUpperArm")]
    assert (arm.sum(0) * np.arange(64)).sum() == pytest.approx(20 - 10 * limbs.DOWN["UpperArm"][1], abs=1e-4)
    assert moved[limbs.NAMES.index("rightLowerArm"), 10, 10] == 1


@pytest.mark.parametrize(("hip", "moved"), [(40.0, -1.5), (60.0, 1.5), (100.0, 5.0)])
def test_short_legs_are_read_shorter_and_long_ones_longer(hip, moved):
    points = np.full((len(KEYPOINTS), 2), 7.0)
    points[limbs.NECK] = 50.0, 0.0
    for rows, y in ((limbs.LEGS, hip), (limbs.KNEES, hip + 20), (limbs.FEET, 100.0)):
        points[rows] = (45.0, y), (55.0, y)
    found = limbs.from_middle(points) - points
    assert found[limbs.LEGS, 1] == pytest.approx(moved) and found[limbs.KNEES, 1] == pytest.approx(moved / 2)
    assert not found[:, 0].any() and not found[[limbs.NECK, *limbs.FEET]].any()


def test_a_mirrored_picture_swaps_the_sides():
    picture = np.random.default_rng(1).integers(0, 255, (limbs.SIDE, limbs.SIDE, 3), np.uint8)
    one, other = limbs.look(picture), limbs.look(np.ascontiguousarray(picture[:, ::-1]))
    assert one.heat.shape == (len(limbs.POINTS), 64, 64)
    assert np.allclose(one.heat, other.heat[limbs.SWAPPED_POINTS][..., ::-1], atol=1e-5)
    assert np.allclose(one.turned, other.turned * [-1, 1], atol=1e-5)
    assert np.allclose(one.depth, other.depth[limbs.SWAPPED_JOINTS], atol=1e-3)


def test_heat_keeps_its_place_between_windows_of_other_sizes():
    square = Window(100.0, 50.0, 3.0, limbs.SIDE, limbs.SIDE)
    body = Window(150.0, 20.0, 4.0)
    heat = spots(1, {0: ((30, 25, 1.0),)}, (64, 64))
    there = _carried(heat, square, body, (ROWS, COLUMNS))[0]
    rows, columns = np.indices(there.shape) + 0.5
    place = body.back(
        np.array([(there * columns).sum(), (there * rows).sum()]) / there.sum() * [WIDTH / COLUMNS, HEIGHT / ROWS]
    )
    assert place == pytest.approx(square.back(np.array([25.5, 30.5]) * 4), abs=body.scale * 3)


def test_a_published_graph_is_translated_to_the_same_numbers():
    pytest.importorskip("onnx")
    torch = pytest.importorskip("torch")
    import base64

    import onnxruntime
    from onnx import TensorProto, helper

    from training.movenet import Translation

    def said(word):
        return {"s": base64.b64encode(word.encode()).decode()}

    random = np.random.default_rng(2)
    weights = {
        "dense": random.normal(size=(3, 3, 3, 8)).astype(np.float32),
        "bias": random.normal(size=8).astype(np.float32),
        "deep": random.normal(size=(3, 3, 8, 1)).astype(np.float32),
    }
    fused = {"list": {"s": [base64.b64encode(s.encode()).decode() for s in ("BiasAdd", "Relu6")]}}
    steps = {"padding": said("SAME"), "fused_ops": fused, "strides": {"list": {"i": ["1", "2", "2", "1"]}}}
    single = {"padding": said("SAME"), "strides": {"list": {"i": ["1", "1", "1", "1"]}}}
    nodes = [
        {"name": "in", "op": "Placeholder"},
        {"name": "a", "op": "_FusedConv2D", "input": ["in", "dense", "bias"], "attr": steps},
        {"name": "b", "op": "DepthwiseConv2dNative", "input": ["a", "deep"], "attr": single},
        {"name": "c", "op": "ResizeBilinear", "input": ["b"]},
        {"name": "d", "op": "AddV2", "input": ["c", "c"]},
    ]
    work = Translation({node["name"]: node for node in nodes}, weights)
    work.nodes.append(helper.make_node("Identity", [work.of("d")], ["out"]))
    shape = ["n", 3, 16, 16]
    given = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, shape)
    put_out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 8, 16, 16])
    graph = helper.make_graph(work.nodes, "small", [given], [put_out], work.tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    picture = random.normal(size=(2, 3, 16, 16)).astype(np.float32)
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"pictures": picture})[0]

    x = torch.nn.functional.pad(torch.from_numpy(picture), (0, 1, 0, 1))  # as TensorFlow pads an even side
    x = torch.nn.functional.conv2d(x, torch.from_numpy(weights["dense"]).permute(3, 2, 0, 1), stride=2)
    x = (x + torch.from_numpy(weights["bias"])[:, None, None]).clamp(0, 6)
    x = torch.nn.functional.conv2d(x, torch.from_numpy(weights["deep"]).permute(2, 3, 0, 1), padding=1, groups=8)
    x = 2 * torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
    assert np.abs(found - x.numpy()).max() < 0.03 * x.abs().max()


def test_the_decoder_is_exported_to_the_same_numbers():
    onnx = pytest.importorskip("onnx")
    torch = pytest.importorskip("torch")
    import onnxruntime
    from onnx import TensorProto, helper

    from training import joints_export
    from training.joints import Decoder

    names = list(joints_export.TAPS)
    shapes = [["n", *shape, shape[1]] for shape in joints_export.TAPS.values()]
    given = [
        helper.make_tensor_value_info(f"in_{name}", TensorProto.FLOAT, s) for name, s in zip(names, shapes, strict=True)
    ]
    nodes = [helper.make_node("Identity", [f"in_{name}"], [name]) for name in names]
    nodes.append(helper.make_node("Identity", [names[-1]], ["heat"]))
    heat = helper.make_tensor_value_info("heat", TensorProto.FLOAT, shapes[-1])
    graph = helper.make_graph(nodes, "taps", given, [heat])
    taps = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    torch.manual_seed(3)
    decoder = Decoder().eval()
    layers = [torch.randn(2, channels, cells, cells) for channels, cells in joints_export.TAPS.values()]
    model = joints_export.joined(taps, decoder)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = session.run(["heat", "points"], {f"in_{n}": v.numpy() for n, v in zip(names, layers, strict=True)})
    with torch.no_grad():
        expected = decoder(*layers).numpy()
    assert np.array_equal(found[0], layers[-1].numpy())
    assert np.abs(found[1] - expected).max() < 0.01 * np.abs(expected).max()


def test_a_further_decoder_is_pooled_with_those_that_are_there():
    onnx = pytest.importorskip("onnx")
    torch = pytest.importorskip("torch")
    import onnxruntime

    from training import joints_export
    from training.joint_pictures import tapped
    from training.joints import Decoder

    torch.manual_seed(3)
    decoder = Decoder().eval()
    model = joints_export.pooled(onnx.load(limbs.FILE), decoder, "further", 0.4)
    pictures = np.random.default_rng(4).integers(0, 255, (2, 3, limbs.SIDE, limbs.SIDE)).astype(np.float32)
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"pictures": pictures})
    names = list(joints_export.TAPS)
    heat, points, turns, *layers = tapped(limbs.FILE).run(["heat", "points", "turns", *names], {"pictures": pictures})
    with torch.no_grad():
        added = decoder(*(torch.from_numpy(v) for v in layers)).numpy()
    joints = len(JOINTS)
    expected = np.concatenate([0.6 * points[:, :joints] + 0.4 * added[:, :joints], points[:, joints:]], 1)
    assert [output.name for output in model.graph.output] == ["heat", "points", "turns"]
    assert np.abs(found[1] - expected).max() < 0.01 * np.abs(expected).max()
    # The look at the head, yaw and depths were set on what the decoders before it tell.
    assert np.array_equal(found[1][:, joints:], points[:, joints:])
    assert np.array_equal(found[0], heat) and np.array_equal(found[2], turns)


def test_yaw_and_depths_are_exported_to_the_same_numbers():
    onnx = pytest.importorskip("onnx")
    torch = pytest.importorskip("torch")
    import onnxruntime

    from training import turns_export
    from training.joint_pictures import tapped
    from training.turn_pictures import LAYERS, at_points
    from training.turns import TurnNetwork

    torch.manual_seed(3)
    network = TurnNetwork().eval()
    model = turns_export.joined(onnx.load(limbs.FILE), network)
    pictures = np.random.default_rng(4).integers(0, 255, (2, 3, limbs.SIDE, limbs.SIDE)).astype(np.float32)
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"pictures": pictures})
    names = [output.name for output in model.graph.output]
    heat, *layers = tapped(limbs.FILE, LAYERS).run(["points", *LAYERS], {"pictures": pictures})
    at, around, places = at_points(heat, dict(zip(LAYERS, layers, strict=True)))
    with torch.no_grad():
        expected = network(*(torch.from_numpy(v).float() for v in (at, around, places))).numpy()
    assert names == ["heat", "points", "turns"]
    assert np.array_equal(found[names.index("points")], heat)
    assert found[names.index("turns")] == pytest.approx(expected, abs=0.01 * float(np.abs(expected).max()))
