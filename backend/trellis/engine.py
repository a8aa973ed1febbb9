# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator "trellis": pictures of one thing, of any kind, to a textured mesh. The module itself needs neither
torch nor weights.
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines import GeneratedMesh, GenerateRequest, Progress
from ..errors import BackendError
from ..models import store
from ..nn.jobs import StageClock, digests_of

if TYPE_CHECKING:
    from .pipeline import Result, Settings, TrellisPipeline

# A checkpoint folder of the published layout (pipeline.json, ckpts/) to use instead of the downloaded model.
VARIABLE = "AVATAR_FORGE_TRELLIS"

# Name -> (default, what it may be): a tuple of words, or (type, lowest, highest). None means: what the preset says.
OPTIONS: dict[str, tuple[Any, tuple]] = {
    "preset": ("fast", ("fast", "quality")),
    "structure_steps": (None, (int, 1, 200)),
    "latent_steps": (None, (int, 1, 200)),
    "structure_cfg": (None, (float, 0, 30)),
    "latent_cfg": (None, (float, 0, 30)),
    "multi_image": ("stochastic", ("stochastic", "multidiffusion")),
    "faces": (30_000, (int, 500, 500_000)),
    "texture_size": (1024, (int, 512, 4096)),
    "height": (1.6, (float, 0.2, 10)),
    "memory": ("auto", ("auto", "low", "high")),
    "dtype": ("auto", ("auto", "fp16", "bf16", "fp32")),
    "device": ("auto", ()),
    "pictures": ([], ()),
}
MAX_PICTURES = 16
DEVICE = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d{1,2})?")
# Shares of the progress bar: measured on nothing but the arithmetic of a middling GPU, see docs/performance.md.
WEIGHTS, PICTURES, NETWORKS, SURFACE = (0.0, 0.02), (0.02, 0.04), (0.04, 0.7), (0.7, 1.0)


class TrellisGenerator:
    """`backend.engines.Generator`. Options: see OPTIONS; `pictures` are absolute paths of further views of the same
    thing.

    Networks stay loaded between jobs as the memory plan allows.
    """

    name = "trellis"
    label = "TRELLIS image-large"

    def __init__(self) -> None:
        self._pipeline: TrellisPipeline | None = None
        self._made_from: tuple = ()
        self._digests: dict[str, str] = {}

    def unavailable_reason(self) -> str:
        if importlib.util.find_spec("torch") is None:
            return "PyTorch is not installed in the backend's environment."
        folder = own_checkpoint()
        if folder is None:
            return store.unavailable_reason("trellis")
        return folder_reason(folder)

    def generate(self, request: GenerateRequest, progress: Progress) -> GeneratedMesh:
        """Raises BackendError: bad_params, unknown_device, missing_weights, bad_weights, out_of_memory,
        empty_structure, and those of `backend.trellis.pictures.prepare`.
        """
        options = checked_options(request.options)
        clock = StageClock(progress)
        from .pictures import prepare  # torch comes with these, and only now

        pipeline = self._ready(options, clock.part(*WEIGHTS))
        clock("picture", PICTURES[0], "Cutting the subject out")
        pictures = [prepare(path) for path in [request.picture, *request.pictures.values(), *options["pictures"]]]
        settings = pipeline.settings(
            request.seed, {name: value for name, value in options.items() if value is not None}
        )
        result = pipeline.run(pictures, settings, clock.part(*NETWORKS))
        return self._finish(result, options, settings, request.out_dir, clock)

    def _ready(self, options: dict[str, Any], progress: Progress) -> TrellisPipeline:
        """The pipeline for the options' device and precision; the last one if it fits and its weights are unchanged."""
        from ..nn.device import choose_device
        from ..nn.precision import choose_dtype
        from .pipeline import TrellisPipeline

        device = choose_device(options["device"])
        dtype = choose_dtype(options["dtype"], device)
        progress("weights", 0.0, "Checking the weights")
        own = own_checkpoint()
        folder = own or store.folder("trellis", progress)
        digests = digests_of(own) if own else store.digests("trellis")
        made_from = (folder, device, dtype, digests)
        if self._pipeline is None or made_from != self._made_from:
            self._pipeline = None  # two sets of networks do not fit
            self._pipeline = TrellisPipeline(folder, device, dtype)
            self._made_from, self._digests = made_from, digests
        return self._pipeline

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
        return GeneratedMesh(path, self.label, metrics=all_metrics, weights=self._digests, settings=used)


def checked_options(given: dict[str, Any]) -> dict[str, Any]:
    """All options, typed; None where the preset decides. Raises BackendError: bad_params, unknown_device."""
    options = {name: default for name, (default, _) in OPTIONS.items()}
    for name, value in given.items():
        if name not in OPTIONS:
            raise BackendError(
                "bad_params", f"The TRELLIS engine has no option {name[:40]!r}.", f"It has {', '.join(OPTIONS)}."
            )
        if value is not None:
            options[name] = _checked(name, value)
    return options


def _checked(name: str, value: Any) -> Any:
    allowed = OPTIONS[name][1]
    if name == "device":
        if not isinstance(value, str) or not DEVICE.fullmatch(value):
            raise BackendError(
                "unknown_device", f"There is no device {str(value)[:40]!r}.", "Choose auto, cuda, cuda:N, mps or cpu."
            )
        return value
    if name == "pictures":
        fits = isinstance(value, list) and len(value) < MAX_PICTURES
        if not fits or not all(
            isinstance(path, str) and Path(path).is_absolute() and "\0" not in path for path in value
        ):
            raise _wrong(name, f"a list of at most {MAX_PICTURES - 1} absolute paths")
        return [Path(path) for path in value]
    if not isinstance(allowed[0], type):
        if value not in allowed:
            raise _wrong(name, f"one of {', '.join(allowed)}")
        return value
    kind, low, high = allowed
    whole = kind is int and isinstance(value, float) and not value.is_integer()
    if isinstance(value, bool) or not isinstance(value, int | float) or whole or not low <= value <= high:
        raise _wrong(name, f"a {'whole ' if kind is int else ''}number from {low} to {high}")
    return kind(value)


def _wrong(name: str, wanted: str) -> BackendError:
    return BackendError("bad_params", f"The option {name!r} must be {wanted}.", "Correct it and try again.")


def folder_reason(folder: Path) -> str:
    """One sentence why a checkpoint folder of the user's own will not do, else ""."""
    return "" if (folder / "pipeline.json").is_file() else f"There is no pipeline.json in {folder} ({VARIABLE})."


def own_checkpoint() -> Path | None:
    """The folder named by AVATAR_FORGE_TRELLIS, if any."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen) if chosen else None
