# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a person writes to what a picture server is asked for."""

from __future__ import annotations

from pathlib import Path

from .http import Server

LONGEST = 2000  # characters
FRAMING = (
    "full body character reference, one single character, whole figure from head to feet inside the picture, front"
    " view, facing the viewer, standing upright in A-pose with the arms away from the body and empty hands, feet"
    " apart, neutral face with closed mouth and open eyes, even light, plain light grey background"
)
INSTRUCTIONS = Path(__file__).with_name("instructions.txt").read_text(encoding="utf-8").strip()


def widened(text: str, chat: Server | None, model: str = "") -> str:
    """The wish as a chat server (OpenAI's /v1/chat/completions) describes it in detail; without one as it is.

    Raises BackendError: text_server.
    """
    if chat is None:
        return text
    body = {
        "messages": [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": text}],
        "max_tokens": 300,
        "temperature": 0.7,
    }
    answer = chat.post("/v1/chat/completions", {**body, **({"model": model} if model else {})})
    try:
        told = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise chat.wrong("its answer has no message") from None
    if not isinstance(told, str) or not told.strip():
        raise chat.wrong("its answer is empty")
    return " ".join(told.split())[:LONGEST]


def for_picture(description: str) -> str:
    """The description with how the figure has to stand, so that an avatar can be made from it."""
    return f"{description.rstrip(' .')}. {FRAMING}."
