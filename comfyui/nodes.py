# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes. A node's id is part of saved workflows and never changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from comfy_api.v0_0_2 import ComfyAPI, ComfyExtension, io

from . import child

CATEGORY = "Avatar Forge"
Avatar = io.Custom("AVATAR_FORGE_AVATAR")  # {"name", "picture", "out", "row": the batch's}


class AvatarForgePictureToAvatar(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgePictureToAvatar",
            display_name="Picture to Avatar",
            category=CATEGORY,
            description="Makes a rigged, talking VRM avatar from a picture of one whole character, seen from the front",
            inputs=[
                io.Image.Input("image"),
                io.String.Input("name", default="avatar"),
                io.Combo.Input("engine", options=["preview", "trellis", "trellis2"], default="preview"),
                *_rig_inputs(),
            ],
            outputs=_avatar_outputs(),
            is_output_node=True,
        )

    @classmethod
    async def execute(cls, image, name, engine, rigger, seed, author="") -> io.NodeOutput:
        out, picture = _prepare(image, name)
        return await _made(out, picture, name, engine, rigger, seed, author, [])


class AvatarForgeMeshToAvatar(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgeMeshToAvatar",
            display_name="Mesh to Avatar",
            category=CATEGORY,
            description="Makes a VRM avatar from a GLB file: upright, in metres, the character faces +Z",
            inputs=[
                io.Image.Input("image", tooltip="The picture that the mesh was made from"),
                io.String.Input("mesh_file", tooltip="Path of the GLB file"),
                io.String.Input("name", default="avatar"),
                *_rig_inputs(),
            ],
            outputs=_avatar_outputs(),
            is_output_node=True,
        )

    @classmethod
    async def execute(cls, image, mesh_file, name, rigger, seed, author="") -> io.NodeOutput:
        out, picture = _prepare(image, name)
        folder = out / f".{name}-mesh"
        folder.mkdir(exist_ok=True)
        (folder / "mesh.glb").write_bytes(Path(mesh_file).read_bytes())
        (folder / "result.json").write_text(json.dumps({"mesh": "mesh.glb", "label": "Mesh from ComfyUI"}))
        return await _made(out, picture, name, "preview", rigger, seed, author, ["--generated", str(folder), "--again"])


class AvatarForgeReportCard(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AvatarForgeReportCard",
            display_name="Report Card",
            category=CATEGORY,
            description="What the avatar's report card says, and whether it may be promoted",
            inputs=[Avatar.Input("avatar")],
            outputs=[io.String.Output(display_name="report"), io.Boolean.Output(display_name="promotable")],
        )

    @classmethod
    def execute(cls, avatar) -> io.NodeOutput:
        receipt = json.loads(Path(avatar["row"]["files"]["receipt"]).read_text(encoding="utf-8"))
        checks = receipt["report"]["checks"]
        lines = [f"{check['status']}  {check['title']}  {check['figure']}" for check in checks]
        return io.NodeOutput("\n".join(lines), not avatar["row"].get("failed"))


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
        given = [avatar["picture"], "--out", avatar["out"], "--name", avatar["name"], "--bucket", bucket]
        given += ["--endpoint", endpoint] if endpoint else []
        given += ["--prefix", prefix] if prefix else []
        row = await child.batch(given, _progress(), _interrupted())
        return io.NodeOutput(row["promoted"]["key"])


def _rig_inputs() -> list[Any]:
    return [
        io.Combo.Input("rigger", options=["geometric", "unirig", "skintokens"], default="geometric"),
        io.Int.Input("seed", default=0, min=0, max=2**31 - 1),
        io.String.Input("author", default="", optional=True),
    ]


def _avatar_outputs() -> list[Any]:
    return [
        Avatar.Output(display_name="avatar"),
        io.String.Output(display_name="vrm_file"),
        io.Image.Output(display_name="sheet"),
        io.String.Output(display_name="report"),
    ]


async def _made(
    out: Path, picture: Path, name: str, engine: str, rigger: str, seed: int, author: str, more: list[str]
) -> io.NodeOutput:
    if engine != "preview" or rigger != "geometric":  # they need the GPU's memory, which ComfyUI may hold
        import comfy.model_management

        comfy.model_management.unload_all_models()
    given = [str(picture), "--out", str(out), "--name", name, "--engine", engine, "--rigger", rigger]
    given += ["--seed", str(seed), "--author", author, *more]
    row = await child.batch(given, _progress(), _interrupted())
    avatar = {"name": name, "picture": str(picture), "out": str(out), "row": row}
    return io.NodeOutput(avatar, row["files"]["vrm"], _picture(Path(row["files"]["sheet"])), row["note"])


def _prepare(image: Any, name: str) -> tuple[Path, Path]:
    """The avatar's folder, of its own for each picture, and the picture in it. image: (B, H, W, C) from 0 to 1."""
    import folder_paths
    from PIL import Image

    if not name or name != Path(name).name or name.startswith("."):
        raise ValueError("The name is part of file names; use letters, digits, - and _.")
    pixels = (image[0].cpu().numpy() * 255.0 + 0.5).clip(0, 255).astype("uint8")
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()[:12]
    out = Path(folder_paths.get_output_directory()) / "avatars" / f"{name}-{digest}"
    out.mkdir(parents=True, exist_ok=True)
    picture = out / "picture.png"
    if not picture.exists():
        Image.fromarray(pixels).save(picture)
    return out, picture


def _picture(path: Path) -> Any:
    import numpy as np
    import torch
    from PIL import Image

    with Image.open(path) as opened:
        return torch.from_numpy(np.asarray(opened.convert("RGB"), dtype=np.float32) / 255.0)[None]


def _progress():
    execution = getattr(ComfyAPI(), "execution", None)
    if execution is None:  # ComfyUI 0.3 has only the progress bar of the earlier API
        import comfy.utils

        bar = comfy.utils.ProgressBar(100)

    async def progress(fraction: float) -> None:
        if execution is None:
            bar.update_absolute(round(100 * fraction))
        else:
            await execution.set_progress(value=fraction, max_value=1.0)

    return progress


def _interrupted():
    import comfy.model_management

    return comfy.model_management.throw_exception_if_processing_interrupted


class AvatarForge(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [AvatarForgePictureToAvatar, AvatarForgeMeshToAvatar, AvatarForgeReportCard, AvatarForgePromote]


async def comfy_entrypoint() -> AvatarForge:
    return AvatarForge()
