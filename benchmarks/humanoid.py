# SPDX-License-Identifier: GPL-3.0-or-later
"""How good the humanoid matcher is: `python -m benchmarks.humanoid [--each 40] [--seed 1] [--vrm-addon PYTHON
--addon-each 3]`.

Prints one row for each kind of skeleton (benchmarks/skeletons.py): bones right in % of the true ones, bones assigned
that are none, skeletons with every bone right, skeletons with any left and right exchanged, how many were called
unsure of their sides, milliseconds. Then the same for things that are no humanoids: how many were refused, and why.
`--vrm-addon` takes a Python with bpy and the VRM Add-on (found in `.venv` if it is there) and adds what the add-on's
own automatic assignment makes of the first skeletons of each kind.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar_addon.humanoid.matching.matcher import match
from avatar_addon.vrm.spec.human_bones import REQUIRED

from . import creatures, skeletons
from .skeletons import Sample

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Score:
    """What an assignment of one kind's skeletons comes to; counts."""

    samples: int = 0
    true: int = 0
    right: int = 0
    extra: int = 0
    perfect: int = 0
    swapped: int = 0
    seconds: float = 0.0
    unsure: int = 0
    required: int = 0

    def add(self, truth: dict[str, int], mapping: dict[str, int], seconds: float, sides_sure: bool = True) -> None:
        right = sum(mapping.get(name) == bone for name, bone in truth.items())
        extra = sum(name not in truth for name in mapping)
        self.samples += 1
        self.true, self.right, self.extra = self.true + len(truth), self.right + right, self.extra + extra
        self.perfect += right == len(truth) and not extra
        self.required += all(mapping.get(name) == truth[name] for name in REQUIRED)
        self.swapped += any(
            mapping.get(mirrored(name)) == bone for name, bone in truth.items() if name != mirrored(name)
        )
        self.seconds += seconds
        self.unsure += not sides_sure

    def __iadd__(self, other: Score) -> Score:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self

    @property
    def share(self) -> float:
        return 100 * self.right / max(self.true, 1)


def mirrored(name: str) -> str:
    side, other = ("left", "right") if name.startswith("left") else ("right", "left")
    return other + name[len(side) :] if name.startswith(side) else name


def drawn(kind: str, index: int, seed: int, make=skeletons.sample) -> Sample:
    return make(kind, np.random.default_rng([seed, index, *kind.encode()]))


def score_matcher(kind: str, each: int, seed: int) -> Score:
    score = Score()
    for index in range(each):
        sample = drawn(kind, index, seed)
        start = time.perf_counter()
        found = match(sample.heads, sample.parents)
        score.add(sample.truth, found.mapping, time.perf_counter() - start, found.sides_sure)
    return score


def score_addon(python: Path, kinds: list[str], each: int, seed: int) -> dict[str, Score]:
    """The VRM Add-on's `assign_vrm1_humanoid_human_bones_automatically`, in a Blender of its own."""
    samples = [(kind, drawn(kind, index, seed)) for kind in kinds for index in range(each)]
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder) / "skeletons.json", Path(folder) / "assigned.json"
        rows = [
            {"heads": s.heads.tolist(), "tails": s.tails.tolist(), "parents": s.parents.tolist()} for _, s in samples
        ]
        given.write_text(json.dumps(rows))
        command = [python, "-m", "benchmarks.vrm_addon_bones", given, taken]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        answers = json.loads(taken.read_text()) if taken.exists() else []
    if len(answers) != len(samples):
        print(f"The VRM Add-on's Blender ended after {len(answers)} of {len(samples)} skeletons.", file=sys.stderr)
    scores = {kind: Score() for kind in kinds}
    for (kind, sample), answer in zip(samples, answers, strict=False):
        scores[kind].add(sample.truth, answer["bones"], answer["seconds"])
    return scores


def humanoids(kinds: list[str], each: int, seed: int, addon: Path | None, addon_each: int) -> None:
    theirs = score_addon(addon, kinds, addon_each, seed) if addon else {}
    head = f"{'kind':<18}{'right %':>8}{'extra':>7}{'perfect':>9}{'swapped':>9}{'unsure':>8}{'ms':>7}"
    note = f"   | VRM Add-on, {addon_each} each: right %, all required right, swapped, s" if theirs else ""
    print(head + note)
    total, total_theirs = Score(), Score()
    for kind in [*kinds, "all"]:
        if kind != "all":
            ours, other = score_matcher(kind, each, seed), theirs.get(kind)
            total += ours
            total_theirs += other or Score()
        else:
            ours, other = total, total_theirs if theirs else None
        ms = 1000 * ours.seconds / max(ours.samples, 1)
        row = f"{kind:<18}{ours.share:>8.2f}{ours.extra:>7}{ours.perfect:>5}/{ours.samples:<4}"
        row += f"{ours.swapped:>8}{ours.unsure:>8}{ms:>7.0f}"
        if other:
            seconds = other.seconds / max(other.samples, 1)
            row += f"   | {other.share:>6.1f}{other.required:>5}/{other.samples:<4}{other.swapped:>4}{seconds:>7.1f}"
        print(row, flush=True)


def others(each: int, seed: int) -> None:
    print(f"\n{'no humanoid':<18}{'refused':>9}   most frequent reason")
    for kind in creatures.KINDS:
        found = [match(s.heads, s.parents) for s in (drawn(kind, k, seed, creatures.sample) for k in range(each))]
        reasons = Counter(f.reason for f in found)
        print(f"{kind:<18}{sum(not f.humanoid for f in found):>5}/{each:<4} {reasons.most_common(1)[0][0]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=40, help="skeletons of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--kinds", nargs="*", default=list(skeletons.KINDS), choices=list(skeletons.KINDS), metavar="KIND"
    )
    parser.add_argument(
        "--vrm-addon", type=Path, help="a Python with bpy and the VRM Add-on; by default the newest in .venv"
    )
    parser.add_argument(
        "--addon-each", type=int, default=1, help="skeletons of each kind for the VRM Add-on (3 to 22 s each); 0: none"
    )
    given = parser.parse_args()
    found = sorted(ROOT.glob(".venv/bpy-*/bin/python"))
    addon = given.vrm_addon or (found[-1] if found else None)
    humanoids(given.kinds, given.each, given.seed, addon if given.addon_each else None, given.addon_each)
    others(given.each, given.seed)


if __name__ == "__main__":
    main()
