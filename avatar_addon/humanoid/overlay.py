# SPDX-License-Identifier: GPL-3.0-or-later
"""The humanoid bones over the 3D view: coloured and named, solid where all is well, dashed with a ? or ! where not.

Lines go to the next humanoid bone where there is one: what a bone's tail is drawn at means nothing in many files. All
is drawn in the region's pixels, so that dashes and letters keep their size.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field

import blf
import bpy
import gpu
import numpy as np
from bpy.types import Object
from gpu_extras.batch import batch_for_shader

from ..ui.translation import tr
from ..vrm.spec.human_bones import BONES, FINGERS
from . import bones as humanoid_bones
from .matching import picking
from .matching.assignment import ASSIGNED, GROUP_OF, UNSURE, BoneState, part_label, side_of

Colour = tuple[float, float, float, float]
Point = tuple[float, float]  # pixels

COLOURS: dict[str, Colour] = {  # side or group -> colour; orange is left, as it is of the picture's markers
    "left": (1.0, 0.55, 0.1, 1.0),
    "right": (0.2, 0.65, 1.0, 1.0),
    "Torso": (0.95, 0.95, 0.95, 1.0),
    "Head": (0.7, 0.95, 0.5, 1.0),
}
WRONG: Colour = (1.0, 0.25, 0.25, 1.0)
CHOSEN: Colour = (1.0, 0.9, 0.3, 1.0)
DARK: Colour = (0.0, 0.0, 0.0, 0.75)
FAINT: Colour = (0.8, 0.8, 0.8, 0.55)
# How much whiter than its side: neighbours differ.
LIGHTER = {"Legs": 0.3, "Toes": 0.55, "Index": 0.45, "Ring": 0.45, "Thumb": 0.2}
WIDTH, DOT, LETTERS, DASH, GAP = 4.0, 8.0, 11.0, 7.0, 5.0  # pixels at scale 1
NAMED_FROM = {"body": 14.0, "finger": 34.0}  # pixels of a bone on the screen below which its name would be in the way
REACH = 24.0  # pixels around the mouse in which a bone is picked
# Humanoid bone -> those that its line may go to, the first that is assigned.
_TRUNK = ("hips", "spine", "chest", "upperChest", "neck", "head")


def _followers() -> dict[str, tuple[str, ...]]:
    follow = {name: _TRUNK[k + 1 :] for k, name in enumerate(_TRUNK)}
    for side in ("left", "right"):
        chains: list[tuple[str, ...]] = [
            ("Shoulder", "UpperArm", "LowerArm", "Hand"),
            ("UpperLeg", "LowerLeg", "Foot", "Toes"),
        ]
        chains += [tuple(name[len(side) :] for name in BONES if name.startswith(side + finger)) for finger in FINGERS]
        for chain in chains:
            follow |= {side + name: tuple(side + other for other in chain[k + 1 :]) for k, name in enumerate(chain)}
    return follow


FOLLOWERS = _followers()


@dataclass
class Picking:
    """While a person picks a bone: all of them, in world space, and the one under the mouse."""

    armature: str
    names: list[str]
    starts: np.ndarray
    ends: np.ndarray
    hovered: int = -1
    mouse: tuple[float, float] = (0.0, 0.0)
    region: int = 0  # pointer of the region that the mouse is in


@dataclass
class _Lines:
    """What is drawn in one go. at: two points for each line."""

    at: list[Point] = field(default_factory=list)
    colours: list[Colour] = field(default_factory=list)

    def add(self, start: Point, end: Point, colour: Colour) -> None:
        self.at += (start, end)
        self.colours += (colour, colour)

    def add_dashed(self, bone: _Drawn, scale: float) -> None:
        pieces = max(2, min(round((bone.length + GAP * scale) / ((DASH + GAP) * scale)), 60))
        gap = min(GAP * scale / max(bone.length, 1e-6), 0.45 / pieces)
        for k in range(pieces):
            self.add(_along(bone, k / pieces), _along(bone, (k + 1) / pieces - gap), bone.colour)


@dataclass(frozen=True)
class _Drawn:
    """One humanoid bone on the screen. start, end: (x, y) pixels; length: pixels."""

    state: BoneState
    start: tuple[float, float]
    end: tuple[float, float]
    length: float
    chosen: bool

    @property
    def middle(self) -> tuple[float, float]:
        return (self.start[0] + self.end[0]) / 2, (self.start[1] + self.end[1]) / 2

    @property
    def fine(self) -> bool:
        return self.state.kind == ASSIGNED

    @property
    def colour(self) -> Colour:
        if self.chosen:
            return CHOSEN
        return colour_of(self.state.name) if self.state.kind in (ASSIGNED, UNSURE) else WRONG

    @property
    def text(self) -> str:
        side = side_of(self.state.name)
        return tr(part_label(self.state.name)) + (f" {side[0].upper()}" if side else "")


picking_now: Picking | None = None
_handles: list[object] = []


@functools.cache
def colour_of(name: str) -> Colour:
    """By side and group."""
    side, group = side_of(name), GROUP_OF[name]
    r, g, b, a = COLOURS[side or group]
    finger = next((finger for finger in FINGERS if finger in name), "")
    white = LIGHTER.get(finger or group, 0.0)
    return r + (1 - r) * white, g + (1 - g) * white, b + (1 - b) * white, a


def _along(bone: _Drawn, part: float) -> Point:
    (x, y), (u, v) = bone.start, bone.end
    return x + (u - x) * part, y + (v - y) * part


def start_picking(armature: Object) -> Picking:
    """Draws all bones until `stop_picking`."""
    global picking_now
    names, starts, ends = posed(armature)
    bones = armature.data.bones
    seen = [k for k, name in enumerate(names) if name in bones and not bones[name].hide]
    picking_now = Picking(armature.name, [names[k] for k in seen], starts[seen], ends[seen])
    humanoid_bones.redraw()
    return picking_now


def stop_picking() -> None:
    global picking_now
    picking_now = None
    humanoid_bones.redraw()


def hover(region: bpy.types.Region, view: bpy.types.RegionView3D, mouse: tuple[float, float], scale: float) -> str:
    """The bone under the mouse, "" for none; it is drawn as that. mouse: pixels in the region."""
    pick = picking_now
    if pick is None:
        return ""
    size = region.width, region.height
    starts, depth = picking.to_screen(pick.starts, np.array(view.perspective_matrix), size)
    ends, far = picking.to_screen(pick.ends, np.array(view.perspective_matrix), size)
    pick.hovered = picking.nearest(mouse, starts, ends, np.minimum(depth, far), REACH * scale)
    pick.mouse, pick.region = mouse, region.as_pointer()
    humanoid_bones.redraw()
    return pick.names[pick.hovered] if pick.hovered >= 0 else ""


def posed(armature: Object) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, and (J, 3) heads and tails in world space, of all bones as they are posed."""
    bones = armature.pose.bones
    matrix = np.array(armature.matrix_world)
    points = np.empty((2, len(bones) * 3), np.float32)
    bones.foreach_get("head", points[0])
    bones.foreach_get("tail", points[1])
    world = points.reshape(2, -1, 3).astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    return bones.keys(), world[0], world[1]


