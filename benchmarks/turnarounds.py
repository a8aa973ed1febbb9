# SPDX-License-Identifier: GPL-3.0-or-later
"""The preview engine's mesh beside the pictures of its sheet: `python -m benchmarks.turnarounds OUT SHEETS...`.

Each turnaround sheet is cut into its figures and made into a mesh. OUT gets NAME.png: the mesh from eight sides, and
below each side the picture that it should look like. Prints how far they differ: intersection over union of the
silhouettes and mean colour error (CIE Lab, on the pixels both cover).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from backend.engines import GenerateRequest
from backend.errors import BackendError
from backend.image.sheet import sheet_result
from backend.preview.engine import PreviewGenerator

from .posed_glb import MARGIN, Coloured, load_made
from .views import AZIMUTHS, MEASURED, SIDES, compare, sheet

AZIMUTH = {"front": 0, **SIDES}


def framed(path: Path, wide: int) -> np.ndarray:
    """A cut-out figure as `Coloured.picture` draws one: (MEASURED, wide, 4) uint8, feet and middle at its places."""
    image = Image.open(path).convert("RGBA")
    image = image.crop(image.getbbox())
    tall = round(MEASURED / (1 + 2 * MARGIN))
    image = image.resize((max(round(image.width * tall / image.height), 1), tall), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (wide, MEASURED))
    canvas.paste(image, ((wide - image.width) // 2, round(MARGIN * tall)))
    return np.asarray(canvas)


def centred(picture: np.ndarray) -> np.ndarray:
    """With the figure's box in the middle of the picture: in the drawing from the side nobody knows where z is 0."""
    used = np.flatnonzero((picture[..., 3] > 127).any(0))
    return np.roll(picture, (picture.shape[1] - used[0] - used[-1] - 1) // 2, axis=1)


def shown(mesh: Coloured, pictures: dict[str, Path]) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[str]]:
    """(mesh above picture for each of AZIMUTHS, a line of figures for each picture)."""
    pairs, lines = [], []
    for azimuth in AZIMUTHS:
        made = centred(mesh.picture(azimuth, MEASURED))
        given = np.zeros_like(made)
        for side, path in pictures.items():
            if AZIMUTH[side] == azimuth:
                given = framed(path, made.shape[1])
                overlap, colour = compare(made, given)
                lines.append(f"{side} {overlap:.3f} / {colour:.1f}")
        pairs.append((made, given))
    return pairs, lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("sheets", nargs="+", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for path in options.sheets:
        with tempfile.TemporaryDirectory(prefix="avatar-forge-turnarounds-") as work:
            try:
                figures = sheet_result(path, Path(work))["figures"]
                pictures = {f["view"]: Path(f["picture"]) for f in figures if f["view"] != "ignore"}
                sides = {side: file for side, file in pictures.items() if side != "front"}
                request = GenerateRequest(pictures["front"], Path(work), pictures=sides)
                made = PreviewGenerator().generate(request, lambda *_: None)
            except (BackendError, KeyError) as error:
                print(f"{path.name}: {error}", flush=True)
                continue
            pairs, lines = shown(load_made(made.mesh), pictures)
            sheet(pairs).save(options.out / f"{path.stem}.png")
            notes = " ".join(warning["message"] for warning in made.warnings)
            print(f"{path.name}: {', '.join(lines)}. {notes}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
