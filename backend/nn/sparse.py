# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse voxel tensors: features on a set of occupied voxels, and the few operators that the networks need on them.

A `Voxels` is a set of coordinates together with everything that depends on the coordinates alone: neighbour tables,
window partitions, the way to the next coarser set. Each is computed on first use and kept, so all layers, steps and
guidance halves on one set share it. A `Sparse` is features on a `Voxels`. Coordinates are int64 (b, x, y, z) rows
grouped by batch item b; features are (n, channels).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass
class Limits:
    """What bounds the memory of the operators here; set by the memory plan of a job."""

    scratch: int = 1 << 29  # bytes that a convolution or a norm may use for what it gathers or casts at once
    cache: int = 1 << 21  # bytes that a processor's core keeps close

    def rows(self, row_bytes: int) -> int:
        return max(self.scratch // row_bytes, 1)

    def block(self, device: torch.device, row_bytes: int, width: int = 0) -> int:
        """How many rows to take through several operators at once. A processor waits for memory unless they stay in
        its cache. width: channels of the rows where they are multiplied by weights; a processor would wait for those
        if the rows were few. An accelerator wants few, large operators.
        """
        rows = self.rows(row_bytes)
        return rows if device.type != "cpu" else min(rows, max(self.cache // row_bytes, 2 * width, 64))


limits = Limits()


@dataclass
class Windows:
    """Rows partitioned into windows of similar size, padded: one batch of attention per bucket.

    buckets: [(rows (w, length) with -1 for padding, mask (w, 1, 1, length) bool or None when nothing is padded)].
    place: (n,) where each row stands in all buckets laid end to end.
    """

    buckets: list[tuple[Tensor, Tensor | None]]
    place: Tensor


class Voxels:
    """Occupied voxels (n, 4) int64 of a batch, and what follows from them. Rows must be grouped by batch item.

    reach: how many steps outside the bounding box a coordinate may be looked up.
    origin: the set that this one is the subdivision of, if it is one.
    """

    def __init__(self, coords: Tensor, reach: int = 1, origin: Subdivision | None = None) -> None:
        self.coords = coords.long()
        self.reach, self.origin = reach, origin
        self._windows: dict[tuple[int, int], Windows] = {}

    def __len__(self) -> int:
        return len(self.coords)

    @property
    def device(self) -> torch.device:
        return self.coords.device

    @cached_property
    def counts(self) -> list[int]:
        """Rows per batch item. An item without voxels has 0 as long as a later one has some."""
        if not len(self):
            return []
        return torch.bincount(self.coords[:, 0]).tolist()

    @property
    def batch(self) -> Tensor:
        """(n,) the batch item of each row."""
        return self.coords[:, 0]

    @cached_property
    def _extent(self) -> tuple[Tensor, Tensor]:
        """Lowest coordinate minus the reach, and the extents plus a border on both sides: no neighbour leaves
        this box.
        """
        if not len(self):
            return self.coords.new_zeros(3), self.coords.new_ones(3)
        low = self.coords[:, 1:].amin(0) - self.reach
        return low, self.coords[:, 1:].amax(0) + self.reach + 1 - low

    def keys(self, coords: Tensor) -> Tensor:
        """One integer per row, ordered like (b, x, y, z), valid for coordinates at most `reach` steps outside the
        bounding box.
        """
        low, size = self._extent
        x, y, z = (coords[:, 1:] - low).unbind(1)
        return ((coords[:, 0] * size[0] + x) * size[1] + y) * size[2] + z

    @cached_property
    def _sorted_keys(self) -> tuple[Tensor, Tensor]:
        return torch.sort(self.keys(self.coords))

    def find(self, coords: Tensor) -> Tensor:
        """(m,) the row of each coordinate (within reach of the bounding box), or n where the voxel is not occupied."""
        return self._find(self.keys(coords))

    def find_anywhere(self, coords: Tensor) -> Tensor:
        """The same for coordinates of any size."""
        low, size = self._extent
        inside = ((coords[:, 1:] >= low) & (coords[:, 1:] < low + size)).all(1)
        return torch.where(inside, self._find(self.keys(torch.where(inside[:, None], coords, 0))), len(self))

    def _find(self, wanted: Tensor) -> Tensor:
        ordered, rows = self._sorted_keys
        if not len(self):
            return torch.zeros_like(wanted)
        at = torch.searchsorted(ordered, wanted).clamp_(max=len(ordered) - 1)
        return torch.where(ordered[at] == wanted, rows[at], len(self))

    @cached_property
    def neighbours(self) -> Tensor:
        """(n, 27) int32 row of the voxel at p + (i-1, j-1, k-1), column 9i + 3j + k; n where there is none."""
        if self.origin is not None:
            return self._neighbours_from_parents(self.origin)
        n = len(self)
        # Half of the table is looked up, the other half is the same pairs seen from the other end. Misses write to a
        # row that is dropped.
        table = torch.full((n + 1, 27), n, dtype=torch.int32, device=self.device)
        own = torch.arange(n, dtype=torch.int32, device=self.device)
        table[:n, 13] = own
        _, (_, height, depth) = self._extent
        keys = self.keys(self.coords)
        for column in range(13):
            i, j, k = column // 9, column // 3 % 3, column % 3
            rows = self._find(keys + (((i - 1) * height + j - 1) * depth + k - 1))
            table[:n, column] = rows
            table[rows, 26 - column] = own
        return table[:n]

    def _neighbours_from_parents(self, origin: Subdivision) -> Tensor:
        """The same for a subdivision, without a search: a child's neighbour is a child of its parent's neighbour."""
        octants = origin.octants
        step = torch.cartesian_prod(*[torch.arange(3, device=self.device)] * 3) - 1
        at = octants[:, None] + step  # (8, 27, 3) in -1..2, counted from the parent's first child
        column = ((at.div(2, rounding_mode="floor") + 1) * at.new_tensor([9, 3, 1])).sum(2).flatten()
        # The number of the octant that a child lies in, whichever axis runs fastest.
        number = at.new_zeros(2, 2, 2)
        number[octants.unbind(1)] = torch.arange(8, device=self.device)
        sibling = number[(at % 2).unbind(2)].flatten().int()
        parents = origin.parents.neighbours
        out = parents.new_empty(len(self), 27)
        rows = limits.rows(3 * 8 * 27 * parents.element_size())
        filled = 0
        for first in range(0, len(parents), rows):
            table = parents[first : first + rows, column] * 8 + sibling
            if origin.mask is None:
                some = table.clamp_(max=len(self)).view(-1, 27)
            else:
                some = origin.child_rows[table].view(-1, 8, 27)[origin.mask[first : first + rows]]
            out[filled : filled + len(some)] = some
            filled += len(some)
        return out

    def forget_neighbours(self) -> None:
        """Frees the neighbour table (108 bytes a voxel); it is made again when it is asked for."""
        self.__dict__.pop("neighbours", None)

    @cached_property
    def coarse(self) -> tuple[Voxels, Tensor, Tensor]:
        """The set at half resolution (rows in lexicographic order), each fine row's coarse row, and the children
        counted per coarse row.
        """
        halved = torch.cat([self.coords[:, :1], self.coords[:, 1:].div(2, rounding_mode="floor")], 1)
        coords, parents, children = unique_rows(halved)
        return Voxels(coords), parents, children

    @cached_property
    def twice(self) -> Voxels:
        """The set two times, as two batches one after the other: both halves of guidance in one evaluation."""
        again = self.coords.clone()
        again[:, 0] += len(self.counts)
        return Voxels(torch.cat([self.coords, again]))

    @cached_property
    def subdivided(self) -> Voxels:
        """Eight children per voxel, rows 8r to 8r + 7, z fastest."""
        octants = torch.cartesian_prod(*[torch.arange(2, device=self.device)] * 3)
        return Voxels(self._children(octants).reshape(-1, 4), origin=Subdivision(self, octants))

    def children(self, mask: Tensor) -> Voxels:
        """The children r of every voxel where mask (n, 8) bool is set: parents in order, r ascending, x fastest."""
        octants = torch.cartesian_prod(*[torch.arange(2, device=self.device)] * 3).flip(1)
        return Voxels(self._children(octants)[mask], origin=Subdivision(self, octants, mask))

    def _children(self, octants: Tensor) -> Tensor:
        """(n, 8, 4) coordinates of all children."""
        fine = self.coords[:, None, 1:] * 2 + octants
        return torch.cat([self.coords[:, None, :1].expand(-1, 8, 1), fine], 2)

    def windows(self, size: int, shift: int) -> Windows:
        """The rows in windows of `size` voxels a side, the grid moved by `shift`. Order inside a window is that of
        the rows.
        """
        if (size, shift) not in self._windows:
            self._windows[size, shift] = self._partition(size, shift)
        return self._windows[size, shift]

    def _partition(self, size: int, shift: int) -> Windows:
        cell = torch.cat([self.coords[:, :1], (self.coords[:, 1:] + shift).div(size, rounding_mode="floor")], 1)
        _, window, length = unique_rows(cell)
        order = torch.argsort(window, stable=True)
        start = length.cumsum(0) - length
        buckets: list[tuple[Tensor, Tensor | None]] = []
        place = torch.empty_like(order)
        laid = 0
        # A window is padded to the longest of its bucket; bounds at powers of two keep the padding under half.
        bounds = 2 ** torch.arange(4, 63, device=self.device)
        bucket = torch.searchsorted(bounds, length)
        for level in bucket.unique().tolist():
            chosen = torch.nonzero(bucket == level)[:, 0]
            longest = int(length[chosen].max())
            column = torch.arange(longest, device=self.device)
            valid = column < length[chosen, None]
            at = (start[chosen, None] + column).clamp_(max=len(self) - 1)
            rows = torch.where(valid, order[at], -1)
            place[rows[valid]] = laid + torch.nonzero(valid.flatten())[:, 0]
            laid += rows.numel()
            buckets.append((rows, None if bool(valid.all()) else valid[:, None, None, :]))
        return Windows(buckets, place)


@dataclass
class Subdivision:
    """How a set follows from a coarser one: child r of a parent lies in octant octants[r] (8, 3), and is there where
    mask (n, 8) says so; None means all eight are.
    """

    parents: Voxels
    octants: Tensor
    mask: Tensor | None = None

    @cached_property
    def child_rows(self) -> Tensor:
        """(8 (n + 1),) int32 the row of child r of parent p at 8p + r; the number of children where there is none."""
        assert self.mask is not None
        flat = self.mask.flatten()
        count = int(flat.sum())
        rows = torch.full((len(flat) + 8,), count, dtype=torch.int32, device=flat.device)
        rows[: len(flat)][flat] = torch.arange(count, dtype=torch.int32, device=flat.device)
        return rows


def unique_rows(coords: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct (b, x, y, z) rows in lexicographic order, each row's place among them, and how often each occurs."""
    if not len(coords):
        empty = coords.new_zeros(0)
        return coords, empty, empty
    low = coords.amin(0)
    size = coords.amax(0) - low + 1
    # One integer a row: sorting those is many times faster than sorting rows.
    b, x, y, z = (coords - low).unbind(1)
    keys, place, count = torch.unique(
        ((b * size[1] + x) * size[2] + y) * size[3] + z, return_inverse=True, return_counts=True
    )
    z, keys = keys % size[3], keys // size[3]
    y, keys = keys % size[2], keys // size[2]
    return torch.stack([keys // size[1], keys % size[1], y, z], 1) + low, place, count


@dataclass
class Sparse:
    """Features (n, channels) on a set of voxels."""

    feats: Tensor
    voxels: Voxels

    def replace(self, feats: Tensor) -> Sparse:
        return Sparse(feats, self.voxels)


def conv3(x: Tensor, voxels: Voxels, weight: Tensor, bias: Tensor | None, source: Tensor | None = None) -> Tensor:
    """Submanifold convolution: (m, in) -> (n, out), weight (out, 3, 3, 3, in), taken over the occupied neighbours only.

    source (n,): which row of x each voxel's features are (children that copy their parent); None when x has a row per
    voxel. Only neighbours that exist are multiplied. Where the output is narrower, or several voxels share a row, each
    row is multiplied by the 27 taps first and the products are gathered and summed: less to gather.
    """
    if source is not None or len(weight) < x.shape[1]:
        if source is not None:
            source = torch.cat([source, source.new_tensor([len(x)])]).int()
        padded = torch.cat([x, x.new_zeros(1, x.shape[1])])
        return _multiply_then_gather(padded, voxels.neighbours, weight, bias, source)
    return _by_taps(x, voxels.neighbours, weight, bias)


def conv3_children(x: Tensor, voxels: Voxels, weight: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
    """A submanifold convolution with eight outputs a voxel, of which only the children in mask (n, 8) are wanted.

    weight (8 out, 3, 3, 3, in), child r's channels one after the other -> (children, out), parents in order. A child
    that is not there costs nothing: each of the eight is multiplied for its own parents only.
    """
    width, table = len(weight) // 8, voxels.neighbours
    out = x.new_empty(int(mask.sum()), width)
    step = 2 * _tap_rows(x, width)  # about half of the children are there
    filled = 0
    for first in range(0, len(table), step):
        some, there = table[first : first + step], mask[first : first + step]
        parts = [
            _by_taps(x, some.index_select(0, there[:, r].nonzero()[:, 0]), weight[rows], bias[rows])
            for r, rows in enumerate(slice(r * width, (r + 1) * width) for r in range(8))
        ]
        # The parts hold child 0 of every parent, then child 1 and so on; the answer wants them parent by parent.
        ranks = there.T.flatten().cumsum(0).view(8, -1).T[there] - 1
        out[filled : filled + len(ranks)] = torch.cat(parts).index_select(0, ranks)
        filled += len(ranks)
    return out


def by_rows(layer: Callable[[Tensor], Tensor], x: Tensor, row_values: int, out: Tensor | None = None) -> Tensor:
    """layer(x) for (n, channels), in slices of rows where what it needs in between (row_values a row) is too much.

    out: where to put the answer; may be x itself.
    """
    step = limits.block(x.device, row_values * x.element_size(), x.shape[1])
    if len(x) <= step and out is None:
        return layer(x)
    out = torch.empty_like(x) if out is None else out
    for first in range(0, len(x), step):
        out[first : first + step] = layer(x[first : first + step])
    return out


def _tap_rows(x: Tensor, width: int) -> int:
    """How many outputs `_by_taps` works on at once: gathered, multiplied and summed rows are kept."""
    return limits.block(x.device, x.element_size() * (x.shape[1] + width) + 8 * width, x.shape[1])


def _by_taps(x: Tensor, table: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Tap by tap: the neighbours that exist (about half) are gathered, multiplied and added up in fp32."""
    width, taps = len(weight), weight.reshape(len(weight), 27, -1).transpose(0, 1)
    out = x.new_empty(len(table), width)
    step = _tap_rows(x, width)
    for first in range(0, len(table), step):
        some = table[first : first + step].T.contiguous()  # (27, rows)
        there = some < len(x)
        total = x.new_zeros(some.shape[1], width, dtype=torch.float32)
        # All taps' pairs at once, tap by tap: which row of x goes to which row here.
        counts = there.sum(1).tolist()
        pairs = zip(some.masked_select(there).split(counts), there.nonzero()[:, 1].split(counts), taps, strict=True)
        for source, row, tap in pairs:
            if len(row):
                total.index_add_(0, row, F.linear(x.index_select(0, source), tap).float())
        out[first : first + step] = total if bias is None else total.add_(bias)
    return out


def _multiply_then_gather(
    padded: Tensor, table: Tensor, weight: Tensor, bias: Tensor | None, source: Tensor | None
) -> Tensor:
    """As many taps at once as the limit allows; their products are summed in fp32. The last row of `padded` is zero.

    source (n + 1,) int32: the row of `padded` for each number in the table; None when they are the same.
    """
    width = len(weight)
    taps = min(limits.rows(len(padded) * width * padded.element_size()), 27)
    by_tap = weight.reshape(width, 27, -1).transpose(0, 1)  # (27, out, in)
    out = padded.new_zeros(len(table), width, dtype=torch.float32)
    step = limits.block(table.device, 2 * width * padded.element_size() + 27 * 2 * table.element_size())
    for first in range(0, 27, taps):
        some = by_tap[first : first + taps]
        products = F.linear(padded, some.flatten(0, 1)).view(-1, width)  # row r, tap t of these at r * len(some) + t
        column = torch.arange(len(some), dtype=table.dtype, device=table.device)
        for rows in range(0, len(table), step):  # gathers and sums at once: what is gathered is never written down
            at = table[rows : rows + step, first : first + taps]
            if source is not None:
                at = source.index_select(0, at.flatten()).view_as(at)
            out[rows : rows + step] += F.embedding_bag(at * len(some) + column, products, mode="sum")
    return (out if bias is None else out.add_(bias)).to(padded.dtype)


def conv1(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Kernel-1 convolution as the released weights were trained: the (out, 1, 1, 1, in) buffer is read as an (in,
    out) matrix.

    That is what spconv 2.x does for this kernel size: it reinterprets the buffer instead of transposing it.
    """
    y = x @ weight.reshape(weight.shape[-1], weight.shape[0])
    return y if bias is None else y + bias


def downsample(x: Sparse) -> Sparse:
    """Half resolution. The mean counts one zero more than there are children, as in the trained networks."""
    coarse, parents, children = x.voxels.coarse
    total = x.feats.new_zeros(len(coarse), x.feats.shape[1]).index_add_(0, parents, x.feats)
    return Sparse(total / (children[:, None] + 1).to(total.dtype), coarse)


def upsample(x: Tensor, fine: Voxels) -> Tensor:
    """Features of fine.coarse carried to the fine rows: every child copies its parent."""
    return x[fine.coarse[1]]


def subdivide(x: Tensor) -> Tensor:
    """Features for `voxels.subdivided`: every row eight times."""
    return x.repeat_interleave(8, 0)


def group_norm(x: Tensor, voxels: Voxels, groups: int, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Group norm over (all voxels of a batch item) x (channels of a group), in fp32, in slices of rows."""
    parts = [_group_norm(part, groups, weight.float(), bias.float(), eps) for part in x.split(voxels.counts)]
    return parts[0] if len(parts) == 1 else torch.cat([x[:0], *parts])


def _group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    if not len(x):
        return x
    step = limits.block(x.device, 3 * x.shape[1] * 4)
    size = len(x) * (x.shape[1] // groups)

    def over_group(per_channel: Tensor) -> Tensor:
        return (per_channel.view(groups, -1).sum(1, keepdim=True) / size).expand(groups, x.shape[1] // groups).flatten()

    mean = over_group(torch.stack([part.sum(0, dtype=torch.float32) for part in x.split(step)]).sum(0))
    variance = over_group(torch.stack([(part.float() - mean).square_().sum(0) for part in x.split(step)]).sum(0))
    scale = weight * torch.rsqrt(variance + eps)
    out = torch.empty_like(x)
    for part, into in zip(x.split(step), out.split(step), strict=True):
        into.copy_(torch.addcmul(bias, part.float() - mean, scale))
    return out


def window_attention(qkv: Tensor, windows: Windows) -> Tensor:
    """Attention inside each window: qkv (n, 3, heads, d) -> (n, heads, d)."""
    parts = [qkv[:0, 0]]
    for rows, mask in windows.buckets:
        q, k, v = qkv[rows].permute(2, 0, 3, 1, 4)  # a padded row repeats the last one; the mask keeps it out of keys
        parts.append(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)[windows.place]


def full_attention(q: Tensor, k: Tensor, v: Tensor, counts: list[int]) -> Tensor:
    """Every row attends to all rows of its batch item: each (n, heads, d), `counts` rows an item -> (n, heads, d)."""
    items = zip(*(rows.transpose(0, 1).unsqueeze(0).split(counts, 2) for rows in (q, k, v)), strict=True)
    parts = [F.scaled_dot_product_attention(*item)[0].transpose(0, 1) for item in items]
    return parts[0] if len(parts) == 1 else torch.cat([q[:0], *parts])


def cross_attention(q: Tensor, k: Tensor, v: Tensor, counts: list[int]) -> Tensor:
    """Every row attends to the keys of its batch item: q (n, heads, d), k and v (b, heads, tokens, d)."""
    parts = [
        F.scaled_dot_product_attention(rows.transpose(0, 1)[None], k[i : i + 1], v[i : i + 1])[0].transpose(0, 1)
        for i, rows in enumerate(q.split(counts))
    ]
    return torch.cat([q[:0], *parts])
