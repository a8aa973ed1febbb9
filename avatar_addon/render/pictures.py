# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the avatar: the thumbnail and the contact sheet, rendered in a scene of their own, so the user's stays
as it is.
"""

from __future__ import annotations

import contextlib
import io
import math
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..avatar.scene import Avatar
from ..mesh import blender_mesh
from ..mesh.arrays import SkinnedMesh
from ..pose.kinematics.poses import SHEET_POSE
from ..versions import node_tree
from ..vrm import addon as vrm_addon
from ..vrm.setup import get_bone
from ..vrm.spec.perfect_sync import SYNC_SHAPES
from ..vrm.spec.presets import PRESETS

THUMBNAIL = 512  # pixels; VRM asks for a square of at most 1024
BACKGROUND = (0.86, 0.87, 0.89)
INK = (0.15, 0.16, 0.18, 1.0)
TILE = (330, 480)  # pixels of a body tile
TURNS, TURN_HEIGHT = tuple(range(0, 360, 45)), 240  # degrees of the row of small ones, pixels
FACE_TILE = (220, 240)
FACES = ("rest", *PRESETS)
FACES_IN_ROW = 6
SYNC_COLUMNS, SYNC_TILE = 9, (180, 200)

_probe: subprocess.Popen | None = None
_engine: str | None = None


def start_probe() -> None:
    """Finds out in a child process, while other work goes on, whether Workbench can render here: without EGL it
    aborts its process.
    """
    global _probe
    if not bpy.app.background or _probe or _engine:
        return
    script = (
        "import bpy, os; s = bpy.context.scene; s.render.engine = 'BLENDER_WORKBENCH'; s.render.resolution_x ="
        " s.render.resolution_y = 8;s.camera = s.camera or bpy.data.objects.new('c', bpy.data.cameras.new('c'));"
        " bpy.ops.render.render(); os._exit(0)"
    )
    blender = bpy.app.binary_path
    command = (
        [blender, "--background", "--factory-startup", "--python-expr", script]
        if blender
        else [sys.executable, "-c", script]
    )
    with contextlib.suppress(OSError):
        _probe = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


def probed() -> bool:
    """Whether `engine` would answer at once."""
    return not bpy.app.background or _engine is not None or _probe is None or _probe.poll() is not None


def engine() -> str:
    """BLENDER_WORKBENCH where it works, else CYCLES."""
    global _engine, _probe
    if not bpy.app.background:
        return "BLENDER_WORKBENCH"
    if _engine is None:
        start_probe()
        try:
            works = _probe is not None and _probe.wait(timeout=60) == 0
        except subprocess.TimeoutExpired:
            if _probe:
                _probe.kill()
            works = False
        _probe, _engine = None, "BLENDER_WORKBENCH" if works else "CYCLES"
    return _engine


def close() -> None:
    """Ends a probe that nobody has waited for; for unregister."""
    global _probe
    if _probe:
        _probe.kill()
        _probe.wait()
    _probe = None


def thumbnail(avatar: Avatar) -> bpy.types.Image:
    """Head and shoulders from the front, a square, packed."""
    head = _head_box(avatar)
    middle = (head[0] + head[1]) / 2
    span = float(max(head[1] - head[0])) * 1.35
    centre = Vector((middle[0], middle[1], middle[2] - 0.08 * span))
    with _studio() as scene, tempfile.TemporaryDirectory(prefix="avatar-forge-") as folder:
        for obj in avatar.objects:
            scene.collection.objects.link(obj)
        path = Path(folder) / "thumbnail.png"
        _shoot(scene, path, (THUMBNAIL, THUMBNAIL), centre, span)
        image = bpy.data.images.load(str(path))
        image.name = f"{avatar.name} Thumbnail"
        image.pack()
        image.filepath_raw = ""
    return image


def contact_sheet(avatar: Avatar, path: Path) -> Path:
    """Front, three quarters, side, back, posed, all around in steps of TURNS, and the face in every expression, written
    as a PNG.

    Everything is laid out in one scene and rendered once: a render has a price of its own, above all where only
    Cycles works.
    """
    with _studio() as scene, tempfile.TemporaryDirectory(prefix="avatar-forge-") as folder:
        size, height = _lay_out(scene, avatar)
        part = Path(folder) / "sheet.png"
        _shoot(scene, part, size, Vector((size[0] / 2, 0.0, -height / 2)), float(max(size)))
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"avatar-forge-{uuid.uuid4().hex}.part")
        try:
            beside.write_bytes(part.read_bytes())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    return path


def front(avatar: Avatar, path: Path, size: int = 384) -> Path:
    """The avatar's mesh as it is, from the front, a square PNG that is transparent around it."""
    data = blender_mesh.read_mesh(avatar.mesh)
    return still([data], (data.vertices.min(0), data.vertices.max(0)), path, size, transparent=True)


