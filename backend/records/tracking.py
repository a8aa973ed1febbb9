# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow gets every run folder, once. Nothing here is ever waited for: `record` writes the folder and starts a
process that sends it.

What was sent is found again by the tag `avatar.run_id`, so that a sender that was killed anywhere is followed by one
that completes the same run; a lock keeps two senders apart. Where the server is away, the run folder waits for the
next sender.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import time
import unicodedata
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..addresses import shown
from ..errors import BackendError
from ..staging import hold
from .content import DAMAGE, RUN_TAG, STATE, Content, content_digest, problem, read
from .runs import LARGEST, ROOT, run_folders, write_json

log = logging.getLogger(__name__)

EXPERIMENT = "Avatar Forge"
PARENT = "mlflow.parentRunId"  # MLflow's own tag, by which its table nests runs
LOCK, LOG = ".sync.lock", "sync.log"
# No repeated requests: one that was carried out although its answer got lost would make a second run. The next sender
# repeats all.
CLIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",  # the runs would go to another host than the user has named
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
WAITS = (5.0, 15.0, 45.0, 120.0, 300.0)  # seconds between the tries of a background sender
LOCK_WAIT = 20.0  # seconds that a sender waits for the one before it
CLOUDS = {"s3", "gs", "wasbs", "abfss"}  # stores that a server may send clients to, with keys of their own
# The server refuses this very run, not us.
RUN_ERRORS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"}


@dataclass(frozen=True)
class Store:
    """uri: of an MLflow server, a database, or the SQLite file below the runs folder, without user and password:
    what is shown and kept. address: what MLflow is given, where that is more than `uri`.
    """

    uri: str
    artifacts: str | None = None  # where a local store keeps files; a server decides that itself
    user: str = field(default="", repr=False)  # some services take a token as the user
    password: str = field(default="", repr=False)
    address: str = field(default="", repr=False)

    @property
    def key(self) -> str:
        return hashlib.sha256(self.uri.encode()).hexdigest()[:12]

    @property
    def shown(self) -> str:
        """For messages and logs."""
        return shown(self.uri)

    @property
    def is_remote(self) -> bool:
        """Whether the store is on another machine."""
        if self.uri.startswith("databricks"):
            return True
        host = urllib.parse.urlsplit(self.address or self.uri).hostname
        return bool(host) and host not in ("localhost", "127.0.0.1", "::1")

    @property
    def is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))


def choose_store(root: Path, uri: str = "") -> Store:
    """`uri` (the preference), else MLFLOW_TRACKING_URI, else a SQLite store beside the runs. Raises
    BackendError("bad_target") for an address that says its secret in the query (`?token=`), which MLflow would repeat.
    """
    if chosen := (uri or os.environ.get("MLFLOW_TRACKING_URI", "")).strip():
        parts = _parts(chosen)
        user, password = (urllib.parse.unquote(word or "") for word in (parts.username, parts.password))
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        if parts.scheme not in ("http", "https"):
            artifacts = (root / "mlflow-artifacts").absolute().as_uri()
            secret = password or parts.query or parts.fragment
            shown = plain._replace(query="", fragment="").geturl() if secret else chosen
            return Store(shown, artifacts, address=chosen)
        if parts.query or parts.fragment:
            raise BackendError(
                "bad_target",
                "The address of MLflow has a part after ? or #, where a secret would be visible.",
                (
                    "Enter only the address; set user and password in MLFLOW_TRACKING_USERNAME and"
                    " MLFLOW_TRACKING_PASSWORD, or a token in MLFLOW_TRACKING_TOKEN."
                ),
            )
        return Store(plain.geturl().rstrip("/"), None, user, password)
    return Store(
        f"sqlite:///{(root / 'mlflow.db').absolute().as_posix()}", (root / "mlflow-artifacts").absolute().as_uri()
    )


