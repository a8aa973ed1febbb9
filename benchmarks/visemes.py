# SPDX-License-Identifier: GPL-3.0-or-later
"""Faces on meshes that have none: `.venv/bpy-4.5.15/bin/python -m benchmarks.visemes [MODEL.glb ...] [--out FOLDER]
[--only NAME ...]`.

Heads of our own (benchmarks/heads.py) and each model given, without what its hands hold, become one skin by a voxel
remesh: no mouth and no eyes are left but painted ones, and no painted mouth. Each is rigged by the geometric rigger,
gets its face, and goes through the report's face checks. One row a mesh: triangles, where the markers came from and,
on a head of our own, how far off those found were (of the head's height), movements as the report gives them, and
what did not pass. `--out` keeps a contact sheet a mesh, and overview.png of our own heads, to look at. Needs
AVATAR_FORGE_BACKEND_PYTHON.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SHAPES = ("rest", "aa", "ih", "ou", "ee", "oh", "blink")
TURNS = (0, 40)
CHECKS = (
    *(f"viseme_{name}" for name in SHAPES[1:6]),
    *("visemes_differ", "mouth_place", "mouth_opens", "blinkLeft", "blinkRight", "blink"),
    *("happy", "angry", "sad", "relaxed", "surprised", "emotions_differ", "gaze", "gaze_origin"),
)
# Of the head's height, and of an eye's half height: markers found farther from the truth, or smaller, are replaced by
# it.
FOUND_WITHIN, FOUND_SIZE = 0.08, 0.7


@dataclass
class Row:
    name: str
    triangles: int
    markers: str
    checks: dict[str, Any]
    tiles: list


def one(addon, mesh, out: Path, folder: Path) -> Row:
    """Rig, face, file, report and sheet of one mesh."""
    import bpy

    scene, workflow, session, tasks, render, landmarks = addon(
        "avatar.scene", "workflow", "client.session", "client.process.tasks", "render.pictures", "landmarks"
    )

    def wait(steps):
        return tasks.Task("bench", steps, session.worker).wait()

    avatar = scene.Avatar(mesh.obj, None)
    avatar.record.is_avatar = True
    mesh.obj.data.calc_loop_triangles()
    triangles = len(mesh.obj.data.loop_triangles)
    avatar = wait(workflow.rig(bpy.context, avatar, "geometric"))
    workflow.pose(avatar)
    source = _markers(avatar, mesh, wait, workflow, scene, landmarks)
    wait(workflow.face(avatar))
    workflow.set_up_vrm(avatar)
    vrm = workflow.export(avatar, folder / f"{mesh.name}.vrm")
    (report,) = addon("report.report")
    checks = {check.id: check for check in report.make_report(vrm).checks if check.id in CHECKS}
    tiles = render.face_tiles(avatar, SHAPES, TURNS)
    if out:
        render.sheet_of(tiles, len(SHAPES), out / f"{mesh.name}.png", (300, 320))
    return Row(mesh.name, triangles, source, checks, tiles[: len(SHAPES)])


def _markers(avatar, mesh, wait, workflow, scene, landmarks) -> str:
    """Searches the markers, and takes the true ones where those found are wrong; says which and why."""
    wait(workflow.locate_face(avatar))
    if not mesh.face:
        return "found"
    found, true = scene.read_face(avatar).parts, mesh.face
    off = (
        max(np.linalg.norm((np.array(found[part].center) - true[part]["center"])[[0, 2]]) for part in true)
        / mesh.head_height
    )
    size = min(found[eye].half_height / true[eye]["half_height"] for eye in ("leftEye", "rightEye"))
    figures = f"{100 * off:.0f} % off, eyes {100 * size:.0f} % of their height"
    if off <= FOUND_WITHIN and size >= FOUND_SIZE:
        return f"found, {figures}"
    scene.store_face(avatar, landmarks.FaceLandmarks.from_dict(true))
    return f"given (found: {figures})"


def table(rows: list[Row]) -> str:
    lines = ["| mesh | triangles | markers | aa | oh | blink | happy | mouth opens | face checks |", "|---" * 9 + "|"]
    for row in rows:
        figures = [
            row.checks[name].figure.split(" of")[0] if name in row.checks else "-"
            for name in ("viseme_aa", "viseme_oh", "blink", "happy", "mouth_opens")
        ]
        wrong = [f"{check.title}: {check.figure}" for check in row.checks.values() if check.status != "PASS"]
        passed = len(row.checks) - len(wrong)
        missing = [name for name in CHECKS if name not in row.checks]
        verdict = f"{passed} of {len(CHECKS)}" + "".join(
            f"; {text}" for text in [*wrong, *(f"no {name}" for name in missing)]
        )
        lines.append(f"| {row.name} | {row.triangles:,} | {row.markers} | {' | '.join(figures)} | {verdict} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    import bpy

    from avatar_addon.batch import load_extension

    package = load_extension()

    def addon(*names):
        return [importlib.import_module(f"{package}.avatar_addon.{name}") for name in names]

    from . import heads

    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    rows, own = [], []
    makers = {name: lambda name=name: heads.make(name) for name in heads.HEADS}
    makers |= {path.stem: lambda path=path: heads.one_skin(path) for path in options.models}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in makers.items():
            if options.only and name not in options.only:
                continue
            rows.append(one(addon, make(), options.out, Path(folder)))
            print(table(rows).splitlines()[-1], flush=True)
            if name in heads.HEADS:
                own += rows[-1].tiles
        if options.out and own:
            addon("render.pictures")[0].sheet_of(own, len(SHAPES), options.out / "overview.png", (150, 170))
    addon("client.session")[0].close()
    print(table(rows))
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # bpy may crash while Python shuts down
