# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether limbs come off the body: `python -m benchmarks.apart OUT PICTURES... [--flat]`.

Each picture becomes a mesh with the preview engine and a rig with the geometric one, and is put into a T-pose. Prints a
line for each: what was set apart; `webs`, the area of skin that the T-pose stretches to more than twice an edge's
length, and `bridges`, of skin between a limb and the trunk away from the limb's root, both in per cent of the skin; and
the `longest` edge, times its length at rest. OUT gets a sheet
of each: the picture, its parts, the picture with its limbs apart; eight sides at rest; eight in T-pose.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from backend.engines import GenerateRequest
from backend.errors import BackendError
from backend.geometric.rigger import rig_mesh
from backend.image.analysis import PictureAnalysis, analyse
from backend.mesh.files import MeshArrays
from backend.preview.engine import PreviewGenerator, parts_of_reader
from backend.preview.unfold import PartMap, unfold
from backend.rig_checks import LIMBS, Rigged, dense_weights, t_pose

from .posed_glb import Coloured, load_made

AZIMUTHS = (0, 45, 90, 135, 180, 225, 270, 315)
TILE = 300
STRETCHED = 2.0
PALETTE = np.array(
    [(90, 90, 90), (255, 220, 170), (120, 70, 40), (250, 120, 200), (200, 160, 120), (70, 120, 220)]
    + [(240, 60, 60), (60, 200, 60), (250, 150, 40), (30, 150, 120), (250, 230, 50), (160, 255, 160)]
    + [(150, 50, 160), (60, 60, 160), (220, 120, 220), (90, 160, 230), (255, 160, 255), (150, 220, 255)]
    + [(180, 180, 90), (0, 0, 0)],
    np.uint8,
)


@dataclass
class Seen:
    """What the engine saw of a picture: before and after its limbs were set apart."""

    picture: PictureAnalysis | None = None
    parts: PartMap | None = None

    def __call__(self, picture: PictureAnalysis) -> PartMap | None:
        self.picture, self.parts = picture, parts_of_reader(picture)
        return self.parts


def rigged(mesh: Coloured, joints: dict[str, np.ndarray]) -> Rigged:
    """With the geometric rigger's weights, as made."""
    found = rig_mesh(MeshArrays(mesh.vertices.astype(np.float32), mesh.triangles.astype(np.int32)), joints)
    bones = found.skeleton
    heads, tails = (np.array(list(points.values())) for points in (bones.heads, bones.tails))
    weights = dense_weights(found.weight_joint, found.weight, len(bones.names))
    return Rigged(mesh.vertices, mesh.triangles, heads, tails, bones.parent_indices(), bones.names, weights)


def areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,)"""
    a, b, c = np.moveaxis(points[triangles], 1, 0)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def measure(rest: Rigged, posed: Rigged) -> dict[str, float]:
    """webs, bridges and longest; see the module."""
    corners = rest.vertices[rest.triangles], posed.vertices[posed.triangles]
    before, after = (np.linalg.norm(c - np.roll(c, 1, axis=1), axis=2) for c in corners)
    area = areas(posed.vertices, posed.triangles)
    taut = (after / np.maximum(before, np.median(before) / 3)).max(1) > STRETCHED
    column = {name: k for k, name in enumerate(rest.names)}
    bridge = np.zeros(len(area), bool)
    for bones in LIMBS.values():
        own = [column[name] for name in bones]
        share = rest.weights[:, own].sum(1)
        root, tip = posed.joints[own[0]], posed.joints[own[1]]
        along = (posed.vertices - root) @ (tip - root) / max(float((tip - root) @ (tip - root)), 1e-9)
        here, away = share[rest.triangles], np.maximum(along, 0)[rest.triangles]
        off = np.linalg.norm(posed.vertices - root, axis=1)[rest.triangles].max(1) > 0.75 * np.linalg.norm(tip - root)
        bridge |= (here.max(1) > 0.15) & (here.min(1) < 0.85) & off & (away.max(1) < 0.9)
    return {
        "webs": 100 * float(area[taut].sum() / area.sum()),
        "bridges": 100 * float(area[bridge].sum() / area.sum()),
        "longest": float((after / np.maximum(before, np.median(before) / 3)).max()),
    }


def tile(rgba: np.ndarray) -> np.ndarray:
    """TILE high on light grey."""
    image = Image.fromarray(rgba)
    image = image.resize((max(round(image.width * TILE / image.height), 1), TILE), Image.Resampling.BILINEAR)
    flat = np.asarray(image).astype(float)
    share = flat[..., 3:] / 255
    return (flat[..., :3] * share + 232 * (1 - share)).astype(np.uint8)


def row_of(mesh: Coloured, azimuths: tuple[int, ...] = AZIMUTHS) -> np.ndarray:
    pictures = [mesh.picture(azimuth, TILE, 0.75) for azimuth in azimuths]
    used = [np.flatnonzero(picture[..., 3].any(0)) for picture in pictures]
    return np.concatenate(
        [tile(p[:, max(u[0] - 5, 0) : u[-1] + 6]) for p, u in zip(pictures, used, strict=True)], axis=1
    )


def stacked(rows: list[np.ndarray]) -> Image.Image:
    width = max(row.shape[1] for row in rows)
    return Image.fromarray(
        np.concatenate([np.pad(r, ((0, 4), (0, width - r.shape[1]), (0, 0)), constant_values=200) for r in rows])
    )


def coloured(picture: PictureAnalysis, labels: np.ndarray | None, palette: np.ndarray) -> np.ndarray:
    if labels is None:
        return picture.rgba
    out = picture.rgba.copy()
    own = np.where(picture.mask & (labels >= 0), labels, 0)
    out[..., :3] = (0.3 * out[..., :3] + 0.7 * palette[own]).astype(np.uint8)
    out[..., 3] = np.where(picture.mask, 255, 0)
    out = np.ascontiguousarray(out)
    for x, y in picture.joints.values():
        r, c = round(y), round(x)
        out[max(r - 5, 0) : r + 6, max(c - 5, 0) : c + 6] = (255, 255, 255, 255)
        out[max(r - 3, 0) : r + 4, max(c - 3, 0) : c + 4] = (0, 0, 0, 255)
    return out


def inputs(seen: Seen) -> np.ndarray:
    """The picture, its parts and joints, and the picture with its limbs apart with its parts."""
    assert seen.picture is not None
    shown = [seen.picture.rgba, coloured(seen.picture, seen.parts and seen.parts.labels, PALETTE)]
    if seen.parts is not None:
        apart = unfold(replace(seen.picture, warnings=[]), seen.parts)
        few = PALETTE[[5, 1, 6, 7, 12, 13]]
        shown += [apart.picture.rgba, coloured(apart.picture, apart.parts, few)]
    return np.concatenate([tile(image) for image in shown], axis=1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--flat", action="store_true", help="only the pictures and their parts")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for path in options.pictures:
        if options.flat:
            try:
                seen = Seen()
                seen(analyse(path))
            except BackendError as error:
                print(f"{path.stem}: {error.code}: {error.message}", flush=True)
                continue
            Image.fromarray(inputs(seen)).save(options.out / f"{path.stem}.png")
            continue
        seen, start = Seen(), time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            try:
                made = PreviewGenerator(seen).generate(GenerateRequest(path, Path(folder)), lambda *_: None)
            except BackendError as error:
                print(f"{path.stem}: {error.code}: {error.message}", flush=True)
                continue
            mesh = load_made(made.mesh)
            seconds = time.process_time() - start
            import trimesh

            raw = trimesh.load(made.mesh, process=False, force="mesh").vertices
        scale = 1 / float(np.ptp(raw[:, 1]))
        offset = mesh.vertices[0] - raw[0] * scale
        joints = {name: np.array(at) * scale + offset for name, at in made.landmarks["joints"].items()}
        rest = rigged(mesh, joints)
        posed = t_pose(rest)
        numbers = measure(rest, posed)
        text = " ".join(f"{name} {value:5.2f}" for name, value in numbers.items())
        codes = ",".join(w["code"] for w in made.warnings)
        print(f"{path.stem:24} {text} iou {made.metrics['silhouette_iou']:.3f} {seconds:.1f}s [{codes}]", flush=True)
        arms_up = replace(mesh, vertices=posed.vertices)
        stacked([inputs(seen), row_of(mesh), row_of(arms_up, (0, 45, 90, 180, 315))]).save(
            options.out / f"{path.stem}.png"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
