# SPDX-License-Identifier: GPL-3.0-or-later
"""The preview engine from eight sides: `python -m benchmarks.views FOLDER [NAMES...] [--arms 0 45 80] [--views ...]`.

FOLDER holds rigged GLB files and index.json (see `Character`). Each character is posed, drawn from the front (and from
its left and back where --views asks for it), given to the engine, and both are drawn from eight azimuths. Prints a
table in Markdown: silhouette intersection over union and mean colour error (CIE Lab, on the pixels both cover). A
picture that the engine refuses is tried again with the true joints as markers, and counted. The engine puts arms that
hang on the body beside it, and legs apart: with --as-made the truth is compared in that pose.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.color import rgb2lab

from backend.engines import GenerateRequest
from backend.errors import BackendError
from backend.image.silhouette import JOINTS
from backend.preview.engine import PreviewGenerator

from .posed_glb import MARGIN, Coloured, load_made, load_posed

AZIMUTHS = (0, 45, 90, 135, 180, 225, 270, 315)
SHOWN = (("0", (0,)), ("45, 315", (45, 315)), ("90, 270", (90, 270)), ("135, 225", (135, 225)), ("180", (180,)))
SIDES = {"left": 90, "back": 180, "right": 270}
VIEWS = {"front": (), "front, left": ("left",), "front, back": ("back",), "front, left, back": ("left", "back")}
SET = (
    "kaykit_barbarian", "kaykit_rogue", "mh_businesswoman", "mh_man_casual", "mh_anime_girl_twin", "mha_school_girl",
    "mha_rand_04", "mha_chibi_pink", "quat_ult_casual_male", "quat_ult_wizard", "quat_woman_medieval",
    "quat_man_worker",
)  # fmt: skip
PICTURE, MEASURED = 1080, 512  # pixels high
BACKGROUND = (236, 238, 242)


@dataclass
class Score:
    """Per azimuth."""

    overlap: dict[int, float]
    colour: dict[int, float]
    seconds: float
    refused: str


def true_markers(truth: Coloured) -> dict[str, Any]:
    """The 15 joints in pixels of the front picture."""
    k = PICTURE / (1 + 2 * MARGIN)
    joints = {}
    for name in JOINTS:
        at = truth.joints.get(name)
        if at is None:  # only a neck may be without a bone of its own
            head, chest = truth.joints["head"], (truth.joints["leftUpperArm"] + truth.joints["rightUpperArm"]) / 2
            at = head + 0.3 * (chest - head)
        joints[name] = [float((at[0] + 0.62) * k), float((1 + MARGIN - at[1]) * k)]
    return {"joints": joints}


def aligned(made: Coloured, truth: Coloured) -> Coloured:
    """Moved along z to where its side covers the truth's side best: to a third of a pixel of what is measured, since
    half a pixel takes two per cent of a slim figure's overlap.
    """
    for size, reach in ((256, 48), (3 * MEASURED, 6)):
        wanted, mine = _from_left(truth, size), made.view(90, size).mask
        used = np.flatnonzero((wanted | mine).any(0))
        here = slice(max(used[0] - reach, 0), used[-1] + reach + 1)
        wanted, mine = wanted[:, here], mine[:, here]
        shifts = range(-reach, reach + 1)
        shares = [(wanted & (m := np.roll(mine, s, 1))).sum() / (wanted | m).sum() for s in shifts]
        best = shifts[int(np.argmax(shares))]
        made = made.moved(1.0, np.array([0, 0, -best * (1 + 2 * MARGIN) / size]))
    return made


def _from_left(truth: Coloured, size: int) -> np.ndarray:
    """(size, W) bool, kept with the character."""
    kept = truth.__dict__.setdefault("from_left", {})
    if size not in kept:
        kept[size] = truth.view(90, size).mask
    return kept[size]


def compare(mine: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """(intersection over union, mean Lab distance) of two (H, W, 4) pictures."""
    a, b = mine[..., 3] > 127, true[..., 3] > 127
    both = a & b
    if not both.any():
        return 0.0, 100.0
    error = np.linalg.norm(rgb2lab(mine[both][:, :3]) - rgb2lab(true[both][:, :3]), axis=-1)
    return float(both.sum() / (a | b).sum()), float(error.mean())


def sheet(pairs: list[tuple[np.ndarray, np.ndarray]]) -> Image.Image:
    """Ours above, truth below, one column per azimuth."""
    columns = []
    for pair in pairs:
        used = np.flatnonzero(np.any([image[..., 3] > 0 for image in pair], axis=(0, 1)))
        tiles = []
        for image in pair:
            cut = image[:, max(used[0] - 6, 0) : used[-1] + 7].astype(float)
            alpha = cut[..., 3:] / 255
            tiles.append((cut[..., :3] * alpha + np.array(BACKGROUND) * (1 - alpha)).astype(np.uint8))
        columns.append(np.concatenate(tiles, 0))
    return Image.fromarray(np.concatenate(columns, 1))


def limb_angles(joints: dict[str, list[float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Degrees of both arms below horizontal, and of both legs outwards from straight down. joints: glTF axes."""
    arms, legs = {}, {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        x, y, _ = np.subtract(joints[side + "Hand"], joints[side + "UpperArm"])
        arms[side] = round(float(np.degrees(np.arctan2(-y, sign * x))), 1)
        x, y, _ = np.subtract(joints[side + "Foot"], joints[side + "UpperLeg"])
        legs[side] = round(float(np.degrees(np.arctan2(sign * x, -y))), 1)
    return arms, legs


def measure(
    truth: Coloured,
    sides: dict[int, np.ndarray],
    views: tuple[str, ...],
    folder: Path,
    out: Path | None,
    posed: Callable[..., Coloured] | None = None,
) -> Score:
    """Makes the character from its pictures and compares all sides. sides: the truth's pictures, filled in as needed.
    posed: gives the truth with arms and legs at some angles; without it, it is compared as it was drawn.
    Raises BackendError when it is refused.
    """
    paths = {}
    for side, azimuth in (("front", 0), *((side, SIDES[side]) for side in views)):
        paths[side] = folder / f"{side}.png"
        if not paths[side].exists():
            Image.fromarray(truth.picture(azimuth, PICTURE, samples=2)).save(paths[side])
    front = paths.pop("front")
    further = {"pictures": paths} if paths else {}
    start, refused = time.process_time(), ""
    try:
        made = PreviewGenerator().generate(GenerateRequest(front, folder, **further), lambda *_: None)
    except BackendError as error:
        refused, start = error.code, time.process_time()
        request = GenerateRequest(front, folder, markers=true_markers(truth), **further)
        made = PreviewGenerator().generate(request, lambda *_: None)
    seconds = time.process_time() - start
    if posed:
        truth, sides = posed(*limb_angles(made.landmarks["joints"])), {}
    mesh = aligned(load_made(made.mesh), truth)
    score, pairs = Score({}, {}, seconds, refused), []
    for azimuth in AZIMUTHS:
        if azimuth not in sides:
            sides[azimuth] = truth.picture(azimuth, MEASURED)
        pairs.append((mesh.picture(azimuth, MEASURED), sides[azimuth]))
        score.overlap[azimuth], score.colour[azimuth] = compare(*pairs[-1])
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        sheet(pairs).save(out)
    return score


def row(title: str, scores: list[Score]) -> str:
    """One line of the table: mean over the characters of overlap / colour error."""
    cells = []
    for _, azimuths in SHOWN:
        overlap = np.mean([s.overlap[a] for s in scores for a in azimuths])
        colour = np.mean([s.colour[a] for s in scores for a in azimuths])
        cells.append(f"{overlap:.3f} / {colour:.1f}")
    refused = sum(bool(s.refused) for s in scores)
    return (
        f"| {title} | {' | '.join(cells)} | {np.mean([s.seconds for s in scores]):.1f} | {refused} of {len(scores)} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="default: twelve")
    parser.add_argument("--arms", nargs="+", type=float, default=[0, 45, 80], help="degrees below horizontal")
    parser.add_argument("--views", nargs="+", choices=[*VIEWS], default=[*VIEWS], metavar="VIEWS")
    parser.add_argument("--out", type=Path, help="where sheets are written, ours above the truth")
    parser.add_argument("--as-made", action="store_true", help="compare in the pose that the avatar has")
    parser.add_argument("--each", action="store_true", help="a line for each character too")
    options = parser.parse_args()
    index = {c["name"]: c for c in json.loads((options.folder / "index.json").read_text())["characters"]}
    table: dict[tuple[str, float], list[Score]] = {}
    with tempfile.TemporaryDirectory(prefix="avatar-forge-views-") as work:
        for name in options.names or SET:
            about = index[name]
            for arms in options.arms:
                posed = partial(load_posed, options.folder / about["file"], about["humanoid"], about["facing"])
                truth = posed(arms)
                folder = Path(work) / hashlib.sha1(f"{name}{arms}".encode(), usedforsecurity=False).hexdigest()
                folder.mkdir()
                sides: dict[int, np.ndarray] = {}
                for title in options.views:
                    tag = f"{name}.{arms:.0f}.{title.replace(', ', '-')}"
                    sheet_path = options.out and options.out / f"{tag}.png"
                    again = posed if options.as_made else None
                    try:
                        score = measure(truth, sides, VIEWS[title], folder, sheet_path, again)
                    except BackendError as error:
                        print(f"{tag}: {error.code}: {error.message}", file=sys.stderr)
                        continue
                    table.setdefault((title, arms), []).append(score)
                    if options.each:
                        print(row(f"{tag} {score.refused}", [score]), flush=True)
    print("| pictures, arms below horizontal | " + " | ".join(t for t, _ in SHOWN) + " | CPU s | joints given |")
    print("|---" * (len(SHOWN) + 3) + "|")
    for title in options.views:
        for arms in options.arms:
            if (title, arms) in table:
                print(row(f"{title}, {arms:.0f}°", table[title, arms]))
        everything = [score for arms in options.arms for score in table.get((title, arms), [])]
        if len(options.arms) > 1 and everything:
            print(row(f"**{title}, all**", everything))
    return 0


if __name__ == "__main__":
    sys.exit(main())
