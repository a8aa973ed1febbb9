# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh and a skeleton (given, or the network's own) to weights; everything comes back in the coordinates that went
in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from ..engines import Progress
from ..errors import BackendError
from ..nn import cube as cubes
from ..nn import lightning
from ..nn.beam_search import Decoding, Step, decode, seeded_draw
from ..nn.joint_grammar import Strict, walk
from ..nn.joint_sequence import InvalidSequence
from ..nn.memory import GB, free_bytes, out_of_memory, release
from ..nn.pieces import in_pieces
from . import grammar
from .checkpoint import SKINTOKENS
from .mask import mask_of, masked
from .model import CHECKPOINT
from .networks import CODES_PER_JOINT, ModelConfig, SkinTokensModel
from .prepare import SURFACE_SAMPLES, Cube, prepared, sampled
from .tokens import SkinVocabulary, check_tree, decode_skeleton, distinct_bins, encode
from .vertices import Targets, rig_weights

# The network's sequence, prefix and prompt included: the original's limit.
MAX_LENGTH = 2048
# As the original's demo; greedy and few beams cost a fraction.
QUALITY = Decoding(beams=10, temperature=1.0, top_k=5, top_p=0.95, repetition_penalty=2.0)
PRESETS = {
    "quality": QUALITY,
    "fast": replace(QUALITY, beams=4),
    "greedy": replace(QUALITY, beams=1, sample=False),
}
# The weights in half precision (1.1 GB) and the largest activations, with room for the allocator.
KEEP_NEEDS = 3 * GB
CHUNK, SMALLEST_CHUNK = 1 << 14, 1 << 9
PROCESSOR_CHUNK = 1 << 11  # a piece takes well under a second, so that cancelling does
JOINTS_AT_ONCE = 8
SHARES = {"prepare": (0.0, 0.05), "shape": (0.05, 0.12), "tokens": (0.12, 0.35), "weights": (0.35, 0.95)}
SHARES["vertices"] = (0.95, 1.0)
TYPICAL_TOKENS = 450  # of a skeleton of the network's own and its codes
NOT_NUMBERS = "Choose the precision Single (fp32), or download the model again."
T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """One rigging. `strict`: our grammar instead of the shipped one. attempts: seeds to try for a skeleton of its own.
    points: where the network is asked for weights, "surface" as the original, "vertices", or "auto". mask: whether
    distances inside the body limit the weights.
    """

    seed: int = 0
    class_name: str = "articulation"
    decoding: Decoding = QUALITY
    strict: bool = True
    attempts: int = 3
    points: str = "auto"
    mask: bool = False


@dataclass
class Rigging:
    """joints, tails (J, 3), parents (J,), names, weight_joint and weight (V, 4) in the order and coordinates of the
    given vertices. tokens: how many were written; queried: points asked for weights; failures: why earlier seeds gave
    no skeleton.
    """

    joints: np.ndarray
    tails: np.ndarray
    parents: np.ndarray
    names: list[str]
    weight_joint: np.ndarray
    weight: np.ndarray
    tokens: int
    queried: int
    failures: list[str]


@dataclass(frozen=True)
class Given:
    """A skeleton in the mesh's axes: joints, tails (J, 3), parents (J,), parents first, joint 0 the root; names."""

    joints: np.ndarray
    tails: np.ndarray
    parents: np.ndarray
    names: list[str]


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """auto: bfloat16, as the networks were trained, where an accelerator has it; single on a processor."""
    known = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
    if name != "auto":
        return known[name]
    if device.type == "cpu":
        return torch.float32
    lacks = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.float16 if lacks else torch.bfloat16


