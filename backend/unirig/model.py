# SPDX-License-Identifier: GPL-3.0-or-later
"""The published checkpoints that the engine runs: their files and licence."""

from __future__ import annotations

from pathlib import Path

from ..models import store
from ..models.store import File, Model, Source

PARTS = ("skeleton", "skin")


def _refuse_folder(folder: Path) -> str:
    if not folder.is_dir():
        return f"There is no folder {folder} (AVATAR_FORGE_UNIRIG)."
    absent = [part for part in PARTS if not (folder / part).is_dir()]
    return f"There is no folder {absent[0]} in {folder} (AVATAR_FORGE_UNIRIG)." if absent else ""


MODEL = store.declare(
    Model(
        "unirig",
        "UniRig (skeleton and skin weights)",
        (
            # Pickles: backend/unirig reads them with an allow-list, once, and loads only what it wrote from them (see
            # `derived`).
            Source(
                "VAST-AI/UniRig",
                "main",
                "MIT",
                (File("skeleton/articulation-xl_quantization_256/model.ckpt"), File("skin/articulation-xl/model.ckpt")),
            ),
        ),
        about=1_400_000_000,
        refuse_folder=_refuse_folder,
    )
)
