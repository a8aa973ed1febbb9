# SPDX-License-Identifier: GPL-3.0-or-later
"""SkinTokens' checkpoint: one Lightning file with all networks in bfloat16 (shared/reference/skintokens.md 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import BackendError
from ..nn.lightning import REPAIR, Published

COMPILED, PREFIX = "_orig_mod.", "model."
TABLE, TIED = "transformer.model.embed_tokens.weight", "transformer.lm_head.weight"
# The half of the skin network that makes codes from weights: needed to train the language model only.
TRAINING = ("vae.model.encoder.", "vae.model.quant.", "vae.model.FSQ.project_in.")


def network_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights that inference needs, under the networks' names. Raises BackendError when the output table is not
    the token table, because the networks keep only one of them.
    """
    named = {name.replace(COMPILED, "").removeprefix(PREFIX): value for name, value in state.items()}
    output, table = named.pop(TIED, None), named.get(TABLE)
    if output is not None and table is not None and not torch.equal(output, table):
        message = f"The checkpoint's {TIED} differs from {TABLE}, so it is not a SkinTokens checkpoint."
        raise BackendError("bad_weights", message, REPAIR)
    return {name: value for name, value in named.items() if not name.startswith(TRAINING)}


SKINTOKENS = Published("SkinTokens", "skintokens", network_weights)
