# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of yaw and depths: from what the layers of limbs.onnx hold at each joint.

    python -m training.turns RUN --data FOLDER [--data FOLDER ...] [--steps 3000] [--seed 0] [--threads 1]

FOLDER: an OUT of `training.turn_pictures`. RUN gets turns.pt, and log.csv with the scores on held-out characters.
A run takes a few minutes and starts anew when it is called again.
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

from backend.reader.layout import JOINTS, mirrored
from backend.reader.limbs import POINTS, SIDE
from training.figure import BEHIND
from training.joint_pictures import TAPS
from training.turn_pictures import CHANNELS, FIELDS, LAYERS

NARROW, WIDE = (48, 96), 192
RATE, DECAY, AVERAGE = 1e-3, 5e-2, 0.998
DROPPED, NOISE = 0.3, 0.01  # share of the inputs that are left out at random; of the places, in sides of the square
DEPTH_UNIT = 0.05  # sides of the square: an error that weighs as much as one of the yaw by a radian
BATCH = 128
MIRRORED_JOINTS = mirrored(JOINTS)
Batch = dict[str, Tensor]


class TurnNetwork(nn.Module):
    """at (B, K, CHANNELS), round (B, C), places (B, K, 2) as in `training.turn_pictures`, to (B, 2 + J): sine and
    cosine of the yaw, not normalised, and the depths in sides of the square.
    """

    def __init__(self) -> None:
        super().__init__()
        count = len(POINTS)
        self.narrow = nn.Linear(CHANNELS, NARROW[0])
        self.round = nn.Linear(TAPS[LAYERS[0]][0], NARROW[1])
        self.drop = nn.Dropout(DROPPED)
        self.layers = nn.Sequential(
            nn.Linear(count * (NARROW[0] + 2) + NARROW[1], WIDE), nn.ReLU(), nn.Dropout(DROPPED),
            nn.Linear(WIDE, WIDE), nn.ReLU(), nn.Linear(WIDE, 2 + len(JOINTS)),
        )  # fmt: skip
        # Layers have values of very different sizes.
        self.register_buffer("scale", torch.ones(CHANNELS))
        self.register_buffer("round_scale", torch.ones(TAPS[LAYERS[0]][0]))

    def forward(self, at: Tensor, around: Tensor, places: Tensor) -> Tensor:
        places = (places - places.mean(1, keepdim=True)) / SIDE
        if self.training:
            places = places + NOISE * torch.randn_like(places)
        near = F.relu(self.narrow(self.drop(at / self.scale)))
        whole = F.relu(self.round(self.drop(around / self.round_scale)))
        out = self.layers(torch.cat([near.flatten(1), 4 * places.flatten(1), whole], 1))
        return torch.cat([out[:, :2], out[:, 2:] * DEPTH_UNIT], 1)


def load(folders: list[Path]) -> Batch:
    """All finished shards. Raises ValueError where there is none."""
    paths = [p for folder in folders for p in sorted(folder.glob("*.npz")) if not p.stem.endswith(".part")]
    if not paths:
        raise ValueError("No finished shard was found; run training.turn_pictures first.")
    shards = [np.load(path) for path in paths]
    return {name: torch.from_numpy(np.concatenate([s[name] for s in shards])) for name in FIELDS}


def take(data: Batch, rows: Tensor) -> Batch:
    return {name: value[rows].float() for name, value in data.items()}


def loss(out: Tensor, batch: Batch) -> Tensor:
    """Squares for the yaw: absolute errors would let what is unsure fall to the front. Depths: Huber's."""
    angle = torch.deg2rad(batch["yaw"])
    truth = torch.stack([angle.sin(), angle.cos()], 1)
    turned = ((out[:, :2] - truth) ** 2).sum(1).mean()
    known = torch.isfinite(batch["depth"])
    off = F.huber_loss(out[:, 2:] / DEPTH_UNIT, batch["depth"].nan_to_num() / DEPTH_UNIT, reduction="none")
    return turned + (off * known).sum() / known.sum().clamp(min=1)


def both(network: TurnNetwork, batch: Batch, other: Batch) -> Tensor:
    """As the reader does it: the mean of a picture and its mirror image."""
    with torch.no_grad():
        out, back = (network(b["at"], b["round"], b["places"]) for b in (batch, other))
    swapped = torch.cat([-back[:, :1], back[:, 1:2], back[:, 2:][:, MIRRORED_JOINTS]], 1)
    return (out + swapped) / 2


def scores(out: Tensor, batch: Batch) -> dict[str, float]:
    """Of whole figures: yaw within 15 and 30 degrees of those from the front, how many of the others are told from
    them, and how many of those from the front are taken for others; depths' correlation and median error in sides.
    """
    yaw = torch.rad2deg(torch.atan2(out[:, 0], out[:, 1]))
    off = ((yaw - batch["yaw"] + 180) % 360 - 180).abs()
    front = batch["yaw"].abs() <= BEHIND
    back = batch["yaw"].abs() >= 110
    known = torch.isfinite(batch["depth"])
    known[:, JOINTS.index("hips")] = False
    found, truth = out[:, 2:][known & front[:, None]], batch["depth"][known & front[:, None]]
    return {
        "within 15": float((off[front] <= 15).float().mean()), "within 30": float((off[front] <= 30).float().mean()),
        "from behind told": float((yaw[back].abs() > 90).float().mean()),
        "front taken for behind": float((yaw[front].abs() > 90).float().mean()),
        "depth correlation": float(torch.corrcoef(torch.stack([found, truth]))[0, 1]),
        "depth error": float((found - truth).abs().median()), "of zero": float(truth.abs().median()),
    }  # fmt: skip


def train(data: Batch, held: Batch, steps: int, seed: int, log: Path | None = None) -> TurnNetwork:
    """The averaged weights after `steps` steps."""
    torch.manual_seed(seed)
    network, average = TurnNetwork(), TurnNetwork().eval()
    network.scale.copy_(data["at"].float().std((0, 1)) + 1e-3)
    network.round_scale.copy_(data["round"].float().std(0) + 1e-3)
    average.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    rows, held = [], {name: value.float() for name, value in held.items()}
    for step in range(steps):
        for group in optimiser.param_groups:
            slower = 0.5 + 0.5 * math.cos(math.pi * step / steps)
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * slower)
        batch = take(data, torch.randint(len(data["yaw"]), (BATCH,)))
        value = loss(network.train()(batch["at"], batch["round"], batch["places"]), batch)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
        keep = min(AVERAGE, 1 - 1 / (step + 1))
        with torch.no_grad():
            for old, new in zip(average.parameters(), network.parameters(), strict=True):
                old.lerp_(new, 1 - keep)
        if (step + 1) % 250 == 0 or step + 1 == steps:
            with torch.no_grad():
                out = average(held["at"], held["round"], held["places"])
            row = {"step": step + 1, "loss": float(value.detach()), "held-out loss": float(loss(out, held))}
            rows.append({name: round(v, 4) for name, v in {**row, **scores(out, held)}.items()})
            print(rows[-1], flush=True)
    if log is not None:
        with log.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.run.mkdir(parents=True, exist_ok=True)
    data, held = (load([folder / part for folder in options.data]) for part in ("train", "validation"))
    network = train(data, held, options.steps, options.seed, options.run / "log.csv")
    state = {"network": network.state_dict(), "steps": options.steps, "seed": options.seed}
    torch.save(state, options.run / "turns.pt")


if __name__ == "__main__":
    main()
