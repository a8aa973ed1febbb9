# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be in an avatar's file and how it must stand. Sources: glTF 2.0; VRMC_vrm-1.0 (humanoid, meta); VRM 0.0."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator

import numpy as np

from ..mesh.outside import inward_share
from ..vrm.spec.human_bones import REQUIRED, assigned_parent
from .limits import FAIL, LIMITS, PASS, WARN, Check, line, worst
from .measured import LIMBS, Measured

KNOWN_REQUIRED = {
    "KHR_materials_unlit",
    "KHR_texture_transform",
    "KHR_mesh_quantization",
    "KHR_materials_emissive_strength",
}


def structure(m: Measured) -> Iterator[Check]:
    """Every check that needs no movement, in the card's order."""
    yield from _bones(m)
    if all(name in m.bones for name in REQUIRED) and len(m.rest):
        yield from _stance(m)
    yield from _skin(m)
    yield from _springs(m)
    yield from _meta(m)
    yield from _images(m)
    yield from _cost(m)


def _bones(m: Measured) -> Iterator[Check]:
    missing = [name for name in REQUIRED if name not in m.bones]
    yield line(
        "bones_required",
        "Required bones",
        not missing,
        "all 15 there" if not missing else f"missing: {', '.join(missing)}",
        "viewers reject an avatar without them, or the limb does not move",
        "humanoid",
        "Assign the missing bones in the Humanoid Bones panel.",
    )
    users = Counter(m.file.humanoid().values())
    twice = [f"{node}" for node, count in users.items() if count > 1]
    names = [n for n, node in m.file.humanoid().items() if f"{node}" in twice]
    yield line(
        "bones_unique",
        "No bone assigned twice",
        not twice,
        "yes" if not twice else f"shared: {', '.join(names)}",
        "a bone that is assigned to two body parts bends both at once",
        "humanoid",
        "Give each of these parts a bone of its own.",
    )
    wrong = []
    assigned = {name: str(node) for name, node in m.bones.items()}
    for name, node in m.bones.items():
        parent = assigned_parent(name, assigned)
        if parent and node not in m.below[m.bones[parent]] - {m.bones[parent]}:
            wrong.append(f"{name} is not a descendant of {parent}")
    yield line(
        "bones_hierarchy",
        "Bone hierarchy",
        not wrong,
        "in order" if not wrong else "; ".join(wrong[:3]),
        "a limb with the wrong parent bone stays behind when the body moves",
        "humanoid",
        "Assign bones along one chain from the hips.",
    )


def _angle(m: Measured, start: str, end: str, axis: tuple[float, float, float]) -> float:
    d = m.heads[end] - m.heads[start]
    return float(np.degrees(np.arccos(np.clip(d @ np.asarray(axis) / max(float(np.linalg.norm(d)), 1e-12), -1, 1))))


