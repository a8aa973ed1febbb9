# SPDX-License-Identifier: GPL-3.0-or-later
"""Disturbed copies of pictures with their truth: `python -m benchmarks.variations OUT FOLDER... [--faces FILE]`.

Every picture is put before plain, graded and dark backgrounds, saved as a poor JPEG, reduced, mirrored, turned by a
few degrees, brightened, darkened, drained of colour and tinted. The truth (and --faces, as in benchmarks.landmarks,
which reads the result) moves along; nothing here needs a random number.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from .landmarks import SUFFIXES, read_truth

Points = dict[str, list[float]]
# (picture RGBA, points) to both, changed; the points are the truth's joints and face.
Change = Callable[[Image.Image, Points], tuple[Image.Image, Points]]


def _on(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Change:
    """Before a background that runs from one colour to another; an opaque picture keeps its own."""

    def change(image: Image.Image, points: Points) -> tuple[Image.Image, Points]:
        share = np.linspace(0, 1, image.height)[:, None, None]
        field = np.broadcast_to(np.array(top) * (1 - share) + np.array(bottom) * share, (image.height, image.width, 3))
        canvas = Image.fromarray(field.astype(np.uint8)).convert("RGBA")
        canvas.alpha_composite(image)
        return canvas, points

    return change


def _larger(image: Image.Image, by: float) -> tuple[Image.Image, tuple[int, int]]:
    """The picture on a larger canvas of its corner's colour, and where on it."""
    margin = (round(image.width * by), round(image.height * by))
    canvas = Image.new("RGBA", (image.width + 2 * margin[0], image.height + 2 * margin[1]), image.getpixel((0, 0)))
    canvas.paste(image, margin)
    return canvas, margin


def _turned(degrees: float) -> Change:
    def change(image: Image.Image, points: Points) -> tuple[Image.Image, Points]:
        canvas, margin = _larger(image, 0.08)
        turned = canvas.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=canvas.getpixel((0, 0)))
        middle = np.array([canvas.width - 1, canvas.height - 1]) / 2
        angle = np.radians(-degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return turned, {
            name: (turn @ (np.add(point, margin) - middle) + middle).tolist() for name, point in points.items()
        }

    return change


def _mirrored(image: Image.Image, points: Points) -> tuple[Image.Image, Points]:
    def other(name: str) -> str:
        return name.replace("left", "right") if name.startswith("left") else name.replace("right", "left")

    flipped = {other(name): [image.width - 1 - point[0], point[1]] for name, point in points.items()}
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), flipped


def _tall(pixels: int) -> Change:
    """The whole picture `pixels` tall."""

    def change(image: Image.Image, points: Points) -> tuple[Image.Image, Points]:
        factor = pixels / image.height
        small = (
            image.convert("RGBa").resize((round(image.width * factor), pixels), Image.Resampling.BOX).convert("RGBA")
        )
        return small, {name: [(value + 0.5) * factor - 0.5 for value in point] for name, point in points.items()}

    return change


def _light(brightness: float, contrast: float = 1.0, colour: float = 1.0) -> Change:
    def change(image: Image.Image, points: Points) -> tuple[Image.Image, Points]:
        changed = ImageEnhance.Color(image).enhance(colour)
        changed = ImageEnhance.Contrast(ImageEnhance.Brightness(changed).enhance(brightness)).enhance(contrast)
        changed.putalpha(image.getchannel("A"))
        return changed, points

    return change


def _tinted(factors: tuple[float, float, float]) -> Change:
    def change(image: Image.Image, points: Points) -> tuple[Image.Image, Points]:
        pixels = np.array(image)
        pixels[..., :3] = np.clip(pixels[..., :3] * np.array(factors), 0, 255).astype(np.uint8)
        return Image.fromarray(pixels), points

    return change


WHITE, GREY = _on((255, 255, 255), (255, 255, 255)), _on((128, 140, 150), (128, 140, 150))
CHANGES: dict[str, tuple[Change, ...]] = {
    "plain": (),
    "white": (WHITE,),
    "grey": (GREY,),
    "graded": (_on((190, 215, 245), (245, 240, 225)),),
    "dark": (_on((24, 28, 36), (24, 28, 36)),),
    "green": (_on((60, 190, 80), (60, 190, 80)),),
    "mirrored": (_mirrored,),
    "turned_4": (_turned(4),),
    "turned_-6": (_turned(-6),),
    "tall_420": (_tall(420),),
    "bright": (_light(1.35),),
    "dim": (_light(0.55),),
    "faded": (_light(1.1, 0.6, 0.5),),
    "colourless": (_light(1.0, 1.0, 0.0),),
    "evening": (_tinted((1.0, 0.78, 0.55)),),
}
JPEG = {"white", "graded"}  # saved with these qualities below


def vary(picture: Path, out: Path, faces: dict[str, Any]) -> None:
    truth = read_truth(picture, faces)
    joints = set(truth["joints"])
    with Image.open(picture) as opened:
        image = opened.convert("RGBA")
    for name, changes in CHANGES.items():
        changed, points = image, {**truth["joints"], **truth["face"]}
        for change in changes:
            changed, points = change(changed, points)
        path = out / f"{picture.stem}@{name}{'.jpg' if name in JPEG else '.png'}"
        if name in JPEG:
            changed.convert("RGB").save(path, quality=55)
        else:
            changed.save(path)
        factor = changed.height / image.height if name.startswith("tall") else 1.0
        data: dict[str, Any] = {
            "joints2d": {key: point for key, point in points.items() if key in joints},
            "face": {key: {"center": point} for key, point in points.items() if key not in joints},
        }
        if truth["head"]:
            data["head_height"] = truth["head"] * factor
        path.with_suffix(".json").write_text(json.dumps(data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--faces", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    faces = json.loads(options.faces.read_text()) if options.faces else {}
    for folder in options.folders:
        for picture in sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES):
            vary(picture, options.out, faces)


if __name__ == "__main__":
    main()
