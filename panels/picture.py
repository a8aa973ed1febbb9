# SPDX-License-Identifier: GPL-3.0-or-later
"""The first panel: picture, Make Avatar, progress."""

from __future__ import annotations

from pathlib import Path

import bpy
import bpy.utils.previews
from bpy.types import Context, Panel, UILayout

from ..avatar_addon import text_pictures
from ..avatar_addon.avatar import scene
from ..avatar_addon.client import cluster, engines, model_store, session
from ..avatar_addon.client.engine_options import SETTINGS
from ..avatar_addon.picture import on_mesh
from ..avatar_addon.ui.sentences import progress, sentence
from ..operators.avatar_steps import AVATARFORGE_OT_rig
from ..operators.mesh_markers import AVATARFORGE_OT_accept_mesh_markers
from .mesh_markers import draw_check
from .picture_cards import draw_picture_cards
from .picture_markers import draw_picture_markers
from .sidebar import SidebarPanel

REFUSING = (AVATARFORGE_OT_rig.bl_label, AVATARFORGE_OT_accept_mesh_markers.bl_label)  # tasks that the markers help

_previews: bpy.utils.previews.ImagePreviewCollection | None = None


class AVATARFORGE_PT_make(SidebarPanel, Panel):
    bl_idname = "AVATARFORGE_PT_make"
    bl_label = "Make Avatar"

    def draw(self, context: Context) -> None:
        settings = context.scene.avatar_forge
        self._draw_backend(context)
        column = self.layout.column()
        column.enabled = not context.window_manager.avatar_forge.running
        draw_text(column, context)
        column.prop(settings, "picture", text="", placeholder="Picture of a character")
        icon = _thumbnail(settings.picture)
        if icon:
            column.template_icon(icon_value=icon, scale=7.0)
        else:
            sentence(column, context, "One character, whole body, from the front.", "INFO")
        if settings.picture or settings.cards:
            draw_picture_cards(column, context, _thumbnail)
        column = column.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "name", placeholder=Path(settings.picture).stem)
        column.prop(settings, "engine")
        column.prop(settings, "rigger")
        draw_executor(column, context)
        draw_unavailable(column, context)
        column.prop(settings, "candidates")
        if settings.candidates > 1:
            column.prop(settings, "candidate_engines")
            made_by = settings.candidate_engines or {settings.engine}
            if len(made_by) == 1 and not engines.row_of("generators", *made_by).get("seeded", True):
                name = engines.label("generators", *made_by)
                sentence(column, context, f"{name} makes the same mesh for every seed.", "INFO")
        else:  # the one that is kept is exported later
            column.prop(settings, "export")
            if settings.export:
                column.prop(settings, "out_dir")
        if settings.picture:
            column = self.layout.column()
            column.enabled = not context.window_manager.avatar_forge.running
            draw_picture_markers(column, context)
        self._draw_task(context)

    def _draw_backend(self, context: Context) -> None:
        """What is missing before anything can be made."""
        state = session.environment().state()
        if state.ready or context.window_manager.avatar_forge.running:
            return
        box = self.layout.box()
        sentence(box, context, state.message, "ERROR")
        text = "Install in the Preferences" if state.code in ("missing", "incomplete") else "Open the Preferences"
        box.operator("preferences.addon_show", text=text, icon="PREFERENCES").module = session.PACKAGE

    def _draw_task(self, context: Context) -> None:
        layout, state = self.layout, context.window_manager.avatar_forge
        if state.running:
            progress(layout, state, "Cancel" if state.remote else "Cancel (Esc)")
        else:
            row = layout.row()
            row.scale_y = 1.5
            row.operator("avatar_forge.make_avatar", icon="OUTLINER_OB_ARMATURE")
        if state.error:
            box = layout.box()
            sentence(box, context, state.error, "ERROR")
            avatar = scene.find_avatar(context)
            if state.title in REFUSING and avatar and on_mesh.root_of(context.scene) is None:
                draw_check(box)


def draw_text(layout: UILayout, context: Context) -> None:
    """A description to make pictures from, where a picture server is known, and the pictures to choose from."""
    if not (chosen := session.preferences()) or not chosen.image_url.strip():
        return
    settings = context.scene.avatar_forge
    row = layout.row(align=True)
    row.prop(settings, "text", text="", placeholder="Describe a character")
    row.operator("avatar_forge.pictures_from_text", text="", icon="IMAGE_DATA")
    pictures = text_pictures.stored(settings).get("pictures") or []
    if not pictures:
        return
    grid = layout.grid_flow(row_major=True, columns=4, even_columns=True, align=True)
    for entry in pictures:
        cell = grid.column(align=True)
        cell.enabled = entry["usable"]
        if icon := _thumbnail(entry["path"]):
            cell.template_icon(icon_value=icon, scale=3.0)
        picked = settings.picture == entry["path"]
        icon = "CHECKMARK" if picked else "NONE" if entry["usable"] else "CANCEL"
        cell.operator("avatar_forge.choose_text_picture", text="", icon=icon, depress=picked).path = entry["path"]


def draw_executor(layout: UILayout, context: Context) -> None:
    """Which computer runs the engines, where there is a choice, and why the cluster cannot."""
    chosen = session.preferences()
    if chosen is None or not (chosen.cluster_address.strip() or cluster.executor() == cluster.RAY):
        return
    layout.prop(chosen, "executor")
    reason = cluster.Settings.current().problem() if cluster.executor() == cluster.RAY else ""
    if reason:
        sentence(layout.box(), context, reason, "ERROR")


def draw_unavailable(layout: UILayout, context: Context) -> None:
    """Why a chosen engine cannot run here, and the way to what it needs."""
    settings = context.scene.avatar_forge
    chosen = {kind: getattr(settings, setting) for kind, setting in SETTINGS.items()}
    chosen = {kind: name for kind, name in chosen.items() if not cluster.runs(kind, name)}
    if model_store.rows() is None and any(engines.models(kind, name) for kind, name in chosen.items()):
        model_store.refresh_soon()
    reasons = [reason for kind, name in chosen.items() if (reason := _reason(kind, name))]
    if not reasons:
        return
    box = layout.box()
    for reason in dict.fromkeys(reasons):
        sentence(box, context, reason, "ERROR")
    box.operator(
        "preferences.addon_show", text="Models in the Preferences", icon="PREFERENCES"
    ).module = session.PACKAGE


def _reason(kind: str, name: str) -> str:
    """Without the long path of a folder that is not there yet, which the preferences show."""
    reason = engines.unavailable(kind, name)
    rows = (model_store.row(model["name"]) for model in engines.models(kind, name))
    model = next((row for row in rows if row and row["reason"] == reason and not row["own"]), None)
    if not reason or model is None:
        return reason
    state = {"missing": "are not downloaded", "incomplete": "are not complete"}.get(model["state"])
    return f"The weights of {engines.label(kind, name)} {state} ({model['size'] / 1e9:.1f} GB)." if state else reason


def _thumbnail(picture: str) -> int:
    """The icon of a picture file, read once a version of the file; 0 when there is none or it is no picture."""
    if not picture or _previews is None:
        return 0
    path = Path(bpy.path.abspath(picture))
    try:
        key = f"{path}:{path.stat().st_mtime_ns}"
    except OSError:
        return 0
    if key not in _previews:
        _previews.load(key, str(path), "IMAGE")
    return _previews[key].icon_id if _previews[key].image_size[0] else 0


CLASSES = (AVATARFORGE_PT_make,)


def register() -> None:
    global _previews
    _previews = bpy.utils.previews.new()
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    global _previews
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    bpy.utils.previews.remove(_previews)
    _previews = None