def _draw() -> None:
    context = bpy.context
    view = context.region_data
    pick = picking_now
    if view is None or not (
        pick or (context.window_manager.avatar_forge.bones.overlay and context.space_data.overlay.show_overlays)
    ):
        return
    armature = humanoid_bones.find_armature(context)
    if armature is None or armature.mode == "EDIT" or not armature.visible_get():
        return
    scale = context.preferences.system.ui_scale
    region = context.region
    drawn = list(_on_screen(armature, view, (region.width, region.height)))
    solid, backs = _Lines(), _Lines()
    if pick and pick.armature == armature.name:
        _add_all(pick, solid, view, (region.width, region.height))
    for bone in drawn:
        if bone.fine:
            backs.add(bone.start, bone.end, DARK)
            solid.add(bone.start, bone.end, bone.colour)
        else:
            solid.add_dashed(bone, scale)
    gpu.state.blend_set("ALPHA")
    _paint(backs, (WIDTH + 2) * scale)
    _paint(solid, WIDTH * scale)
    _paint_dots(drawn, scale)
    gpu.state.blend_set("NONE")
    _write(drawn, scale, pick is not None)
    if pick and pick.region == region.as_pointer() and pick.hovered >= 0:
        _paint_hovered(pick, armature, view, (region.width, region.height), scale)


