# SPDX-License-Identifier: GPL-3.0-or-later
"""What a generator has made of a request, here or on another machine, before it is in the scene."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import copy_whole
from .request import Request


@dataclass
class Generated:
    """A mesh that the generator has made of a request, not in the scene yet. result: the worker's; seconds: it took."""

    request: Request
    job_folder: Path
    result: dict[str, Any]
    seconds: float

    @property
    def path(self) -> Path:
        return Path(self.result["mesh"])

    def discard(self) -> None:
        shutil.rmtree(self.job_folder, ignore_errors=True)


def taken_over(request: Request, folder: Path) -> Generated:
    """What a generator on another machine has left in `request.generated`: result.json and the mesh it names."""
    assert request.generated
    result = json.loads((request.generated / "result.json").read_text(encoding="utf-8"))
    result["mesh"] = str(copy_whole(request.generated / Path(result["mesh"]).name, folder / "mesh.glb"))
    for name in ("engine", "seed", "engine_options", "markers"):  # of that generator, for the receipt
        setattr(request, name, result.get("request", {}).get(name, getattr(request, name)))
    return Generated(request, folder, result, float(result.get("seconds", 0.0)))
