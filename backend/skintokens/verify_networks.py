# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the networks: embeddings, encoders, quantiser, skin decoder, language model, released numerics."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..nn.golden import Comparison
from ..nn.golden_safetensors import Case, Checks, exact
from ..nn.point_encoder import EncoderConfig, fourier, query_candidates
from .embedding import embed, frequencies, phases, released
from .networks import ModelConfig, ShapeEncoder, SkinTokensModel
from .qwen import Decoder, QwenConfig, turning
from .skin_vae import SkinConfig, SkinNetwork, digits

check = Checks()
RELEASED_WEIGHTS, RELEASED_CONDITIONS = 0.02, 0.1  # what the facts allow where the original ran in bfloat16


def load(network: nn.Module, weights: dict[str, Tensor], case: Case, only: tuple[str, ...] = ("",)) -> Any:
    """The network with the recorded weights; of a recording of some parts (`only`) the others are left as they are."""
    state = {name: value.float() for name, value in weights.items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    wrong = [name for name in missing if name.startswith(only)] + unexpected
    if wrong:
        raise KeyError(f"weights do not fit: {', '.join(wrong[:5])}")
    return network.to(case.device).eval()


def tolerance(case: Case) -> float:
    """As the file states it: `1e-4 abs`, `1e-5`."""
    found = re.search(r"\d+(?:\.\d+)?e-\d+", str(case.meta.get("tolerance", "")))
    return float(found[0]) if found else 1e-5


def constants(case: Case, network: SkinNetwork, prefix: str = "") -> list[Comparison]:
    """The recorded frequencies and phases against ours; the recorded ones are then used."""
    out = []
    for name in ("frequencies", "phase"):
        key = f"const.{prefix}{name}"
        if case.has(key):
            ours = "rates" if name == "frequencies" else "phase"
            got: Tensor = getattr(network, ours)
            plain = frequencies(len(got), network.config.include_pi) if ours == "rates" else phases(len(got))
            want = case.tensor(key).cpu()
            out.append(exact(key, torch.equal(want, got) or torch.equal(want, plain)))
            setattr(network, ours, want)
    return out


@check("embedders")
def _embedders(case: Case) -> list[Comparison]:
    x, out = case.tensor("x"), []
    for name in case.tensors:
        if found := re.fullmatch(r"frequency_f(\d+)_pi([01])_pmpe([01])", name):
            count, pi, phased = (int(part) for part in found.groups())
            rates, phase = frequencies(count, bool(pi)).to(x.device), phases(count).to(x.device)
            out.append(case.compare(name, embed(x, rates, phase if phased else None)))
        elif found := re.fullmatch(r"shape_encoder_f(\d+)", name):
            out.append(case.compare(name, fourier(x, int(found[1]))))
    if case.has("released.frequencies"):
        rates, phase = (case.tensor(f"released.{name}") for name in ("frequencies", "phase"))
        out += [
            exact("released.frequencies", torch.equal(released(frequencies(len(rates))), rates.cpu())),
            exact("released.phase", torch.equal(released(phases(len(phase))), phase.cpu())),
            case.compare("released.float32_points", embed(x, rates, phase)),
            case.compare("released.bfloat16_points", embed(x.bfloat16(), rates, phase).float()),
        ]
    return out


@check("shape_encoder")
def _shape_encoder(case: Case) -> list[Comparison]:
    weights, config = case.group("w"), EncoderConfig.of(case.meta["config"])
    network: ShapeEncoder = load(ShapeEncoder(config, len(weights["output_proj.0.bias"])), weights, case)
    encoder, taps, limit = network.mesh_encoder.encoder, dict[str, Tensor](), tolerance(case)
    watched = {"tap.cross_attn": encoder.cross_attn, "tap.self_attn_0": encoder.self_attn.resblocks[0]}
    for name, module in watched.items():
        module.register_forward_hook(lambda _m, _i, output, name=name: taps.update({name: output}))
    projected: list[Tensor] = []
    encoder.input_proj.register_forward_hook(lambda _m, _i, output: projected.append(output))
    points = case.tensor("in.points")
    taps["out.latents"] = network.mesh_encoder(points, case.tensor("in.normals"))
    taps["out.mesh_cond"] = network.project(taps["out.latents"])
    taps["tap.input_proj_1"], taps["tap.input_proj_0"] = projected
    drawn = query_candidates(points.shape[1], config.tokens)
    out = [exact("sel.random_index", drawn.tolist() == case.tensor("sel.random_index").tolist())]
    return out + [case.compare(name, value, tolerance=limit) for name, value in taps.items() if case.has(name)]


def skin_network(case: Case, only: tuple[str, ...], config: dict[str, Any] | None = None) -> SkinNetwork:
    """The skin network of a recording with fp32 queries, as all vectors but `released_numerics` have them."""
    prefix = "vae.model."
    weights = {k.removeprefix(prefix): v for k, v in case.group("w").items() if k.startswith(prefix)}
    settings = SkinConfig.of(config or case.meta["config"], case.meta.get("tokens_skin_cond"))
    network: SkinNetwork = load(SkinNetwork(settings), weights, case, only)
    network.query_dtype = torch.float32
    return network


@check("cond_encoder")
def _condition_encoder(case: Case) -> list[Comparison]:
    network = skin_network(case, ("cond_",))
    out = constants(case, network)
    points, normals = case.tensor("in.cond")[0].split(3, -1)
    drawn = network.candidates(len(points), np.random.default_rng(case.meta["numpy_seed"]))
    chosen = network.select(points, drawn)
    return [
        *out,
        exact("sel.random_index", drawn.tolist() == case.tensor("sel.random_index").tolist()),
        exact("sel.fps_index", chosen.tolist() == case.tensor("sel.fps_index").tolist()),
        case.compare("out.cond_latents", network.condition(points, normals, drawn)[None], tolerance=tolerance(case)),
    ]


@check("fsq")
def _quantiser(case: Case) -> list[Comparison]:
    out = []
    for c in case.meta["cases"]:
        got = digits(torch.tensor(c["indices"], device=case.device), tuple(c["levels"]))
        out.append(exact(f"levels {c['levels']}", got.tolist() == c["codes"]))
        out.append(exact(f"codebook {c['levels']}", SkinConfig(levels=tuple(c["levels"])).codebook == c["codebook"]))
    return out


@check("skin_decoder")
def _skin_decoder(case: Case) -> list[Comparison]:
    network, limit = skin_network(case, ("decoder", "FSQ", "post_quant")), tolerance(case)
    out = constants(case, network)
    taps: dict[str, Tensor] = {}
    watched = {"tap.joint0.cross": network.decoder.cross, "tap.queries": network.decoder.proj_query}
    for name, module in watched.items():
        module.register_forward_hook(lambda _m, _i, output, name=name: taps.update({name: taps.get(name, output)}))
    network.decoder.blocks[-2].register_forward_hook(
        lambda _m, _i, output: taps.update({"tap.joint0.memory": taps.get("tap.joint0.memory", output[:1])})
    )
    points, normals = case.tensor("in.cond").split(3, -1)
    codes, condition = case.tensor("in.codes"), case.tensor("in.cond_latents")
    taps["tap.z"] = network.FSQ(codes)
    taps["tap.joint0.post_quant"] = network.joint_rows(codes[:1], condition)
    taps["out.weights"] = network.weights(points, normals, codes, condition)
    x, q = network.query(points, normals)
    keys, values = network.decoder.memory(network.joint_rows(codes[:1], condition))
    taps["tap.joint0.logits"] = network.decoder.logits(x, q, keys, values)[None, :, None]
    out.append(
        case.compare(
            "out.weights in pieces",
            network.weights(points, normals, codes, condition, 7, 1),
            case.tensor("out.weights"),
            limit,
        )
    )
    return out + [case.compare(name, value, tolerance=limit) for name, value in taps.items() if case.has(name)]


@check("released_numerics")
def _released(case: Case) -> list[Comparison]:
    network = skin_network(case, ("",), case.meta.get("vae") or case.meta["config"])
    network.query_dtype = torch.bfloat16
    points, normals = case.tensor("in.cond").split(3, -1)
    condition = network.condition(points, normals, case.array("sel.random_index"))
    weights = network.weights(points, normals, case.tensor("in.codes"), case.tensor("out.cond_latents")[0].float())
    whole = network.weights(points, normals, case.tensor("in.codes"), condition)
    out = [
        case.compare("out.cond_latents", condition[None], case.tensor("out.cond_latents").float(), RELEASED_CONDITIONS),
        case.compare("out.weights", weights, case.tensor("out.weights").float(), RELEASED_WEIGHTS),
        case.compare("out.weights from our condition", whole, case.tensor("out.weights").float(), RELEASED_WEIGHTS),
    ]
    weights_of_encoder = {k: v for k, v in case.group("w").items() if k.startswith(("mesh_encoder", "output_proj"))}
    if case.has("out.mesh_cond") and weights_of_encoder:
        width = len(weights_of_encoder["output_proj.0.bias"])
        encoder: ShapeEncoder = load(ShapeEncoder(EncoderConfig.of(case.meta["enc"]), width), weights_of_encoder, case)
        out.append(
            case.compare(
                "out.mesh_cond",
                encoder(points[None], normals[None]),
                case.tensor("out.mesh_cond").float(),
                RELEASED_CONDITIONS,
            )
        )
    return out


@check("qwen")
def _language_model(case: Case) -> list[Comparison]:
    weights = {k.removeprefix("transformer.model."): v for k, v in case.group("w").items()}
    decoder: Decoder = load(Decoder(QwenConfig.of(case.meta["config"])), weights, case)
    limit, taps = tolerance(case), dict[str, Tensor]()
    decoder.layers[0].register_forward_hook(lambda _m, _i, output: taps.update({"tap.layer0": output[0]}))
    decoder.layers[0].self_attn.register_forward_hook(  # type: ignore[union-attr]
        lambda _m, _i, output: taps.update({"tap.layer0.attention": output[0]})
    )
    rows = case.tensor("in.embeddings")
    taps["tap.final_norm"], _ = decoder.hidden(rows)
    taps["out.logits"] = decoder.vocabulary(taps["tap.final_norm"])
    turn = turning(torch.arange(rows.shape[1], device=case.device), decoder.rates)
    assert len(turn[0]) == rows.shape[1]
    return [
        exact("const.inv_freq", torch.equal(decoder.rates.cpu(), case.tensor("const.inv_freq").cpu())),
        *(case.compare(name, value, tolerance=limit) for name, value in taps.items() if case.has(name)),
    ]


def whole_model(case: Case) -> tuple[SkinTokensModel, list[Comparison]]:
    """The model of a recording with the recorded constants, and what was compared of them."""
    weights = {k: v for k, v in case.group("w").items() if k != "transformer.lm_head.weight"}
    config = ModelConfig.of(case.meta["config"], len(weights["transformer.model.embed_tokens.weight"]))
    model: SkinTokensModel = load(SkinTokensModel(config), weights, case)
    model.skin.query_dtype = torch.float32
    out = constants(case, model.skin, "vae_")
    if case.has("const.inv_freq"):
        out.append(exact("const.inv_freq", torch.equal(model.decoder.rates.cpu(), case.tensor("const.inv_freq").cpu())))
    return model, out