class SkinTokensPipeline:
    """The networks of a checkpoint folder (the hub's layout) on one device, which stay there between jobs where it has
    room. `converted(path, source)` is told of the safetensors file that was made from the checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        dtype: torch.dtype,
        converted: Callable[[Path, str], None] = lambda *_: None,
    ) -> None:
        self.folder, self.device, self.dtype, self.converted = folder, device, dtype, converted
        self._config = self._read_config()
        levels = ModelConfig.of(self._config).skin.codebook
        self.vocabulary = SkinVocabulary.make(levels)
        self._model: SkinTokensModel | None = None

    def _read_config(self) -> dict[str, Any]:
        """Sizes other than the released ones stand in a model.json beside the checkpoint, in the original's words;
        `samples` is ours.
        """
        path = (self.folder / CHECKPOINT).with_name("model.json")
        try:
            config = json.loads(path.read_text()) if path.exists() else {}
            with torch.device("meta"):
                SkinTokensModel(ModelConfig.of(config))
            config["samples"] = max(int(config.get("samples", SURFACE_SAMPLES)), 1)
            return config
        except (ValueError, TypeError, AttributeError, KeyError, RuntimeError, ArithmeticError) as error:
            message = f"The description {path} is damaged ({error})."
            raise BackendError("bad_weights", message, lightning.REPAIR) from error

    @property
    def model(self) -> SkinTokensModel:
        if self._model is None:
            weights = lightning.safe_weights(
                self.folder / CHECKPOINT, SKINTOKENS, lambda path: self.converted(path, CHECKPOINT)
            )
            config = ModelConfig.of(self._config, self.vocabulary.skeleton.size)

            def network() -> SkinTokensModel:
                model = SkinTokensModel(config)
                model.set_dtype(self.dtype)
                return model

            loaded = lightning.load(weights, network, self.device)
            assert isinstance(loaded, SkinTokensModel)
            self._model = loaded
        return self._model

    @torch.inference_mode()
    def run(
        self, vertices: np.ndarray, triangles: np.ndarray, given: Given | None, settings: Settings, progress: Progress
    ) -> Rigging:
        """Rigs vertices (V, 3) and triangles (T, 3) in glTF axes, any unit and place, facing +Z. Without a skeleton
        given the network writes its own.

        Raises BackendError (bad_mesh, bad_joints, no_skeleton, out_of_memory, missing_weights, bad_weights) and
        whatever `progress` raises to cancel.
        """
        try:
            with in_pieces(self.device):
                return self._run(vertices, triangles, given, settings, progress)
        finally:
            free = free_bytes(self.device)
            if free is None or free < KEEP_NEEDS:
                self._drop()

    def _run(
        self, vertices: np.ndarray, triangles: np.ndarray, given: Given | None, settings: Settings, progress: Progress
    ) -> Rigging:
        progress("prepare", SHARES["prepare"][0], "Preparing the mesh")
        # Float32 would lose a small mesh far from the origin: all that follows happens near it.
        frame = cubes.normalisation(vertices)
        local = cubes.from_gltf(frame.apply(vertices))
        joints = None if given is None else cubes.from_gltf(frame.apply(given.joints))
        if given is not None:
            _check(given)
        cube = Cube.around(local) if joints is None else Cube.around(local, joints)
        mesh = prepared(cube.apply(local), np.asarray(triangles, np.int64).reshape(-1, 3))
        progress("load", SHARES["prepare"][1], "Loading the networks")
        rng = np.random.RandomState(settings.seed % 2**32)
        samples = sampled(mesh, self._config["samples"], rng)
        points, normals = (torch.from_numpy(part).to(self.device) for part in (samples.points, samples.normals))
        candidates = self._guarded(lambda _: self.model).skin.candidates(
            len(samples.points), np.random.default_rng(settings.seed % 2**32)
        )
        prefix, condition = self._guarded(lambda _: self._look(points, normals, candidates, progress))
        inside = None if joints is None else cube.apply(joints)
        tokens, failures = self._guarded(lambda _: self._write(prefix, inside, given, settings, progress))
        skeleton = decode_skeleton(tokens, self.vocabulary)
        parents = skeleton.parents if given is None else given.parents
        at = skeleton.joints if inside is None else inside
        codes = torch.from_numpy(self._codes(tokens, len(at))).to(self.device)
        targets = Targets.choose(mesh, samples, settings.points, self.device.type)
        weights = self._guarded(lambda chunk: self._weights(targets, codes, condition, progress, chunk), SMALLEST_CHUNK)
        if not np.isfinite(weights).any():
            raise BackendError(
                "bad_weights", "SkinTokens computed no valid weight for any point of the mesh.", NOT_NUMBERS
            )
        progress("vertices", SHARES["vertices"][0], "Transferring the weights to the mesh")
        near = mask_of(mesh.vertices, mesh.faces, at) if settings.mask else None
        dense = targets.to_vertices(weights)
        weight_joint, weight = rig_weights(dense if near is None else masked(dense, near), mesh.vertices, at)
        progress("vertices", 1.0, "Skin weights done")
        if given is not None:
            found = given.joints, given.tails, given.names
        else:
            back = [frame.invert(cubes.to_gltf(cube.invert(p))) for p in (skeleton.joints, skeleton.tails)]
            found = back[0], _visible(*back), skeleton.names
        return Rigging(*found[:2], parents, found[2], weight_joint, weight, len(tokens), targets.count, failures)

    def _look(
        self, points: torch.Tensor, normals: torch.Tensor, candidates: np.ndarray, progress: Progress
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The language model's prefix and the skin network's condition rows."""
        progress("shape", SHARES["shape"][0], "Analysing the mesh")
        return self.model(points[None], normals[None]), self.model.skin.condition(points, normals, candidates)

    def _write(
        self,
        prefix: torch.Tensor,
        joints: np.ndarray | None,
        given: Given | None,
        settings: Settings,
        progress: Progress,
    ) -> tuple[list[int], list[str]]:
        """The whole sequence, prompt included, and why earlier seeds gave none."""
        v, failures = self.vocabulary, list[str]()
        begin, end = SHARES["tokens"]
        if given is not None and joints is not None:
            prompt = encode(distinct_bins(joints, v.skeleton.bins), given.parents, settings.class_name, v.skeleton)
            typical = CODES_PER_JOINT * len(joints)
        else:
            prompt, typical = [v.skeleton.bos, v.skeleton.class_token(settings.class_name)], TYPICAL_TOKENS
        length = min(MAX_LENGTH, self.model.decoder.positions)
        room = length - prefix.shape[1] - len(prompt)
        if given is not None and room < typical + 1:
            message = f"{len(given.joints)} joints do not fit into SkinTokens' sequence of {length}."
            raise BackendError("bad_joints", message, "Leave some of the bones out.")

        def on_step(step: Step) -> None:
            share = min(step.index / typical, 1.0)
            progress("tokens", begin + (end - begin) * share, f"Writing the joints' codes: {step.index} tokens")

        for attempt in range(settings.attempts if given is None else 1):
            seed = (settings.seed + attempt) % 2**32
            state = walk(self._start(settings, given is None), prompt)
            how = replace(settings.decoding, max_new_tokens=room)
            progress("tokens", begin, "Reading the skeleton" if given else "Placing joints")
            session = self.model.session(prefix, prompt, how.beams)
            tokens = [*prompt, *decode(session, state, v.end, how, seeded_draw(seed), on_step)]
            if reason := self._incomplete(tokens):
                failures.append(reason)
            else:
                return tokens, failures
        raise BackendError(
            "no_skeleton",
            f"SkinTokens wrote no valid skeleton in {settings.attempts} attempts (the last one: {failures[-1]}).",
            "Try another seed, or provide a skeleton.",
        )

    def _start(self, settings: Settings, free: bool) -> grammar.Switched:
        state = grammar.start(self.vocabulary, settings.strict)
        if free and isinstance(state.skeleton, Strict):  # the network was never shown parts
            v = self.vocabulary.skeleton
            return replace(state, skeleton=Strict(v, used=frozenset((v.spring, *v.parts.values()))))
        return state

    def _incomplete(self, tokens: list[int]) -> str:
        """Why a sequence is no skeleton with codes for every joint, or ""."""
        try:
            joints = len(decode_skeleton(tokens, self.vocabulary).joints)
        except InvalidSequence as error:
            return str(error)
        written = len(tokens) - 1 - tokens.index(self.vocabulary.switch)
        return "" if written >= CODES_PER_JOINT * joints else "the codes are not complete"

    def _codes(self, tokens: list[int], joints: int) -> np.ndarray:
        """(joints, 4) codes. In the shipped mode the last one is the end of the sequence, as in the original."""
        first = tokens.index(self.vocabulary.switch) + 1
        written = tokens[first : first + CODES_PER_JOINT * joints]
        return self.vocabulary.codes(written).reshape(joints, CODES_PER_JOINT)

    def _weights(
        self, targets: Targets, codes: torch.Tensor, condition: torch.Tensor, progress: Progress, chunk: int
    ) -> np.ndarray:
        begin, end = SHARES["weights"]
        count = len(codes)

        def on_joint(joint: int, share: float) -> None:
            progress("weights", begin + (end - begin) * share, f"Weights of joint {joint} of {count}")

        progress("weights", begin, f"Weights of {count} joints")
        points, normals = (torch.from_numpy(part).to(self.device) for part in (targets.points, targets.normals))
        slow = self.device.type == "cpu"
        weights = self.model.skin.weights(
            points,
            normals,
            codes,
            condition,
            min(chunk, PROCESSOR_CHUNK) if slow else chunk,
            1 if slow else JOINTS_AT_ONCE,
            on_joint,
        )
        return weights.cpu().numpy()

    def _guarded(self, stage: Callable[[int], T], smallest: int = CHUNK >> 2) -> T:
        """Runs a stage, which is told how many points to compute at once; when memory runs out, again with the
        device's cache given back, in ever smaller pieces down to `smallest`. Most stages take no notice of them: they
        have one more chance.
        """
        chunk = CHUNK
        while True:
            try:
                return stage(chunk)
            except Exception as error:
                if not out_of_memory(error):
                    raise
            release(self.device)
            if chunk <= smallest:
                raise BackendError(
                    "out_of_memory",
                    "The device has too little free memory for SkinTokens.",
                    (
                        "Close other programs that use the device, choose fewer beams (preset fast or greedy) or"
                        " the device cpu."
                    ),
                )
            chunk //= 4

    def _drop(self) -> None:
        self._model = None
        release(self.device)


def _check(given: Given) -> None:
    try:
        check_tree(given.parents)
    except ValueError as error:
        message = f"The skeleton is not a valid tree ({error})."
        raise BackendError("bad_joints", message, "Order its joints, parents first.") from error
    if not np.isfinite(given.joints).all():
        raise BackendError("bad_joints", "A joint of the skeleton is not a point of three numbers.", "Correct it.")


def _visible(joints: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Tails (J, 3); a bone without length, which editors delete, gets a short one upwards."""
    size = max(float(np.ptp(joints, axis=0).max(initial=0)), 1e-6)
    flat = np.linalg.norm(tails - joints, axis=1) < 1e-3 * size
    tails[flat] = joints[flat] + np.array([0, 0.02 * size, 0])
    return tails
