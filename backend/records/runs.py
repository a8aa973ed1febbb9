# SPDX-License-Identifier: GPL-3.0-or-later
"""The run folder: everything about one avatar as it was made, and the receipt that says so. It is written once and
complete.

<runs>/<run id>/reference.png          the picture, upright; the original beside it where that was no PNG
                request.json           what was asked for
                NAME_raw.glb  NAME_rigged.glb  NAME.vrm
                viewer.html            the avatar in a browser, where it was made with a sheet
                previews/  log.txt     pictures of the avatar; what the backend said meanwhile
                receipt.json           versions, digests, seeds, parameters, times, metrics, report
                run.html               the same to look at
                promotions.json        appears with the first promotion
                tracking.json          what MLflow has got of it (backend/records/tracking.py)
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import stat
import time
import tomllib
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import BackendError, reason_of
from ..image.load import load_picture
from ..models.store import data_folder
from ..protocol import plain
from .glb_figures import glb_figures
from .run_page import run_page

VARIABLE = "AVATAR_FORGE_RUNS"
LARGEST = 50_000_000  # bytes of a receipt or of the list of promotions
STALE = 3600.0  # seconds after which nobody writes to an unfinished run folder any more
RECEIPT, PROMOTIONS = "receipt.json", "promotions.json"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
PLACES = {
    "raw": "{name}_raw.glb",
    "rigged": "{name}_rigged.glb",
    "vrm": "{name}.vrm",
    "log": "log.txt",
    "page": "viewer.html",
}
PACKAGES = ("numpy", "scipy", "scikit-image", "Pillow", "trimesh", "xatlas", "torch", "safetensors", "mlflow-skinny")
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """What the add-on hands over when an avatar is ready. files: by kind; raw, rigged, vrm, page and log have a
    place of their own, all other kinds (sheet, thumbnail, ...) are previews. parameters: engine, rigger, seed,
    engine_options, rigger_options, markers, vrm, author. weights: {file: SHA-256} of the models. report: the report
    card. parent: {run, vrm: SHA-256} of the recorded run that this is a new version of, {} for a first one.
    """

    run_id: str
    name: str
    picture: Path
    files: dict[str, Path] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: list[dict[str, str]] = field(default_factory=list)
    report: dict[str, Any] | None = None
    parent: dict[str, str] = field(default_factory=dict)


def default_root() -> Path:
    """AVATAR_FORGE_RUNS, or a folder of the user's data folder. The add-on names its own."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else data_folder() / "runs"


def write_run(root: Path, run: Run) -> Path:
    """Makes the run folder, all or nothing, and returns it. The same run handed over again is the one that is there;
    an avatar that was exported anew is a run of its own (`<run id>-2`, or with a part of its digest where the parent's
    run is on another machine, which may make a -2 as well). Raises BackendError(bad_params, unreadable)
    or OSError.
    """
    if not RUN_ID.fullmatch(run.run_id):
        raise BackendError(
            "bad_params", f"{run.run_id[:40]!r} is not the name of a run.", "Use letters, digits, dots, - and _."
        )
    root.mkdir(parents=True, exist_ok=True)
    _remove_stale(root)
    partial = root / f".{run.run_id}.{uuid.uuid4().hex[:8]}.partial"
    try:
        partial.mkdir()
        made = _fill(partial, run)
        first = run.run_id
        if run.parent and run.parent.get("vrm") != made["files"].get("vrm", {}).get("sha256"):
            made["parent"] = run.parent
            if not (root / run.run_id).exists() and "vrm" in made["files"]:
                first = f"{run.run_id[:80]}-{made['files']['vrm']['sha256'][:8]}"
        for k in range(1, 1000):
            run_id = first if k == 1 else f"{first}-{k}"
            folder = root / run_id
            if _same(folder, made):
                return folder
            if not folder.exists():
                write_json(partial / RECEIPT, {**made, "run": run_id})
                page = run_page({**made, "run": run_id}, _shown(partial))
                (partial / "run.html").write_text(page, encoding="utf-8", errors="replace")
                with contextlib.suppress(OSError):  # another process took the name just now
                    partial.rename(folder)
                    return folder
        raise BackendError("bad_params", f"There are too many runs {run.run_id}.", "Choose another folder for runs.")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_stale(root: Path) -> None:
    """What a process left behind that died while it wrote a run folder."""
    for partial in root.glob(".*.partial"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > STALE:
                shutil.rmtree(partial, ignore_errors=True)


def _fill(folder: Path, run: Run) -> dict[str, Any]:
    """Copies everything into `folder` and describes it as a receipt, still without the run's name."""
    stem = file_stem(run.name)
    picture = _keep_picture(run.picture, folder)
    write_json(folder / "request.json", run.request or run.parameters)
    files = {}
    for kind, path in sorted(run.files.items()):
        place = PLACES.get(kind, f"previews/{{name}}_{file_stem(kind)}{path.suffix.lower()}").format(name=stem)
        (folder / place).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / place)
        files[kind] = _described(folder, folder / place)
    return plain(
        {
            "receipt": 1,
            "name": run.name,
            "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "picture": {**picture, "name": run.picture.name},
            "files": files,
            "parameters": run.parameters,
            "versions": {**own_versions(), **run.versions},
            "weights": run.weights,
            "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
            "seconds": {stage: round(value, 3) for stage, value in run.seconds.items()},
            "metrics": {**run.metrics, **_figures(folder, files)},
            "warnings": run.warnings,
            "report": run.report,
        }
    )


