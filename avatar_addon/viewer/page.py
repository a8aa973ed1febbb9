# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of one avatar, from the template: the file in it, compressed, so that it opens from a folder without a
server; or the address that a server on this machine has it at.
"""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("page.html")
ABOUT, AVATAR = "{{ABOUT}}", "{{AVATAR}}"


def write_page(
    path: Path,
    vrm: Path,
    name: str,
    report: Mapping[str, Any] | None = None,
    clips: Mapping[str, Path] | None = None,
) -> Path:
    """The page with the avatar in it, whole or not at all. clips: name -> VRMA file. Raises OSError."""
    text = page_text(name, report, clips, avatar=packed(vrm.read_bytes()))
    part = path.with_name(f"avatar-forge-{uuid.uuid4().hex}.part")
    try:
        part.write_text(text, encoding="utf-8", errors="replace")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def page_text(
    name: str,
    report: Mapping[str, Any] | None = None,
    clips: Mapping[str, Path] | None = None,
    avatar: str = "",
    source: str = "",
) -> str:
    """avatar: `packed` bytes of the file, or else source: its address, from the page's."""
    about = {
        "name": name,
        "source": source,
        "report": dict(report) if report else None,
        "clips": [{"name": each, "data": packed(file.read_bytes())} for each, file in (clips or {}).items()],
    }
    before, _, rest = TEMPLATE.read_text(encoding="utf-8").partition(ABOUT)
    between, _, after = rest.partition(AVATAR)
    return before + as_json(about) + between + avatar + after


def packed(data: bytes) -> str:
    """gzip, then base64; the same for the same bytes."""
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def as_json(content: Any) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
