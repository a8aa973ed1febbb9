# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock files in backend/requirements: every package that a user's machine installs, with the hashes of its files.

    python tools/lock_requirements.py            writes them (needs uv and the package index; installs nothing)
    python tools/lock_requirements.py --check    says which lock does not belong to its inputs; needs no network

Each lock holds for Linux, Windows and macOS and for Python 3.11 to 3.13. Only wheels count, since building a source
distribution would fetch build tools that no lock names. PyTorch's own index has builds of the same version with other
hashes: there torch is pinned by its version, and what it needs comes from engines.lock.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "backend/requirements"
PYTHONS = ("3.11", "3.12", "3.13")
CONSTRAINTS = "constraints.txt"
# Where every package must have a wheel, as uv names them. PyTorch has none for Macs with Intel processors.
PLATFORMS = ("x86_64-manylinux_2_28", "x86_64-pc-windows-msvc", "aarch64-apple-darwin")
INTEL_MAC = "x86_64-apple-darwin"
# Only PyPI's torch for Linux needs these; PyTorch's builds have their own.
WITH_PYPI_TORCH = re.compile(r"torch==|triton==|nvidia-|cuda-")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
DIGEST = re.compile(r"^# inputs: ([0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True)
class Lock:
    """`name`.lock from the files `inputs`, in agreement with the lock `base`, without what `left_out` begins with."""

    name: str
    inputs: tuple[str, ...]
    platforms: tuple[str, ...]
    base: str = ""
    left_out: re.Pattern[str] | None = None

    @property
    def constraints(self) -> tuple[str, ...]:
        return (CONSTRAINTS, self.base) if self.base else (CONSTRAINTS,)

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.lock"


LOCKS = (
    Lock("base", ("base.txt",), (*PLATFORMS, INTEL_MAC)),
    Lock("mcp", ("mcp.txt",), (*PLATFORMS, INTEL_MAC)),
    Lock("torch", ("engines.txt", "torch.txt"), PLATFORMS, "base.lock"),
    Lock("engines", ("engines.txt", "torch.txt"), PLATFORMS, "base.lock", WITH_PYPI_TORCH),
)


def digest(lock: Lock) -> str:
    """SHA-256 of all that the lock is made from."""
    parts = [(FOLDER / name).read_bytes() for name in (*lock.inputs, *lock.constraints)]
    return hashlib.sha256(b"\0".join([*parts, repr((lock.platforms, PYTHONS)).encode()])).hexdigest()


def normalised(name: str) -> str:
    """Source: packaging.python.org, "Names and normalization"."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> set[tuple[str, str]]:
    """(name, version) of every requirement in a file of pins or in a lock, which may have several of a name."""
    return {(normalised(name), version) for name, version in PIN.findall(path.read_text(encoding="utf-8"))}


def problems(lock: Lock) -> list[str]:
    """Why the lock is not the one of its inputs; empty where it is."""
    if not lock.path.exists():
        return [f"{lock.path.name} is missing"]
    text, found = lock.path.read_text(encoding="utf-8"), []
    said = DIGEST.search(text)
    if not said or said[1] != digest(lock):
        found.append(f"{lock.path.name} was made from other inputs")
    wanted = {pin for name in lock.inputs for pin in pins(FOLDER / name)}
    if lock.left_out:
        wanted = {pin for pin in wanted if not lock.left_out.match(f"{pin[0]}==")}
    found += [f"{lock.path.name} has no {name} {version}" for name, version in sorted(wanted - pins(lock.path))]
    bare = [part.split("==")[0] for part in requirements(text) if "--hash=sha256:" not in part]
    return found + [f"{lock.path.name} has no hash for {name}" for name in bare]


def requirements(text: str) -> list[str]:
    """The requirements of a lock, each with its marker, its hashes and the comment on where it comes from."""
    body = re.sub(r"\A(#[^\n]*\n)*", "", text)
    return re.findall(r"^[^\s#][^\n]*\n(?:[ \t][^\n]*\n?)*", body, re.MULTILINE)


def uv_compile(uv: str, *arguments: str) -> str:
    """What uv resolves, of wheels only. Raises CalledProcessError."""
    command = [uv, "pip", "compile", "--quiet", "--only-binary", ":all:", "--no-header", *arguments]
    # Wheels that lie on this machine are none of the index's.
    env = {name: value for name, value in os.environ.items() if name not in ("UV_FIND_LINKS", "PIP_FIND_LINKS")}
    # macOS 14 is the oldest that PyTorch's wheels run on.
    env["MACOSX_DEPLOYMENT_TARGET"] = "14.0"
    return subprocess.run(command, cwd=FOLDER, env=env, check=True, capture_output=True, text=True).stdout


def write(uv: str, lock: Lock) -> None:
    constraints = [word for name in lock.constraints for word in ("--constraints", name)]
    parts = requirements(
        uv_compile(uv, "--universal", "--generate-hashes", "--python-version", PYTHONS[0], *constraints, *lock.inputs)
    )
    if lock.left_out:
        parts = [part for part in parts if not lock.left_out.match(part)]
    version = subprocess.run([uv, "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
    header = f"# Written by tools/lock_requirements.py with uv {version} from {' and '.join(lock.inputs)}.\n"
    lock.path.write_text(f"{header}# inputs: {digest(lock)}\n{''.join(parts)}", encoding="utf-8")
    for platform in lock.platforms:
        for python in PYTHONS:
            uv_compile(uv, "--python-platform", platform, "--python-version", python, lock.path.name)


def main(arguments: list[str]) -> int:
    if "--check" not in arguments:
        uv = shutil.which("uv")
        if uv is None:
            print("Locking needs uv; install it (pip install uv) and run the command again.", file=sys.stderr)
            return 2
        for lock in LOCKS:
            try:
                write(uv, lock)
            except subprocess.CalledProcessError as error:
                print(f"{lock.path.name} cannot be made: {error.stderr}", file=sys.stderr)
                return 1
    found = [problem for lock in LOCKS for problem in problems(lock)]
    for problem in found:
        print(f"{problem}; run python tools/lock_requirements.py.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
