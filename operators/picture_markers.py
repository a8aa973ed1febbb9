# SPDX-License-Identifier: GPL-3.0-or-later
"""The markers on the picture: check, mirror, accept, discard; and the lines that join them in the viewport, with
every marker's name. Return accepts and Esc discards while the markers are shown.
"""

from __future__ import annotations

from collections.abc import Iterator

import blf
import bpy
import gpu
from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, Operator
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader
from mathutils import Vector

from ..avatar_addon.avatar import scene
from ..avatar_addon.face import marker_objects as face_markers
from ..avatar_addon.landmarks import PARTS
from ..avatar_addon.picture import markers, on_mesh
from ..avatar_addon.picture.plane import JOINTS, LABELS, LINES, side_of
from ..avatar_addon.request import picture_path, placed_markers
from ..avatar_addon.ui.translation import OURS, tr
from .keys import ENTER, Keys
from .make_avatar import FromPicture
from .on_markers import DiscardMarkers, MirrorMarkers, OnMarkers

COLOURS = {"left": (1.0, 0.55, 0.1, 1.0), "right": (0.2, 0.65, 1.0, 1.0), "": (0.95, 0.95, 0.95, 1.0)}
WHITE, CHOSEN = (1.0, 1.0, 1.0, 1.0), (1.0, 0.85, 0.3, 1.0)
UNSURE = (1.0, 0.2, 0.25, 1.0)
WIDTH, POINT, LETTERS, BESIDE = 3.0, 9.0, 11.0, 12.0  # pixels at scale 1

_draw_handles: list[object] = []
_keys = Keys()


class AVATARFORGE_OT_check_markers(FromPicture):
    bl_idname = "avatar_forge.check_markers"
    bl_label = "Check Markers"
    bl_description = "Show the picture with the joints, eyes and mouth that were found in it. Drag those that are wrong"

    def steps(self, context: Context):
        return markers.check(context, picture_path(context.scene), placed_markers(context.scene))


class AVATARFORGE_OT_accept_picture_markers(OnMarkers):
    kind = markers
    bl_idname = "avatar_forge.accept_picture_markers"
    bl_label = "Accept"
    bl_translation_context = OURS
    bl_description = "Use the current markers for the next avatar from this picture (Enter)"

    def execute(self, context: Context) -> set[str]:
        markers.accept(context)
        self.report({"INFO"}, tr("The markers will be used for the next avatar from this picture"))
        return {"FINISHED"}


class AVATARFORGE_OT_discard_picture_markers(DiscardMarkers):
    kind = markers
    bl_idname = "avatar_forge.discard_picture_markers"
    bl_description = "Close the picture and its markers. Markers that were accepted before are kept (Esc)"


class AVATARFORGE_OT_mirror_picture_markers(MirrorMarkers):
    kind = markers
    bl_idname = "avatar_forge.mirror_picture_markers"


class AVATARFORGE_OT_forget_picture_markers(Operator):
    bl_idname = "avatar_forge.forget_picture_markers"
    bl_label = "Use Automatic Markers"
    bl_description = "Discard the accepted markers. The next avatar uses what is found in the picture"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not context.scene.avatar_forge.checked_markers:
            cls.poll_message_set("No markers were accepted")
            return False
        return True

    def execute(self, context: Context) -> set[str]:
        context.scene.avatar_forge.checked_markers = ""
        return {"FINISHED"}


def _figures() -> Iterator[tuple[dict[str, bpy.types.Object], set[str]]]:
    """The empties of the markers that can be seen, on a picture and on a mesh, and which of them are not sure."""
    for kind in (markers, on_mesh):
        root = kind.root_of(bpy.context.scene)
        if root and root.visible_get():
            yield kind.shown(root), kind.unsure(root)


def _draw_lines() -> None:
    for empties, unsure in _figures():
        _draw_figure({name: empty.matrix_world.translation for name, empty in empties.items()}, unsure)


