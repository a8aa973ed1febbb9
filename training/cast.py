# SPDX-License-Identifier: GPL-3.0-or-later
"""The characters that pictures are made of: loading, how often each is drawn, and which are held out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from training.characters.character import Character, load
from training.characters.glb import load_glb, load_index
from training.figure import Model
from training.sample import Cast

HELD_OUT = 12  # one character in so many is for validation only
# Styles of which there are few, or that pictures show more often than the collection does.
SHARES = {
    "toon monster": 0.5,
    "robot": 0.5,
    "low-poly": 0.7,
    "chibi toon": 0.8,
    "anime": 2.2,
    "anime chibi": 2.2,
    "anime-like (semi-realistic, big head and eyes)": 2.0,
    "realistic": 1.5,
    "chibi": 1.5,
}


def is_held_out(character: Character) -> bool:
    """The same for the same name everywhere, so that no data set trains on another's validation characters; one that
    was dressed anew (NAME_SEED) goes with NAME.
    """
    name = character.name
    if "worn" in character.meta and not name.startswith("formula"):
        name = name.rsplit("_", 1)[0]
    return hashlib.sha256(name.encode()).digest()[0] % HELD_OUT == 0


def read_folder(folder: Path) -> list[Character]:
    """Rigged GLBs with an index.json, or .npz files of `training.characters`, in the order of their names.

    Raises ValueError where there is neither, and for a damaged file.
    """
    files = sorted(folder.glob("*.npz"))
    if files:
        return [load(path) for path in files]
    if not (folder / "index.json").is_file():
        raise ValueError(f"The folder {folder} holds neither index.json nor .npz characters.")
    return [load_glb(folder, entry) for entry in load_index(folder)]


def make_cast(characters: list[Character], validation: bool) -> Cast:
    """The held-out characters, or all others."""
    chosen = [c for c in characters if is_held_out(c) == validation]
    if not chosen:
        raise ValueError("No character is left for this part of the data.")
    shares = np.array([SHARES.get(str(c.meta.get("style", "")), 1.0) for c in chosen])
    return Cast([Model.of(c) for c in chosen], shares / shares.sum())
