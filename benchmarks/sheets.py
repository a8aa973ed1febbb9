# SPDX-License-Identifier: GPL-3.0-or-later
"""How well the figures of a model sheet are recognised: `python -m benchmarks.sheets FOLDER [NAMES...]`.

FOLDER as for benchmarks.views. Each character is drawn on a sheet of its own, in any order: front, one side, back or
none, a three-quarter view or none, and a portrait as tall as the figures or none. Prints each sheet that is wrong, how
many are right, and how often each kind of figure is taken for what.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from backend.image.sheet import cut_sheet

from .posed_glb import Coloured, load_posed

TALL, GAP = 560, 36  # pixels
PAPER = (244, 244, 248)
VIEWS = {0: "front", 90: "left", 180: "back", 270: "right"}
ANGLES = (30, 35, 40, 45, 50, -30, -35, -40, -45, -50)  # degrees of a three-quarter view
PORTRAIT, FROM = 0.42, 20  # of the figure, from the top; degrees


def figures(number: int) -> list[int | str]:
    """Azimuths, and `portrait`, of a sheet's figures from left to right."""
    choose = random.Random(number)
    shown: list[int | str] = [0, choose.choice((90, 270))]
    shown += [180] if number % 4 else []
    shown += [choose.choice(ANGLES)] if number % 3 else []
    shown += ["portrait"] if number % 3 != 1 else []
    choose.shuffle(shown)
    return shown


def drawn(character: Coloured, what: int | str) -> Image.Image:
    if what != "portrait":
        whole = Image.fromarray(character.picture(float(what), TALL, samples=2))
        return whole.crop(whole.getbbox())
    large = Image.fromarray(character.picture(FROM, round(TALL * 0.9 / PORTRAIT), half_width=0.9))
    large = large.crop(large.getbbox())
    return large.crop((0, 0, large.width, round(PORTRAIT * large.height)))


def sheet(character: Coloured, shown: list[int | str]) -> Image.Image:
    tiles = [drawn(character, what) for what in shown]
    wide, tall = sum(tile.width + GAP for tile in tiles) + GAP, max(tile.height for tile in tiles) + 2 * GAP
    out, x = Image.new("RGB", (wide, tall), PAPER), GAP
    for tile in tiles:
        out.paste(tile, (x, tall - GAP - tile.height), tile)
        x += tile.width + GAP
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="default: all but robots and monsters")
    options = parser.parse_args()
    index = {c["name"]: c for c in json.loads((options.folder / "index.json").read_text())["characters"]}
    names = options.names or sorted(n for n in index if "mech" not in n and "monster" not in n)
    taken: Counter[tuple[str, str]] = Counter()
    right = 0
    with tempfile.TemporaryDirectory(prefix="avatar-forge-sheets-") as work:
        for name in names:
            about, number = index[name], sorted(index).index(name)
            arms = float(np.random.default_rng(number).choice((30, 45, 60, 75)))
            shown = figures(number)
            path = Path(work) / f"{name}.png"
            sheet(load_posed(options.folder / about["file"], about["humanoid"], about["facing"], arms), shown).save(
                path
            )
            wanted = [VIEWS.get(what, "ignore") if isinstance(what, int) else "ignore" for what in shown]
            found = [figure.view for figure in cut_sheet(path)]
            right += found == wanted
            if found != wanted:
                print(f"{name}: {', '.join(map(str, shown))}: taken for {', '.join(found)}", flush=True)
            if len(found) == len(wanted):
                kinds = (VIEWS.get(w, "three-quarter") if isinstance(w, int) else w for w in shown)
                taken.update(zip(kinds, found, strict=True))
    print(f"{right} of {len(names)} sheets right.")
    for (kind, view), count in sorted(taken.items()):
        print(f"{kind}: {view} {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
