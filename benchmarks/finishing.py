# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows TRELLIS' networks, at real size: `python -m benchmarks.finishing [--texture 1024 2048] [--faces 30000]
[--picture FILE]`.

A standing figure is described as the mesh decoder would do it (a layer of voxels on a 64^3 grid, cubes on 256^3,
colours as 32 gaussians a voxel), then extracted, cleaned, simplified, unwrapped and painted. Prints one Markdown row
a run: sizes, seconds a stage, the texture's mean error against the colour field that the gaussians carry (levels of
255), whether the mesh is closed, and the process' peak memory. `--picture FILE` draws the last run's front.
"""

from __future__ import annotations

import argparse
import platform
import resource
import time
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image

from backend.mesh.bake import GaussianCloud, chart_texels
from backend.mesh.raster import colour, front_view
from backend.trellis.decoders import offset_perturbation
from backend.trellis.dual_mc import extract
from backend.trellis.finish import finish

COARSE, FINE, PER_VOXEL = 64, 256, 32
STAGES = ("clean", "simplify", "unwrap", "bake", "place")
# Capsules (from, to, radius) of a figure 0.94 high, Z up, facing -Y.
LIMBS = [
    ((0, 0, 0.3), (0, 0, 0.33), 0.13),
    ((0, -0.12, 0.3), (0, -0.13, 0.29), 0.02),
    ((0, 0, -0.05), (0, 0, 0.13), 0.11),
    *(((side * 0.1, 0, 0.12), (side * 0.33, 0, -0.08), 0.045) for side in (-1, 1)),
    *(((side * 0.065, 0, -0.1), (side * 0.08, 0, -0.42), 0.055) for side in (-1, 1)),
]


def distance(points: np.ndarray) -> np.ndarray:
    """(...,) signed distance of (..., 3) points to the figure, with a skin that is not quite smooth."""
    out = np.full(points.shape[:-1], np.inf, np.float32)
    for start, end, radius in LIMBS:
        a, way = np.array(start, np.float32), np.subtract(end, start, dtype=np.float32)
        t = np.clip((points - a) @ way / (way @ way), 0, 1)
        out = np.minimum(out, np.linalg.norm(points - a - t[..., None] * way, axis=-1) - radius)
    return out + 0.002 * np.sin(90 * points).prod(-1)


def colours(points: np.ndarray) -> np.ndarray:
    return 0.5 + 0.4 * np.sin(points * [9, 11, 13] + [0, 1, 2])


def decoded() -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """Active voxels (n, 3), their cubes' coordinates (64 n, 3) and features (64 n, 101)."""
    cells = np.stack(np.meshgrid(*3 * [np.arange(COARSE)], indexing="ij"), -1).reshape(-1, 3)
    voxels = cells[np.abs(distance(((cells + 0.5) / COARSE - 0.5).astype(np.float32))) < 0.87 / COARSE]
    ratio = FINE // COARSE
    inner = np.stack(np.meshgrid(*3 * [np.arange(ratio)], indexing="ij"), -1).reshape(-1, 3)
    cubes = (voxels[:, None] * ratio + inner).reshape(-1, 3)
    corners = np.array([[k & 1, k >> 1 & 1, k >> 2] for k in range(8)])
    features = np.zeros((len(cubes), 101), np.float32)
    features[:, :8] = distance(((cubes[:, None] + corners) / FINE - 0.5).astype(np.float32)) + 1 / FINE
    return voxels, torch.from_numpy(cubes).int(), torch.from_numpy(features)


def gaussians(voxels: np.ndarray) -> GaussianCloud:
    """32 a voxel where the gaussian decoder starts them, moved to within a voxel's quarter of the surface as training
    would.
    """
    rng = np.random.default_rng(0)
    start = torch.tanh(offset_perturbation(PER_VOXEL, 1.5)).numpy() * 0.75 / COARSE
    points = (((voxels + 0.5) / COARSE - 0.5)[:, None] + start).reshape(-1, 3)
    step = 1e-3
    slope = np.stack(
        [
            distance((points + step * axis).astype(np.float32)) - distance(points.astype(np.float32))
            for axis in np.eye(3)
        ],
        -1,
    )
    slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    points = points - slope * (0.75 * distance(points.astype(np.float32)))[:, None]
    count = len(points)
    rotation = rng.normal(size=(count, 4))
    rotation /= np.linalg.norm(rotation, axis=1, keepdims=True)
    scale = np.exp(rng.normal(np.log(0.004), 0.3, (count, 3)))
    return GaussianCloud(points, scale, rotation, rng.uniform(0.05, 1, count), colours(points))


class Clock:
    """Seconds per stage, from progress calls."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.stage, self.since = "", time.perf_counter()

    def __call__(self, stage: str, fraction: float = 0, message: str = "") -> None:
        now = time.perf_counter()
        self.spent[self.stage] = self.spent.get(self.stage, 0) + now - self.since
        self.stage, self.since = stage, now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texture", type=int, nargs="+", default=[1024, 2048])
    parser.add_argument("--faces", type=int, default=30_000)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    voxels, cubes, features = decoded()
    began = time.perf_counter()
    dense = extract(cubes, features, FINE)
    extraction = time.perf_counter() - began
    cloud = gaussians(voxels)
    vertices, triangles = dense.vertices.numpy(), dense.faces.numpy()
    print(
        f"{len(voxels):,} voxels, {len(triangles):,} dense faces, {len(cloud.xyz):,} gaussians; extraction"
        f" {extraction:.2f} s"
    )
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads\n")
    print(
        f"| texture | faces | {' | '.join(f'{stage} s' for stage in STAGES)} | total s | colour error | closed | peak"
        " GB |"
    )
    print("|---" * (len(STAGES) + 6) + "|")
    for size in arguments.texture:
        clock = Clock()
        made = finish(vertices, triangles, cloud, arguments.faces, size, 0.94, clock)
        clock("")
        seconds = [clock.spent[stage] for stage in STAGES]
        closed = trimesh.Trimesh(made.vertices, made.triangles, process=False).is_watertight
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
        cells = " | ".join(f"{value:.2f}" for value in [*seconds, sum(seconds)])
        print(
            f"| {size} | {len(made.triangles):,} | {cells} | {colour_error(made, vertices):.2f} | {closed} |"
            f" {peak:.1f} |"
        )
    if arguments.picture:
        view = front_view(made.vertices, made.triangles, 900)
        Image.fromarray(colour(view, made.corner_uvs, made.texture)).save(arguments.picture)


def colour_error(made, dense: np.ndarray) -> float:
    """Mean difference of the texels inside charts to the colour field at their place, in levels of 255."""
    texels = chart_texels(made.corner_uvs, len(made.texture))
    points = (made.vertices[made.triangles[texels.triangle]] * texels.bary[..., None]).sum(1)
    # Back to where the gaussians are: the figure was scaled, turned upright and put on its feet.
    low, high = dense.min(0), dense.max(0)
    points = points * np.ptp(dense[:, 2]) / np.ptp(made.vertices[:, 1])
    points = np.stack([points[:, 0], -points[:, 2], points[:, 1] + low[2]], -1)
    middle = np.ptp(made.vertices[:, [0, 2]], axis=0) / 2 + made.vertices[:, [0, 2]].min(0)
    points[:, :2] += (low + high)[:2] / 2 - middle * [1, -1]
    return float(np.abs(made.texture[texels.row, texels.column] / 255 - colours(points)).mean() * 255)


if __name__ == "__main__":
    main()
