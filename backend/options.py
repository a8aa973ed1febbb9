# SPDX-License-Identifier: GPL-3.0-or-later
"""How an engine describes its options: one source for the worker's check, the add-on's properties and its panels.

An engine's class has `options = (Option(...), ...)`. The worker checks a request against it; `hello` sends it to the
add-on, which makes a property of each and draws them in this order. Names and the order of choices are kept in saved
files: rename neither, and add new choices at the end.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import BackendError

TYPES = ("bool", "int", "float", "enum", "str", "seed", "paths")
UNITS = ("", "m", "px")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
DEVICE = r"auto|cpu|mps|(cuda|xpu)(:\d{1,2})?"


@dataclass(frozen=True)
class Choice:
    """A value of an enum, its label, and help in one phrase."""

    value: str
    label: str
    help: str = ""


@dataclass(frozen=True)
class Switch:
    """A checkbox in the add-on alone; the options below it are sent only while it is on."""

    name: str
    label: str
    help: str = ""


@dataclass(frozen=True)
class Option:
    """One option of an engine.

    type: bool, int, float, enum or str; seed (the request's own seed, which the add-on then asks for here); paths (a
    list of at most `high` absolute paths). default: what is used when nothing is given; None: the engine decides, and
    `initial` is what a field shows. low, high: limits of a number, both taken. pattern: a regular expression of
    values that an enum takes beside its choices. unit: "m", "px" or "". digits: decimals that are shown. advanced:
    drawn below "Advanced". shown: False for one that only programs use. attribute: the property's name in saved files,
    where `name` cannot be one. code: of the BackendError for a wrong value. hint: what to do about it.
    """

    name: str
    type: str
    default: Any = None
    label: str = ""
    help: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[Choice, ...] = ()
    pattern: str = ""
    initial: Any = None
    unit: str = ""
    digits: int = 2
    switch: Switch | None = None
    advanced: bool = False
    shown: bool = True
    attribute: str = ""
    code: str = "bad_params"
    hint: str = "Correct it and try again."

    def __post_init__(self) -> None:
        """Raises ValueError for a description that describes nothing that works."""
        if self.type not in TYPES or self.unit not in UNITS:
            raise ValueError(f"the option {self.name!r} has no type of {TYPES} and unit of {UNITS}")
        for name in (self.name, self.property_name):
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of an option: a-z, 0-9 and _ are, 40 at most")
        if self.shown and self.type != "paths" and (keyword.iskeyword(self.property_name) or not self.label):
            raise ValueError(f"the option {self.name!r} needs a label, and an attribute that is no Python keyword")
        if self.type in ("int", "float") and (self.low is None or self.high is None or self.low > self.high):
            raise ValueError(f"the option {self.name!r} needs limits")
        if self.type == "enum" and not self.choices:
            raise ValueError(f"the option {self.name!r} needs choices")
        for value in (self.default, self.initial):
            if value is not None and self.type != "seed":
                self.check(value)

    @property
    def property_name(self) -> str:
        return self.attribute or self.name

    def check(self, value: Any) -> Any:
        """`value` in the option's type. Raises BackendError with this option's `code`."""
        if self.type == "bool":
            fits = isinstance(value, bool)
        elif self.type in ("int", "float"):
            fits, value = self._number(value)
        elif self.type == "enum":
            fits = isinstance(value, str) and (
                any(value == choice.value for choice in self.choices)
                or bool(self.pattern and re.fullmatch(self.pattern, value))
            )
        elif self.type == "paths":
            fits = isinstance(value, list | tuple) and len(value) <= (self.high or 0) and all(map(_is_path, value))
            value = [Path(path) for path in value] if fits else value
        else:
            fits = isinstance(value, str)
        if not fits:
            raise BackendError(self.code, f"The option {self.name!r} must be {self.wanted}.", self.hint)
        return value

    @property
    def wanted(self) -> str:
        """What a value must be, in words."""
        if self.type in ("int", "float"):
            return f"a {'whole ' if self.type == 'int' else ''}number from {self.low:g} to {self.high:g}"
        return {
            "bool": "true or false",
            "enum": f"one of {', '.join(choice.value for choice in self.choices)}",
            "paths": f"a list of at most {self.high or 0:.0f} absolute paths",
        }.get(self.type, "a text")

    def _number(self, value: Any) -> tuple[bool, Any]:
        assert self.low is not None and self.high is not None
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False, value
        if self.type == "float":
            return True, float(value)
        return float(value).is_integer(), int(value)

    def to_dict(self) -> dict[str, Any]:
        """As `hello` sends it."""
        return asdict(self) | {"property": self.property_name}


def check_options(engine: str, options: Sequence[Option], given: dict[str, Any]) -> dict[str, Any]:
    """All options by name, typed; those that are not given, or None, have their default. Raises BackendError:
    bad_params or the option's own code.

    engine: what the user calls it.
    """
    known = {option.name: option for option in options if option.type != "seed"}
    checked = {
        name: list(option.default) if option.type == "paths" else option.default for name, option in known.items()
    }
    for name, value in given.items():
        if name not in known:
            hint = f"The options are {', '.join(known) or 'none'}."
            raise BackendError("bad_params", f"The engine {engine} has no option {name[:40]!r}.", hint)
        if value is not None:
            checked[name] = known[name].check(value)
    return checked


def _is_path(value: Any) -> bool:
    return isinstance(value, str | Path) and Path(value).is_absolute() and "\0" not in str(value)


# -- options that several engines have


def height_option() -> Option:
    """The character's height in metres."""
    return Option(
        "height",
        "float",
        1.6,
        "Height",
        "Height of the character, from its feet to the top of its head",
        low=0.2,
        high=10.0,
        unit="m",
    )