def _on_screen(armature: Object, view: bpy.types.RegionView3D, size: tuple[float, float]) -> Iterator[_Drawn]:
    """The assigned bones that are before the eye, the chosen one and what wants a look first, fingers last."""
    shown = humanoid_bones.snapshot(armature)
    names, heads, tails = posed(armature)
    index = {name: k for k, name in enumerate(names)}
    places = {name: index[state.bone] for name, state in shown.states.items() if state.bone in index}
    if not places:
        return
    starts = heads[list(places.values())]
    lead = {
        name for name in places if shown.states[name].kind in (ASSIGNED, UNSURE)
    }  # a line to a wrong bone would lie across the body
    follow = [next((places[other] for other in FOLLOWERS.get(name, ()) if other in lead), -1) for name in places]
    ends = np.array([tails[k] if after < 0 else heads[after] for k, after in zip(places.values(), follow, strict=True)])
    flat, _ = picking.to_screen(np.concatenate([starts, ends]), np.array(view.perspective_matrix), size)
    active = armature.data.bones.active
    chosen = active.name if active else ""
    first, last = flat[: len(places)], flat[len(places) :]
    seen = np.isfinite(first).all(1) & np.isfinite(last).all(1)
    lengths = np.linalg.norm(last - first, axis=1).tolist()
    first, last = first.tolist(), last.tolist()
    bones = [
        _Drawn(shown.states[name], tuple(first[k]), tuple(last[k]), lengths[k], shown.states[name].bone == chosen)
        for k, name in enumerate(places)
        if seen[k]
    ]
    yield from sorted(bones, key=lambda bone: (not bone.chosen, bone.fine, "Fingers" in GROUP_OF[bone.state.name]))


def _add_all(pick: Picking, lines: _Lines, view: bpy.types.RegionView3D, size: tuple[float, float]) -> None:
    matrix = np.array(view.perspective_matrix)
    starts, _ = picking.to_screen(pick.starts, matrix, size)
    ends, _ = picking.to_screen(pick.ends, matrix, size)
    seen = np.isfinite(starts).all(1) & np.isfinite(ends).all(1)
    for start, end in zip(starts[seen].tolist(), ends[seen].tolist(), strict=True):
        lines.add(tuple(start), tuple(end), FAINT)


def _paint(lines: _Lines, width: float) -> None:
    if not lines.at:
        return
    shader = gpu.shader.from_builtin("POLYLINE_SMOOTH_COLOR")
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", width)
    batch_for_shader(shader, "LINES", {"pos": [(*point, 0.0) for point in lines.at], "color": lines.colours}).draw(
        shader
    )


def _paint_dots(drawn: list[_Drawn], scale: float) -> None:
    if not drawn:
        return
    shader = gpu.shader.from_builtin("FLAT_COLOR")
    points = [(*bone.start, 0.0) for bone in drawn]
    for size, colours in ((DOT + 2, [DARK] * len(drawn)), (DOT, [bone.colour for bone in drawn])):
        gpu.state.point_size_set(size * scale)
        batch_for_shader(shader, "POINTS", {"pos": points, "color": colours}).draw(shader)


