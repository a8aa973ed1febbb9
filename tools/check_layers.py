# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs import-linter on the extension as Blender sees it: one package, whatever the checkout's folder is called.

The contracts are in pyproject.toml. Relative imports such as `from ..avatar_addon import workflow` only resolve below
a package, so the checkout is linked as `avatar_forge` into a temporary folder for the check.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("__init__.py", "registration.py", "panels", "operators", "avatar_addon", "backend")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "avatar_forge"
        package.mkdir()
        for name in LAYERS:
            (package / name).symlink_to(ROOT / name)
        code = (
            f"import sys; sys.path.insert(0, {folder!r}); from importlinter.cli import lint_imports_command as lint;"
            " lint()"
        )
        return subprocess.run(
            [sys.executable, "-c", code, str(ROOT / "pyproject.toml"), "--no-cache"], cwd=folder
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
