# SPDX-License-Identifier: GPL-3.0-or-later
"""Serialisation codes of the point transformer: positions of grid cells on a Morton or a Hilbert curve
(shared/reference/unirig.md 7.2).

Codes are int64: the batch item in the bits above 3 * depth, the position on the curve below. depth is the bits of an
axis, 0 to 16.
"""

from __future__ import annotations

import torch
from torch import Tensor

ORDERS = ("z", "z-trans", "hilbert", "hilbert-trans")


def _spread(x: Tensor) -> Tensor:
    """Bit i of a number of up to 16 bits to bit 3i."""
    for shift, mask in ((16, 0x0000FF0000FF), (8, 0x00F00F00F00F), (4, 0x0C30C30C30C3), (2, 0x249249249249)):
        x = (x | x << shift) & mask
    return x


def interleave(cells: Tensor) -> Tensor:
    """(..., 3) axes to the Morton code: bit i of x goes to 3i + 2, of y to 3i + 1, of z to 3i."""
    x, y, z = cells.long().unbind(-1)
    return _spread(x) << 2 | _spread(y) << 1 | _spread(z)


def hilbert(cells: Tensor, depth: int) -> Tensor:
    """(..., 3) axes to the position on the Hilbert curve of 2^depth cells a side (Skilling 2004)."""
    axes = list(cells.long().unbind(-1))
    for bit in reversed(range(depth)):
        lower = (1 << bit) - 1
        for a in range(3):
            inverted = axes[a] >> bit & 1 == 1
            swapped = torch.where(inverted, 0, (axes[0] ^ axes[a]) & lower)
            axes[a] = axes[a] ^ swapped
            axes[0] = axes[0] ^ torch.where(inverted, lower, swapped)
    code = interleave(torch.stack(axes, -1))
    for shift in (1, 2, 4, 8, 16, 32):  # Gray code to binary
        code = code ^ code >> shift
    return code


def encode(cells: Tensor, batch: Tensor, depth: int, order: str) -> Tensor:
    """(n, 3) grid cells and (n,) batch items to (n,) codes in one of ORDERS; `-trans` exchanges x and y first."""
    cells = cells[:, [1, 0, 2]] if order.endswith("-trans") else cells
    code = interleave(cells) if order.startswith("z") else hilbert(cells, depth)
    return batch.long() << 3 * depth | code


def encode_all(cells: Tensor, batch: Tensor) -> tuple[Tensor, int]:
    """Codes (4, n) in all ORDERS and the depth: the bits of the largest coordinate, 0 when all cells are the same."""
    depth = int(cells.max()).bit_length()
    return torch.stack([encode(cells, batch, depth, order) for order in ORDERS]), depth
