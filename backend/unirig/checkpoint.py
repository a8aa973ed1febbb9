# SPDX-License-Identifier: GPL-3.0-or-later
"""UniRig's checkpoints: Lightning files whose names begin with `model.` (shared/reference/unirig.md 2)."""

from __future__ import annotations

from torch import Tensor

from ..nn.lightning import Published

PREFIX = "model."
TIED = "transformer.lm_head.weight"  # the same table as the decoder's embed_tokens


def _weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    named = {name.removeprefix(PREFIX): value for name, value in state.items()}
    named.pop(TIED, None)
    return named


UNIRIG = Published("UniRig", "unirig", _weights)