def _stance(m: Measured) -> Iterator[Check]:
    swapped = [
        limb
        for limb, bones in LIMBS.items()
        if (m.heads[bones[0]][0] - m.heads["hips"][0]) * (1 if limb.startswith("left") else -1) <= 0
        or (m.heads[bones[2]][0] - m.heads["hips"][0]) * (1 if limb.startswith("left") else -1) <= 0
    ]
    yield line(
        "sides",
        "Left and right correct",
        not swapped,
        "yes" if not swapped else f"on the wrong side: {', '.join(swapped)}",
        "every gesture is mirrored, or the avatar faces away",
        "humanoid",
        "Swap left and right in the Humanoid Bones panel, or rotate the model to face forwards.",
    )
    arms = [
        _angle(m, f"{side}{a}", f"{side}{b}", (sign, 0, 0))
        for side, sign in (("left", 1), ("right", -1))
        for a, b in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"))
    ]
    legs = [_angle(m, f"{side}UpperLeg", f"{side}Foot", (0, -1, 0)) for side in ("left", "right")]
    value = max(*arms, *legs)
    yield line(
        "t_pose",
        "T-pose",
        LIMITS["t_pose"].judge(value),
        f"{value:.1f}° off",
        "every animation starts from the wrong pose: bent arms, twisted legs",
        "pose",
        "Press Straighten into T-Pose and export again.",
    )
    yield _facing(m)
    feet = float(m.rest[:, 1].min())
    yield line(
        "feet",
        "Feet on the ground",
        LIMITS["feet"].judge(abs(feet)),
        f"{100 * feet:+.1f} cm",
        "the avatar floats or sinks into the floor",
        "pose",
        "Move the model so that its soles are at height 0, or press Straighten into T-Pose.",
    )
    height = float(np.ptp(m.rest[:, 1]))
    yield line(
        "height",
        "Height",
        worst([LIMITS["height"].judge(height), LIMITS["height_least"].judge(height)]),
        f"{height:.2f} m",
        "the avatar fills the screen or is too small to see, and its feet slide",
        "generate",
        "Scale the model to metres and apply the scale.",
    )
    hips = float(m.heads["hips"][1])
    yield line(
        "hips",
        "Hips above the ground",
        hips > 0.1 * height,
        f"{hips:.2f} m",
        "players scale animations by the height of the hips; at 0 the avatar collapses",
        "humanoid",
        "Assign a bone at the pelvis to the hips.",
    )


def _facing(m: Measured) -> Check:
    """By what the face's shapes move, and by where the toes or soles point."""
    signs = []
    moved = sum(
        (np.linalg.norm(m.expression(name), axis=1) for name in ("aa", "blink", "happy")), np.zeros(len(m.rest))
    )
    moved = np.where(np.isfinite(moved), moved, 0) * m.in_head
    inside = m.rest[m.in_head]
    if moved.max(initial=0) > 0 and len(inside):
        signs.append(float(np.average(m.rest[:, 2], weights=moved) - (inside[:, 2].min() + inside[:, 2].max()) / 2))
    for side in ("left", "right"):
        foot = m.rest[m.held_by(f"{side}Foot")]
        if len(foot) and not signs:
            signs.append(float(foot[:, 2].max() + foot[:, 2].min() - 2 * m.heads[f"{side}Foot"][2]))
    ahead = sum(signs)
    return line(
        "facing",
        "Facing the viewer",
        WARN if not signs else ahead > 0,
        "unknown" if not signs else "forward" if ahead > 0 else "backward",
        "the app shows the avatar's back",
        "generate",
        "Turn the model so that it faces -Y in Blender, apply the rotation and export again.",
    )