def still(
    parts: Sequence[SkinnedMesh],
    frame: tuple[np.ndarray, np.ndarray],
    path: Path,
    size: int,
    transparent: bool = False,
) -> Path:
    """Meshes (Blender's axes) from the front, a square PNG. frame: lowest and highest corner of what is to be seen."""
    middle, span = (
        (frame[0] + frame[1]) / 2,
        float(max(frame[1][0] - frame[0][0], frame[1][2] - frame[0][2], 1e-3)) * 1.08,
    )
    with _studio() as scene:
        for part in parts:
            shown = SkinnedMesh(part.vertices, part.triangles, part.corner_uvs, part.material_index, part.materials)
            scene.collection.objects.link(bpy.data.objects.new("still", blender_mesh.make_mesh("still", shown)))
        scene.render.film_transparent = transparent
        _shoot(scene, path, (size, size), Vector(middle), span)
    return path


@dataclass(frozen=True)
class Tile:
    """A mesh (Blender's axes) and where its vertices are to be; turn: degrees about the vertical; frame: corners of
    what is to be seen.
    """

    label: str
    data: SkinnedMesh
    vertices: np.ndarray
    turn: float
    frame: tuple[np.ndarray, np.ndarray]


def face_tiles(avatar: Avatar, shapes: Sequence[str], turns: Sequence[float]) -> list[Tile]:
    """The head in every shape (rest, blink, or a shape key's name), for each turn in sequence."""
    data = blender_mesh.read_mesh(avatar.mesh, shape_keys=True)
    head, (low, high) = _head_part(avatar, data), _head_box(avatar)
    tiles = []
    for turn in turns:
        c, s = abs(math.cos(math.radians(turn))), abs(math.sin(math.radians(turn)))
        more = np.array(
            [((c - 1) * (high - low)[0] + s * (high - low)[1]) / 2, 0, 0]
        )  # what the turned box needs across
        for name in shapes:
            moved = data.vertices + sum((data.shape_keys[key] for key in _keys(name)), np.zeros_like(data.vertices))
            tiles.append(Tile(name, head, moved, turn, (low - more, high + more)))
    return tiles


