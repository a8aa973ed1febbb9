# SPDX-License-Identifier: GPL-3.0-or-later
"""The rigger "unirig": a skeleton and skin weights for any mesh. The module itself needs neither torch nor weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines import Progress, Rig, RigRequest
from ..mesh.files import RigArrays, read_mesh, write_rig
from ..nn.jobs import StageClock, seed_changed
from ..nn.loaded import Loaded
from ..nn.pulse import pulsing
from ..options import Choice, Option, check_options, device_option, precision_option, search_option
from .model import MODEL

if TYPE_CHECKING:
    import torch

    from .pipeline import Rigging, UniRigPipeline

OPTIONS = (
    Option(
        "class",
        "enum",
        "articulationxl",
        "Skeleton",
        choices=(
            Choice("articulationxl", "Articulation-XL", "Any skeleton; its bones are matched by their shape"),
            Choice("vroid", "VRoid", "A character's 52 named bones"),
            Choice("mixamo", "Mixamo", "Mixamo's bones; the released weights were not trained for it"),
        ),
        attribute="bone_class",
    ),
    Option(
        "skeleton_seed",
        "seed",
        label="Skeleton Seed",
        help="A different number gives a different skeleton for the same mesh",
    ),
    search_option("15 beams, as in the original"),
    Option(
        "grammar",
        "enum",
        "strict",
        "Grammar",
        choices=(
            Choice("strict", "Strict", "Allows every valid skeleton and no invalid one"),
            Choice("upstream", "As Shipped", "As in the original, with its two defects"),
        ),
        advanced=True,
    ),
    Option(
        "attempts",
        "int",
        3,
        "Attempts",
        "Number of seeds to try until a skeleton is valid",
        low=1,
        high=20,
        advanced=True,
    ),
    Option("max_tokens", "int", 2048, low=16, high=2048, shown=False),
    device_option(),
    precision_option(),
)
VARIABLE = MODEL.variable
WEIGHTS, WORK = (0.0, 0.03), (0.03, 0.98)


class UniRigRigger:
    """`backend.engines.Rigger`. Options: see OPTIONS. Known joints of the request are not used: the network places
    its own.
    """

    name = "unirig"
    label = "UniRig"
    options = OPTIONS
    models = (MODEL,)

    def __init__(self) -> None:
        self._loaded: Loaded[UniRigPipeline] = Loaded(MODEL, converted=True)

    def unavailable_reason(self) -> str:
        return self._loaded.unavailable_reason()

    def rig(self, request: RigRequest, progress: Progress) -> Rig:
        """Writes `rig.npz`. Raises BackendError: bad_params, unknown_device, bad_mesh, no_skeleton, out_of_memory,
        missing_weights, bad_weights.
        """
        options = checked_options(request.options)
        with pulsing(progress) as told:
            return self._rig(request, options, StageClock(told))

    def _rig(self, request: RigRequest, options: dict[str, Any], clock: StageClock) -> Rig:
        clock("read", 0.0, "Reading the mesh")
        mesh = read_mesh(request.mesh)
        pipeline = self._ready(options, clock.part(*WEIGHTS))
        from .pipeline import PRESETS, Settings

        decoding = replace(PRESETS[options["preset"]], max_new_tokens=options["max_tokens"])
        settings = Settings(
            request.seed, options["class"], decoding, options["grammar"] == "strict", options["attempts"]
        )
        result = pipeline.run(mesh.vertices, mesh.triangles, settings, clock.part(*WORK))
        clock("write", WORK[1], "Writing the rig")
        path = request.out_dir / "rig.npz"
        arrays = RigArrays(
            result.joints, result.tails, result.parents, result.names, result.weight_joint, result.weight
        )
        write_rig(path, arrays)
        metrics = {"vertices": len(mesh.vertices), "bones": len(result.names), "tokens": result.tokens}
        metrics["attempts"] = len(result.failures) + 1
        return Rig(
            path,
            self.label,
            result.humanoid,
            {name: float(value) for name, value in metrics.items()} | clock.seconds(),
            _warnings(result, options["class"]),
            self._loaded.published(),
        )

    def _ready(self, options: dict[str, Any], progress: Progress) -> UniRigPipeline:
        from .pipeline import UniRigPipeline, choose_dtype

        def make(folder: Path, device: torch.device, dtype: torch.dtype) -> UniRigPipeline:
            return UniRigPipeline(folder, device, dtype, self._loaded.record)

        return self._loaded.pipeline(options, choose_dtype, make, progress)


def checked_options(given: dict[str, Any]) -> dict[str, Any]:
    """All options with their defaults. Raises BackendError: bad_params, unknown_device."""
    return check_options("UniRig", OPTIONS, given)


def _warnings(result: Rigging, class_name: str) -> list[dict[str, str]]:
    warnings = seed_changed(result.failures)
    if class_name == "mixamo":
        warnings.append(
            {"code": "untrained_class", "message": "The released UniRig weights were not trained for the class mixamo."}
        )
    if class_name != "articulationxl" and not result.humanoid:
        message = f"UniRig wrote no {class_name} bone names for this mesh; the bones are matched by their shape."
        warnings.append({"code": "no_bone_names", "message": message})
    return warnings
