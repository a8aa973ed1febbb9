# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator "trellis2": pictures of one thing, of any kind, to a mesh with PBR textures. The module itself needs
neither torch nor weights.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines import GeneratedMesh, GenerateRequest, Progress
from ..nn.jobs import StageClock
from ..nn.loaded import Loaded
from ..nn.pulse import pulsing
from ..options import (
    Choice,
    Option,
    Switch,
    check_options,
    device_option,
    height_option,
    memory_option,
    pictures_option,
)
from .model import MODEL

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from .pipeline import Result, Settings, Trellis2Pipeline

VIEWS = 16
SAMPLING = Switch("own_sampling", "Custom Steps", "Use your own steps and guidance instead of the checkpoint's")


def _sampling(stage: str, words: str, steps: int, guidance: float) -> tuple[Option, Option]:
    """Steps and guidance of one sampler; what is not given is as the checkpoint says."""
    return (
        Option(
            f"{stage}_steps",
            "int",
            label=f"{stage.capitalize()} Steps",
            help=f"Sampling steps for {words}",
            low=1,
            high=200,
            initial=steps,
            switch=SAMPLING,
            advanced=True,
        ),
        Option(
            f"{stage}_guidance",
            "float",
            label=f"{stage.capitalize()} Guidance",
            help=f"Guidance for {words}. 1 is no guidance; higher values follow the picture more closely",
            low=0,
            high=30,
            initial=guidance,
            digits=1,
            switch=SAMPLING,
            advanced=True,
        ),
    )


OPTIONS = (
    Option(
        "preset",
        "enum",
        "fast",
        "Quality",
        choices=(
            Choice("fast", "Fast", "Surface with 512 voxels per side"),
            Choice("quality", "Quality", "Refined to 1024 voxels per side. Takes about five times as long"),
        ),
    ),
    height_option(),
    Option("faces", "int", 50_000, "Triangles", "Number that the mesh is simplified to", low=500, high=1_000_000),
    Option(
        "texture_size",
        "int",
        2048,
        "Texture Size",
        "Width and height of the baked textures, in pixels",
        low=512,
        high=4096,
        unit="px",
    ),
    memory_option(),
    *_sampling("structure", "the structure", 12, 7.5),
    *_sampling("shape", "the surface", 12, 7.5),
    *_sampling("texture", "the colours", 12, 1.0),
    Option(
        "resolution",
        "enum",
        choices=tuple(Choice(way, way) for way in ("512", "1024", "1024_cascade", "1536_cascade")),
        shown=False,
    ),
    Option(
        "multi_image",
        "enum",
        "average",
        choices=(
            Choice("average", "Average"),
            Choice("stochastic", "Stochastic"),
            Choice("multidiffusion", "Multidiffusion"),
        ),
        shown=False,
    ),
    device_option(),
    Option(
        "dtype",
        "enum",
        "auto",
        "Precision",
        choices=(
            Choice("auto", "Automatic", "Half precision on a GPU that supports bfloat16, else single precision"),
            Choice("bf16", "Half (bfloat16)"),
            Choice("fp32", "Single (fp32)", "Twice the memory"),
        ),
        advanced=True,
    ),
    pictures_option(VIEWS),
)
VARIABLE = MODEL.variable
# Shares of the progress bar: by the arithmetic of a middling GPU, see docs/performance.md.
WEIGHTS, PICTURES, NETWORKS, SURFACE = (0.0, 0.02), (0.02, 0.04), (0.04, 0.75), (0.75, 1.0)


