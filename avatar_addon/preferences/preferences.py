# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: the backend's state, what installing it would run, folders."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, PointerProperty, StringProperty
from bpy.types import AddonPreferences, PropertyGroup

from ..client import cluster, engines, model_store, session
from ..client.process.environment import PROFILES, State, detect_profile
from ..errors import AvatarError
from ..remote import settings as remote_settings
from ..render import pictures
from ..ui.sentences import progress, sentence
from ..ui.translation import OURS
from . import models_box

# What belongs together below Publishing: title -> property -> what an empty field shows.
PUBLISHING = {
    "Where Models Are Stored": {
        "endpoint": "Amazon S3",
        "bucket": "",
        "prefix": "none",
        "profile_name": "from the environment",
        "region": "from the profile",
    },
    "Public Addresses": {
        "lan_url": "http://nas.local/{bucket}/{key}",
        "cdn_url": "https://cdn.example.org/{key}",
    },
    "Lists of Allowed Models": {
        "go_list": "none",
        "js_list": "none",
        "list_variable": "",
        "replace_listed": "",
    },
}
# What belongs together below Ray Cluster, as PUBLISHING.
CLUSTER = {
    "executor": "",
    "cluster_address": "http://head:8265",
    "cluster_shared": "none",
    "cluster_there": "the same path",
    "cluster_python": "python",
    "cluster_root": "the same folder as here",
    "cluster_token": "RAY_AUTH_TOKEN",
}
# What belongs together below Text to Picture, as PUBLISHING; the ComfyUI fields are shown for ComfyUI alone.
PICTURE_SERVER = {
    "image_kind": "",
    "image_url": "none",
    "image_model": "the server's default",
    "image_key": "AVATAR_FORGE_IMAGE_KEY",
}
COMFYUI = {
    "comfy_workflow": "the included one",
    "comfy_prompt": "",
    "comfy_seed": "",
    "comfy_count": "one picture per run",
}
CHAT_SERVER = {"chat_url": "none", "chat_model": "the server's default", "chat_key": "AVATAR_FORGE_CHAT_KEY"}
INSTALL, TEST = "Install Backend", "Test Connection"  # operators' and their tasks' names


def _forget_plan(preferences: AvatarForgePreferences, _context) -> None:
    preferences.shown_plan = ""


def _forget_models(_preferences: AvatarForgePreferences, _context) -> None:
    model_store.forget()


def _forget_offer(preferences: AvatarForgePreferences, _context) -> None:
    preferences.cluster_offer = ""


class AvatarForgeModelFolders(PropertyGroup):
    """The user's own folders of models that other packages' engines need, `<model>_folder` each."""