def _skin(m: Measured) -> Iterator[Check]:
    loose = [part.mesh for part in m.parts if part.skin is None]
    yield line(
        "skinned",
        "Skinned meshes",
        bool(m.parts) and not loose,
        f"{len(m.parts)} of {len(m.parts)} parts" if not loose else f"{len(loose)} of {len(m.parts)} parts are not",
        "parts that are not skinned stay behind when the avatar moves",
        "rig",
        "Rig the model again, or bind the loose part to a bone.",
    )
    if not m.parts:
        return
    finite = all(
        np.isfinite(part.positions).all() and np.isfinite(part.morphs).all() and np.isfinite(part.weights).all()
        for part in m.parts
    )
    yield line(
        "finite",
        "Valid numbers",
        bool(finite),
        "yes" if finite else "NaN or infinite values",
        "parts of the avatar vanish or cover the screen",
        "generate",
        "Repair the mesh (Mesh > Clean Up) and make its shape keys again.",
    )
    skinned = [part for part in m.parts if part.skin is not None]
    off = max((float(np.abs(part.weights.sum(1) - 1).max(initial=0)) for part in skinned), default=0.0)
    yield line(
        "weights",
        "Weights sum to 1",
        LIMITS["weight_sum"].judge(off),
        f"1 ± {off:.4f}",
        "the skin shrinks towards the origin where the sum is less than 1",
        "rig",
        "Normalise all vertex groups, or rig again.",
    )
    sets = max(part.influence_sets for part in m.parts) * 4
    yield line(
        "influences",
        "Influences per vertex",
        LIMITS["influences"].judge(sets),
        f"at most {sets}",
        "browsers ignore more than four influences, and the skin jumps",
        "rig",
        "Limit the vertex groups to four per vertex (Limit Total).",
    )
    corners = m.rest[m.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    flat = float((~(area > 1e-12)).mean()) if len(area) else 1.0
    yield line(
        "slivers",
        "Triangles with area",
        LIMITS["slivers"].judge(flat),
        f"{100 * flat:.1f} % without",
        "dark or flickering spots",
        "generate",
        "Use Merge by Distance and Degenerate Dissolve.",
    )
    inward = inward_share(m.rest, m.triangles, m.single_sided)
    yield line(
        "inward",
        "Surface faces outwards",
        LIMITS["inward"].judge(inward),
        f"{100 * inward:.1f} % inwards",
        "viewers do not draw the back of faces: the avatar has holes, or looks inside out",
        "generate",
        "Recalculate the normals (Mesh > Normals > Recalculate Outside), or import the model again.",
    )
    unpainted = sum(part.material is None for part in m.parts)
    yield line(
        "materials",
        "Materials",
        PASS if not unpainted else WARN,
        "every part" if not unpainted else f"{unpainted} parts have none",
        "the part is plain white",
        "vrm",
        "Assign a material to every face.",
    )


def _springs(m: Measured) -> Iterator[Check]:
    """Only where there are any. Source: VRMC_springBone-1.0 (springs: joints descend, no joint twice)."""
    springs = m.file.json.get("extensions", {}).get("VRMC_springBone", {}).get("springs", [])
    if not springs:
        return
    chains = [[joint["node"] for joint in spring.get("joints", [])] for spring in springs]
    users = Counter(node for chain in chains for node in set(chain))
    wrong = []
    for spring, chain in zip(springs, chains, strict=True):
        name = spring.get("name") or "a spring"
        if any(node not in m.below[above] - {above} for above, node in zip(chain, chain[1:], strict=False)):
            wrong.append(f"{name} is out of order")
        elif any(users[node] > 1 for node in chain):
            wrong.append(f"{name} and another share a bone")
        elif len(chain) < 2 or not all(joint.get("hitRadius", 0) > 0 for joint in spring["joints"]):
            wrong.append(f"{name} has only one bone" if len(chain) < 2 else f"{name} has no thickness")
    still = wrong and all(text.endswith(("one bone", "thickness")) for text in wrong)
    yield line(
        "springs",
        "Spring bones",
        WARN if still else not wrong,
        "; ".join(wrong[:2]) if wrong else f"{len(springs)} chains",
        "hair and skirts stay rigid, flutter, or pass through the body",
        "vrm",
        "Remove the chain in the Look panel and add it again.",
    )


def _meta(m: Measured) -> Iterator[Check]:
    meta = m.file.vrm.get("meta") or {}
    new = m.file.version == "1.0"
    name = str(meta.get("name" if new else "title") or "")
    authors = [a for a in (meta.get("authors") or [] if new else [meta.get("author")]) if a]
    missing = [what for what, there in (("name", name), ("author", authors)) if not there]
    vague = [what for what in (name, *map(str, authors)) if what.strip().lower() in ("undefined", "unknown", "")]
    yield line(
        "meta",
        "Name and author",
        FAIL if missing else WARN if vague else PASS,
        f"missing: {', '.join(missing)}" if missing else f"{name} by {', '.join(map(str, authors))}",
        "nobody can tell whose avatar this is",
        "vrm",
        "Fill in name and author, then set up VRM again.",
    )
    licence = str(meta.get("licenseUrl" if new else "licenseName") or "")
    yield line(
        "licence",
        "Licence",
        FAIL if not licence else PASS,
        licence or "none",
        "VRM requires a licence; websites reject a file without one",
        "vrm",
        "Choose a licence in the Author and Licence panel.",
    )
    extras = set(m.file.json.get("extensionsRequired", [])) - KNOWN_REQUIRED
    yield line(
        "extensions",
        "Readable everywhere",
        not extras,
        "yes" if not extras else f"requires {', '.join(sorted(extras))}",
        "viewers without these extensions show nothing",
        "export",
        "Export without compression.",
    )


def image_size(data: bytes) -> tuple[str, int, int] | None:
    """(format, width, height) of PNG and JPEG bytes; None for anything else."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        return "image/png", *struct.unpack(">II", data[16:24])
    if data[:2] == b"\xff\xd8":
        at = 2
        while at + 9 < len(data) and data[at] == 0xFF:
            marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
            if marker in (0xC0, 0xC1, 0xC2):
                height, width = struct.unpack(">HH", data[at + 5 : at + 9])
                return "image/jpeg", width, height
            at += 2 + length
    return None


def _image(m: Measured, index: int) -> tuple[str, int, int] | None:
    images = m.file.json.get("images", [])
    if not 0 <= index < len(images) or "bufferView" not in images[index]:
        return None
    view = m.file.json["bufferViews"][images[index]["bufferView"]]
    start = view.get("byteOffset", 0)
    return image_size(m.file.binary[start : start + view["byteLength"]])


def _images(m: Measured) -> Iterator[Check]:
    count = len(m.file.json.get("images", []))
    sizes = [_image(m, index) for index in range(count)]
    unreadable = sum(size is None for size in sizes)
    largest = max((max(size[1:]) for size in sizes if size), default=0)
    yield line(
        "images",
        "Images",
        FAIL if unreadable else LIMITS["texture_pixels"].judge(largest),
        f"{unreadable} of {count} are not PNG or JPEG in the file" if unreadable else f"{count}, largest {largest} px",
        "phones reject larger textures, and browsers reject other formats: the avatar turns black or white",
        "export",
        "Save the textures as PNG or JPEG of at most 4096 pixels and pack them.",
    )
    new = m.file.version == "1.0"
    meta = m.file.vrm.get("meta") or {}
    index = meta.get("thumbnailImage", -1) if new else meta.get("texture", -1)
    if not new and isinstance(index, int) and 0 <= index < len(m.file.json.get("textures", [])):
        index = m.file.json["textures"][index].get("source", -1)
    size = _image(m, index) if isinstance(index, int) else None
    good = size is not None and size[1] == size[2] and 128 <= size[1] <= 1024
    yield line(
        "thumbnail",
        "Thumbnail",
        PASS if good else WARN,
        f"{size[1]} x {size[2]} px" if size else "none",
        "galleries show an empty square, or a distorted picture",
        "vrm",
        "Set up VRM again to render one.",
    )


def _cost(m: Measured) -> Iterator[Check]:
    morphs = sum(part.morphs.shape[0] * len(part.positions) for part in m.parts)
    size, limit = m.file.size / 1e6, {name: LIMITS[name].good for name in LIMITS}
    figures = (
        ("size", "File size", size, f"{size:.1f} MB", f"{limit['size']:.0f} MB", "slow to load on a phone"),
        (
            "triangles",
            "Triangles",
            len(m.triangles),
            f"{len(m.triangles):,}",
            f"{limit['triangles']:,}",
            "low frame rates on phones and in crowds",
        ),
        (
            "draw_calls",
            "Draw calls",
            len(m.parts),
            f"{len(m.parts)}",
            f"{limit['draw_calls']}",
            "low frame rates with several avatars",
        ),
        (
            "morph_values",
            "Morph targets",
            morphs,
            f"{morphs / 1e6:.2f} million values",
            f"{limit['morph_values'] / 1e6:.0f} million values",
            "phones run out of memory",
        ),
    )
    for name, title, value, figure, most, meaning in figures:
        status = LIMITS[name].judge(value)
        if status != PASS:
            figure = f"{figure} (recommended: at most {most})"
        yield line(
            name,
            title,
            status,
            figure,
            meaning,
            "generate",
            "Lower Triangles and Texture Size in the engine's options, or the faces, textures and materials of an"
            " imported model.",
        )
