# SPDX-License-Identifier: GPL-3.0-or-later
"""The second opinion's own decoder: joints, head top and chin, as ours are marked, from MoveNet's frozen layers.

    python -m training.joints RUN --data FOLDER [--data FOLDER ...] [--steps 1600] [--seed 0] [--threads 1]

FOLDER: an OUT of `training.joint_pictures`. RUN gets checkpoint.pt every 50 steps, from which an interrupted run goes
on, and log.csv with the share of held-out joints within 5 % of the figure's height.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.reader.limbs import POINTS, SIDE
from training.joint_pictures import TAPS
from training.scores import NEAR

CELLS = 64  # of its heatmaps, across
SPREAD = 1.6  # cells: standard deviation of a point's target
PLACE = 0.1  # weight of the distance, in cells, beside the cross entropy
RATE, DECAY, AVERAGE = 2e-3, 2e-2, 0.995
DROPPED = 0.1  # share of a layer's channels that are left out at random
WIDE, DEPTH = (128, 96), (2, 3)  # channels and refinements at 16 and at 32 cells across


class Refine(nn.Sequential):
    """A depthwise 5 x 5 and a pointwise convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class Decoder(nn.Module):
    """Layers of TAPS, in their order, to heatmap logits (B, K, CELLS, CELLS) of POINTS. It works at half of CELLS; four
    of its last channels make one map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.ModuleList()
        for channels, cells in TAPS.values():
            fine = channels if cells < CELLS else 4 * channels
            self.lateral.append(nn.Conv2d(fine, WIDE[int(cells > 16)], 1))
        self.drop = nn.Dropout2d(DROPPED)
        self.narrow = nn.Conv2d(*WIDE, 1)
        self.refine = nn.ModuleList(
            [nn.ModuleList([Refine(n) for _ in range(d)]) for n, d in zip(WIDE, DEPTH, strict=True)]
        )
        self.maps = nn.Conv2d(WIDE[1], 4 * len(POINTS), 1)

    def forward(self, *layers: Tensor) -> Tensor:
        given: dict[int, Tensor] = {}
        for (_, cells), lateral, layer in zip(TAPS.values(), self.lateral, layers, strict=True):
            given_layer = self.drop(layer)
            if cells == CELLS:
                given_layer, cells = F.pixel_unshuffle(given_layer, 2), CELLS // 2
            found = lateral(given_layer)
            given[cells] = given[cells] + found if cells in given else found
        y = given[8]
        for k, cells in enumerate((16, 32)):
            y = F.interpolate(self.narrow(y) if k else y, scale_factor=2.0, mode="nearest")
            y = F.relu(y + given[cells])
            for refine in self.refine[k]:
                y = y + refine(y)
        return F.pixel_shuffle(self.maps(y), 2)


class Shards:
    """All finished shards of some folders; `refresh` finds those that were made since."""

    FIELDS = (*TAPS, "points", "known", "tall")

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders
        self.arrays: dict[Path, dict[str, np.ndarray]] = {}
        self.refresh()

    def refresh(self) -> None:
        for folder in self.folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                if path.suffix != ".part" and path not in self.arrays:
                    self.arrays[path] = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in self.FIELDS}
        self.places = [(path, k) for path, a in self.arrays.items() for k in range(len(a["tall"]))]

    def __len__(self) -> int:
        return len(self.places)

    def take(self, indices: np.ndarray) -> dict[str, Tensor]:
        rows = [(self.arrays[path], k) for path, k in (self.places[int(i)] for i in indices)]
        out = {name: torch.from_numpy(np.stack([a[name][k] for a, k in rows])) for name in self.FIELDS}
        return {name: v.float() if v.dtype == torch.float16 else v for name, v in out.items()}


def loss(heat: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Cross entropy with a normal distribution round each point, and how far the mean place is off."""
    cells = torch.arange(CELLS) + 0.5
    points, known = batch["points"] * (CELLS / SIDE), batch["known"]
    across, down = (torch.exp(-((points[..., k : k + 1] - cells) ** 2) / (2 * SPREAD**2)) for k in (0, 1))
    target = (down[..., :, None] * across[..., None, :]).flatten(2)
    target = target / (target.sum(-1, keepdim=True) + 1e-6)
    share = heat.flatten(2).log_softmax(-1)
    cross = -(target * share).sum(-1)
    spread = share.exp().view(heat.shape)
    mean = torch.stack([(spread.sum(2) * cells).sum(-1), (spread.sum(3) * cells).sum(-1)], -1)
    off = (mean - points).abs().sum(-1).clamp(max=20)
    return torch.where(known, cross + PLACE * off, torch.zeros_like(cross)).sum() / known.sum().clamp(min=1)


