# SPDX-License-Identifier: GPL-3.0-or-later
"""The method pictures_from_text: reference pictures from a sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import BackendError
from .params import File, Seed, Texts, Word
from .registry import Job, method

IMAGE_KEY, CHAT_KEY = "AVATAR_FORGE_IMAGE_KEY", "AVATAR_FORGE_CHAT_KEY"  # environment, where no key is given


@method("pictures_from_text")
def pictures_from_text(
    job: Job,
    text: str,
    out_dir: Path,
    url: str,
    kind: Word = "openai",
    model: Word = "",
    key: Word = "",
    workflow: File | None = None,
    fields: Texts | None = None,
    chat_url: Word = "",
    chat_model: Word = "",
    chat_key: Word = "",
    count: int = 4,
    seed: Seed = 0,
) -> dict[str, Any]:
    """See `backend.text.reference.make_pictures`. kind: "openai" or "comfyui", with a workflow and its fields."""
    from ..text import images, reference
    from ..text.http import Server

    server = Server("picture server", url, key or os.environ.get(IMAGE_KEY, ""))
    pictures: images.Pictures
    if kind == "comfyui":
        pictures = images.ComfyPictures.load(server, workflow, fields)
    elif kind == "openai":
        pictures = images.OpenAIPictures(server, model)
    else:
        raise BackendError("bad_params", f"There is no kind of picture server {kind[:40]!r}.", "Use openai or comfyui.")
    chat = Server("chat server", chat_url, chat_key or os.environ.get(CHAT_KEY, "")) if chat_url else None
    out_dir.mkdir(parents=True, exist_ok=True)
    wish = reference.Wish(text, max(1, min(count, 8)), seed, chat, chat_model)
    made = job.run(reference.make_pictures, wish, pictures, out_dir, job.progress)
    return {**made, "kind": kind, "model": model}
