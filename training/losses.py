# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network is trained for, and how its heatmaps become points."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.reader.layout import HEIGHT, KEYPOINTS, PARTS, WIDTH, vector_slices
from training.dataset import Batch
from training.sample import UNKNOWN_PART

SPREAD = 5.0  # input pixels: standard deviation of a key point's target
# Yaw and the joints' depths have no weight: they are told by `training.turns`.
WEIGHTS = {"heat": 1.0, "place": 0.03, "parts": 0.7, "maps": 2.0, "count": 0.4, "mouth": 0.3, "sizes": 0.3,
           "visible": 0.5}  # fmt: skip
# Of a network that sees heads alone; what it does not tell has no weight.
HEAD_WEIGHTS = {"heat": 1.0, "place": 0.03, "parts": 0.3, "mouth": 0.3, "sizes": 0.3, "visible": 0.5}
SLICES = vector_slices()
_HEAT, _PARTS = slice(0, len(KEYPOINTS)), slice(len(KEYPOINTS), len(KEYPOINTS) + len(PARTS))


def centres(heat: Tensor) -> tuple[Tensor, Tensor]:
    """x and y of the middles of the cells, in pixels of WIDTH x HEIGHT whatever the maps' resolution is."""
    rows, columns = heat.shape[2:]
    x, y = torch.arange(columns, device=heat.device) + 0.5, torch.arange(rows, device=heat.device) + 0.5
    return x * (WIDTH / columns), y * (HEIGHT / rows)


def expected_places(heat: Tensor) -> Tensor:
    """(B, K, 2): mean of each heatmap's softmax (integral regression, Sun et al. 2018)."""
    share = heat.flatten(2).softmax(-1).view(heat.shape)
    x, y = centres(heat)
    return torch.stack([(share.sum(2) * x).sum(-1), (share.sum(3) * y).sum(-1)], -1)


def peak_places(heat: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K, 2) mean of the softmax within two cells of its maximum, and (B, K) the share that lies there."""
    rows, columns = heat.shape[2:]
    share = heat.flatten(2).softmax(-1)
    best = share.argmax(-1)
    near_y = (torch.arange(rows, device=heat.device) - (best // columns)[..., None]).abs() <= 2
    near_x = (torch.arange(columns, device=heat.device) - (best % columns)[..., None]).abs() <= 2
    share = share.view(heat.shape) * near_y[..., None] * near_x[..., None, :]
    mass = share.sum((2, 3))
    x, y = centres(heat)
    place = torch.stack([(share.sum(2) * x).sum(-1), (share.sum(3) * y).sum(-1)], -1)
    return place / mass[..., None], mass


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean of `values` where true; zero where nothing is."""
    return torch.where(where, values, torch.zeros_like(values)).sum() / where.sum().clamp(min=1)


def losses(maps: Tensor, vector: Tensor, truth: Batch) -> dict[str, Tensor]:
    """Each of WEIGHTS, yaw and depth, unweighted."""
    heat, parts, depth = maps[:, _HEAT], maps[:, _PARTS], maps[:, _PARTS.stop :]
    x, y = centres(heat)
    points, known = truth["points"], truth["known"]
    across = torch.exp(-((points[..., :1] - x) ** 2) / (2 * SPREAD**2))
    down = torch.exp(-((points[..., 1:] - y) ** 2) / (2 * SPREAD**2))
    target = (down[..., :, None] * across[..., None, :]).flatten(2)
    target = target / (target.sum(-1, keepdim=True) + 1e-6)
    cross = -(target * (heat.flatten(2).log_softmax(-1) - torch.log(target + 1e-9))).sum(-1)
    out = {
        "heat": _mean(cross, known),
        "place": _mean((expected_places(heat) - points).abs().sum(-1), known),
        "parts": F.cross_entropy(parts, truth["parts"], ignore_index=UNKNOWN_PART),
        "maps": sum(
            (_mean((depth[:, k] - torch.nan_to_num(truth[name])).abs(), torch.isfinite(truth[name])))
            for k, name in enumerate(("front", "back"))
        ),
    }
    out.update(_vector_losses(vector, truth))
    return out


def _vector_losses(vector: Tensor, truth: Batch) -> dict[str, Tensor]:
    value = {name: vector[:, place] for name, place in SLICES.items()}
    angle = torch.deg2rad(torch.nan_to_num(truth["yaw"].float()))
    turned = torch.stack([torch.sin(angle), torch.cos(angle)], -1)
    one = torch.isfinite(truth["yaw"])
    sizes = truth["sizes"].flatten(1).float() / HEIGHT
    sized = torch.isfinite(sizes) & (sizes > 0) & truth["visible"][:, -3:].repeat_interleave(2, 1)
    # Of a head's crop nothing is said about the body's joints.
    judged = one[:, None] & (~truth["head"][:, None] | truth["known"])
    judged[:, -5:] = one[:, None]
    return {
        "yaw": _mean((value["yaw"] - turned).abs().sum(-1), one),
        "count": _classes(value["count"], truth["count"].long()),
        "mouth": _classes(value["mouth"], truth["mouth"].long()),
        "sizes": _mean((value["sizes"] - torch.log(sizes.clamp(min=1e-4).nan_to_num(1.0))).abs(), sized),
        "depth": _mean(
            (value["depth"] - truth["depth"].nan_to_num()).abs(),
            torch.isfinite(truth["depth"]) & truth["known"][:, : truth["depth"].shape[1]],
        ),
        "visible": _mean(
            F.binary_cross_entropy_with_logits(value["visible"], truth["visible"].float(), reduction="none"), judged
        ),
    }


def _classes(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy over the samples whose class is known, -1 not being known."""
    if not (truth >= 0).any():
        return logits.sum() * 0
    return F.cross_entropy(logits, truth, ignore_index=-1)


def total(parts: dict[str, Tensor], weights: dict[str, float] = WEIGHTS) -> Tensor:
    return sum(weight * parts[name] for name, weight in weights.items())
