# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered shards as batches, moved, turned, mirrored and recoloured at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.reader.layout import FACE, HEIGHT, JOINTS, KEYPOINTS, PARTS, STRIDE, WIDTH, mirrored
from training.sample import FIELDS

Batch = dict[str, Tensor]
MIRRORED_POINTS = torch.tensor(mirrored(KEYPOINTS))
MIRRORED_JOINTS = torch.tensor(mirrored(JOINTS))
# Labels beyond PARTS, as UNKNOWN_PART, stay.
MIRRORED_PARTS = torch.cat([torch.tensor(mirrored(PARTS)), torch.arange(len(PARTS), 256)])
MIRRORED_FACE = torch.tensor(mirrored(FACE))


class Shards:
    """All finished shards of some folders; `refresh` finds those that were rendered since."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders
        self.arrays: dict[Path, dict[str, np.ndarray]] = {}
        self.lengths: list[int] = []
        self.refresh()

    def refresh(self) -> None:
        for folder in self.folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                if path.suffix != ".part" and path not in self.arrays:
                    self.arrays[path] = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in FIELDS}
        self.lengths = [len(arrays["count"]) for arrays in self.arrays.values()]

    def __len__(self) -> int:
        return sum(self.lengths)

    def take(self, indices: np.ndarray) -> Batch:
        """The samples at these places in the sequence of all shards."""
        ends = np.cumsum(self.lengths)
        shards = np.searchsorted(ends, indices, side="right")
        arrays = list(self.arrays.values())
        starts = ends - self.lengths
        rows = [(arrays[s], int(i - starts[s])) for s, i in zip(shards, indices, strict=True)]
        out = {name: torch.from_numpy(np.stack([a[name][k] for a, k in rows])) for name in FIELDS}
        out["points"] = out["points"].nan_to_num()  # an unknown place is masked, but NaN times zero is NaN
        return out


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, 3, H, W) at `size`, width and height."""
    return image if size == (WIDTH, HEIGHT) else F.interpolate(image, size=size[::-1], mode="area")


def prepare(raw: Batch) -> Batch:
    """Pictures as (B, 3, H, W) float, the truth's maps at the network's resolution, unchanged in all else."""
    out = dict(raw)
    out["image"] = raw["image"].permute(0, 3, 1, 2).float()
    half = slice(None, None, STRIDE // 2)
    for name in ("parts", "front", "back"):
        out[name] = raw[name][:, half, half]
    out["parts"] = out["parts"].long()
    out["front"], out["back"] = out["front"].float(), out["back"].float()
    return out


def augment(raw: Batch, generator: torch.Generator, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Batch:
    """As `prepare`, with a random similarity, mirroring and colours.

    size: width and height of the pictures, multiples of 32; fewer pixels make early steps cheaper. Points and lengths
    stay in pixels of WIDTH x HEIGHT.
    """
    count = len(raw["image"])

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * (high - low) + low

    grow, flip = uniform(0.88, 1.2, count), (torch.rand(count, generator=generator) < 0.5).float() * -2 + 1
    angle = torch.randn(count, generator=generator) * 0.08
    half = torch.tensor([WIDTH / 2, HEIGHT / 2])
    shift = uniform(-0.08, 0.08, count, 2) * half * 2
    # The source of an output point, both from the middle: matrix @ point + shift.
    cos, sin = torch.cos(angle) * grow, torch.sin(angle) * grow
    matrix = torch.stack([torch.stack([cos * flip, -sin], -1), torch.stack([sin * flip, cos], -1)], 1)
    theta = torch.cat([matrix * half.view(1, 1, 2) / half.view(1, 2, 1), (shift / half)[..., None]], -1)
    image = raw["image"].permute(0, 3, 1, 2).float()
    image = resized(image, size)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    image = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
    out = dict(raw)
    out["image"] = _recolour(image, generator)
    coarse = F.affine_grid(theta, [count, 1, size[1] // STRIDE, size[0] // STRIDE], align_corners=False)

    def moved(maps: Tensor, outside: float) -> Tensor:
        # One is added so that what comes from outside the picture, zero, can be told from a value.
        found = F.grid_sample(maps[:, None] + 8, coarse, mode="nearest", align_corners=False)[:, 0]
        return torch.where(found == 0, torch.full_like(found, outside), found - 8)

    mirrored_rows = flip < 0
    parts = moved(raw["parts"].float(), 0).round().long()
    out["parts"] = torch.where(mirrored_rows[:, None, None], MIRRORED_PARTS[parts], parts)
    for name in ("front", "back"):
        out[name] = moved(raw[name].float(), float("nan")) / grow[:, None, None]
    points = torch.einsum("bij,bkj->bki", torch.linalg.inv(matrix), raw["points"] - half - shift[:, None]) + half
    _mirror(out, raw, points, mirrored_rows)
    for name in ("depth", "sizes"):
        out[name] = out[name] / grow.view(-1, *[1] * (out[name].dim() - 1))
    inside = (out["points"] > -2).all(-1) & (out["points"][..., 0] < WIDTH + 2) & (out["points"][..., 1] < HEIGHT + 2)
    out["known"] = out["known"] & inside
    out["visible"] = out["visible"] & inside
    return out


def _mirror(out: Batch, raw: Batch, points: Tensor, rows: Tensor) -> None:
    """Left becomes right where `rows`."""
    swaps = {"known": MIRRORED_POINTS, "visible": MIRRORED_POINTS, "depth": MIRRORED_JOINTS, "sizes": MIRRORED_FACE}
    for name, order in {**swaps, "points": MIRRORED_POINTS}.items():
        value = points if name == "points" else raw[name]
        out[name] = torch.where(rows.view(-1, *[1] * (value.dim() - 1)), value[:, order], value)
    out["yaw"] = torch.where(rows, -raw["yaw"], raw["yaw"])


def _recolour(image: Tensor, generator: torch.Generator) -> Tensor:
    count = len(image)
    channel = torch.rand(count, 3, 1, 1, generator=generator) * 0.4 + 0.8
    contrast = torch.rand(count, 1, 1, 1, generator=generator) * 0.5 + 0.7
    offset = torch.randn(count, 3, 1, 1, generator=generator) * 10
    image = (image - 127) * channel * contrast + 127 + offset
    shuffled = torch.rand(count, generator=generator) < 0.15
    image[shuffled] = image[shuffled][:, torch.randperm(3, generator=generator)]
    return image.clamp(0, 255)
