# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh to a rig: preparation, skeleton (with retries), skin weights; everything comes back in the coordinates that
went in.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from ..engines import Progress
from ..errors import BackendError
from ..nn import cube, lightning
from ..nn import joint_grammar as grammar
from ..nn.beam_search import Decoding, Step, decode, seeded_draw
from ..nn.joint_sequence import InvalidSequence, Skeleton, detokenise, humanoid_of
from ..nn.joint_tokens import Vocabulary
from ..nn.memory import GB, Plan, Residents, free_bytes, out_of_memory, release
from ..nn.pieces import in_pieces
from ..nn.surface_samples import normaliser_draws, sample
from . import skin
from .checkpoint import UNIRIG
from .opt import OptConfig, SkeletonModel
from .skin import SKIN_SAMPLES, VERTEX_SAMPLES

if TYPE_CHECKING:
    from .skin import SkinNetwork

CHECKPOINTS = {
    "skeleton": "skeleton/articulation-xl_quantization_256/model.ckpt",
    "skin": "skin/articulation-xl/model.ckpt",
}
SKELETON_SAMPLES = 65_536
# Greedy and few beams cost a fraction; the original's is "quality".
PRESETS = {"quality": Decoding(), "fast": Decoding(beams=4), "greedy": Decoding(beams=1, sample=False)}
# The original's scripts run with this seed; a job's seed is added to it.
BASE_SEED = 12345
# Both networks in half precision (1.7 GB) and the larger of both stages' activations, with room for the allocator.
KEEP_NEEDS = 4 * GB
SHARES = {"prepare": (0.0, 0.05), "skeleton": (0.05, 0.5), "skin": (0.5, 1.0)}
TYPICAL_TOKENS = 250
TOKENS_PER_REPORT = 4


@dataclass(frozen=True)
class Settings:
    """One rigging. `strict`: our grammar instead of the shipped one; `attempts`: seeds to try before giving up."""

    seed: int = 0
    class_name: str = "articulationxl"
    decoding: Decoding = PRESETS["quality"]
    strict: bool = True
    attempts: int = 3


@dataclass
class Rigging:
    """joints, tails (J, 3), parents (J,), names, weight_joint and weight (V, 4) in the order and coordinates of the
    given vertices.

    humanoid: VRM bone -> joint; tokens: how many were written; failures: why earlier seeds gave no skeleton.
    """

    joints: np.ndarray
    tails: np.ndarray
    parents: np.ndarray
    names: list[str]
    weight_joint: np.ndarray
    weight: np.ndarray
    humanoid: dict[str, str]
    tokens: int
    failures: list[str]


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """auto: half precision on an accelerator, bfloat16 where it has it (the networks were trained so), single on a
    processor.
    """
    known = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
    if name != "auto":
        return known[name]
    if device.type == "cpu":
        return torch.float32
    return (
        torch.bfloat16
        if device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
        else torch.float16
    )


