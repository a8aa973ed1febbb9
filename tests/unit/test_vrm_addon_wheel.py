# SPDX-License-Identifier: GPL-3.0-or-later
"""The VRM Add-on's wheel with other bytes than the pinned ones: neither shipped nor installed."""

from pathlib import Path

import pytest

from tests.unit.test_backend_env import make_wheel

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import build_extension
    import make_env

    return build_extension, make_env


def test_another_wheel_of_that_version_is_not_shipped(tools, tmp_path, monkeypatch):
    build, _ = tools
    make_wheel(tmp_path / "index", "bpy_vrm_format", build.pinned(build.VRM_ADDON).split("==")[1], "EVIL = 1\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "out").mkdir()
    with pytest.raises(SystemExit, match=r"and not the pinned [0-9a-f]{64}; look into it"):
        build.fetch_wheel(tmp_path / "out")


def test_an_archive_without_history_is_built_with_blender(tools, tmp_path, monkeypatch):
    """As on Windows, where there is neither make nor a bpy module."""
    build, _ = tools
    for name in ("registration.py", "backend/engines.py", "backend/__pycache__/engines.pyc", "dist/old.zip", ".venv/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(build, "ROOT", tmp_path)
    assert sorted(build.sources()) == ["backend/engines.py", "registration.py"]
    assert build.packager(Path("blender.exe")) == ["blender.exe", "--command", "extension"]


def test_every_environment_checks_it_before_the_rest(tools):
    _, env = tools
    files = sorted((ROOT / "tests").glob("requirements-bpy-*.txt"))
    for file in files:
        first, last = env.commands(ROOT, Path(__file__), "python3", file)
        assert "--require-hashes" in first and first[-1] == str(ROOT / "tests/vrm-addon.txt") and last[-1] == str(file)
        assert ROOT / "tests/vrm-addon.txt" in env.requirement_files(file) and "vrm-format" not in file.read_text()
    assert len(files) == 3
