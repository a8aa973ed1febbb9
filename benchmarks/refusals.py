# SPDX-License-Identifier: GPL-3.0-or-later
"""Are pictures without a person refused: `python -m benchmarks.refusals [--seed 0] [--out FOLDER]`.

Renders 36 animals, buildings, vehicles, plants and objects of `training.characters`, of other seeds and by another
renderer than training's, and has `analyse` read them. Prints the code of each refusal, or ACCEPTED, with the reader's
chance of "no humanoid", and how many were refused. --out keeps the pictures.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from backend.errors import BackendError
from backend.image.analysis import analyse
from backend.image.load import load_picture
from backend.reader import read
from training.characters.animals import ANIMALS
from training.characters.things import BUILDINGS, OBJECTS, PLANTS, VEHICLES, make_thing, picture

SIDE = 1600  # pixels
COUNTS = ((ANIMALS, 12), (BUILDINGS, 6), (VEHICLES, 8), (PLANTS, 3), (OBJECTS, 7))


def kinds() -> list[str]:
    """36 kinds, spread over each group."""
    return [list(group)[k * len(group) // count] for group, count in COUNTS for k in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    refused = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for number, kind in enumerate(kinds()):
            path = folder / f"{kind}.png"
            seed = 1000 * (options.seed + 1) + number
            small = picture(make_thing(kind, seed), seed)
            small.resize((SIDE, SIDE)).save(path)  # large enough not to be refused for its size
            code = "ACCEPTED"
            try:
                analyse(path)
            except BackendError as error:
                code, refused = error.code, refused + 1
            print(f"{kind:16} {code:14} {read(load_picture(path).rgba).humanoids['none']:.2f}", flush=True)
    print(f"refused: {refused} of {len(kinds())}")


if __name__ == "__main__":
    main()