def _parts(address: str) -> urllib.parse.SplitResult:
    """An address in its parts, refused where it is none or where a password would not be recognised as one."""
    try:
        parts = urllib.parse.urlsplit(address)
        usable = parts.port is None or parts.port > 0
    except ValueError:
        usable = False
    if not usable or any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in address):
        raise BackendError("bad_target", "The address of MLflow cannot be read.", "Enter one such as http://host:5000.")
    if parts.scheme in ("sqlite", "file") or address.startswith(("/", "~", ".")):
        return parts
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise BackendError(
            "bad_target", "The address of MLflow has no host name.", "Enter one such as http://host:5000."
        )
    if "@" in parts._replace(netloc="").geturl():
        raise BackendError(
            "bad_target",
            "The address of MLflow has an @ where a password would be visible.",
            "Write scheme://user:password@host, with %2F, %23 and %3F for /, # and ? in the password.",
        )
    return parts


def send_later(root: Path, uri: str = "", online: bool = True) -> dict[str, Any]:
    """Starts a sender that outlives this process, and returns at once: {"state": "sending", "store", "pending"}.

    online: whether the network may be used; without it a store on another machine waits (state "offline").
    """
    try:
        store = choose_store(root, uri)
    except BackendError as error:  # the run folder is written all the same
        return {"state": "refused", "store": "", "pending": 0, "message": f"{error.message} {error.hint}"}
    if not online and store.is_remote:
        return {"state": "offline", "store": store.shown, "pending": len(pending(root, store))}
    # The address may hold a password, so it goes by the environment, which only this user can read.
    environment = {**os.environ, **QUIET, "MLFLOW_TRACKING_URI": uri or os.environ.get("MLFLOW_TRACKING_URI", "")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment.pop("AVATAR_FORGE_PARENT_PID", None)
    flags: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    root.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "backend", "sync", "--runs", str(root), "--patient"]
    if (root / LOG).is_symlink():  # what it leads to is not ours to write
        (root / LOG).unlink()
    with (root / LOG).open("wb") as output:
        subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **flags)
    return {"state": "sending", "store": store.shown, "pending": len(pending(root, store))}


def pending(root: Path, store: Store, everything: bool = False) -> list[Path]:
    """Run folders that `store` lacks and that can be read. One that another store has got is not sent again unless
    `everything`.
    """
    return [folder for folder in run_folders(root) if _is_pending(folder, store, everything) and not problem(folder)]


def damaged(root: Path) -> str:
    """One sentence that names the run folders that cannot be recorded, "" when there are none."""
    found = [(folder.name, found) for folder in run_folders(root) if (found := problem(folder))]
    if not found:
        return ""
    listed = ", ".join(f"{name} ({why})" for name, why in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"Left out because they are damaged, restore or delete them: {listed}{more}."


def _is_pending(folder: Path, store: Store, everything: bool) -> bool:
    stores = state_of(folder)["stores"]
    mine = stores.get(store.key, {})
    if "sent" in mine:
        with contextlib.suppress(OSError):
            return mine["sent"] != content_digest(folder)
        return False
    return everything or not any("sent" in other for other in stores.values())


def state_of(folder: Path) -> dict[str, Any]:
    """{"stores": {key: {"uri", "experiment", "run", "sent": digest of what was sent, or "error": sentence}}}"""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        path = folder / STATE
        if not path.is_file() or path.stat().st_size > LARGEST:  # reading a pipe would wait for ever
            return {"stores": {}}
        state = json.loads(path.read_text(encoding="utf-8"))
        stores = state.get("stores") if isinstance(state, dict) else None
        if isinstance(stores, dict):
            whole = {key: entry for key, entry in stores.items() if _is_entry(entry)}
            return {**state, "stores": whole}
    return {"stores": {}}


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("uri"), str):
        return False
    return "sent" not in entry or all(isinstance(entry.get(key), str) for key in ("sent", "experiment", "run"))


