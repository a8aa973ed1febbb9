# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a folder of characters: python -m training.characters.make FOLDER --count 400 [--seed 0] [--cc0 FOLDER].

Formula characters FOLDER/formula_SEED.npz, and with --cc0 every rigged CC0 character as it is and with accessories
put on. A file that is there and whole is kept, so an interrupted run resumes. index.json lists every
file with its digest and licence.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .accessories import put_on, random_names
from .character import Character, load, save
from .formula import make_character
from .glb import load_glb, load_index
from .repaint import random_repaint


def dressed(character: Character, seed: int) -> Character:
    """A CC0 character with accessories, and with a repainted face in half of the cases. Each name is dressed anew."""
    random = np.random.default_rng([seed, zlib.crc32(character.name.encode())])
    names, painted = random_names(random), False
    if random.random() < 0.5:
        # A snout brings its own mouth.
        with contextlib.suppress(ValueError):
            character = random_repaint(character, random, "none" if "snout" in names else "")
            painted = True
    if not painted:
        names = [name for name in names if name != "snout"]
    character = put_on(character, random, names)
    return character.replace(meta=character.meta | {"name": f"{character.name}_{seed}"})


def jobs(count: int, seed: int, cc0: Path | None, dressings: int) -> dict[str, Callable[[], Character]]:
    """File stem to what makes it."""
    out: dict[str, Callable[[], Character]] = {}
    for k in range(seed, seed + count):
        out[f"formula_{k}"] = lambda k=k: make_character(k)  # type: ignore[misc]
    for entry in load_index(cc0) if cc0 else []:
        folder = cc0
        assert folder is not None
        out[entry["name"]] = lambda entry=entry, folder=folder: load_glb(folder, entry)  # type: ignore[misc]
        for k in range(seed, seed + dressings):
            out[f"{entry['name']}_{k}"] = lambda entry=entry, folder=folder, k=k: dressed(load_glb(folder, entry), k)  # type: ignore[misc]
    return out


def make(folder: Path, wanted: dict[str, Callable[[], Character]], say: Callable[[str], None] = print) -> None:
    """Writes what is missing or damaged, then index.json."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, (stem, build) in enumerate(wanted.items(), 1):
        path = folder / f"{stem}.npz"
        try:
            found = load(path)
        except (OSError, ValueError, KeyError):
            found = build()
            part = path.with_suffix(".part")
            save(found, part)
            part.replace(path)
            say(f"{number}/{len(wanted)} {stem}")
        entries.append(
            {
                "file": path.name,
                "digest": found.digest(),
                **{key: found.meta.get(key) for key in ("name", "style", "licence", "worn")},
            }
        )
    (folder / "index.json").write_text(json.dumps({"characters": entries}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=400, help="formula characters")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cc0", type=Path, help="folder with GLBs and index.json")
    parser.add_argument("--dressings", type=int, default=1, help="dressed variants of each CC0 character")
    options = parser.parse_args()
    make(options.folder, jobs(options.count, options.seed, options.cc0, options.dressings))


if __name__ == "__main__":
    main()
