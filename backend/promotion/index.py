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
from .names import LAST
from .store import ExistsError, MissingError, Store

INDEX = "index.json"
LARGEST = 64 << 20  # bytes: some 60 thousand models
LOOKS, LOOK_WAIT = 4, 0.3  # at an index that ought to be there or to have changed, seconds between them
TIMEOUT = 120.0  # seconds of trying against others who write as well
STUCK = 10.0  # seconds after which refused writes are no others' doing, if the index has not changed meanwhile


def read(store: Store) -> dict[str, Any]:
    """The index, empty where there is none. Raises BackendError(bad_index or index_hidden)."""
    return _parse(_stored(store))


def add(store: Store, entry: dict[str, Any], conditional: bool) -> None:
    """Adds a model, keeping what others added meanwhile: the write only succeeds on the very version that was read.

    conditional: False where the server cannot do that; then the caller holds `Store.turn`. Raises BackendError
    (bad_index, index_hidden, index_refused, not_kept), ExistsError or MissingError.
    """
    key, deadline, wait = store.target.key(INDEX), time.monotonic() + TIMEOUT, 0.05
    # What UTF-8 cannot hold, such as half a surrogate pair in a name, becomes "?".
    entry = json.loads(json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace"))
    looks = 0  # after our own write
    refused: str | None = ""  # ETag of the index on which a write was refused
    since = 0.0  # the first time
    while True:
        found = _stored(store)
        index = _parse(found)
        if entry in index["models"]:
            return  # ours is there: read back after our own write, or written by a process that was killed
        if 0 < looks < LOOKS:  # a cache between us and the server may still have the one before
            looks += 1
            time.sleep(LOOK_WAIT)
            continue
        if looks:
            message = f"The server accepts changes to {INDEX} but does not keep them."
            raise BackendError("not_kept", message, "Use another S3-compatible server.")
        others = [model for model in index["models"] if model.get("key") != entry["key"]]
        index["models"] = sorted([*others, entry], key=lambda model: (str(model.get("name")), version_of(model)))
        condition: dict[str, Any] = {} if not conditional else {"IfMatch": found[1]} if found else {"IfNoneMatch": "*"}
        body = (json.dumps(index, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        try:
            store.put(key, body, ContentType="application/json", CacheControl="no-cache", **condition)
            looks = 1
            continue
        except (ExistsError, MissingError):
            now, tag = time.monotonic(), found and found[1]
            if tag != refused:
                refused, since = tag, now
            elif now > since + STUCK:
                raise _unchangeable(store) if found else _hidden(store) from None
            if now > deadline:
                raise
        time.sleep(random.uniform(0.0, wait))
        wait = min(wait * 1.5, 1.0)


def _stored(store: Store) -> tuple[bytes, str] | None:
    """The index's bytes and ETag, None where there is none. A server that hides one that it lists is not believed: a
    new index in its place would lose everyone's models.
    """
    key = store.target.key(INDEX)
    for look in range(LOOKS):
        if look:
            time.sleep(LOOK_WAIT)
        found = store.read(key, LARGEST)
        if found is not None or key not in store.keys(key):
            return found
    raise _hidden(store)


def _hidden(store: Store) -> BackendError:
    message = f"The server {store.target.where} has {INDEX} but does not let it be read."
    return BackendError("index_hidden", message, "Allow the access key to read it, then promote again: it resumes.")


def _unchangeable(store: Store) -> BackendError:
    message = f"The server {store.target.where} rejects every change to {INDEX}, although nobody else changes it."
    return BackendError("index_refused", message, "Promote again later: it resumes.")


def version_of(entry: dict[str, Any]) -> int:
    """The version of an entry, 0 where it has none that a file's name can have: others may write to the index too."""
    version = entry.get("version")
    return version if isinstance(version, int) and not isinstance(version, bool) and 0 < version <= LAST else 0


def _parse(found: tuple[bytes, str] | None) -> dict[str, Any]:
    if found is None:
        return {"format": 1, "models": []}
    try:
        if len(found[0]) > LARGEST:
            raise ValueError
        index = json.loads(found[0])
        models = index["models"]
        if index["format"] != 1 or not isinstance(models, list) or not all(isinstance(m["key"], str) for m in models):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"The {INDEX} in the bucket was not written by Avatar Forge."
        raise BackendError(
            "bad_index", message, "Move it away or promote to a folder (prefix) of the bucket."
        ) from error
    return index