def run_url(folder: Path) -> str:
    """What the button opens: the run's page on the server that has it, else the page in the run folder."""
    for entry in reversed(list(state_of(folder)["stores"].values())):
        if "sent" in entry and entry["uri"].startswith(("http://", "https://")):
            return f"{entry['uri']}/#/experiments/{entry['experiment']}/runs/{entry['run']}"
    page = folder / "run.html"
    if not page.exists():
        raise BackendError("unreadable", f"There is no run in {folder}.", "It may have been deleted or moved.")
    return page.absolute().as_uri()


def sync(
    root: Path,
    uri: str = "",
    everything: bool = False,
    patient: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Sends what is pending: {"state": done | busy | waiting, "sent", "pending", "message"}. waiting: the server is
    away or refuses.

    patient: tries again for some minutes, and waits for another sender to end.
    """
    root.mkdir(parents=True, exist_ok=True)
    store = choose_store(root, uri)
    sent, message = 0, ""
    with _lock(root, LOCK_WAIT if patient else 0.0) as mine:
        if not mine:
            return {
                "state": "busy",
                "sent": 0,
                "pending": len(pending(root, store)),
                "message": "Another process is already sending runs.",
            }
        for wait in (*(WAITS if patient else ()), None):
            count, message = _pass(root, store, everything)
            sent += count
            left = len(pending(root, store, everything))
            if not left or wait is None:
                break
            sleep(wait)
    message = " ".join(filter(None, (message, damaged(root))))
    return {"state": "waiting" if left else "done", "sent": sent, "pending": left, "message": message}


@contextlib.contextmanager
def _lock(root: Path, patience: float) -> Iterator[bool]:
    deadline = time.monotonic() + patience
    while (file := hold(root / LOCK)) is None and time.monotonic() < deadline:
        time.sleep(0.2)
    try:
        yield file is not None
    finally:
        if file:
            file.close()


def _pass(root: Path, store: Store, everything: bool) -> tuple[int, str]:
    """One try at everything that is pending; how many were sent, and the sentence when something is left."""
    if not (folders := pending(root, store, everything)):
        return 0, ""
    sent, message = 0, ""
    try:
        client = connect(store)
        experiment = _experiment(client, store)
    except Exception as error:  # mlflow's, sqlalchemy's, requests' and the system's exceptions have no common base
        return 0, _away(store, error)
    for folder in folders:
        try:
            _send(client, experiment, store, folder)
            sent += 1
        except Exception as error:
            message = _away(store, error)
            with contextlib.suppress(OSError):
                _note(folder, store, error=message)
            if getattr(error, "error_code", "") not in RUN_ERRORS and not isinstance(error, DAMAGE):
                break
    return sent, message


def connect(store: Store) -> Any:
    """An MlflowClient that gives up soon."""
    for name, value in {**CLIENT, **QUIET}.items():
        os.environ.setdefault(name, value)
    if store.user:
        os.environ |= {"MLFLOW_TRACKING_USERNAME": store.user, "MLFLOW_TRACKING_PASSWORD": store.password}
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    return MlflowClient(store.address or store.uri)


def _experiment(client: Any, store: Store) -> str:
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=store.artifacts)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


def _send(client: Any, experiment: str, store: Store, folder: Path) -> None:
    """Every step may have been done before; at the end there is one complete run."""
    from mlflow.entities import Metric, Param, RunTag

    content = read(folder)
    run = _only_one(client, experiment, content.run)
    if run is None:
        run = client.create_run(
            experiment, start_time=content.begun, run_name=content.name, tags={RUN_TAG: content.run}
        ).info.run_id
    if content.group:
        _set_parent(client, experiment, run, content)
    params = [Param(key, value) for key, value in content.params.items()]
    metrics = [Metric(key, value, content.ended, 0) for key, value in content.metrics.items()]
    tags = [RunTag(key, value) for key, value in content.tags.items()]
    for k in range(0, len(params), 90):
        client.log_batch(run, params=params[k : k + 90])
    client.log_batch(run, metrics=metrics, tags=tags)
    files = _files_of(client, store, run)
    for path in content.artifacts:
        place = path.parent.relative_to(folder).as_posix()
        files.log_artifact(str(path), None if place == "." else place)
    client.set_terminated(run, "FINISHED", content.ended)
    run = _only_one(client, experiment, content.run) or run
    _note(folder, store, experiment=experiment, run=run, sent=content.digest)
    log.info("run %s is in %s", content.run, store.shown)


def _files_of(client: Any, store: Store, run: str) -> Any:
    """Where the run's files go. The server says where, and its word alone would overwrite files of this computer or
    carry the password to another host. Raises BackendError("bad_target").
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    place = client.get_run(run).info.artifact_uri or ""
    parts, server = urllib.parse.urlsplit(place), urllib.parse.urlsplit(store.uri)
    fine = not store.is_server or parts.scheme in CLOUDS
    if parts.scheme in ("mlflow-artifacts", "http", "https"):
        fine = not parts.netloc or (parts.hostname, parts.port) == (server.hostname, server.port)
    elif parts.scheme in ("", "file") and not store.is_remote:  # a server here may keep its files beside its database
        path = Path(urllib.request.url2pathname(parts.path))
        own = path.is_absolute() and path.parts[-2:] == (run, "artifacts") and path == path.resolve()
        fine = fine or (own and not parts.netloc)
    if not fine:
        message = f"The artifact location of MLflow at {store.shown} is not on that server."
        raise BackendError("bad_target", message, "Start that server with --serve-artifacts.")
    return get_artifact_repository(place, tracking_uri=client.tracking_uri)


def _set_parent(client: Any, experiment: str, run: str, content: Content) -> None:
    """Makes the run a child of one for all candidates of its group, which is made with the first of them."""
    parent = _only_one(client, experiment, content.group)
    if parent is None:
        tags = {RUN_TAG: content.group, "name": content.group_name, "picture": content.tags["picture"]}
        client.create_run(experiment, run_name=f"{content.group_name}: candidates", tags=tags)
        parent = _only_one(client, experiment, content.group)
        client.set_terminated(parent, "FINISHED")
    client.set_tag(run, PARENT, parent)


def _only_one(client: Any, experiment: str, run_id: str) -> str | None:
    """The run with this tag. A second one, of a request that we had given up and the server had not, is deleted."""
    found = client.search_runs([experiment], f"tags.\"{RUN_TAG}\" = '{run_id}'", order_by=["attributes.start_time ASC"])
    runs = sorted(run.info.run_id for run in found)
    for surplus in runs[1:]:
        client.delete_run(surplus)
    return runs[0] if runs else None


def _note(folder: Path, store: Store, **values: Any) -> None:
    state = state_of(folder)
    kept = state["stores"].pop(store.key, {})
    kept.pop("error", None)
    state["stores"][store.key] = {**kept, "uri": store.uri, **values}  # the last one is the newest
    write_json(folder / STATE, state)


def _away(store: Store, error: Exception) -> str:
    """One sentence; what the libraries say may repeat the address with its password."""
    log.info("%s: %s", store.shown, type(error).__name__)
    code = getattr(error, "error_code", "")
    if isinstance(error, BackendError):
        return f"{error.message} {error.hint}"
    if code in RUN_ERRORS:
        return f"MLflow at {store.shown} refuses this run ({code}); it stays in the runs folder."
    if not store.is_server:
        return (
            f"The records in {store.shown} cannot be written ({type(error).__name__}); check the disk and the"
            " permissions."
        )
    if code in ("PERMISSION_DENIED", "UNAUTHENTICATED"):
        return (
            f"MLflow at {store.shown} does not let us in; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or"
            " its token."
        )
    if re.search(r"error code 30[12378]\b", str(error)):
        return f"MLflow at {store.shown} redirects to another address; enter that one in the preferences."
    if code == "ENDPOINT_NOT_FOUND":
        return f"There is no MLflow at {store.shown}; correct its address in the preferences."
    return f"MLflow at {store.shown} does not answer as it should; the runs are kept and sent later."
