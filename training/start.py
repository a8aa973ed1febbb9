# SPDX-License-Identifier: GPL-3.0-or-later
"""Trained weights as the start of another run: what `training.export` wrote, read back into the network."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from training.network import ReaderNetwork
from training.small import constants


def load_exported(network: ReaderNetwork, path: Path, pictures: Tensor) -> None:
    """Puts the weights of an exported file into a fresh network.

    pictures: (B, 3, h, w), 0 to 255, some training pictures: the export has folded the decoder's batch normalisations
    into its convolutions, and their statistics are measured again on these. Raises ValueError for another network's
    file.
    """
    weights = _weights(path)
    layers, norms = _layers(network, pictures)
    if len(weights) != len(layers):
        raise ValueError(f"{path.name} has {len(weights)} layers, the network {len(layers)}; it is another network's.")
    with torch.no_grad():
        for (name, layer), (weight, bias) in zip(layers, weights, strict=True):
            if layer.weight.shape != weight.shape:
                raise ValueError(f"{path.name} does not fit the network at {name}.")
            layer.weight.copy_(weight)
            norm = norms.get(name)
            if norm is not None:
                norm.weight.fill_(1.0)
                norm.running_mean.zero_()
                norm.running_var.fill_(1.0 - norm.eps)
                norm.bias.copy_(torch.zeros_like(norm.bias) if bias is None else bias)
            elif bias is not None:
                layer.bias.copy_(bias)
    _measure(network, [norm for norm in norms.values() if norm is not None], pictures)


def _weights(path: Path) -> list[tuple[Tensor, Tensor | None]]:
    """Weight and bias of every convolution and linear layer, in the order of the computation."""
    values, nodes = constants(onnx.load(path))
    found = []
    for node in nodes:
        if node.op_type in ("Conv", "Gemm"):
            bias = values[node.input[2]] if len(node.input) > 2 else None
            found.append((torch.tensor(values[node.input[1]]), None if bias is None else torch.tensor(bias)))
    return found


def _layers(
    network: ReaderNetwork, pictures: Tensor
) -> tuple[list[tuple[str, nn.Module]], dict[str, nn.BatchNorm2d | None]]:
    """Every layer with weights in the order of the computation, and the batch normalisation that follows it."""
    called: list[tuple[str, nn.Module]] = []
    hooks = [
        module.register_forward_hook(lambda module, _in, _out, name=name: called.append((name, module)))
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d))
    ]
    network.eval()
    with torch.no_grad():
        network(pictures[:1])
    for hook in hooks:
        hook.remove()
    layers, norms = [], {}
    for (name, module), (_, following) in zip(called, [*called[1:], ("", nn.Identity())], strict=True):
        if not isinstance(module, nn.BatchNorm2d):
            layers.append((name, module))
            norms[name] = following if isinstance(following, nn.BatchNorm2d) else None
    return layers, norms


def _measure(network: ReaderNetwork, norms: list[nn.BatchNorm2d], pictures: Tensor) -> None:
    """Gives normalisations that pass everything through the statistics of what they see; what they put out stays."""
    seen: dict[nn.BatchNorm2d, Tensor] = {}
    hooks = [norm.register_forward_hook(lambda norm, given, _out: seen.update({norm: given[0]})) for norm in norms]
    network.eval()
    with torch.no_grad():
        network(pictures)
        for hook in hooks:
            hook.remove()
        for norm, given in seen.items():
            mean, variance = given.mean((0, 2, 3)), given.var((0, 2, 3)).clamp_min(1e-4)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.bias.add_(mean)
            norm.weight.copy_(torch.sqrt(variance + norm.eps))
