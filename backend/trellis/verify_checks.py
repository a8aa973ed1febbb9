# SPDX-License-Identifier: GPL-3.0-or-later
"""One check per kind of golden vector: runs our code on the recorded input and compares with the recorded output."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional as F

from . import cameras, dual_mc, export, sparse
from .decoders import GaussianDecoder, Gaussians, MeshDecoder, SubdivideBlock, Trunk, offset_perturbation
from .dino import DinoV2, condition
from .latent import SlatFlow
from .layers import HeadRmsNorm, position_embedding, timestep_embedding
from .preprocess import crop_subject, normalise
from .sampler import SamplerSettings, noise_generator, sample, structure_noise
from .sparse import Sparse, Voxels
from .structure import SparseStructureDecoder, SparseStructureFlow, occupied, patchify, pixel_shuffle, unpatchify


@dataclass
class Comparison:
    label: str
    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        return self.error <= self.tolerance


@dataclass
class Case:
    """One vector: its description (NAME.json), its arrays, and where the weights of its folder lie."""

    name: str
    folder: Path
    description: dict[str, Any]
    arrays: dict[str, np.ndarray]
    device: torch.device

    @property
    def config(self) -> dict[str, Any]:
        return self.description["config"]

    @property
    def notes(self) -> dict[str, Any]:
        notes = self.description.get("notes")
        return notes if isinstance(notes, dict) else {}

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name]).to(self.device)

    def tolerance(self, name: str = "") -> float:
        value = self.description["tolerance"]
        return float(value if not isinstance(value, dict) else value[name])

    def weights(self, name: str | None = None) -> dict[str, Tensor]:
        return load_file(self.folder / f"{name or self.name}.weights.safetensors", device=str(self.device))

    def compare(
        self, label: str, got: Tensor | np.ndarray, expected: str | np.ndarray | None = None, tolerance: float | None = None
    ) -> Comparison:
        want = self.arrays[label] if expected is None else self.arrays[expected] if isinstance(expected, str) else expected
        have = got.detach().cpu().numpy() if isinstance(got, Tensor) else np.asarray(got)
        limit = self.tolerance(label) if tolerance is None else tolerance
        if have.shape != want.shape:
            return Comparison(f"{label} has shape {have.shape}, not {want.shape}", float("inf"), limit)
        if not have.size:
            return Comparison(label, 0.0, limit)
        difference = np.abs(have.astype(np.float64) - want.astype(np.float64))
        return Comparison(label, float(np.nan_to_num(difference, nan=np.inf).max()), limit)


Check = Callable[[Case], list[Comparison]]
CHECKS: dict[str, Check] = {}


def check(prefix: str) -> Callable[[Check], Check]:
    def add(function: Check) -> Check:
        CHECKS[prefix] = function
        return function

    return add


def check_for(name: str) -> Check | None:
    """The check with the longest prefix of the file's stem."""
    return next((CHECKS[p] for p in sorted(CHECKS, key=len, reverse=True) if name.startswith(p)), None)


def build(kind: type[nn.Module], case: Case, weights: str | None = None, config: dict[str, Any] | None = None) -> Any:
    network = kind(**(config or case.config)).to(case.device).eval()
    network.load_state_dict(case.weights(weights), strict=True)
    return network


def intermediates(network: nn.Module, names: list[str], record: dict[str, Tensor]) -> None:
    """Records the features that the submodules of the recorded `inter_*` arrays give."""
    for name in names:
        path = name.removeprefix("inter_")
        parts, head = path.split("_"), ""
        target = path if path in dict(network.named_modules()) else None
        if target is None:
            for cut in range(len(parts) - 1, 0, -1):
                head = "_".join(parts[:cut]) + "." + ".".join(parts[cut:])
                if head in dict(network.named_modules()):
                    target = head
                    break
        if target is None:
            raise KeyError(f"no submodule {path}")

        def hook(_module: nn.Module, _inputs: Any, output: Any, name: str = name) -> None:
            record.setdefault(name, output.feats if isinstance(output, Sparse) else output)

        network.get_submodule(target).register_forward_hook(hook)


def inter_names(case: Case) -> list[str]:
    return [name for name in case.arrays if name.startswith("inter_")]


