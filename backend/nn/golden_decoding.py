# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded decoding of the originals, for the checks of golden vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .beam_search import Decoding, Step
from .golden import Comparison
from .golden_safetensors import Case, exact


def ranges(mask: np.ndarray) -> list[list[int]]:
    """The allowed ids as ranges [first, last]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [[int(a), int(b) - 1] for a, b in edges.reshape(-1, 2)]


DECODING = ("temperature", "top_k", "top_p", "repetition_penalty", "length_penalty", "early_stopping", "max_new_tokens")


def decoding_of(kwargs: dict[str, Any]) -> Decoding:
    """From the arguments of the original's `generate`, whose unstated ones have other defaults than ours."""
    plain = Decoding(1, False, 1.0, 50, 1.0, 1.0)
    given = {name: kwargs[name] for name in DECODING if kwargs.get(name) is not None}
    return Decoding(
        **{**vars(plain), **given, "beams": kwargs.get("num_beams", 1), "sample": bool(kwargs.get("do_sample", False))}
    )


class Recorded:
    """Gives the recorded draws, and keeps what each step looked like for as many steps as there are recorded ones."""

    def __init__(
        self, case: Case, prefix: str, choices: list[list[int]], scores: str, tolerance: float | None = None
    ) -> None:
        """scores: how the file calls the scores before the grammar. tolerance: other than the file's."""
        self.case, self.prefix, self.choices, self.scores = case, prefix, choices, scores
        self.tolerance = tolerance
        self.out, self.drawn = list[Comparison](), 0

    def draw(self, _probabilities: Tensor, _count: int) -> Tensor:
        choice = torch.tensor(self.choices[self.drawn]).flatten()
        self.drawn += 1
        return choice

    def on_step(self, step: Step) -> None:
        name = f"{self.prefix}.step{step.index}"
        if self.case.has(f"{name}.ids"):
            want = self.case.array(f"{name}.ids")
            # Beams that have not begun cannot be drawn; what the original keeps in their place is arbitrary.
            alive = [True] * len(want)
            if step.probabilities is not None and len(want) > 1:
                alive = (step.probabilities.view(len(want), -1).sum(1) > 0).tolist()
            rows = [i for i, tokens in enumerate(step.tokens) if list(tokens) == want[i].tolist()]
            self.out.append(exact(f"{name}.ids", all(i in rows for i, lives in enumerate(alive) if lives)))
            key = f"{name}.{self.scores}"
            self.out.append(
                self.case.compare(key, step.scores[rows], self.case.tensor(key).cpu()[rows], self.tolerance)
            )
        if step.probabilities is not None and self.case.has(f"{name}.sample_probs"):
            key = f"{name}.sample_probs"
            self.out.append(
                self.case.compare(key, step.probabilities, self.case.tensor(key).cpu().flatten(), self.tolerance)
            )
