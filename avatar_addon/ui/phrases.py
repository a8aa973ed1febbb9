# SPDX-License-Identifier: GPL-3.0-or-later
"""A table of translations whose texts may have gaps for values: "Wrote {}" fits "Wrote hero.vrm". No bpy."""

from __future__ import annotations

import re
from functools import cached_property

PAIRS = ("{} and {}", "{} by {}")  # of a figure; too few words to be looked for in other texts
FEW = 3  # letters; a pattern with no more of its own fits what it does not mean


class Phrases:
    """table: English text -> translation; a value is {} in both, or {0}, {1} where the other language needs another
    order.
    """

    def __init__(self, table: dict[str, str]) -> None:
        self.table = {text: other for text, other in table.items() if other}

    def translate(self, text: str) -> str:
        """The translation; a text of several sentences is translated sentence by sentence, and stays where nothing
        fits.
        """
        if text in self.table:
            return self.table[text]
        sentences = re.split(
            r"(?<=[.!?]) (?=[A-Z])", text
        )  # an error is what went wrong and what to do next, each with its own pattern
        parts = [self._one(sentence) for sentence in sentences]
        # A pattern that fits all of it may have taken a whole sentence for a value.
        if None in parts and (whole := self._one(text)) is not None:
            return whole
        return (
            "".join(part or sentence for part, sentence in zip(parts, sentences, strict=True)) if any(parts) else text
        )

    def figure(self, text: str) -> str:
        """The translation of a check's figure: a clause is in the table as a sentence, a list is translated item by
        item.
        """
        for whole in (text, f"{text[:1].upper()}{text[1:]}."):
            if (other := self.translate(whole)) != whole:
                return other.rstrip(".。")
        items = re.split(r"(; |, |: | \(|\))", text)
        if len(items) > 1:
            items[::2] = map(self.figure, items[::2])  # every second one is a separator
            return "".join(items)
        for pair in PAIRS:
            first, between, second = text.partition(pair.strip("{}"))
            if between and pair in self.table:
                return _fill(self.table[pair], [self.figure(first), self.figure(second)])
        return text

    def _one(self, text: str) -> str | None:
        if text in self.table:
            return self.table[text]
        for pattern, other in self._patterns:
            if values := pattern.fullmatch(text):
                return _fill(other, [self.table.get(value) or value for value in values.groups()])
        return None

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """Those with the most words of their own first."""
        gaps = [text for text in self.table if "{}" in text and len(text.replace("{}", "").strip()) > FEW]
        gaps.sort(key=lambda text: -len(text.replace("{}", "")))
        return [
            (re.compile("(.*?)".join(map(re.escape, text.split("{}"))), re.DOTALL), self.table[text]) for text in gaps
        ]


def _fill(template: str, values: list[str]) -> str:
    following = iter(values)
    return re.sub(r"\{(\d?)\}", lambda gap: values[int(gap[1])] if gap[1] else next(following), template)
