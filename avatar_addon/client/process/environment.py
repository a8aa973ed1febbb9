# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes, checks and repairs the backend's Python environment, in a folder the caller gives (Blender:
extension_path_user).

    environment = Environment(folder)
    environment.state()                      # quick, no process: missing, incomplete, outdated, broken or ready
    steps = environment.plan("cpu")          # what would run, to be shown: [step.shown() for step in steps]
    installation = environment.install(steps, online=True)
    while not installation.poll(): ...       # .stage, .fraction, .message; .cancel(); then .error or .result

A finished step is recorded in the environment itself, so an interrupted installation resumes. The
environment variable AVATAR_FORGE_BACKEND_PYTHON names an interpreter to use instead (developers, CI); then nothing is
ever installed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import AvatarError, reason_of
from .installation import Installation, Step

ROOT = Path(__file__).resolve().parents[3]
OVERRIDE = "AVATAR_FORGE_BACKEND_PYTHON"
PROFILES = {
    "cpu": "CPU",
    "cuda": "NVIDIA GPU (CUDA)",
    "rocm": "AMD GPU (ROCm, Linux)",
    "apple": "Apple silicon (Metal)",
}
PYTHONS = ((3, 11), (3, 12), (3, 13))
# PyTorch's builds besides PyPI's; PyPI has CUDA for Linux, CPU for Windows, Metal for macOS.
TORCH_INDEX = {("cpu", "linux"): "cpu", ("cuda", "win32"): "cu130", ("rocm", "linux"): "rocm7.2"}
TORCH_INDEX_URL = "https://download.pytorch.org/whl/"
# Free space in GB, downloads included, without and with torch.
SPACE = 1.0
TORCH_SPACE = {"cpu": 4.0, "cuda": 12.0, "rocm": 25.0, "apple": 4.0}
TORCH_CHECK = {
    "cpu": "torch.zeros(1)",
    "cuda": "torch.zeros(1, device='cuda')",
    "rocm": "torch.zeros(1, device='cuda')",
    "apple": "torch.zeros(1, device='mps')",
}
# Of Blender's or a shell's own Python; they would lead another interpreter astray.
FOREIGN = (
    "PYTHON",
    "VIRTUAL_ENV",
    "CONDA",
    "__PYVENV",
    "PIP_TARGET",
    "PIP_USER",
    "PIP_PREFIX",
    "PIP_REQUIRE_VIRTUALENV",
)


@dataclass(frozen=True)
class State:
    """code: missing, incomplete, outdated, broken or ready; message: one sentence for the preferences."""

    code: str
    message: str

    @property
    def ready(self) -> bool:
        return self.code == "ready"


