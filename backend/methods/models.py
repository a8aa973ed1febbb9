# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's methods for models: what there is and whether it is here, getting it, removing it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..engines import Progress
from ..errors import BackendError
from ..models import store
from ..skintokens.engine import VARIABLE as SKINTOKENS_VARIABLE
from ..skintokens.engine import folder_reason as skintokens_reason
from ..trellis.engine import VARIABLE as TRELLIS_VARIABLE
from ..trellis.engine import folder_reason as trellis_reason
from ..unirig.engine import VARIABLE as UNIRIG_VARIABLE
from ..unirig.engine import folder_reason as unirig_reason

# Model -> the variable that names a user's own folder for it, and what says in one sentence why a folder will not do.
OWN = {
    "trellis": (TRELLIS_VARIABLE, trellis_reason),
    "unirig": (UNIRIG_VARIABLE, unirig_reason),
    "skintokens": (SKINTOKENS_VARIABLE, skintokens_reason),
}


def listing() -> dict[str, Any]:
    """`models`: a row of every model, see `_row`."""
    return {"models": [_row(name) for name in store.MODELS]}


def download(name: str, progress: Progress) -> dict[str, Any]:
    """`download_model`: fetches what is missing, from where an interrupted download stopped. Raises as
    `models.download`, and own_folder where the user's own folder is in use.
    """
    _refuse_own(name)
    store.download(name, progress)
    return _row(name)


def remove(name: str) -> dict[str, Any]:
    """`remove_model`: {freed: bytes} and the model's row. Raises unknown_model, own_folder (files that were not
    downloaded here).
    """
    _refuse_own(name)
    freed = store.remove(name)
    if not freed and store.status(name)["state"] != "missing":
        where = store.place(name)
        raise BackendError(
            "own_folder",
            f"The files in {where} were not downloaded here.",
            "Delete them yourself, or choose another folder.",
        )
    return {"freed": freed, **_row(name)}


def _row(name: str) -> dict[str, Any]:
    """{name, label, licence, size (bytes of the download, about), installed, state, bytes (there now), folder, own,
    reason}.

    own: a folder of the user's is used instead of a download. reason: one sentence why it cannot be used, "" when it
    can.
    """
    model, own = store.get(name), _own(name)
    row = {"name": name, "label": model.label, "licence": model.licence, "size": model.about, "own": own is not None}
    if own is not None:
        reason = OWN[name][1](own)
        state = "missing" if reason else "ready"
        return row | {"installed": not reason, "state": state, "bytes": 0, "folder": str(own), "reason": reason}
    try:
        status = store.status(name)
    except BackendError as error:  # a damaged lock
        folder = str(store.place(name))
        return row | {
            "installed": False,
            "state": "damaged",
            "bytes": 0,
            "folder": folder,
            "reason": f"{error.message} {error.hint}",
        }
    installed = status["state"] == "ready"
    return row | {
        "installed": installed,
        "state": status["state"],
        "bytes": status["bytes"],
        "folder": status["folder"],
        "reason": "" if installed else store.unavailable_reason(name),
    }


def _own(name: str) -> Path | None:
    chosen = os.environ.get(OWN[name][0]) if name in OWN else None
    return Path(chosen) if chosen else None


def _refuse_own(name: str) -> None:
    store.get(name)
    own = _own(name)
    if own is not None:
        raise BackendError(
            "own_folder", f"The {name} weights come from your own folder {own}.", "Stop using that folder first."
        )
