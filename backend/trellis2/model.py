# SPDX-License-Identifier: GPL-3.0-or-later
"""The published checkpoint that the engine runs: its files and licences."""

from __future__ import annotations

from pathlib import Path

from ..models import store
from ..models.store import File, Model, Source

TERMS = Path(__file__).with_name("licences")


def _refuse_folder(folder: Path) -> str:
    found = (folder / "pipeline.json").is_file()
    return "" if found else f"There is no pipeline.json in {folder} (AVATAR_FORGE_TRELLIS2)."


def _network(name: str, size: int = 0, sha256: str = "") -> tuple[File, File]:
    return File(f"ckpts/{name}.json"), File(f"ckpts/{name}.safetensors", size, sha256)


# No commit and no digest of the first and the last repository could be had where this was written: what "main" means at
# the first download is kept in the lock, with the digests that the hub announces then.
MODEL = store.declare(
    Model(
        "trellis2",
        "TRELLIS.2-4B (picture to mesh with PBR textures)",
        (
            Source(
                "microsoft/TRELLIS.2-4B",
                "main",
                "MIT",
                (
                    File("pipeline.json"),
                    *_network("ss_flow_img_dit_1_3B_64_bf16"),
                    *_network("slat_flow_img2shape_dit_1_3B_512_bf16"),
                    *_network("slat_flow_img2shape_dit_1_3B_1024_bf16"),
                    *_network("slat_flow_imgshape2tex_dit_1_3B_512_bf16"),
                    *_network("slat_flow_imgshape2tex_dit_1_3B_1024_bf16"),
                    *_network("shape_dec_next_dc_f16c32_fp16"),
                    *_network("tex_dec_next_dc_f16c32_fp16"),
                ),
            ),
            # The structure decoder is the first TRELLIS's; where that model is here, its file is used.
            Source(
                "microsoft/TRELLIS-image-large",
                "25e0d31ffbebe4b5a97464dd851910efc3002d96",
                "MIT",
                _network(
                    "ss_dec_conv3d_16l8_fp16",
                    147591972,
                    "1c76d4a40519aa2d711cc263a8404105231ac26db31d946bed48b84fee79009a",
                ),
                into="TRELLIS-image-large",
            ),
            # The image encoder from an ungated copy; its publisher's own repository asks for a login.
            Source(
                "timm/vit_large_patch16_dinov3.lvd1689m",
                "main",
                "DINOv3 License",
                (File("config.json"), File("model.safetensors")),
                into="dinov3",
                terms=TERMS / "DINOv3.md",
            ),
        ),
        about=16_200_000_000,
        refuse_folder=_refuse_folder,
    )
)
