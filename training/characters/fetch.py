# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads the CC0 characters of others from where they are published: python -m training.characters.fetch FOLDER.

catalogue.json beside this file lists them: repository, commit, path, SHA-256, licence and what shows it. A file that
is there with the right digest is not downloaded again. FOLDER then is one for --cc0 and --characters: it gets an
index.json of what is complete.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

CATALOGUE = Path(__file__).with_name("catalogue.json")
SOURCE = "https://raw.githubusercontent.com/{repo}/{commit}/{path}"
TRIES, PAUSE, TIMEOUT = 3, 2.0, 60.0


class FetchError(Exception):
    """What could not be downloaded and why, in one sentence."""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def fetch_file(url: str, path: Path, sha256: str, pause: float = PAUSE) -> bool:
    """True where it was downloaded, False where it was there. Raises FetchError; then path is left as it was."""
    if _digest(path) == sha256:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    reason = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause * attempt)
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, part.open("wb") as out:
                while block := answer.read(1 << 16):
                    out.write(block)
        except (urllib.error.URLError, OSError) as error:
            reason = str(getattr(error, "reason", error))
            if isinstance(error, urllib.error.HTTPError) and error.code == 404:
                break
            continue
        if _digest(part) == sha256:
            part.replace(path)
            return True
        reason = "its content is not what the catalogue lists"
    part.unlink(missing_ok=True)
    raise FetchError(f"{url} cannot be downloaded ({reason}).")


def fetch(
    folder: Path,
    catalogue: dict[str, Any],
    source: str = SOURCE,
    say: Callable[[str], None] = print,
    pause: float = PAUSE,
) -> list[str]:
    """Downloads what is missing, writes folder/index.json and returns one sentence per character that failed."""
    complete, failures = [], []
    for number, entry in enumerate(catalogue["characters"], 1):
        try:
            fresh = [
                fetch_file(
                    source.format(**(entry["source"] | {"path": quote(file["path"])})),
                    folder / entry["name"] / Path(file["path"]).name,
                    file["sha256"],
                    pause,
                )
                for file in entry["files"]
            ]
        except FetchError as error:
            failures.append(f"{entry['name']}: {error}")
            continue
        complete.append(entry)
        if any(fresh):
            say(f"{number}/{len(catalogue['characters'])} {entry['name']}")
    folder.mkdir(parents=True, exist_ok=True)
    index = {"note": catalogue["note"], "sources": catalogue["sources"], "characters": complete}
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", default=SOURCE, help="address with {repo}, {commit} and {path}, for a mirror")
    options = parser.parse_args()
    catalogue = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    failures = fetch(options.folder, catalogue, options.source)
    for failure in failures:
        print(failure, file=sys.stderr)
    wanted = len(catalogue["characters"])
    print(f"{wanted - len(failures)} of {wanted} characters are in {options.folder}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
