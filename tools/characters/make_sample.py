# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the sample picture: `python tools/characters/make_sample.py examples/companion.png`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tools.characters.character import draw
from tools.characters.figure import Look

COMPANION = Look(name="companion", width=1100, extras=("headset",))

if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    draw(COMPANION)[0].save(target, optimize=True)
