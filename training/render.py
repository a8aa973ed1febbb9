# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders pictures with their truth:

    python -m training.render OUT --characters FOLDER --pictures 20000 [--validation 1200] [--seed 0] [--workers 2]

OUT/train and OUT/validation get shards, folders with one .npy per field of `training.sample.FIELDS`. A shard depends
only on the characters, the seed and its number. Called again, it goes on with the shards that are missing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import time
from pathlib import Path

import numpy as np

from training.cast import make_cast, read_folder
from training.sample import FIELDS, Cast, make_head, make_sample, make_whole

SHARD = 256
# What a picture may show, by the name of its option; without one of these it is `training.sample.make_sample`'s.
MAKERS = {"heads": make_head, "figures": make_whole}

_casts: dict[bool, Cast] = {}
_folders: list[Path] = []
_shown: list[str] = []


def _render_shard(job: tuple[Path, bool, int, int]) -> Path:
    """Writes one shard; it appears complete or not at all."""
    out, validation, seed, number = job
    if validation not in _casts:
        _casts[validation] = make_cast([c for folder in _folders for c in read_folder(folder)], validation)
    cast = _casts[validation]
    sample = MAKERS.get(_shown[0], make_sample)
    samples = [sample(cast, (seed, int(validation), number, k)) for k in range(SHARD)]
    temporary = out.with_name(out.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, (shape, dtype) in FIELDS.items():
        column = np.stack([sample[name] for sample in samples]).astype(dtype)
        if column.shape[1:] != shape:
            raise ValueError(f"{name} has shape {column.shape[1:]}, not {shape}.")
        np.save(temporary / f"{name}.npy", column)
    temporary.rename(out)
    return out


def _start(folders: list[Path], shown: str) -> None:
    _folders[:], _shown[:] = folders, [shown]


def _record(out: Path, folders: list[Path], seed: int, shown: str) -> None:
    """OUT/data.json: which characters, by digest; the order of the names is that of the field `character`.

    Raises ValueError where OUT was begun with other characters or another seed.
    """
    characters = [c for folder in folders for c in read_folder(folder)]
    record = {
        "seed": seed,
        **({shown: True} if shown else {}),
        "characters": {
            part: [
                {"name": m.character.name, "digest": m.character.digest(), "licence": m.character.meta.get("licence"),
                 "style": m.character.meta.get("style")}
                for m in make_cast(characters, part == "validation").models
            ]
            for part in ("train", "validation")
        },
    }  # fmt: skip
    path = out / "data.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != record:
        raise ValueError(f"{out} was begun with other characters or another seed; choose another folder.")
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--characters", type=Path, action="append", required=True, help="may be given several times")
    parser.add_argument("--pictures", type=int, default=20000)
    parser.add_argument("--validation", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--heads", dest="shown", action="store_const", const="heads", help="heads alone")
    shown.add_argument(
        "--figures", dest="shown", action="store_const", const="figures",
        help="no heads alone; many figures bold, many pictures in drawn techniques",
    )  # fmt: skip
    parser.set_defaults(shown="")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    jobs = []
    for part, count in (("validation", options.validation), ("train", options.pictures)):
        (options.out / part).mkdir(parents=True, exist_ok=True)
        for number in range(-(-count // SHARD)):
            out = options.out / part / f"{options.seed:03d}_{number:05d}"
            if not out.exists():
                jobs.append((out, part == "validation", options.seed, number))
    _record(options.out, options.characters, options.seed, options.shown)
    began = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(
        options.workers, _start, (options.characters, options.shown)
    ) as pool:
        for done, _ in enumerate(pool.imap_unordered(_render_shard, jobs), 1):
            rate = done * SHARD / (time.monotonic() - began)
            print(f"{done * SHARD} of {len(jobs) * SHARD} pictures, {rate:.1f} a second", flush=True)


if __name__ == "__main__":
    main()
