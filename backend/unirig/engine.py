# SPDX-License-Identifier: GPL-3.0-or-later
"""The rigger "unirig": a skeleton and skin weights for any mesh. The module itself needs neither torch nor weights."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines import Progress, Rig, RigRequest
from ..mesh.files import RigArrays, read_mesh, write_rig
from ..models import store
from ..nn.jobs import StageClock, digests_of
from ..options import Choice, Option, check_options, device_option, precision_option
from .model import MODEL

if TYPE_CHECKING:
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
    Option(
        "preset",
        "enum",
        "quality",
        "Search",
        choices=(
            Choice("quality", "Quality", "15 beams, as in the original"),
            Choice("fast", "Fast", "4 beams"),
            Choice("greedy", "Greedy", "Always takes the most likely token. Needs a fifth of the time or less"),
        ),
    ),
    Option(
        "grammar",
        "enum",
        "strict",
        "Grammar",
        choices=(
            Choice("strict", "Strict", "Allows every valid skeleton and no broken one"),
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
        self._pipeline: UniRigPipeline | None = None
        self._made_from: tuple = ()

    def unavailable_reason(self) -> str:
        if importlib.util.find_spec("torch") is None:
            return "PyTorch is not installed in the backend's environment."
        return MODEL.unavailable_reason()

    def rig(self, request: RigRequest, progress: Progress) -> Rig:
        """Writes `rig.npz`. Raises BackendError: bad_params, unknown_device, bad_mesh, no_skeleton, out_of_memory,
        missing_weights, bad_weights.
        """
        options = checked_options(request.options)
        clock = StageClock(progress)
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
            digests_of(own, "*.ckpt") if (own := MODEL.own_folder()) else store.digests(MODEL.name),
        )

    def _ready(self, options: dict[str, Any], progress: Progress) -> UniRigPipeline:
        """The pipeline for the options' device and precision; the last one if it fits and its weights are unchanged."""
        from ..nn.device import choose_device
        from .pipeline import UniRigPipeline, choose_dtype

        device = choose_device(options["device"])
        dtype = choose_dtype(options["dtype"], device)
        progress("weights", 0.0, "Checking the weights")
        if chosen := MODEL.own_folder():
            folder, state = chosen, _stamps(chosen)
        else:
            folder = store.folder(MODEL.name, progress)
            state = {name: digest for name, digest in store.digests(MODEL.name).items() if name.endswith(".ckpt")}
        made_from = (folder, device, dtype, state)
        if self._pipeline is None or made_from != self._made_from:
            self._pipeline = None  # two sets of networks do not fit
            self._pipeline = UniRigPipeline(folder, device, dtype, (lambda *_: None) if chosen else _record)
            self._made_from = made_from
        return self._pipeline


def _record(path: Path, source: str) -> None:
    store.derived(MODEL.name, path, source)


def _stamps(folder: Path) -> dict[str, str]:
    """Size and time of the checkpoints in a folder that `backend.models.store` does not look after."""
    stats = {path: path.stat() for path in sorted(folder.rglob("*")) if path.suffix in (".ckpt", ".json")}
    return {path.relative_to(folder).as_posix(): f"{stat.st_size} {stat.st_mtime_ns}" for path, stat in stats.items()}


def checked_options(given: dict[str, Any]) -> dict[str, Any]:
    """All options with their defaults. Raises BackendError: bad_params, unknown_device."""
    return check_options("UniRig", OPTIONS, given)


def _warnings(result: Rigging, class_name: str) -> list[dict[str, str]]:
    warnings = []
    if result.failures:
        tried = "seed gave" if len(result.failures) == 1 else f"{len(result.failures)} seeds gave"
        message = f"The first {tried} no valid skeleton ({result.failures[-1]}); the next seed was used."
        warnings.append({"code": "seed_changed", "message": message})
    if class_name == "mixamo":
        warnings.append(
            {"code": "untrained_class", "message": "The released UniRig weights were not trained for the class mixamo."}
        )
    if class_name != "articulationxl" and not result.humanoid:
        message = f"UniRig wrote no {class_name} bone names for this mesh; the bones are matched by their shape."
        warnings.append({"code": "no_bone_names", "message": message})
    return warnings
