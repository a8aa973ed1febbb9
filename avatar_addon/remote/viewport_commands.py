# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees: a picture of the 3D viewport, and the object at a point of that picture."""

from __future__ import annotations

import contextlib
import struct
import tempfile
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..client import session
from . import changes, outputs
from .protocol import paths
from .protocol.registry import Refusal, command
from .scene_commands import about_object

NO_VIEWPORT = "No 3D viewport: {}."  # the servers recognise the first words
MOST_PIXELS = 4096  # of the longer side
USUAL_PIXELS = 800
PNG = b"\x89PNG\r\n\x1a\n"
NEAR = 0.02  # of the picture's height: how far beside an object without a surface one may point
UNSTEADY = {"RENDERED", "MATERIAL"}  # what the viewport shows so becomes finer by and by

_last: tuple[tuple, bytes, dict] | None = None  # what the last picture showed, its file, its result


def find_viewport() -> tuple[Any, Any, Any] | None:
    """Window, area and region of the largest 3D viewport; None without one."""
    found = [
        (area.width * area.height, window, area)
        for window in bpy.context.window_manager.windows
        for area in window.screen.areas
        if area.type == "VIEW_3D"
    ]
    if not found:
        return None
    _size, window, area = max(found, key=lambda entry: entry[0])
    return window, area, next(region for region in area.regions if region.type == "WINDOW")


@command("get_viewport_screenshot")
def get_viewport_screenshot(
    max_size: float | None = None, filepath: str | None = None, format: str | None = None
) -> dict[str, Any]:
    """Writes the largest 3D viewport to a PNG; a picture of what has not changed is not drawn again."""
    global _last
    if bpy.app.background:
        raise Refusal(NO_VIEWPORT.format("this Blender runs without a window"))
    found = find_viewport()
    if found is None:
        raise Refusal(NO_VIEWPORT.format("the user has none open"))
    if (format or "png").lower() != "png":
        raise Refusal(f"Screenshots are PNG files here, not {format}.")
    window, area, region = found
    space = area.spaces.active
    path = _picture_path(filepath)
    width, height = _fit(region.width, region.height, max_size)
    view, projection = space.region_3d.view_matrix.copy(), space.region_3d.window_matrix.copy()
    scene, layer = window.scene, window.view_layer
    key = (
        area.as_pointer(),
        width,
        height,
        _rows(view),
        _rows(projection),
        scene.name,
        changes.count(),
        changes.drawn(),
    )
    if _last and _last[0] == key and space.shading.type not in UNSTEADY:
        _write(path, _last[1])
        return _last[2] | {"filepath": str(path)}
    picture = write_png(_draw(scene, layer, space, region, view, projection, width, height))
    _write(path, picture)
    here = {"file": bpy.data.filepath, "scene": scene.name}
    seen = {"view_matrix": _rows(view), "window_matrix": _rows(projection), "width": width, "height": height}
    result = {"success": True, "width": width, "height": height, "filepath": str(path), "method": "offscreen"}
    result |= here | {"scene_count": len(bpy.data.scenes), "view": seen | here}
    _last = key, picture, result
    return result


