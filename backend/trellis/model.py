# SPDX-License-Identifier: GPL-3.0-or-later
"""The published checkpoint that the engine runs: its files, their digests and licences."""

from __future__ import annotations

from pathlib import Path

from ..models import store
from ..models.store import File, Model, Source


def _refuse_folder(folder: Path) -> str:
    found = (folder / "pipeline.json").is_file()
    return "" if found else f"There is no pipeline.json in {folder} (AVATAR_FORGE_TRELLIS)."


def _network(name: str, size: int, sha256: str = "") -> tuple[File, File]:
    return File(f"ckpts/{name}.json"), File(f"ckpts/{name}.safetensors", size, sha256)


MODEL = store.declare(
    Model(
        "trellis",
        "TRELLIS image-large (picture to mesh)",
        (
            Source(
                "microsoft/TRELLIS-image-large",
                "25e0d31ffbebe4b5a97464dd851910efc3002d96",
                "MIT",
                (
                    File("pipeline.json"),
                    *_network(
                        "ss_flow_img_dit_L_16l8_fp16",
                        1130770840,
                        "96dc6bfd4136fd950af564dd16b4ae533c9ba6af8f26c670646b2a9f2789b1db",
                    ),
                    *_network(
                        "ss_dec_conv3d_16l8_fp16",
                        147591972,
                        "1c76d4a40519aa2d711cc263a8404105231ac26db31d946bed48b84fee79009a",
                    ),
                    *_network(
                        "slat_flow_img_dit_L_64l8p2_fp16",
                        1203755136,
                        "693fb2a58ad497bd222007301eeec49d14d60f8c12d2f2f00c221fa747b4c66c",
                    ),
                    *_network(
                        "slat_dec_mesh_swin8_B_64l8m256c_fp16",
                        181903412,
                        "3e87aba94b5786407eb06d0502c1ed0885a0027a3f2b8537bfe15b0a92c01859",
                    ),
                    *_network("slat_dec_gs_swin8_B_64l8gs32_fp16", 171450952),
                ),
            ),
            # The image encoder is not part of that repository. This is its publisher's re-host as safetensors; the
            # original is a pickle.
            Source(
                "facebook/dinov2-with-registers-large",
                "e4c89a4e05589de9b3e188688a303d0f3c04d0f3",
                "Apache-2.0",
                (File("config.json"), File("model.safetensors")),
                into="dinov2",
            ),
        ),
        about=4_050_000_000,
        refuse_folder=_refuse_folder,
    )
)