class UniRigPipeline:
    """The networks of one checkpoint folder (the hub's layout) on one device. Both stay loaded where the device has
    room.

    `converted(path, source)` is told of each safetensors file that was made from a checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        dtype: torch.dtype,
        converted: Callable[[Path, str], None] = lambda *_: None,
    ) -> None:
        self.folder, self.device, self.dtype = folder, device, dtype
        self.converted = converted
        self.residents = Residents(self._load, device)
        self.vocabulary = Vocabulary.of_size(OptConfig.of(self._config("skeleton")).vocabulary)

    def _config(self, kind: str) -> dict[str, Any]:
        """Sizes other than the released ones stand in a model.json beside the checkpoint, in the original's words;
        `samples` is ours.
        """
        path = (self.folder / CHECKPOINTS[kind]).with_name("model.json")
        try:
            return json.loads(path.read_text()) if path.exists() else {}
        except ValueError as error:
            raise BackendError(
                "bad_weights", f"The description {path} is damaged ({error}).", lightning.REPAIR
            ) from error

    def _samples(self, kind: str, default: int) -> tuple[int, int]:
        """How many points a network sees, and how many of them at most are vertices."""
        total, vertices = self._config(kind).get("samples", (default, VERTEX_SAMPLES))
        return total, vertices

    def _load(self, kind: str) -> nn.Module:
        source, config = CHECKPOINTS[kind], self._config(kind)
        weights = lightning.safe_weights(self.folder / source, UNIRIG, lambda path: self.converted(path, source))
        if kind == "skeleton":
            skeleton = cast(
                SkeletonModel, lightning.load(weights, lambda: SkeletonModel(OptConfig.of(config)), self.device)
            )
            skeleton.set_dtype(self.dtype)
            return skeleton
        network = cast("SkinNetwork", lightning.load(weights, lambda: skin.build(config), self.device))
        skin.set_precision(network, self.dtype)
        return network

    @torch.inference_mode()
    def run(self, vertices: np.ndarray, triangles: np.ndarray, settings: Settings, progress: Progress) -> Rigging:
        """Rigs vertices (V, 3) and triangles (T, 3) in glTF axes, any unit and place.

        Raises BackendError (bad_mesh, no_skeleton, out_of_memory, missing_weights, bad_weights) and whatever
        `progress` raises to cancel.
        """
        with in_pieces(self.device):
            return self._run(vertices, triangles, settings, progress)

    def _run(self, vertices: np.ndarray, triangles: np.ndarray, settings: Settings, progress: Progress) -> Rigging:
        progress("prepare", 0.0, "Preparing the mesh")
        # Float32 would lose a small mesh far from the origin: all that follows happens near it.
        frame = cube.normalisation(vertices)
        local = cube.from_gltf(frame.apply(vertices))
        mesh = cube.prepare(local, triangles)
        skeleton, tokens, failures = self._staged(lambda: self._skeleton(mesh, settings, progress))
        affine = cube.normalisation(mesh.vertices)
        joints, tails = affine.invert(skeleton.joints), affine.invert(_visible(skeleton))
        begin, end = SHARES["skin"]

        def on_skin(fraction: float, message: str) -> None:
            progress("skin", begin + (end - begin) * fraction, message)

        on_skin(0.0, "Loading the skin network")
        seed = (BASE_SEED + settings.seed) % 2**32
        count = self._samples("skin", SKIN_SAMPLES)
        weight_joint, weight = self._staged(
            lambda: skin.predict(
                self._network("skin"), mesh, joints, skeleton.parents, local, triangles, seed, on_skin, *count
            )
        )
        if not self._plan().keep_all:
            self.residents.drop()
        joints, tails = (frame.invert(cube.to_gltf(points)) for points in (joints, tails))
        names, humanoid = _unique(skeleton.names), humanoid_of(skeleton)
        return Rigging(joints, tails, skeleton.parents, names, weight_joint, weight, humanoid, tokens, failures)

    def _plan(self) -> Plan:
        free = free_bytes(self.device)
        held = sum(1 for _ in self.residents)
        return Plan(
            keep_all=free is not None and (held == len(CHECKPOINTS) or free >= KEEP_NEEDS), batch_guidance=False
        )

    def _network(self, kind: str) -> Any:
        return self.residents.get(kind, self._plan())

    def _staged(self, stage: Callable[[], Any]) -> Any:
        """Runs a stage; when memory runs out, once more with nothing else on the device."""
        try:
            return stage()
        except Exception as error:
            if not out_of_memory(error):
                raise
        self.residents.drop()
        release(self.device)
        try:
            return stage()
        except Exception as error:
            if not out_of_memory(error):
                raise
            raise BackendError(
                "out_of_memory",
                "The device has too little free memory for UniRig.",
                (
                    "Close other programs that use the device, choose fewer beams (preset fast or greedy) or the"
                    " device cpu."
                ),
            ) from None

    def _skeleton(self, mesh: cube.Prepared, settings: Settings, progress: Progress) -> tuple[Skeleton, int, list[str]]:
        failures: list[str] = []
        for attempt in range(settings.attempts):
            seed = (BASE_SEED + settings.seed + attempt) % 2**32
            tokens = self.write_tokens(mesh, settings, seed, progress)
            try:
                return detokenise(tokens, self.vocabulary), len(tokens), failures
            except InvalidSequence as error:
                failures.append(str(error))
        raise BackendError(
            "no_skeleton",
            f"UniRig wrote no valid skeleton in {settings.attempts} attempts (the last one: {failures[-1]}).",
            "Try another seed, or choose the geometric rigger.",
        )

    def write_tokens(self, mesh: cube.Prepared, settings: Settings, seed: int, progress: Progress) -> list[int]:
        """The whole token sequence for a prepared mesh, bos included."""
        begin, end = SHARES["skeleton"]
        progress("skeleton", begin, "Analysing the mesh")
        model: SkeletonModel = self._network("skeleton")
        rng = np.random.RandomState(seed)
        normaliser_draws(rng)
        affine = cube.normalisation(mesh.vertices)
        fitted = cube.Prepared(
            affine.apply(mesh.vertices).astype(np.float32), mesh.faces, mesh.vertex_normals, mesh.face_normals
        )
        samples = sample(fitted, *self._samples("skeleton", SKELETON_SAMPLES), rng)
        latents = model.encode(
            *(torch.from_numpy(part).to(self.device)[None] for part in (samples.points, samples.normals))
        )
        v = self.vocabulary
        start = [v.bos, v.class_token(settings.class_name)]

        def on_step(step: Step) -> None:
            if step.index % TOKENS_PER_REPORT == 0:  # nobody knows how many there will be: the bar slows down
                done = 1 - math.exp(-step.index / TYPICAL_TOKENS)
                progress("skeleton", begin + (end - begin) * done, f"Placing joints: {step.index} tokens")

        state = grammar.walk(grammar.start(v, settings.strict), start)
        session = model.session(latents, start, settings.decoding.beams)
        return [*start, *decode(session, state, v.eos, settings.decoding, seeded_draw(seed), on_step)]


def _visible(skeleton: Skeleton) -> np.ndarray:
    """Tails (J, 3) in the cube; a bone without length, which editors delete, gets a short one upwards."""
    tails = skeleton.tails.copy()
    flat = np.linalg.norm(tails - skeleton.joints, axis=1) < 1e-3
    tails[flat] = skeleton.joints[flat] + np.array([0, 0, 0.02], np.float32)
    return tails


def _unique(names: list[str]) -> list[str]:
    """A name that has been given already gets a number: rigs address bones by name."""
    used: set[str] = set()
    out = []
    for name in names:
        free, k = name, 1
        while free in used:
            free, k = f"{name}.{k:03d}", k + 1
        used.add(free)
        out.append(free)
    return out
