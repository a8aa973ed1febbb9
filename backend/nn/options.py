# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of an engine: their defaults, and whether given ones are allowed. Needs no torch."""

from __future__ import annotations

import re
from typing import Any

from ..errors import BackendError

DEVICE = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d{1,2})?")
# Name -> (default, the words it may be, or a number's lowest and highest; () for the device).
Options = dict[str, tuple[Any, tuple]]


def checked(engine: str, options: Options, given: dict[str, Any]) -> dict[str, Any]:
    """All options with their defaults, for the engine called `engine` in messages. Raises BackendError: bad_params,
    unknown_device.
    """
    out = {name: default for name, (default, _) in options.items()}
    for name, value in given.items():
        if name not in options:
            raise BackendError("bad_params", f"{engine} has no option {name[:40]!r}.", f"It has {', '.join(options)}.")
        if value is None:
            continue
        allowed = options[name][1]
        if name == "device":
            if not isinstance(value, str) or not DEVICE.fullmatch(value):
                raise BackendError(
                    "unknown_device",
                    f"There is no device {str(value)[:40]!r}.",
                    "Choose auto, cuda, cuda:N, mps or cpu.",
                )
        elif isinstance(allowed[0], bool):
            if type(value) is not bool:
                raise _wrong(name, "true or false")
        elif isinstance(allowed[0], int | float):
            kinds = (int,) if isinstance(allowed[0], int) else (int, float)
            if type(value) not in kinds or not allowed[0] <= value <= allowed[1]:
                number = "whole number" if kinds == (int,) else "number"
                raise _wrong(name, f"a {number} from {allowed[0]} to {allowed[1]}")
        elif value not in allowed:
            raise _wrong(name, f"one of {', '.join(allowed)}")
        out[name] = value
    return out


def _wrong(name: str, wanted: str) -> BackendError:
    return BackendError("bad_params", f"The option {name!r} must be {wanted}.", "Correct it and try again.")
