# SPDX-License-Identifier: GPL-3.0-or-later
"""PyTorch-Lightning checkpoints: pickles, read without running anything in them, converted once to safetensors.

The pickle also holds configuration objects of other packages. Its names are resolved through an allow-list; every
other name becomes a placeholder that takes what it is given and does nothing.
"""

from __future__ import annotations

import collections
import logging
import pickle
import types
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import BackendError

log = logging.getLogger(__name__)

IGNORED = "num_batches_tracked"
REPAIR = "Run `python -m backend models verify`, then download the model again."

STORAGES = {
    f"{kind}Storage"
    for kind in (
        "Double",
        "Float",
        "Half",
        "BFloat16",
        "Long",
        "Int",
        "Short",
        "Char",
        "Byte",
        "Bool",
        "Untyped",
    )  # what tensors lie in
}


@dataclass(frozen=True)
class Published:
    """Whose checkpoint it is. label: for messages; model: in `python -m backend models download MODEL`; weights: the
    network's own weights out of the published state, under the network's names (may raise BackendError).
    """

    label: str
    model: str
    weights: Callable[[dict[str, Tensor]], dict[str, Tensor]]


class Placeholder:
    """Stands for an object whose class is not on the list. Construction, state, items, appends and calls are taken
    and dropped.
    """

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Placeholder:
        return super().__new__(cls)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __setstate__(self, _state: Any) -> None:
        pass

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    def __call__(self, *_args: Any, **_kwargs: Any) -> Placeholder:
        return self

    def append(self, _item: Any) -> None:
        pass

    def extend(self, _items: Any) -> None:
        pass


def _restricted(refused: set[str]) -> types.SimpleNamespace:
    """A stand-in for the module `pickle` that `torch.load` can be given. Names that were not resolved are added to
    `refused`.
    """

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) == ("collections", "OrderedDict"):
                return collections.OrderedDict
            if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
                return getattr(torch._utils, name)
            if module in ("torch", "torch.storage") and name in STORAGES:
                return getattr(torch.storage if name == "UntypedStorage" else torch, name)
            refused.add(f"{module}.{name}")
            return type("Placeholder", (Placeholder,), {})

    def load(file: Any, **options: Any) -> Any:
        return Unpickler(file, **options).load()

    return types.SimpleNamespace(
        Unpickler=Unpickler, load=load, UnpicklingError=pickle.UnpicklingError, __name__="pickle"
    )


def read_pickle(path: Path, published: Published) -> tuple[dict[str, Tensor], set[str]]:
    """The tensors under `state_dict` of a Lightning checkpoint, and the names in it that were not resolved.

    Nothing that the file names is imported or run. Raises BackendError("bad_weights").
    """
    _check_archive(path, published)
    refused: set[str] = set()
    try:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_restricted(refused))
        state = content["state_dict"]
        wrong = [str(name)[:80] for name, value in state.items() if not (isinstance(name, str) and _is_weight(value))]
    except Exception as error:  # a damaged or hostile pickle may make the reader fail in any way
        raise BackendError(
            "bad_weights",
            f"The checkpoint {path.name} is damaged or is not one of {published.label} ({type(error).__name__}).",
            REPAIR,
        ) from error
    if wrong:
        raise BackendError(
            "bad_weights", f"The checkpoint {path.name} holds something other than weights under {wrong[0]!r}.", REPAIR
        )
    return dict(state), refused


def _is_weight(value: Any) -> bool:
    """Whether a value is a tensor whose numbers are all in the file: one that repeats a few could fill the memory."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        return False
    return value.nbytes <= value.untyped_storage().nbytes()


def _check_archive(path: Path, published: Published) -> None:
    """Only torch's zip format is read: its older format has a reader with more ways in, and TorchScript archives hold
    code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.rpartition("/")[2] for name in archive.namelist()]
    except FileNotFoundError as error:
        raise missing(path, published) from error
    except (zipfile.BadZipFile, OSError) as error:
        raise BackendError("bad_weights", f"The checkpoint {path.name} is damaged or incomplete.", REPAIR) from error
    if "constants.pkl" in names or "data.pkl" not in names:
        raise BackendError("bad_weights", f"The file {path.name} is not a checkpoint of weights.", REPAIR)


def missing(path: Path, published: Published) -> BackendError:
    return BackendError(
        "missing_weights",
        f"The {published.label} weights {path.name} are not in {path.parent}.",
        f"Download them with `python -m backend models download {published.model}`, or choose the geometric rigger.",
    )


def convert(source: Path, target: Path, published: Published) -> None:
    """Writes the network's weights of a Lightning checkpoint as safetensors, under a temporary name first."""
    state, refused = read_pickle(source, published)
    if refused:
        log.info("not resolved in %s: %s", source.name, ", ".join(sorted(refused))[:500])
    kept: dict[str, Tensor] = {}
    for name, value in published.weights(state).items():
        if not name.endswith(IGNORED):
            value = value.detach().contiguous()
            alone = value.untyped_storage().nbytes() == value.nbytes
            kept[name] = value if alone else value.clone()  # views into one storage would be refused
    part = target.with_name(target.name + ".part")
    try:
        save_file(kept, part, metadata={"source": source.name})
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def safe_weights(checkpoint: Path, published: Published, converted: Callable[[Path], None] = lambda _: None) -> Path:
    """The safetensors beside a checkpoint; made from it when it is not there yet, and then `converted` is called with
    its path.
    """
    target = checkpoint.with_suffix(".safetensors")
    if not target.exists():
        convert(checkpoint, target, published)
        converted(target)
    return target


def load(weights: Path, network: Callable[[], nn.Module], device: torch.device) -> nn.Module:
    """The network with the weights of a safetensors file in the precision it is made with, ready to run. Raises
    BackendError that lists what does not fit.
    """
    with torch.device("meta"):
        model = network()
    try:
        with safe_open(weights, "pt", device=str(device)) as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
    except (SafetensorError, OSError) as error:
        raise BackendError(
            "bad_weights", f"The weights {weights.name} are damaged or incomplete ({error}).", REPAIR
        ) from error
    expected = {name: value for name, value in model.state_dict().items() if not name.endswith(IGNORED)}
    state = {name: value for name, value in state.items() if not name.endswith(IGNORED)}
    problems = differences(expected, state)
    if problems:
        listed = "; ".join(problems[:3]) + (f" and {len(problems) - 3} more" if len(problems) > 3 else "")
        raise BackendError("bad_weights", f"The weights {weights.name} do not fit the network: {listed}.", REPAIR)
    for name, target in expected.items():
        state[name] = state[name].to(target.dtype)  # one by one: the weights are never held twice
    model.load_state_dict(state, strict=False, assign=True)
    _drop_counters(model, device)
    return model.eval().requires_grad_(False)


def differences(expected: dict[str, Tensor], state: dict[str, Tensor]) -> list[str]:
    """What is missing, what is too much, what has another shape."""
    problems = [f"{name} is missing" for name in expected if name not in state]
    problems += [f"{name} is not part of the network" for name in state if name not in expected]
    return problems + [
        f"{name} has shape {list(state[name].shape)}, not {list(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]


def _drop_counters(model: nn.Module, device: torch.device) -> None:
    """Training counters and buffers that no file holds must not stay without memory."""
    for module in model.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                setattr(module, name, torch.zeros(buffer.shape, dtype=buffer.dtype, device=device))
