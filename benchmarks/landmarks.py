# SPDX-License-Identifier: GPL-3.0-or-later
"""How well pictures are read: `python -m benchmarks.landmarks FOLDER... [--faces FILE] [--draw DIR]`.

Prints one row a picture: accepted or the refusal's code, mean joint error in % of the figure's height, mean eye error
and mouth error in % of the head's height, confidence of eyes and mouth, seconds, flags. NAME.json beside NAME.png
holds the truth: `joints2d` {name: [x, y]}, optional `face` (docs/architecture.md) and `head_height`, in pixels of the
picture; without `head_height` it is head joint to head top. `--faces FILE` adds annotations by hand: {NAME: {"width":
pixels of the display it was read from, "head": pixels, "leftEye": [x, y], "rightEye": [x, y], "mouth": [x, y]}}.
`--draw DIR` writes the pictures with what was found (green: the truth).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from backend.errors import BackendError
from backend.image.analysis import PictureAnalysis, analyse
from backend.image.silhouette import JOINTS

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
EYES = ("leftEye", "rightEye")
WRONG = 5.0  # % of the head's height


def read_truth(picture: Path, faces: dict[str, Any]) -> dict[str, Any]:
    """{"joints": {name: [x, y]}, "face": {part: [x, y]}, "head": pixels or None}, in pixels of the picture; what is
    not known is absent.
    """
    path = picture.with_suffix(".json")
    data = json.loads(path.read_text()) if path.exists() else {}
    joints = data.get("joints2d", {})
    truth = {
        "joints": joints,
        "face": {name: part["center"] for name, part in data.get("face", {}).items() if name in (*EYES, "mouth")},
        "head": data.get("head_height") or (joints["head"][1] - joints["headTop"][1] if "headTop" in joints else None),
    }
    if picture.stem in faces:
        given = faces[picture.stem]
        with Image.open(picture) as image:
            scale = image.width / given["width"]
        truth["face"] = {name: [v * scale for v in given[name]] for name in (*EYES, "mouth") if name in given}
        truth["head"] = given["head"] * scale
    return truth


def joint_error(found: dict[str, Any], truth: dict[str, Any], height: float) -> float | None:
    """Mean over the marker joints both have, % of `height`."""
    both = [name for name in JOINTS if name in found and name in truth]
    if not both:
        return None
    return 100 * float(np.mean([np.hypot(*np.subtract(found[name], truth[name])) for name in both])) / height


def face_errors(face: dict[str, Any], truth: dict[str, Any]) -> tuple[float | None, float | None]:
    """(worse eye, mouth) in % of the head's height."""
    if not truth["head"]:
        return None, None
    known = {name: point for name, point in truth["face"].items() if name in face}
    gaps = {
        name: 100 * np.hypot(*np.subtract(face[name]["center"], point)) / truth["head"] for name, point in known.items()
    }
    eyes = [gaps[name] for name in EYES if name in gaps]
    return (max(eyes) if eyes else None), gaps.get("mouth")


def draw(analysis: PictureAnalysis, truth: dict[str, Any], target: Path) -> None:
    """The picture with the joints (red) and the face (blue) found, and the truth (green)."""
    grey = Image.new("RGBA", analysis.rgba.shape[1::-1], (128, 128, 128, 255))
    image = Image.alpha_composite(grey, Image.fromarray(analysis.rgba)).convert("RGB")
    pen = ImageDraw.Draw(image)
    for point in [*truth["joints"].values(), *truth["face"].values()]:
        x, y = np.multiply(point, analysis.scale)
        pen.ellipse([x - 4, y - 4, x + 4, y + 4], fill=(0, 200, 0))
    for x, y in analysis.joints.values():
        pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=(230, 0, 0))
    for name in EYES:
        part = analysis.face.get(name)
        if part:
            (x, y), w, h = part["center"], part["half_width"], part["half_height"]
            pen.ellipse([x - w, y - h, x + w, y + h], outline=(0, 60, 255), width=2)
    if "mouth" in analysis.face:
        (x, y), w = analysis.face["mouth"]["center"], analysis.face["mouth"]["width"] / 2
        pen.line([x - w, y, x + w, y], fill=(0, 60, 255), width=3)
    text = " ".join(f"{name} {value:.2f}" for name, value in analysis.face["confidence"].items())
    pen.text((5, 5), f"{target.stem}: {text}", fill=(255, 255, 255), stroke_fill=(0, 0, 0), stroke_width=2)
    target.parent.mkdir(parents=True, exist_ok=True)
    image.save(target)


