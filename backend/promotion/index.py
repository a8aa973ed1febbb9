# SPDX-License-Identifier: GPL-3.0-or-later
"""index.json of a bucket: every promoted model, for whoever wants to list them without the right to list the bucket.

{"format": 1, "models": [{"name", "version", "key", "file", "sha256", "size", "run_id", "promoted_at", "report",
"override"}, ...]}
"""

from __future__ import annotations

import json
import random
import time
from typing import Any

from ..errors import BackendError
from .store import ExistsError, MissingError, Store

INDEX = "index.json"
TIMEOUT = 120.0  # seconds of trying against others who write as well


def read(store: Store) -> dict[str, Any]:
    """The index, empty where there is none. Raises BackendError("bad_index")."""
    return _parse(store.read(store.target.key(INDEX)))


def add(store: Store, entry: dict[str, Any], conditional: bool) -> None:
    """Adds a model, keeping what others added meanwhile: the write only succeeds on the very version that was read.

    conditional: False where the server cannot do that; then the caller holds `Store.turn`.
    """
    key, deadline, wait = store.target.key(INDEX), time.monotonic() + TIMEOUT, 0.05
    while True:
        found = store.read(key)
        index = _parse(found)
        if entry in index["models"]:
            return
        others = [model for model in index["models"] if model.get("key") != entry["key"]]
        index["models"] = sorted(
            [*others, entry], key=lambda model: (str(model.get("name")), int(model.get("version") or 0))
        )
        condition: dict[str, Any] = {} if not conditional else {"IfMatch": found[1]} if found else {"IfNoneMatch": "*"}
        body = (json.dumps(index, indent=1, ensure_ascii=False) + "\n").encode()
        try:
            store.put(key, body, ContentType="application/json", CacheControl="no-cache", **condition)
            return
        except (ExistsError, MissingError):
            if time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.0, wait))
        wait = min(wait * 1.5, 1.0)


def _parse(found: tuple[bytes, str] | None) -> dict[str, Any]:
    if found is None:
        return {"format": 1, "models": []}
    try:
        index = json.loads(found[0])
        if index["format"] != 1 or not all(isinstance(model["key"], str) for model in index["models"]):
            raise ValueError
    except (ValueError, KeyError, TypeError) as error:
        message = f"The {INDEX} in the bucket is not one of Avatar Forge's."
        raise BackendError(
            "bad_index", message, "Move it away or promote into a folder (prefix) of the bucket."
        ) from error
    return index
