# SPDX-License-Identifier: GPL-3.0-or-later
"""The trained network: pictures of the network's size to maps and numbers, as arrays with names."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from .layout import HEIGHT, JOINTS, KEYPOINTS, MOUTH_STATES, PARTS, WIDTH, mirrored, vector_slices

MODEL = Path(__file__).parent  # holds weights.onnx and calibration.json
REACH = 2  # cells around a heatmap's maximum that say where the point is
_SLICES = vector_slices()


@dataclass(frozen=True)
class Outputs:
    """Of one picture of the network's size; lengths in its pixels. h, w: rows and columns of the maps.

    heat (K, h, w): where each point may be, shares that add up to one; points (K, 2); mass (K,) share of each heatmap
    round its maximum; seen (K,) logits; parts (P, h, w) probabilities;
    front, back (h, w); depth (J,); yaw in degrees; humanoids (3,) and mouth (3,) probabilities; sizes (3, 2).
    """

    heat: np.ndarray
    points: np.ndarray
    mass: np.ndarray
    seen: np.ndarray
    parts: np.ndarray
    front: np.ndarray
    back: np.ndarray
    depth: np.ndarray
    yaw: float
    humanoids: np.ndarray
    mouth: np.ndarray
    sizes: np.ndarray


def softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def peaks(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, h, w) shares that add up to one each: the mean place round each maximum (K, 2), in pixels of WIDTH x HEIGHT,
    and the share that lies there (K,).
    """
    count, rows, columns = share.shape
    best = share.reshape(count, -1).argmax(1)
    y, x = np.arange(rows), np.arange(columns)
    near_y = np.abs(y[None] - (best // columns)[:, None]) <= REACH
    near_x = np.abs(x[None] - (best % columns)[:, None]) <= REACH
    local = share * near_y[:, :, None] * near_x[:, None, :]
    mass = local.sum((1, 2))
    across = (local.sum(1) * (x + 0.5)).sum(1) / mass
    down = (local.sum(2) * (y + 0.5)).sum(1) / mass
    return np.stack([across * (WIDTH / columns), down * (HEIGHT / rows)], 1), mass


@functools.lru_cache(maxsize=4)
def session(path: Path) -> onnxruntime.InferenceSession:
    """The network in a file. Raises onnxruntime's errors where it is missing or damaged."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the other cores may have work to do
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@functools.lru_cache(maxsize=2)
def calibration(model: Path) -> dict[str, list[float]]:
    return json.loads((model / "calibration.json").read_text(encoding="utf-8"))["points"]


def confidence(model: Path, name: str, mass: float, seen: float) -> float:
    """Probability that the point `name` is right: logistic in the log of its heatmap's mass and in `seen`."""
    of_mass, of_seen, constant = calibration(model).get(name, (1.0, 0.0, 0.0))
    return float(1 / (1 + np.exp(-(of_mass * np.log(mass + 1e-6) + of_seen * seen + constant))))


def run(model: Path, picture: np.ndarray) -> Outputs:
    """picture (HEIGHT, WIDTH, 3) uint8. The mean of what the network says of it and of its mirror image."""
    network = session(model / "weights.onnx")
    rows, columns = network.get_inputs()[0].shape[2:]  # the size it was trained at last
    if picture.shape[:2] != (rows, columns):
        picture = np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.BOX))
    pair = np.stack([picture, picture[:, ::-1]]).transpose(0, 3, 1, 2).astype(np.float32)
    maps, vector = network.run(None, {"pictures": pair})
    k, p = len(KEYPOINTS), len(PARTS)
    heat = softmax(maps[:, :k].reshape(2, k, -1), 2).reshape(2, k, *maps.shape[2:])
    share = (heat[0] + heat[1, mirrored(KEYPOINTS)][..., ::-1]) / 2
    parts = softmax(maps[:, k : k + p], 1)
    parts = (parts[0] + parts[1, mirrored(PARTS)][..., ::-1]) / 2
    depth = (maps[0, k + p :] + maps[1, k + p :, :, ::-1]) / 2 * HEIGHT
    points, mass = peaks(share)
    value = {name: vector[:, place] for name, place in _SLICES.items()}
    seen = (value["visible"][0] + value["visible"][1, mirrored(KEYPOINTS)]) / 2
    sine, cosine = value["yaw"][0] + value["yaw"][1] * [-1, 1]
    sizes = value["sizes"].reshape(2, 3, 2)
    return Outputs(
        heat=share,
        points=points,
        mass=mass,
        seen=seen,
        parts=parts,
        front=depth[0],
        back=depth[1],
        depth=(value["depth"][0] + value["depth"][1, mirrored(JOINTS)]) / 2 * HEIGHT,
        yaw=float(np.degrees(np.arctan2(sine, cosine))),
        humanoids=softmax(value["count"], 1).mean(0),
        mouth=softmax(value["mouth"], 1).mean(0)[: len(MOUTH_STATES)],
        sizes=np.exp((sizes[0] + sizes[1, [1, 0, 2]]) / 2) * HEIGHT,
    )
