# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be put on any Character with a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from . import clothes, garments, hair, heads, headwear, props
from .character import Character
from .measure import hide_covered

Accessory = Callable[[Character, np.random.Generator], Character]

ACCESSORIES: dict[str, Accessory] = {
    "hair": hair.hair, "beard": hair.beard, "hat": headwear.hat, "helmet": headwear.helmet, "mask": headwear.mask,
    "glasses": headwear.glasses, "headband": headwear.headband, "hood": headwear.hood, "box_head": headwear.box_head,
    "horns": heads.horns, "snout": heads.snout, "skirt": garments.skirt, "robe": garments.robe, "coat": garments.coat,
    "cape": garments.cape, "poncho": garments.poncho, "apron": garments.apron, "scarf": garments.scarf,
    "tie": garments.tie, "held": props.held, "carried": props.carried, "top": clothes.top,
    "trousers": clothes.trousers, "shoes": clothes.shoes, "gloves": clothes.gloves, "suit": clothes.suit,
    "armour": clothes.armour,
}  # fmt: skip
# At most one of each group goes on one character.
GROUPS = (
    {"hat": 0.45, "helmet": 0.13, "headband": 0.2, "hood": 0.1, "horns": 0.15, "box_head": 0.02},
    {"mask": 0.12, "beard": 0.25, "snout": 0.12},
    {"glasses": 0.15},
    {"skirt": 0.3, "robe": 0.12, "coat": 0.2, "apron": 0.06},
    {"cape": 0.22, "poncho": 0.08, "scarf": 0.1, "tie": 0.06},
    {"carried": 0.15},
)


def put_on(character: Character, random: np.random.Generator, names: Iterable[str]) -> Character:
    """The character with these accessories, in this order, and truth that knows what they cover. One that does not
    fit (a hat on a body without a head) is left out; meta["worn"] lists those that are on.
    """
    worn = list(character.meta.get("worn", []))
    for name in names:
        try:
            character = ACCESSORIES[name](character, random)
        except ValueError:
            continue
        worn.append(name)
    return hide_covered(character.replace(meta=character.meta | {"worn": worn}))


def random_names(random: np.random.Generator, amount: float = 1.0) -> list[str]:
    """A likely choice; amount scales every chance (1: about two things and a held one in two of three cases)."""
    chosen = []
    for group in GROUPS:
        dice = random.random()
        for name, chance in group.items():
            dice -= chance * amount
            if dice < 0:
                chosen.append(name)
                break
    chosen += ["held"] * int(random.binomial(2, min(0.35 * amount, 1.0)))
    return chosen


def dress(character: Character, seed: int, amount: float = 1.0) -> Character:
    """Random accessories by one seed: the same character and seed give the same arrays."""
    random = np.random.default_rng(seed)
    return put_on(character, random, random_names(random, amount))