def sheet_of(tiles: Sequence[Tile], columns: int, path: Path, size: tuple[int, int]) -> Path:
    """Tiles in rows, as a PNG; `size` is one tile's, in pixels."""
    with _studio() as scene:
        for k, tile in enumerate(tiles):
            corner = (k % columns * size[0], k // columns * size[1])
            _tile(scene, tile.label, tile.data, tile.vertices, tile.turn, corner, size, frame=tile.frame)
        width, height = columns * size[0], -(-len(tiles) // columns) * size[1]
        _shoot(scene, path, (width, height), Vector((width / 2, 0.0, -height / 2)), float(max(width, height)))
    return path


def _keys(shape: str) -> tuple[str, ...]:
    if shape in SYNC_SHAPES:
        return tuple(name for name in (shape, SYNC_SHAPES[shape].with_) if name)
    return PRESETS[shape].shape_keys if shape in PRESETS else ()


def perfect_sync_sheet(avatar: Avatar, path: Path) -> Path:
    """The face in every shape of perfect sync that it has, and at rest."""
    keys = avatar.mesh.data.shape_keys
    shown = [name for name in SYNC_SHAPES if keys and name in keys.key_blocks]
    return sheet_of(face_tiles(avatar, ["rest", *shown], (0,)), SYNC_COLUMNS, path, SYNC_TILE)


def _lay_out(scene: bpy.types.Scene, avatar: Avatar) -> tuple[tuple[int, int], float]:
    """Puts the tiles into the scene, one unit a pixel, the first one's corner at the origin; returns the sheet's size
    and height.
    """
    data = blender_mesh.read_mesh(avatar.mesh, shape_keys=True)
    posed = SkinnedMesh(_posed(avatar), data.triangles, data.corner_uvs, data.material_index, data.materials)
    bodies = [
        ("front", data, 0),
        ("35 degrees", data, 35),
        ("side", data, 90),
        ("back", data, 180),
        ("posed", posed, 20),
    ]
    for column, (label, body, turn) in enumerate(bodies):
        _tile(scene, label, body, body.vertices, turn, (column * TILE[0], 0), TILE)
    _turntable(scene, data, len(bodies) * TILE[0])
    faces = [(name, _keys(name)) for name in FACES if all(key in data.shape_keys for key in _keys(name))]
    head, frame = _head_part(avatar, data), _head_box(avatar)
    width = len(bodies) * TILE[0]
    each = width / FACES_IN_ROW
    for k, (label, keys) in enumerate(faces):
        moved = data.vertices + sum((data.shape_keys[key] for key in keys), np.zeros_like(data.vertices))
        corner = (k % FACES_IN_ROW * each, TILE[1] + TURN_HEIGHT + k // FACES_IN_ROW * FACE_TILE[1])
        _tile(scene, label, head, moved, 0, corner, (each, FACE_TILE[1]), frame=frame)
    height = TILE[1] + TURN_HEIGHT + math.ceil(len(faces) / FACES_IN_ROW) * FACE_TILE[1]
    return (round(width), height), height


def _turntable(scene: bpy.types.Scene, data: SkinnedMesh, width: int) -> None:
    """The row below the large ones: the body from all sides, all of one size, which are one mesh."""
    mesh, size = None, (width / len(TURNS), TURN_HEIGHT)
    low, high = data.vertices.min(0), data.vertices.max(0)
    reach = max(high[0] - low[0], high[1] - low[1]) / 2
    middle = (low + high) / 2
    frame = middle - [reach, reach, 0], middle + [reach, reach, 0]
    frame[0][2], frame[1][2] = low[2], high[2]
    for column, turn in enumerate(TURNS):
        corner = (column * size[0], TILE[1])
        mesh = _tile(scene, f"{turn}°", data, data.vertices, turn, corner, size, frame, mesh)


def _tile(scene, label, data, vertices, turn, corner, size, frame=None, mesh=None) -> bpy.types.Mesh:
    """One mesh, turned about the vertical by `turn` degrees, filling a tile; and its label. mesh: what an earlier call
    made of the same data. Returns it.
    """
    if mesh is None:
        shown = SkinnedMesh(vertices, data.triangles, data.corner_uvs, data.material_index, data.materials)
        mesh = blender_mesh.make_mesh("sheet", shown)
    obj = bpy.data.objects.new(label, mesh)
    scene.collection.objects.link(obj)
    low, high = frame if frame is not None else (vertices.min(0), vertices.max(0))
    width = max(high[0] - low[0], 1e-6)
    scale = min((size[0] - 16) / width, (size[1] - 44) / (high[2] - low[2]))
    middle = (low + high) / 2
    place = Vector((corner[0] + size[0] / 2, 0.0, -corner[1] - size[1] / 2 + 12))
    obj.matrix_world = (
        Matrix.Translation(place)
        @ Matrix.Scale(scale, 4)
        @ Matrix.Rotation(math.radians(turn), 4, "Z")
        @ Matrix.Translation(-Vector(middle))
    )
    text = bpy.data.curves.new("sheet", "FONT")
    text.body, text.size, text.align_x = label, 17, "CENTER"
    text.materials.append(_ink())
    caption = bpy.data.objects.new(label, text)
    scene.collection.objects.link(caption)
    caption.color = INK
    caption.matrix_world = Matrix.Translation((place.x, -900.0, -corner[1] - size[1] + 8)) @ Matrix.Rotation(
        math.pi / 2, 4, "X"
    )
    return mesh


def _ink() -> bpy.types.Material:
    material = bpy.data.materials.get("avatar forge ink")
    if material is None:
        material = bpy.data.materials.new("avatar forge ink")
        material.diffuse_color = INK
        tree = node_tree(material)
        tree.nodes.clear()
        emission, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
        emission.inputs["Color"].default_value = INK
        tree.links.new(emission.outputs[0], output.inputs[0])
    return material


def _head_box(avatar: Avatar) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner of what hangs on the head bone."""
    data = blender_mesh.read_mesh(avatar.mesh)
    inside = _on_head(avatar, data)
    points = data.vertices[inside] if inside.any() else data.vertices
    return points.min(0), points.max(0)


def _on_head(avatar: Avatar, data: SkinnedMesh) -> np.ndarray:
    head = _bone(avatar, "head")
    if data.weights is None or head not in data.groups:
        return np.zeros(len(data.vertices), bool)
    bones = avatar.armature.data.bones if avatar.armature else {}
    below = [bone.name for bone in bones[head].children_recursive] if head in bones else []  # eyes, hair, a hat
    columns = [data.groups.index(name) for name in (head, *below) if name in data.groups]
    return data.weights[:, columns].sum(1) > 0.5


def _bone(avatar: Avatar, name: str) -> str:
    """The bone that is a humanoid bone of VRM: a model from elsewhere has names of its own."""
    known = avatar.armature is not None and vrm_addon.is_available()
    return (get_bone(avatar.armature, name) if known else "") or name


def _head_part(avatar: Avatar, data: SkinnedMesh) -> SkinnedMesh:
    inside = _on_head(avatar, data)
    keep = inside[data.triangles].all(1) if inside.any() else np.ones(len(data.triangles), bool)
    return SkinnedMesh(
        data.vertices, data.triangles[keep], data.corner_uvs[keep], data.material_index[keep], data.materials
    )


def _posed(avatar: Avatar) -> np.ndarray:
    """The vertices in the sheet's pose; the avatar's own pose comes back."""
    if avatar.armature is None:
        return blender_mesh.read_mesh(avatar.mesh).vertices
    bones = avatar.armature.pose.bones
    before = {bone.name: bone.matrix_basis.copy() for bone in bones}
    try:
        for bone in bones:
            bone.matrix_basis.identity()
        for humanoid, degrees in SHEET_POSE.items():
            name = _bone(avatar, humanoid)
            if name in bones:
                rest = bones[name].bone.matrix_local.to_3x3()
                turn = Matrix.Rotation(math.radians(degrees[2]), 3, "Z") @ Matrix.Rotation(
                    math.radians(degrees[1]), 3, "Y"
                )
                turn = turn @ Matrix.Rotation(math.radians(degrees[0]), 3, "X")
                bones[name].matrix_basis = (rest.inverted() @ turn @ rest).to_4x4()
        graph = bpy.context.evaluated_depsgraph_get()
        graph.update()
        evaluated = avatar.mesh.evaluated_get(graph)
        mesh = evaluated.to_mesh()
        points = np.zeros(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", points)
        evaluated.to_mesh_clear()
        return points.reshape(-1, 3).astype(float)
    finally:
        for bone in bones:
            bone.matrix_basis = before[bone.name]


@contextmanager
def _studio():
    """A scene for one render; afterwards everything that was made for it is gone."""
    kinds = (bpy.data.objects, bpy.data.meshes, bpy.data.curves, bpy.data.cameras, bpy.data.worlds, bpy.data.materials)
    before = [set(kind) for kind in kinds]
    scene = bpy.data.scenes.new("avatar forge studio")
    try:
        scene.world = bpy.data.worlds.new("avatar forge studio")
        scene.world.color = BACKGROUND
        background = next(
            node for node in node_tree(scene.world).nodes if node.type == "BACKGROUND"
        )  # its name is in the user's language
        background.inputs["Color"].default_value = (*BACKGROUND, 1.0)
        scene.view_settings.view_transform = "Standard"
        scene.camera = bpy.data.objects.new("avatar forge camera", bpy.data.cameras.new("avatar forge camera"))
        scene.collection.objects.link(scene.camera)
        yield scene
    finally:
        bpy.data.scenes.remove(scene)
        for kind, known in zip(kinds, before, strict=True):
            for item in [item for item in kind if item not in known]:
                kind.remove(item)


def _shoot(scene: bpy.types.Scene, path: Path, size: tuple[int, int], centre: Vector, span: float) -> None:
    """Renders what lies `span` units around `centre`, seen from the front (-Y), along the longer side of the
    picture.
    """
    camera = scene.camera
    camera.data.type, camera.data.ortho_scale = "ORTHO", span
    camera.data.clip_end = 10000.0
    camera.matrix_world = Matrix.Translation(centre + Vector((0, -max(2.0, 2.0 * span), 0))) @ Matrix.Rotation(
        math.pi / 2, 4, "X"
    )
    render = scene.render
    render.engine = engine()
    render.resolution_x, render.resolution_y, render.resolution_percentage = *size, 100
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGBA" if render.film_transparent else "RGB"
    render.filepath = str(path)
    for stamp in render.bl_rna.properties:
        if stamp.identifier.startswith(
            "use_stamp_"
        ):  # else the picture's metadata tell the time and the path of the file
            setattr(render, stamp.identifier, False)
    if render.engine == "CYCLES":
        scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.seed = 8, False, 0
    else:
        shading = scene.display.shading
        shading.light, shading.color_type = "FLAT", "TEXTURE"
        scene.display.render_aa = "8"
    with contextlib.redirect_stdout(io.StringIO()):
        bpy.ops.render.render(scene=scene.name, write_still=True)
