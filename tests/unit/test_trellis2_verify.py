"""TRELLIS.2's self-test holds on the recorded vectors and notices what is wrong; its operators at their borders."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from backend.errors import BackendError
from backend.nn import sparse
from backend.nn.golden import Case
from backend.nn.sampling import sample
from backend.nn.sparse import Sparse, Voxels
from backend.trellis2 import dual_grid, verify
from backend.trellis2.attributes import sample_attributes
from backend.trellis2.cascade import finer_voxels, structure_voxels
from backend.trellis2.decoders import ShapeDecoder, TextureDecoder
from backend.trellis2.sampler import SamplerSettings

torch.set_grad_enabled(False)
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "trellis2"
CPU = torch.device("cpu")


def test_every_recorded_vector_holds(capsys):
    status, count = verify.main([str(GOLDEN)]), len(list(GOLDEN.glob("*.json")))
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"{count} of {count} hold" and status == 0, printed


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("rope", "q_out"),
        ("fdg_mesh_sphere", "faces"),
        ("cascade_reduced", "coords"),
        ("sampler_sparse_2", "model_t"),
        ("texture_bake", "base_rgba"),
        ("preprocess_wide", "out"),
    ],
)
def test_a_wrong_value_is_noticed(name, array, tmp_path):
    for file in GOLDEN.glob(f"{name}.*"):
        shutil.copy(file, tmp_path)
    arrays = dict(np.load(tmp_path / f"{name}.npz"))
    changed = arrays[array].copy()
    changed[len(changed) // 2] = changed[len(changed) // 2] + 3
    np.savez(tmp_path / f"{name}.npz", **arrays | {array: changed})
    holds, line = verify.check.run(Case.read(tmp_path / f"{name}.json", CPU))
    assert not holds and "tolerance" in line


# -- sparse sets that follow from a mask


def voxels(*counts, size=6):
    generator = torch.Generator().manual_seed(len(counts))
    rows = []
    for batch, count in enumerate(counts):
        cells = torch.randperm(size**3, generator=generator)[:count]
        rows.append(
            torch.stack([torch.full_like(cells, batch), cells // size**2, cells // size % size, cells % size], 1)
        )
    return Voxels(torch.cat(rows) if rows else torch.zeros(0, 4, dtype=torch.long))


SETS = [(), (1,), (216,), (40,), (20, 0, 9), (1, 1)]


@pytest.mark.parametrize("counts", SETS, ids=str)
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_children_and_their_neighbours_are_those_that_a_search_finds(counts, share):
    parents = voxels(*counts)
    mask = torch.rand(len(parents), 8, generator=torch.Generator().manual_seed(3)) < share
    fine = parents.children(mask)
    assert len(fine) == int(mask.sum())
    for row, (parent, child) in enumerate(mask.nonzero().tolist()):
        wanted = parents.coords[parent, 1:] * 2 + torch.tensor([child & 1, child >> 1 & 1, child >> 2 & 1])
        assert fine.coords[row].tolist() == [int(parents.coords[parent, 0]), *wanted.tolist()]
    assert torch.equal(fine.neighbours, Voxels(fine.coords).neighbours)
    again = fine.children(torch.ones(len(fine), 8, dtype=torch.bool))
    assert torch.equal(again.neighbours, Voxels(again.coords).neighbours)
    fine.forget_neighbours()
    assert torch.equal(fine.neighbours, Voxels(fine.coords).neighbours)


@pytest.mark.parametrize("counts", SETS, ids=str)
@pytest.mark.parametrize("scratch", [1, 1 << 29])
def test_convolutions_are_dense_ones_where_there_are_voxels(counts, scratch, monkeypatch):
    monkeypatch.setattr(sparse.limits, "scratch", scratch)
    own, generator = voxels(*counts), torch.Generator().manual_seed(0)
    x = torch.randn(len(own), 5, generator=generator)
    weight, bias = torch.randn(24, 3, 3, 3, 5, generator=generator), torch.randn(24, generator=generator)
    wanted = torch.zeros(0, 24)
    if len(own):
        dense = torch.zeros(len(counts), 5, 6, 6, 6)
        b, i, j, k = own.coords.T
        dense[b, :, i, j, k] = x
        wanted = F.conv3d(dense, weight.permute(0, 4, 1, 2, 3), bias, padding=1)[b, :, i, j, k]
    torch.testing.assert_close(sparse.conv3(x, own, weight, bias), wanted, rtol=1e-4, atol=1e-4)
    mask = torch.rand(len(own), 8, generator=generator) < 0.5
    children = sparse.conv3_children(x, own, weight, bias, mask)
    torch.testing.assert_close(children, wanted.view(-1, 8, 3)[mask], rtol=1e-4, atol=1e-4)


# -- samplers


@pytest.mark.parametrize("g", [0.0, 1.0, 3.0])
def test_guidance_evaluates_only_the_halves_it_needs(g):
    asked = []

    def velocity(x, t, step, guidance):
        asked.append((guidance != 0, guidance != 1))
        return x if guidance != 0 else None, -x if guidance != 1 else None

    settings = SamplerSettings(steps=3, guidance_strength=g, guidance_rescale=0.5, guidance_interval=(0.6, 1.0))
    x, _, _ = sample(velocity, torch.arange(6.0).view(2, 3), settings)
    guided = sum(t >= 0.6 for t in settings.times()[:-1])
    assert asked.count((g != 0, g != 1)) == (3 if g == 1 else guided) and len(asked) == 3 and torch.isfinite(x).all()


def test_rows_of_an_item_are_rescaled_as_that_item_alone():
    def velocity(x, t, step, g):
        return torch.tanh(x + t), torch.sin(3 * x) if g != 1 else None

    settings = SamplerSettings(guidance_rescale=0.7)
    noise = torch.randn(12, 4, generator=torch.Generator().manual_seed(1))
    both = sample(velocity, noise, settings, items=[5, 0, 7])[0]
    alone = [sample(velocity, part, settings, items=[len(part)])[0] for part in (noise[:5], noise[5:])]
    torch.testing.assert_close(both, torch.cat(alone))


# -- structure, cascade, mesh, attributes


def test_a_coarser_structure_takes_every_voxel_that_has_something_in_it():
    logits = torch.full((2, 1, 4, 4, 4), -1.0)
    logits[0, 0, 3, 0, 1] = logits[1, 0, 0, 0, 0] = 1
    assert structure_voxels(logits, 2).tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert structure_voxels(logits, 4).tolist() == [[0, 3, 0, 1], [1, 0, 0, 0]]


@pytest.mark.parametrize(("limit", "resolution"), [(10**6, 1536), (7745, 1408), (7744, 1280), (1, 1024)])
def test_a_cascade_gives_way_to_the_limit_of_tokens_but_not_below_its_floor(limit, resolution):
    side = torch.arange(0, 512, 2)
    plane = torch.cartesian_prod(torch.zeros(1, dtype=torch.long), torch.tensor([511]), side, side)
    coords, got = finer_voxels(plane, 1536, limit)
    assert got == resolution and coords[:, 1:].max() < got // 16
    assert torch.equal(coords, torch.unique(coords, dim=0))


def test_no_flag_and_no_voxel_is_no_face():
    for own in (voxels(), voxels(1), voxels(40)):
        feats = torch.full((len(own), 7), -5.0)
        mesh = dual_grid.extract(own, dual_grid.fields(feats), 6)
        assert mesh.vertices.shape == (len(own), 3) and mesh.faces.shape == (0, 3)


def test_attributes_at_voxels_between_them_and_nowhere():
    own = Voxels(torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [0, 5, 5, 5]]))
    values = torch.tensor([[0.0, 1.0], [1.0, 3.0], [4.0, 4.0]])
    at = (torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.5, 0.5], [0.5, 1.2, 0.5], [3.0, 3.0, 3.0], [90.0, 0, 0]]) / 6) - 0.5
    wanted = torch.tensor([[0.0, 1.0], [0.5, 2.0], [0.0, 1.0], [0, 0], [0, 0]])
    torch.testing.assert_close(sample_attributes(at, own, values, 6), wanted, atol=1e-5, rtol=0)
    assert not sample_attributes(at, voxels(), torch.zeros(0, 2), 6).any()


SMALL = {"model_channels": [16, 8, 8], "latent_channels": 4, "num_blocks": [1, 1, 0]}


def test_a_decoder_without_any_child_says_so_and_stops_between_blocks():
    decoder = ShapeDecoder(**SMALL).eval()
    decoder.blocks[1][-1].to_subdiv.bias.fill_(-100)
    latent = Sparse(torch.randn(9, 4), voxels(9))
    with pytest.raises(BackendError) as caught:
        decoder(latent)
    assert caught.value.code == "empty_structure"
    done = []

    def stop(share):
        done.append(share)
        raise KeyboardInterrupt

    decoder.on_block = stop
    with pytest.raises(KeyboardInterrupt):
        decoder(latent)
    assert done == [0]


def test_items_decode_as_they_would_alone_and_the_texture_follows_the_shape():
    torch.manual_seed(0)
    decoder, painter = ShapeDecoder(**SMALL).eval(), TextureDecoder(**SMALL, out_channels=6, pred_subdiv=False).eval()
    x = torch.randn(21, 4)
    own = voxels(12, 0, 9)
    both = decoder(Sparse(x, own))
    painted = painter(Sparse(x, own), both.levels).feats
    assert len(painted) == len(both.feats) == len(both.levels[-1])
    for item, rows in ((0, slice(0, 12)), (2, slice(12, 21))):
        coords = own.coords[rows].clone()
        coords[:, 0] = 0
        alone = decoder(Sparse(x[rows], Voxels(coords)))
        chosen = both.levels[-1].batch == item
        torch.testing.assert_close(both.feats[chosen], alone.feats, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            painted[chosen], painter(Sparse(x[rows], Voxels(coords)), alone_levels(alone, coords)).feats
        )
    assert torch.equal(decoder.subdivide(Sparse(x, own), 2).coords, both.levels[-1].coords)


def alone_levels(decoded, coords):
    parents, levels = Voxels(coords), []
    for logits in decoded.logits:
        parents = parents.children(logits > 0)
        levels.append(parents)
    return levels