def measure(picture: Path, faces: dict[str, Any], pictures: Path | None) -> dict[str, Any]:
    """One row: name, code, joints, eyes, mouth (errors), eyes_confidence, mouth_confidence, seconds, notes."""
    row: dict[str, Any] = {"name": picture.stem, "code": "accepted", "notes": ""}
    truth = read_truth(picture, faces)
    start = time.perf_counter()
    try:
        analysis = analyse(picture)
    except BackendError as error:
        return row | {"code": error.code, "notes": error.message, "seconds": time.perf_counter() - start}
    row["seconds"] = time.perf_counter() - start
    result = analysis.to_result()
    rows = np.flatnonzero(analysis.mask.any(axis=1))
    row["joints"] = joint_error(result["joints"], truth["joints"], (rows[-1] - rows[0] + 1) / analysis.scale)
    row["eyes"], row["mouth"] = face_errors(result["face"], truth)
    row["eyes_confidence"], row["mouth_confidence"] = (result["face"]["confidence"][part] for part in ("eyes", "mouth"))
    row["notes"] = " ".join([*result["flags"], *(f"[{warning['code']}]" for warning in result["warnings"])])
    if pictures:
        draw(analysis, truth, pictures / f"{picture.stem}.png")
    return row


def line(row: dict[str, Any]) -> str:
    def number(key: str, form: str) -> str:
        return format(row[key], form) if row.get(key) is not None else "-".rjust(int(form.split(".")[0]))

    silent = any((row.get(part) or 0) > WRONG and row[part + "_confidence"] >= 0.5 for part in ("eyes", "mouth"))
    cells = [number(key, form) for key, form in (("joints", "6.1f"), ("eyes", "6.1f"), ("mouth", "6.1f"))]
    cells += [number(key, "5.2f") for key in ("eyes_confidence", "mouth_confidence")]
    return (
        f"{row['name'][:30]:30} {row['code']:13} {' '.join(cells)} {row['seconds']:5.2f}"
        f" {'SILENT ' * silent}{row['notes']}"
    )


def summary(rows: list[dict[str, Any]]) -> str:
    taken = [row for row in rows if row["code"] == "accepted"]
    parts = [f"{len(taken)} of {len(rows)} accepted"]
    errors = [row["joints"] for row in taken if row.get("joints") is not None]
    if errors:
        parts.append(f"joints mean {np.mean(errors):.1f} %, worst {max(errors):.1f} %")
    for part in ("eyes", "mouth"):
        known = [(row[part], row[part + "_confidence"]) for row in taken if row.get(part) is not None]
        if known:
            good = sum(error <= WRONG for error, _ in known)
            silent = sum(error > WRONG and sure >= 0.5 for error, sure in known)
            timid = sum(error <= WRONG and sure < 0.5 for error, sure in known)
            parts.append(
                f"{part} within {WRONG:g} %: {good} of {len(known)}, wrong without a warning: {silent}, right with one:"
                f" {timid}"
            )
    return "; ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--draw", type=Path)
    options = parser.parse_args()
    faces = json.loads(options.faces.read_text()) if options.faces else {}
    print(f"{'':30} {'':13} {'joints':>6} {'eyes':>6} {'mouth':>6} {'conf.':>5} {'conf.':>5} {'s':>5}")
    rows = []
    for folder in options.folders:
        for picture in sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES):
            rows.append(measure(picture, faces, options.draw))
            print(line(rows[-1]), flush=True)
    print(summary(rows))


if __name__ == "__main__":
    main()
