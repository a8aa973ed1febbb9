# SPDX-License-Identifier: GPL-3.0-or-later
"""What MLflow gets of a run folder: read and checked as a whole before a server is asked for anything, so that a folder
which is damaged in any way is told apart from a server that refuses.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import reason_of
from .runs import PROMOTIONS, RECEIPT, RUN_ID, damage, promotions, read_receipt

RUN_TAG = "avatar.run_id"  # of a run on the server: the run's id here
STATE = "tracking.json"
FIRST = 1_000_000_000_000  # milliseconds: no run was made before September 2001
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
# What reading a value of another type, another size or without a meaning ends in.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Content:
    """times: milliseconds. group: the id of the run for all candidates that this one is of, "" for none."""

    digest: str
    run: str
    name: str
    begun: int
    ended: int
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    artifacts: list[Path]
    group: str
    group_name: str


def read(folder: Path) -> Content:
    """Raises OSError or one of DAMAGE."""
    digest, receipt = content_digest(folder), read_receipt(folder / RECEIPT)
    ended = _milliseconds(receipt["made_at"])
    given = receipt["parameters"]
    group = given.get("candidates_of") or ""
    content = Content(
        digest,
        receipt["run"],
        receipt["name"],
        ended - round(1000 * sum(receipt["seconds"].values())),
        ended,
        run_params(receipt),
        run_metrics(receipt),
        run_tags(receipt, folder),
        artifacts(folder),
        group,
        str(given.get("candidates_name") or receipt["name"]),
    )
    words = [content.name, content.group_name]
    for table in (content.params, content.tags, content.metrics):
        words += [str(word) for pair in table.items() for word in pair]
    dated = FIRST < content.begun <= ended
    if any("\0" in word for word in words) or not dated or not (group == "" or RUN_ID.fullmatch(group)):
        raise ValueError("values that no run has")
    for word in words:
        word.encode()  # half a character ends in UnicodeEncodeError, a ValueError
    return content


def problem(folder: Path) -> str:
    """What keeps a run folder from being recorded, as part of a sentence; "" for nothing."""
    if found := damage(folder):
        return found
    state = folder / STATE
    if os.path.lexists(state) and not state.is_file():
        return f"{STATE} is no file"
    try:
        content = read(folder)
    except OSError as error:
        return f"it cannot be read ({reason_of(error)})"
    except DAMAGE:
        return f"{RECEIPT} is damaged"
    closed = next((path for path in content.artifacts if not os.access(path, os.R_OK)), None)
    return f"{closed.name} cannot be read" if closed else ""


def content_digest(folder: Path) -> str:
    """Of what there is to send: the receipt and the promotions."""
    parts = [path.read_bytes() if path.is_file() else b"" for path in (folder / RECEIPT, folder / PROMOTIONS)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


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
    return {name: str(value)[:VALUE_LIMIT] for key, value in params.items() if value != "" and (name := _key(key))}


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
    measured = {_key(name): float(value) for name, value in figures.items()}
    measured |= {f"stage_{_key(stage)}_s": float(value) for stage, value in seconds.items()}
    return metrics | {name: value for name, value in measured.items() if name and name not in metrics}


def run_tags(receipt: dict[str, Any], folder: Path) -> dict[str, str]:
    """Name, version, and where the model was promoted to."""
    tags = {"parent_run": receipt["parent"]["run"]} if receipt.get("parent") else {}
    tags |= {RUN_TAG: receipt["run"], "name": receipt["name"], "picture": receipt["picture"]["name"]}
    tags |= {"version": receipt["versions"].get("avatar_forge", "")}
    if promoted := promotions(folder):
        last = promoted[-1]
        urls = last.get("urls") or {}
        tags |= {"version": str(last["version"]), "promoted_key": f"s3://{last['bucket']}/{last['key']}"}
        tags["promoted_url"] = next(iter(urls.values()), tags["promoted_key"])
        tags |= {f"promoted_url.{_key(name)}": url for name, url in urls.items()}
        if last.get("override"):
            tags["override_reason"] = last["override"]
    return {key: value[:5000] for key, value in tags.items() if value}


def _key(name: str) -> str:
    """A name as MLflow takes it; one like a path that leads elsewhere is none there."""
    return re.sub(r"\.{2,}|^/+|/(?=/)|/+$", "_", KEY.sub("_", name)[:200])


def artifacts(folder: Path) -> list[Path]:
    """Every file of the run folder but our own notes; a link may lead to a file that is nobody else's business."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != STATE and not path.name.startswith(".")
    )


def _milliseconds(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).timestamp() * 1000)
