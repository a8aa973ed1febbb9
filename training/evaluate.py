# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the exported reader on any folder with truth:

    python -m training.evaluate FOLDER [--predictions PRED.json] [--weights FOLDER]

FOLDER is an OUT of training.render (its validation part is read), or holds pictures and truth.json: per picture
{"picture", "joints": {name: [x, y]}, "face": {name: {"center": [x, y]}}, "figureHeight", "headHeight", "flags":
{"style", "arms", "view", "humanoid"}}. Prints shares by style, arms and view: joints within 5 % of the figure's height,
all limbs within 8 %, eyes and mouth within 5 % of the head's height. --predictions writes what score.py of a truth
folder takes; its status is that of `judge` below.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from backend.image.load import load_picture
from backend.reader import Reading, read
from backend.reader.layout import JOINTS, KEYPOINTS, LIMBS
from backend.reader.network import MODEL
from training.dataset import Shards
from training.poses import ARMS
from training.scores import NEAR

LIMB_NEAR = 0.08
EYES = ("leftEye", "rightEye")
FACE_SURE = 0.6  # below it an eye or the mouth is warned of
HUMANOID_SURE = 0.5


@dataclass
class Truth:
    """Points in pixels of the picture; what is missing is not measured."""

    name: str
    pixels: np.ndarray
    joints: dict[str, tuple[float, float]]
    face: dict[str, tuple[float, float]]
    height: float
    head: float
    humanoid: bool
    groups: dict[str, str] = field(default_factory=dict)
    scale: float = 1.0  # pixels of the truth per pixel of `pixels`


def pictures_of(folder: Path) -> Iterator[Truth]:
    """Raises ValueError where the folder holds no truth."""
    if (folder / "truth.json").is_file():
        yield from _annotated(folder)
    elif (folder / "validation").is_dir():
        yield from _rendered(folder)
    else:
        raise ValueError(f"The folder {folder} holds neither truth.json nor the pictures of training.render.")


def _annotated(folder: Path) -> Iterator[Truth]:
    for name, entry in json.loads((folder / "truth.json").read_text(encoding="utf-8")).items():
        picture = load_picture(folder / entry["picture"])
        flags = entry["flags"]
        yield Truth(
            name=name,
            pixels=picture.rgba,
            joints={k: tuple(v) for k, v in entry["joints"].items() if v and k in JOINTS},
            face={k: tuple(v["center"]) for k, v in entry["face"].items() if isinstance(v, dict)},
            height=entry["figureHeight"],
            head=entry["headHeight"],
            humanoid=flags["humanoid"],
            groups={key: str(flags[key]) for key in ("style", "arms", "view") if key in flags},
            scale=picture.size[0] / picture.rgba.shape[1],
        )


def _view(yaw: float) -> str:
    return "front" if abs(yaw) < 15 else "turned" if abs(yaw) <= 65 else "behind"


def _rendered(folder: Path) -> Iterator[Truth]:
    styles = [c["style"] for c in json.loads((folder / "data.json").read_text())["characters"]["validation"]]
    shards = Shards([folder / "validation"])
    for index in range(len(shards)):
        raw = {name: value[0].numpy() for name, value in shards.take(np.array([index])).items()}
        if raw["head"] or abs(raw["yaw"]) > 65 or raw["count"] == 2:
            continue
        points = {n: tuple(raw["points"][k]) for k, n in enumerate(KEYPOINTS) if raw["known"][k]}
        rows = np.flatnonzero((raw["parts"] > 0).any(1))
        humanoid = bool(raw["count"] == 1)
        head = math.dist(points["headTop"], points["chin"]) if "headTop" in points and "chin" in points else math.nan
        yield Truth(
            name=f"{index:05d}",
            pixels=raw["image"],
            joints={n: p for n, p in points.items() if n in JOINTS},
            face={n: p for n, p in points.items() if n in (*EYES, "mouth") and head == head},
            height=2.0 * (rows[-1] - rows[0] + 1) if len(rows) else math.nan,
            head=head,
            humanoid=humanoid,
            groups={"style": styles[raw["character"]], "arms": ARMS[raw["arms"][0]], "view": _view(raw["yaw"])}
            if humanoid
            else {},
        )


