# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine's networks between jobs, and whether they can run at all. Needs no torch until they are made."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..engines import Progress
from ..models import store
from ..models.store import Model
from .jobs import digests_of

if TYPE_CHECKING:
    import torch

P = TypeVar("P")
CHECKPOINT = ".ckpt"


class Loaded(Generic[P]):
    """The pipeline of a model; made again when the device, the precision or the weights are others.

    converted: the published files are Lightning checkpoints. Safetensors files are made from them (`record`), which
    therefore say nothing about whether the weights have changed.
    """

    def __init__(self, model: Model, converted: bool = False) -> None:
        self._model, self._converted = model, converted
        self._pipeline: P | None = None
        self._made_from: tuple = ()

    def unavailable_reason(self) -> str:
        if importlib.util.find_spec("torch") is None:
            return "PyTorch is not installed in the backend's environment."
        return self._model.unavailable_reason()

    def pipeline(
        self,
        options: dict[str, Any],
        choose_dtype: Callable[[str, torch.device], torch.dtype],
        make: Callable[[Path, torch.device, torch.dtype], P],
        progress: Progress,
    ) -> P:
        """The pipeline for the options' device and precision. Raises BackendError: unknown_device, bad_params, and what
        `make` and `backend.models.store` raise.
        """
        from .device import choose_device

        device = choose_device(options["device"])
        dtype = choose_dtype(options["dtype"], device)
        progress("weights", 0.0, "Checking the weights")
        own = self._model.own_folder()
        folder = own or store.folder(self._model.name, progress)
        made_from = (folder, device, dtype, self._state(own))
        if self._pipeline is None or made_from != self._made_from:
            self._pipeline = None  # two sets of networks do not fit
            self._pipeline = make(folder, device, dtype)
            self._made_from = made_from
        return self._pipeline

    def _state(self, own: Path | None) -> dict[str, str]:
        """File -> digest, or what tells one state of it from another."""
        if own:
            return _stamps(own) if self._converted else digests_of(own)
        digests = store.digests(self._model.name)
        return {name: digests[name] for name in digests if not self._converted or name.endswith(CHECKPOINT)}

    def record(self, path: Path, source: str) -> None:
        """Notes a file that was made from the published file `source`; not in a user's own folder."""
        if not self._model.own_folder():
            store.derived(self._model.name, path, source)

    def published(self) -> dict[str, str]:
        """For the receipt: SHA-256 of the weights as they were published, by file."""
        own = self._model.own_folder()
        if own:
            return digests_of(own, f"*{CHECKPOINT}") if self._converted else digests_of(own)
        return store.digests(self._model.name)


def _stamps(folder: Path) -> dict[str, str]:
    """Size and time of the checkpoints in a folder that `backend.models.store` does not look after."""
    stats = {path: path.stat() for path in sorted(folder.rglob("*")) if path.suffix in (CHECKPOINT, ".json")}
    return {path.relative_to(folder).as_posix(): f"{stat.st_size} {stat.st_mtime_ns}" for path, stat in stats.items()}
