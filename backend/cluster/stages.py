# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node of the cluster does for one avatar: two stages, each a child process, each finished at most once.

A stage writes into a folder of its own and renames that at the end, so that of two nodes that ran it (one was thought
dead) the first wins. Standard library only: a node's Ray needs none of the backend's packages in its own environment.

    <run>/pictures/NAME.png         from the client
          progress/NAME.json        the last progress of the avatar
          meshes/NAME/              result.json and the mesh
          avatars/NAME/             the batch's files, and row.json
          inputs/, made/METHOD/     of a single call: what it takes, and what it has made with result.json
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
PARENT_VARIABLE = "AVATAR_FORGE_PARENT_PID"
MESH_DONE = 0.45  # of an avatar's progress
Row = dict[str, Any]


class StageError(Exception):
    """A sentence; `code` as the backend's and the batch's. Ray pickles it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)  # what it is made from again
        self.code = code

    def __str__(self) -> str:
        return str(self.args[1])


def generate(spec: dict[str, Any], name: str, picture: str) -> None:
    """The mesh of one avatar. Raises StageError."""
    run = Path(spec["folder"])
    done = run / "meshes" / name
    if done.exists():
        return
    with _attempt(done) as folder:
        params = {"engine": spec["engine"], "picture": picture, "seed": spec["seed"]}
        params |= {"options": spec["engine_options"], "markers": spec["markers"].get(name)}
        result = _ask_worker(run, name, "generate", params, folder, MESH_DONE)
        request = {key: spec[key] for key in ("engine", "seed", "engine_options")}
        write_json(folder / "result.json", result | {"request": request | {"markers": params["markers"]}})


def call(spec: dict[str, Any], name: str, _picture: str) -> Row:
    """A single call of an engine; the row of its result. Raises StageError."""
    run, wanted = Path(spec["folder"]), spec["call"]
    done = run / "made" / name
    if not done.exists():
        with _attempt(done) as folder:
            result = _ask_worker(run, name, wanted["method"], wanted["params"], folder, 1.0)
            result[wanted["made"]] = Path(result[wanted["made"]]).name
            write_json(folder / "result.json", result)
    files = [path.name for path in done.iterdir() if path.is_file() and not path.name.startswith(".")]
    result = json.loads((done / "result.json").read_text(encoding="utf-8"))
    return {"status": "made", "result": result, "files": sorted(set(files) - {"result.json"})}


def _ask_worker(run: Path, name: str, method: str, params: dict[str, Any], folder: Path, end: float) -> dict[str, Any]:
    """The result of the backend's worker, which writes into `folder`. end: its part of the avatar's progress."""
    params = {key: value for key, value in params.items() if value is not None} | {"out_dir": str(folder)}
    python = os.environ.get("AVATAR_FORGE_BACKEND_PYTHON") or sys.executable
    with _child([python, "-P", "-m", "backend", "worker"]) as child:
        assert child.stdin and child.stdout
        child.stdin.write(json.dumps({"id": 1, "method": method, "params": params}) + "\n")
        child.stdin.flush()
        answer = _follow(child.stdout, run, name, 0.0, end, lambda event: "event" not in event)
    if answer is None:
        raise StageError("backend_died", "The backend stopped on the worker; see the worker's log.")
    if "error" in answer:
        error = answer["error"]
        if error["code"] == "disk_full":  # which the worker says of its own folder, as if it were here
            raise StageError(
                "files", f"The worker cannot write to {folder.parent} (no space left on device); free some space."
            )
        raise StageError(error["code"], f"{error['message']} {error['hint']}".strip())
    result: dict[str, Any] = answer["result"]
    return result


def finish(spec: dict[str, Any], name: str, picture: str) -> Row:
    """Everything after the mesh, in Blender; the batch's row of the avatar. Raises StageError."""
    run = Path(spec["folder"])
    done = run / "avatars" / name
    if not done.exists():
        with _attempt(done) as folder:
            mesh, start = ([], 0.0) if spec["whole"] else (["--generated", str(run / "meshes" / name)], MESH_DONE)
            given = [*mesh, *spec["arguments"]]
            row = _batch(run, name, [picture, "--out", str(folder), "--name", name, *given], start)
            if row["status"] == "failed":
                raise StageError(row.get("code", "failed"), row["note"])
            row["files"] = {kind: Path(path).name for kind, path in row["files"].items()}
            write_json(folder / "row.json", row)
    row = json.loads((done / "row.json").read_text(encoding="utf-8"))
    if spec["promotion"]:  # the batch keeps the avatar, and promotes the same content once
        given = [*spec["arguments"], *spec["promotion"]]
        promoted = _batch(run, name, [picture, "--out", str(done), "--name", name, *given], 0.95)
        if promoted["status"] == "failed":
            raise StageError(promoted.get("code", "failed"), promoted["note"])
        row |= {"promoted": promoted["promoted"], "note": promoted["note"]}
    return row


def _batch(run: Path, name: str, arguments: list[str], start: float) -> Row:
    """The batch's row. start: of its progress among all steps of the avatar."""
    blender = os.environ.get("AVATAR_FORGE_BLENDER") or shutil.which("blender") or sys.executable
    program = [blender] if Path(blender).name.lower().startswith("python") else [blender, "--background", "--python"]
    with _child(
        [*program, str(ROOT / "avatar_addon/batch.py"), "--", *arguments, "--executor", "local", "--json"]
    ) as child:
        assert child.stdout
        summary = _follow(child.stdout, run, name, start, 1.0, lambda event: event.get("event") == "summary")
    if summary is None:
        raise StageError("blender_died", "Blender stopped on the worker; see the worker's log.")
    if not summary["avatars"]:
        raise StageError(summary.get("code", "failed"), summary.get("note", "The batch made nothing on the worker."))
    return summary["avatars"][0]


def _follow(
    lines: IO[str], run: Path, name: str, start: float, end: float, is_last: Callable[[dict[str, Any]], bool]
) -> dict[str, Any] | None:
    """Notes the progress of a child's JSON lines until the one that counts; None where the child ended before."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if is_last(event):
            return event
        if event.get("event") == "progress":
            fraction = max(event["fraction"], start) if start else end * event["fraction"]
            note = {"stage": event["stage"], "fraction": fraction, "message": event["message"]}
            with contextlib.suppress(OSError):
                write_json(run / "progress" / f"{name}.json", note)
    return None


@contextlib.contextmanager
def _child(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A child that ends with us, also when we are killed (it asks the kernel for that)."""
    env = {**os.environ, PARENT_VARIABLE: str(os.getpid()), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=ROOT, text=True, encoding="utf-8"
    ) as child:
        try:
            yield child
        except BaseException:
            child.kill()
            raise
        if child.stdin:
            child.stdin.close()


@contextlib.contextmanager
def _attempt(done: Path) -> Iterator[Path]:
    """A folder that becomes `done`, if nobody else was faster. A full disk is a StageError."""
    folder = done.parent / f".{done.name}.{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True)
        yield folder
        with contextlib.suppress(OSError):
            folder.rename(done)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StageError("files", f"The worker cannot write to {done.parent} ({reason}); free some space.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(path)
