# SPDX-License-Identifier: GPL-3.0-or-later
"""How well the figures of a model sheet are recognised: `python -m benchmarks.sheets FOLDER [NAMES...]`.

FOLDER as for benchmarks.views. Each character is drawn on a sheet of its own, in any order: front, one side, back or
none, a three-quarter view or none, and a portrait as tall as the figures or none. What is on a sheet, in which look and
of which sizes, follows from --seed and the character. Prints each sheet that is wrong, how many are right, and how
often each kind of figure is taken for what.
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
from scipy import ndimage

from backend.image.sheet import cut_sheet
from backend.mesh.raster import View
from backend.rig_checks import rotation

from .posed_glb import Coloured, load_posed

TALL, GAP = 560, 36  # pixels
PAPER = (244, 244, 248)
VIEWS = {0: "front", 90: "left", 180: "back", 270: "right"}
ANGLES = (30, 35, 40, 45, 50, -30, -35, -40, -45, -50)  # degrees of a three-quarter view
SMALLER = 0.7  # of TALL, a figure on a sheet of different sizes
PORTRAIT, FROM = 0.42, 20  # of the figure, from the top; degrees


LOOKS = ("plain", "line", "shaded")
INK, JUMP = 2, 0.012  # pixels; depth in heights that a line is drawn at
LIGHT = np.array([-0.4, 0.6, 0.7]) / np.linalg.norm([0.4, 0.6, 0.7])
DARK = 0.62  # of the colour, what looks away from the light


def figures(choose: random.Random) -> list[int | str]:
    """Azimuths, and `portrait`, of a sheet's figures from left to right."""
    shown: list[int | str] = [0, choose.choice((90, 270))]
    shown += [180] if choose.random() < 0.75 else []
    shown += [choose.choice(ANGLES)] if choose.random() < 0.67 else []
    shown += ["portrait"] if choose.random() < 0.67 else []
    choose.shuffle(shown)
    return shown


def styled(character: Coloured, azimuth: float, size: int, look: str, half_width: float = 0.62) -> Image.Image:
    """The character in a look, cropped to its figure: its colours alone, with drawn lines, or in cel light."""
    rgba = character.picture(azimuth, size, half_width, samples=2)
    if look != "plain":
        view = character.view(azimuth, 2 * size, half_width)
        rgba = inked(rgba, view) if look == "line" else shaded(rgba, character, view, azimuth)
    image = Image.fromarray(rgba)
    return image.crop(image.getbbox())


def inked(rgba: np.ndarray, view: View) -> np.ndarray:
    """With dark lines around the figure and where its depth jumps. view: of twice the size."""
    depth = np.where(view.mask, view.depth, -1.0)
    edge = ndimage.maximum_filter(depth, 3) - depth > JUMP
    edge = ndimage.binary_dilation(edge, iterations=INK)[: 2 * len(rgba), : 2 * rgba.shape[1]]
    share = edge.reshape(rgba.shape[0], 2, rgba.shape[1], 2).mean((1, 3))
    alpha = np.maximum(rgba[..., 3] / 255, share)
    colours = rgba[..., :3] * (1 - share[..., None]) + 30 * share[..., None]
    return np.dstack([colours, 255 * alpha]).round().astype(np.uint8)


def shaded(rgba: np.ndarray, character: Coloured, view: View, azimuth: float) -> np.ndarray:
    """In the light of LIGHT, two steps of it. view: of twice the size."""
    corners = (character.vertices @ rotation((0, -azimuth, 0)).T)[character.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals *= np.where(normals[:, 2:] < 0, -1, 1)
    lit = normals @ LIGHT > 0.35 * np.linalg.norm(normals, axis=1)
    level = np.where(view.mask, np.where(lit[view.triangle], 1.0, DARK), 1.0)
    level = ndimage.uniform_filter(level, 3)[: 2 * len(rgba) : 2, : 2 * rgba.shape[1] : 2]
    return np.dstack([(rgba[..., :3] * level[..., None]).round().astype(np.uint8), rgba[..., 3]])


def drawn(character: Coloured, what: int | str, look: str, tall: int) -> Image.Image:
    if what != "portrait":
        return styled(character, float(what), tall, look)
    large = styled(character, FROM, round(TALL * 0.9 / PORTRAIT), look, half_width=0.9)
    return large.crop((0, 0, large.width, round(PORTRAIT * large.height)))


def sheet(character: Coloured, shown: list[int | str], choose: random.Random) -> Image.Image:
    """The figures on one ground, on every other sheet of different sizes."""
    look, uneven = choose.choice(LOOKS), choose.random() < 0.5
    tiles = [
        drawn(character, what, look, round(TALL * (choose.uniform(SMALLER, 1) if uneven else 1))) for what in shown
    ]
    wide, tall = sum(tile.width + GAP for tile in tiles) + GAP, max(tile.height for tile in tiles) + 2 * GAP
    out, x = Image.new("RGB", (wide, tall), PAPER), GAP
    for tile in tiles:
        out.paste(tile, (x, tall - GAP - tile.height), tile)
        x += tile.width + GAP
    return out


def made(folder: Path, about: dict, seed: int) -> tuple[Image.Image, list[int | str]]:
    """A character's sheet and what is on it."""
    choose = random.Random(f"{about['name']} {seed}")
    character = load_posed(
        folder / about["file"], about["humanoid"], about["facing"], choose.choice((30.0, 45.0, 60.0, 75.0))
    )
    shown = figures(choose)
    return sheet(character, shown, choose), shown


def wanted(what: int | str) -> str:
    return VIEWS.get(what, "ignore") if isinstance(what, int) else "ignore"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="default: all but robots and monsters")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    index = {c["name"]: c for c in json.loads((options.folder / "index.json").read_text())["characters"]}
    names = options.names or sorted(n for n in index if "mech" not in n and "monster" not in n)
    taken: Counter[tuple[str, str]] = Counter()
    right = 0
    with tempfile.TemporaryDirectory(prefix="avatar-forge-sheets-") as work:
        for name in names:
            picture, shown = made(options.folder, index[name], options.seed)
            path = Path(work) / f"{name}.png"
            picture.save(path)
            found = [figure.view for figure in cut_sheet(path)]
            good = found == [wanted(what) for what in shown]
            right += good
            if not good:
                print(f"{name}: {', '.join(map(str, shown))}: taken for {', '.join(found)}", flush=True)
            if len(found) == len(shown):
                kinds = (VIEWS.get(what, "three-quarter") if isinstance(what, int) else what for what in shown)
                taken.update(zip(kinds, found, strict=True))
    print(f"{right} of {len(names)} sheets right.")
    for (kind, view), count in sorted(taken.items()):
        print(f"{kind}: {view} {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
