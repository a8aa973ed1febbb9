# SPDX-License-Identifier: GPL-3.0-or-later
"""One character, posed and seen by a camera: its pixels before the background, and the truth about them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from backend.reader.layout import FACE, HEIGHT, JOINTS, KEYPOINTS, MOUTH_STATES, WIDTH
from training.characters.character import PART, Character, Feature, vertex_normals
from training.faces import FacePainter, FacePlane
from training.landmarks import Landmarks, find_landmarks
from training.looks import line_drawing, outlines, palette, shade
from training.poses import Poser, turn
from training.raster import Atlas, Buffers, rasterise, skin

OVERSAMPLING = 2
POINT = {name: k for k, name in enumerate(KEYPOINTS)}
HEAD_ROOM = (
    1.05,
    1.95,
)  # shorter side of a head's picture in heights of the head: the reader's two looks, and their errors
BEHIND = 65.0  # degrees of yaw from which a figure counts as seen from the side or from behind


@dataclass
class Model:
    """A character with what is the same for all its pictures."""

    character: Character
    landmarks: Landmarks
    normals: np.ndarray

    @classmethod
    def of(cls, character: Character) -> Model:
        return cls(
            character, find_landmarks(character), vertex_normals(character.vertices, character.triangles).astype(float)
        )


@dataclass
class Camera:
    """turn (3, 3): body to camera axes, right, up, towards the viewer; yaw in degrees, positive to the picture's
    right. perspective: how much nearer parts grow. scale: pixels per metre; centre (2,): what the middle of the
    picture shows.
    """

    turn: np.ndarray
    yaw: float
    perspective: float
    middle: float
    height: float
    scale: float = 1.0
    centre: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def flatten(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) body axes to camera axes, with perspective."""
        seen = points @ self.turn.T
        grow = 1 / (1 - self.perspective * (seen[..., 2:] - self.middle) / self.height)
        return np.concatenate([seen[..., :2] * grow, seen[..., 2:]], -1)

    def pixels(self, flat: np.ndarray) -> np.ndarray:
        """Camera axes to pixels of the oversampled picture, depth kept in metres."""
        x = (flat[..., 0] - self.centre[0]) * self.scale + WIDTH / 2
        y = (self.centre[1] - flat[..., 1]) * self.scale + HEIGHT / 2
        return np.stack([x * OVERSAMPLING - 0.5, y * OVERSAMPLING - 0.5, flat[..., 2]], -1)


@dataclass
class Figure:
    """image (H, W, 3) float32 and mask (H, W) at twice the network's size. points (K, 3): pixels of the network's
    input, depth in metres; known: the place is true; visible: seen in the picture. sizes: half width and height of
    leftEye, rightEye, mouth in input pixels, NaN where not known. mouth: index into MOUTH_STATES or -1.
    """

    image: np.ndarray
    mask: np.ndarray
    buffers: Buffers
    camera: Camera
    points: np.ndarray
    known: np.ndarray
    visible: np.ndarray
    sizes: np.ndarray
    mouth: int
    head: bool
    arms: tuple[str, str]
    legs: str


def random_camera(random: np.random.Generator, vertices: np.ndarray, wild: bool) -> Camera:
    """Mostly from the front, up to 60 degrees to the sides; `wild`: from the side or from behind."""
    if wild:
        yaw = float(random.uniform(BEHIND + 10, 180) * random.choice([-1, 1]))
    elif random.random() < 0.6:
        yaw = float(np.clip(random.normal(0, 11), -60, 60))
    else:
        yaw = float(random.uniform(-60, 60))
    pitch, roll = random.normal(3, 7), random.normal(0, 3)
    matrix = turn([0, 0, 1], roll) @ turn([1, 0, 0], pitch) @ turn([0, 1, 0], yaw)
    matrix = np.diag([random.uniform(0.86, 1.18), 1, 1]) @ matrix
    seen = vertices @ matrix.T
    return Camera(matrix, yaw, float(random.uniform(0, 0.3)), float(seen[:, 2].mean()), float(np.ptp(seen[:, 1])))


def _frame_body(camera: Camera, flat: np.ndarray, random: np.random.Generator) -> None:
    """The whole figure with more or less room around it, at times cut off."""
    low, high = flat[:, :2].min(0), flat[:, :2].max(0)
    span = high - low
    fit = min(WIDTH / span[0], HEIGHT / span[1])
    kind = random.random()
    if kind < 0.72:
        share = random.uniform(0.74, 1.0)
    elif kind < 0.9:
        share = random.uniform(0.42, 0.74)
    else:
        share = random.uniform(1.0, 1.4)
    camera.scale = fit * share
    room = np.array([WIDTH, HEIGHT]) / camera.scale - span
    camera.centre = (low + high) / 2 + random.uniform(-0.5, 0.5, 2) * room * 0.8


