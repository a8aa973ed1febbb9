# SPDX-License-Identifier: GPL-3.0-or-later
"""What the nodes share: an avatar on its way between them, its folder, and the batch that makes a part of it.

An avatar is {"name"; "source": the picture, or the .blend file of the step before; "more": further arguments of the
batch for that source; "out": the folder of the finished avatar; "row": the batch's of it}.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from comfy_api.v0_0_2 import ComfyAPI, Types, io

from . import child, glb

CATEGORY = "Avatar Forge"
Avatar = io.Custom("AVATAR_FORGE_AVATAR")
ENGINES = ["preview", "trellis", "trellis2"]
RIGGERS = ["geometric", "unirig", "skintokens"]
SEEDS = {"default": 0, "min": 0, "max": 2**31 - 1}
MODEL_FILES = (io.File3DGLB, io.File3DGLTF, io.File3DFBX, io.File3DOBJ, io.File3DAny, io.Mesh)


def model_input() -> Any:
    text = io.String.Input("mesh", default="", tooltip="A 3D file, a mesh, or a path below ComfyUI's input folder")
    return io.MultiType.Input(text, types=list(MODEL_FILES))


def new(image: Any, name: str) -> dict[str, Any]:
    """An avatar of a picture. image: (B, H, W, C) from 0 to 1."""
    from PIL import Image

    if not name or name != Path(name).name or name.startswith("."):
        raise ValueError("The name is part of file names; use letters, digits, - and _.")
    pixels = (image[0].cpu().numpy() * 255.0 + 0.5).clip(0, 255).astype("uint8")
    folder = _folder("temp", "avatar-forge-pictures", hashlib.sha256(pixels.tobytes()).hexdigest()[:16])
    picture = folder / "picture.png"
    if not picture.exists():
        part = folder / ".picture.png"
        Image.fromarray(pixels).save(part, "PNG")
        part.replace(picture)
    return {"name": name, "source": str(picture), "more": []}


def with_model(avatar: dict[str, Any], mesh: Any) -> dict[str, Any]:
    """The avatar with a 3D file, the path of one, or a MESH in place of a generator's."""
    folder = Path(avatar["source"]).parent
    if isinstance(mesh, str):
        import folder_paths

        mesh = Types.File3D(str(Path(folder_paths.get_input_directory(), mesh)))
        if not Path(mesh.get_source()).is_file():
            raise ValueError(f"There is no file {mesh.get_source()}; choose another one.")
    if isinstance(mesh, Types.File3D):
        if mesh.format not in ("glb", "gltf", "fbx", "obj", "ply", "vrm"):
            raise ValueError(f"A file of the type {mesh.format or 'unknown'} cannot be used; use GLB, FBX, OBJ or PLY.")
        path = Path(mesh.save_to(str(folder / f"model.{mesh.format}")))
    else:
        path = glb.write(mesh, folder / "model.glb")
    path = path.replace(path.with_stem(f"model-{_digest(path)[:16]}"))
    return avatar | {"more": ["--mesh", str(path)]}


async def part(avatar: dict[str, Any], until: str, *arguments: str, model: bool = False) -> io.NodeOutput:
    """The avatar after the step `until`, and its GLB. model: the step needs the GPU's memory."""
    out = _folder("temp", "avatar-forge-steps", _key(avatar, until, arguments))
    row = await _batch(avatar, out, ["--until", until, "--again", *arguments], model)
    ready = {"name": avatar["name"], "source": row["files"]["blend"], "more": []}
    return io.NodeOutput(ready, Types.File3D(row["files"]["mesh"], "glb"))


async def whole(avatar: dict[str, Any], *arguments: str, model: bool = False) -> io.NodeOutput:
    """The finished avatar and its files, in ComfyUI's output folder. What was made before is kept."""
    out = _folder("output", "avatars", f"{avatar['name']}-{_key(avatar, '', arguments)}")
    row = await _batch(avatar, out, list(arguments), model)
    vrm = Path(row["files"]["vrm"])
    ready = avatar | {"out": str(out), "row": row}
    files = (Types.File3D(str(vrm), "vrm"), Types.File3D(str(vrm), "glb"))
    return io.NodeOutput(ready, *files, str(vrm), _picture(Path(row["files"]["sheet"])), row["note"])


def whole_outputs() -> list[Any]:
    return [
        Avatar.Output(display_name="avatar"),
        io.File3DAny.Output(display_name="vrm"),
        io.File3DGLB.Output(display_name="glb", tooltip="The same file, for Preview 3D"),
        io.String.Output(display_name="vrm_file"),
        io.Image.Output(display_name="sheet"),
        io.String.Output(display_name="report"),
    ]


def part_outputs() -> list[Any]:
    return [Avatar.Output(display_name="avatar"), io.File3DGLB.Output(display_name="glb")]


async def promoted(avatar: dict[str, Any], *arguments: str) -> dict[str, Any]:
    """The batch's row of a finished avatar, which it keeps and promotes once. Raises ValueError for a part."""
    return await _batch(avatar, Path(finished(avatar)["out"]), list(arguments), False)


def finished(avatar: dict[str, Any]) -> dict[str, Any]:
    if "row" not in avatar:
        raise ValueError("The avatar has no VRM file yet; put the node VRM before this one.")
    return avatar


async def _batch(avatar: dict[str, Any], out: Path, arguments: list[str], model: bool) -> dict[str, Any]:
    if model:  # ComfyUI may hold the GPU's memory
        import comfy.model_management

        comfy.model_management.unload_all_models()
    given = [avatar["source"], *avatar["more"], "--out", str(out), "--name", avatar["name"], *arguments]
    return await child.batch(given, _progress(), _interrupted())


def _key(avatar: dict[str, Any], until: str, arguments: tuple[str, ...]) -> str:
    """Of everything that the files depend on, so that other settings do not find them made."""
    given = [avatar["name"], _digest(Path(avatar["source"])), [Path(word).name for word in avatar["more"]]]
    return hashlib.sha256(json.dumps([given, until, arguments]).encode()).hexdigest()[:12]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _folder(kind: str, *names: str) -> Path:
    import folder_paths

    root = folder_paths.get_temp_directory() if kind == "temp" else folder_paths.get_output_directory()
    folder = Path(root, *names)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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