def _keep_picture(picture: Path, folder: Path) -> dict[str, Any]:
    """reference.png, and the original bytes, which are what a rerun starts from."""
    is_png = picture.suffix.lower() == ".png"
    original = folder / ("reference.png" if is_png else f"picture{picture.suffix.lower()}")
    loaded = load_picture(picture)  # raises one sentence where it is none
    shutil.copyfile(picture, original)
    if not is_png:
        Image.fromarray(loaded.rgba).save(folder / "reference.png")
    return {"path": original.name, "sha256": digest(original), "bytes": original.stat().st_size}


def _figures(folder: Path, files: dict[str, Any]) -> dict[str, float]:
    """Of the last file there is: the VRM, else the rigged, else the raw mesh."""
    for kind in ("vrm", "rigged", "raw"):
        if kind in files:
            with contextlib.suppress(ValueError, OSError):
                return glb_figures(folder / files[kind]["path"])
    return {}


def _described(folder: Path, path: Path) -> dict[str, Any]:
    return {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": digest(path)}


def _same(folder: Path, made: dict[str, Any]) -> bool:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        there = read_receipt(folder / RECEIPT)
        return all(there.get(key) == made[key] for key in ("name", "picture", "files", "parameters", "report"))
    return False


def _shown(folder: Path) -> list[str]:
    pictures = sorted((folder / "previews").glob("*.png")) if (folder / "previews").is_dir() else []
    return ["reference.png", *(path.relative_to(folder).as_posix() for path in pictures)]


def own_versions() -> dict[str, str]:
    """Of this program, of Python and of the packages that have a say in the result."""
    versions = {"python": platform.python_version()}
    with contextlib.suppress(OSError, ValueError, KeyError):
        versions["avatar_forge"] = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))[
            "version"
        ]
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def read_receipt(path: Path) -> dict[str, Any]:
    """A receipt of a run folder or of a batch. Raises OSError or ValueError."""
    receipt = _read_json(path)
    if not isinstance(receipt, dict) or receipt.get("receipt") != 1:
        raise ValueError(f"{path.name} is no receipt")
    return receipt


def _read_json(path: Path) -> Any:
    """Raises OSError or ValueError, for what is no file too: reading a pipe would wait for ever."""
    if not stat.S_ISREG((there := path.stat()).st_mode) or there.st_size > LARGEST:
        raise ValueError(f"{path.name} is no file, or too large")
    return json.loads(path.read_text(encoding="utf-8"))


def damage(folder: Path) -> str:
    """What keeps a run folder from being recorded, as part of a sentence: "" when its receipt and its promotions can
    be read and have what MLflow is told.
    """
    for name, check in ((RECEIPT, _check_receipt), (PROMOTIONS, _check_promotions)):
        path = folder / name
        if name == PROMOTIONS and not path.exists():
            continue
        try:
            if not path.is_file():  # reading a pipe would wait for ever
                return f"{name} is no file"
            if path.stat().st_size > LARGEST:
                return f"{name} is too large"
            check(path)
        except OSError as error:
            return f"{name} cannot be read ({reason_of(error)})"
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return f"{name} is damaged"
    return ""


def _check_receipt(path: Path) -> None:
    receipt = read_receipt(path)
    datetime.fromisoformat(receipt["made_at"])
    names = [receipt["run"], receipt["name"]]
    tables = [receipt[key] for key in ("parameters", "versions", "seconds", "metrics")]
    tables += [receipt.get("weights") or {}, receipt.get("report") or {}]
    tables += [receipt["parameters"].get(key) or {} for key in ("engine_options", "rigger_options")]
    rows = [*receipt["warnings"], *tables[5].get("checks", [])]
    figures = [*receipt["seconds"].values(), *receipt["metrics"].values()]
    if (
        not all(isinstance(name, str) for name in names)
        or not RUN_ID.fullmatch(receipt["run"])
        or not all(isinstance(part, dict) for part in (*tables, *rows))
        or not all(isinstance(figure, (int, float)) for figure in figures)
    ):
        raise ValueError(f"{path.name} has values of another type")


def _check_promotions(path: Path) -> None:
    for entry in _read_json(path)["promotions"]:
        words = [entry["bucket"], entry["key"], *(entry.get("urls") or {}).values(), entry.get("override") or ""]
        if not all(isinstance(word, str) for word in words) or "version" not in entry:
            raise ValueError(f"{path.name} has values of another type")


def run_folders(root: Path) -> list[Path]:
    """Every complete run below `root`, oldest name first; also those whose receipt is damaged or closed to us."""
    if not root.is_dir():
        return []
    return sorted(folder for folder in root.iterdir() if not folder.name.startswith(".") and _has_receipt(folder))


def _has_receipt(folder: Path) -> bool:
    try:
        (folder / RECEIPT).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def add_promotion(folder: Path, entry: dict[str, Any]) -> None:
    """Notes where a run's model was promoted to. entry: what `promotion.promote` returned, with `urls`."""
    kept = [
        known
        for known in promotions(folder)
        if (known.get("bucket"), known.get("key")) != (entry.get("bucket"), entry.get("key"))
    ]
    write_json(folder / PROMOTIONS, {"promotions": [*kept, entry]})


def promotions(folder: Path) -> list[dict[str, Any]]:
    """Oldest first."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        _check_promotions(folder / PROMOTIONS)
        return list(_read_json(folder / PROMOTIONS)["promotions"])
    return []


def file_stem(name: str) -> str:
    """`name` as part of a file name on every system."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:80] or "avatar"


def digest(path: Path) -> str:
    """SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """All or nothing, and on the disk when it returns."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("w", encoding="utf-8", errors="replace") as file:
            file.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