def _frame_head(camera: Camera, points: np.ndarray, random: np.random.Generator) -> None:
    """The head alone, as the second look at a picture crops it."""
    top, chin = points[POINT["headTop"], :2], points[POINT["chin"], :2]
    size = float(np.hypot(*(top - chin))) * random.uniform(*HEAD_ROOM)
    camera.scale = min(WIDTH, HEIGHT) / max(size, 1e-6)
    camera.centre = (top + chin) / 2 + random.normal(0, 0.09, 2) * size


def render_figure(
    model: Model,
    random: np.random.Generator,
    head: bool = False,
    wild: bool = False,
    framed: bool = True,
    bold: bool = False,
) -> Figure | None:
    """A random picture of `model`. head: of its head alone. wild: from the side or from behind; then no key point is
    given. framed: fills the picture; otherwise it is small, somewhere in it. bold: as `Poser` takes it. None where
    little of it can be seen.
    """
    character = model.character
    poser = Poser(character, random, bold)
    matrices = poser.pose()
    bind = np.asarray(character.vertices, float)
    if random.random() < (0.6 if bold else 0.35):  # stouter or slimmer
        body = ~np.isin(character.parts, [PART["face"], PART["hair"], PART["headgear"], PART["prop"]])
        grow = np.zeros(len(bind))
        grow[character.triangles[body]] = random.uniform(-0.006, 0.03 if bold else 0.02) * np.ptp(bind[:, 1])
        bind = bind + model.normals * grow[:, None]
    vertices, normals = np.empty_like(bind), np.empty_like(bind)
    skin(
        bind, model.normals, character.joint_indices, character.joint_weights.astype(float), matrices, vertices, normals
    )
    camera = random_camera(random, vertices, wild)
    flat, flat_points = camera.flatten(vertices), camera.flatten(model.landmarks.posed(matrices))
    if head and np.isfinite(flat_points[[POINT["headTop"], POINT["chin"]]]).all():
        _frame_head(camera, flat_points, random)
    else:
        head = False
        _frame_body(camera, flat, random)
        if not framed:
            camera.scale *= random.uniform(0.4, 0.75)
    pixels = camera.pixels(flat)
    buffers = Buffers.empty(HEIGHT * OVERSAMPLING, WIDTH * OVERSAMPLING)
    atlas = Atlas.of(palette(character, random))
    rasterise(buffers, pixels, normals @ camera.turn.T, character.corner_uvs, character.triangles,
              character.materials, character.parts, atlas)  # fmt: skip
    if buffers.mask.mean() < 0.015:
        return None
    return _finish(model, random, _Seen(camera, buffers, matrices, flat_points), poser, head)


@dataclass
class _Seen:
    camera: Camera
    buffers: Buffers
    matrices: np.ndarray
    flat_points: np.ndarray


def _head_size(flat_points: np.ndarray, camera: Camera) -> float:
    size = float(np.hypot(*(flat_points[POINT["headTop"], :2] - flat_points[POINT["chin"], :2])))
    return size if np.isfinite(size) and size > 0 else 0.15 * camera.height