# -- small operators ---------------------------------------------------------------------------------------------------------------


@check("embeddings")
def _embeddings(case: Case) -> list[Comparison]:
    return [
        case.compare("ape", position_embedding(case.tensor("coords"), case.config["ape_channels"]), tolerance=case.tolerance()),
        case.compare("t_emb", timestep_embedding(case.tensor("t"), case.config["t_dim"]), tolerance=case.tolerance()),
    ]


@check("qk_rms_norm")
def _rms(case: Case) -> list[Comparison]:
    norm = HeadRmsNorm(case.config["head_dim"], case.config["heads"]).to(case.device)
    norm.load_state_dict({"gamma": case.tensor("gamma")})
    return [case.compare("y", norm(case.tensor("x")), tolerance=case.tolerance())]


@check("dense_layout")
def _layout(case: Case) -> list[Comparison]:
    patched = patchify(case.tensor("x"), case.config["patch"])
    return [
        case.compare("patchified", patched, tolerance=case.tolerance()),
        case.compare("unpatchified", unpatchify(patched, case.config["patch"]), tolerance=case.tolerance()),
        case.compare("ps_out", pixel_shuffle(case.tensor("ps_in"), 2), tolerance=case.tolerance()),
    ]


@check("submanifold_conv")
def _conv(case: Case) -> list[Comparison]:
    x, weight, bias = case.tensor("x"), case.tensor("weight"), case.tensor("bias") if "bias" in case.arrays else None
    y = sparse.conv1(x, weight, bias) if weight.shape[1] == 1 else sparse.conv3(x, Voxels(case.tensor("coords")), weight, bias)
    return [case.compare("y", y, tolerance=case.tolerance())]


@check("sparse_group_norm")
def _group_norm(case: Case) -> list[Comparison]:
    voxels = Voxels(case.tensor("coords"))
    y = sparse.group_norm(
        case.tensor("x"), voxels, case.config["groups"], case.tensor("weight"), case.tensor("bias"), case.config.get("eps", 1e-5)
    )
    return [case.compare("y", y, tolerance=case.tolerance())]


@check("down_up_subdivide")
def _down_up(case: Case) -> list[Comparison]:
    x = Sparse(case.tensor("x"), Voxels(case.tensor("coords")))
    down = sparse.downsample(x)
    return [
        case.compare("down_coords", down.voxels.coords, tolerance=0),
        case.compare("down_feats", down.feats, tolerance=case.tolerance()),
        case.compare("up_coords", x.voxels.coords, tolerance=0),
        case.compare("up_feats", sparse.upsample(down.feats, x.voxels), tolerance=case.tolerance()),
        case.compare("sub_coords", x.voxels.subdivided.coords, tolerance=0),
        case.compare("sub_feats", sparse.subdivide(x.feats), tolerance=case.tolerance()),
    ]


@check("window_attention")
def _windows(case: Case) -> list[Comparison]:
    voxels, qkv, out = Voxels(case.tensor("coords")), case.tensor("qkv"), []
    for shift in case.config["shifts"]:
        windows = voxels.windows(case.config["window"], shift)
        label = torch.zeros(len(voxels), dtype=torch.int32, device=case.device)
        sizes: list[int] = []
        for rows, _ in windows.buckets:
            for row in rows.tolist():
                members = [r for r in row if r >= 0]
                label[members] = min(members)
                sizes.append(len(members))
        out += [
            case.compare(f"label_shift{shift}", label, tolerance=0),
            case.compare(f"window_sizes_shift{shift}", np.sort(sizes), np.sort(case.arrays[f"window_sizes_shift{shift}"]), 0),
            case.compare(f"y_shift{shift}", sparse.window_attention(qkv, windows), tolerance=case.tolerance()),
        ]
    return out


@check("gs_offset_perturbation")
def _perturbation(case: Case) -> list[Comparison]:
    got = offset_perturbation(case.config["num_gaussians"], case.config["voxel_size"])
    return [case.compare("offset_perturbation", got, tolerance=case.tolerance())]