def places(heat: Tensor) -> Tensor:
    """(B, K, 2) pixels of the square: the mean within two cells of each maximum."""
    share = heat.flatten(2).softmax(-1)
    best = share.argmax(-1)
    cells = torch.arange(CELLS)
    near_y = (cells - (best // CELLS)[..., None]).abs() <= 2
    near_x = (cells - (best % CELLS)[..., None]).abs() <= 2
    share = share.view(heat.shape) * near_y[..., None] * near_x[..., None, :]
    mean = torch.stack([(share.sum(2) * (cells + 0.5)).sum(-1), (share.sum(3) * (cells + 0.5)).sum(-1)], -1)
    return mean / share.sum((2, 3))[..., None] * (SIDE / CELLS)


def score(decoder: Decoder, shards: Shards) -> tuple[float, float]:
    """Share of the joints within NEAR of the figure's height, and the mean loss."""
    good, count, sums = 0, 0, []
    for start in range(0, len(shards), 64):
        batch = shards.take(np.arange(start, min(start + 64, len(shards))))
        with torch.no_grad():
            heat = decoder(*(batch[name] for name in TAPS))
        off = (places(heat) - batch["points"]).norm(dim=-1) / batch["tall"][:, None]
        good += int(((off <= NEAR) & batch["known"]).sum())
        count += int(batch["known"].sum())
        sums.append(float(loss(heat, batch)))
    return good / max(count, 1), float(np.mean(sums))


class Trainer:
    """Goes on from RUN/checkpoint.pt where there is one."""

    def __init__(self, run: Path, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed, self.step, self.path = seed, 0, run / "checkpoint.pt"
        self.decoder, self.average = Decoder().to(memory_format=torch.channels_last), Decoder().eval()
        self.average.load_state_dict(self.decoder.state_dict())
        self.optimiser = torch.optim.AdamW(self.decoder.parameters(), lr=RATE, weight_decay=DECAY)
        run.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            for name in ("decoder", "average", "optimiser"):
                getattr(self, name).load_state_dict(state[name])
            self.step = state["step"]

    def save(self) -> None:
        state = {name: getattr(self, name).state_dict() for name in ("decoder", "average", "optimiser")}
        temporary = self.path.with_suffix(".part")
        torch.save(state | {"step": self.step}, temporary)
        temporary.replace(self.path)

    def advance(self, batch: dict[str, Tensor], steps: int) -> float:
        torch.manual_seed(self.seed * 1_000_003 + self.step)  # of what is left out
        warm = min(1.0, (self.step + 1) / 50)
        for group in self.optimiser.param_groups:
            group["lr"] = RATE * warm * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * self.step / steps)))
        self.decoder.train()
        value = loss(self.decoder(*(batch[name].contiguous(memory_format=torch.channels_last) for name in TAPS)), batch)
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.decoder.parameters(), 2.0)
        self.optimiser.step()
        self.step += 1
        keep = min(AVERAGE, 1 - 1 / (self.step + 1))
        with torch.no_grad():
            pairs = zip(self.average.state_dict().values(), self.decoder.state_dict().values(), strict=True)
            for old, new in pairs:
                old.lerp_(new, 1 - keep) if old.dtype.is_floating_point else old.copy_(new)
        return float(value.detach())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shards = Shards([folder / "train" for folder in options.data])
    held_out = Shards([folder / "validation" for folder in options.data])
    if not len(shards):
        parser.error("No finished shard was found; run training.joint_pictures first.")
    trainer, sums = Trainer(options.run, options.seed), []
    while trainer.step < options.steps:
        draw = np.random.default_rng((options.seed, trainer.step))
        batch = shards.take(np.sort(draw.integers(0, len(shards), options.batch)))
        sums.append(trainer.advance(batch, options.steps))
        if trainer.step % 50 == 0 or trainer.step == options.steps:
            trainer.save()
            good, held = score(trainer.average, held_out) if len(held_out) else (math.nan, math.nan)
            row = {"step": trainer.step, "loss": np.mean(sums), "held-out loss": held, "held-out joints": 100 * good}
            row, sums = {name: round(float(v), 4) for name, v in row.items()}, []
            new = not (options.run / "log.csv").exists()
            with (options.run / "log.csv").open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(row))
                if new:
                    writer.writeheader()
                writer.writerow(row)
            print(row, flush=True)


if __name__ == "__main__":
    main()
