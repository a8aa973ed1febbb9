# SPDX-License-Identifier: GPL-3.0-or-later
"""The published checkpoint that the engine runs: its file and licence."""

from __future__ import annotations

from pathlib import Path

from ..models import store
from ..models.store import File, Model, Source

CHECKPOINT = "experiments/articulation_xl_quantization_256_token_4/grpo_1400.ckpt"
LICENCE = (
    "MIT by its publisher; trained on Articulation-XL 2.0 (70 %), VRoid Hub (20 %) and ModelsResource, assets of"
    " commercial games (10 %), whose owners' rights that licence does not settle"
)


def _refuse_folder(folder: Path) -> str:
    if not folder.is_dir():
        return f"There is no folder {folder} (AVATAR_FORGE_SKINTOKENS)."
    if not (folder / "experiments").is_dir():
        return f"There is no folder experiments in {folder} (AVATAR_FORGE_SKINTOKENS)."
    return ""


MODEL = store.declare(
    Model(
        "skintokens",
        "SkinTokens (skin weights)",
        (
            # A pickle, read like UniRig's. It carries the skin network too, so the repository's other checkpoint is
            # not needed.
            Source(
                "VAST-AI/SkinTokens",
                "main",
                LICENCE,
                (File(CHECKPOINT, sha256="f4e4706a11cfb520cdde65156a0358545e4fbf8f36237aca01ea5e79d5cb5692"),),
            ),
        ),
        about=1_130_000_000,
        refuse_folder=_refuse_folder,
    )
)