def judge(reading: Reading) -> tuple[bool, bool]:
    """Is one humanoid shown; is a warning of the face due."""
    accepted = reading.humanoids["one"] >= HUMANOID_SURE and abs(reading.yaw) < 75
    return accepted, any(part.state == "drawn" and part.confidence < FACE_SURE for part in reading.face.values())


def prediction(reading: Reading, scale: float) -> dict:
    """As score.py takes it, in pixels of the truth."""
    accepted, warned = judge(reading)
    return {
        "status": "ok" if accepted else "refused",
        "warned_face": warned,
        "joints": {n: [round(j.x * scale, 2), round(j.y * scale, 2)] for n, j in reading.joints.items()},
        "face": {
            n: {"center": [round(f.x * scale, 2), round(f.y * scale, 2)], "width": round(2 * f.half_width * scale, 2)}
            for n, f in reading.face.items()
        },
        "confidence": {n: round(j.confidence, 3) for n, j in {**reading.joints, **reading.face}.items()},
        "humanoids": {n: round(p, 3) for n, p in reading.humanoids.items()},
        "yaw": round(reading.yaw, 1),
    }


def errors(truth: Truth, found: dict) -> dict[str, tuple[int, int]]:
    """measure: (right, all) of one picture."""
    off = {n: math.dist(found["joints"][n], p) / truth.height for n, p in truth.joints.items() if n != "head"}
    limbs = [off[n] for n in off if n in LIMBS]
    face = {n: math.dist(found["face"][n]["center"], p) / truth.head for n, p in truth.face.items()}
    eyes = [face[n] for n in EYES if n in face]
    out = {"joints": (sum(v <= NEAR for v in off.values()), len(off))}
    if limbs:
        out["all limbs"] = (int(all(v <= LIMB_NEAR for v in limbs)), 1)
    if eyes:
        out["eyes"] = (int(all(v <= NEAR for v in eyes)), 1)
    if "mouth" in face:
        out["mouth"] = (int(face["mouth"] <= NEAR), 1)
    return out


MEASURES = ("joints", "all limbs", "eyes", "mouth")


def table(rows: dict[str, dict[str, list[tuple[int, int]]]]) -> str:
    """One line per group."""
    lines = [f"{'group':34} {'pictures':>8} " + " ".join(f"{m:>9}" for m in MEASURES)]
    for group, measures in rows.items():
        cells = []
        for measure in MEASURES:
            good, count = (sum(v[k] for v in measures.get(measure, [])) for k in (0, 1))
            cells.append(f"{100 * good / count:7.0f} %" if count else f"{'-':>9}")
        lines.append(f"{group:34} {len(measures['joints']):8d} " + " ".join(cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--most", type=int, default=100_000, help="pictures at most")
    parser.add_argument("--weights", type=Path, default=MODEL, help="the folder that training.export wrote")
    options = parser.parse_args()
    rows: dict[str, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    out, accepted, seconds = {}, {True: [0, 0], False: [0, 0]}, 0.0
    for number, truth in enumerate(pictures_of(options.folder)):
        if number >= options.most:
            break
        began = time.monotonic()
        reading = read(truth.pixels, options.weights)
        seconds += time.monotonic() - began
        found = prediction(reading, truth.scale)
        out[truth.name] = found
        accepted[truth.humanoid][0] += found["status"] == "ok"
        accepted[truth.humanoid][1] += 1
        if truth.humanoid and truth.joints:
            groups = ["all", *(f"{key}: {value}" for key, value in sorted(truth.groups.items()))]
            for measure, value in errors(truth, found).items():
                for group in groups:
                    rows[group][measure].append(value)
    print(table({group: rows[group] for group in sorted(rows)}))
    for humanoid, name in ((True, "humanoids"), (False, "others")):
        print(f"accepted: {accepted[humanoid][0]} of {accepted[humanoid][1]} {name}")
    print(f"{seconds / max(len(out), 1):.2f} s a picture")
    if options.predictions:
        options.predictions.write_text(json.dumps(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
