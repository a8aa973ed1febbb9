# SPDX-License-Identifier: GPL-3.0-or-later
"""Submanifold convolution of points, several of which may share a cell (shared/reference/unirig.md 7.3).

What a convolution means when a cell holds several points is decided by how the original's library builds its lists of
pairs. `Taps` states those rules as (output row, input row) pairs per kernel tap, made once per set of cells and used
by every convolution on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nn.sparse import Voxels


@dataclass(frozen=True)
class Rule:
    """How points that share a cell take part.

    pairs "native": each cell's representative gathers the sums of the cells before it, every point the
    representatives after it. pairs "implicit": every point gathers the representatives before it, only
    representatives the last points of the cells after it. representative: the first or the last point of a cell.
    """

    pairs: Literal["native", "implicit"]
    representative: Literal["first", "last"]


CPU_RULE = Rule("native", "first")
GPU_RULE = Rule("implicit", "last")
GPU_STEM_RULE = Rule("native", "last")


@dataclass
class Taps:
    """pairs: (output rows, input rows) of every tap but the centre, in tap order x-major, empty tensors where nothing
    meets.

    Input rows from n on are sums over a cell: row n + c is the sum over cell c; cells (n,) is then each point's cell,
    else None.
    """

    kernel: int
    pairs: list[tuple[Tensor, Tensor]]
    cells: Tensor | None = None
    cell_count: int = 0

    def sources(self, x: Tensor) -> Tensor:
        """x (n, c), followed by its sums per cell where pairs refer to them."""
        if self.cells is None:
            return x
        return torch.cat([x, x.new_zeros(self.cell_count, x.shape[1]).index_add_(0, self.cells, x)])


def representatives(cells: Tensor, count: int, last: bool) -> Tensor:
    """(count,) the first or last row of each cell, for (n,) cell numbers."""
    rows = torch.arange(len(cells), device=cells.device)
    out = torch.empty(count, dtype=torch.long, device=cells.device)
    return out.scatter_reduce_(0, cells, rows, "amax" if last else "amin", include_self=False)


def make_taps(coords: Tensor, kernel: int, rule: Rule) -> Taps:
    """coords (n, 4) int (batch, x, y, z) in any order, odd kernel width, to the pairs of that kernel."""
    n, half, device = len(coords), kernel // 2, coords.device
    points = Voxels(coords, half)
    _, cell = torch.unique(points.keys(points.coords), return_inverse=True)
    count = int(cell.max()) + 1
    representative = representatives(cell, count, rule.representative == "last")
    last = representatives(cell, count, True)
    unique = Voxels(points.coords[representative], half)
    steps = torch.cartesian_prod(*[torch.arange(-half, half + 1, device=device)] * 3)
    centre = len(steps) // 2

    # Neighbour cells of the taps before the centre; those after it are the same pairs seen from the other end.
    none = count
    table = torch.full((len(steps), count + 1), none, device=device)
    for tap in range(centre):
        step = F.pad(steps[tap], (1, 0))
        found = unique.find(unique.coords + step)
        table[tap, :count] = found
        table[len(steps) - 1 - tap].scatter_(0, found, torch.arange(count, device=device))
    table[:, count] = none

    shared = count < n
    every, native = torch.arange(n, device=device), rule.pairs == "native"
    pairs: list[tuple[Tensor, Tensor]] = []
    for taps, all_points in ((slice(0, centre), not native), (slice(centre + 1, None), native)):
        neighbour = table[taps, :count]
        if all_points:
            out, neighbour = every, neighbour[:, cell]
            source = representative
        else:
            out = representative
            source = last if not native else n + torch.arange(count, device=device) if shared else representative
        number, column = torch.nonzero(neighbour < none, as_tuple=True)
        rows = torch.bincount(number, minlength=centre).tolist()
        pairs += zip(out[column].split(rows), source[neighbour[number, column]].split(rows), strict=True)
    return Taps(kernel, pairs, cell if native and shared else None, count)


def convolve(x: Tensor, taps: Taps, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (n, in), weight (out, k, k, k, in) -> (n, out): cross-correlation; the centre tap is always the
    point itself.
    """
    by_tap = weight.flatten(1, 3).unbind(1)
    centre = len(by_tap) // 2
    out = F.linear(x, by_tap[centre], bias)
    source = taps.sources(x)
    for (rows, columns), tap in zip(taps.pairs, by_tap[:centre] + by_tap[centre + 1 :], strict=True):
        if len(rows):
            out.index_add_(0, rows, F.linear(source[columns], tap))
    return out


class SubmanifoldConv(nn.Module):
    """weight (out, k, k, k, in), as the released checkpoint stores it."""

    def __init__(self, channels: int, out: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, kernel, kernel, kernel, channels))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        nn.init.normal_(self.weight, std=(channels * kernel**3) ** -0.5)

    def forward(self, x: Tensor, taps: Taps) -> Tensor:
        return convolve(x, taps, self.weight, self.bias)
