# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator "trellis": pictures of one thing, of any kind, to a textured mesh. The module itself needs neither
torch nor weights.
"""

from __future__ import annotations

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
    precision_option,
)
from .model import MODEL

if TYPE_CHECKING:
    from .pipeline import Result, Settings, TrellisPipeline

VIEWS = 16
SAMPLING = Switch("own_sampling", "Custom Steps", "Use your own steps and guidance instead of the preset's")
OPTIONS = (
    Option(
        "preset",
        "enum",
        "fast",
        "Sampling",
        choices=(
            Choice("fast", "Fast", "12 + 12 sampling steps"),
            Choice("quality", "Quality", "25 + 25 sampling steps with the checkpoint's guidance. Takes twice as long"),
        ),
    ),
    height_option(),
    Option("faces", "int", 30_000, "Triangles", "Number that the mesh is simplified to", low=500, high=500_000),
    Option(
        "texture_size",
        "int",
        1024,
        "Texture Size",
        "Width and height of the baked texture, in pixels",
        low=512,
        high=4096,
        unit="px",
    ),
    memory_option(),
    # What the preset decides unless it is given.
    Option(
        "structure_steps",
        "int",
        label="Structure Steps",
        help="Sampling steps for the shape",
        low=1,
        high=200,
        initial=12,
        switch=SAMPLING,
        advanced=True,
    ),
    Option(
        "structure_cfg",
        "float",
        label="Guidance",
        help="How closely the shape follows the picture",
        low=0,
        high=30,
        initial=7.5,
        digits=1,
        switch=SAMPLING,
        advanced=True,
    ),
    Option(
        "latent_steps",
        "int",
        label="Latent Steps",
        help="Sampling steps for details and colours",
        low=1,
        high=200,
        initial=12,
        switch=SAMPLING,
        advanced=True,
    ),
    Option(
        "latent_cfg",
        "float",
        label="Guidance",
        help="How closely details and colours follow the picture",
        low=0,
        high=30,
        initial=3.0,
        digits=1,
        switch=SAMPLING,
        advanced=True,
    ),
    Option(
        "multi_image",
        "enum",
        "stochastic",
        choices=(Choice("stochastic", "Stochastic"), Choice("multidiffusion", "Multidiffusion")),
        shown=False,
    ),
    device_option(),
    precision_option(),
    pictures_option(VIEWS),
)
VARIABLE = MODEL.variable
# Shares of the progress bar: measured on nothing but the arithmetic of a middling GPU, see docs/performance.md.
WEIGHTS, PICTURES, NETWORKS, SURFACE = (0.0, 0.02), (0.02, 0.04), (0.04, 0.7), (0.7, 1.0)


class TrellisGenerator:
    """`backend.engines.Generator`. Options: see OPTIONS; `pictures` are further views of the same thing.

    Networks stay loaded between jobs as the memory plan allows.
    """

    name = "trellis"
    label = "TRELLIS image-large"
    options = OPTIONS
    models = (MODEL,)
    views = VIEWS

    def __init__(self) -> None:
        self._loaded: Loaded[TrellisPipeline] = Loaded(MODEL)

    def unavailable_reason(self) -> str:
        return self._loaded.unavailable_reason()

    def generate(self, request: GenerateRequest, progress: Progress) -> GeneratedMesh:
        """Raises BackendError: bad_params, unknown_device, missing_weights, bad_weights, out_of_memory,
        empty_structure, and those of `backend.trellis.pictures.prepare`.
        """
        options = checked_options(request.options)
        with pulsing(progress) as told:
            return self._generate(request, options, StageClock(told))

    def _generate(self, request: GenerateRequest, options: dict[str, Any], clock: StageClock) -> GeneratedMesh:
        from ..nn.precision import choose_dtype  # torch comes with these, and only now
        from .pictures import prepare
        from .pipeline import TrellisPipeline

        pipeline = self._loaded.pipeline(options, choose_dtype, TrellisPipeline, clock.part(*WEIGHTS))
        clock("picture", PICTURES[0], "Cutting the subject out")
        pictures = [prepare(path) for path in [request.picture, *request.pictures.values(), *options["pictures"]]]
        settings = pipeline.settings(
            request.seed, {name: value for name, value in options.items() if value is not None}
        )
        result = pipeline.run(pictures, settings, clock.part(*NETWORKS))
        return self._finish(result, options, settings, request.out_dir, clock)

    def _finish(
        self, result: Result, options: dict[str, Any], settings: Settings, out_dir: Path, clock: StageClock
    ) -> GeneratedMesh:
        from ..mesh.bake import GaussianCloud
        from ..mesh.glb import write_glb
        from .finish import finish

        g = result.gaussians
        parts = (g.xyz, g.scaling, g.rotation, g.opacity[:, 0], g.colour)
        cloud = GaussianCloud(*(part.float().cpu().numpy() for part in parts))
        vertices, triangles = (part.cpu().numpy() for part in (result.mesh.vertices, result.mesh.faces))
        metrics = {"voxels": result.voxels, "gaussians": len(cloud.xyz), "dense_face_count": len(triangles)}
        part = clock.part(*SURFACE)
        made = finish(vertices, triangles, cloud, options["faces"], options["texture_size"], options["height"], part)
        part("write", 0.95, "Writing the mesh")
        path = write_glb(
            out_dir / "mesh.glb", made.vertices, made.triangles, made.normals, made.corner_uvs, made.texture
        )
        metrics |= {
            "vertex_count": len(made.vertices),
            "face_count": len(made.triangles),
            "texture_resolution": options["texture_size"],
        }
        all_metrics = {name: float(value) for name, value in metrics.items()} | clock.seconds()
        used = {name: options[name] for name in ("preset", "faces", "texture_size", "height")} | {
            "structure_steps": settings.structure.steps,
            "structure_cfg": settings.structure.cfg_strength,
            "latent_steps": settings.latent.steps,
            "latent_cfg": settings.latent.cfg_strength,
        }
        return GeneratedMesh(path, self.label, metrics=all_metrics, weights=self._loaded.published(), settings=used)


def checked_options(given: dict[str, Any]) -> dict[str, Any]:
    """All options, typed; None where the preset decides. Raises BackendError: bad_params, unknown_device."""
    return check_options("TRELLIS", OPTIONS, given)
