# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes or refreshes one of the checkout's environments: `python tools/make_env.py FOLDER REQUIREMENTS`.

A line `# hashed FILE` names requirements with hashes, which are installed first, of wheels with these hashes only.
Uses uv when it is there (seconds), else venv and pip. A stamp holds the digest of every requirements file read, so
that a second call with nothing changed returns at once and an interrupted install is taken up again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path


def requirement_files(path: Path) -> list[Path]:
    """`path` and the files it includes with -r or -c, in reading order, and those with hashes."""
    files = [path, *hashed(path)]
    for line in path.read_text().splitlines():
        word, _, rest = line.strip().partition(" ")
        if word in ("-r", "-c"):
            files += requirement_files((path.parent / rest.strip()).resolve())
    return files


def hashed(path: Path) -> list[Path]:
    """The files that the lines `# hashed FILE` name."""
    return [path.parent / name for name in re.findall(r"^# hashed (\S+)$", path.read_text(), re.MULTILINE)]


def python_for(requirements: Path) -> str:
    """The version that a line `# python 3.13` in the file asks for (bpy is made for one only), else 3.11."""
    found = re.search(r"^# python (\d+\.\d+)", requirements.read_text(), re.MULTILINE)
    return found[1] if found else "3.11"


def interpreter(version: str) -> str | None:
    """A Python of this version that runs: this one, or python3.X on the PATH, or pyenv's, whose commands on the PATH
    only run the version that is chosen in it. None where there is none.
    """
    if sys.version.startswith(f"{version}."):
        return sys.executable
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(name), *(str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/{name}")))]
    for candidate in filter(None, candidates):
        with contextlib.suppress(OSError):
            if not subprocess.run([candidate, "-c", "import venv"], capture_output=True).returncode:
                return candidate
    return None


def digest(path: Path) -> str:
    version = python_for(path)
    full = sys.version.split()[0]
    parts = [
        (full if full.startswith(f"{version}.") else version).encode(),
        *(file.read_bytes() for file in requirement_files(path)),
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def commands(folder: Path, python: Path, base: str, requirements: Path) -> list[list[str]]:
    """What makes the environment with the Python `base` and installs; only the latter where it is there already."""
    uv = shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--clear", "--python", base, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    else:
        make = [base, "-m", "venv", "--clear", str(folder)]
        install = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",  # a good part of the time, for modules of which most are never imported; uv does not either
            "--disable-pip-version-check",
        ]
    checked = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r"]
    installs = [[*install, *checked, str(file)] for file in hashed(requirements)]
    installs.append([*install, "-r", str(requirements)])
    return installs if python.exists() else [make, *installs]


def main() -> int:
    folder, requirements = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    version = python_for(requirements)
    base = interpreter(version)
    if base is None:
        print(
            f"{requirements.name} needs Python {version}, and there is no python{version} on the PATH; install it"
            + (f", or run make with PYTHON=/path/to/python{version}." if version == "3.11" else "."),
            file=sys.stderr,
        )
        return 2
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp, wanted = folder / "installed", digest(requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    # uv does not read pip's setting for extra wheel folders.
    environment = os.environ | {"UV_FIND_LINKS": os.environ.get("UV_FIND_LINKS", os.environ.get("PIP_FIND_LINKS", ""))}
    environment = {key: value for key, value in environment.items() if value or key != "UV_FIND_LINKS"}
    for command in commands(folder, python, base, requirements):
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
