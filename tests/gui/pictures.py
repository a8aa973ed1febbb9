# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual's pictures of the window, from the screenshots of `make gui`: `python -m tests.gui.pictures [NAME...]`."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SHOTS, DOCS = ROOT / "build/gui", ROOT / "docs/images"
LARGEST = 300_000  # bytes of a picture
# name -> (screenshot, left, top, right, bottom)[]: side by side.
PICTURES = {
    "panel": [("newcomer/*-avatar.png", 335, 80, 1325, 905)],
    "humanoid": [("humanoid/*-picking.png", 350, 80, 1305, 905)],
    "pose": [("pose/*-preview.png", 335, 80, 1305, 905)],
    "weights": [("weights/*-stray.png", 335, 80, 1305, 905)],
    "look": [("look/*-shaded.png", 335, 80, 1305, 905)],
    "sides": [("sides/*-cards.png", 1035, 142, 1325, 905), ("sides/*-wrong-side.png", 1035, 142, 1325, 905)],
    "candidates": [("candidates/*-choose.png", 335, 80, 1305, 905)],
    "publish": [("publish/*-explained.png", 500, 80, 1325, 810), ("publish/*-changes.png", 1035, 80, 1325, 810)],
    "vscode": [("vscode/*-made.png", 0, 25, 1325, 905)],
}
GAP = 12  # pixels between two


def picture(parts: list[tuple[str, int, int, int, int]]) -> Image.Image:
    cuts = [Image.open(next(SHOTS.glob(shot))).convert("RGB").crop(box) for shot, *box in parts]
    made = Image.new("RGB", (sum(cut.width for cut in cuts) + GAP * (len(cuts) - 1), cuts[0].height), "white")
    left = 0
    for cut in cuts:
        made.paste(cut, (left, 0))
        left += cut.width + GAP
    return made


def main(names: list[str]) -> None:
    for name in names or PICTURES:
        made, file = picture(PICTURES[name]), DOCS / f"{name}.png"
        for size in (1.0, 0.9, 0.8, 0.7):
            shown = made.resize((round(made.width * size), round(made.height * size)), Image.Resampling.LANCZOS)
            shown.save(file, optimize=True)
            if file.stat().st_size < LARGEST:
                break
        print(f"{file.relative_to(ROOT)}: {shown.width} x {shown.height}, {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
