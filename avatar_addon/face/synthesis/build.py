# SPDX-License-Identifier: GPL-3.0-or-later
"""A face that talks, on a mesh that has only the picture of one: mouth with a cavity, visemes, eyelids,
emotions, gaze.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...errors import AvatarError
from ...landmarks import FaceLandmarks, Landmark
from ...mesh.arrays import SkinnedMesh
from ...vrm.spec.presets import BLINKS, VISEMES
from .cards import SHOWN, SLOT, Cards, add_cards, is_drawn_flat
from .lids import Lid, add_lids, move_lids
from .measures import Face, measure_face
from .mouth import Mouth, bare_large_triangles, cut_mouth, follow_lips
from .perfect_sync import FaceParts, make_perfect_sync, missing
from .refine import Skin, refine
from .shapes import EMOTION_SHAPES, LID_WIDTH, WIDENED_FROM, WIDENED_TO, Eyes, make_shapes
from .style import Reshape, Style, Viseme
from .surface import DepthMap, front_layer, front_map, smoothstep

# Slots of the mouth, named as no material of the user's own is.
PARTS = {"Mouth": "avatar_forge.mouth", "Tongue": "avatar_forge.tongue", "Teeth": "avatar_forge.teeth"}
NO_LIDS = (
    "The eyes were not found reliably, so the avatar has no eyelids and no blinks; move the eye markers onto"
    " the eyes and make the face again."
)
NO_MOUTH = (
    "The mouth could not be cut at the marker, so there are no visemes; move the marker onto the front of the face."
)
NO_MOUTH_BUT_CARDS = (
    "The mouth could not be cut at the marker, so there are no visemes; move the marker onto the front of the face, or"
    " choose Drawn Cards under Mouth and make the face again."
)
CARDS_INSTEAD = (
    "The mouth could not be cut at the marker, so mouths are drawn on cards; for one that opens, move the marker onto"
    " the front of the face and make the face again."
)
EDGES_IN_MOUTH = 13
BARE = 0.1  # mouth widths around the mouth where the skin has no outline
TURNED = 0.5  # cosine from which on a triangle counts as turned over: its outline is then before the skin, a sliver
EDGES_IN_EYE = 4  # in half the eye's height
AS_USUAL = Style()
HEAD_WEIGHT = (0.5, 0.9)  # from nothing moves to everything does: skin that follows another bone more is no face's


@dataclass
class BuiltFace:
    """mesh: with shape keys; landmarks: on the surface; warnings: [{code, message}]. bare: (T,) triangles of the skin
    that must have no outline: the lids, which wait behind the skin, the lips, behind which the mouth is, and what a
    shape turns over.

    reshape: makes a viseme again; None without a mouth. cards: what is drawn on mouth cards (cards.py), None without.
    """

    mesh: SkinnedMesh
    landmarks: FaceLandmarks
    bare: np.ndarray
    warnings: list[dict[str, str]] = field(default_factory=list)
    reshape: Reshape | Cards | None = None
    cards: np.ndarray | None = None


def build_face(
    data: SkinnedMesh,
    landmarks: FaceLandmarks,
    head_group: str,
    *,
    texture: np.ndarray | None = None,
    style: Style = AS_USUAL,
    closing: bool = True,
    perfect_sync: bool = False,
) -> BuiltFace:
    """Mouth and shape keys at the landmarks (Blender's axes).

    head_group: the vertex group that follows the head; nothing else moves. texture: (H, W, 3 or 4), top row first;
    the eyelids are coloured better with it. closing: whether the eyes are known well enough for lids; without, there
    are none, and no blinks. perfect_sync: with ARKit's 52 shapes as well. Raises AvatarError where there is no face
    to work on.
    """
    face = measure_face(landmarks)
    points = face.to_face(data.vertices)
    seen = front_map(points, data.triangles, face)
    places = np.array([[0.0, 0.0], *([eye.u, eye.v] for eye in face.eyes)])
    if not seen.is_seen(places).all():
        raise AvatarError("A face marker is not in front of the character; move it onto the face.", "face_markers")
    sizes = [layer.shape[2] for layer in data.corner_layers.values()]
    skin = Skin(
        points,
        data.triangles,
        np.concatenate([data.corner_uvs, *data.corner_layers.values()], axis=2),
        data.material_index,
        _rigged(data, head_group),
        front_layer(points, data.triangles, seen, face),
        np.array([0.0, 0.0, *(blank for layer in sizes for blank in [float(layer == 4)] * layer)]),
    )
    head = data.groups.index(head_group)
    _refine_eyes(skin, face)
    as_cards = is_drawn_flat(skin, face, texture) if style.cards is None else style.cards
    materials = _with_mouth(data.materials, style.interior, as_cards)
    mouth = cards = drawn = None
    warnings: list[dict[str, str]] = []
    at_mouth = skin.front & (np.hypot(skin.points[:, 0], skin.points[:, 1]) < 0.5 * face.width)
    on_head = at_mouth.any() and _head_share(skin.weights[at_mouth, head]).mean() > 0.5
    if on_head and not as_cards:
        bare_large_triangles(skin, face, seen, face.width / EDGES_IN_MOUTH)
        refine(
            skin, np.array([-0.75, -0.7]) * face.width, np.array([0.75, 0.5]) * face.width, face.width / EDGES_IN_MOUTH
        )
        mouth = cut_mouth(
            skin, face, seen, head, {part: materials.index(name) for part, name in PARTS.items() if name in materials}
        )
    if on_head and mouth is None and not as_cards and style.cards_if_uncut and texture is not None:
        as_cards, materials = True, _with_mouth(data.materials, style.interior, True)
        warnings.append({"code": "cards_instead", "message": CARDS_INSTEAD})
    elif mouth is None and not (on_head and as_cards):
        message = NO_MOUTH if texture is None or not on_head else NO_MOUTH_BUT_CARDS
        warnings.append({"code": "no_mouth", "message": message})
    lids = add_lids(skin, face, seen, head, texture) if closing else []
    if on_head and as_cards:
        cards, drawn = add_cards(skin, face, seen, head, materials.index(SLOT), texture)
    lower = skin.points[:, 1] < 0
    if mouth:
        lower[mouth.lower] = True
    moving = _moving(skin, head, cards)
    shapes = make_shapes(skin.points, lower, moving, seen, face, mouth.slit if mouth else None)
    reshape: Reshape | Cards | None = None
    if mouth:
        for shape in shapes.values():
            follow_lips(skin, mouth, face, seen, shape)
        reshape = Reshape(skin, mouth, face, seen, lower, moving)
        shapes |= {name: reshape(lips) for name, lips in style.changed().items()}
    if cards:
        shapes = {name: cards.shape(name, style.visemes.get(name, Viseme())) for name in VISEMES} | shapes
        for name, card in SHOWN.items():
            shapes[name] += cards.shape(card, Viseme())
        reshape = cards
    if closing:
        emotions = {name: eyes for name, (_, eyes) in EMOTION_SHAPES.items()}
        for eye in face.eyes:
            move_lids(skin, lids, face, seen, shapes, eye, {"blink" + eye.side: Eyes(1.0)} | emotions)
    else:
        shapes = {name: shape for name, shape in shapes.items() if name not in BLINKS}
        warnings.append({"code": "no_lids", "message": NO_LIDS})
    if perfect_sync:
        shapes |= make_perfect_sync(FaceParts(skin, lower, moving, seen, face, mouth, lids, cards))
        if lacking := missing(shapes):
            message = f"The face cannot show these shapes of perfect sync: {', '.join(lacking)}."
            warnings.append({"code": "perfect_sync", "message": message})
    mesh = SkinnedMesh(
        vertices=np.concatenate([data.vertices, face.to_blender(skin.points[len(data.vertices) :])]),
        triangles=skin.triangles,
        corner_uvs=skin.corner_uvs[:, :, :2],
        corner_layers=dict(
            zip(data.corner_layers, np.split(skin.corner_uvs[:, :, 2:], np.cumsum(sizes)[:-1], axis=2), strict=True)
        )
        if sizes
        else {},
        material_index=skin.material,
        materials=materials if mouth or cards else list(data.materials),
        groups=list(data.groups),
        weights=_limited(skin.weights, len(data.vertices)),
        shape_keys={name: (shape @ face.turn).astype(np.float32) for name, shape in shapes.items()},
    )
    bare = _bare(skin, len(data.materials), face, lids, mouth)
    # Of materials that have bare triangles anyway: each that has some is drawn in one more step.
    bare |= _turned_over(skin, shapes) & np.isin(skin.material, skin.material[bare])
    return BuiltFace(mesh, _on_surface(landmarks, face, seen), bare, warnings, reshape, drawn)


def _moving(skin: Skin, head: int, cards: Cards | None) -> np.ndarray:
    """(V,) from 0 to 1: the face's front; what waits behind the lips goes with them."""
    moving = np.asarray(skin.front * _head_share(skin.weights[:, head]))
    if cards:
        moving[np.concatenate(list(cards.vertices.values()))] = 1.0
    return moving


def _bare(skin: Skin, materials: int, face: Face, lids: list[Lid], mouth: Mouth | None) -> np.ndarray:
    """(T,) the lids and the skin at the lips. materials: how many the mesh had before."""
    some = np.zeros(len(skin.points), bool)
    for lid in lids:
        some[lid.vertices] = some[lid.back] = True
    bare = some[skin.triangles].all(1)
    if mouth:
        at, slit = skin.points[:, :2], mouth.slit
        near = (np.abs(at[:, 0] - slit.middle) < slit.half + BARE * face.width) & (np.abs(at[:, 1]) < BARE * face.width)
        bare |= (near & skin.front)[skin.triangles].any(1)
    return np.asarray(bare & (skin.material < materials))


def _turned_over(skin: Skin, shapes: dict[str, np.ndarray]) -> np.ndarray:
    """(T,) skin that a shape turns by far, such as the slivers that dividing leaves."""
    turned = np.zeros(len(skin.triangles), bool)
    rest = _normals(skin.points[skin.triangles])
    for shape in shapes.values():
        some = np.flatnonzero((shape != 0).any(1)[skin.triangles].any(1) & ~turned)
        corners = (skin.points + shape)[skin.triangles[some]]
        turned[some] = (rest[some] * _normals(corners)).sum(1) < TURNED
    return turned


def _normals(corners: np.ndarray) -> np.ndarray:
    """(T, 3) of triangles (T, 3, 3), of length 1; 0 where a triangle has no area."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


def _refine_eyes(skin: Skin, face: Face) -> None:
    """Edges fine enough for an iris to move within the eye."""
    for eye in face.eyes:
        centre, size = np.array([eye.u, eye.v]), np.array([eye.half_width, eye.half_height])
        low, high = centre + size * [-LID_WIDTH, WIDENED_FROM], centre + size * [LID_WIDTH, WIDENED_TO]
        refine(skin, low, high, max(eye.half_height / EDGES_IN_EYE, eye.half_width / 12))


def _with_mouth(materials: list[str], interior: bool, cards: bool) -> list[str]:
    names = [SLOT] if cards else [*PARTS.values()] if interior else [PARTS["Mouth"]]
    return [*materials, *(name for name in names if name not in materials)]


def _rigged(data: SkinnedMesh, head_group: str) -> np.ndarray:
    if data.weights is None or head_group not in data.groups:
        raise AvatarError("No part of the mesh follows the head bone; rig the avatar first.", "no_rig")
    return data.weights


def _limited(weights: np.ndarray, first: int) -> np.ndarray:
    """The weights with at most four bones for each vertex from `first` on: a vertex between two others has the bones
    of both.
    """
    if weights.shape[1] > 4:
        new = weights[first:]
        least = np.partition(new, -4, axis=1)[:, -4:].min(1, keepdims=True)
        new = np.where(new >= least, new, 0)
        weights[first:] = new / new.sum(1, keepdims=True)
    return weights


def _head_share(weight: np.ndarray) -> np.ndarray:
    """(V,) 0 to 1, smoothly to 0 where the head's skin ends."""
    low, high = HEAD_WEIGHT
    return smoothstep((weight.astype(np.float64) - low) / (high - low))


def _on_surface(landmarks: FaceLandmarks, face: Face, seen: DepthMap) -> FaceLandmarks:
    """Eyes and mouth as they were used: sizes within their limits, centres on the surface."""
    places = np.array([[0.0, 0.0], *([eye.u, eye.v] for eye in face.eyes)])
    centres = face.to_blender(np.column_stack([places, seen.at(places)])).tolist()
    parts = {"mouth": Landmark(tuple(centres[0]), face.width / 2)}
    for eye, centre in zip(face.eyes, centres[1:], strict=True):
        parts[eye.side.lower() + "Eye"] = Landmark(tuple(centre), eye.half_width, eye.half_height)
    return FaceLandmarks(parts, dict(landmarks.confidence))