def _draw_figure(places: dict[str, Vector], unsure: set[str]) -> None:
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", WIDTH * bpy.context.preferences.system.ui_scale)
    gpu.state.blend_set("ALPHA")
    for side, colour in COLOURS.items():
        lines = [line for line in LINES if side_of(line[1]) == side and places.keys() >= set(line)]
        ends = [tuple(places[name]) for line in lines for name in line]
        if ends:
            shader.uniform_float("color", colour)
            batch_for_shader(shader, "LINES", {"pos": ends}).draw(shader)
    _draw_points(places, unsure)
    gpu.state.blend_set("NONE")


def _draw_points(places: dict[str, Vector], unsure: set[str]) -> None:
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    for size, colours in ((POINT + 3, dict.fromkeys(COLOURS, (0.0, 0.0, 0.0, 0.7))), (POINT, COLOURS)):
        gpu.state.point_size_set(size * bpy.context.preferences.system.ui_scale)
        for side, colour in colours.items():
            points = [tuple(place) for name, place in places.items() if side_of(name) == side and name in JOINTS]
            if points:
                shader.uniform_float("color", colour)
                batch_for_shader(shader, "POINTS", {"pos": points}).draw(shader)
    doubtful = [tuple(places[name]) for name in unsure if name in JOINTS]
    if doubtful:
        shader.uniform_float("color", UNSURE)
        batch_for_shader(shader, "POINTS", {"pos": doubtful}).draw(shader)


def _labels(context: Context) -> Iterator[tuple[str, str, bpy.types.Object]]:
    """Text, side and empty of every marker that can be seen: those on a picture or a mesh, and those on the avatar's
    face.
    """
    for shown, unsure in _figures():
        for name, empty in shown.items():
            yield iface_(LABELS[name]) + (" ?" if name in unsure else ""), side_of(name), empty
    avatar = scene.find_avatar(context)
    empties = face_markers.shown(avatar) if avatar else {}
    for part in PARTS.values():
        if part.attribute in empties:
            yield iface_(part.label), side_of(part.name), empties[part.attribute]


def _draw_names() -> None:
    """Beside the markers, on the side of the body they belong to: Blender's own names of objects are black and lie on
    each other.
    """
    region, view = bpy.context.region, bpy.context.region_data
    labels = list(_labels(bpy.context)) if view else []
    if not labels:
        return
    scale = bpy.context.preferences.system.ui_scale
    blf.size(0, LETTERS * scale)
    for text, side, empty in labels:
        at = location_3d_to_region_2d(region, view, empty.matrix_world.translation)
        if at is None:
            continue
        wide, tall = blf.dimensions(0, text)
        beside = BESIDE * scale
        x, y = at.x - beside - wide if side == "right" else at.x + beside, at.y - tall / 2
        for right, up in ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)):  # an outline, then the letters
            blf.color(0, *((0.0, 0.0, 0.0, 0.8) if right or up else CHOSEN if empty.select_get() else WHITE))
            blf.position(0, x + right * scale, y + up * scale, 0)
            blf.draw(0, text)


CLASSES = (
    AVATARFORGE_OT_check_markers,
    AVATARFORGE_OT_accept_picture_markers,
    AVATARFORGE_OT_discard_picture_markers,
    AVATARFORGE_OT_mirror_picture_markers,
    AVATARFORGE_OT_forget_picture_markers,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    markers.register()
    if not bpy.app.background:
        for draw, stage in ((_draw_lines, "POST_VIEW"), (_draw_names, "POST_PIXEL")):
            _draw_handles.append(bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", stage))
    _keys.add(AVATARFORGE_OT_accept_picture_markers, *ENTER)
    _keys.add(AVATARFORGE_OT_discard_picture_markers, "ESC")


def unregister() -> None:
    _keys.remove()
    while _draw_handles:
        bpy.types.SpaceView3D.draw_handler_remove(_draw_handles.pop(), "WINDOW")
    markers.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
