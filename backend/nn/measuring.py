# SPDX-License-Identifier: GPL-3.0-or-later
"""How long networks take on a device, compared with the best matrix product that it manages."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from .sparse import Voxels


@dataclass
class Row:
    stage: str
    seconds: float
    tflop: float
    share_of_peak: float
    memory_gb: float | None  # above what was allocated before; None where it cannot be told


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def best_of(repeats: int, device: torch.device, run: Callable[[], Any]) -> float:
    """Seconds of the best run; with several, one more comes first to warm up."""
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    if repeats > 1:
        run()
    seconds = []
    for _ in range(repeats):
        synchronise(device)
        began = clock()
        run()
        synchronise(device)
        seconds.append(clock() - began)
    return min(seconds)


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """TFLOP/s of the best square matrix product."""
    sides = (4096, 8192) if device.type != "cpu" else (1024, 2048)
    rates = []
    for side in sides:
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        rates.append(2 * side**3 / best_of(5, device, lambda a=a, b=b: a @ b) / 1e12)  # type: ignore[misc]
    return max(rates)


def measure(stage: str, device: torch.device, peak: float, repeats: int, run: Callable[[], Any]) -> Row:
    """The first run counts the arithmetic and fills caches; then the best of `repeats` is timed."""

    def attention(query: tuple, key: tuple, *_: Any, **__: Any) -> int:  # the counter knows attention on CUDA only
        batch, heads, rows, width = query
        return 4 * batch * heads * rows * key[2] * width

    on_processor = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with FlopCounterMode(display=False, custom_mapping=on_processor) as counter:
        run()
    before = None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    seconds = best_of(repeats, device, run)
    tflop = counter.get_total_flops() / 1e12
    memory = None if before is None else torch.cuda.max_memory_allocated(device) / 1e9
    return Row(stage, seconds, tflop, tflop / seconds / peak, memory)


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"


def skin_distance(p: np.ndarray) -> np.ndarray:
    """(n,) signed distance of (n, 3) points to the skin of a standing figure made of capsules, in a unit cube."""
    bones: list[tuple[tuple, tuple, float]] = [
        ((0, 0, -0.02), (0, 0, 0.2), 0.1),
        ((0, 0, 0.36), (0, 0, 0.38), 0.1),
    ]  # torso, head
    for side in (-1, 1):
        bones += [
            ((side * 0.1, 0, 0.2), (side * 0.4, 0, 0.16), 0.045),
            ((side * 0.07, 0, -0.06), (side * 0.1, 0, -0.44), 0.06),
        ]
    distance = np.full(len(p), np.inf)
    for start, end, radius in bones:
        a, d = np.array(start), np.array(end) - np.array(start)
        along = np.clip((p - a) @ d / (d @ d), 0, 1)[:, None]
        distance = np.minimum(distance, np.linalg.norm(p - a - along * d, axis=1) - radius)
    return distance


def figure(count: int, device: torch.device, side: int = 64) -> Voxels:
    """The `count` voxels of a grid that lie nearest to the skin of the figure."""
    p = (np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3) + 0.5) / side - 0.5
    cells = np.sort(np.argpartition(np.abs(skin_distance(p)), count)[:count])
    coords = np.stack([np.zeros_like(cells), cells // side**2, cells // side % side, cells % side], 1)
    return Voxels(torch.from_numpy(coords).to(device))
