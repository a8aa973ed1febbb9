# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks on a processor: a beat before every operator, and large operators in pieces of a fraction of a second with
a beat between them. A piece computes its rows, heads or channels as the whole does, so the result is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from .pulse import beat

PIECE = 1 << 33  # multiply-adds: a fifth of a second of one core
WRITTEN = 256  # multiply-adds in whose time a value is written
# Cuts lie where the processor's kernels begin a block anyway.
ROWS, QUERIES, CHANNELS = 256, 768, 16


def in_pieces(device: torch.device) -> AbstractContextManager[Any]:
    """While it lasts, networks on a processor ask whether the job goes on. Accelerators only queue their operators."""
    return _Pieces() if device.type == "cpu" else nullcontext()


class _Pieces(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        beat()
        return CUT.get(func, func)(*args, **(kwargs or {}))


def _pieces(count: int, size: int, multiple: int, least: int = 1) -> Iterator[slice]:
    """Slices of 0..count of about `size`, cut at multiples of `multiple`, none under `least`; a beat before each."""
    size = max(size // multiple * multiple, multiple, -(-least // multiple) * multiple)
    start = 0
    while start < count:
        stop = start + size if count - start - size >= max(multiple, least) else count
        beat()
        yield slice(start, stop)
        start = stop


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    row = len(weight) * (weight.shape[1] + WRITTEN)
    if x.dim() < 2 or x[..., 0].numel() * row <= PIECE:
        return F.linear(x, weight, bias)
    rows, out = x.flatten(0, -2), x.new_empty(*x.shape[:-1], len(weight))
    into = out.flatten(0, -2)
    for part in _pieces(len(rows), PIECE // row, ROWS):
        into[part] = F.linear(rows[part], weight, bias)
    return out


def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **more: Any,
) -> Tensor:
    a_query = 2 * k.shape[-2] * k.shape[-1]
    alike = q.dim() == 4 and q.shape[:2] == k.shape[:2] and q.shape[3] == v.shape[3]
    plain = alike and attn_mask is None and not dropout_p and not more
    if not plain or q[..., 0].numel() * a_query <= PIECE:
        return F.scaled_dot_product_attention(q, k, v, attn_mask, dropout_p, is_causal, **more)
    items, heads, count, _ = q.shape
    out = torch.empty_like(q)  # which is how the whole operator lays out its answer
    whole = is_causal or count * a_query <= PIECE
    for item in (slice(i, i + 1) for i in range(items)):
        for some in _pieces(heads, PIECE // (count * a_query), 1):
            for rows in [slice(None)] if whole else _pieces(count, PIECE // a_query, ROWS, QUERIES):
                out[item, some, rows] = F.scaled_dot_product_attention(
                    q[item, some, rows], k[item, some], v[item, some], is_causal=is_causal
                )
    return out


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **more: Any) -> Tensor:
    channel = x.numel() * weight[0, 0].numel()
    if channel * len(weight) <= PIECE or (len(rest) > 3 and rest[3] != 1) or more:
        return torch.conv3d(x, weight, bias, *rest, **more)
    return torch.cat(
        [
            torch.conv3d(x, weight[part], None if bias is None else bias[part], *rest)
            for part in _pieces(len(weight), PIECE // channel, CHANNELS)
        ],
        1,
    )


CUT: dict[Callable[..., Any], Callable[..., Any]] = {
    F.linear: _linear,
    F.scaled_dot_product_attention: _attention,
    torch.conv3d: _convolution,
}
