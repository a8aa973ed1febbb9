# SPDX-License-Identifier: GPL-3.0-or-later
"""One Look becomes a picture and the truth about it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from .clothes import cape, coat, dress, jacket, shirt
from .figure import Figure, Look
from .head import Head
from .metal import armour, robot
from .svg import Drawing

OUTFITS = {"jacket": jacket, "dress": dress, "coat": coat, "armour": armour, "shirt": shirt, "robot": robot}


def draw(look: Look) -> tuple[Image.Image, dict]:
    """The picture (RGBA without a background, else RGB) and its truth.

    Truth: {"joints2d": {name: [x, y]}, "face": {...}, "height": pixels, "size": [w, h]}, pixels from the top left,
    character's left on the picture's right; names and the face's form are those of docs/architecture.md.
    """
    figure = Figure(look)
    d = Drawing(look.width, look.height, line=0.0022 * look.height)
    d.light = (-0.0058 * look.height, -0.0045 * look.height)
    d.flat = look.style == "flat"
    head = Head(d, figure)
    if look.cape:
        cape(d, figure, look.cape)
    head.back_hair()
    OUTFITS[look.outfit](d, figure)
    if look.face != "visor":
        head.skull()
    head.features()
    head.front_hair()
    if "headset" in look.extras:
        head.headset()
    image = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=d.svg(), skip_system_fonts=True)))).convert(
        "RGBA"
    )
    joints = figure.joints()
    joints["headTop"][1] = float(image.getbbox()[1])
    truth = {
        "joints2d": joints,
        "face": head.truth(),
        "head_height": round(figure.chin - joints["headTop"][1], 2),
        "px_height": round(figure.total, 2),
        "size": [look.width, look.height],
    }
    return background(image, look), truth


def background(image: Image.Image, look: Look) -> Image.Image:
    """The picture on its background; noise comes from a fixed seed so that the bytes are the same every time."""
    if look.background == "none":
        return image
    height, width = image.height, image.width
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    if look.background == "gradient":
        field = np.stack([205 + 40 * y, 218 + 22 * y, 236 - 20 * y], -1)
    elif look.background == "noise":
        field = np.stack([176 + 20 * y, 186 + 12 * x, 190 + 10 * y], -1) + np.random.default_rng(7).normal(
            0, 3, (height, width, 1)
        )
    else:
        field = np.broadcast_to([int(look.background[i : i + 2], 16) for i in (1, 3, 5)], (height, width, 3))
    canvas = Image.fromarray(np.clip(field, 0, 255).astype(np.uint8), "RGB")
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def save(look: Look, folder: Path) -> Path:
    """Writes NAME.png (or NAME.jpg on a noisy background) and NAME.json; returns the picture's path."""
    image, truth = draw(look)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (look.name + (".jpg" if look.background == "noise" else ".png"))
    image.save(path, **({"quality": 88} if path.suffix == ".jpg" else {"optimize": True}))
    path.with_suffix(".json").write_text(json.dumps(truth, indent=1) + "\n")
    return path
