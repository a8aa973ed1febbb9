# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator that needs no model: a figure is cut out, inflated and covered with its own picture. Deterministic,
one core, seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..engines import GeneratedMesh, GenerateRequest, Progress
from ..image.analysis import PictureAnalysis, analyse
from ..image.views import check_views, load_view, view_of
from ..mesh.glb import vertex_normals, write_glb
from ..mesh.raster import front_view
from ..options import Option, check_options, height_option
from ..reader import PARTS
from .fit import fit_sides
from .head_paint import FACE, HAIR, HEADGEAR
from .paint import paint
from .sides import Views, place_views
from .solid import Depth, inflate
from .thickness import Frame, make_frame
from .unfold import PartMap, Unfolded, unfold
from .volume import build_skin, middle_depth, surface_depth

OPTIONS = (
    height_option(),
    Option("triangles", "int", 28000, "Triangles", "Approximate number of triangles", low=4000, high=200000),
    Option(
        "texture_size",
        "int",
        1024,
        "Texture Size",
        "Longer side of the front and back textures, in pixels",
        low=256,
        high=4096,
        unit="px",
    ),
)
# Triangles per square of the grid's cell over the silhouette, front and back together: measured, then corrected once.
TRIANGLES_PER_CELL = 10.5
NECK = 0.06  # of the way from neck to crown: the head's joint lies at least so far above the neck's
CHIN = 0.35  # of the way from eyes to mouth: and so far below the mouth, which else would not follow the head
KINDS = {"face": FACE, "hair": HAIR, "headgear": HEADGEAR}  # of the reader's parts, for the colours of the head
PROP = 0.005  # of the figure: what is left out is told from so much on; less is a stray spot of the reader's


def parts_of_reader(picture: PictureAnalysis) -> PartMap | None:
    """The learned reader's parts."""
    return None if picture.parts is None else PartMap(picture.parts, PARTS)


class PreviewGenerator:
    """`backend.engines.Generator`. Options: see OPTIONS."""

    name = "preview"
    options = OPTIONS
    label = "Preview (silhouette inflation, not TRELLIS)"
    views = 4  # front, left, back, right
    seeded = False

    def __init__(self, read_parts: Callable[[PictureAnalysis], PartMap | None] | None = parts_of_reader) -> None:
        """read_parts: finds the parts of the figure, by which limbs that touch or hide the body are set apart; without
        it such pictures are refused as `analyse` does.
        """
        self.read_parts = read_parts

    def generate(self, request: GenerateRequest, progress: Progress) -> GeneratedMesh:
        """Raises BackendError as `backend.image.analysis.analyse` does, and bad_params for an option out of range."""
        options = check_options("preview", OPTIONS, request.options)
        clock = _Clock()
        progress("mask", 0.02, "Finding the character in the picture")
        picture = analyse(request.picture, request.markers)
        given = self.read_parts(picture) if self.read_parts else None
        whole, apart = picture, self._apart(picture, given)
        picture, parts = (apart.picture, apart.parts) if apart else (picture, None)
        as_drawn = apart is None or not apart.moved
        clock.lap("analyse_s")
        progress("inflate", 0.35, "Adding depth")
        cell = _cell_size(picture, options)
        frame = make_frame(picture.mask, picture.joints, options["height"], cell)
        depth = inflate(picture.rgba, picture.mask, picture.joints, picture.face, frame, parts, capes=as_drawn)
        views = further_views(request.pictures, whole, picture, frame, as_drawn)
        depth = fit_sides(depth, views)
        clock.lap("inflate_s")
        progress("surface", 0.55, "Creating the surface")
        skin = build_skin(depth, frame, views)
        vertices, triangles = skin.vertices, skin.triangles
        normals = vertex_normals(vertices, triangles)
        clock.lap("surface_s")
        progress("texture", 0.75, "Painting the surface")
        texture = paint(
            picture.rgba,
            picture.mask,
            skin,
            normals,
            depth,
            frame,
            picture.joints,
            picture.face,
            options["texture_size"],
            views,
            None if given is None else head_kinds(given, whole, picture),
        )
        clock.lap("texture_s")
        progress("write", 0.92, "Writing the mesh")
        path = write_glb(request.out_dir / "mesh.glb", vertices, triangles, normals, texture.uvs, texture.image)
        metrics = {
            "vertex_count": float(len(vertices)),
            "face_count": float(len(triangles)),
            "texture_resolution": float(max(texture.image.shape[:2])),
            "silhouette_iou": silhouette_iou(vertices, triangles, picture, frame),
        }
        clock.lap("write_s")
        found = landmarks(picture, depth, frame)
        if texture.stroke:
            found["outline"] = {"width": round(texture.stroke, 6), "colour": [int(c) for c in texture.ink]}
        return GeneratedMesh(path, self.label, found, metrics | clock.laps, picture.warnings, settings=options)

    def _apart(self, picture: PictureAnalysis, given: PartMap | None) -> Unfolded | None:
        """The picture with its limbs set apart, where there is a reader that knows them. A silhouette that tells arms
        and body apart knows them better, unless an arm is bent or leans on the body all the same.
        """
        if given is None:
            return None
        found = unfold(picture, given)
        if picture.clear and not found.moved:
            return None
        if found.left_out > PROP * picture.mask.sum():
            message = "What the character holds or stands on is left out."
            found.picture.warnings.append({"code": "prop", "message": message})
        if found.hair:
            message = "Long hair beside the arms is left out."
            found.picture.warnings.append({"code": "hair", "message": message})
        if found.mirrored:
            message = "One arm is not seen clearly and is made as the mirror image of the other one."
            found.picture.warnings.append({"code": "mirrored", "message": message})
        return found


