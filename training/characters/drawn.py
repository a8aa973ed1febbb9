# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own drawn characters (tools/characters, SVG) as pictures with truth: one seed, one figure.

python -m training.characters.drawn FOLDER --count 200 [--seed 0]
"""

from __future__ import annotations

import argparse
import colorsys
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tools.characters.character import draw
from tools.characters.figure import Figure, Look

# What can go together: a visor needs its helmet, a robot its body, a goblin no hair over its ears.
FACES = ("anime", "dots", "real", "beard", "goblin", "robot", "visor")
HAIR = {
    "anime": ("bob", "spiky", "long", "bun", "short", "hat"),
    "dots": ("bob", "spiky", "long", "bun", "short", "bald", "hat"),
    "real": ("short", "bald", "bob", "long", "bun"),
    "beard": ("short", "bald", "long", "hat"),
    "goblin": ("bald",),
    "robot": ("bald",),
    "visor": ("helmet",),
}
OUTFITS = ("jacket", "dress", "coat", "armour", "shirt")
BARE = 2.05  # chin to the top of a head with short hair, in half heights of the face


@dataclass(frozen=True)
class Drawing:
    """image (h, w, 4) uint8, transparent beside the figure; points: joint or face point -> (x, y) in pixels from the
    top left, left and right the character's; features: left_eye, right_eye, mouth -> (x, y, half width, half height,
    state), where a mouth's half height is NaN; look: what was drawn.
    """

    image: np.ndarray
    points: dict[str, tuple[float, float]]
    features: dict[str, tuple[float, float, float, float, str]]
    look: Look


def _hex(random: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> str:
    rgb = colorsys.hsv_to_rgb(random.random(), random.uniform(*saturation), random.uniform(*value))
    return "#" + "".join(f"{round(255 * v):02x}" for v in rgb)


def random_look(seed: int) -> Look:
    random = np.random.default_rng(seed)
    u = random.uniform
    face = str(random.choice(FACES, p=(0.34, 0.17, 0.17, 0.1, 0.08, 0.07, 0.07)))
    natural = ("#f8d9c4", "#eec3a0", "#d9a583", "#c98d62", "#8d5a3c", "#5c3a28")
    skin = (
        natural[random.integers(len(natural))]
        if face not in ("goblin", "robot")
        else _hex(random, (0.1, 0.6), (0.5, 0.9))
    )
    chibi = random.random() < 0.35
    outfit = "robot" if face == "robot" else str(random.choice(OUTFITS))
    extras = tuple(e for e in ("cuffs", "stripes", "shorts", "headset") if random.random() < 0.25)
    if "headset" in extras and face in ("visor", "robot", "goblin"):
        extras = tuple(e for e in extras if e != "headset")
    height = 768
    angle = float(random.choice((u(-10, 20), u(25, 60), u(60, 78)), p=(0.2, 0.5, 0.3)))
    return Look(
        name=f"drawn_{seed}",
        width=round(height * (1.25 if angle < 20 else 1.0)),
        height=height,
        margin=float(u(0.03, 0.12)),
        head=float(u(0.33, 0.45) if chibi else u(0.13, 0.28)),
        build=float(u(0.85, 1.4)),
        shoulders=float(u(0.095, 0.14)),
        arm_angle=angle,
        arm_length=float(u(0.42, 0.5)),
        stance=float(u(0.6, 1.9)),
        yaw=float(random.choice((0.0, u(-0.9, 0.9)), p=(0.45, 0.55))),
        style=str(random.choice(("cel", "flat"))),
        face=face,
        hair=str(random.choice(HAIR[face])),
        outfit=outfit,
        cape=_hex(random, (0.2, 0.9), (0.2, 0.9)) if random.random() < 0.2 else None,
        skin=skin,
        hair_colour=_hex(random, (0, 0.8), (0.1, 0.95)),
        eyes=_hex(random, (0.3, 0.9), (0.3, 0.9)),
        colours=tuple(_hex(random, (0, 0.85), (0.15, 1)) for _ in range(4)),  # type: ignore[arg-type]
        background="none",
        extras=extras,
    )


def make_drawing(seed: int) -> Drawing:
    """The figure of this seed, mirrored (left and right exchanged) for every other seed."""
    look = random_look(seed)
    image, truth = draw(look)
    points = {name: (float(x), float(y)) for name, (x, y) in truth["joints2d"].items()}
    figure = Figure(look)
    points["chin"] = (figure.face_x, figure.chin)
    if look.hair in ("hat", "helmet") or look.face in ("goblin", "robot") or "headset" in look.extras:
        # The picture's highest point is no hair there.
        points["headTop"] = (points["headTop"][0], figure.chin - BARE * figure.head_b)
    face = truth["face"]
    features: dict[str, tuple[float, float, float, float, str]] = {}
    for name, key in (("left_eye", "leftEye"), ("right_eye", "rightEye")):
        x, y = face[key]["center"]
        features[name] = (x, y, face[key]["half_width"], face[key]["half_height"], "drawn")
    x, y = face["mouth"]["center"]
    features["mouth"] = (x, y, face["mouth"]["width"] / 2, float("nan"), "drawn")
    for name, feature in (("leftEye", "left_eye"), ("rightEye", "right_eye"), ("mouth", "mouth")):
        points[name] = features[feature][:2]
    pixels = np.asarray(image)
    if seed % 2:
        pixels, points, features = _mirrored(pixels, points, features)
    return Drawing(pixels.copy(), points, features, look)


def _other(name: str) -> str:
    return name.replace("left", "\0").replace("right", "left").replace("\0", "right")


def _mirrored(pixels: np.ndarray, points: dict, features: dict) -> tuple[np.ndarray, dict, dict]:
    width = pixels.shape[1]
    return (
        pixels[:, ::-1],
        {_other(name): (width - x, y) for name, (x, y) in points.items()},
        {_other(name): (width - x, y, *rest) for name, (x, y, *rest) in features.items()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seed, options.seed + options.count):
        path = options.folder / f"drawn_{seed}.json"
        if path.exists():
            continue
        found = make_drawing(seed)
        Image.fromarray(found.image).save(path.with_suffix(".png"))
        truth = {"points": found.points, "features": found.features, "look": dataclasses.asdict(found.look)}
        path.write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
