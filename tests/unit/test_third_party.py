# SPDX-License-Identifier: GPL-3.0-or-later
"""THIRD_PARTY.md is what the tool wrote: a line that was changed by hand does not pass its check."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool(monkeypatch, tmp_path):
    """The tool with a copy of the file."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import third_party

    copy = tmp_path / "THIRD_PARTY.md"
    copy.write_text(third_party.FILE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(third_party, "FILE", copy)
    yield third_party
    sys.modules.pop("third_party")


def change(tool, before, after, seal=False):
    text = tool.FILE.read_text(encoding="utf-8")
    text = text[: text.rfind(tool.SEAL.partition("{")[0])] if seal else text
    assert before in text
    text = text.replace(before, after, 1)
    tool.FILE.write_text(tool.sealed(text) if seal else text, encoding="utf-8")


@pytest.mark.parametrize(
    "before, after",
    [
        ("| pillow | ", "| pillow |  "),
        ("| MIT-CMU |", "| MIT |"),  # of an installed package
        ("| LicenseRef-NVIDIA-Proprietary |", "| MIT |"),  # of one that is not
        ("https://pypi.org/project/bpy-vrm-format/", "LICENSE"),
        ("Apache-2.0 | `LICENSE-MOVENET`", "MIT | `LICENSE-MOVENET`"),
        ("| three | ", "| tree | "),
        ("that none is changed by hand", "that none is changed"),
    ],
)
def test_a_line_that_was_changed_by_hand_is_found(tool, before, after):
    assert tool.problems() == []
    change(tool, before, after)
    assert tool.main(["--check"]) == 1


def test_a_licence_that_the_installed_package_does_not_have_is_found_under_any_seal(tool):
    change(tool, "| MIT-CMU |", "| MIT |", seal=True)
    assert any("pillow" in problem for problem in tool.problems())
