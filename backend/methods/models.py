# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods for models: what the engines declare and whether it is here, getting it, removing it."""

from __future__ import annotations

from typing import Any

from .. import registry
from ..errors import BackendError
from ..models import store
from ..models.store import Model
from .registry import Job, method


@method("models")
def models(job: Job) -> dict[str, Any]:
    """A row of every model, see `_row`."""
    return {"models": [_row(model, users) for model, users in _declared(job).values()]}


@method("download_model")
def download_model(job: Job, name: str) -> dict[str, Any]:
    """Fetches what is missing, from where an interrupted download stopped. Raises as `store.download`, and own_folder
    where the user's own folder is in use.
    """
    model, users = _downloadable(job, name)
    job.run(store.download, name, job.progress)
    return _row(model, users)


@method("remove_model")
def remove_model(job: Job, name: str) -> dict[str, Any]:
    """{freed: bytes} and the model's row. Raises unknown_model, own_folder (files that were not downloaded here)."""
    model, users = _downloadable(job, name)
    freed = store.remove(name)
    if not freed and store.status(name)["state"] != "missing":
        where = store.place(name)
        raise BackendError(
            "own_folder",
            f"The files in {where} were not downloaded here.",
            "Delete them yourself, or choose another folder.",
        )
    return {"freed": freed, **_row(model, users)}


def _declared(job: Job) -> dict[str, tuple[Model, list[str]]]:
    """Model -> it, and the engines that need it as "generators.trellis"."""
    declared: dict[str, tuple[Model, list[str]]] = {}
    for kind in registry.BUILT_IN:
        for engine, needed in job.engines(kind).models().items():
            for model in needed:
                declared.setdefault(model.name, (model, []))[1].append(f"{kind}.{engine}")
    return declared


def _row(model: Model, users: list[str]) -> dict[str, Any]:
    """{name, label, licence, size (bytes of the download, about), variable, engines, installed, state, bytes (there
    now), folder, own, reason, terms}.

    own: a folder of the user's is used instead of a download. reason: one sentence why it cannot be used, "" when it
    can. terms: addresses of the licences' texts that must be shown before the download.
    """
    own = model.own_folder()
    terms = [text.as_uri() for text in model.terms.values()]
    row = {**model.to_dict(), "engines": users, "own": own is not None, "terms": terms}
    if own is not None:
        reason = model.folder_reason(own)
        state = "missing" if reason else "ready"
        return row | {"installed": not reason, "state": state, "bytes": 0, "folder": str(own), "reason": reason}
    try:
        status = store.status(model.name)
    except BackendError as error:  # a damaged lock
        return row | {
            "installed": False,
            "state": "damaged",
            "bytes": 0,
            "folder": str(store.place(model.name)),
            "reason": f"{error.message} {error.hint}",
        }
    installed = status["state"] == "ready"
    return row | {
        "installed": installed,
        "state": status["state"],
        "bytes": status["bytes"],
        "folder": status["folder"],
        "reason": "" if installed else store.unavailable_reason(model.name),
    }


def _downloadable(job: Job, name: str) -> tuple[Model, list[str]]:
    declared = _declared(job)
    model = store.get(name)
    if own := model.own_folder():
        raise BackendError(
            "own_folder", f"The {name} weights come from your own folder {own}.", "Stop using that folder first."
        )
    return declared.get(name, (model, []))