def device_option() -> Option:
    """Where the networks run."""
    return Option(
        "device",
        "enum",
        "auto",
        "Device",
        choices=(
            Choice("auto", "Automatic", "The first available of CUDA (or ROCm), Metal and the processor"),
            Choice("cuda", "GPU (CUDA or ROCm)"),
            Choice("mps", "GPU (Metal)"),
            Choice("cpu", "Processor", "Slow, for testing only"),
        ),
        pattern=DEVICE,
        advanced=True,
        code="unknown_device",
        hint="Choose auto, cuda, cuda:N, mps or cpu.",
    )


def precision_option() -> Option:
    """The networks' numbers."""
    return Option(
        "dtype",
        "enum",
        "auto",
        "Precision",
        choices=(
            Choice("auto", "Automatic", "Half precision on a GPU, single precision on the processor"),
            Choice("fp16", "Half (fp16)"),
            Choice("bf16", "Half (bfloat16)"),
            Choice("fp32", "Single (fp32)", "Twice the memory"),
        ),
        advanced=True,
    )


def search_option(quality: str) -> Option:
    """How a language model's tokens are searched. quality: what the slowest search does."""
    return Option(
        "preset",
        "enum",
        "quality",
        "Search",
        choices=(
            Choice("quality", "Quality", quality),
            Choice("fast", "Fast", "4 beams"),
            Choice("greedy", "Greedy", "Always takes the most likely token. Needs a fifth of the time or less"),
        ),
    )


def memory_option() -> Option:
    """How many of several networks stay on the device."""
    return Option(
        "memory",
        "enum",
        "auto",
        "Memory",
        choices=(
            Choice("auto", "Automatic", "Use as much memory as is free"),
            Choice("low", "Low", "Keep one network on the GPU at a time"),
            Choice("high", "High", "Keep all networks on the GPU, also between avatars"),
        ),
    )


def pictures_option(views: int) -> Option:
    """Further pictures of the same thing; views: how many the engine takes with the first."""
    return Option("pictures", "paths", (), low=0, high=views - 1, shown=False)
