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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import BackendError
from ..staging import hold
from .runs import PROMOTIONS, RECEIPT, ROOT, damage, promotions, read_receipt, run_folders, write_json

log = logging.getLogger(__name__)

RUN_ID, EXPERIMENT = "avatar.run_id", "Avatar Forge"
PARENT = "mlflow.parentRunId"  # MLflow's own tag, by which its table nests runs
STATE, LOCK, LOG = "tracking.json", ".sync.lock", "sync.log"
# No repeated requests: one that was carried out although its answer got lost would make a second run. The next sender
# repeats all.
CLIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
WAITS = (5.0, 15.0, 45.0, 120.0, 300.0)  # seconds between the tries of a background sender
LOCK_WAIT = 20.0  # seconds that a sender waits for the one before it
VALUE_LIMIT, KEY = 500, re.compile(r"[^\w./ -]")
FIGURES = (
    "front_match",
    "vertex_count",
    "face_count",
    "texture_resolution",
    "bone_count",
    "skinning_weight_coverage",
    "generate_time_s",
    "rig_time_s",
)
ENGINE_TIMES = {"engine": "generate_time_s", "rigger": "rig_time_s"}  # parameter -> metric
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
        raise BackendError("bad_target", "The address of MLflow names no host.", "Enter one such as http://host:5000.")
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
        return {"state": "offline", "store": store.uri, "pending": len(pending(root, store))}
    # The address may hold a password, so it goes by the environment, which only this user can read.
    environment = {**os.environ, **QUIET, "MLFLOW_TRACKING_URI": uri or os.environ.get("MLFLOW_TRACKING_URI", "")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment.pop("AVATAR_FORGE_PARENT_PID", None)
    flags: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    root.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "backend", "sync", "--runs", str(root), "--patient"]
    with (root / LOG).open("wb") as output:
        subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **flags)
    return {"state": "sending", "store": store.uri, "pending": len(pending(root, store))}


def pending(root: Path, store: Store, everything: bool = False) -> list[Path]:
    """Run folders that `store` lacks and that can be read. One that another store has got is not sent again unless
    `everything`.
    """
    return [folder for folder in run_folders(root) if _is_pending(folder, store, everything) and not damage(folder)]


def damaged(root: Path) -> str:
    """One sentence that names the run folders that cannot be recorded, "" when there are none."""
    found = [(folder.name, problem) for folder in run_folders(root) if (problem := damage(folder))]
    if not found:
        return ""
    listed = ", ".join(f"{name} ({problem})" for name, problem in found[:5])
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
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        stores = state.get("stores") if isinstance(state, dict) else None
        if isinstance(stores, dict):
            whole = {key: entry for key, entry in stores.items() if _is_entry(entry)}
            return {**state, "stores": whole}
    return {"stores": {}}


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("uri"), str):
        return False
    return "sent" not in entry or all(isinstance(entry.get(key), str) for key in ("sent", "experiment", "run"))


