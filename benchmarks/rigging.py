# SPDX-License-Identifier: GPL-3.0-or-later
"""How good the geometric rigger is: `python -m benchmarks.rigging [skinned.glb ...] [mesh.npz ...]`.

Prints one row a mesh: mean joint error in % of the height (where the truth is known), L1 of the weights against the
artist's per body part (0 to 2, with the true joints and with those found), worst leakage between limbs in %, worst
share of stretched triangles in %, seconds. Capsule people are always measured; a GLB with a humanoid skin also as one
remeshed skin and in A-pose. `--pictures DIR` writes what to look at. `--riggers geometric,unirig,skintokens [FOLDER]`
compares riggers with artists instead (compare_riggers.py).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from backend.errors import BackendError
from backend.geometric.rigger import rig_mesh
from backend.geometric.skeleton import CHAINS, MARKERS
from backend.mesh.files import MeshArrays, read_mesh
from backend.mesh.raster import front_view, shade
from backend.rig_checks import POSES, Rigged, dense_weights, limb_leakage, pose, rotation, stretched_triangles, t_pose

from .figures import SET, make, true_joints
from .skinned_glb import load_skinned, remeshed

PARTS = [*CHAINS]


@dataclass
class Case:
    """parts: (V, 6) the artist's weights summed per part of the body, if there are any."""

    name: str
    mesh: MeshArrays
    joints: dict[str, np.ndarray] | None = None
    parts: np.ndarray | None = None


def rigged(mesh: MeshArrays, joints: dict | None) -> tuple[Rigged, float, list[str]]:
    start = time.perf_counter()
    result = rig_mesh(mesh, joints)
    seconds = time.perf_counter() - start
    bones = result.skeleton
    weights = dense_weights(result.weight_joint, result.weight, len(bones.names))
    heads, tails = (np.array(list(p.values())) for p in (bones.heads, bones.tails))
    return (
        Rigged(mesh.vertices, mesh.triangles, heads, tails, bones.parent_indices(), bones.names, weights),
        seconds,
        result.flags,
    )


def part_weights(rig: Rigged) -> np.ndarray:
    """(V, 6) weights summed per part of the body."""
    out = np.zeros((len(rig.vertices), len(PARTS)))
    for k, name in enumerate(rig.names):
        bare = name.replace("Toes", "Foot")
        part = next((p for p, chain in CHAINS.items() if bare in chain), "torso")
        out[:, PARTS.index(part)] += rig.weights[:, k]
    return out


def joint_error(rig: Rigged, truth: dict[str, np.ndarray]) -> float:
    """Mean distance of the joints both have, in % of the height."""
    errors = [
        np.linalg.norm(rig.joints[rig.names.index(name)] - truth[name])
        for name in MARKERS
        if name in truth and name != "hips"
    ]
    return 100 * float(np.mean(errors)) / rig.height


def measure(case: Case, pictures: Path | None) -> str:
    try:
        rig, seconds, flags = rigged(case.mesh, None)
    except BackendError as error:
        return f"{case.name:24} {len(case.mesh.triangles):7} {error.code}: {error.message}"
    upright = t_pose(rig)
    error = f"{joint_error(rig, case.joints):6.1f}" if case.joints else "     -"
    l1 = "    -     -"
    if case.parts is not None:
        found = np.abs(part_weights(rig) - case.parts).sum(1).mean()
        given = set(MARKERS) <= set(case.joints or {})
        told = np.abs(part_weights(rigged(case.mesh, case.joints)[0]) - case.parts).sum(1).mean() if given else np.nan
        l1 = f"{told:5.2f} {found:5.2f}"
    leaks, stretched = limb_leakage(upright), stretched_triangles(upright)
    stretched["t-pose"] = stretched_triangles(rig, poses={"rest": {}})["rest"]
    worst, pose_name = max(leaks, key=lambda k: leaks[k], default=""), max(stretched, key=lambda k: stretched[k])
    if pictures:
        look(upright, rig, pictures / f"{case.name.replace(' ', '_')}.png")
    return (
        f"{case.name:24} {len(case.mesh.triangles):7} {error} {l1} {100 * leaks.get(worst, 0):6.2f} {worst:18}"
        f"{100 * stretched[pose_name]:6.2f} {pose_name:12}{seconds:6.2f}  {','.join(flags)}"
    )


