"""The self-test: holds on the recorded vectors, copes with vectors of other shapes, and notices when something is
wrong.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from backend.nn.golden import Case, Comparison
from backend.nn.sampling import sample
from backend.nn.sparse import Sparse, Voxels
from backend.nn.structure import SparseStructureDecoder, occupied
from backend.trellis import dual_mc, verify, verify_meshes
from backend.trellis.decoders import GaussianDecoder, MeshDecoder, SubdivideBlock
from backend.trellis.dino import DinoV2, condition
from backend.trellis.latent import SlatFlow
from backend.trellis.preprocess import MEAN, STD
from backend.trellis.sampler import SamplerSettings
from backend.trellis.structure import SparseStructureFlow

torch.set_grad_enabled(False)
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "trellis"
CPU = torch.device("cpu")


def test_every_recorded_vector_holds(capsys):
    status, count = verify.main([str(GOLDEN)]), len(list(GOLDEN.glob("*.json")))
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"{count} of {count} hold" and status == 0, printed


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("submanifold_conv_k1", "y"),
        ("window_attention", "label_shift2"),
        ("mesh_extract_sphere", "faces"),
        ("cameras", "view"),
        ("ss_decoder", "coords"),
    ],
)
def test_a_wrong_value_is_noticed(name, array, tmp_path):
    for file in GOLDEN.glob(f"{name}.*"):
        shutil.copy(file, tmp_path)
    arrays = dict(np.load(tmp_path / f"{name}.npz"))
    arrays[array] = arrays[array].copy()
    arrays[array][-1] = arrays[array][-1][::-1] if arrays[array].ndim > 1 else arrays[array][-1] + 1
    np.savez(tmp_path / f"{name}.npz", **arrays)
    holds, line = verify.check.run(Case.read(tmp_path / f"{name}.json", CPU))
    assert not holds and "tolerance" in line


def test_a_folder_without_vectors_and_an_unknown_device(tmp_path, capsys):
    assert verify.main([str(tmp_path)]) == 2 and "no vectors" in capsys.readouterr().err
    assert verify.main([str(GOLDEN), "--device", "abacus"]) == 2 and "'abacus'" in capsys.readouterr().err


# -- vectors of other shapes: written by our own networks, so that what is tested is how the checks cope with them
# ----------------------


def write(folder, name, arrays, config=None, tolerance=1e-5, network=None, notes=None):
    arrays = {key: np.asarray(value) for key, value in arrays.items()}
    np.savez(folder / f"{name}.npz", **arrays)
    (folder / f"{name}.json").write_text(
        json.dumps({"name": name, "config": config or {}, "tolerance": tolerance, "notes": notes})
    )
    if network is not None:
        save_file(
            {key: value.contiguous() for key, value in network.state_dict().items()},
            folder / f"{name}.weights.safetensors",
        )


def holds(folder, name):
    held, line = verify.check.run(Case.read(folder / f"{name}.json", CPU))
    assert held, line


def voxels(*counts, size=4):
    generator = torch.Generator().manual_seed(1)
    rows = []
    for batch, count in enumerate(counts):
        cells = torch.randperm(size**3, generator=generator)[:count]
        rows.append(
            torch.stack([torch.full_like(cells, batch), cells // size**2, cells // size % size, cells % size], 1)
        )
    return torch.cat(rows).int()


FLOW = {
    "in_channels": 8,
    "out_channels": 8,
    "model_channels": 32,
    "cond_channels": 12,
    "num_blocks": 2,
    "num_heads": 2,
    "mlp_ratio": 2,
}
TRUNK = {
    "resolution": 4,
    "model_channels": 64,
    "latent_channels": 8,
    "num_blocks": 3,
    "num_heads": 4,
    "mlp_ratio": 2,
    "window_size": 4,
}


def randomised(network):
    """Untrained networks have zero biases and unit gammas, which hide mistakes."""
    for parameter in network.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.2)
    return network.eval()


@pytest.mark.parametrize("qk", [True, False])
@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("zero", [True, False])
def test_structure_flow_with_one_condition_for_two_items(tmp_path, qk, half, zero):
    config = FLOW | {"resolution": 4, "patch_size": 2, "qk_rms_norm": qk, "qk_rms_norm_cross": qk, "use_fp16": half}
    network = randomised(SparseStructureFlow(**config))
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    network.set_dtype(torch.float16 if half else torch.float32)
    x, t, cond = torch.randn(2, 8, 4, 4, 4), torch.tensor([700.0]), torch.randn(1, 5, 12) * (not zero)
    y = torch.cat([network(x[i : i + 1], t, network.contexts(cond)) for i in range(2)])
    write(tmp_path, "ss_flow_two", {"x": x, "t": t, "cond": cond, "y": y}, config, 0.02 if half else 1e-4)
    save_file(weights, tmp_path / "ss_flow_two.weights.safetensors")
    holds(tmp_path, "ss_flow_two")


@pytest.mark.parametrize(
    "config",
    [{"patch_size": 2, "io_block_channels": [16]}, {"patch_size": 4, "io_block_channels": [16, 24]}, {"patch_size": 1}],
)
@pytest.mark.parametrize("num_io_res_blocks", [1, 2])
def test_latent_flow_of_any_depth_on_few_voxels(tmp_path, config, num_io_res_blocks):
    config = FLOW | {"resolution": 8, "qk_rms_norm": True, "num_io_res_blocks": num_io_res_blocks} | config
    network, arrays = randomised(SlatFlow(**config)), {}
    for prefix, coords in {"one": voxels(1), "batch2": voxels(9, 1), "main": voxels(20)}.items():
        x, t, cond = torch.randn(len(coords), 8), torch.tensor([300.0]), torch.randn(1, 5, 12) * (prefix != "one")
        parts = []
        for item in coords[:, 0].unique():
            rows = coords[:, 0] == item
            alone = coords[rows].clone()
            alone[:, 0] = 0
            parts.append(network(Sparse(x[rows], Voxels(alone)), t, network.contexts(cond)).feats)
        arrays |= {
            f"{prefix}_{key}": value
            for key, value in {"coords": coords, "x": x, "t": t, "cond": cond, "y": torch.cat(parts)}.items()
        }
    write(tmp_path, "slat_flow_small", arrays, config, 1e-4, network)
    holds(tmp_path, "slat_flow_small")


@pytest.mark.parametrize("counts", [(1,), (5, 2)])
@pytest.mark.parametrize("colour", [True, False])
def test_mesh_decoder_of_several_items_and_of_nothing(tmp_path, counts, colour):
    config = TRUNK | {"representation_config": {"use_color": colour}, "num_groups": 8, "attn_mode": "swin"}
    network, coords = randomised(MeshDecoder(**config)), voxels(*counts)
    x = torch.randn(len(coords), 8)
    y = network(Sparse(x, Voxels(coords)))
    arrays = {"coords": coords, "x": x, "out_coords": y.voxels.coords, "out_feats": y.feats}
    for item in range(len(counts)):
        rows = y.voxels.coords[:, 0] == item
        mesh = dual_mc.extract(y.voxels.coords[rows, 1:], y.feats[rows], 16)
        arrays |= {f"mesh{item}_vertices": mesh.vertices, f"mesh{item}_faces": mesh.faces}
        arrays |= {f"mesh{item}_vertex_attrs": mesh.attributes} if colour else {}
    write(
        tmp_path,
        "slat_dec_mesh_x",
        arrays,
        config,
        {"out_feats": 1e-3, "vertices": 1e-4, "vertex_attrs": 1e-4},
        network,
    )
    holds(tmp_path, "slat_dec_mesh_x")


@pytest.mark.parametrize("activation", ["softplus", "exp"])
@pytest.mark.parametrize("perturb", [True, False])
def test_gaussian_decoder_of_two_items(tmp_path, activation, perturb):
    golden = json.loads((GOLDEN / "slat_dec_gs.json").read_text())["config"]["representation_config"]
    config = TRUNK | {
        "representation_config": (
            golden | {"scaling_activation": activation, "perturb_offset": perturb, "num_gaussians": 3}
        )
    }
    network, coords = randomised(GaussianDecoder(**config)), voxels(1, 6)
    x = Sparse(torch.randn(7, 8), Voxels(coords))
    arrays = {"coords": coords, "x": x.feats, "out_feats": network(x)}
    for i, g in enumerate(network.gaussians(x, network(x))):
        assert len(g.xyz) == 3 * (1, 6)[i]
        arrays |= {f"g{i}_xyz": g.xyz, f"g{i}_opacity": g.opacity, f"g{i}_scaling_raw": g.raw["scaling"]}
    write(tmp_path, "slat_dec_gs_x", arrays, config, 1e-4, network)
    holds(tmp_path, "slat_dec_gs_x")


def test_other_networks_of_other_sizes(tmp_path):
    config = {"out_channels": 1, "latent_channels": 4, "num_res_blocks": 1, "num_res_blocks_middle": 0, "channels": [6]}
    network = randomised(SparseStructureDecoder(**config))
    z = torch.randn(2, 4, 3, 3, 3)
    z[1] = 1e3 * torch.sign(torch.randn(()))
    write(
        tmp_path, "ss_decoder_x", {"z": z, "logits": network(z), "coords": occupied(network(z))}, config, 1e-3, network
    )
    holds(tmp_path, "ss_decoder_x")

    config = {
        "img_size": 28,
        "patch_size": 14,
        "embed_dim": 12,
        "depth": 1,
        "num_heads": 2,
        "num_register_tokens": 1,
        "block_chunks": 0,
    }
    encoder, image = randomised(DinoV2(**config)), torch.rand(3, 3, 28, 28)
    tokens = encoder((image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1))
    write(
        tmp_path,
        "image_encoder_x",
        {"image": image, "x_prenorm": tokens, "cond": condition(tokens)},
        config,
        1e-4,
        encoder,
    )
    holds(tmp_path, "image_encoder_x")

    block, coords = randomised(SubdivideBlock(8, 8, 2)), voxels(1)
    y = block(Sparse(torch.ones(1, 8), Voxels(coords)))
    write(
        tmp_path,
        "subdivide_block_x",
        {"coords": coords, "x": torch.ones(1, 8), "y": y.feats},
        {"channels": 8, "out_channels": 8, "num_groups": 2},
        1e-4,
        block,
    )
    holds(tmp_path, "subdivide_block_x")


@pytest.mark.parametrize(
    ("strength", "interval", "steps", "rescale"),
    [(0.0, (0.5, 1.0), 3, 3.0), (7.5, (0.0, 1.0), 1, 1.0), (2.0, (0.9, 0.2), 5, 2.0)],
)
def test_samplers_of_any_setting(tmp_path, strength, interval, steps, rescale):
    noise, cond, neg = torch.randn(2, 3, 2, 2, 2), torch.randn(1, 4, 5), torch.randn(1, 4, 5)

    def f(x, t, c):
        return 0.3 * x + 0.7 * t + c.mean()

    x, times = noise, 1 - np.arange(steps + 1) / steps
    times = rescale * times / (1 + (rescale - 1) * times)
    for t, following in zip(
        times, times[1:], strict=False
    ):  # as the specification states it, the negative branch evaluated whatever g is
        v = f(x, t, cond)
        v = (1 + strength) * v - strength * f(x, t, neg) if interval[0] <= t <= interval[1] else v
        x = x - (t - following) * v
    config = {"steps": steps, "rescale_t": rescale, "cfg_strength": strength, "cfg_interval": interval}
    write(tmp_path, "sampler_x", {"noise": noise, "cond": cond, "neg_cond": neg, "samples": x, "t_seq": times}, config)
    holds(tmp_path, "sampler_x")
    calls = []
    sample(
        lambda x, t, step, g: calls.append(g != 1) or (x, x if g != 1 else None),
        noise,
        SamplerSettings(steps, strength, interval, rescale),
    )
    assert sum(calls) == (0 if strength == 0 else sum(interval[0] <= t <= interval[1] for t in times[:-1]))


# -- meshes
# --------------------------------------------------------------------------------------------------------------------


def cubes(res, sdf, colour=True):
    """Every cube of a grid active, with the corner values of a function, all else random."""
    coords = torch.cartesian_prod(*[torch.arange(res)] * 3)
    feats = torch.randn(len(coords), 101 if colour else 53, generator=torch.Generator().manual_seed(0))
    corners = coords[:, None] + torch.as_tensor(dual_mc.CORNERS)
    feats[:, :8] = sdf(corners / res - 0.5) + 1 / res
    return coords, feats


@pytest.mark.parametrize(
    ("name", "sdf", "kind"),
    [
        ("outside", lambda p: torch.full(p.shape[:-1], 1.0), "empty"),
        ("inside", lambda p: torch.full(p.shape[:-1], -1.0), "empty"),
        ("sphere", lambda p: p.norm(dim=-1) - 0.3, "closed"),
        ("border", lambda p: (p - 0.5).norm(dim=-1) - 0.6, "open"),
        ("slab", lambda p: p[..., 2], "open"),
    ],
)
def test_surfaces_inside_at_the_border_and_nowhere(tmp_path, name, sdf, kind):
    coords, feats = cubes(7, sdf)
    mesh = dual_mc.extract(coords, feats, 7)
    edges = np.sort(mesh.faces.numpy()[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    counts = np.unique(edges, axis=0, return_counts=True)[1] if len(edges) else np.zeros(0)
    assert (len(mesh.faces) == 0) == (kind == "empty")
    if kind != "empty":
        assert (counts.min() == 2) == (kind == "closed") and counts.max() == 2
    order = torch.randperm(len(mesh.vertices))  # numbering is free, and so is where a face begins
    renumber = torch.empty_like(order)
    renumber[order] = torch.arange(len(order))
    arrays = {
        "vertices": mesh.vertices[order],
        "faces": renumber[mesh.faces][torch.randperm(len(mesh.faces))].roll(1, 1),
    }
    arrays |= {
        "vertex_attrs": mesh.attributes[order],
        "coords": np.c_[np.zeros(len(coords), int), coords],
        "feats": feats,
    }
    write(
        tmp_path,
        f"mesh_extract_{name}",
        arrays,
        {"res": 7, "use_color": True},
        {"vertices": 2e-5, "vertex_attrs": 2e-5},
    )
    holds(tmp_path, f"mesh_extract_{name}")


def test_no_cubes_and_a_single_cube():
    assert len(dual_mc.extract(torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, 53), 8).vertices) == 0
    feats = torch.ones(1, 101)
    feats[0, 0] = -1  # one corner inside: an octahedron of the cubes around it, the other seven inactive
    mesh = dual_mc.extract(torch.tensor([[3, 3, 3]]), feats, 8)
    assert mesh.vertices.shape == (8, 3) and mesh.faces.shape == (12, 3)


def test_a_tie_of_diagonals_may_go_either_way_and_nothing_else_may():
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    recorded = {"vertices": vertices.numpy(), "faces": np.array([[0, 1, 3], [3, 1, 2]])}

    def differing(faces, margin) -> list[Comparison]:
        case = Case("mesh_extract", Path(), {"tolerance": 1e-5}, recorded, CPU)
        mesh = dual_mc.DenseMesh(vertices, torch.tensor(faces), None, torch.tensor([margin]))
        return [c for c in verify_meshes.compare_meshes(case, "", mesh) if not c.holds]

    assert not differing([[0, 1, 2], [0, 2, 3]], 1e-7)
    assert differing([[0, 1, 2], [0, 2, 3]], 1e-3)
    assert differing([[0, 2, 1], [0, 3, 2]], 1e-7)  # the winding is no tie
    assert not differing([[1, 3, 0], [1, 2, 3]], 1e-3)