def _write(path: Path, picture: bytes) -> None:
    """Never through a link that somebody has put there meanwhile: the name gets a new file."""
    part = path.with_name(f"avatar-forge-{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(picture)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _picture_path(filepath: str | None) -> Path:
    """Where the picture goes. Raises Refusal rather than replacing something that is no picture."""
    temporary = Path(tempfile.gettempdir())
    if filepath is None:
        # A name that nobody else can have put a link under.
        return session.user_folder("screenshots") / "viewport.png"
    if paths.clean_path(filepath, "screenshot").suffix.lower() != ".png":
        raise Refusal(f"A screenshot cannot be written to {filepath[:200]!r}: give the absolute path of a .png file.")
    # BlenderMCP's servers name a file in the temporary folder, which is there already where they made it themselves.
    path = outputs.place(filepath, ".png", True, more=(temporary,))
    if path.exists():
        with contextlib.suppress(OSError), path.open("rb") as file:
            head = file.read(len(PNG))
            if head and head != PNG:
                raise Refusal(f"{filepath[:200]} exists and is not a PNG picture; it was not replaced.")
    return path


def _fit(width: int, height: int, max_size: float | None) -> tuple[int, int]:
    """Pixels with the region's proportions, the longer side at most max_size."""
    most = min(max(int(max_size or USUAL_PIXELS), 16), MOST_PIXELS)
    scale = min(1.0, most / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _draw(scene, layer, space, region, view: Matrix, projection: Matrix, width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8, the top row first, as the screen shows it."""
    import gpu  # without a window it cannot be asked for anything

    buffer = gpu.types.GPUOffScreen(width, height)
    try:
        buffer.draw_view3d(scene, layer, space, region, view, projection, do_color_management=True)
        with buffer.bind():
            pixels = gpu.state.active_framebuffer_get().read_color(0, 0, width, height, 4, 0, "UBYTE")
        pixels.dimensions = width * height * 4
        return np.frombuffer(pixels, np.uint8).reshape(height, width, 4)[::-1, :, :3]
    finally:
        buffer.free()


def write_png(pixels: np.ndarray) -> bytes:
    """A PNG of (height, width, 3) uint8, top row first. (PNG specification, third edition)"""
    height, width, _channels = pixels.shape
    rows = np.zeros((height, 1 + width * 3), np.uint8)
    rows[:, 0] = 1  # filter "Sub": differences to the pixel on the left
    flat = rows[:, 1:].reshape(height, width, 3)
    flat[:, 0] = pixels[:, 0]
    flat[:, 1:] = pixels[:, 1:] - pixels[:, :-1]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 1)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _rows(matrix: Matrix) -> list[list[float]]:
    return [list(row) for row in matrix]


@command("pick_viewport_object")
def pick_viewport_object(
    x: float | None = None,
    y: float | None = None,
    view_matrix: Sequence | None = None,
    window_matrix: Sequence | None = None,
    width: int | None = None,
    height: int | None = None,
    file: str | None = None,
    scene: str | None = None,
) -> dict[str, Any]:
    """The object at x, y (0 to 1 from the top left) of a screenshot, whose `view` the other parameters are."""
    if file is not None and file != bpy.data.filepath:
        return {"object": None, "mismatch": "file", "current": bpy.data.filepath}
    if x is None or y is None:
        raise Refusal("x and y are needed: where to look in the screenshot, 0 to 1 from the top left.")
    here = bpy.context.scene
    if scene is not None and scene != here.name:
        return {"object": None, "mismatch": "scene", "current": here.name}
    try:
        view, projection = Matrix(view_matrix), Matrix(window_matrix)
        point = Vector((2.0 * float(x) - 1.0, 1.0 - 2.0 * float(y)))
        back = (projection @ view).inverted()
        begin, end = (_through(back, point, depth) for depth in (-1.0, 1.0))
    except (TypeError, ValueError, ZeroDivisionError):
        raise Refusal(
            "pick_viewport_object needs x, y, view_matrix and window_matrix, as the screenshot's view has them."
        ) from None
    way = end - begin
    graph = bpy.context.evaluated_depsgraph_get()
    hit, place, _normal, _index, obj, _matrix = here.ray_cast(graph, begin, way.normalized(), distance=way.length)
    aspect = (width or 1) / (height or 1)
    beside = _nearest(projection @ view, point, aspect, (place - begin).length if hit else way.length, begin)
    obj = beside or (obj.original if hit else None)
    if obj is None:
        return {"object": None}
    return {
        "object": (
            about_object(obj)
            | {"location": [round(value, 4) for value in (place if hit and obj is not beside else obj.location)]}
        )
    }


def _through(back: Matrix, point: Vector, depth: float) -> Vector:
    place = back @ Vector((point.x, point.y, depth, 1.0))
    return place.xyz / place.w


def _nearest(forth: Matrix, point: Vector, aspect: float, distance: float, eye: Vector):
    """The object without a surface (light, camera, empty) whose origin is near the point and nearer than `distance`."""
    best, found = NEAR * 2.0, None
    for obj in bpy.context.visible_objects:
        if obj.type in {"MESH", "CURVE", "SURFACE", "META", "FONT"}:
            continue
        origin = obj.matrix_world.translation
        shown = forth @ Vector((*origin, 1.0))
        if shown.w <= 0.0 or (origin - eye).length > distance:
            continue
        away = Vector(((shown.x / shown.w - point.x) * aspect, shown.y / shown.w - point.y)).length
        if away < best:
            best, found = away, obj
    return found