@check("cameras")
def _cameras(case: Case) -> list[Comparison]:
    c, n, limit = case.config, case.config["nviews"], case.tolerance()
    views = cameras.sphere_views(n)
    matrices = np.stack([cameras.extrinsics(yaw, pitch, c["r"]) for yaw, pitch in views])
    # Looking straight along the pole, the sideways axis is rounding noise upstream: nothing to compare there.
    usable = np.abs(np.cos(views[:, 1])) > 1e-6
    f, near, far = 1 / np.tan(np.radians(c["fov_deg"]) / 2), c["near"], c["far"]
    projection = np.zeros((n, 4, 4))
    projection[:, 0, 0], projection[:, 1, 1], projection[:, 3, 2] = f, -f, 1
    projection[:, 2, 2], projection[:, 2, 3] = far / (far - near), near * far / (near - far)
    return [
        case.compare("yaw", views[:, 0], tolerance=limit),
        case.compare("pitch", views[:, 1], tolerance=limit),
        case.compare("extrinsics", matrices[usable], case.arrays["extrinsics"][usable], limit),
        case.compare("intrinsics", np.repeat(cameras.intrinsics(c["fov_deg"])[None], n, 0), tolerance=limit),
        case.compare("hammersley3", np.array([cameras.hammersley(i, n) for i in range(n)]), tolerance=limit),
    ]


@check("rng_order")
def _rng(case: Case) -> list[Comparison]:
    generator = noise_generator(case.config["seed"])
    first = structure_noise(generator, case.config["num_samples"], 8, 16)
    second = torch.randn(case.config["voxels"], 8, generator=generator)
    return [
        case.compare("ss_noise_first", first.flatten()[:64], tolerance=case.tolerance()),
        case.compare("ss_noise_last", first.flatten()[-64:], tolerance=case.tolerance()),
        case.compare("slat_noise_first", second.flatten()[:64], tolerance=case.tolerance()),
        case.compare("slat_noise_last", second.flatten()[-64:], tolerance=case.tolerance()),
    ]


@check("preprocess")
def _preprocess(case: Case) -> list[Comparison]:
    got = np.asarray(crop_subject(Image.fromarray(case.arrays["rgba"], "RGBA")))
    expected = np.asarray(Image.open(case.folder / f"{case.name}.out.png").convert("RGB"))
    return [
        case.compare("picture", got, expected, case.tolerance()),
        case.compare("out_mean", got.reshape(-1, 3).mean(0), tolerance=case.tolerance()),
    ]


@check("dual_mc_patches")
def _patches(case: Case) -> list[Comparison]:
    t = dual_mc.tables()
    flag = (np.abs(t.ambiguous).sum(1) > 0).astype(int)
    replacement = np.where(flag, 255 - np.arange(256), case.arrays["ambiguous"][:, 4])
    ours = np.concatenate([flag[:, None], t.ambiguous, replacement[:, None]], 1)
    theirs = case.arrays["ambiguous"].copy()
    theirs[theirs[:, 0] == 0, 1:4] = 0
    return [
        case.compare("patch_label", t.label, tolerance=0),
        case.compare("num_patches", t.patches, tolerance=0),
        case.compare("ambiguous", ours, theirs, 0),
    ]


# -- samplers ----------------------------------------------------------------------------------------------------------------------


def _settings(config: dict[str, Any]) -> SamplerSettings:
    return SamplerSettings(config["steps"], config["cfg_strength"], tuple(config["cfg_interval"]), config["rescale_t"])


def _toy(case: Case, positive: Callable[[int], list[Tensor]], negative: Tensor) -> tuple[Callable, list[float], list[float]]:
    """The vectors' toy network v = 0.3 x + 0.7 t + mean(cond), with a log of the calls."""
    times: list[float] = []
    means: list[float] = []

    def network(x: Tensor, t: float, cond: Tensor) -> Tensor:
        times.append(1000 * t)
        means.append(float(cond.double().mean()))
        per_item = cond.mean(dim=(1, 2)).view(-1, *[1] * (x.dim() - 1))
        return 0.3 * x + 0.7 * torch.tensor(1000 * t, dtype=torch.float32) / 1000 + per_item

    def velocity(x: Tensor, t: float, step: int, guided: bool) -> tuple[Tensor, Tensor | None]:
        v = torch.stack([network(x, t, cond) for cond in positive(step)]).mean(0)
        return v, network(x, t, negative) if guided else None

    return velocity, times, means


