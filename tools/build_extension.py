# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the installable extension into dist/: `python tools/build_extension.py`, on any system, without make.

It needs pip, the network, and Blender 4.2 or newer, which packs the zip: `--blender PATH` where it is not found, or a
Python that has the bpy module. The VRM Add-on's wheel is fetched by pip at its pinned version, checked against its
digest, and named in the manifest of the copy that is built; the checkout's manifest names no wheel, so that the
checkout itself can be linked into Blender.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VRM_ADDON = "bpy-vrm-format"
PINNED = ROOT / "tests/vrm-addon.txt"  # its version and its wheel's digest
INSTALLED = (  # where installers put Blender, the newest last
    "C:/Program Files/Blender Foundation/Blender */blender.exe",
    "/Applications/Blender.app/Contents/MacOS/Blender",
)
LEFT_OUT = (
    *("tests", "docs", "benchmarks", "tools", "training", "examples", "viewer", "comfyui", "deploy", ".ci"),
    *("Makefile", "Containerfile", "pyproject.toml", ".gitignore", ".pre-commit-config.yaml"),
)


def pinned(name: str) -> str:
    """`name==version` as the tests pin it."""
    lines = PINNED.read_text(encoding="utf-8").splitlines()
    return next(line.split()[0] for line in lines if line.startswith(f"{name}=="))


def fetch_wheel(folder: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--python-version",
        "3.11",  # Blender's, whatever runs this
        "--dest",
        str(folder),
        pinned(VRM_ADDON),
    ]
    uv_made = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0
    if uv_made:  # uv's environments have no pip of their own
        command[:3] = [shutil.which("python3") or sys.executable, "-m", "pip"]
    if subprocess.run(command).returncode:
        sys.exit(f"{pinned(VRM_ADDON)} could not be fetched; see the lines above, then run the command again.")
    wheel = next(folder.glob("*.whl"))
    if not wheel.name.endswith("py3-none-any.whl"):
        sys.exit(
            f"The VRM Add-on's wheel is {wheel.name}, which does not run in every Blender; pin a version that is pure"
            " Python."
        )
    found, wanted = (
        hashlib.sha256(wheel.read_bytes()).hexdigest(),
        PINNED.read_text(encoding="utf-8").partition("--hash=sha256:")[2],
    )
    if found != wanted.strip():
        sys.exit(
            f"{wheel.name} has the SHA-256 {found} and not the pinned {wanted.strip()}; look into it before it is"
            " shipped."
        )
    return wheel


def packager(blender: Path | None) -> list[str]:
    """The command that packs extensions: Blender's, or that of the bpy module, which runs without Blender."""
    spec = importlib.util.find_spec("bpy")
    if blender is None and spec is not None and spec.origin is not None:
        module = next(Path(spec.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))
        return [sys.executable, str(module)]
    found = [str(blender)] if blender else [str(path) for path in installed()]
    if not found and (there := shutil.which("blender")):
        found = [there]
    if not found:
        sys.exit("Blender was not found; name its program with --blender.")
    return [found[-1], "--command", "extension"]


def installed() -> list[Path]:
    """Blenders where installers put them, oldest first."""
    found = [path for place in INSTALLED for path in _matching(Path(place))]
    return sorted(found, key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))])


def _matching(place: Path) -> list[Path]:
    return list(Path(place.anchor).glob(str(place.relative_to(place.anchor)))) if place.is_absolute() else []


def sources() -> list[str]:
    """What the checkout holds, relative to it; of a downloaded archive, which has no history, all of it."""
    listed = None
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if listed is not None and listed.returncode == 0:
        return list(filter(None, listed.stdout.decode().split("\0")))
    files = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    unwanted = ("dist", "build")
    return [
        path.as_posix()
        for path in files
        if path.parts[0] not in unwanted and not path.parts[0].startswith(".") and "__pycache__" not in path.parts
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blender", type=Path, help="Blender's program; default: the installed one")
    options = parser.parse_args()
    pack, dist = packager(options.blender), ROOT / "dist"
    dist.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "avatar_forge"
        for name in sources():
            if (ROOT / name).is_file() and name.split("/")[0] not in LEFT_OUT:
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, source / name)
        (source / "wheels").mkdir()
        wheel = fetch_wheel(source / "wheels")
        manifest = source / "blender_manifest.toml"
        text = manifest.read_text(encoding="utf-8")
        manifest.write_text(
            re.sub(r"\n\[permissions\]", f'\nwheels = ["./wheels/{wheel.name}"]\n\n[permissions]', text, count=1),
            encoding="utf-8",
        )
        return subprocess.run([*pack, "build", "--source-dir", str(source), "--output-dir", str(dist)]).returncode


if __name__ == "__main__":
    sys.exit(main())