class Environment:
    """The virtual environment `folder/venv` for the backend that lies in `root`."""

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.folder = folder
        self.root = root
        self.venv = folder / "venv"
        self.record = self.venv / "avatar_forge.json"
        self.log_path = folder / "install.log"

    @property
    def python(self) -> Path:
        """The backend's interpreter, there or not."""
        if override := os.environ.get(OVERRIDE):
            return Path(override)
        return self.venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    def state(self) -> State:
        """From a few small files, without a process: cheap enough for a redraw."""
        if override := os.environ.get(OVERRIDE):
            if os.path.exists(self.python):  # noqa: PTH110  False also in a folder that is closed to us
                return State("ready", f"The backend uses {override} ({OVERRIDE}).")
            return State(
                "broken",
                f"{OVERRIDE} is set to {override}, which does not exist; correct or unset it and restart Blender.",
            )
        if not self.venv.exists():
            return State("missing", "The backend is not installed; press Install Backend.")
        done = self.done()
        if "broken" in done:
            return State("broken", f"The backend does not run ({done['broken']}); press Repair Backend.")
        if "environment" in done and not self.python.exists():  # a symlink to a Blender that was updated or moved
            return State(
                "broken", "The Python that the backend was installed with no longer exists; press Repair Backend."
            )
        if "check" not in done:
            return State(
                "incomplete", "The backend's installation is not complete; press Install Backend to resume it."
            )
        wanted = {"packages": self._digest("base.lock")}
        if "torch" in done:
            wanted |= {"engines": self._digest("engines.lock"), "torch": self._torch_digest(self.profile() or "")}
        if any(done.get(key) != digest for key, digest in wanted.items()):
            return State(
                "outdated", "The backend's packages are from another version of this add-on; press Install Backend."
            )
        return State("ready", "The backend is installed.")

    def profile(self) -> str | None:
        """The profile torch was installed for, or None."""
        return self.done().get("profile")

    def done(self) -> dict[str, str]:
        """step key -> digest of what has been installed; plus "profile"."""
        try:
            done = json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return done if isinstance(done, dict) else {}

    def plan(self, profile: str = "cpu", models: bool = False, repair: bool = False) -> list[Step]:
        """The commands that are left to run; the last one is the self-check. models: with torch, built for `profile`.
        repair: from the beginning. Looks for a Python, which takes a second at worst. Raises AvatarError."""
        if profile not in PROFILES:
            raise AvatarError(f"There is no profile {profile!r}; choose one of {', '.join(PROFILES)}.", "bad_params")
        if os.environ.get(OVERRIDE):
            raise AvatarError(
                f"The backend's Python is set by {OVERRIDE}; unset it to install another one.", "overridden"
            )
        uv = find_uv()
        done = self.done()
        if not models and "profile" in done:  # torch was wanted before: it is kept up to date and survives a repair
            models, profile = True, done["profile"]
        if repair or not self.python.exists():
            done = {}
        steps = []
        if "environment" not in done or not (uv or self._has_pip()):
            done = {}
            steps.append(self._make_step(uv))
        if done.get("packages") != (digest := self._digest("base.lock")):
            command = self._locked(uv, "base.lock")
            steps.append(Step("packages", "Installing the packages", command, digest, network=True))
        if models and done.get("engines") != (digest := self._digest("engines.lock")):
            command = self._locked(uv, "engines.lock")
            steps.append(Step("engines", "Installing the model engines' packages", command, digest, network=True))
        if models and done.get("torch") != (digest := self._torch_digest(profile)):
            steps.append(
                Step(
                    "torch",
                    f"Installing PyTorch for {PROFILES[profile]}",
                    self._torch_command(uv, profile),
                    digest,
                    True,
                    profile,
                )
            )
            check = (str(self.python), "-c", f"import torch; {TORCH_CHECK[profile]}")
            steps.append(Step("torch_check", f"Checking PyTorch with {PROFILES[profile]}", check, digest))
        steps.append(Step("check", "Checking the backend", (*_command(self.python), "hello"), "1"))
        return steps

    def install(self, steps: list[Step], online: bool) -> Installation:
        """Starts running `steps` of `plan`. Raises AvatarError: no network permission, too little disk, folder not
        writable or in use.
        """
        if not online and any(step.network for step in steps):
            message = (
                "Installation needs the internet, but Blender is not allowed to use it; allow it in Preferences >"
                " System > Network."
            )
            raise AvatarError(message, "offline")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free / 1e9
        except OSError as error:
            message = f"The folder {self.folder} cannot be written to ({reason_of(error)}); check its permissions."
            raise AvatarError(message, "not_writable") from error
        needed = max(TORCH_SPACE.get(step.profile, SPACE) for step in steps)
        if any(step.network for step in steps) and free < needed:
            message = (
                f"The backend needs {needed:.0f} GB on the disk of {self.folder}, but only {free:.1f} GB are free; free"
                " some space."
            )
            raise AvatarError(message, "disk_full")
        return Installation(self, steps, backend_env(self.root))

    def write_record(self, done: Mapping[str, str]) -> None:
        temporary = self.record.with_suffix(".tmp")
        temporary.write_text(json.dumps(done), encoding="utf-8")
        temporary.replace(self.record)

    def mark_broken(self, reason: str) -> None:
        """Makes the next plan start from the beginning. reason: part of a sentence."""
        kept = {key: value for key, value in self.done().items() if key == "profile"}
        with contextlib.suppress(OSError):
            self.write_record({**kept, "broken": reason})

    def worker_command(self) -> tuple[list[str], dict[str, str]]:
        """Command and environment for jobs.Worker."""
        return list(_command(self.python)), backend_env(self.root)

    def _make_step(self, uv: str | None) -> Step:
        python = str(find_python(need_pip=uv is None))
        command = (
            (uv, "venv", "--clear", "--python", python, str(self.venv))
            if uv
            else (python, "-m", "venv", "--clear", str(self.venv))
        )
        return Step("environment", "Creating the Python environment", command, "1")

    def _pip(self, uv: str | None, *arguments: str) -> tuple[str, ...]:
        if uv:
            return (uv, "pip", "install", "--python", str(self.python), *arguments)
        return (
            str(self.python),
            "-m",
            "pip",
            "install",
            "--progress-bar",
            "off",
            "--disable-pip-version-check",
            *arguments,
        )

    def _locked(self, uv: str | None, name: str) -> tuple[str, ...]:
        """Installs the files whose hashes a lock has, and no others: a source distribution would fetch build tools."""
        return self._pip(uv, "--require-hashes", "--only-binary", ":all:", "-r", str(self._requirements(name)))

    def _torch_command(self, uv: str | None, profile: str) -> tuple[str, ...]:
        """PyPI's from the lock. PyTorch's builds have hashes of their own: those are pinned by their version, and what
        they need on every platform is there by then, from engines.lock.
        """
        index = TORCH_INDEX.get((profile, sys.platform))
        if index is None:
            return self._locked(uv, "torch.lock")
        choose = ("--torch-backend", index) if uv else ("--index-url", TORCH_INDEX_URL + index)
        return self._pip(uv, *choose, "-r", str(self._requirements("torch.txt")))

    def _has_pip(self) -> bool:
        folders = (*self.venv.glob("lib/python*/site-packages"), self.venv / "Lib" / "site-packages")
        return any((folder / "pip" / "__main__.py").exists() for folder in folders)

    def _requirements(self, name: str) -> Path:
        return self.root / "backend" / "requirements" / name

    def _digest(self, name: str) -> str:
        return _sha256(self._requirements(name).read_bytes())

    def _torch_digest(self, profile: str) -> str:
        content = b"\0".join(self._requirements(name).read_bytes() for name in ("torch.txt", "torch.lock"))
        return _sha256(content, profile)


