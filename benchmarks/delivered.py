# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigged characters turned into what mesh generators deliver, with the truth kept: posed, remeshed to one skin, fused,
torn, flipped, turned, lying, scaled, without texture, with an inner shell or debris. Seeded by the case's number.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.measure import marching_cubes

from backend.mesh.closest import Surface
from backend.mesh.files import MeshArrays
from backend.mesh.voxels import solid_voxels
from training.cast import HELD_OUT, is_held_out
from training.characters.animals import ANIMALS
from training.characters.character import Character
from training.characters.glb import load_glb, load_index
from training.characters.things import KINDS, make_thing
from training.landmarks import find_landmarks
from training.poses import aim, direction, turn

POSES, POSE_SHARES = ("down", "A", "T", "hips", "action"), (0.3, 0.2, 0.15, 0.15, 0.2)
SIDES = (("left", 1), ("right", -1))
EXTRA = ("torn", "flipped", "turned", "lying", "scaled", "untextured", "vertex colours", "inner shell", "debris")
THING_EVERY = 5  # one case in so many is no humanoid
NOT_HUMAN = ("quat_fruit", "quat_mech", "quat_monster_birb", "quat_monster_fish")
ROWS, FUSED_ROWS = 170, 120  # cells over the height of a remeshed skin
MARKERS = ("hips", "neck", "head") + tuple(
    side + part for side, _ in SIDES for part in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
)


@dataclass
class Case:
    """joints: name -> (3,) in the axes of `mesh`; face: leftEye, rightEye, mouth where drawn; head: chin to crown, in
    the mesh's units; frame (3, 3): rotation of the delivered axes from upright ones that face +Z. posed: (N, 3) the
    character's own vertices where `mesh` has its skin; spread: the same vertices in T-pose, upright, facing +Z, and
    their triangles.
    """

    name: str
    faults: list[str]
    mesh: MeshArrays
    texture: np.ndarray | None
    humanoid: bool = True
    held_out: bool = False
    pose: str = ""
    joints: dict[str, np.ndarray] = field(default_factory=dict)
    face: dict[str, np.ndarray] = field(default_factory=dict)
    head: float = 0.0
    frame: np.ndarray = field(default_factory=lambda: np.eye(3))
    posed: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    spread: tuple[np.ndarray, np.ndarray] | None = None


@dataclass
class Textured:
    """A mesh with colours at hand: vertices, triangles, corner_uvs (origin bottom left) on one texture."""

    vertices: np.ndarray
    triangles: np.ndarray
    corner_uvs: np.ndarray
    texture: np.ndarray


