# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes. A node's id is part of saved workflows and never changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from comfy_api.v0_0_2 import ComfyExtension, io, ui

from . import work
from .work import CATEGORY, ENGINES, RIGGERS, SEEDS, Avatar


class AvatarForgePictureToAvatar(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgePictureToAvatar",
            display_name="Picture to Avatar",
            category=CATEGORY,
            description="Makes a rigged, talking VRM avatar from a picture of one whole character, seen from the front",
            inputs=[*_picture_inputs(), io.Combo.Input("engine", options=ENGINES, default="preview"), *_rig_inputs()],
            outputs=work.whole_outputs(),
            is_output_node=True,
        )

    @classmethod
    async def execute(cls, image, name, engine, rigger, seed, author="") -> io.NodeOutput:
        given = ["--engine", engine, "--rigger", rigger, "--seed", str(seed), "--author", author]
        return await work.whole(work.new(image, name), *given, model=engine != "preview" or rigger != "geometric")


class AvatarForgeMeshToAvatar(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgeMeshToAvatar",
            display_name="Mesh to Avatar",
            category=CATEGORY,
            description="Makes a rigged, talking VRM avatar from a 3D model of a character",
            inputs=[*_picture_inputs(), work.model_input(), *_rig_inputs()],
            outputs=work.whole_outputs(),
            is_output_node=True,
        )

    @classmethod
    async def execute(cls, image, name, mesh, rigger, seed, author="") -> io.NodeOutput:
        avatar = work.with_model(work.new(image, name), mesh)
        given = ["--rigger", rigger, "--seed", str(seed), "--author", author]
        return await work.whole(avatar, *given, model=rigger != "geometric")


class AvatarForgeGenerateMesh(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgeGenerateMesh",
            display_name="Generate Mesh",
            category=CATEGORY,
            description="First step: a textured mesh from a picture of one whole character, seen from the front",
            inputs=[
                *_picture_inputs(),
                io.Combo.Input("engine", options=ENGINES, default="preview"),
                io.Int.Input("seed", **SEEDS),
            ],
            outputs=work.part_outputs(),
        )

    @classmethod
    async def execute(cls, image, name, engine, seed) -> io.NodeOutput:
        given = ["--engine", engine, "--seed", str(seed)]
        return await work.part(work.new(image, name), "mesh", *given, model=engine != "preview")


class AvatarForgeLoadMesh(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgeLoadMesh",
            display_name="Use Mesh",
            category=CATEGORY,
            description="First step: a 3D model of a character, upright and scaled to a human's height if necessary",
            inputs=[*_picture_inputs(), work.model_input()],
            outputs=work.part_outputs(),
        )

    @classmethod
    async def execute(cls, image, name, mesh) -> io.NodeOutput:
        return await work.part(work.with_model(work.new(image, name), mesh), "mesh")


class AvatarForgeRig(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgeRig",
            display_name="Rig",
            category=CATEGORY,
            description="Second step: skeleton, weights and T-pose. A model that has a skeleton keeps it",
            inputs=[
                Avatar.Input("avatar"),
                io.Combo.Input("rigger", options=RIGGERS, default="geometric"),
                io.Int.Input("seed", **SEEDS),
            ],
            outputs=work.part_outputs(),
        )

    @classmethod
    async def execute(cls, avatar, rigger, seed) -> io.NodeOutput:
        given = ["--rigger", rigger, "--seed", str(seed)]
        return await work.part(avatar, "rig", *given, model=rigger != "geometric")


class AvatarForgeFace(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgeFace",
            display_name="Face",
            category=CATEGORY,
            description="Third step: mouth, eyelids, visemes and expressions",
            inputs=[
                Avatar.Input("avatar"),
                io.Boolean.Input("perfect_sync", default=False, tooltip="With the 52 face shapes of ARKit"),
            ],
            outputs=work.part_outputs(),
        )

    @classmethod
    async def execute(cls, avatar, perfect_sync) -> io.NodeOutput:
        return await work.part(avatar, "face", *(["--perfect-sync"] if perfect_sync else []))


class AvatarForgeVrm(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgeVrm",
            display_name="VRM",
            category=CATEGORY,
            description="Last step: VRM settings, the file and its report card. Does the steps before that are missing",
            inputs=[
                Avatar.Input("avatar"),
                io.Combo.Input("version", options=["1.0", "0.0"], default="1.0"),
                io.String.Input("author", default="", optional=True),
            ],
            outputs=work.whole_outputs(),
            is_output_node=True,
        )

    @classmethod
    async def execute(cls, avatar, version, author="") -> io.NodeOutput:
        return await work.whole(avatar, "--vrm", version, "--author", author)


class AvatarForgeReportCard(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgeReportCard",
            display_name="Report Card",
            category=CATEGORY,
            description="What the avatar's report card says, and whether it may be promoted",
            inputs=[Avatar.Input("avatar")],
            outputs=[
                io.String.Output(display_name="report"),
                io.Boolean.Output(display_name="promotable"),
                Avatar.Output(display_name="avatar"),
            ],
            is_output_node=True,  # the card is shown on the node
        )

    @classmethod
    def execute(cls, avatar) -> io.NodeOutput:
        row = work.finished(avatar)["row"]
        receipt = json.loads(Path(row["files"]["receipt"]).read_text(encoding="utf-8"))
        lines = [f"{check['status']}  {check['title']}  {check['figure']}" for check in receipt["report"]["checks"]]
        text = "\n".join(lines)
        return io.NodeOutput(text, not row.get("failed"), avatar, ui=ui.PreviewText(text))


class AvatarForgePromote(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgePromote",
            display_name="Promote",
            category=CATEGORY,
            description="Uploads the avatar to a bucket if no check failed. Keys come from the environment",
            inputs=[
                Avatar.Input("avatar"),
                io.String.Input("bucket"),
                io.String.Input("endpoint", default="", optional=True),
                io.String.Input("prefix", default="", optional=True),
            ],
            outputs=[io.String.Output(display_name="key")],
            is_output_node=True,
        )

    @classmethod
    async def execute(cls, avatar, bucket, endpoint="", prefix="") -> io.NodeOutput:
        given = ["--online-mode", "--bucket", bucket]
        given += ["--endpoint", endpoint] if endpoint else []
        given += ["--prefix", prefix] if prefix else []
        return io.NodeOutput((await work.promoted(avatar, *given))["promoted"]["key"])


def _picture_inputs() -> list[Any]:
    return [io.Image.Input("image", tooltip="The character's picture"), io.String.Input("name", default="avatar")]


def _rig_inputs() -> list[Any]:
    return [
        io.Combo.Input("rigger", options=RIGGERS, default="geometric"),
        io.Int.Input("seed", **SEEDS),
        io.String.Input("author", default="", optional=True),
    ]


class AvatarForge(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            AvatarForgePictureToAvatar,
            AvatarForgeMeshToAvatar,
            AvatarForgeGenerateMesh,
            AvatarForgeLoadMesh,
            AvatarForgeRig,
            AvatarForgeFace,
            AvatarForgeVrm,
            AvatarForgeReportCard,
            AvatarForgePromote,
        ]


async def comfy_entrypoint() -> AvatarForge:
    return AvatarForge()
