# SPDX-License-Identifier: GPL-3.0-or-later
"""UniRig's skin half: the released keys, what the specification states in words, and meshes that are hard to skin."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from scipy.sparse import csr_matrix
from torch.nn import functional as F

from backend.errors import Cancelled
from backend.nn.cube import prepare
from backend.nn.vertex_weights import strongest
from backend.unirig import bucket_queue, geodesic, skin, skin_network, verify
from backend.unirig.geodesic import GeodesicSettings, geodesic_weights
from backend.unirig.ptv3 import PointTransformer, cut
from backend.unirig.resample import smooth
from backend.unirig.serialisation import hilbert, interleave
from backend.unirig.shortest_paths import Graph, quickest_search, scipy_search, shortest_paths
from backend.unirig.submanifold import CPU_RULE, GPU_RULE, GPU_STEM_RULE, convolve, make_taps
from backend.unirig.voxels import voxelise

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
KEYS = GOLDEN / "unirig_keys" / "skin_articulation_xl.json"
KINDS = ("ptv3", "sparse_conv", "pooling", "skin_", "voxels", "voxel_weights", "resample")
VECTORS = [path for path in sorted((GOLDEN / "unirig").rglob("*.safetensors")) if path.stem.startswith(KINDS)]
TINY = {
    "feat_dim": 24,
    "num_heads": 3,
    "grid_size": 0.05,
    "mlp_dim": 8,
    "num_bone_attn": 1,
    "num_mesh_bone_attn": 2,
    "bone_embed_dim": 12,
    "mesh_encoder": {"enc_depths": [1, 2], "enc_channels": [8, 16], "enc_num_head": [2, 4], "enc_patch_size": [64, 64]},
    "global_encoder": {"width": 32, "heads": 4, "num_encoder_layers": 1, "token_num": 16},
}


@pytest.fixture(autouse=True)
def no_gradients():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def tiny():
    return skin.build(TINY).eval()


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_golden_vectors_hold(path):
    holds, line = verify.check.run(path, torch.device("cpu"))
    assert holds, line


def test_the_full_size_network_has_the_released_keys():
    with torch.device("meta"):
        network = skin.build({})
    wanted = {name.removeprefix("model."): shape for name, shape in json.loads(KEYS.read_text())["keys"].items()}
    assert {name: list(value.shape) for name, value in network.state_dict().items()} == wanted


# -- point transformer
# -------------------------------------------------------------------------------------------------------------


def test_both_curves_visit_every_cell_once_and_hilberts_never_jumps():
    cells = torch.cartesian_prod(*[torch.arange(8)] * 3)
    for codes in (interleave(cells), hilbert(cells, 3)):
        assert codes.sort().values.tolist() == list(range(512))
    path = cells[hilbert(cells, 3).argsort()]
    assert (path.diff(dim=0).abs().sum(1) == 1).all()


def by_the_words(x, coords, weight, bias, rule):
    """The rules of the specification, one pair after the other."""
    k = weight.shape[1]
    taps = weight.flatten(1, 3)
    last = {tuple(c): i for i, c in enumerate(coords.tolist())}
    rep = (
        last if rule.representative == "last" else {tuple(c): i for i, c in reversed(list(enumerate(coords.tolist())))}
    )
    offsets = torch.cartesian_prod(*[torch.arange(k) - k // 2] * 3)
    out = x @ taps[:, len(offsets) // 2].T + bias
    pair = {}
    for f in range(len(offsets) // 2):
        for i, cell in enumerate(coords.tolist()):
            step = [0, *offsets[f].tolist()]
            if rule.pairs == "native":
                w = rep.get(tuple(np.subtract(cell, step).tolist()))
                if w is not None:
                    out[w] += taps[:, f] @ x[i]
                    out[i] += taps[:, len(offsets) - 1 - f] @ x[w]
            else:
                w = rep.get(tuple(np.add(cell, step).tolist()))
                if w is not None:
                    out[i] += taps[:, f] @ x[w]
                    pair[len(offsets) - 1 - f, w] = i
    for (f, i), j in pair.items():
        out[i] += taps[:, f] @ x[j]
    return out


@pytest.mark.parametrize("rule", [CPU_RULE, GPU_RULE, GPU_STEM_RULE], ids=["cpu", "gpu", "gpu stem"])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("side", [1, 4, 40])
def test_points_that_share_cells(rule, kernel, side):
    coords = torch.cat([torch.randint(2, (60, 1)), torch.randint(side, (60, 3))], 1)  # two batch items, not grouped
    x, weight, bias = torch.randn(60, 3), torch.randn(2, kernel, kernel, kernel, 3), torch.randn(2)
    got = convolve(x, make_taps(coords, kernel, rule), weight, bias)
    assert torch.allclose(got, by_the_words(x, coords, weight, bias, rule), atol=1e-4)


@pytest.mark.parametrize("counts", [[5], [8], [16], [19], [3, 8, 21], [21, 3, 0, 3]])
def test_patches_of_eight(counts):
    order = torch.cat([torch.randperm(n) + sum(counts[:i]) for i, n in enumerate(counts)])
    patches = cut(order, counts, 8)
    found = torch.cat([group.flatten() for group in patches.groups])[patches.inverse]
    assert found.tolist() == list(range(len(order)))
    groups = {frozenset(row) for group in patches.groups for row in group.tolist()}
    start = 0
    for n in counts:
        rows = order[start : start + n].tolist()
        start += n
        if 0 < n <= 8:
            assert frozenset(rows) in groups
        elif n > 8:  # the last patch ends with points of the one before, in the places they have there
            assert {frozenset(rows[k : k + 8]) for k in range(0, n - n % 8, 8)} <= groups
            if n % 8:
                assert frozenset(rows[n - n % 8 :] + rows[n - 8 : n - n % 8]) in groups


def test_items_of_a_batch_do_not_see_each_other():
    network = PointTransformer(
        enc_depths=(1, 1), enc_channels=(16, 32), enc_num_head=(1, 2), enc_patch_size=(32, 32)
    ).eval()
    coords, feats = torch.rand(90, 3), torch.randn(90, 9)
    coords[:2] = torch.tensor([[0.0] * 3, [1.0] * 3])  # both alone and together the cells begin in the same place
    coords[50:52] = coords[:2]
    both = network(feats, network.points(coords, [50, 40], 0.05))
    alone = [
        network(feats[rows], network.points(coords[rows], [len(coords[rows])], 0.05))
        for rows in (slice(50), slice(50, None))
    ]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)


# -- skin network
# ------------------------------------------------------------------------------------------------------------------


def test_queries_folded_into_keys_give_the_same_attention():
    network = tiny()
    points, bones = torch.randn(1, 10, 24), torch.randn(1, 4, 24)
    q, k = (layer(x).unflatten(-1, (3, 24)) for layer, x in ((network.qmesh, points), (network.kmesh, bones)))
    plain = F.softmax(torch.einsum("bnhd,bjhd->bnjh", q, k) / 24**0.5, dim=2)
    assert torch.allclose(network.fit(points, bones)(slice(2, 7)), plain[:, 2:7], atol=1e-5)


def inputs(bones, batch=1, points=70):
    near = torch.rand(batch, points, bones)
    parents = torch.tensor([[-1, *range(bones - 1)]] * batch)
    return (
        F.normalize(torch.randn(batch, points, 3), dim=-1),
        torch.randn(batch, points, 3),
        torch.rand(batch, bones, 3),
        parents,
        near,
    )


def test_the_size_of_chunks_changes_nothing(monkeypatch):
    network, given = tiny(), inputs(5)
    whole = network(*given)
    monkeypatch.setattr(skin_network, "PAIRS", 35)
    assert torch.allclose(network(*given), whole, atol=1e-6)


def test_rows_that_the_feature_rules_out_keep_the_networks_answer():
    network, (points, normals, joints, parents, near) = tiny(), inputs(4)
    near[:, :10] = 0
    weights = network(points, normals, joints, parents, near)
    assert torch.isfinite(weights).all() and torch.allclose(weights.sum(-1), torch.ones(1, 70))
    assert (weights[:, :10] > 0).all()


def test_only_direct_children_count_in_the_mask():
    network = tiny()
    near = torch.tensor(
        [[[0.0, 0.0, 1.0]]]
    )  # a chain of three: the last bone and its parent may have weight, the root may not
    weights = network.masked(torch.full((1, 1, 3), 1 / 3), near, torch.tensor([[-1, 0, 1]]))
    assert torch.allclose(weights, torch.tensor([[[0, 0.5, 0.5]]]))


def test_one_joint_and_padded_bones():
    network = tiny()
    assert torch.allclose(network(*inputs(1)), torch.ones(1, 70, 1))
    weights = network(*inputs(5, batch=2), bone_counts=[5, 3])
    assert (weights[1, :, 3:] == 0).all() and torch.allclose(weights.sum(-1), torch.ones(2, 70))


def test_half_precision_is_close_and_leaves_the_point_transformer_alone():
    network, given = tiny(), inputs(5)
    full = network(*given)
    skin.set_precision(network, torch.bfloat16)
    assert {p.dtype for p in network.mesh_encoder.parameters()} == {torch.float32}
    assert network.qmesh.weight.dtype == torch.bfloat16
    assert (network(*given) - full).abs().max() < 0.05


# -- cells and paths
# ---------------------------------------------------------------------------------------------------------------


def test_cells_of_a_box_are_those_inside():
    box = trimesh.creation.box([1.0, 0.6, 2.0])
    cells = voxelise(box.vertices, box.faces, 40)
    # Four places of a pixel are looked at, none its centre, so an edge may move by half a cell.
    assert abs(len(cells) / (20 * 12 * 40) - 1) < 0.1
    assert (np.abs(cells) <= np.array([0.5, 0.3, 1.0]) + 0.025).all()
    nothing = np.array([[0, 0, 1], [2, 2, 2]])  # triangles without an area
    assert len(voxelise(box.vertices, np.concatenate([box.faces, nothing]), 40)) == len(cells)
    assert voxelise(box.vertices, nothing, 40).shape == (0, 3)


def random_case(seed, vertices=60, faces=90, grid=8, filled=0.6):
    """Triangles that share vertices by chance: islands, edges that two triangles pass in the same direction, vertices
    without a face.
    """
    rng = np.random.default_rng(seed)
    at = rng.uniform(-1, 1, (vertices, 3))
    triangles = rng.integers(vertices, size=(faces, 3))
    cells = voxel_centres(grid)[rng.random(grid**3) < filled]
    return at, triangles, cells, rng


def voxel_centres(grid):
    axis = (np.arange(grid) + 0.5) * 2 / grid - 1
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def bellman_ford(graph: Graph, sources):
    """Shortest paths by the definition: a dense matrix, relaxed until nothing changes."""
    count, total = graph.surface.shape[0], graph.surface.shape[0] + len(graph.neighbours)
    directed = np.full((total, total), np.inf)
    surface = graph.surface.tocoo()
    directed[surface.row, surface.col] = surface.data
    for cell, beside in enumerate(graph.neighbours):
        directed[count + cell, count + beside[beside >= 0]] = graph.step
    directed[count + graph.attached, graph.vertex] = graph.length
    length = np.minimum(directed, directed.T)
    out = []
    for source in sources:
        distance = np.full(total, np.inf)
        distance[source] = 0
        while True:
            better = np.minimum(distance, (distance[:, None] + length).min(0))
            if np.array_equal(better, distance):
                break
            distance = better
        out.append(distance[:count])
    return np.array(out)


@pytest.mark.parametrize("search", [scipy_search, bucket_queue.distances])
@pytest.mark.parametrize("seed", range(12))
def test_shortest_paths_are_the_shortest(seed, search):
    faces, filled = [(90, 0.6), (12, 0.3), (0, 0.9), (200, 0.0)][seed % 4]
    at, triangles, cells, rng = random_case(seed, faces=faces, filled=filled)
    graph = geodesic.make_graph(at, triangles, cells, GeodesicSettings(grid=8))
    sources = rng.integers(len(at) + len(cells), size=5)
    np.testing.assert_allclose(
        shortest_paths(graph, sources, search=search), bellman_ford(graph, sources), rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("lengths", ["of all sizes", "some zero", "all zero", "one for all", "one huge"])
def test_the_compiled_search_gives_scipys_very_numbers(lengths):
    rng = np.random.default_rng(5)
    size, edges = 400, 900
    length = {
        "of all sizes": 10.0 ** rng.uniform(-9, 3, edges),
        "some zero": rng.random(edges) * (rng.random(edges) < 0.6),
        "all zero": np.zeros(edges),
        "one for all": np.full(edges, 0.1),
        "one huge": np.append(rng.random(edges - 1), 1e9),
    }[lengths]
    end = rng.integers(size - 20, size=(2, edges))  # the last nodes hang on nothing
    end[:, 0] = 0, size - 21
    matrix = csr_matrix((np.tile(length, 2), (np.concatenate(end), np.concatenate(end[::-1]))), shape=(size, size))
    sources = rng.integers(size, size=30)
    ours, theirs = (search(matrix, sources, 390) for search in (bucket_queue.distances, scipy_search))
    np.testing.assert_array_equal(ours, theirs)
    assert np.isinf(ours).any() and np.isfinite(ours).any()
    assert bucket_queue.distances(matrix, sources[:0], 390).shape == (0, 390)


def test_without_numba_scipy_searches(monkeypatch):
    assert quickest_search() is bucket_queue.distances
    quickest_search.cache_clear()
    monkeypatch.setitem(sys.modules, "backend.unirig.bucket_queue", None)
    assert quickest_search() is scipy_search
    quickest_search.cache_clear()


def test_directions_of_an_edge_add_up_and_the_smaller_counts():
    at = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    twice = np.array([[0, 1, 2], [0, 1, 3]])  # both pass 0 -> 1, none 1 -> 0
    graph = geodesic.make_graph(at, twice, np.zeros((0, 3)), GeodesicSettings(grid=4))
    assert shortest_paths(graph, np.array([0]))[0, 1] == pytest.approx(2)
    turned = np.array([[0, 1, 2], [1, 0, 3]])
    graph = geodesic.make_graph(at, turned, np.zeros((0, 3)), GeodesicSettings(grid=4))
    assert shortest_paths(graph, np.array([0]))[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("joints", [1, 2, 5])
@pytest.mark.parametrize("mode", ["square", "exp"])
def test_islands_that_no_joint_reaches_take_the_straight_way(joints, mode):
    island = trimesh.creation.icosphere(1, 0.2)
    body, far = island.vertices - [0.7, 0, 0], island.vertices + [0.7, 0, 0]
    faces = np.concatenate([island.faces, island.faces + len(body)])
    at = np.concatenate([body, far])
    cells = voxel_centres(16)
    cells = cells[np.linalg.norm(cells + [0.7, 0, 0], axis=1) < 0.2]
    rows = geodesic_weights(
        at, faces, cells, np.linspace([-0.85, 0, 0], [-0.6, 0, 0], joints), GeodesicSettings(grid=16, mode=mode)
    )
    assert rows.shape == (len(at), joints) and np.isfinite(rows).all() and np.allclose(rows.sum(1), 1)


# -- weights of the vertices given
# -------------------------------------------------------------------------------------------------


def test_small_weights_vanish_and_the_strongest_stay():
    weights = np.array([[0.5, 0.3, 0.1, 0.05, 0.03, 0.02], [0.02] * 6])
    smoothed = smooth(weights, np.zeros((2, 3)), np.zeros((0, 3), int), np.array([-1, 0, 1, 2, 3, 4]))
    assert smoothed[0, 5] == 0 and np.allclose(smoothed.sum(1), 1) and np.allclose(smoothed[1], 1 / 6)
    joint, weight = strongest(smoothed)
    assert joint[0].tolist() == [0, 1, 2, 3] and np.allclose(weight[0], np.array([0.5, 0.3, 0.1, 0.05]) / 0.95)
    joint, weight = strongest(np.array([[0.0, 1.0]]))
    assert joint.tolist() == [[1, 0, 0, 0]] and weight.tolist() == [[1, 0, 0, 0]]


def person():
    """A ball, a box without contact, and their joints; z up."""
    parts = [trimesh.creation.icosphere(2, 0.5), trimesh.creation.box([0.3, 0.3, 0.8])]
    parts[1].apply_translation([1.2, 0, 0])
    return (
        trimesh.util.concatenate(parts),
        np.array([[0, 0, 0], [0, 0, 0.4], [1.2, 0, 0.2]], float),
        np.array([-1, 0, 0]),
    )


def rig(mesh, joints, parents, vertices, triangles, progress=lambda fraction, message: None):
    prepared = prepare(mesh.vertices, mesh.faces)
    result = skin.predict(
        tiny(), prepared, joints, parents, vertices, triangles, 7, progress, samples=300, vertex_samples=100
    )
    joint, weight = result
    assert joint.shape == weight.shape == (len(vertices), 4) and joint.dtype == np.int64 and weight.dtype == np.float64
    assert np.isfinite(weight).all() and np.allclose(weight.sum(1), 1) and (np.diff(weight) <= 0).all()
    assert ((joint >= 0) & (joint < len(joints))).all() and (joint[weight == 0] == 0).all()
    return result


def test_every_vertex_given_has_weights_and_seams_do_not_open():
    mesh, joints, parents = person()
    split = mesh.vertices[mesh.faces.reshape(-1)]  # every triangle with corners of its own, as flat shading exports it
    joint, weight = rig(mesh, joints, parents, split, np.arange(len(split)).reshape(-1, 3))
    first = {}
    for place, row in zip(map(tuple, split), np.column_stack([joint, weight]), strict=True):
        assert np.array_equal(first.setdefault(place, row), row)


@pytest.mark.parametrize("kind", ["no triangles", "not a number", "far away", "one vertex"])
def test_odd_vertices(kind):
    mesh, joints, parents = person()
    vertices, triangles = mesh.vertices.copy(), mesh.faces
    if kind == "not a number":
        vertices[3] = np.nan
        vertices[4, 1] = np.inf
    elif kind == "far away":
        vertices[5] = 1e6
    else:
        triangles = np.zeros((0, 3), np.int32)
        vertices = vertices[: 1 if kind == "one vertex" else None]
    rig(mesh, joints, parents, vertices, triangles)


def test_one_joint_takes_everything():
    mesh, joints, _ = person()
    joint, weight = rig(mesh, joints[:1], np.array([-1]), mesh.vertices, mesh.faces)
    assert (joint == 0).all() and (weight[:, 0] == 1).all()


def test_a_joint_far_outside_and_two_in_one_place():
    mesh, _, _ = person()
    rig(mesh, np.array([[0, 0, 0], [0, 0, 0], [50.0, 0, 0]]), np.array([-1, 0, 1]), mesh.vertices, mesh.faces)


def test_samples_without_a_number_have_no_say(monkeypatch):
    original = skin.sampled_weights

    def broken(*arguments):
        weights = original(*arguments)
        weights[::2] = np.nan
        return weights

    monkeypatch.setattr(skin, "sampled_weights", broken)
    mesh, joints, parents = person()
    rig(mesh, joints, parents, mesh.vertices, mesh.faces)


def test_progress_rises_and_can_stop_the_stage():
    mesh, joints, parents = person()
    seen = []
    rig(mesh, joints, parents, mesh.vertices, mesh.faces, lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == 1 and len(seen) > 6

    def stop(fraction, message):
        if fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        rig(mesh, joints, parents, mesh.vertices, mesh.faces, stop)
