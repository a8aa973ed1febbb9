# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the installable extension into dist/: `python tools/build_extension.py`, with a Python that has the bpy
module.

The VRM Add-on's wheel is fetched by pip at its pinned version, checked against its digest, and named in the manifest
of the copy that is built; the checkout's manifest names no wheel, so that the checkout itself can be linked into
Blender.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VRM_ADDON = "bpy-vrm-format"
PINNED = ROOT / "tests/vrm-addon.txt"  # its version and its wheel's digest
LEFT_OUT = (
    *("tests", "docs", "benchmarks", "tools", "training", "examples", "viewer", "comfyui", "deploy", ".ci"),
    *("Makefile", "Containerfile", "pyproject.toml", ".gitignore", ".pre-commit-config.yaml"),
)


def pinned(name: str) -> str:
    """`name==version` as the tests pin it."""
    lines = PINNED.read_text().splitlines()
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
    found, wanted = hashlib.sha256(wheel.read_bytes()).hexdigest(), PINNED.read_text().partition("--hash=sha256:")[2]
    if found != wanted.strip():
        sys.exit(
            f"{wheel.name} has the SHA-256 {found} and not the pinned {wanted.strip()}; look into it before it is"
            " shipped."
        )
    return wheel


def packager() -> Path:
    """Blender's own command for extensions, which runs without Blender."""
    import importlib.util

    spec = importlib.util.find_spec("bpy")
    if spec is None or spec.origin is None:
        sys.exit("This Python has no bpy module; run `make extension`.")
    return next(Path(spec.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))


def main() -> int:
    dist = ROOT / "dist"
    dist.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "avatar_forge"
        files = (
            subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
            .stdout.decode()
            .split("\0")
        )
        for name in filter(None, files):
            if (ROOT / name).is_file() and name.split("/")[0] not in LEFT_OUT:
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, source / name)
        (source / "wheels").mkdir()
        wheel = fetch_wheel(source / "wheels")
        manifest = source / "blender_manifest.toml"
        text = manifest.read_text()
        manifest.write_text(
            re.sub(r"\n\[permissions\]", f'\nwheels = ["./wheels/{wheel.name}"]\n\n[permissions]', text, count=1)
        )
        command = [sys.executable, str(packager()), "build", "--source-dir", str(source), "--output-dir", str(dist)]
        return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
