# SPDX-License-Identifier: GPL-3.0-or-later
"""Text to reference pictures: asks a picture server, reads what comes, and asks again for what cannot be used."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..engines import Progress
from ..errors import BackendError
from ..image.analysis import analyse
from ..image.save import save_png
from .http import Server
from .images import Pictures
from .prompts import LONGEST, for_picture, widened

ROUNDS = 3
MOST_PIXELS = 32_000_000


@dataclass(frozen=True)
class Wish:
    """text: what the person wrote; count: pictures to choose from; chat: a server that describes it in detail."""

    text: str
    count: int = 4
    seed: int = 0
    chat: Server | None = None
    chat_model: str = ""


def make_pictures(wish: Wish, server: Pictures, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """{text, prompt, pictures: [{path, seed, usable, reason}]}, usable ones first; asks at most ROUNDS times.

    Raises BackendError: bad_params, text_server, no_usable_picture.
    """
    text = " ".join(wish.text.split())
    if not text or len(text) > LONGEST:
        raise BackendError(
            "bad_params",
            f"The description must have 1 to {LONGEST} characters.",
            "Describe the character in a sentence.",
        )
    progress("describe", 0.0, "Describing the character")
    prompt = for_picture(widened(text, wish.chat, wish.chat_model))
    found: list[dict[str, Any]] = []
    for k in range(ROUNDS):
        missing = wish.count - sum(entry["usable"] for entry in found)
        if missing <= 0:
            break
        seed = (wish.seed + len(found)) % 2**31
        fraction = 0.05 + 0.9 * k / ROUNDS
        message = "Waiting for the pictures" if k == 0 else "Asking for other pictures"

        def wait(fraction: float = fraction, message: str = message) -> None:
            progress("pictures", fraction, message)

        for number, data in enumerate(server.make(prompt, seed, missing, wait)):
            progress("read", fraction, "Reading the pictures")
            path = out_dir / f"picture-{len(found) + 1}.png"
            reason = _keep(data, path) or _refusal(path)
            found.append({"path": path, "seed": seed + number, "usable": not reason, "reason": reason})
    found.sort(key=lambda entry: not entry["usable"])
    kept = [entry for entry in found if entry["path"].exists()]
    if not any(entry["usable"] for entry in kept):
        reasons = "; ".join(dict.fromkeys(entry["reason"].rstrip(".") for entry in found)) or "there was none"
        raise BackendError(
            "no_usable_picture",
            f"No picture of {len(found)} can be used: {reasons[:300]}.",
            "Describe one standing character, or use another model.",
        )
    return {"text": text, "prompt": prompt, "pictures": kept}


def _keep(data: bytes, path: Path) -> str:
    """Writes a picture file as PNG; the reason where it is none."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return "The picture is too large."
            save_png(picture.convert("RGBA" if "A" in picture.getbands() else "RGB"), path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "The server's answer is not a picture."
    return ""


def _refusal(path: Path) -> str:
    """Why no avatar can be made from a picture; "" where one can."""
    try:
        analyse(path)
    except BackendError as error:
        return error.message
    return ""
