# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures on the disk: complete or not at all, and never through a link that lies under their name."""

from __future__ import annotations

import uuid
from pathlib import Path

from PIL import Image


def save_png(image: Image.Image, path: Path) -> None:
    part = path.with_name(f"avatar-forge-{uuid.uuid4().hex}.part")
    try:
        image.save(part, "PNG")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