def _seen_points(seen: _Seen, points: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """(K,) bool: inside the picture, and nothing more than `tolerance` (K,) metres before it."""
    rows, columns = seen.buffers.front.shape
    safe = np.nan_to_num(points, nan=-1e6)
    x, y = np.round(safe[:, 0]).astype(int), np.round(safe[:, 1]).astype(int)
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    x, y = np.clip(x, 0, columns - 1), np.clip(y, 0, rows - 1)
    return inside & (seen.buffers.front[y, x] <= safe[:, 2] + tolerance) & seen.buffers.mask[y, x]


def _finish(model: Model, random: np.random.Generator, seen: _Seen, poser: Poser, head: bool) -> Figure:
    camera, buffers = seen.camera, seen.buffers
    points = camera.pixels(seen.flat_points)
    size = _head_size(seen.flat_points, camera)
    tolerance = np.full(len(KEYPOINTS), 0.3 * size)
    face_points = [POINT[name] for name in FACE]
    tolerance[face_points] = 0.12 * size
    visible = _seen_points(seen, points, tolerance)
    image = shade(buffers, random)
    mask = buffers.mask
    style = random.random()
    if style < 0.45:
        image, mask = outlines(image, buffers, size, random, 6 if head else 4)
    elif style < 0.52:
        image = line_drawing(image, buffers, size, random)
    painted = None
    if visible[face_points].any() and np.isfinite(points[face_points]).all() and random.random() < 0.5:
        image, painted = _paint(seen, image, points, visible, random)
    sizes = _sizes(model.character, seen, painted)
    features = dict(zip(FACE, _features(model.character), strict=True))
    for name, feature in features.items():
        drawn = feature.state in ("drawn", "closed") or (painted is not None and visible[POINT[name]])
        visible[POINT[name]] &= drawn
    mouth = _mouth_state(features["mouth"], visible[POINT["mouth"]], painted is not None, points)
    known = np.isfinite(points).all(1)
    known[face_points] &= visible[face_points]
    points = np.column_stack([(points[:, :2] + 0.5) / OVERSAMPLING, points[:, 2]])
    inside = (points[:, :2] > -4).all(1) & (points[:, 0] < WIDTH + 4) & (points[:, 1] < HEIGHT + 4)
    known &= inside
    if abs(camera.yaw) > BEHIND:
        known[:] = False
    if head:
        keep = [POINT[name] for name in ("neck", "head", "headTop", "chin", *FACE)]
        known &= np.isin(np.arange(len(KEYPOINTS)), keep)
    return Figure(image, mask, buffers, camera, points, known, visible, sizes, mouth, head,
                  (poser.arms[0], poser.arms[1]), poser.legs)  # fmt: skip


def _features(character: Character) -> tuple[Feature, Feature, Feature]:
    face = character.face
    return face.left_eye, face.right_eye, face.mouth


def _mouth_state(feature: Feature, visible: bool, painted: bool, points: np.ndarray) -> int:
    if visible:
        return MOUTH_STATES.index("drawn")
    if feature.state == "none" and not painted:
        return MOUTH_STATES.index("none")
    if not np.isfinite(points[POINT["mouth"]]).all():
        return -1
    return MOUTH_STATES.index("hidden")


def _face_axes(model_head: np.ndarray, camera: Camera, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """What `unit` metres along the head's X and Y are in oversampled pixels."""
    axes = camera.turn @ model_head
    scale = unit * camera.scale * OVERSAMPLING
    return np.array([axes[0, 0], -axes[1, 0]]) * scale, np.array([axes[0, 1], -axes[1, 1]]) * scale


def _paint(seen: _Seen, image: np.ndarray, points: np.ndarray, visible: np.ndarray, random: np.random.Generator):
    """Another face over the head; `image` with it and its sizes, or None where the face is too small."""
    left, right, mouth = (POINT[name] for name in FACE)
    apart = points[left, :2] - points[right, :2]
    drop = points[mouth, :2] - (points[left, :2] + points[right, :2]) / 2
    unit = float(np.hypot(*apart))
    # The face's plane: across from eye to eye, down from the eyes to the mouth.
    down = drop / max(np.hypot(*drop), 1e-6) * max(unit, 0.6 * float(np.hypot(*drop)))
    if unit < 4 or np.hypot(*drop) < 2:
        return image, None
    between = points[mouth, :2] - 0.35 * drop
    rows, columns = image.shape[:2]
    x, y = int(np.clip(between[0], 1, columns - 2)), int(np.clip(between[1], 1, rows - 2))
    colour = image[y - 1 : y + 2, x - 1 : x + 2].mean((0, 1))
    place = [points[k, :2] if visible[k] else None for k in (left, right, mouth)]
    canvas = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    painted = FacePainter(canvas, FacePlane(*place, x=apart, y=-down, skin=colour), random).paint()
    drawn = np.asarray(canvas).astype(np.float32)
    return np.where(seen.buffers.mask[..., None], drawn, image), painted


def _sizes(character: Character, seen: _Seen, painted) -> np.ndarray:
    """(3, 2) half width and height of the eyes and the mouth in input pixels."""
    out = np.full((3, 2), np.nan)
    head = character.joint("head")
    for k, (name, feature) in enumerate(zip(FACE, _features(character), strict=True)):
        if painted is not None:
            if name in painted.sizes:
                out[k] = np.array(painted.sizes[name]) / OVERSAMPLING
        elif head is not None and np.isfinite([feature.half_width, feature.half_height]).all():
            x, y = _face_axes(seen.matrices[head][:3, :3], seen.camera, 1.0)
            out[k] = feature.half_width * np.hypot(*x) / OVERSAMPLING, feature.half_height * np.hypot(*y) / OVERSAMPLING
    return out


def joint_depths(figure: Figure) -> np.ndarray:
    """(len(JOINTS),) towards the viewer, from the hips (head crop: from the head), in input heights; NaN where the
    character lacks the joint or the reference.
    """
    origin = figure.points[POINT["head" if figure.head else "hips"], 2]
    return (figure.points[: len(JOINTS), 2] - origin) * figure.camera.scale / HEIGHT
