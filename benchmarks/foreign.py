# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters of other people's projects, brought in one after the other: `python -m benchmarks.foreign FOLDER
[--face] [--export] [--only WORD] [--json FILE] [--markdown FILE]`, with a Python that has bpy.

FOLDER holds models (.glb, .gltf, .vrm, .fbx, .obj); an `index.json` beside them may give the truth of each: `file`,
`facing` (+Z, -Z, +X, -X in glTF's axes), `height_m`, `humanoid` (VRM bone -> node) and `face`. Prints a row for each:
which way it faces, its height, the share of the visible surface that shows its back before and after, humanoid bones
right of those that the index has and assigned beyond them, eye markers off in eye distances (--face), the report
card's failures (--export), seconds, and the first line of anything that went wrong. With --face also a table of how
far the search alone is off, without the help of eye bones, by its confidence.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
MODULE = "bl_ext.user_default.avatar_forge"
MODELS = (".glb", ".gltf", ".vrm", ".fbx", ".obj")
QUARTERS = {"+Z": 0, "+X": 1, "-Z": 2, "-X": 3}
SAME_HEIGHT = 0.03  # of the height in the index
ON_THE_EYE = 0.35  # of the eyes' distance; farther off a lid lies beside its eye
CONFIDENCES = (
    ("below 0.3", -1.0, 0.3),
    ("0.3 to 0.5", 0.3, 0.5),
    ("0.5 to 0.8", 0.5, 0.8),
    ("0.8 and more", 0.8, 2.0),
)


@dataclass
class Row:
    """What became of one file. Figures that could not be measured are None."""

    name: str
    rigged: bool = False
    humanoid: bool = False
    upright: bool | None = None
    forward: bool | None = None
    height: float | None = None
    height_true: float | None = None
    inward: float | None = None
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    true: int = 0
    extra: list[str] = field(default_factory=list)
    eyes_off: float | None = None
    eyes_confidence: float | None = None
    search_off: float | None = None
    search_confidence: float | None = None
    fails: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""
    traceback: bool = False

    @property
    def ok(self) -> bool:
        truth = not self.wrong and (self.humanoid or not self.true)
        return truth and not self.error and self.forward is not False and self.upright is not False and self.sound

    @property
    def sound(self) -> bool:
        same = not self.height_true or abs(self.height / self.height_true - 1) < SAME_HEIGHT
        return same and (self.inward or 0.0) < 0.02


def addon(name: str) -> Any:
    return importlib.import_module(f"{MODULE}.avatar_addon.{name}")


def start() -> Any:
    """bpy with the checkout enabled as an extension in a user folder of its own."""
    resources = Path(tempfile.mkdtemp(prefix="foreign-"))
    os.environ["BLENDER_USER_RESOURCES"] = str(resources)
    folder = resources / "extensions" / "user_default"
    folder.mkdir(parents=True)
    (folder / "avatar_forge").symlink_to(ROOT, target_is_directory=True)
    import bpy

    assert bpy.ops.preferences.addon_enable(module=MODULE) == {"FINISHED"}
    return bpy


def run(steps: Any) -> Any:
    return addon("client.process.tasks").Task("Foreign", steps, addon("client.session").worker).wait()


def measure(bpy: Any, path: Path, truth: dict[str, Any], options: argparse.Namespace) -> Row:
    row = Row(path.stem, height_true=truth.get("height_m"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    began = time.perf_counter()
    try:
        avatar = run(addon("intake.objects").bring_in(bpy.context, path, licensed=True))
        row.notes = [entry.code for entry in avatar.record.warnings]
        _body(row, avatar, truth)
        if options.face and row.humanoid:
            _face(row, avatar, truth)
        if options.export and row.humanoid:
            _export(row, avatar)
    except addon("errors").AvatarError as error:
        row.error = str(error)
    except Exception as error:
        row.error, row.traceback = f"{type(error).__name__}: {error}".splitlines()[0], True
        traceback.print_exc()
    row.seconds = time.perf_counter() - began
    return row


def _body(row: Row, avatar: Any, truth: dict[str, Any]) -> None:
    data = addon("mesh.blender_mesh").read_mesh(avatar.mesh)
    row.height = float(np.ptp(data.vertices[:, 2]))
    row.inward = addon("mesh.outside").inward_share(data.vertices, data.triangles)
    row.rigged = avatar.armature is not None
    if not row.rigged:
        return
    heads = {bone.name: np.array(bone.head_local) for bone in avatar.armature.data.bones}
    known = {name: bone for name, bone in _as_in_vrm(truth.get("humanoid") or {}).items() if bone in heads}
    sides = [
        heads[known[f"left{part}"]] - heads[known[f"right{part}"]]
        for part in ("UpperArm", "UpperLeg")
        if f"left{part}" in known and f"right{part}" in known
    ]
    if sides:
        way = np.sum(sides, axis=0)
        row.forward = bool(way[0] > 0.7 * np.linalg.norm(way))
    if {"hips", "head"} <= known.keys():
        up = heads[known["head"]] - heads[known["hips"]]
        row.upright = bool(up[2] > 0.8 * np.linalg.norm(up))
    found = addon("vrm.setup").get_humanoid(avatar.armature)
    row.humanoid, row.true = bool(found), len(known)
    row.right = sum(found.get(name) == bone for name, bone in known.items())
    row.wrong = [f"{name}: {found.get(name, 'none')}, not {b}" for name, b in known.items() if found.get(name) != b]
    row.extra = [f"{name}: {bone}" for name, bone in found.items() if known and name not in known]


def _as_in_vrm(known: dict[str, str]) -> dict[str, str]:
    """VRM asks for the bone before each of a finger's, so the two bones of a thumb are metacarpal and proximal; some
    indices call them proximal and distal.
    """
    known = dict(known)
    for side in ("left", "right"):
        metacarpal, proximal, distal = (f"{side}Thumb{part}" for part in ("Metacarpal", "Proximal", "Distal"))
        if proximal in known and metacarpal not in known:
            known[metacarpal] = known.pop(proximal)
            if distal in known:
                known[proximal] = known.pop(distal)
    return known


def _face(row: Row, avatar: Any, truth: dict[str, Any]) -> None:
    """How far the eye markers are from the index's, in distances between its eyes; and what the search alone found."""
    bones, searched = addon("face.eye_bones"), []

    def corrected(avatar: Any, face: Any) -> Any:
        searched.append(face)
        return by_bones(avatar, face)

    by_bones, bones.corrected = bones.corrected, corrected
    try:
        run(addon("workflow").locate_face(avatar))
    finally:
        bones.corrected = by_bones
    row.eyes_confidence, row.search_confidence = avatar.record.eyes_confidence, searched[0].confidence.get("eyes", 0.0)
    true = truth.get("face") or {}
    if true.get("eyes") in ("geometry", "texture") and true.get("left_eye"):
        turn = -QUARTERS[truth.get("facing", "+Z")] * np.pi / 2
        about = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        eyes = [about @ np.array(true[f"{side}_eye"]) for side in ("left", "right")]
        row.eyes_off = _eyes_off(addon("avatar.scene").read_face(avatar), eyes)
        row.search_off = _eyes_off(searched[0], eyes)


def _eyes_off(face: Any, eyes: list[np.ndarray]) -> float | None:
    """The farther of both, in distances between the true eyes; None where no eyes were found. A model is centred when
    it is brought in, so the sideways place is compared about the middle of the eyes.
    """
    if not {"leftEye", "rightEye"} <= face.parts.keys():
        return None
    to_gltf = addon("avatar.scene").to_gltf
    places = [to_gltf(np.array(face.parts[f"{side}Eye"].center)) for side in ("left", "right")]
    middle = (eyes[0][:2] + eyes[1][:2]) / 2 - (places[0][:2] + places[1][:2]) / 2
    apart = np.linalg.norm(eyes[0] - eyes[1])
    off = [np.linalg.norm((p - e)[:2] + [middle[0], 0]) / apart for p, e in zip(places, eyes, strict=True)]
    return float(max(off))


def _export(row: Row, avatar: Any) -> None:
    """With visemes and expressions, where the markers are on a face; the other failed checks are the row's."""
    workflow = addon("workflow")
    workflow.pose(avatar)
    try:
        run(workflow.face(avatar))
    except addon("errors").AvatarError as error:
        if error.code != "face_markers":
            raise
        row.notes.append("no_face")
    workflow.set_up_vrm(avatar)
    with tempfile.TemporaryDirectory() as folder:
        path = workflow.export(avatar, Path(folder) / "out.vrm")
        report = addon("report.report").make_report(path)
    row.fails = [check.id for check in report.checks if check.status == "FAIL"]


# What a face that was not made fails of the report card, in a word.
LACKS = {
    "no visemes": {"viseme_aa", "viseme_ih", "viseme_ou", "viseme_ee", "viseme_oh", "mouth_place", "mouth_opens"},
    "no blinks": {"blinkLeft", "blinkRight", "blink"},
    "no expressions": {"happy", "angry", "sad", "relaxed", "surprised", "gaze"},
}
HEADER = (
    "Character",
    "Up, front",
    "Height m",
    "Inward %",
    "Bones",
    "Beyond",
    "Eyes off",
    "Seconds",
    "What is not right",
)


def _fails(fails: list[str]) -> list[str]:
    lacking = {word: checks for word, checks in LACKS.items() if checks <= set(fails)}
    return [*lacking, *(name for name in fails if not any(name in checks for checks in lacking.values()))]


def cells(row: Row) -> tuple[str, ...]:
    ways = "".join({True: "yes", False: "NO", None: "-"}[way] + " " for way in (row.upright, row.forward)).strip()
    bones = f"{row.right}/{row.true}" if row.true else "-"
    wrong = row.error or "; ".join([*row.wrong[:3], *_fails(row.fails)])
    eyes = "-" if row.eyes_off is None else f"{row.eyes_off:.2f} ({row.eyes_confidence:.2f})"
    height = "-" if row.height is None else f"{row.height:.2f}"
    inward = "-" if row.inward is None else f"{100 * row.inward:.1f}"
    return row.name, ways, height, inward, bones, str(len(row.extra)), eyes, f"{row.seconds:.1f}", wrong[:110] or "-"


def summary(rows: list[Row]) -> list[str]:
    true, right = sum(row.true for row in rows), sum(row.right for row in rows)
    tracebacks = sum(row.traceback for row in rows)
    return [
        f"{len(rows)} files; {sum(row.ok for row in rows)} with nothing wrong; {tracebacks} tracebacks.",
        f"Upright {_share(rows, 'upright')}, to the front {_share(rows, 'forward')}.",
        f"Bones right {right} of {true}, {sum(len(row.extra) for row in rows)} beyond the index.",
        f"Taken as humanoids {sum(row.humanoid for row in rows)} of {sum(row.true > 0 for row in rows)}.",
        f"More than 2 % of the visible surface shows its back: {sum((row.inward or 0) > 0.02 for row in rows)}.",
    ]


def by_confidence(rows: list[Row]) -> list[str]:
    """A table: of the characters whose eyes are known, how many the search alone puts on the eye, by its confidence."""
    lines = ["| Confidence | Characters | On the eye |", "|---|---|---|"]
    for text, low, high in CONFIDENCES:
        off = [row.search_off for row in rows if row.search_off is not None and low <= row.search_confidence < high]
        lines.append(f"| {text} | {len(off)} | {sum(value < ON_THE_EYE for value in off)} |")
    return lines


def _share(rows: list[Row], name: str) -> str:
    known = [getattr(row, name) for row in rows if getattr(row, name) is not None]
    return f"{sum(known)} of {len(known)}"


def markdown(rows: list[Row]) -> str:
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(cell.replace("|", "/") for cell in cells(row)) + " |" for row in rows]
    eyes = [*by_confidence(rows), ""] if any(row.search_off is not None for row in rows) else []
    return "\n".join([*eyes, *(f"* {text}" for text in summary(rows)), "", *lines]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="files with this in their name")
    parser.add_argument("--face", action="store_true", help="find the face markers too")
    parser.add_argument("--export", action="store_true", help="pose, make the face, export and check the file too")
    parser.add_argument("--json", type=Path, help="write the rows there")
    parser.add_argument("--markdown", type=Path, help="write the table there")
    options = parser.parse_args()
    index = options.folder / "index.json"
    truths = {}
    if index.is_file():
        truths = {entry["file"]: entry for entry in json.loads(index.read_text(encoding="utf-8"))["characters"]}
    files = [p for p in sorted(options.folder.iterdir()) if p.suffix.lower() in MODELS and options.only in p.name]
    bpy, rows = start(), []
    for path in files:
        rows.append(measure(bpy, path, truths.get(path.name, {}), options))
        print("  ".join(cells(rows[-1])), flush=True)
        if options.json:
            options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    print("\n".join(summary(rows)))
    if options.markdown:
        options.markdown.write_text(markdown(rows), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0 if rows and not any(row.traceback for row in rows) else 1)  # bpy can hang at exit


if __name__ == "__main__":
    main()
