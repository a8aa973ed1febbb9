# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the reader's network on rendered shards:

    python -m training.train RUN --data FOLDER [--data FOLDER ...] --steps 4000 [--batch 24] [--device cpu]

RUN/checkpoint.pt holds everything; called again, training resumes, with another --steps too: the learning
rate stays level for 65 % of the steps and then falls to nothing. RUN/log.csv has the losses and, every --validate
steps, the scores on the held-out characters. Step k draws its samples by (seed, k), so that finished data gives the
same run again.
"""

from __future__ import annotations

import argparse
import copy
import csv
import hashlib
import math
import time
from pathlib import Path

import numpy as np
import torch

from backend.reader.layout import HEIGHT, WIDTH
from training.dataset import Batch, Shards, augment, prepare, resized
from training.losses import HEAD_WEIGHTS, WEIGHTS, losses, total
from training.network import ReaderNetwork
from training.scores import quick_scores
from training.start import load_exported

RATES = {"backbone": 8e-4, "head": 2e-3}
WARM_UP = 60
MEASURED = 96  # pictures that the statistics of exported weights are measured on
LEVEL = 0.65  # share of the steps at the full rate
START = "start.txt"  # in a run's folder: SHA-256 of the exported weights that it began with
AVERAGE = 0.99  # of the weights that are kept for use, from step to step


def rate(step: int, steps: int) -> float:
    """Share of the full learning rate at `step`."""
    share = step / max(steps, 1)
    fall = 1.0 if share < LEVEL else 0.5 + 0.5 * math.cos(math.pi * min((share - LEVEL) / (1 - LEVEL), 1.0))
    return min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.98 * fall)


class Trainer:
    """One run in one folder."""

    def __init__(
        self, run: Path, device: str, seed: int, rates: float = 1.0, weights: dict[str, float] = WEIGHTS
    ) -> None:
        """rates: share of the usual learning rates; less for weights that are to change little. weights: of losses."""
        torch.manual_seed(seed)
        self.run, self.device, self.seed, self.step = run, torch.device(device), seed, 0
        self.rates, self.weights = rates, weights
        self.network = ReaderNetwork().to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        backbone = [p for p in self.network.blocks.parameters() if p.requires_grad]
        ids = {id(p) for p in backbone}
        head = [p for p in self.network.parameters() if p.requires_grad and id(p) not in ids]
        self.optimiser = torch.optim.AdamW(
            [{"params": backbone, "full": RATES["backbone"]}, {"params": head, "full": RATES["head"]}],
            lr=1e-3, weight_decay=1e-2, betas=(0.9, 0.99),
        )  # fmt: skip
        run.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            state = torch.load(self.path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]

    def start_from(self, exported: Path, pictures: torch.Tensor) -> None:
        """Begins with exported weights; pictures: as in start.load_exported."""
        load_exported(self.network, exported, pictures.to(self.device))
        digest = hashlib.sha256(exported.read_bytes()).hexdigest()
        (self.run / START).write_text(digest + "\n", encoding="ascii")
        self.average.load_state_dict(self.network.state_dict())

    @property
    def path(self) -> Path:
        return self.run / "checkpoint.pt"

    def save(self) -> None:
        state = {"network": self.network.state_dict(), "average": self.average.state_dict(),
                 "optimiser": self.optimiser.state_dict(), "step": self.step}  # fmt: skip
        temporary = self.path.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(self.path)

    def advance(self, raw: Batch, steps: int, size: tuple[int, int]) -> dict[str, float]:
        """One step at `size`, width and height of the pictures; returns the losses."""
        self.network.train()
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        batch = {k: v.to(self.device) for k, v in augment(raw, generator, size).items()}
        for group in self.optimiser.param_groups:
            group["lr"] = group["full"] * self.rates * rate(self.step, steps)
        maps, vector = self.network(batch["image"].contiguous(memory_format=torch.channels_last))
        parts = losses(maps, vector, batch)
        self.optimiser.zero_grad(set_to_none=True)
        total(parts, self.weights).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._average()
        return {name: float(value.detach()) for name, value in parts.items()}

    def _average(self) -> None:
        keep = min(AVERAGE, 1 - 1 / (self.step + 1))
        with torch.no_grad():
            pairs = zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True)
            for old, new in pairs:
                if old.dtype.is_floating_point:
                    old.lerp_(new, 1 - keep)
                else:
                    old.copy_(new)

    def validate(self, shards: Shards, most: int, size: tuple[int, int]) -> dict[str, float]:
        scores = []
        for start in range(0, min(len(shards), most), 64):
            batch = prepare(shards.take(np.arange(start, min(start + 64, len(shards), most))))
            with torch.no_grad():
                maps, vector = self.average(resized(batch["image"], size).to(self.device))
            scores.append(quick_scores(maps.cpu(), vector.cpu(), batch))
        names = scores[0]
        sums = {n: (sum(s[n][0] for s in scores), sum(s[n][1] for s in scores)) for n in names}
        return {n: good / count for n, (good, count) in sums.items() if count}


def write_row(path: Path, row: dict[str, object]) -> None:
    """Appends to a table whose columns are those of its first row."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True, help="a folder of training.render")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--size", default=f"{WIDTH}x{HEIGHT}", help="of the pictures; a small one makes early steps cheap"
    )
    parser.add_argument("--start", type=Path, metavar="ONNX", help="exported weights that a new run starts from")
    parser.add_argument("--rates", type=float, default=1.0, help="share of the usual learning rates")
    parser.add_argument("--heads", action="store_true", help="learn eyes and mouth alone, on pictures of heads")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--validate", type=int, default=250)
    parser.add_argument("--pictures", type=int, default=512, help="that are validated on")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    width, height = (int(v) for v in options.size.split("x"))
    shards = Shards([folder / "train" for folder in options.data])
    held_out = Shards([folder / "validation" for folder in options.data])
    if not len(shards):
        parser.error("No finished shard was found; run training.render first.")
    weights = HEAD_WEIGHTS if options.heads else WEIGHTS
    trainer = Trainer(options.run, options.device, options.seed, options.rates, weights)
    if options.start and not trainer.step:
        some = np.linspace(0, len(shards) - 1, min(len(shards), MEASURED)).astype(int)
        trainer.start_from(options.start, resized(prepare(shards.take(some))["image"], (width, height)))
    began, first = time.monotonic(), trainer.step
    sums: dict[str, float] = {}
    while trainer.step < options.steps:
        if trainer.step % 25 == 0:
            shards.refresh()
        draw = np.random.default_rng((options.seed, trainer.step))
        parts = trainer.advance(
            shards.take(np.sort(draw.integers(0, len(shards), options.batch))), options.steps, (width, height)
        )
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value
        if trainer.step % 50 == 0:
            trainer.save()
            mean = {name: round(value / 50, 4) for name, value in sums.items()}
            sums = {}
            speed = (trainer.step - first) / (time.monotonic() - began)
            write_row(options.run / "losses.csv", {"step": trainer.step, "pictures": len(shards), **mean})
            print(f"step {trainer.step}, {speed:.2f} a second, {len(shards)} pictures: {mean}", flush=True)
        if trainer.step % options.validate == 0 or trainer.step == options.steps:
            trainer.save()
            found = trainer.validate(held_out, options.pictures, (width, height))
            scores = {n: round(100 * v, 1) for n, v in found.items()}
            write_row(options.run / "log.csv", {"step": trainer.step, **scores})
            print(f"step {trainer.step}, held out: {scores}", flush=True)
    trainer.save()


if __name__ == "__main__":
    main()
