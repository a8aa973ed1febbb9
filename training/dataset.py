# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered shards as batches, varied at random by `training.variety`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.reader.layout import FACE, HEIGHT, JOINTS, KEYPOINTS, PARTS, STRIDE, WIDTH, mirrored
from training.sample import FIELDS
from training.variety import drawn, fewer_pixels, frames, recolour, restyle

Batch = dict[str, Tensor]
DRAWN = 0.25  # share of the whole figures in another technique, on top of those that were rendered so
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
    """As `prepare`, moved, stretched and mirrored at random, in other colours and textures.

    size: width and height of the pictures, multiples of 32; fewer pixels make early steps cheaper. Points and lengths
    stay in pixels of WIDTH x HEIGHT.
    """
    count = len(raw["image"])
    half = torch.tensor([WIDTH / 2, HEIGHT / 2])
    matrix, shift, stretch, mirrored_rows = frames(raw, generator)
    theta = torch.cat([matrix * half.view(1, 1, 2) / half.view(1, 2, 1), (shift / half)[..., None]], -1)
    image = restyle(resized(raw["image"].permute(0, 3, 1, 2).float(), size), raw, generator)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    image = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
    out = dict(raw)
    image = recolour(fewer_pixels(image, raw, generator), generator)
    out["image"] = drawn(image, (torch.rand(count, generator=generator) < DRAWN) & ~raw["head"], generator)
    coarse = F.affine_grid(theta, [count, 1, size[1] // STRIDE, size[0] // STRIDE], align_corners=False)

    def moved(maps: Tensor, outside: float) -> Tensor:
        # One is added so that what comes from outside the picture, zero, can be told from a value.
        found = F.grid_sample(maps[:, None] + 8, coarse, mode="nearest", align_corners=False)[:, 0]
        return torch.where(found == 0, torch.full_like(found, outside), found - 8)

    grow = stretch.prod(1).sqrt()
    parts = moved(raw["parts"].float(), 0).round().long()
    out["parts"] = torch.where(mirrored_rows[:, None, None], MIRRORED_PARTS[parts], parts)
    for name in ("front", "back"):
        out[name] = moved(raw[name].float(), float("nan")) / grow[:, None, None]
    points = torch.einsum("bij,bkj->bki", torch.linalg.inv(matrix), raw["points"] - half - shift[:, None]) + half
    _mirror(out, raw, points, mirrored_rows)
    out["depth"] = out["depth"] / grow[:, None]
    out["sizes"] = out["sizes"] / stretch[:, None]
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