def further_views(
    pictures: dict[str, Path], whole: PictureAnalysis, picture: PictureAnalysis, frame: Frame, arms: bool
) -> Views:
    """Pictures of left, back and right on the front's figure. whole: before limbs were set apart, picture: after; arms:
    whether they are where they were drawn. What does not fit is added to the picture's warnings.
    Raises BackendError as `backend.image.views.load_view` and `check_views` do.
    """
    if not pictures:
        return Views()
    rows, columns = np.flatnonzero(whole.mask.any(1)), np.flatnonzero(whole.mask.any(0))
    tall, wide = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    views = {side: load_view(path, side, tall) for side, path in sorted(pictures.items())}
    front = replace(view_of(whole.rgba, whole.mask, tall), size=whole.size)
    picture.warnings.extend(check_views(front, views))
    # The neck stays where it is when limbs are moved, but the picture's border does not.
    shift = np.subtract(picture.joints["neck"], whole.joints["neck"])
    corner = float(columns[0] + shift[0]), float(rows[0] + shift[1])
    return place_views(views, corner, wide, frame, arms)


def head_kinds(given: PartMap, whole: PictureAnalysis, picture: PictureAnalysis) -> np.ndarray:
    """(H, W) of head_paint.KINDS for the pixels of `picture`. whole: the picture that the map is of, before limbs were
    set apart.
    """
    kinds = np.zeros(len(given.names), np.uint8)
    for name, kind in KINDS.items():
        if name in given.names:
            kinds[given.names.index(name)] = kind
    # The neck stays where it is when limbs are moved, but the picture's border does not.
    x, y = np.round(np.subtract(whole.joints["neck"], picture.joints["neck"])).astype(int)
    row, column = np.arange(picture.mask.shape[0]) + y, np.arange(picture.mask.shape[1]) + x
    known = [(at >= 0) & (at < size) for at, size in zip((row, column), given.labels.shape, strict=True)]
    out = np.zeros(picture.mask.shape, np.uint8)
    out[np.ix_(*known)] = kinds[given.labels[np.ix_(row[known[0]], column[known[1]])]]
    return out


def _cell_size(picture: PictureAnalysis, options: dict[str, Any]) -> float:
    """The grid's cell in metres that gives about the wanted number of triangles."""
    rows = np.flatnonzero(picture.mask.any(1))
    metres = options["height"] / (rows[-1] + 1 - rows[0])
    area = float(picture.mask.sum()) * metres**2
    return float(np.sqrt(area * TRIANGLES_PER_CELL / options["triangles"]))


def landmarks(picture: PictureAnalysis, depth: Depth, frame: Frame) -> dict[str, Any]:
    """Joints in the middle of the body and face markers on its front, glTF axes, metres."""
    names = list(picture.joints)
    cells = frame.to_cells(np.array([picture.joints[name] for name in names]))
    neck, head = names.index("neck"), names.index("head")
    if depth.body.face is not None and picture.joint_confidence.get("head", 0.0) < 1:  # 1: placed by hand
        cells[head, 1] = max(cells[head, 1], depth.body.face.mouth[1] + CHIN * depth.body.face.gap)
    # A neck that points down would have the face hang on the trunk.
    cells[head, 1] = min(cells[head, 1], cells[neck, 1] - NECK * (cells[neck, 1] - depth.body.top))
    points = np.column_stack([frame.to_metres(cells), middle_depth(depth, frame, cells)])
    per_pixel = frame.cell / frame.pixels
    face: dict[str, Any] = {"confidence": dict(picture.face.get("confidence", {}))}
    for name in ("leftEye", "rightEye", "mouth"):
        if name not in picture.face:
            continue
        entry = picture.face[name]
        cell = frame.to_cells(entry["center"])
        centre = [*frame.to_metres(cell), *surface_depth(depth, frame, cell)]
        sizes = {
            key: round(float(entry[key]) * per_pixel, 6)
            for key in ("half_width", "half_height", "width")
            if key in entry
        }
        face[name] = {"center": [round(float(v), 6) for v in centre], **sizes}
    return {
        "joints": {name: [round(float(v), 6) for v in point] for name, point in zip(names, points, strict=True)},
        "face": face,
    }


def silhouette_iou(vertices: np.ndarray, triangles: np.ndarray, picture: PictureAnalysis, frame: Frame) -> float:
    """Overlap of the mesh seen from the front with the picture's mask: intersection over union."""
    view = front_view(vertices, triangles)
    row, column = np.nonzero(np.ones(view.mask.shape, bool))
    pixels = np.round(frame.to_pixels(view.to_metres(np.column_stack([column, row])))).astype(int)
    height, width = picture.mask.shape
    known = (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    wanted = np.zeros(len(pixels), bool)
    wanted[known] = picture.mask[pixels[known, 1], pixels[known, 0]]
    seen = view.mask.ravel()
    return round(float((seen & wanted).sum() / max((seen | wanted).sum(), 1)), 4)


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now
