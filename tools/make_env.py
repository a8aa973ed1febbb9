# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes or refreshes one of the checkout's environments: `python tools/make_env.py FOLDER REQUIREMENTS`.

Uses uv when it is there (seconds), else venv and pip. A stamp holds the digest of every requirements file read, so
that a second call with nothing changed returns at once and an interrupted install is taken up again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path


def requirement_files(path: Path) -> list[Path]:
    """`path` and the files it includes with -r or -c, in reading order."""
    files = [path]
    for line in path.read_text().splitlines():
        word, _, rest = line.strip().partition(" ")
        if word in ("-r", "-c"):
            files += requirement_files((path.parent / rest.strip()).resolve())
    return files


def digest(path: Path) -> str:
    parts = [sys.version.split()[0].encode(), *(file.read_bytes() for file in requirement_files(path))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def commands(folder: Path, python: Path, requirements: Path) -> list[list[str]]:
    uv = shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements)]
    else:
        make = [sys.executable, "-m", "venv", "--clear", str(folder)]
        install = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            str(requirements),
        ]
    return [install] if python.exists() else [make, install]


def main() -> int:
    folder, requirements = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    if sys.version_info[:2] != (3, 11):
        print("The bpy module is made for Python 3.11; run make with PYTHON=/path/to/python3.11.", file=sys.stderr)
        return 2
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp, wanted = folder / "installed", digest(requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    # uv does not read pip's setting for extra wheel folders.
    environment = os.environ | {"UV_FIND_LINKS": os.environ.get("UV_FIND_LINKS", os.environ.get("PIP_FIND_LINKS", ""))}
    environment = {key: value for key, value in environment.items() if value or key != "UV_FIND_LINKS"}
    for command in commands(folder, python, requirements):
        print("+", " ".join(command), flush=True)
        if subprocess.run(command, env=environment).returncode:
            print(
                f"Installing {requirements.name} failed; see the lines above, then run the same command again to"
                " go on.",
                file=sys.stderr,
            )
            return 1
    stamp.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
