# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes rigged and drawn at rest and in T-pose, so that webs, rags and slivers are seen at once:
`python -m benchmarks.arms OUT MESH.glb ...` or `python -m benchmarks.arms OUT --cases FOLDER --seed 0 --only 3 7`
(cases of benchmarks.meshes). One sheet a mesh: at rest by bones and as it looks; in T-pose from the front as it looks
and by bones, from three-quarter and from behind. Arms are red to yellow and blue to cyan, legs green and teal.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from backend.errors import BackendError
from backend.mesh.files import MeshArrays
from backend.mesh.raster import View, colour, draw, shade
from backend.rig_checks import Rigged, rotation, t_pose

from .as_addon import Finished, finish
from .delivered import Case, cases, gouraud
from .meshes import astray, clean_t_pose

SIZE = 420
ARMS = {"left": [(200, 120, 110), (255, 60, 40), (255, 150, 0), (255, 230, 60)],
        "right": [(110, 120, 200), (40, 90, 255), (0, 190, 255), (120, 255, 255)]}  # fmt: skip
LEGS = {"left": [(60, 170, 60), (110, 210, 90), (30, 110, 50), (30, 110, 50)],
        "right": [(20, 140, 140), (70, 200, 190), (10, 90, 90), (10, 90, 90)]}  # fmt: skip
TRUNK = {"hips": 90, "spine": 120, "chest": 150, "upperChest": 185}


def bone_colours(names: list[str]) -> np.ndarray:
    """(J, 3)."""
    known = {name: (grey,) * 3 for name, grey in TRUNK.items()} | {"neck": (150, 90, 170), "head": (190, 120, 210)}
    for side in ("left", "right"):
        known |= zip((side + b for b in ("Shoulder", "UpperArm", "LowerArm", "Hand")), ARMS[side], strict=True)
        known |= zip((side + b for b in ("UpperLeg", "LowerLeg", "Foot", "Toes")), LEGS[side], strict=True)
    return np.array([known[name] for name in names], float)


def picture(
    rig: Rigged, azimuth: float, half_width: float, base: np.ndarray | None, uvs: np.ndarray, texture: np.ndarray | None
) -> np.ndarray:
    """(SIZE, W, 3): by vertex colours `base`, else as it looks; half_width in heights of the picture."""
    low = rig.joints[:, 1].min() - 0.06 * rig.height
    scale = SIZE / (1.2 * np.ptp([low, rig.tails[:, 1].max()]))
    shape = SIZE, round(2 * half_width * SIZE)
    view = View(np.full(shape, -1), np.zeros((*shape, 3)), np.full(shape, np.nan), scale, -shape[1] / 2 / scale,
                low + SIZE / scale)  # fmt: skip
    turned = (rig.vertices - rig.joints[0] * [1, 0, 1]) @ rotation((0, -azimuth, 0)).T
    draw(view, turned, rig.triangles)
    rgb = shade(view, turned, rig.triangles, base)[..., :3]
    if base is None and texture is not None:
        rgb = (colour(view, uvs, texture)[..., :3] * (rgb / 200.0)).clip(0, 255).astype(np.uint8)
    return np.where(view.mask[..., None], rgb, 25).astype(np.uint8)


def sheet(done: Finished, uvs: np.ndarray, texture: np.ndarray | None) -> Image.Image:
    """uvs: (T, 3, 2) of the triangles that are left."""
    upright = t_pose(done.rig)
    base = (done.rig.weights @ bone_colours(done.rig.names)).clip(0, 255).astype(np.uint8)
    parts = [
        picture(rig, azimuth, 0.6 if rig is upright else 0.4, base if by_bones else None, uvs, texture)
        for rig, azimuth, by_bones in (
            (done.rig, 0, True), (done.rig, 0, False), (upright, 0, False), (upright, 0, True), (upright, 40, True),
            (upright, 180, True),
        )
    ]  # fmt: skip
    return Image.fromarray(np.concatenate(parts, 1))


def load(path: Path) -> tuple[MeshArrays, np.ndarray | None]:
    """The mesh of a GLB file and what it is coloured with."""
    import trimesh

    made = trimesh.load(path, process=False, force="mesh")
    triangles = np.asarray(made.faces)
    uvs, texture = np.zeros((len(triangles), 3, 2)), None
    image = getattr(getattr(made.visual, "material", None), "baseColorTexture", None)
    if image is not None:
        uvs, texture = np.asarray(made.visual.uv)[triangles], np.asarray(image.convert("RGB"))
    elif made.visual.kind == "vertex":
        uvs, texture = gouraud(np.asarray(made.visual.vertex_colors)[triangles, :3])
    return MeshArrays(np.asarray(made.vertices, float), triangles, uvs), texture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("meshes", type=Path, nargs="*")
    parser.add_argument("--cases", type=Path, help="folder of rigged characters")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", default=[], help="numbers of cases")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    def wanted() -> Iterator[tuple[str, MeshArrays, np.ndarray | None, Case | None]]:
        for path in options.meshes:
            yield path.stem, *load(path), None
        count = max(options.only, default=-1) + 1
        some = cases(options.cases, count, options.seed, options.only) if options.cases else ()
        for number, case in enumerate(some):
            if case is not None and case.humanoid:
                yield f"{number:03d}_{case.name}_{case.pose}", case.mesh, case.texture, case

    for name, mesh, texture, case in wanted():
        try:
            done = finish(mesh, texture)
        except BackendError as error:
            print(f"{name}: {error.code}", flush=True)
            continue
        sheet(done, done.corner_uvs, texture).save(options.out / f"{name}.png")
        upright = t_pose(done.rig)
        figures = (
            f" web {clean_t_pose(done.rig, upright, case)[0]:.3f} astray {astray(done, upright, case):.3f}"
            if case
            else ""
        )
        print(f"{name}: {len(done.rig.triangles)} triangles{figures} {','.join(done.warnings)}", flush=True)


if __name__ == "__main__":
    main()
