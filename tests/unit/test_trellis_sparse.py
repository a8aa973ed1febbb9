"""The sparse operators against dense arithmetic, on every shape of voxel set that can occur."""

import pytest
import torch
from torch.nn import functional as F

from backend.nn import sparse
from backend.nn.sparse import Sparse, Voxels

torch.set_grad_enabled(False)
SIZE = 9


def voxel_set(kind: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)

    def some(batch, count):
        cells = torch.randperm(SIZE**3, generator=generator)[:count]  # not in lexicographic order
        return torch.stack([torch.full_like(cells, batch), cells // SIZE**2, cells // SIZE % SIZE, cells % SIZE], 1)

    return {
        "one voxel": torch.tensor([[0, 4, 0, 8]]),
        "one item": some(0, 150),
        "two items": torch.cat([some(0, 90), some(1, 60)]),
        "an empty item between": torch.cat([some(0, 40), some(2, 30)]),
        "touching every border": torch.cat([some(0, 20), torch.tensor([[0, 0, 0, 0], [0, 8, 8, 8]])]).unique(dim=0),
        "empty": torch.zeros(0, 4, dtype=torch.long),
    }[kind].int()


KINDS = ["one voxel", "one item", "two items", "an empty item between", "touching every border", "empty"]


def dense(coords, feats, size=SIZE):
    grid = torch.zeros(int(coords[:, 0].max()) + 1 if len(coords) else 1, feats.shape[1], size, size, size)
    b, x, y, z = coords.long().unbind(1)
    grid[b, :, x, y, z] = feats
    return grid


@pytest.fixture(params=[1 << 29, 3000], ids=["at once", "in slices"])
def scratch(request, monkeypatch):
    monkeypatch.setattr(sparse.limits, "scratch", request.param)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [(3, 8), (8, 3)], ids=["gathered first", "multiplied first"])
def test_convolution_is_the_dense_one_at_the_occupied_voxels(kind, channels, scratch):
    coords = voxel_set(kind)
    x, weight, bias = (
        torch.randn(len(coords), channels[0]),
        torch.randn(channels[1], 3, 3, 3, channels[0]),
        torch.randn(channels[1]),
    )
    got = sparse.conv3(x, Voxels(coords), weight, bias)
    b, i, j, k = coords.long().unbind(1)
    want = F.conv3d(dense(coords, x), weight.permute(0, 4, 1, 2, 3), bias, padding=1)[b, :, i, j, k]
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("operator", ["one output", "eight children"])
def test_a_processor_convolves_in_blocks_that_its_cache_holds(operator, monkeypatch):
    monkeypatch.setattr(sparse.limits, "cache", 1 << 16)  # bytes; a row takes 16 * 4 in, as much out, twice that summed
    voxels = Voxels(torch.cartesian_prod(torch.arange(1), *[torch.arange(12)] * 3))
    x, weight = torch.randn(len(voxels), 16), torch.randn(128, 3, 3, 3, 16)
    rows, linear = [], F.linear
    monkeypatch.setattr(F, "linear", lambda some, *rest: rows.append(len(some)) or linear(some, *rest))
    if operator == "one output":
        sparse.conv3(x, voxels, weight[:16], None)
    else:
        sparse.conv3_children(x, voxels, weight, torch.zeros(128), torch.ones(len(voxels), 8, dtype=torch.bool))
    assert sum(rows) > 20 * len(voxels) and max(rows) <= 256 < len(voxels)


@pytest.mark.parametrize("kind", KINDS)
def test_a_subdivision_has_the_neighbours_that_looking_up_finds(kind):
    fine = Voxels(voxel_set(kind)).subdivided.subdivided
    assert torch.equal(fine.neighbours, Voxels(fine.coords).neighbours)
    assert fine.neighbours.shape == (64 * len(voxel_set(kind)), 27)


@pytest.mark.parametrize("kind", KINDS)
def test_convolution_of_copied_rows_is_that_of_their_copies(kind, scratch):
    voxels = Voxels(voxel_set(kind))
    x, weight = torch.randn(len(voxels), 6), torch.randn(5, 3, 3, 3, 6)
    parents = torch.arange(len(voxels)).repeat_interleave(8)
    got = sparse.conv3(x, voxels.subdivided, weight, None, parents)
    torch.testing.assert_close(got, sparse.conv3(x[parents], voxels.subdivided, weight, None), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_halving_and_back(kind):
    coords = voxel_set(kind)
    x = Sparse(torch.randn(len(coords), 4), Voxels(coords))
    down = sparse.downsample(x)
    rows = [tuple(row) for row in torch.cat([coords[:, :1], coords[:, 1:] // 2], 1).tolist()]
    cells = sorted(set(rows))
    assert [tuple(row) for row in down.voxels.coords.tolist()] == cells
    for cell, feats in zip(cells, down.feats, strict=True):
        children = x.feats[[i for i, row in enumerate(rows) if row == cell]]
        torch.testing.assert_close(feats, children.sum(0) / (len(children) + 1))
    up = sparse.upsample(down.feats, x.voxels)
    assert torch.equal(up, down.feats[[cells.index(row) for row in rows]] if rows else up)


@pytest.mark.parametrize("kind", KINDS)
def test_group_norm_is_per_item(kind, scratch):
    coords = voxel_set(kind)
    x, weight, bias = torch.randn(len(coords), 12), torch.randn(12), torch.randn(12)
    got = sparse.group_norm(x, Voxels(coords), 4, weight, bias)
    for item in coords[:, 0].unique():
        rows = coords[:, 0] == item
        want = F.batch_norm(  # over voxels x channels of a group: a batch norm of one channel per group
            x[rows].view(-1, 4, 3).transpose(1, 2).reshape(-1, 4), None, None, training=True, eps=1e-5
        )
        want = want.view(-1, 3, 4).transpose(1, 2).reshape(-1, 12) * weight + bias
        torch.testing.assert_close(got[rows], want, rtol=1e-4, atol=1e-4)
    assert got.shape == x.shape


def naive_attention(qkv, groups):
    out = torch.empty_like(qkv[:, 0])
    for rows in groups:
        q, k, v = qkv[rows].unbind(1)
        weights = torch.einsum("ihd,jhd->hij", q, k) / q.shape[-1] ** 0.5
        out[rows] = torch.einsum("hij,jhd->ihd", weights.softmax(-1), v)
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("window", "shift"), [(4, 0), (4, 2), (3, 1), (16, 8)])
def test_attention_stays_in_its_window(kind, window, shift):
    coords, qkv = voxel_set(kind), torch.randn(len(voxel_set(kind)), 3, 2, 5)
    cells = torch.cat([coords[:, :1], (coords[:, 1:] + shift) // window], 1)
    groups = [(cells == cell).all(1).nonzero()[:, 0] for cell in cells.unique(dim=0)]
    got = sparse.window_attention(qkv, Voxels(coords).windows(window, shift))
    torch.testing.assert_close(got, naive_attention(qkv, groups), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_full_attention_stays_in_its_item(kind):
    coords, qkv = voxel_set(kind), torch.randn(len(voxel_set(kind)), 3, 2, 5)
    groups = [(coords[:, 0] == item).nonzero()[:, 0] for item in coords[:, 0].unique()]
    got = sparse.full_attention(*qkv.unbind(1), Voxels(coords).counts)
    torch.testing.assert_close(got, naive_attention(qkv, groups), rtol=1e-4, atol=1e-5)


def test_kernel_one_reads_the_buffer_as_it_lies():
    x, weight, bias = torch.randn(4, 3), torch.arange(6.0).view(2, 1, 1, 1, 3), torch.randn(2)
    matrix = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])  # flat[i * out + o], not the transpose
    torch.testing.assert_close(sparse.conv1(x, weight, bias), x @ matrix + bias)


def test_the_same_set_is_partitioned_once():
    voxels = Voxels(voxel_set("two items"))
    assert voxels.windows(4, 0) is voxels.windows(4, 0) and voxels.neighbours is voxels.neighbours
    assert (
        voxels.coarse[0] is voxels.coarse[0] and voxels.subdivided is voxels.subdivided and voxels.twice is voxels.twice
    )