def _compare_calls(case: Case, times: list[float], means: list[float]) -> list[Comparison]:
    return [
        case.compare("model_t", np.array(times), case.arrays["model_t"].reshape(-1), 1e-3),
        case.compare("model_cond_mean", np.array(means), case.arrays["model_cond_mean"].reshape(-1), case.tolerance()),
    ]


@check("sampler")
def _sampler(case: Case) -> list[Comparison]:
    settings = _settings(case.config)
    velocity, times, means = _toy(case, lambda step: [case.tensor("cond")], case.tensor("neg_cond"))
    x, first, last = sample(velocity, case.tensor("noise"), settings)
    limit = case.tolerance()
    out = [
        case.compare("t_seq", settings.times(), tolerance=1e-12),
        case.compare("samples", x, tolerance=limit),
        case.compare("pred_x_0_first", first, tolerance=limit),
        case.compare("pred_x_0_last", last, tolerance=limit),
    ]
    # Without guidance strength the unconditional half is not computed; upstream computes it and multiplies it by zero.
    return out + (_compare_calls(case, times, means) if settings.cfg_strength else [])


@check("multi_image")
def _multi_image(case: Case) -> list[Comparison]:
    cond = case.tensor("cond")
    each = [cond[i : i + 1] for i in range(len(cond))]
    stochastic = case.config["mode"] == "stochastic"
    velocity, times, means = _toy(case, lambda step: [each[step % len(each)]] if stochastic else each, torch.zeros_like(each[0]))
    x, _, _ = sample(velocity, case.tensor("noise"), _settings(case.config))
    out = [case.compare("samples", x, tolerance=case.tolerance())]
    return out + (_compare_calls(case, times, means) if case.config["cfg_strength"] else [])


# -- networks ----------------------------------------------------------------------------------------------------------------------


