# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the report card's checks of shape can be trusted: `python -m benchmarks.report_faults GOOD.vrm ...
[--bad BAD.vrm ...]`.

Each fault is planted into the arrays of each good avatar (skin, joints, weights, shapes), as a wrong step would leave
them. Two tables in Markdown: of each fault, how many avatars it was caught on, by WARN or FAIL of the check that
should; and every avatar as it is, with what did not pass. The good ones must be VRM 1.0 in T-pose, such as
`avatar_addon/batch.py` makes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from avatar_addon.mesh.measures import to_segment
from avatar_addon.report import seen
from avatar_addon.report.arms import arms
from avatar_addon.report.limits import PASS
from avatar_addon.report.measured import Measured, rotation
from avatar_addon.report.shape import FACE_SHAPES, moved_place, shape
from avatar_addon.vrm.spec.vrm_file import VrmFile
from backend.geometric.seen import look_over

REACH = 0.035  # of the height: how near to a hanging arm the body's skin is taken along


def height(m: Measured) -> float:
    return float(np.ptp(m.rest[:, 1]))


def fuse(m: Measured, *sides: str) -> None:
    """The body's skin follows the arm as if the weights of a figure with hanging arms had not told them apart."""
    for side in sides:
        turn = rotation((0, 0, -70 if side == "left" else 70))
        shoulder, elbow, hand = (m.heads[side + name] for name in ("UpperArm", "LowerArm", "Hand"))
        hanging = [shoulder + turn @ (joint - shoulder) for joint in (elbow, hand)]
        for part in (part for part in m.parts if part.skin is not None):
            joints = m.file.json["skins"][part.skin]["joints"]
            arm = joints.index(m.bones[f"{side}LowerArm"])
            points = part.positions
            body = ~np.isin(
                np.asarray(joints)[part.joints[np.arange(len(points)), part.weights.argmax(1)]],
                list(m.below[m.bones[f"{side}UpperArm"]] | m.below[m.bones["head"]]),
            )
            # A hanging arm touches the side of the body: measured sideways only up to the body's own width.
            near = to_segment(points, *hanging)[0]
            least = float(near[body].min(initial=np.inf))
            share = np.clip(1.5 - (near - least) / (REACH * height(m)), 0, 0.9) * body
            pulled = shoulder + (points - shoulder) @ turn  # the turn's inverse
            part.positions = points + share[:, None] * (pulled - points)
            part.weights = part.weights * (1 - share)[:, None]
            slot = part.weights.argmin(1)
            rows = np.flatnonzero(share > 0)
            part.joints[rows, slot[rows]] = arm
            part.weights[rows, slot[rows]] = share[rows]
    forget(m)


def forget(m: Measured) -> None:
    for name in ("rest", "owner", "in_head", "head_height"):
        m.__dict__.pop(name, None)


def flatten(m: Measured, *bones: str) -> None:
    """A part, or all of it, becomes a sheet."""
    held = np.any([m.held_by(bone) for bone in bones], axis=0)
    middle = np.median(np.concatenate([part.positions for part in m.parts])[held, 2])
    for part, inside in zip(m.parts, np.split(held, m.offsets[1:-1]), strict=True):
        part.positions[inside, 2] = middle + 0.12 * (part.positions[inside, 2] - middle)
    forget(m)


def move(m: Measured, bone: str, *by: float) -> None:
    """A joint lies elsewhere; by: in heights of the figure."""
    m.heads[bone] = m.heads[bone] + height(m) * np.array(by)


def at(m: Measured, shapes: tuple[str, ...], shift: tuple[float, float]) -> None:
    """Expressions move the skin beside their place; shift: right and up, in heights of the head's skin."""
    inside = m.rest[m.in_head]
    start = moved_place(m, shapes)
    assert start is not None
    goal = start[:2] + np.array(shift) * float(np.ptp(inside[:, 1]))
    front = inside[inside[:, 2] > np.median(inside[:, 2])]
    goal = front[np.argmin(np.linalg.norm(front[:, :2] - goal, axis=1))]
    near = np.exp(-((m.rest - goal) ** 2).sum(1) / (2 * (0.06 * m.head_height) ** 2)) * m.in_head
    bump = np.split(near, m.offsets[1:-1])
    for name in shapes:
        for part, weight in zip(m.parts, bump, strict=True):
            for mesh, index, _ in m.file.expressions().get(name, []):
                if mesh == part.mesh and index < len(part.morphs):
                    part.morphs[index] = weight[:, None] * [0.0, -0.03 * m.head_height, 0.0]


def hang(m: Measured, *sides: str) -> None:
    """The arms that are seen hang down; the bones lie in T-pose all the same."""
    for side in sides:
        turn = rotation((0, 0, -70 if side == "left" else 70))
        shoulder = m.heads[f"{side}UpperArm"]
        held = np.split(m.held_by(f"{side}UpperArm"), m.offsets[1:-1])
        for part, inside in zip(m.parts, held, strict=True):
            part.positions[inside] = shoulder + (part.positions[inside] - shoulder) @ turn.T
    forget(m)


def shift(m: Measured, by: tuple[float, float, float], *bones: str) -> None:
    for bone in bones:
        move(m, bone, *by)


def stay(m: Measured, bone: str, other: str) -> None:
    """The skin of a bone follows another one."""
    held = np.split(m.held_by(bone), m.offsets[1:-1])
    for part, inside in zip(m.parts, held, strict=True):
        if part.skin is not None:
            part.joints[inside] = m.file.json["skins"][part.skin]["joints"].index(m.bones[other])
    forget(m)


Plant = Callable[[Measured], None]
EYES = (FACE_SHAPES["left"], FACE_SHAPES["right"])
ARMS = ("leftUpperArm", "rightUpperArm")
ARM_BONES = tuple(side + bone for side in ("left", "right") for bone in ("UpperArm", "LowerArm", "Hand"))
FAULTS: dict[str, tuple[str, Plant]] = {
    "skin between both arms and body": ("webs", lambda m: fuse(m, "left", "right")),
    "skin between one arm and body": ("webs", lambda m: fuse(m, "left")),
    "whole figure is flat": ("depth", lambda m: flatten(m, "hips")),
    "arms are flat": ("depth", lambda m: flatten(m, *ARMS)),
    "head is flat": ("depth", lambda m: flatten(m, "head")),
    "head's joint in the belly": ("head_size", lambda m: move(m, "head", 0, -0.4, 0)),
    "head's joint under the crown": ("head_size", lambda m: m.heads.update(head=crown(m))),
    "elbow beside the arm": ("symmetry", lambda m: move(m, "leftLowerArm", 0, -0.08, 0)),
    "one arm too short": ("symmetry", lambda m: move(m, "rightHand", 0.08, 0, 0)),
    "hip in the other leg": ("symmetry", lambda m: move(m, "leftUpperLeg", -0.08, 0, 0)),
    "ankle behind the leg": ("symmetry", lambda m: move(m, "rightFoot", 0, 0, -0.08)),
    "eyes in the hair": ("eyes_height", lambda m: [at(m, eye, (0, 0.6)) for eye in EYES] and None),
    "eyes on the neck": ("eyes_height", lambda m: [at(m, eye, (0, -0.6)) for eye in EYES] and None),
    "one eye on the cheek": ("face_symmetry", lambda m: at(m, EYES[0], (0, -0.25))),
    "arms' bones in the belly": ("seen_joints", lambda m: shift(m, (0, -0.16, 0), *ARM_BONES)),
    "knees at the hem": ("seen_joints", lambda m: shift(m, (0, 0.13, 0), "leftLowerLeg", "rightLowerLeg")),
    "head's joint on the brow": ("seen_joints", lambda m: move(m, "head", 0, 0.14, 0)),
    "both arms still hang": ("seen_joints", lambda m: hang(m, "left", "right")),
    "one arm still hangs": ("seen_joints", lambda m: hang(m, "left")),
    "head follows the hips": ("seen_parts", lambda m: stay(m, "head", "hips")),
    "both arms follow the hips": ("seen_parts", lambda m: [stay(m, arm, "hips") for arm in ARMS] and None),
    "eyes on the brows": ("seen_face", lambda m: [at(m, eye, (0, 0.15)) for eye in EYES] and None),
    "eyes seen, lids in the hair": ("seen_face", lambda m: [at(m, eye, (0, 0.6)) for eye in EYES] and None),
    "lids on the neck": ("seen_face", lambda m: [at(m, eye, (0, -0.6)) for eye in EYES] and None),
    "mouth on the nose": ("seen_face seen_opens", lambda m: at(m, FACE_SHAPES["mouth"], (0, 0.15))),
    "mouth on the chin": ("seen_face seen_opens", lambda m: at(m, FACE_SHAPES["mouth"], (0, -0.15))),
    "mouth on the cheek": ("face_symmetry", lambda m: at(m, FACE_SHAPES["mouth"], (0.3, 0))),
}


def crown(m: Measured) -> np.ndarray:
    top = m.rest[m.in_head][:, 1].max()
    return np.array([m.heads["head"][0], top - 0.03 * height(m), m.heads["head"][2]])


def findings(m: Measured, check: str = "") -> dict[str, str]:
    """Check -> its status and figure, of what did not pass. check: the only one that is asked for."""
    found = [] if check.startswith("seen") else [*shape(m), *arms(m)]
    if not check or check.startswith("seen"):
        with tempfile.TemporaryDirectory() as folder:
            found += seen.seen(m, look_over(**seen.views(m, Path(folder))))
    return {entry.id: f"{entry.status} {entry.title}: {entry.figure}" for entry in found if entry.status != PASS}


def read(path: Path) -> Measured:
    return Measured(VrmFile(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("good", nargs="+", type=Path)
    parser.add_argument("--bad", nargs="*", type=Path, default=[])
    parser.add_argument("--only", default="", help="faults whose check begins so, such as seen")
    options = parser.parse_args()
    print("| fault | check | found | not found on |\n|---|---|---|---|")
    for name, (check, plant) in FAULTS.items():
        if not check.startswith(options.only):
            continue
        missed = []
        for path in options.good:
            spoilt = read(path)
            plant(spoilt)
            missed += [path.stem] if not set(check.split()) & findings(spoilt, check).keys() else []
        count = len(options.good)
        checks = ", ".join(f"`{one}`" for one in check.split())
        print(f"| {name} | {checks} | {count - len(missed)} of {count} | {', '.join(missed)} |", flush=True)
    print("\n| avatar | judged | not passed |\n|---|---|---|")
    for judged, paths in (("good", options.good), ("bad", options.bad)):
        for path in paths:
            print(f"| {path.stem} | {judged} | {'; '.join(findings(read(path)).values())} |", flush=True)


if __name__ == "__main__":
    main()
