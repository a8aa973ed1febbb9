# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture that a client names or sends, as a file. Nothing is fetched from the network."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..client import session
from .protocol.paths import clean_path, is_file, is_folder
from .protocol.registry import Refusal

LARGEST = 24_000_000  # bytes of a picture file
LONGEST_REQUEST = LARGEST * 4 // 3 + 100_000  # of a command that carries one
# What a file of each kind begins with; the backend looks at the rest.
KINDS = {
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"RIFF": ".webp",
    b"BM": ".bmp",
    b"II*\x00": ".tif",
    b"MM\x00*": ".tif",
}

NO_PICTURE = (
    "Avatar Forge makes models of characters from a picture, not from text alone: give the path of a picture file on"
    " this computer (one character, whole body, from the front, plain background)."
)
NO_WEB = "Avatar Forge fetches nothing from the web: save the picture on this computer and give the path of its file."


def from_reference(given: str) -> Path:
    """A path, a file: or a data: URL. Raises Refusal."""
    given = given.strip()
    scheme = given.partition(":")[0].lower() if ":" in given else ""
    if scheme in ("http", "https", "ftp"):
        raise Refusal(NO_WEB)
    if scheme == "data":
        head, _, data = given.partition(",")
        if not head.endswith(";base64"):
            raise Refusal("A data: URL must be in base64; better give the path of the picture file.")
        return from_base64(data)
    if scheme == "file":
        given = unquote(urlsplit(given).path)
        if len(given) > 2 and given[0] == "/" and given[2] == ":":  # file:///C:/...
            given = given[1:]
    path = clean_path(given, "picture")
    if is_folder(path):
        raise Refusal(f"{given[:300]} is a folder; give the path of a picture file in it.")
    if not is_file(path):
        raise Refusal(f"There is no file {given[:300]} on the computer that Blender runs on; check the path.")
    return path


def from_base64(data: str) -> Path:
    """A picture that was sent, kept among the runs: the same bytes are the same file. Raises Refusal."""
    if len(data) > LARGEST * 4 // 3 + 4:
        raise Refusal(
            f"The picture is larger than {LARGEST // 1_000_000} MB; send a smaller one, or the path of its file."
        )
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise Refusal(f"The picture is not valid base64 ({problem}).") from problem
    suffix = next((suffix for start, suffix in KINDS.items() if content.startswith(start)), None)
    if suffix is None:
        raise Refusal("The data sent is not a readable picture; send a PNG, a JPEG or a WebP.")
    folder = session.runs_folder() / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"picture-{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_bytes(content)
        part.replace(path)
    return path