class AvatarForgePreferences(AddonPreferences):
    """`register` adds a `<model>_folder` for each built-in model: the user's own folder with its weights."""

    bl_idname = session.PACKAGE

    profile: EnumProperty(
        name="Hardware",
        items=[(name, label, "") for name, label in PROFILES.items()],
        description="Which build of PyTorch the backend uses",
        update=_forget_plan,
    )
    models: BoolProperty(
        name="Model Engines (PyTorch)",
        description=(
            "Also install PyTorch for the engines that use a model: 1.5 GB for the CPU, 6 GB for CUDA. The"
            " preview engine does not need it"
        ),
        update=_forget_plan,
    )
    runs_folder: StringProperty(
        name="Runs Folder",
        subtype="DIR_PATH",
        description="Where meshes and rigs of every run are stored; empty for the extension's folder",
    )
    models_folder: StringProperty(
        name="Models Folder",
        subtype="DIR_PATH",
        description="Where the weights of the model engines are stored; empty for the extension's folder",
        update=_forget_models,
    )
    shown_plan: StringProperty(options={"SKIP_SAVE"})
    show_backend: BoolProperty(name="Backend and Models", default=True, options={"SKIP_SAVE"})
    show_publishing: BoolProperty(name="Publishing", options={"SKIP_SAVE"})
    bucket: StringProperty(name="Bucket", description="The S3 bucket that models are promoted to")
    endpoint: StringProperty(
        name="Server",
        description=(
            "Address of an S3-compatible server (its endpoint), such as https://storage.example.org; empty"
            " for Amazon S3"
        ),
    )
    prefix: StringProperty(name="Folder in the Bucket", description="Prefix of the model's name, such as avatars/")
    profile_name: StringProperty(
        name="Credentials Profile",
        description=(
            "Profile in ~/.aws/credentials; empty to use the environment variables. Keys are never stored in Blender"
        ),
    )
    region: StringProperty(
        name="Region", translation_context=OURS, description="Region of the bucket; empty to use the profile's"
    )
    lan_url: StringProperty(
        name="LAN Address",
        description=(
            "Address of a promoted model on the local network, with {bucket} and {key}: http://nas.local/{bucket}/{key}"
        ),
    )
    cdn_url: StringProperty(
        name="CDN Address", description="Address of a promoted model on the internet: https://cdn.example.org/{key}"
    )
    go_list: StringProperty(
        name="Go File", subtype="FILE_PATH", description="Go file with the list of models that the server allows"
    )
    js_list: StringProperty(
        name="JavaScript File",
        subtype="FILE_PATH",
        description="JavaScript or TypeScript file with the list of models that the web page allows",
    )
    list_variable: StringProperty(
        name="Name of the List", default="AllowedAvatarModels", description="Name of the variable in both files"
    )
    replace_listed: BoolProperty(
        name="Replace Listed Version",
        description=(
            "Replace the listed version with the new one. Otherwise both stay listed, so that you can roll back"
        ),
    )
    tracking_uri: StringProperty(
        name="MLflow Server",
        description=(
            "Where runs are logged; empty for MLFLOW_TRACKING_URI or, if that is not set, a database beside the runs"
        ),
    )

    image_kind: EnumProperty(
        name="Picture Server",
        items=[
            ("openai", "OpenAI API", "A server with /v1/images/generations, on this computer or elsewhere"),
            ("comfyui", "ComfyUI", "A ComfyUI server with a workflow that makes pictures from text"),
        ],
        description="What kind of server makes reference pictures from a description",
    )
    image_url: StringProperty(
        name="Address", description="Address of the picture server, such as http://127.0.0.1:8188; empty turns it off"
    )
    image_model: StringProperty(name="Model", description="Name of the picture model, where the server has several")
    image_key: StringProperty(
        name="Key",
        subtype="PASSWORD",
        description="Key of the picture server; empty to use the environment variable AVATAR_FORGE_IMAGE_KEY",
    )
    comfy_workflow: StringProperty(
        name="Workflow",
        subtype="FILE_PATH",
        description="Workflow file from ComfyUI's Export (API); empty for the included one for Stable Diffusion XL",
    )
    comfy_prompt: StringProperty(
        name="Prompt Field", default="6.text", description="Node and input that take the prompt, such as 6.text"
    )
    comfy_seed: StringProperty(
        name="Seed Field", default="3.seed", description="Node and input that take the seed, such as 3.seed"
    )
    comfy_count: StringProperty(
        name="Count Field",
        default="5.batch_size",
        description="Node and input that take the number of pictures; empty to run the workflow once a picture",
    )
    chat_url: StringProperty(
        name="Chat Server",
        description=(
            "Address of a server with /v1/chat/completions that describes the character in detail; empty to use the"
            " description as it is"
        ),
    )
    chat_model: StringProperty(name="Chat Model", description="Name of the chat model, where the server has several")
    chat_key: StringProperty(
        name="Chat Key",
        subtype="PASSWORD",
        description="Key of the chat server; empty to use the environment variable AVATAR_FORGE_CHAT_KEY",
    )
    show_text: BoolProperty(name="Text to Picture", options={"SKIP_SAVE"})

    executor: EnumProperty(
        name="Run Engines On",
        items=[
            (cluster.LOCAL, "This Computer", "The backend on this computer runs all engines"),
            (
                cluster.RAY,
                "Ray Cluster",
                "The cluster runs the generator, and a rigger that uses a model. Everything else is done here",
            ),
        ],
        description="Which computer runs the generator, and a rigger that uses a model",
    )
    cluster_address: StringProperty(
        name="Head",
        description="Address of the dashboard of the cluster's head, such as http://head:8265",
        update=_forget_offer,
    )
    cluster_shared: StringProperty(
        name="Shared Folder",
        subtype="DIR_PATH",
        description="Folder that all nodes see too, for pictures and meshes",
        update=_forget_offer,
    )
    cluster_there: StringProperty(
        name="Its Path on the Nodes",
        description="Path of the shared folder on the nodes; empty if it is the same there",
    )
    cluster_python: StringProperty(
        name="Python on the Nodes", description="Python that has Ray on the nodes, such as /opt/ray/bin/python"
    )
    cluster_root: StringProperty(
        name="Avatar Forge on the Nodes",
        description="Folder of Avatar Forge on the nodes, such as /opt/avatar_forge; empty if it is the same as here",
    )
    cluster_token: StringProperty(
        name="Token",
        subtype="PASSWORD",
        description=(
            "Token of a cluster that asks for one (RAY_AUTH_MODE=token); empty to use the environment variable"
            " RAY_AUTH_TOKEN"
        ),
        update=_forget_offer,
    )
    cluster_offer: StringProperty(options={"SKIP_SAVE"})
    show_cluster: BoolProperty(name="Ray Cluster", options={"SKIP_SAVE"})

    remote: PointerProperty(type=remote_settings.AvatarForgeRemote)
    other_models: PointerProperty(type=AvatarForgeModelFolders)

    def draw(self, context: bpy.types.Context) -> None:
        state, layout = session.environment().state(), self.layout
        if state.ready:  # until then it is what one came for
            header, layout = self.layout.panel_prop(self, "show_backend")
            header.label(text="Backend and Models")
        if layout:
            self._draw_backend(layout, context, state)
        header, body = self.layout.panel_prop(self, "show_text")
        header.label(text="Text to Picture")
        if body:
            self._draw_text(body)
        header, body = self.layout.panel_prop(self, "show_cluster")
        header.label(text="Ray Cluster")
        if body:
            self._draw_cluster(body, context)
        header, body = self.layout.panel_prop(self, "show_publishing")
        header.label(text="Publishing")
        if body:
            self._draw_publishing(body)

    def _draw_backend(self, layout: bpy.types.UILayout, context: bpy.types.Context, state: State) -> None:
        task = context.window_manager.avatar_forge
        installing = task.running and task.title == INSTALL
        box = layout.box()
        sentence(box, context, task.stage if installing else state.message, "CHECKMARK" if state.ready else "INFO")
        column = box.column()
        column.enabled = not task.running
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(self, "profile")
        column.prop(self, "models")
        if installing:
            progress(box, task, "Cancel")
        else:
            self._draw_buttons(box, context, state)
        if task.error and task.title == INSTALL:
            sentence(box.box(), context, task.error, "ERROR")
        if state.ready and not installing:
            models_box.draw(layout.box(), context)
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(self, "models_folder", placeholder="in the extension's folder")
        column.prop(self, "runs_folder")
        column.prop(self, "tracking_uri", placeholder="a database beside the runs")

    def _draw_text(self, layout: bpy.types.UILayout) -> None:
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        comfyui = COMFYUI if self.image_kind == "comfyui" else {}
        for name, placeholder in {**PICTURE_SERVER, **comfyui, **CHAT_SERVER}.items():
            column.prop(self, name, placeholder=placeholder)

    def _draw_cluster(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        task = context.window_manager.avatar_forge
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        for name, placeholder in CLUSTER.items():
            column.prop(self, name, placeholder=placeholder)
        if task.running and task.title == TEST:
            progress(layout, task, "Cancel")
        else:
            layout.operator("avatar_forge.test_cluster", icon="LINKED")
        if task.error and task.title == TEST:
            sentence(layout.box(), context, task.error, "ERROR")
        elif self.cluster_offer:
            sentence(layout.box(), context, self.cluster_offer, "INFO")

    def _draw_publishing(self, layout: bpy.types.UILayout) -> None:
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        for title, properties in PUBLISHING.items():
            column.label(text=title)
            for name, placeholder in properties.items():
                column.prop(self, name, placeholder=placeholder)
            column.separator()

    def _draw_buttons(self, box: bpy.types.UILayout, context: bpy.types.Context, state: State) -> None:
        if not bpy.app.online_access:
            row = box.row()
            row.label(text="Online access is off", icon="INTERNET_OFFLINE")
            row.operator("screen.userpref_show", text="Network Preferences", icon="PREFERENCES").section = "SYSTEM"
        row = box.row()
        row.scale_y = 1.3
        row.operator(
            "avatar_forge.install_backend", text="Update Backend" if state.ready else INSTALL, icon="IMPORT"
        ).repair = False
        if state.code != "missing":
            row.operator("avatar_forge.install_backend", text="Repair Backend", icon="FILE_REFRESH").repair = True
        row = box.row()
        row.alignment = "LEFT"
        icon = "TRIA_DOWN" if self.shown_plan else "TRIA_RIGHT"
        row.operator("avatar_forge.show_install_plan", text="Commands that will run", icon=icon, emboss=False)
        for line in self.shown_plan.splitlines():
            sentence(box, context, line, "DOT")


def plan_lines(preferences: AvatarForgePreferences, repair: bool = False) -> list[str]:
    """The commands that installing would run, one a line; or why it cannot."""
    try:
        steps = session.environment().plan(preferences.profile, preferences.models, repair)
    except AvatarError as error:
        return [str(error)]
    return [f"{step.title}: {step.shown()}" for step in steps]


def _folder() -> Any:
    return StringProperty(name="Folder", subtype="DIR_PATH", update=_forget_models)


def _add_folders() -> None:
    """For models of other packages; a registered group takes further properties, preferences do not."""
    for name in engines.all_models():
        attribute = session.folder_property(name)
        if not hasattr(AvatarForgePreferences, attribute) and attribute not in AvatarForgePreferences.__annotations__:
            setattr(AvatarForgeModelFolders, attribute, _folder())


def register() -> None:
    remote_settings.register()
    bpy.utils.register_class(AvatarForgeModelFolders)
    built_in = {session.folder_property(name): _folder() for name in engines.built_in_models()}
    AvatarForgePreferences.__annotations__.update(built_in)
    bpy.utils.register_class(AvatarForgePreferences)
    engines.ON_LEARNED.append(_add_folders)
    preferences = session.preferences()
    if preferences and not preferences.is_property_set("profile"):
        preferences.profile = detect_profile()


def unregister() -> None:
    model_store.unregister()
    session.close()
    pictures.close()
    engines.ON_LEARNED.remove(_add_folders)
    bpy.utils.unregister_class(AvatarForgePreferences)
    bpy.utils.unregister_class(AvatarForgeModelFolders)
    remote_settings.unregister()