def palette(count: int) -> np.ndarray:
    hues = np.arange(count) * 0.618034 % 1
    rgb = np.clip(np.abs((hues[:, None] * 6 + [0, 4, 2]) % 6 - 3) - 1, 0, 1)
    return (70 + 185 * rgb).astype(np.uint8)


def look(upright: Rigged, rig: Rigged, path: Path, height: int = 420) -> None:
    """One picture: as given with bones, T-pose, and the usual poses, coloured by the bones' weights."""
    colours = palette(len(rig.names))
    base = np.clip(rig.weights @ colours, 0, 255)
    shots = [(rig.vertices, rig.joints, rig.tails), (upright.vertices, upright.joints, upright.tails)]
    shots.extend(
        pose(upright, {bone: rotation(d) for bone, d in POSES[name].items()})
        for name in ("arms down", "arms up", "elbows", "sit", "walk", "wave", "look")
    )
    tiles = []
    for vertices, joints, tails in shots:
        for turned in (0, 50) if vertices is not upright.vertices else (0,):
            m = rotation((0, turned, 0)).T
            tiles.append(draw(vertices @ m.T, joints @ m.T, tails @ m.T, rig.triangles, base, height))
    tiles = tiles[:18]
    width = max(t.shape[1] for t in tiles)
    tiles = [np.pad(t, ((0, 0), (0, width - t.shape[1]), (0, 0)), constant_values=255) for t in tiles]
    while len(tiles) % 6:
        tiles.append(np.full_like(tiles[0], 255))
    rows = [np.concatenate(tiles[k : k + 6], 1) for k in range(0, len(tiles), 6)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows, 0)).save(path)


def draw(vertices, joints, tails, triangles, base, height) -> np.ndarray:
    """(height + 16, ?, 3) uint8 front view with the bones over it."""
    view = front_view(vertices, triangles, height, max_width=int(1.3 * height))
    rgba = shade(view, vertices, triangles, base)
    out = np.full((height + 16, rgba.shape[1], 3), 255, np.uint8)
    rows = min(len(out), len(rgba))
    out[:rows] = np.where(rgba[:rows, :, 3:] > 0, rgba[:rows, :, :3], 255)
    for a, b in zip(view.to_pixels(joints), view.to_pixels(tails), strict=True):
        line = np.round(a + (b - a) * np.linspace(0, 1, 80)[:, None]).astype(int)
        keep = (line >= 0).all(1) & (line[:, 0] < out.shape[1]) & (line[:, 1] < out.shape[0])
        out[line[keep, 1], line[keep, 0]] = 0
    return out


def cases(files: list[Path]):
    for name, figure in SET.items():
        yield Case(name, make(figure), true_joints(figure))
    for path in files:
        if path.suffix == ".npz":
            with np.load(path) as data:
                if "faces" in data:  # a UniRig example: cube coordinates, Z up
                    turned = np.stack(
                        [data["vertices"][:, 0], data["vertices"][:, 2], -data["vertices"][:, 1]], -1
                    ).astype(float)
                    yield Case(path.stem, MeshArrays(turned, data["faces"].astype(np.int64)))
                    continue
            yield Case(path.stem, read_mesh(path))
        else:
            skinned = load_skinned(path)
            for label, (mesh, joints, parts) in {
                "T": skinned.at_arms(0),
                "A": skinned.at_arms(45),
                "A20": skinned.at_arms(20),
            }.items():
                yield Case(f"{path.stem} {label}", mesh, joints, parts)
                solid, near = remeshed(mesh)
                yield Case(f"{path.stem} {label} one skin", solid, joints, parts[near])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--riggers", default="", help="names with commas: compare them with the artists' own weights")
    parser.add_argument("--every", type=int, default=1, help="with --riggers: every so-manyth character")
    parser.add_argument(
        "--options", type=json.loads, default={}, help='with --riggers: {"skintokens": {"preset": "fast"}}'
    )
    options = parser.parse_args()
    if options.riggers:
        from . import compare_riggers

        folder = options.files[0] if options.files else compare_riggers.FOLDER
        if not (folder / "index.json").is_file():
            parser.error(f"There is no index.json in {folder}, which names the characters and their bones.")
        compare_riggers.run(folder, options.riggers.split(","), options.options, options.only, options.every)
        return
    print(f"{'mesh':24} {'tris':>7} joint% L1true found  leak% {'':18}strch% {'':12} sec")
    for case in cases(options.files):
        if options.only in case.name:
            print(measure(case, options.pictures), flush=True)


if __name__ == "__main__":
    main()
