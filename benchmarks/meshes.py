# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes as generators deliver them, made avatars of: `python -m benchmarks.meshes FOLDER [--count 40] [--seed 0]
[--json FILE] [--sheets DIR]`. FOLDER holds rigged GLB files and index.json; every case is seeded (delivered.py).

Each case is cleaned, turned, rigged, put into T-pose and searched for a face, as the add-on does, and compared with
the truth. Prints one row a case and the table of docs/performance.md. In a process of its own, without Blender.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from backend.errors import BackendError
from backend.mesh.closest import Surface
from backend.mesh.raster import View, draw, front_view, shade
from backend.rig_checks import Rigged, t_pose

from .as_addon import Finished, finish
from .delivered import Case, cases

NEAR = 0.05
FACING = 30.0  # degrees that a character may be off +Z, and its up off +Y
WEB, OVERLAP = 0.02, 0.72  # see `clean_t_pose`
ASTRAY, AWAY = 0.015, 0.1  # of the skin that is farther from its true place in T-pose than so much of the height
TAUT, LONGER = 2.0, 0.02  # times its rest length, and of the height by which an edge grows: a web's
WORST = 0.15  # of the height: a joint farther off is wrong
SIZE = 256


@dataclass
class Row:
    name: str
    pose: str
    faults: list[str]
    humanoid: bool
    held_out: bool
    refused: str = ""
    crashed: str = ""
    direction: bool = False
    off: dict[str, float] = field(default_factory=dict)
    web: float = 0.0
    overlap: float = 0.0
    astray: float = 0.0
    eyes: bool | None = None
    mouth: bool | None = None
    eyes_sure: float = 0.0
    mouth_sure: float = 0.0
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def joints(self) -> float:
        return float(np.mean([off < NEAR for off in self.off.values()])) if self.off else 0.0

    @property
    def clean(self) -> bool:
        return bool(self.off) and self.web < WEB and self.astray < ASTRAY and self.overlap > OVERLAP

    @property
    def silently_wrong(self) -> bool:
        """An avatar without a word, although it faces elsewhere, a limb is elsewhere, or eyes or mouth were claimed."""
        if self.refused or self.crashed:
            return False
        if not self.humanoid:
            return not self.warnings
        body = not self.direction or max(self.off.values(), default=0) > WORST or not self.clean
        face = (self.eyes is False and self.eyes_sure >= 0.5) or (self.mouth is False and self.mouth_sure >= 0.5)
        return (body and not self.warnings) or face


def measure(case: Case, sheets: Path | None, number: int) -> Row:
    row = Row(case.name, case.pose, case.faults, case.humanoid, case.held_out)
    started = time.perf_counter()
    try:
        done = finish(case.mesh, case.texture)
    except BackendError as error:
        row.refused, row.seconds = error.code, time.perf_counter() - started
        return row
    except Exception as error:
        row.crashed = f"{type(error).__name__}: {error}"[:100]
        traceback.print_exc()
        return row
    row.seconds = time.perf_counter() - started
    row.warnings = done.warnings
    upright = t_pose(done.rig)
    if sheets:
        sheet(case, done, upright, sheets / f"{number:03d}_{case.name}_{case.pose}.png")
    if not case.humanoid:
        return row
    turned = done.turn @ case.frame
    row.direction = bool(min(turned[2, 2], turned[1, 1]) > np.cos(np.radians(FACING)))
    height = done.rig.height
    names = done.rig.names
    for name, point in case.joints.items():
        row.off[name] = round(
            float(np.linalg.norm(done.rig.joints[names.index(name)] - done.to_final(point))) / height, 4
        )
    row.web, row.overlap = clean_t_pose(done.rig, upright, case)
    row.astray = astray(done, upright, case)
    row.eyes_sure, row.mouth_sure = (float(done.face["confidence"][name]) for name in ("eyes", "mouth"))
    head = done.scale * case.head
    near = {
        name: bool(np.linalg.norm(np.array(done.face[name]["center"]) - done.to_final(point)) < NEAR * head * 1.5
                   and np.linalg.norm((np.array(done.face[name]["center"]) - done.to_final(point))[:2]) < NEAR * head)
        for name, point in case.face.items()
    }  # fmt: skip
    if {"leftEye", "rightEye"} <= near.keys():
        row.eyes = near["leftEye"] and near["rightEye"] and row.eyes_sure >= 0.5
        if row.eyes_sure < 0.5:
            row.eyes = False
    if "mouth" in near:
        row.mouth = near["mouth"] and row.mouth_sure >= 0.5
    return row


def clean_t_pose(rig: Rigged, upright: Rigged, case: Case) -> tuple[float, float]:
    """(area of triangles that the pose stretches, of the whole skin; intersection over union of the front outline with
    the true character's in T-pose).
    """

    def edges(vertices: np.ndarray) -> np.ndarray:
        corners = vertices[rig.triangles]
        return np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)

    before, after = edges(rig.vertices), edges(upright.vertices)
    taut = ((after > TAUT * before) & (after - before > LONGER * rig.height)).any(1)
    web = areas(upright.vertices, rig.triangles)[taut].sum() / max(areas(rig.vertices, rig.triangles).sum(), 1e-12)
    true, mine = (outline(*mesh) for mesh in (case.spread, (upright.vertices, upright.triangles)))
    best = max((true & np.roll(mine, s, 1)).sum() / (true | np.roll(mine, s, 1)).sum() for s in range(-8, 9, 2))
    return round(float(web), 4), round(float(best), 4)


def astray(done: Finished, upright: Rigged, case: Case) -> float:
    """Share of the skin that is far from where the true character has it in T-pose: rags that stay behind on the trunk,
    pieces of the trunk that an arm takes along, limbs whose bones lie elsewhere.
    """
    true, triangles = case.spread
    delivered = (done.rig.vertices - done.offset) / done.scale @ done.turn
    near = Surface(case.posed, triangles).nearest(delivered)

    def lengths(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points[triangles[:, 0]] - points[triangles[:, 1]], axis=1)

    size = done.scale * np.median(lengths(case.posed) / np.maximum(lengths(true), 1e-12))
    off = upright.vertices - size * np.einsum("nk,nkc->nc", near.bary, true[triangles[near.triangle]])
    far = np.linalg.norm(off - np.median(off, axis=0), axis=1) > AWAY * done.rig.height
    area = areas(done.rig.vertices, done.rig.triangles)
    return round(float((area * far[done.rig.triangles].mean(1)).sum() / max(area.sum(), 1e-12)), 4)


def areas(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def outline(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(SIZE, 2 SIZE) bool: the front outline, feet at the bottom, 1 high, its box's middle in the middle."""
    used = vertices[np.unique(triangles)]
    low, high = used.min(0), used.max(0)
    scale = SIZE / max(high[1] - low[1], 1e-9)
    shape = SIZE, 2 * SIZE
    middle = (low[0] + high[0]) / 2
    view = View(
        np.full(shape, -1), np.zeros((*shape, 3)), np.full(shape, np.nan), scale, middle - SIZE / scale, high[1]
    )
    draw(view, vertices, triangles)
    return view.mask


def sheet(case: Case, done: Finished, upright: Rigged, path: Path) -> None:
    """As found with joints, and in T-pose; front."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = []
    for rig in (done.rig, upright):
        view = front_view(rig.vertices, rig.triangles, 420)
        rgb = shade(view, rig.vertices, rig.triangles)[..., :3].copy()
        rgb[~view.mask] = 40
        marks = [(p, (255, 40, 40)) for p in rig.joints]
        if rig is done.rig:
            marks += [(done.to_final(p), (40, 255, 40)) for p in case.joints.values()]
            marks += [(np.array(done.face[n]["center"]), (255, 0, 255)) for n in ("leftEye", "rightEye", "mouth")]
        for point, colour in marks:
            x, y = view.to_pixels(point).round().astype(int)
            if 3 < y < len(rgb) - 4 and 3 < x < rgb.shape[1] - 4:
                rgb[y - 2 : y + 3, x - 2 : x + 3] = colour
        pictures.append(rgb)
    height = max(len(p) for p in pictures)
    padded = [np.pad(p, ((0, height - len(p)), (0, 6), (0, 0)), constant_values=40) for p in pictures]
    Image.fromarray(np.concatenate(padded, 1)).save(path)


def table(rows: list[Row]) -> dict[str, float]:
    """Shares of the humanoids; what was refused counts as not right."""
    people = [row for row in rows if row.humanoid]
    things = [row for row in rows if not row.humanoid]
    share = lambda values: float(np.mean(list(values))) if list(values) else float("nan")  # noqa: E731
    return {
        "humanoids refused": share([bool(r.refused or r.crashed) for r in people]),
        "direction right": share([r.direction for r in people]),
        "joints within 5 % of the height": share([r.joints for r in people]),
        "T-pose clean": share([r.clean for r in people]),
        "eyes within 5 % of the head": share([bool(r.eyes) for r in people if r.eyes is not None or (r.refused)]),
        "mouth within 5 % of the head": share([bool(r.mouth) for r in people if r.mouth is not None]),
        "silently wrong": share([r.silently_wrong for r in rows]),
        "things refused": share([bool(r.refused) for r in things]),
        "crashed": float(sum(bool(r.crashed) for r in rows)),
        "median seconds": float(np.median([r.seconds for r in rows])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of cases")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    rows = []
    for number, case in enumerate(cases(options.folder, options.count, options.seed, options.only)):
        if case is None:
            continue
        row = measure(case, options.sheets, number)
        rows.append(row)
        worst = max(row.off, key=lambda k: row.off[k], default="")
        print(
            f"{number:3} {row.name[:26]:26} {row.pose:6} {','.join(row.faults)[:34]:34} "
            f"{row.refused or row.crashed or ('front' if row.direction else 'AWAY'):12} {100 * row.joints:4.0f} "
            f"{100 * row.off.get(worst, 0):5.1f} {worst:14} web {row.web:.3f} "
            f"astray {row.astray:.3f} iou {row.overlap:.2f} "
            f"eyes {row.eyes!s:5} {row.eyes_sure:.2f} mouth {row.mouth!s:5} {row.mouth_sure:.2f} {row.seconds:5.1f} "
            f"{'SILENT ' if row.silently_wrong else ''}{','.join(row.warnings)}",
            flush=True,
        )
        if options.json:
            options.json.write_text(json.dumps([asdict(r) for r in rows], indent=1), encoding="utf-8")
    for by in ("all", "held out"):
        some = [row for row in rows if by == "all" or row.held_out or not row.humanoid]
        print(f"\n{by}: {len(some)} cases")
        for name, value in table(some).items():
            print(f"  {name:34} {value:.3f}")
    for kind in ("down", "A", "T", "hips", "action"):
        some = [row for row in rows if row.pose == kind]
        if some:
            t = table(some)
            print(f"  {kind:8} {len(some):3} " + " ".join(f"{k.split()[0]} {v:.2f}" for k, v in t.items()))


if __name__ == "__main__":
    main()