class Trellis2Generator:
    """`backend.engines.Generator`. Options: see OPTIONS; `pictures` are further views of the same thing.

    Networks stay loaded between jobs as the memory plan allows.
    """

    name = "trellis2"
    label = "TRELLIS.2-4B"
    options = OPTIONS
    models = (MODEL,)
    views = VIEWS

    def __init__(self) -> None:
        self._loaded: Loaded[Trellis2Pipeline] = Loaded(MODEL)

    def unavailable_reason(self) -> str:
        return self._loaded.unavailable_reason()

    def generate(self, request: GenerateRequest, progress: Progress) -> GeneratedMesh:
        """Raises BackendError: bad_params, unknown_device, missing_weights, bad_weights, out_of_memory,
        empty_structure, and those of `prepare`.
        """
        options = check_options("TRELLIS.2", OPTIONS, request.options)
        with pulsing(progress) as told:
            return self._generate(request, options, StageClock(told))

    def _generate(self, request: GenerateRequest, options: dict[str, Any], clock: StageClock) -> GeneratedMesh:
        from .pipeline import Trellis2Pipeline, choose_dtype  # torch comes with it, and only now

        pipeline = self._loaded.pipeline(options, choose_dtype, Trellis2Pipeline, clock.part(*WEIGHTS))
        clock("picture", PICTURES[0], "Cutting the subject out")
        pictures = [prepare(path) for path in [request.picture, *request.pictures.values(), *options["pictures"]]]
        given = {name: value for name, value in options.items() if value is not None}
        settings = pipeline.settings(request.seed, given)
        result = pipeline.run(pictures, settings, clock.part(*NETWORKS))
        return self._finish(request, result, options, settings, clock)

    def _finish(
        self,
        request: GenerateRequest,
        result: Result,
        options: dict[str, Any],
        settings: Settings,
        clock: StageClock,
    ) -> GeneratedMesh:
        from ..geometric.carried import carried_landmarks
        from ..mesh.glb import write_glb
        from .finish import finish

        vertices, triangles = (part.cpu().numpy() for part in (result.mesh.vertices, result.mesh.faces))
        part = clock.part(*SURFACE)
        faces, size = options["faces"], options["texture_size"]
        made = finish(vertices, triangles, _lookup(result), faces, size, options["height"], part)
        part("landmarks", 0.9, "Carrying joints and face over from the picture")
        landmarks = carried_landmarks(request.picture, request.markers, made.vertices, made.triangles)
        part("write", 0.95, "Writing the mesh")
        images = made.images
        path = write_glb(
            request.out_dir / "mesh.glb",
            made.vertices,
            made.triangles,
            made.normals,
            made.corner_uvs,
            images.base_rgba,
            images.metallic_roughness,
            images.normal,
        )
        metrics = {
            "tokens": result.tokens,
            "voxels": len(result.voxels),
            "resolution": result.resolution,
            "dense_face_count": len(triangles),
            "shell_face_count": made.shell_faces,
            "vertex_count": len(made.vertices),
            "face_count": len(made.triangles),
            "texture_resolution": size,
        }
        used = {name: options[name] for name in ("preset", "faces", "texture_size", "height", "multi_image")}
        used["resolution"] = settings.way
        for stage, sampler in settings.samplers.items():
            used |= {f"{stage}_steps": sampler.steps, f"{stage}_guidance": sampler.guidance_strength}
        return GeneratedMesh(
            path,
            self.label,
            landmarks,
            {name: float(value) for name, value in metrics.items()} | clock.seconds(),
            weights=self._loaded.published(),
            settings=used,
        )


def prepare(path: str | Path) -> Image.Image:
    """The picture at `path` -> square RGB, its subject on black.

    A cut-out picture's alpha is used as it is; else the background goes, with a matting network where one is
    installed and by its colour where it is plain. Raises BackendError: unreadable, too_large, too_small, empty_mask,
    background (not plain, and no network).
    """
    from ..image.load import load_picture
    from ..trellis.pictures import cut_out, large_enough
    from .preprocess import crop_subject

    return crop_subject(large_enough(cut_out(load_picture(Path(path)).rgba)))


def _lookup(result: Result) -> Callable[[np.ndarray], np.ndarray]:
    """Attributes at points in world axes, on the device that has them; once that is full, on the processor."""
    import torch

    from ..nn.memory import out_of_memory
    from ..nn.sparse import Voxels
    from .attributes import sample_attributes

    voxels, attributes = result.voxels, result.attributes

    def lookup(points: np.ndarray) -> np.ndarray:
        nonlocal voxels, attributes
        at = torch.from_numpy(points).float()
        try:
            found = sample_attributes(at.to(attributes.device), voxels, attributes, result.resolution)
        except Exception as error:
            if not out_of_memory(error) or attributes.device.type == "cpu":
                raise
            voxels, attributes = Voxels(voxels.coords.cpu()), attributes.cpu()
            found = sample_attributes(at, voxels, attributes, result.resolution)
        return found.cpu().numpy()

    return lookup