def content_digest(folder: Path) -> str:
    """Of what there is to send: the receipt and the promotions."""
    parts = [path.read_bytes() if path.exists() else b"" for path in (folder / RECEIPT, folder / PROMOTIONS)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


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
            if getattr(error, "error_code", "") not in RUN_ERRORS:
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

    digest, receipt = content_digest(folder), read_receipt(folder / RECEIPT)
    ended = _milliseconds(receipt["made_at"])
    begun = ended - round(1000 * sum(receipt["seconds"].values()))
    run = _only_one(client, experiment, receipt["run"])
    if run is None:
        run = client.create_run(
            experiment, start_time=begun, run_name=receipt["name"], tags={RUN_ID: receipt["run"]}
        ).info.run_id
    if group := receipt["parameters"].get("candidates_of"):
        _set_parent(client, experiment, run, str(group), receipt)
    params = [Param(key, value) for key, value in run_params(receipt).items()]
    metrics = [Metric(key, value, ended, 0) for key, value in run_metrics(receipt).items()]
    tags = [RunTag(key, value) for key, value in run_tags(receipt, folder).items()]
    for k in range(0, len(params), 90):
        client.log_batch(run, params=params[k : k + 90])
    client.log_batch(run, metrics=metrics, tags=tags)
    for path in artifacts(folder):
        place = path.parent.relative_to(folder).as_posix()
        client.log_artifact(run, str(path), None if place == "." else place)
    client.set_terminated(run, "FINISHED", ended)
    run = _only_one(client, experiment, receipt["run"]) or run
    _note(folder, store, experiment=experiment, run=run, sent=digest)
    log.info("run %s is in %s", receipt["run"], store.uri)


def _set_parent(client: Any, experiment: str, run: str, group: str, receipt: dict[str, Any]) -> None:
    """Makes the run a child of one for all candidates of its group, which is made with the first of them."""
    parent = _only_one(client, experiment, group)
    if parent is None:
        name = str(receipt["parameters"].get("candidates_name") or receipt["name"])
        tags = {RUN_ID: group, "name": name, "picture": receipt["picture"]["name"]}
        client.create_run(experiment, run_name=f"{name}: candidates", tags=tags)
        parent = _only_one(client, experiment, group)
        client.set_terminated(parent, "FINISHED")
    client.set_tag(run, PARENT, parent)


def _only_one(client: Any, experiment: str, run_id: str) -> str | None:
    """The run with this tag. A second one, of a request that we had given up and the server had not, is deleted."""
    found = client.search_runs([experiment], f"tags.\"{RUN_ID}\" = '{run_id}'", order_by=["attributes.start_time ASC"])
    runs = sorted(run.info.run_id for run in found)
    for surplus in runs[1:]:
        client.delete_run(surplus)
    return runs[0] if runs else None


def run_params(receipt: dict[str, Any]) -> dict[str, str]:
    """seed, skeleton_seed, engine, rigger, the engine's options under their own names, the rigger's with rig_, and
    the versions.
    """
    given = receipt["parameters"]
    params: dict[str, Any] = {
        key: value for key, value in given.items() if not isinstance(value, (dict, list)) and value is not None
    }
    params.setdefault("skeleton_seed", given.get("seed", 0))
    params |= {key: value for key, value in (given.get("engine_options") or {}).items() if key not in params}
    params |= {f"rig_{key}": value for key, value in (given.get("rigger_options") or {}).items()}
    params |= {f"version.{key}": value for key, value in receipt["versions"].items()}
    params |= {f"weights.{key}": value for key, value in (receipt.get("weights") or {}).items()}
    params["markers"] = "given" if given.get("markers") else "found"
    return {KEY.sub("_", key)[:200]: str(value)[:VALUE_LIMIT] for key, value in params.items() if value != ""}


def run_metrics(receipt: dict[str, Any]) -> dict[str, float]:
    """The avatar's figures, how long it took, how its report card came out; then whatever the engines measured, and
    each stage's time.

    Each engine at work has its own, such as `trellis_time_s`; MLflow's page shows metrics in this order.
    """
    given, figures, seconds = receipt["parameters"], receipt["metrics"], receipt["seconds"]
    metrics = {name: float(figures[name]) for name in FIGURES if name in figures}
    for parameter, time_of_job in ENGINE_TIMES.items():
        if time_of_job in figures and given.get(parameter):
            metrics[f"{given[parameter]}_time_s"] = float(figures[time_of_job])
    metrics["total_time_s"] = float(sum(seconds.values()))
    if checks := (receipt.get("report") or {}).get("checks", []):
        metrics |= {
            f"report_{word.lower()}": float(sum(c.get("status") == word for c in checks))
            for word in ("PASS", "WARN", "FAIL")
        }
    metrics["warning_count"] = float(len(receipt["warnings"]))
    measured = {KEY.sub("_", name)[:200]: float(value) for name, value in figures.items()}
    measured |= {f"stage_{KEY.sub('_', stage)}_s": float(value) for stage, value in seconds.items()}
    return metrics | {name: value for name, value in measured.items() if name not in metrics}


def run_tags(receipt: dict[str, Any], folder: Path) -> dict[str, str]:
    """Name, version, and where the model was promoted to."""
    tags = {"parent_run": receipt["parent"]["run"]} if receipt.get("parent") else {}
    tags |= {RUN_ID: receipt["run"], "name": receipt["name"], "picture": receipt["picture"]["name"]}
    tags |= {"version": receipt["versions"].get("avatar_forge", "")}
    if promoted := promotions(folder):
        last = promoted[-1]
        urls = last.get("urls") or {}
        tags |= {"version": str(last["version"]), "promoted_key": f"s3://{last['bucket']}/{last['key']}"}
        tags["promoted_url"] = next(iter(urls.values()), tags["promoted_key"])
        tags |= {f"promoted_url.{KEY.sub('_', name)}": url for name, url in urls.items()}
        if last.get("override"):
            tags["override_reason"] = last["override"]
    return {key: value[:5000] for key, value in tags.items() if value}


def artifacts(folder: Path) -> list[Path]:
    """Everything in the run folder but our own notes."""
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name != STATE and not path.name.startswith(".")
    )


def _note(folder: Path, store: Store, **values: Any) -> None:
    state = state_of(folder)
    kept = state["stores"].pop(store.key, {})
    kept.pop("error", None)
    state["stores"][store.key] = {**kept, "uri": store.uri, **values}  # the last one is the newest
    write_json(folder / STATE, state)


def _milliseconds(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).timestamp() * 1000)


def _away(store: Store, error: Exception) -> str:
    """One sentence; what the libraries say may repeat the address with its password."""
    log.info("%s: %s", store.uri, type(error).__name__)
    code = getattr(error, "error_code", "")
    if code in RUN_ERRORS:
        return f"MLflow at {store.uri} refuses this run ({code}); it stays in the runs folder."
    if not store.is_server:
        return (
            f"The records in {store.uri} cannot be written ({type(error).__name__}); check the disk and the"
            " permissions."
        )
    if code in ("PERMISSION_DENIED", "UNAUTHENTICATED"):
        return (
            f"MLflow at {store.uri} does not let us in; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or"
            " its token."
        )
    if code == "ENDPOINT_NOT_FOUND":
        return f"There is no MLflow at {store.uri}; correct its address in the preferences."
    return f"MLflow at {store.uri} does not answer as it should; the runs are kept and sent later."