def backend_env(root: Path = ROOT) -> dict[str, str]:
    """This process's environment variables without what belongs to its own Python, and `root` importable."""
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith(FOREIGN)}
    env |= {"PYTHONPATH": str(root), "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}
    if "PIP_FIND_LINKS" in env:  # uv does not read pip's settings
        env.setdefault("UV_FIND_LINKS", env["PIP_FIND_LINKS"])
    if "PIP_INDEX_URL" in env:
        env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
    return env


def detect_profile() -> str:
    """What this machine looks like; the user may choose another profile."""
    if sys.platform == "darwin":
        return "apple" if platform.machine() == "arm64" else "cpu"
    if shutil.which("nvidia-smi"):
        return "cuda"
    return "rocm" if sys.platform == "linux" and Path("/dev/kfd").exists() else "cpu"


def find_uv() -> str | None:
    """The path of uv, if it works and knows the options used here (0.8 or later)."""
    uv = shutil.which("uv")
    version = re.match(r"uv (\d+)\.(\d+)", _output(uv, "--version")) if uv else None
    return uv if version and (int(version[1]), int(version[2])) >= (0, 8) else None


def find_python(need_pip: bool = True) -> Path:
    """A Python 3.11 to 3.13 to make the environment with; Blender's own comes first. Raises
    AvatarError("no_python").
    """
    names = [f"python{major}.{minor}" for major, minor in reversed(PYTHONS)] + ["python3", "python"]
    found = [shutil.which(name) for name in names]
    if Path(sys.executable).stem.lower().startswith("python"):  # a program that embeds Python would start itself
        found.insert(0, sys.executable)
    modules = "venv, ensurepip" if need_pip else "venv"
    code = f"import sys, {modules}; print(*sys.version_info[:2])"
    for candidate in dict.fromkeys(filter(None, found)):
        words = _output(candidate, "-I", "-c", code).split()
        if len(words) == 2 and (int(words[0]), int(words[1])) in PYTHONS:
            return Path(candidate)
    raise AvatarError(
        "No Python 3.11, 3.12 or 3.13 with the modules venv and ensurepip was found; install one from python.org.",
        "no_python",
    )


def _sha256(content: bytes, *words: str) -> str:
    return hashlib.sha256(b"\0".join([content, *(word.encode() for word in words)])).hexdigest()


def _command(python: Path) -> tuple[str, ...]:
    # -P: a folder `backend` or a json.py in the current folder must not be imported.
    return (str(python), "-P", "-m", "backend")


def _output(*command: str) -> str:
    """stdout of a small command, "" when it fails."""
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith(FOREIGN)}
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env=env,
            stdin=subprocess.DEVNULL,
            creationflags=flags,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return ended.stdout.strip()


def main(arguments: list[str]) -> int:
    """`python -m avatar_addon.client.process.environment --folder X` shows the plan; with --yes it installs.
    For machines without a window.
    """
    parser = argparse.ArgumentParser(
        prog="python -m avatar_addon.client.process.environment", description="Install, check or repair the backend."
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--profile", choices=PROFILES, default=detect_profile())
    parser.add_argument("--models", action="store_true", help="also PyTorch, for the model engines")
    parser.add_argument("--repair", action="store_true", help="from the beginning")
    parser.add_argument("--yes", action="store_true", help="run the commands; without it they are only shown")
    options = parser.parse_args(arguments)
    environment = Environment(options.folder.resolve())
    try:
        steps = environment.plan(options.profile, options.models, options.repair)
        print(environment.state().message, *(step.shown() for step in steps), sep="\n")
        if not options.yes:
            return 0
        installation = environment.install(steps, online=True)
    except AvatarError as error:
        print(error, file=sys.stderr)
        return 1
    shown = ""
    while not installation.poll():
        if installation.message != shown:
            shown = installation.message
            print(f"{installation.fraction:4.0%} {installation.stage}: {shown}")
        time.sleep(0.1)
    print(installation.error or environment.state().message)
    return 1 if installation.error else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
