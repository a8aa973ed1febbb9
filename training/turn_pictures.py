# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for the network of yaw and depths (`training.turns`), as what the layers of limbs.onnx hold at each joint:

    python -m training.turn_pictures OUT --characters FOLDER --pictures 6144 [--validation 512] [--seed 0]

Whole figures are rendered, restyled and cut as for `training.joint_pictures`; a third of them is seen from the side or
from behind. OUT/train and OUT/validation get one file a shard, NUMBER.npz: FIELDS, each figure CUTS times. A shard
depends only on the characters, the seed, its number and limbs.onnx; called again, the command makes those that are
missing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import torch

from backend.reader.layout import HEIGHT, JOINTS, mirrored
from backend.reader.limbs import FILE, SIDE
from backend.reader.network import softmax
from training.joint_pictures import BATCH, SHARD, TAPS, command, cut, missing, tapped
from training.sample import Cast, make_figure

CUTS = 2
WILD = 0.33
# Layers of TAPS that are averaged at each point; the first over the whole picture, too.
LAYERS = ("conv_276", "add_234", "add_197", "add_144")
CHANNELS = sum(TAPS[name][0] for name in LAYERS)
MIRRORED_JOINTS = mirrored(JOINTS)
# at (B, K, CHANNELS), round (B, C), places (B, K, 2) pixels of the square, yaw (B,) degrees, depth (B, J) towards the
# viewer from the hips, in sides of the square; NaN where unknown.
FIELDS = ("at", "round", "places", "yaw", "depth", "character")


def at_points(heat: np.ndarray, layers: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """heat (B, K, h, w) logits of the points; layers: (B, C, cells, cells) for each of LAYERS. `at`, `round` and
    `places` of FIELDS: what the layers hold where the points may be, by their shares.
    """
    count, points, side, _ = heat.shape
    share = softmax(heat.reshape(count, points, -1), 2).reshape(heat.shape)
    found = []
    for name in LAYERS:
        cells = layers[name].shape[2]
        step = side // cells
        coarse = share.reshape(count, points, cells, step, cells, step).sum((3, 5))
        found.append(np.einsum("bkij,bcij->bkc", coarse, layers[name], optimize=True))
    middle = (np.arange(side) + 0.5) * SIDE / side
    places = np.stack([share.sum(2) @ middle, share.sum(3) @ middle], -1)
    return np.concatenate(found, 2), layers[LAYERS[0]].mean((2, 3)), places


def make_batch(
    cast: Cast, seed: tuple[int, ...], network: onnxruntime.InferenceSession, varied: bool
) -> list[dict[str, np.ndarray]]:
    """BATCH figures, CUTS times: FIELDS."""
    samples = [make_figure(cast, (*seed, k), WILD) for k in range(BATCH)]
    raw = {name: torch.from_numpy(np.stack([s[name] for s in samples])) for name in samples[0]}
    raw["points"] = raw["points"].nan_to_num()
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    out = []
    for _ in range(CUTS if varied else 1):
        pictures, truth = cut(raw, generator, varied)
        heat, *found = network.run(["points", *LAYERS], {"pictures": pictures.numpy()})
        at, around, places = at_points(heat, dict(zip(LAYERS, found, strict=True)))
        flip, zoom = truth["flip"].numpy(), truth["zoom"].numpy()
        depth = raw["depth"].numpy() * HEIGHT * zoom[:, None] / SIDE
        yaw = raw["yaw"].numpy()
        out.append(
            {
                "at": at.astype(np.float16), "round": around.astype(np.float16), "places": places.astype(np.float32),
                "yaw": np.where(flip, -yaw, yaw).astype(np.float32),
                "depth": np.where(flip[:, None], depth[:, MIRRORED_JOINTS], depth).astype(np.float32),
                "character": raw["character"].numpy(),
            }
        )  # fmt: skip
    return out


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--limbs", type=Path, default=FILE, help="the network whose layers are used")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = tapped(options.limbs, LAYERS)
    for path, cast, seed, varied in missing(options, ".npz"):
        batches = [b for k in range(SHARD // BATCH) for b in make_batch(cast, (*seed, k), network, varied)]
        temporary = path.with_suffix(".part.npz")
        np.savez(temporary, **{name: np.concatenate([b[name] for b in batches]) for name in FIELDS})
        temporary.rename(path)


if __name__ == "__main__":
    main()
