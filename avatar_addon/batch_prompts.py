# SPDX-License-Identifier: GPL-3.0-or-later
"""The batch's --prompts: a file of descriptions, one a line, of which each becomes a reference picture first."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import text_pictures
from .batch_summary import Lines
from .client import session
from .client.process.tasks import Task
from .errors import AvatarError, reason_of
from .files import read_text

NAMED = re.compile(r"([\w.-]{1,60}):\s+(.+)")
LONGEST_NAME = 40


@dataclass(frozen=True)
class Prompt:
    """A line of the file: `NAME: description`, or a description alone, whose first words are the name then."""

    name: str
    text: str


def read_prompts(path: Path) -> list[Prompt]:
    """Empty lines and those that begin with # are left out. Raises AvatarError."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise AvatarError(
            f"The prompts file {path.name} cannot be read ({reason}); check the path.", "bad_prompts"
        ) from error
    found: list[Prompt] = []
    for line in (line.strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        match = NAMED.fullmatch(line)
        text = match[2] if match else line
        name = match[1] if match else "-".join(re.findall(r"\w+", text.lower()))[:LONGEST_NAME].strip("-") or "avatar"
        taken = [prompt.name for prompt in found]
        found.append(Prompt(name if name not in taken else f"{name}-{len(found) + 1}", text))
    if not found:
        raise AvatarError(f"The prompts file {path.name} has no descriptions; write one a line.", "bad_prompts")
    return found


def servers(options: argparse.Namespace) -> text_pictures.Servers:
    """What the command line names, else the preferences'."""
    if not options.picture_server:
        return text_pictures.Servers.from_preferences()
    return text_pictures.Servers(
        image_url=options.picture_server,
        image_kind=options.picture_kind,
        image_model=options.picture_model,
        comfy_workflow=str(options.workflow.absolute()) if options.workflow else "",
        comfy_prompt=options.workflow_fields.get("prompt", ""),
        comfy_seed=options.workflow_fields.get("seed", ""),
        comfy_count=options.workflow_fields.get("count", ""),
        chat_url=options.chat_server,
        chat_model=options.chat_model,
    )


def picture_of(prompt: Prompt, options: argparse.Namespace, says: Lines) -> tuple[Path, dict[str, Any]]:
    """The first picture that can be used, and where it comes from, for the receipt. Raises AvatarError."""
    print(f"{prompt.name}: asking for pictures", file=sys.stderr, flush=True)
    steps = text_pictures.make(prompt.text, options.seed, servers=servers(options))
    made = Task(f"Pictures of {prompt.name}", steps, session.worker).wait(says.progress)
    picture = text_pictures.first_usable(made)
    return picture, text_pictures.origin_in(made, picture)