def cases(folder: Path, count: int, seed: int = 0, only: list[int] | None = None):
    """Yields `count` cases, None for those not in `only`. The order of the characters brings those that the reader has
    not been trained on to every fourth humanoid.
    """
    entries = [entry for entry in load_index(folder) if not entry["name"].startswith(NOT_HUMAN)]
    random = np.random.default_rng(seed)
    known, unknown = ([e for e in entries if unseen(e["name"]) == flag] for flag in (False, True))
    known, unknown = ([group[k] for k in random.permutation(len(group))] for group in (known, unknown))
    things = [*ANIMALS, *KINDS]
    for number in range(count):
        random = np.random.default_rng([seed, number])
        if only is not None and number not in only:
            yield None
            continue
        if number % THING_EVERY == THING_EVERY - 1:
            yield thing_case(things[int(random.integers(len(things)))], random)
            continue
        humanoid = number - number // THING_EVERY
        group = unknown if humanoid % 4 == 3 else known
        yield human_case(folder, group[(humanoid // 4 if humanoid % 4 == 3 else humanoid) % len(group)], random)


def unseen(name: str) -> bool:
    """As `training.cast.is_held_out` has it, by the name alone."""
    return hashlib.sha256(name.encode()).digest()[0] % HELD_OUT == 0


def thing_case(kind: str, random: np.random.Generator) -> Case:
    thing = make_thing(kind, int(random.integers(1 << 30)))
    parts = textured(thing, np.asarray(thing.vertices, float))
    faults = []
    if random.random() < 0.5:
        parts = remeshed(parts, ROWS, False)
        faults.append("one skin")
    frame = turn([0, 1, 0], 90 * int(random.integers(4)))
    mesh = MeshArrays(parts.vertices @ frame.T, parts.triangles, parts.corner_uvs)
    return Case(kind, faults, mesh, parts.texture, humanoid=False, frame=frame)


def human_case(folder: Path, entry: dict, random: np.random.Generator) -> Case:
    character = load_glb(folder, entry)
    marks = find_landmarks(character)
    kind = str(random.choice(POSES, p=POSE_SHARES))
    matrices = pose(character, kind, random)
    vertices = skinned(character, matrices)
    points = marks.posed(matrices)
    parts, faults = textured(character, vertices), []
    if random.random() < 0.65:
        fused = random.random() < (0.7 if kind in ("down", "hips") else 0.3)
        faults.append("fused skin" if fused else "one skin")
        parts = remeshed(parts, FUSED_ROWS if fused else ROWS, fused)
    extra = random.choice(EXTRA, size=int(random.choice([0, 1, 2], p=[0.3, 0.45, 0.25])), replace=False).tolist()
    case = Case(character.name, faults + extra, MeshArrays(parts.vertices, parts.triangles, parts.corner_uvs),
                parts.texture, held_out=is_held_out(character), pose=kind)  # fmt: skip
    _truth(case, character, points)
    case.posed = vertices
    case.spread = (skinned(character, pose(character, "straight", random)), np.asarray(character.triangles, int))
    for fault in extra:
        spoil(case, fault, random)
    return case


def _truth(case: Case, character: Character, points: np.ndarray) -> None:
    from backend.reader.layout import KEYPOINTS

    at = {name: points[k] for k, name in enumerate(KEYPOINTS)}
    case.joints = {name: at[name] for name in MARKERS if np.isfinite(at[name]).all()}
    case.head = float(np.linalg.norm(at["headTop"] - at["chin"]))
    if "untextured" in case.faults:
        return
    face = {"leftEye": character.face.left_eye, "rightEye": character.face.right_eye, "mouth": character.face.mouth}
    case.face = {k: at[k] for k, part in face.items() if part.state == "drawn" and np.isfinite(at[k]).all()}


def pose(character: Character, kind: str, random: np.random.Generator) -> np.ndarray:
    """(J, 4, 4) matrices of the bind pose to one of POSES, or "straight": arms along X, legs down."""
    places = np.asarray(character.joints, float)
    linear = np.tile(np.eye(3), (len(places), 1, 1))

    def place(name: str) -> np.ndarray:
        joint = character.joint(name)
        return places[joint] if joint is not None else np.full(3, np.nan)

    def limb(first: str, second: str, end: str, upper: np.ndarray, lower: np.ndarray) -> None:
        a, b, c = (place(name) for name in (first, second, end))
        if not np.isfinite([a, b]).all():
            return
        onward = c - b if np.isfinite(c).all() and np.linalg.norm(c - b) > 1e-5 else b - a
        linear[character.joint(first)] = one = aim(b - a, upper)
        linear[character.joint(second)] = aim(onward, one.T @ lower)

    for side, sign in SIDES:
        names = [side + part for part in ("UpperArm", "LowerArm", "Hand")]
        upper, lower = _arm(kind, sign, [place(n) for n in names], place(side + "UpperLeg"), random)
        limb(*names, upper, lower)
        names = [side + part for part in ("UpperLeg", "LowerLeg", "Foot")]
        upper, lower = _leg(kind, sign, random)
        limb(*names, upper, lower)
        foot = character.joint(names[2])
        if foot is not None and character.joint(names[0]) is not None and character.joint(names[1]) is not None:
            linear[foot] = (linear[character.joint(names[0])] @ linear[character.joint(names[1])]).T
    out = np.tile(np.eye(4), (len(places), 1, 1))
    for j, parent in enumerate(character.parents):
        out[j, :3, :3], out[j, :3, 3] = linear[j], places[j] - linear[j] @ places[j]
        if parent >= 0:
            out[j] = out[parent] @ out[j]
    return out


def _arm(kind, sign, places, hip, random) -> tuple[np.ndarray, np.ndarray]:
    u = random.uniform
    if kind in ("straight", "T"):
        way = direction(sign, 0 if kind == "straight" else u(-4, 12), 0)
        return way, way
    if kind == "A":
        way = direction(sign, u(30, 55), u(-5, 8))
        return way, way + [0, 0, u(0, 0.2)]
    if kind == "down":
        way = direction(sign, u(72, 86), u(-6, 6))
        return way, way + [sign * u(-0.12, 0.05), 0, u(0, 0.25)]
    if kind == "hips":
        way = direction(sign, u(42, 60), u(-20, -5))
        elbow = places[0] + way * np.linalg.norm(places[1] - places[0])
        goal = hip + [sign * u(0.4, 0.9) * abs(hip[0]), 0.25 * (places[0][1] - hip[1]), 0.1 * abs(hip[0])]
        return way, goal - elbow
    way = direction(sign, u(-40, 70), u(-15, 35))
    return way, way + [sign * u(-0.5, 0.3), u(-0.4, 0.6), u(0, 0.7)]


def _leg(kind, sign, random) -> tuple[np.ndarray, np.ndarray]:
    down = np.array([0.0, -1.0, 0.0])
    if kind == "straight":
        return down, down
    u = random.uniform
    if kind != "action":
        return down + [sign * u(0, 0.12), 0, 0], down + [sign * u(0, 0.1), 0, 0]
    swing = sign * u(-0.45, 0.45)
    return down + [sign * u(0, 0.25), 0, swing], down + [sign * u(0, 0.2), 0, min(swing, 0) - u(0, 0.35)]


def skinned(character: Character, matrices: np.ndarray) -> np.ndarray:
    v = np.column_stack([character.vertices.astype(float), np.ones(len(character.vertices))])
    blend = np.einsum("vk,vkij->vij", character.joint_weights, matrices[character.joint_indices][:, :, :3])
    return np.einsum("vij,vj->vi", blend, v)


def textured(character: Character, vertices: np.ndarray) -> Textured:
    """All textures on one, one above the other."""
    width = max(texture.shape[1] for texture in character.textures)
    heights = [max(texture.shape[0], 4) for texture in character.textures]
    atlas = np.zeros((sum(heights), width, 3), np.uint8)
    uvs = np.asarray(character.corner_uvs, float).copy()
    uvs -= np.floor(uvs.mean(1, keepdims=True))
    uvs = np.clip(uvs, 0, 1)
    top = 0
    for k, (texture, height) in enumerate(zip(character.textures, heights, strict=True)):
        own = np.broadcast_to(texture, (height, *texture.shape[1:])) if texture.shape[0] == 1 else texture
        atlas[top : top + height, : own.shape[1]] = own[:, :, :3]
        some = character.materials == k
        if own.shape[1] == 1:
            atlas[top : top + height] = own[0, 0, :3]
        uvs[some, :, 0] *= own.shape[1] / width
        uvs[some, :, 1] = 1 - (top + uvs[some, :, 1] * height) / len(atlas)
        top += height
    return Textured(vertices, np.asarray(character.triangles, int), uvs, atlas)


def sampled(parts: Textured, triangle: np.ndarray, bary: np.ndarray) -> np.ndarray:
    """(n, 3) colours at points of triangles."""
    uv = np.einsum("nk,nkc->nc", bary, parts.corner_uvs[triangle])
    h, w = parts.texture.shape[:2]
    row = np.clip(((1 - uv[:, 1]) * h).astype(int), 0, h - 1)
    return parts.texture[row, np.clip((uv[:, 0] * w).astype(int), 0, w - 1)]


def gouraud(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3, 3) corner colours to corner UVs and a texture: each triangle has 2 x 2 texels, between which bilinear
    sampling gives exactly the linear blend.
    """
    side = int(np.ceil(np.sqrt(len(colours))))
    texture = np.zeros((2 * side, 2 * side, 3), np.uint8)
    row, column = np.divmod(np.arange(len(colours)), side)
    a, b, c = colours[:, 0].astype(int), colours[:, 1].astype(int), colours[:, 2].astype(int)
    for (dy, dx), value in {(0, 0): a, (0, 1): b, (1, 0): c, (1, 1): b + c - a}.items():
        texture[2 * row + dy, 2 * column + dx] = np.clip(value, 0, 255)
    x = np.stack([2 * column + 0.5, 2 * column + 1.5, 2 * column + 0.5], 1) / (2 * side)
    y = 1 - np.stack([2 * row + 0.5, 2 * row + 0.5, 2 * row + 1.5], 1) / (2 * side)
    return np.stack([x, y], -1), texture


def remeshed(parts: Textured, rows: int, fused: bool) -> Textured:
    """One closed skin; fused: what nearly touches has grown together."""
    grid = solid_voxels(parts.vertices, parts.triangles, rows)
    solid = grid.solid
    if fused:
        solid = ndimage.binary_closing(solid, ndimage.generate_binary_structure(3, 1), iterations=2) | solid
    vertices, triangles, _, _ = marching_cubes(ndimage.gaussian_filter(solid.astype(np.float32), 0.8), 0.5)
    at = grid.centres(vertices)
    near = Surface(parts.vertices, parts.triangles).nearest(at)
    triangles = triangles[:, ::-1].astype(int)
    return Textured(at, triangles, *gouraud(sampled(parts, near.triangle, near.bary)[triangles]))


def spoil(case: Case, fault: str, random: np.random.Generator) -> None:
    mesh = case.mesh
    size = float(np.ptp(mesh.vertices, axis=0).max())
    if fault == "torn":
        centre = mesh.vertices[mesh.triangles].mean(1)
        holes = centre[random.integers(len(centre), size=12)]
        reach = size * random.uniform(0.004, 0.014, 12)
        kept = (np.linalg.norm(centre[:, None] - holes, axis=2) > reach).all(1)
        corners = mesh.triangles[kept]
        case.mesh = MeshArrays(mesh.vertices[corners].reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3),
                               mesh.corner_uvs[kept])  # fmt: skip
    elif fault == "flipped":
        some = np.ones(len(mesh.triangles), bool) if random.random() < 0.5 else random.random(len(mesh.triangles)) < 0.3
        mesh.triangles[some], mesh.corner_uvs[some] = mesh.triangles[some][:, ::-1], mesh.corner_uvs[some][:, ::-1]
    elif fault in ("turned", "lying"):
        way = turn([0, 1, 0], float(random.choice([90, 180, 270, 180, 15, -20])))
        frame = turn([1, 0, 0], float(random.choice([-90, 90]))) if fault == "lying" else way
        case.frame = frame @ case.frame
        _move(case, lambda p: p @ frame.T)
    elif fault == "scaled":
        factor, shift = float(random.choice([0.6, 100.0, 0.01])), random.uniform(-1, 1, 3) * size
        case.head *= factor
        _move(case, lambda p: factor * (p + shift))
    elif fault == "untextured":
        case.texture = None
    elif fault == "inner shell":
        _inner_shell(case)
    elif fault == "debris":
        _debris(case, size, random)


def _move(case: Case, how) -> None:
    case.mesh.vertices, case.posed = how(case.mesh.vertices), how(case.posed)
    case.joints = {name: how(point) for name, point in case.joints.items()}
    case.face = {name: how(point) for name, point in case.face.items()}


def _add(case: Case, vertices: np.ndarray, triangles: np.ndarray) -> None:
    mesh = case.mesh
    uvs = np.broadcast_to(mesh.corner_uvs[:1], (len(triangles), 3, 2))
    case.mesh = MeshArrays(np.concatenate([mesh.vertices, vertices]),
                           np.concatenate([mesh.triangles, triangles + len(mesh.vertices)]),
                           np.concatenate([mesh.corner_uvs, uvs]))  # fmt: skip


def _inner_shell(case: Case) -> None:
    grid = solid_voxels(case.mesh.vertices, case.mesh.triangles, 130)
    inner = ndimage.gaussian_filter(ndimage.binary_erosion(grid.solid, iterations=2).astype(np.float32), 0.7)
    vertices, triangles, _, _ = marching_cubes(inner, 0.5)
    _add(case, grid.centres(vertices), triangles.astype(int))


def _debris(case: Case, size: float, random: np.random.Generator) -> None:
    low, high = case.mesh.vertices.min(0), case.mesh.vertices.max(0)
    corners = np.array(np.meshgrid(*[[0, 1]] * 3)).reshape(3, -1).T - 0.5
    faces = [[0, 1, 3], [0, 3, 2], [4, 7, 5], [4, 6, 7], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6]]
    for _ in range(15):
        at = low + random.random(3) * (high - low) * [1.1, 1.0, 1.1]
        _add(case, at + corners * size * random.uniform(0.003, 0.012), np.array(faces))
