# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the networks stays on the device, and what to give up when memory runs out."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import nn

from ..errors import BackendError

log = logging.getLogger(__name__)
T = TypeVar("T")

GB = 1 << 30


@dataclass(frozen=True)
class Needs:
    """Free bytes from which on an engine keeps all networks on the device, and batches both guidance halves."""

    keep_all: int
    batch_guidance: int


# TRELLIS: all networks in half precision (3.4 GB) and the largest activations (3.5 GB), with room for the allocator;
# both guidance halves of the structure stage at once.
TRELLIS = Needs(8 * GB, 6 * GB)


@dataclass(frozen=True)
class Plan:
    """keep_all: all networks stay on the device between stages and jobs, else one at a time.
    batch_guidance: both guidance halves in one evaluation. scratch: bytes that a sparse operator uses at once."""

    keep_all: bool
    batch_guidance: bool
    scratch: int = 1 << 29

    def smaller(self) -> Plan | None:
        """The next rung down, or None when there is none left."""
        if self.batch_guidance:
            return replace(self, batch_guidance=False)
        if self.keep_all:
            return replace(self, keep_all=False)
        if self.scratch > 1 << 25:
            return replace(self, scratch=self.scratch >> 2)
        return None


def free_bytes(device: torch.device) -> int | None:
    """Memory that the device has left, what torch keeps for reuse included, or None where nobody can tell."""
    if device.type == "cuda":
        return (
            torch.cuda.mem_get_info(device)[0]
            + torch.cuda.memory_reserved(device)
            - torch.cuda.memory_allocated(device)
        )
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return None


def choose_plan(mode: str, device: torch.device, held: int = 0, needs: Needs = TRELLIS) -> Plan:
    """`auto` reads the free memory; `low` and `high` are the user's word. Raises BackendError for another mode.

    held: bytes of networks that are on the device from the last job. They count as free, or every second job would
    send them away.
    """
    if mode == "low":
        return Plan(keep_all=False, batch_guidance=False, scratch=1 << 28)
    if mode == "high":
        return Plan(keep_all=True, batch_guidance=True)
    if mode != "auto":
        raise BackendError("bad_params", f"There is no memory mode {mode!r}.", "Choose auto, low or high.")
    free = free_bytes(device)
    if free is None:  # the processor's own memory: no launch cost to hide, so nothing is won by batching
        return Plan(keep_all=False, batch_guidance=False)
    free += held
    return Plan(keep_all=free >= needs.keep_all, batch_guidance=free >= needs.batch_guidance)


def out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    )


def release(device: torch.device) -> None:
    """Gives cached memory back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


class Residents:
    """The networks on the device. `load(name)` makes one; with keep_all they stay, otherwise only the last one does."""

    def __init__(self, load: Callable[[str], nn.Module], device: torch.device) -> None:
        self._load, self._device = load, device
        self._held: dict[str, nn.Module] = {}

    def get(self, name: str, plan: Plan) -> nn.Module:
        if not plan.keep_all:
            self.drop(keep=name)
        if name not in self._held:
            self._held[name] = self._load(name)
        return self._held[name]

    def drop(self, keep: str | None = None) -> None:
        gone = [name for name in self._held if name != keep]
        for name in gone:
            del self._held[name]
        if gone:
            release(self._device)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    @property
    def bytes(self) -> int:
        return sum(
            tensor.numel() * tensor.element_size()
            for network in self._held.values()
            for tensor in network.state_dict().values()
        )


def with_ladder(
    plan: Plan, residents: Residents, device: torch.device, stage: Callable[[Plan], T], engine: str = "TRELLIS"
) -> tuple[T, Plan]:
    """Runs a stage, going down the ladder when memory runs out; returns its result and the plan that worked.

    Raises BackendError with the code out_of_memory when the lowest rung does not fit either.
    """
    while True:
        try:
            return stage(plan), plan
        except Exception as error:
            if not out_of_memory(error):
                raise
            lower = plan.smaller()
            if lower is None:
                raise BackendError(
                    "out_of_memory",
                    f"The device has too little free memory for {engine} even in low memory mode.",
                    "Close other programs that use the device, or choose the preview engine.",
                ) from None
            log.warning("out of memory with %s, trying %s", plan, lower)
        plan = lower
        residents.drop()
        release(device)
