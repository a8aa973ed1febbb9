# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of the body a triangle shows: from the joint that moves it most, its mesh's and its material's name."""

from __future__ import annotations

import re

import numpy as np

from .character import PART, Character

# Longest names first: "leftLowerArm" also ends like "Arm".
OF_BONE = {
    "head": "face",
    "leftEye": "face",
    "rightEye": "face",
    "jaw": "face",
    "neck": "neck",
    "hips": "torso",
    "spine": "torso",
    "chest": "torso",
    "upperChest": "torso",
    **{side + "Shoulder": "torso" for side in ("left", "right")},
    **{side + "UpperArm": side + "UpperArm" for side in ("left", "right")},
    **{side + "LowerArm": side + "Forearm" for side in ("left", "right")},
    **{side + "Hand": side + "Hand" for side in ("left", "right")},
    **{side + "UpperLeg": side + "Thigh" for side in ("left", "right")},
    **{side + "LowerLeg": side + "Shin" for side in ("left", "right")},
    **{side + bone: side + "Foot" for side in ("left", "right") for bone in ("Foot", "Toes")},
}
PROP = re.compile(r"axe|sword|shield|knife|pistol|weapon|blade|backpack|staff|gun|bow", re.IGNORECASE)
CLOTH = re.compile(r"skirt|cape|cloak|robe", re.IGNORECASE)
HAIR = re.compile(r"hair|ponytail|twintail", re.IGNORECASE)
HEADGEAR = re.compile(r"hat|helmet|horn|catears|cap$|hood$|ribbon|crown|^ears$", re.IGNORECASE)
NO_HAIR = ("monster", "robot", "mech")


def joint_parts(character: Character) -> np.ndarray:
    """(J,) uint8: the part that a joint moves; a joint that is no VRM bone goes with its parent, torso at the root."""
    parts = np.zeros(len(character.joints), np.uint8)
    for k, (name, parent) in enumerate(zip(character.joint_names, character.parents, strict=True)):
        parts[k] = PART[OF_BONE[name]] if name in OF_BONE else (parts[parent] if parent >= 0 else PART["torso"])
    return parts


def skin_parts(character: Character) -> np.ndarray:
    """(T,) uint8: the part of the joint whose weight is largest over the triangle's three corners."""
    of_joint = joint_parts(character)
    corners = character.joint_weights[character.triangles].reshape(len(character.triangles), 12)
    labels = of_joint[character.joint_indices[character.triangles].reshape(-1, 12)]
    weight = np.zeros((len(corners), len(PART)), np.float32)
    np.add.at(weight, (np.arange(len(corners))[:, None], labels), corners)
    return weight.argmax(1).astype(np.uint8)


def label_parts(character: Character, mesh_names: list[str], meshes: np.ndarray) -> np.ndarray:
    """(T,) uint8 labels. meshes: (T,) index into mesh_names per triangle."""
    parts = skin_parts(character)
    head = parts == PART["face"]
    for k, mesh in enumerate(mesh_names):
        at = meshes == k
        for j, material in enumerate(character.material_names):
            here = at & (character.materials == j)
            if not here.any():
                continue
            name = f"{mesh}|{material}"
            if PROP.search(mesh) or PROP.search(material):
                parts[here] = PART["prop"]
            elif CLOTH.search(mesh) or CLOTH.search(material):
                parts[here & ~head] = PART["cloth"]
            elif HAIR.search(mesh) or HAIR.search(material):
                parts[here & head] = PART["hair"]
            elif any(HEADGEAR.search(part) for part in name.split("|")):
                parts[here & head] = PART["headgear"]
    style = str(character.meta.get("style", ""))
    if not (parts == PART["hair"]).any() and not any(word in style for word in NO_HAIR):
        parts[_painted_hair(character, parts)] = PART["hair"]
    return parts


def triangle_colours(character: Character) -> np.ndarray:
    """(T, 3) float: the texture's colour at the middle of each triangle."""
    middle = character.corner_uvs.mean(1)
    colours = np.zeros((len(middle), 3))
    for k, texture in enumerate(character.textures):
        at = character.materials == k
        height, width = texture.shape[:2]
        u, v = (middle[at] % 1.0).T
        rows = np.minimum((v * height).astype(int), height - 1)
        colours[at] = texture[rows, np.minimum((u * width).astype(int), width - 1), :3]
    return colours


def areas(character: Character) -> np.ndarray:
    """(T,) square metres."""
    a, b, c = (character.vertices[character.triangles[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def commonest(colours: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The colour (in steps of 16) that covers most."""
    steps, at = np.unique(colours.astype(int) // 16, axis=0, return_inverse=True)
    return steps[np.bincount(at.reshape(-1), weights).argmax()] * 16.0 + 8


def _painted_hair(character: Character, parts: np.ndarray) -> np.ndarray:
    """(T,) bool: parts of the head above or behind the eyes that have not the skin's colour."""
    head = parts == PART["face"]
    eyes = [e.centre for e in (character.face.left_eye, character.face.right_eye) if np.isfinite(e.centre).all()]
    none = np.zeros(len(parts), bool)
    if len(eyes) < 2 or not head.any():
        return none
    middles = character.vertices[character.triangles].mean(1)
    spread = float(np.linalg.norm(eyes[0] - eyes[1]))
    level, front = np.mean(eyes, 0)[1:]
    below = (np.abs(middles[:, 0]) < spread) & (middles[:, 1] < level) & (middles[:, 1] > level - spread)
    cheek = head & below & (middles[:, 2] > front - 0.5 * spread)
    if not cheek.any():
        return none
    colours = triangle_colours(character)
    skin = commonest(colours[cheek], areas(character)[cheek])
    other = np.linalg.norm(colours - skin, axis=1) > 60
    place = (middles[:, 1] > level + 0.45 * spread) | (middles[:, 2] < front - 0.6 * spread)
    return head & other & place