def _write(drawn: list[_Drawn], scale: float, picks: bool) -> None:
    """Marks of what wants a look, then names where they do not lie on each other."""
    blf.size(0, LETTERS * scale)
    taken: list[tuple[float, float, float, float]] = []
    for bone in drawn:
        if not bone.fine:
            x, y = bone.middle
            _text(
                "?" if bone.state.kind == UNSURE else "!", x + 4 * scale, y + 4 * scale, bone.colour, scale, taken, 1.5
            )
    for bone in drawn:
        least = NAMED_FROM["finger" if "Fingers" in GROUP_OF[bone.state.name] else "body"] * scale
        if not (bone.chosen or (bone.fine and bone.length >= least) or (not bone.fine and not picks)):
            continue
        wide, tall = blf.dimensions(0, bone.text)
        for x, y in _beside(bone, wide, tall, 8 * scale):
            if _text(bone.text, x, y, bone.colour, scale, taken):
                break


def _beside(bone: _Drawn, wide: float, tall: float, away: float) -> Iterator[tuple[float, float]]:
    """Where a bone's name may be written, the best place first: on its side of the body, or above and below a bone
    that lies.
    """
    x, y = bone.middle
    if abs(bone.end[0] - bone.start[0]) > abs(bone.end[1] - bone.start[1]):
        yield x - wide / 2, y + away
        yield x - wide / 2, y - away - tall
        return
    right, left = (x + away, y - tall / 2), (x - away - wide, y - tall / 2)
    yield from (left, right) if side_of(bone.state.name) == "right" else (right, left)


def _text(text: str, x: float, y: float, colour: Colour, scale: float, taken: list, larger: float = 1.0) -> bool:
    """Whether there was room for it."""
    blf.size(0, LETTERS * larger * scale)
    wide, tall = blf.dimensions(0, text)
    box = (x - 3 * scale, y, x + wide + 3 * scale, y + tall)
    free = not any(
        box[0] < right and left < box[2] and box[1] < top and bottom < box[3] for left, bottom, right, top in taken
    )
    if free:
        taken.append(box)
        blf.enable(0, blf.SHADOW)
        blf.shadow(0, 5, 0.0, 0.0, 0.0, 1.0)
        blf.shadow_offset(0, 0, 0)
        blf.position(0, x, y, 0)
        blf.color(0, *colour)
        blf.draw(0, text)
        blf.disable(0, blf.SHADOW)
    blf.size(0, LETTERS * scale)
    return free


def _paint_hovered(
    pick: Picking, armature: Object, view: bpy.types.RegionView3D, size: tuple[float, float], scale: float
) -> None:
    """The bone under the mouse, with its name and what it is already."""
    k = pick.hovered
    flat, _ = picking.to_screen(np.array([pick.starts[k], pick.ends[k]]), np.array(view.perspective_matrix), size)
    lines = _Lines()
    ends = tuple(flat[0].tolist()), tuple(flat[1].tolist())
    lines.add(*ends, CHOSEN)
    gpu.state.blend_set("ALPHA")
    back = _Lines()
    back.add(*ends, DARK)
    _paint(back, (2 * WIDTH + 3) * scale)
    _paint(lines, 2 * WIDTH * scale)
    gpu.state.blend_set("NONE")
    role = humanoid_bones.snapshot(armature).roles.get(pick.names[k])
    text = pick.names[k] + (f" ({tr(humanoid_bones.label(role))})" if role else "")
    blf.size(0, LETTERS * scale)
    _text(text, pick.mouse[0] + 16 * scale, pick.mouse[1] + 12 * scale, CHOSEN, scale, [], 1.2)


def register() -> None:
    if not bpy.app.background:
        _handles.append(bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    global picking_now
    picking_now = None
    while _handles:
        bpy.types.SpaceView3D.draw_handler_remove(_handles.pop(), "WINDOW")