@check("image_encoder")
def _encoder(case: Case) -> list[Comparison]:
    network = build(DinoV2, case)
    mean, std = (torch.tensor(v, device=case.device).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    tokens = network((case.tensor("image") - mean) / std)
    return [
        case.compare("x_prenorm", tokens, tolerance=case.tolerance()),
        case.compare("cond", condition(tokens), tolerance=case.tolerance()),
    ]


@check("ss_flow")
def _structure_flow(case: Case) -> list[Comparison]:
    half = bool(case.config.get("use_fp16"))
    weights = case.notes.get("weights", f"{case.name}.weights.safetensors").removesuffix(".weights.safetensors")
    network = build(SparseStructureFlow, case, weights)
    if half:
        network.set_dtype(torch.float16)
        for name, dtype in case.notes.get("dtypes", {}).items():
            if str(network.state_dict()[name].dtype) != dtype:
                return [Comparison(f"{name} is not {dtype}", float("inf"), 0)]
    record: dict[str, Tensor] = {}
    intermediates(network, inter_names(case), record)
    y = network(case.tensor("x"), case.tensor("t"), network.contexts(case.tensor("cond")))
    return [
        case.compare("y", y, tolerance=case.tolerance()),
        *(case.compare(n, v.float(), tolerance=case.tolerance()) for n, v in record.items()),
    ]


@check("ss_decoder")
def _structure_decoder(case: Case) -> list[Comparison]:
    logits = build(SparseStructureDecoder, case)(case.tensor("z"))
    return [
        case.compare("logits", logits, tolerance=case.tolerance()),
        case.compare("coords", occupied(case.tensor("logits")), tolerance=0),
    ]


@check("slat_flow")
def _latent_flow(case: Case) -> list[Comparison]:
    network = build(SlatFlow, case)
    out = []
    for prefix in [name.removesuffix("_coords") for name in case.arrays if name.endswith("_coords")]:
        record: dict[str, Tensor] = {}
        if prefix == "main":
            intermediates(network, inter_names(case), record)
        x = Sparse(case.tensor(f"{prefix}_x"), Voxels(case.tensor(f"{prefix}_coords")))
        cond = case.tensor(f"{prefix}_cond")
        y = network(x, case.tensor(f"{prefix}_t"), network.contexts(cond))
        out.append(case.compare(f"{prefix}_y", y.feats, tolerance=case.tolerance()))
        out += [case.compare(n, v, tolerance=case.tolerance()) for n, v in record.items()]
        if not cond.any():
            shortcut = network(x, case.tensor(f"{prefix}_t"), network.contexts(None))
            out.append(case.compare(f"{prefix}_y", shortcut.feats, tolerance=case.tolerance()))
    return out


@check("slat_dec_gs")
def _gaussian_decoder(case: Case) -> list[Comparison]:
    network = build(GaussianDecoder, case)
    x = Sparse(case.tensor("x"), Voxels(case.tensor("coords")))
    feats = network(x)
    out = [case.compare("out_feats", feats, tolerance=case.tolerance())]
    for i, gaussians in enumerate(network.gaussians(x, feats)):
        out += _compare_gaussians(case, f"g{i}_", gaussians, case.tolerance())
    return out


def _compare_gaussians(case: Case, prefix: str, got: Gaussians, limit: float) -> list[Comparison]:
    values = {"xyz": got.xyz, "scaling": got.scaling, "rotation": got.rotation, "opacity": got.opacity, "features_dc": got.features_dc}
    values |= {f"{name}_raw": value for name, value in got.raw.items()}
    return [case.compare(prefix + name, value, tolerance=limit) for name, value in values.items() if prefix + name in case.arrays]


@check("slat_dec_mesh")
def _mesh_decoder(case: Case) -> list[Comparison]:
    network = build(MeshDecoder, case)
    record: dict[str, Tensor] = {}
    intermediates(network, inter_names(case), record)
    y = network(Sparse(case.tensor("x"), Voxels(case.tensor("coords"))))
    out = [
        case.compare("out_coords", y.voxels.coords, tolerance=0),
        case.compare("out_feats", y.feats, tolerance=case.tolerance("out_feats")),
        *(case.compare(n, v, tolerance=case.tolerance("out_feats")) for n, v in record.items()),
    ]
    coords, feats = case.tensor("out_coords"), case.tensor("out_feats")
    for item in range(int(coords[:, 0].max()) + 1 if len(coords) else 0):
        if f"mesh{item}_vertices" in case.arrays:
            rows = coords[:, 0] == item
            mesh = dual_mc.extract(coords[rows, 1:], feats[rows], 4 * case.config["resolution"])
            out += _compare_meshes(case, f"mesh{item}_", mesh, case.tolerance("vertices"))
    return out


@check("subdivide_block")
def _subdivide_block(case: Case) -> list[Comparison]:
    config = case.config
    block = SubdivideBlock(config["channels"], config["out_channels"], config["num_groups"]).to(case.device)
    block.load_state_dict(case.weights(), strict=True)
    y = block(Sparse(case.tensor("x"), Voxels(case.tensor("coords"))))
    return [case.compare("out_coords", y.voxels.coords, tolerance=0), case.compare("y", y.feats, tolerance=case.tolerance())]


class _RadianceField(Trunk):
    """The radiance-field decoder: its trunk is ours; its renderer is CUDA-only, so the product does not use it."""

    def __init__(self, representation_config: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rank, self.dim = representation_config["rank"], representation_config["dim"]
        self.out_layer = nn.Linear(kwargs["model_channels"], self.rank * (3 * self.dim + 1 + 3))

    def forward(self, x: Sparse) -> Tensor:
        h = self.trunk(x).float()
        return self.out_layer(F.layer_norm(h, h.shape[-1:]))


@check("slat_dec_rf")
def _radiance_decoder(case: Case) -> list[Comparison]:
    network = build(_RadianceField, case)
    coords = case.tensor("coords")
    feats = network(Sparse(case.tensor("x"), Voxels(coords)))
    trivec, density, colour = feats.split([network.rank * 3 * network.dim, network.rank, network.rank * 3], 1)
    return [
        case.compare(name, value, tolerance=case.tolerance())
        for name, value in {
            "out_feats": feats,
            "position": (coords[:, 1:].float() + 0.5) / network.resolution,
            "trivec": trivec.reshape(-1, network.rank, 3, network.dim) + 1,
            "density": density,
            "features_dc": colour.reshape(-1, network.rank, 1, 3),
        }.items()
    ]


# -- meshes, files -----------------------------------------------------------------------------------------------------------------


@check("mesh_extract")
def _extract(case: Case) -> list[Comparison]:
    coords = case.tensor("coords")
    mesh = dual_mc.extract(coords[:, -3:], case.tensor("feats"), case.config["res"])
    return _compare_meshes(case, "", mesh, case.tolerance("vertices"))


def _compare_meshes(case: Case, prefix: str, mesh: dual_mc.DenseMesh, limit: float) -> list[Comparison]:
    """Vertices matched by position, one to one; faces compared as sets after renumbering."""
    want, want_faces = case.arrays[f"{prefix}vertices"], case.arrays[f"{prefix}faces"]
    got, got_faces = mesh.vertices.cpu().numpy(), mesh.faces.cpu().numpy()
    if got.shape != want.shape or got_faces.shape != want_faces.shape:
        return [Comparison(f"{len(got)} vertices and {len(got_faces)} faces, not {len(want)} and {len(want_faces)}", float("inf"), limit)]
    if not len(want):
        return [Comparison("empty mesh", 0.0, limit)]
    match = _match(got, want, mesh, case.arrays.get(f"{prefix}vertex_attrs"))
    out = [case.compare(f"{prefix}vertices", got, want[match], limit)]
    if len(set(match.tolist())) != len(match):
        out.append(Comparison("two vertices have the same partner", float("inf"), limit))
    if mesh.attributes is not None and f"{prefix}vertex_attrs" in case.arrays:
        out.append(
            case.compare(
                f"{prefix}vertex_attrs", mesh.attributes, case.arrays[f"{prefix}vertex_attrs"][match], case.tolerance("vertex_attrs")
            )
        )
    different = _faces(match[got_faces]) ^ _faces(want_faces)
    return [*out, Comparison("faces that differ", float(len(different)), 0)]


def _match(got: np.ndarray, want: np.ndarray, mesh: dual_mc.DenseMesh, attributes: np.ndarray | None) -> np.ndarray:
    """For each of our vertices the nearest recorded one; colours tell apart vertices at the same place."""
    if attributes is not None and mesh.attributes is not None:
        got, want = np.c_[got, 1e-2 * mesh.attributes.cpu().numpy()], np.c_[want, 1e-2 * attributes]
    return cKDTree(want).query(got)[1]


def _faces(faces: np.ndarray) -> set[tuple[int, ...]]:
    """Faces as a set, each starting at its smallest index, winding kept."""
    start = faces.argmin(1)[:, None]
    return set(map(tuple, np.take_along_axis(faces, (start + np.arange(3)) % 3, 1).tolist()))


@check("gaussian_ply")
def _ply(case: Case) -> list[Comparison]:
    gaussians = Gaussians(raw={}, **{n: case.tensor(n) for n in ("xyz", "features_dc", "scaling", "rotation", "opacity")})
    got, want = export.gaussian_table(gaussians), case.arrays["table"]
    sign = np.sign((got[:, -4:] * want[:, -4:]).sum(1, keepdims=True))
    got = np.concatenate([got[:, :-4], got[:, -4:] * sign], 1)
    return [case.compare("table", got)]


# -- end to end --------------------------------------------------------------------------------------------------------------------

E2E = {
    "e2e_image_cond_model": DinoV2,
    "e2e_sparse_structure_flow_model": SparseStructureFlow,
    "e2e_sparse_structure_decoder": SparseStructureDecoder,
    "e2e_slat_flow_model": SlatFlow,
    "e2e_slat_decoder_mesh": MeshDecoder,
    "e2e_slat_decoder_gs": GaussianDecoder,
}


def _e2e_network(case: Case, name: str) -> Any:
    return build(E2E[name], case, name, json.loads((case.folder / f"{name}.json").read_text())["config"])


def _e2e_weights(case: Case) -> list[Comparison]:
    network = _e2e_network(case, case.name)
    count = sum(p.numel() for p in network.parameters())
    return [Comparison("loads strictly; parameters differ by", float(abs(count - int(case.arrays["n_params"][0]))), 0)]


CHECKS |= dict.fromkeys(E2E, _e2e_weights)


@check("e2e_stages")
def _stages(case: Case) -> list[Comparison]:
    config = case.config
    encoder = _e2e_network(case, "e2e_image_cond_model")
    picture = crop_subject(Image.fromarray(case.arrays["rgba"], "RGBA"))
    cond = condition(encoder(normalise([picture]).to(case.device)))
    tokens = case.arrays["cond_first_tokens"]
    out = [
        case.compare("cond_first_tokens", cond[0, : len(tokens)]),
        case.compare("cond_mean", cond.mean(1), tolerance=case.tolerance("cond_first_tokens")),
    ]
    flow = _e2e_network(case, "e2e_sparse_structure_flow_model")
    generator = noise_generator(config["seed"])
    noise = structure_noise(generator, config["num_samples"], flow.input_layer.in_features, case.arrays["ss_noise"].shape[-1])
    out.append(case.compare("ss_noise", noise, tolerance=1e-6))
    z, _, _ = sample(_flow_velocity(flow, cond, lambda v: v), case.tensor("ss_noise"), _settings(config["sparse_structure_sampler"]))
    logits = _e2e_network(case, "e2e_sparse_structure_decoder")(z)
    out += [case.compare("ss_logits", logits), case.compare("coords", occupied(case.tensor("ss_logits")), tolerance=0)]
    voxels = Voxels(case.tensor("coords"))
    latent = _e2e_network(case, "e2e_slat_flow_model")
    out.append(case.compare("slat_noise", torch.randn(len(voxels), 8, generator=generator), tolerance=1e-6))
    x, _, _ = sample(_flow_velocity(latent, cond, lambda v: v.feats, voxels), case.tensor("slat_noise"), _settings(config["slat_sampler"]))
    mean, std = (torch.tensor(config["slat_normalization"][k], device=case.device) for k in ("mean", "std"))
    return [*out, case.compare("slat", x * std + mean)]


def _flow_velocity(network: Any, cond: Tensor, unwrap: Callable, voxels: Voxels | None = None) -> Callable:
    positive, negative = network.contexts(cond), network.contexts(None)

    def velocity(x: Tensor, t: float, _step: int, guided: bool) -> tuple[Tensor, Tensor | None]:
        time = torch.tensor([1000 * t], dtype=torch.float32, device=x.device)
        given = x if voxels is None else Sparse(x, voxels)
        return unwrap(network(given, time, positive)), unwrap(network(given, time, negative)) if guided else None

    return velocity


@check("e2e_output")
def _outputs(case: Case) -> list[Comparison]:
    item = int(case.name.rsplit("_", 1)[1])
    stages = dict(np.load(case.folder / "e2e_stages.npz"))
    rows = stages["coords"][:, 0] == item
    coords = torch.from_numpy(np.concatenate([np.zeros((rows.sum(), 1), int), stages["coords"][rows, 1:]], 1)).to(case.device)
    x = Sparse(torch.from_numpy(stages["slat"][rows]).to(case.device), Voxels(coords))
    decoder = _e2e_network(case, "e2e_slat_decoder_gs")
    out = _compare_gaussians(case, "g_", decoder.gaussians(x, decoder(x))[0], case.tolerance("gaussians"))
    cubes = _e2e_network(case, "e2e_slat_decoder_mesh")(x)
    resolution = json.loads((case.folder / "e2e_slat_decoder_mesh.json").read_text())["config"]["resolution"]
    mesh = dual_mc.extract(cubes.voxels.coords[:, 1:], cubes.feats, 4 * resolution)
    return out + _compare_meshes_loosely(case, mesh)


def _compare_meshes_loosely(case: Case, mesh: dual_mc.DenseMesh) -> list[Comparison]:
    """A whole pipeline may flip the sign of a corner that is almost zero: counts within 1 %, 99 % of the positions within 5e-3."""
    want, got = case.arrays["vertices"], mesh.vertices.cpu().numpy()
    if not len(want) or not len(got):
        return [Comparison("vertices", float(abs(len(want) - len(got))), 0)]
    counts = max(
        abs(len(got) - len(want)) / len(want), abs(len(mesh.faces) - len(case.arrays["faces"])) / max(len(case.arrays["faces"]), 1)
    )
    far = (cKDTree(want).query(got)[0] > 5e-3).mean()
    return [Comparison("share by which counts differ", counts, 0.01), Comparison("share of vertices off by 5e-3", float(far), 0.01)]
