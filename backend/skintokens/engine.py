# SPDX-License-Identifier: GPL-3.0-or-later
"""The rigger "skintokens": skin weights for a humanoid skeleton that is placed in the mesh, or a skeleton of the
network's own. The module itself needs neither torch nor weights.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines import Progress, Rig, RigRequest
from ..mesh.files import MeshArrays, RigArrays, read_mesh, write_rig
from ..nn.jobs import StageClock, seed_changed
from ..nn.loaded import Loaded
from ..nn.pulse import pulsing
from ..options import Choice, Option, check_options, device_option, precision_option, search_option
from .model import MODEL

if TYPE_CHECKING:
    import torch

    from .humanoid import Placed
    from .pipeline import Rigging, SkinTokensPipeline

OPTIONS = (
    Option(
        "skeleton",
        "enum",
        "humanoid",
        "Skeleton",
        choices=(
            Choice("humanoid", "Humanoid", "The avatar's own joints, or those found in the mesh, as VRM bones"),
            Choice("free", "Free", "The network's own joints; bones are matched by their shape"),
        ),
    ),
    search_option("10 beams, as in the original"),
    Option(
        "mask",
        "bool",
        False,
        "Mask by Distance",
        "Use distances inside the body to keep weights from crossing gaps, such as those between fingers",
    ),
    Option(
        "points",
        "enum",
        "auto",
        "Points",
        choices=(
            Choice("auto", "Automatic", "Vertices on the processor if there are fewer of them, else the surface"),
            Choice(
                "surface",
                "Surface",
                ("Compute weights for 54,000 surface points, as in the original, and transfer them to the vertices"),
            ),
            Choice(
                "vertices", "Vertices", ("Compute weights for the vertices themselves, without smoothing across gaps")
            ),
        ),
        advanced=True,
    ),
    Option(
        "class",
        "enum",
        "articulation",
        "Trained On",
        choices=(
            Choice("articulation", "Articulation-XL", "As in the original, for every mesh"),
            Choice("vroid", "VRoid", "With the joints in the order of VRoid characters"),
            Choice("rignet", "RigNet"),
        ),
        attribute="bone_class",
        advanced=True,
    ),
    Option(
        "grammar",
        "enum",
        "strict",
        "Grammar",
        choices=(
            Choice("strict", "Strict", "Every joint gets exactly four codes, so none is incomplete"),
            Choice("shipped", "As Shipped", "As in the original, with its two defects"),
        ),
        advanced=True,
    ),
    Option(
        "repetition_penalty",
        "float",
        2.0,
        "Repetition Penalty",
        "Makes codes less likely that another joint already has. Joints may share codes",
        low=1.0,
        high=5.0,
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
    device_option(),
    precision_option(),
)
VARIABLE = MODEL.variable
PLACING, WEIGHTS, WORK = (0.0, 0.05), (0.05, 0.08), (0.08, 0.98)


class SkinTokensRigger:
    """`backend.engines.Rigger`. Options: see OPTIONS. With the skeleton "humanoid" the request's joints are used, and
    those that are missing are found; the VRM map is then exact.
    """

    name = "skintokens"
    label = "SkinTokens"
    options = OPTIONS
    models = (MODEL,)

    def __init__(self) -> None:
        self._loaded: Loaded[SkinTokensPipeline] = Loaded(MODEL, converted=True)

    def unavailable_reason(self) -> str:
        return self._loaded.unavailable_reason()

    def rig(self, request: RigRequest, progress: Progress) -> Rig:
        """Writes `rig.npz`. Raises BackendError: bad_params, unknown_device, bad_mesh, bad_joints, not_humanoid,
        no_skeleton, out_of_memory, missing_weights, bad_weights.
        """
        options = checked_options(request.options)
        with pulsing(progress) as told:
            return self._rig(request, options, StageClock(told))

    def _rig(self, request: RigRequest, options: dict[str, Any], clock: StageClock) -> Rig:
        clock("read", 0.0, "Reading the mesh")
        mesh = read_mesh(request.mesh)
        placed = None
        if options["skeleton"] == "humanoid":
            from .humanoid import place

            clock("skeleton", PLACING[0], "Placing the skeleton")
            placed = place(mesh, request.joints, options["class"] == "vroid")
        pipeline = self._ready(options, clock.part(*WEIGHTS))
        result = _rigged(pipeline, mesh, placed, request.seed, options, clock.part(*WORK))
        clock("write", WORK[1], "Writing the rig")
        path = request.out_dir / "rig.npz"
        arrays = RigArrays(
            result.joints, result.tails, result.parents, result.names, result.weight_joint, result.weight
        )
        write_rig(path, arrays)
        metrics = {
            "vertices": len(mesh.vertices),
            "bones": len(result.names),
            "tokens": result.tokens,
            "points": result.queried,
            "attempts": len(result.failures) + 1,
        }
        if placed:
            metrics["fingers"] = placed.fingers
        return Rig(
            path,
            self.label,
            {name: name for name in placed.names} if placed else {},
            {name: float(value) for name, value in metrics.items()} | clock.seconds(),
            [*(placed.warnings if placed else []), *seed_changed(result.failures)],
            self._loaded.published(),
        )

    def _ready(self, options: dict[str, Any], progress: Progress) -> SkinTokensPipeline:
        from .pipeline import SkinTokensPipeline, choose_dtype

        def make(folder: Path, device: torch.device, dtype: torch.dtype) -> SkinTokensPipeline:
            return SkinTokensPipeline(folder, device, dtype, self._loaded.record)

        return self._loaded.pipeline(options, choose_dtype, make, progress)


def _rigged(
    pipeline: SkinTokensPipeline,
    mesh: MeshArrays,
    placed: Placed | None,
    seed: int,
    options: dict[str, Any],
    progress: Progress,
) -> Rigging:
    """The rig in the mesh's own axes; the network sees the character facing +Z."""
    from .pipeline import PRESETS, Given, Settings

    decoding = replace(PRESETS[options["preset"]], repetition_penalty=float(options["repetition_penalty"]))
    settings = Settings(
        seed,
        options["class"],
        decoding,
        options["grammar"] == "strict",
        options["attempts"],
        options["points"],
        options["mask"],
    )
    if placed is None:
        return pipeline.run(mesh.vertices, mesh.triangles, None, settings, progress)
    given = Given(placed.joints, placed.tails, placed.parents, placed.names)
    result = pipeline.run(mesh.vertices @ placed.turn.T, mesh.triangles, given, settings, progress)
    return replace(result, joints=result.joints @ placed.turn, tails=result.tails @ placed.turn)


def checked_options(given: dict[str, Any]) -> dict[str, Any]:
    """All options with their defaults. Raises BackendError: bad_params, unknown_device."""
    return check_options("SkinTokens", OPTIONS, given)
