# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole characters by formula: one seed, one Character. Nothing but the package anny is needed."""

from __future__ import annotations

import colorsys

import numpy as np

from .accessories import put_on, random_names
from .body import Body, make_body
from .character import Character
from .clothes import dress_up
from .hair import hair
from .heads import random_head, replace_head
from .repaint import make_up, random_repaint
from .reshape import Proportions, random_proportions, reshape

STYLES = ("chibi", "tall", "plain", "odd")
SKINS = ((252, 226, 208), (243, 205, 180), (222, 172, 135), (190, 135, 98), (140, 95, 66), (92, 62, 48))


def skin_tone(random: np.random.Generator) -> tuple[int, int, int]:
    """A person's in most cases, else green, blue, grey, red or what a fantasy needs."""
    if random.random() < 0.82:
        base = np.array(SKINS[random.integers(len(SKINS))], float) * random.uniform(0.92, 1.05)
    else:
        base = np.array(colorsys.hsv_to_rgb(random.random(), random.uniform(0.05, 0.65), random.uniform(0.4, 1))) * 255
    r, g, b = np.clip(base, 0, 255).astype(int)
    return int(r), int(g), int(b)


def random_body(random: np.random.Generator) -> Body:
    races = random.dirichlet([0.6] * 3)
    detail = {}
    for name in ("nose/nose-scale-vert", "nose/nose-scale-horiz", "chin/chin-width", "chin/chin-height"):
        detail[f"{name}-{'incr' if random.random() < 0.5 else 'decr'}"] = float(random.uniform(0, 0.9))
    if random.random() < 0.3:
        for side in "lr":
            detail[f"ears/{side}-ear-shape-pointed"] = 1.5
    return Body(
        male=float(np.round(random.random(), 1)) if random.random() < 0.3 else float(random.integers(2)),
        age=float(random.choice((0.1, 0.19, 0.3, 0.5, 0.9), p=(0.05, 0.15, 0.2, 0.5, 0.1))),
        muscle=float(random.beta(2, 2)),
        weight=float(random.beta(2, 2)),
        height=float(random.uniform(0.2, 0.8)),
        proportions=float(random.uniform(0.3, 1)),
        race={name: float(share) for name, share in zip(("caucasian", "asian", "african"), races, strict=True)},
        targets=detail,
        skin=skin_tone(random),
        iris=(int(random.integers(30, 160)), int(random.integers(50, 160)), int(random.integers(40, 200))),
    )


def make_character(seed: int) -> Character:
    """Body, head, proportions, clothes, face, hair, accessories; every step by the seed."""
    random = np.random.default_rng(seed)
    style = str(random.choice(STYLES, p=(0.32, 0.22, 0.34, 0.12)))
    body = random_body(random)
    character = make_body(body, f"formula_{seed}")
    toon = random.random() < (0.75 if style != "tall" else 0.5)
    kind = "toon" if toon else "anime" if random.random() < 0.6 else "realistic"
    if toon:
        height = float(character.face.head_top[1] - character.face.chin[1])
        character = replace_head(
            character, random_head(random, height * float(random.uniform(0.95, 1.25))), np.array(body.skin, float)
        )
    elif kind == "anime":
        character = reshape(character, Proportions(head=float(random.uniform(1.05, 1.4))))
    character = reshape(character, random_proportions(random, style))
    names = random_names(random)
    character = dress_up(character, random)
    if kind == "realistic":
        names = [name for name in names if name != "snout"]
        character = make_up(character, random)
    else:
        # A snout brings its own mouth.
        character = random_repaint(character, random, "none" if "snout" in names else "")
    if random.random() < 0.9:
        character = hair(character, random)
    meta = character.meta | {"name": f"formula_{seed}", "style": f"{kind} {style}", "seed": seed}
    return put_on(character.replace(meta=meta), random, names)
