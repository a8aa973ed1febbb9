# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures to avatars without a window:

    blender --background --python avatar_addon/batch.py -- PICTURES... --out FOLDER
    python avatar_addon/batch.py -- PICTURES... --out FOLDER          (a Python that has the bpy module)

Each picture leaves NAME.vrm, NAME.sheet.png, NAME.html (the avatar in a browser) and NAME.receipt.json. One bad
picture does not stop the rest. NAME.left.png, NAME.back.png and NAME.right.png are further sides of NAME.front.png or
NAME.png. Exit status: 0 all made, 1 some failed, 2 wrong arguments, 130 interrupted, 143 ended
(SIGTERM). docs/batch.md is the whole contract.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import re
import signal
import sys
import unicodedata
from pathlib import Path

PARENT_VARIABLE = "AVATAR_FORGE_PARENT_PID"  # of a process that wants this one to end with it
MOST_CANDIDATES = 16
LONGEST_WAIT = 86400  # seconds
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def load_extension():
    """The package this file belongs to, registered: the enabled extension if it is this one, else the checkout under
    its own name.
    """
    root = Path(__file__).resolve().parents[1]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.endswith("avatar_forge") and file and Path(file).resolve() == root / "__init__.py":
            return name
    enabled = [name for name in sys.modules if name.startswith("bl_ext.") and name.endswith(".avatar_forge")]
    if enabled:
        return enabled[0]
    spec = importlib.util.spec_from_file_location(
        "avatar_forge", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    assert spec and spec.loader
    package = importlib.util.module_from_spec(spec)
    sys.modules["avatar_forge"] = package
    spec.loader.exec_module(package)
    package.register()
    return "avatar_forge"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="batch.py --", description="Make rigged, talking VRM avatars from pictures of characters."
    )
    parser.add_argument(
        "pictures",
        nargs="*",
        type=Path,
        help="picture files, folders of them, or .blend files of avatars to continue",
    )
    watch = parser.add_argument_group("watching", "Instead of pictures. SIGTERM ends it after the current file.")
    watch.add_argument(
        "--watch",
        type=Path,
        metavar="FOLDER",
        help="make an avatar of each picture that is put there, and promote .vrm files",
    )
    watch.add_argument("--once", action="store_true", help="end when all files that are there are done")
    watch.add_argument(
        "--settle",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="how long a file must stay unchanged (default: 5)",
    )
    watch.add_argument(
        "--every",
        type=_seconds,
        default=2.0,
        metavar="SECONDS",
        help="seconds between two reads of the folder (default: 2)",
    )
    parser.add_argument("--out", type=_folder, required=True, help="folder for the avatars; created if missing")
    parser.add_argument("--engine", default="preview", help="generator (default: preview, which needs no model)")
    parser.add_argument("--rigger", default="geometric", help="rigger (default: geometric, which needs no model)")
    parser.add_argument("--seed", type=_seed, default=0)
    parser.add_argument("--rigger-seed", type=_seed, help="seed of the rigger only (default: as --seed)")
    parser.add_argument(
        "--engine-options",
        type=_json_object,
        default={},
        metavar="JSON",
        help="options of the generator, such as '{\"texture_size\": 2048}'",
    )
    parser.add_argument("--rigger-options", type=_json_object, default={}, metavar="JSON")
    parser.add_argument("--name", help="name of the avatar and its files; only with one picture")
    parser.add_argument("--author", default="", help="author, written to the VRM's metadata")
    parser.add_argument(
        "--markers",
        type=Path,
        help="JSON file with joints and face markers in pixels, for one picture; or a folder of files PICTURE.json",
    )
    parser.add_argument(
        "--turnaround",
        action="store_true",
        help="each picture is a model sheet that shows its character from several sides",
    )
    parser.add_argument("--vrm", choices=["1.0", "0.0"], default="1.0", help="version of the VRM format")
    parser.add_argument(
        "--candidates", type=_count, default=1, metavar="N", help="make N avatars of each picture, with different seeds"
    )
    parser.add_argument(
        "--candidate-engines", default="", metavar="A,B", help="generators that make the candidates in turn"
    )
    parser.add_argument(
        "--pick", choices=["best", "all"], default="best", help="which candidates to keep as files (default: best)"
    )
    parser.add_argument("--perfect-sync", action="store_true", help="with the 52 face shapes of ARKit")
    parser.add_argument("--no-sheet", action="store_true", help="make no contact sheet and no viewer's page")
    parser.add_argument("--view", action="store_true", help="open every avatar's page in the browser")
    parser.add_argument(
        "--blend", action="store_true", help="also write NAME.blend, packed, to continue on another computer"
    )
    parser.add_argument("--mesh", type=Path, metavar="FILE", help="3D model of the picture's character, to be rigged")
    parser.add_argument(
        "--until",
        choices=["mesh", "rig", "face"],
        default="",
        help="stop after this step; write only NAME.blend and NAME.glb",
    )
    parser.add_argument("--no-record", action="store_true", help="do not record the run (no run folder, no MLflow)")
    bucket = parser.add_argument_group(
        "promotion", "Upload every avatar without a failed check to a bucket. Keys come from the environment."
    )
    bucket.add_argument("--bucket", default="", help="S3 bucket; the file becomes NAME-v1.vrm, NAME-v2.vrm and so on")
    bucket.add_argument("--endpoint", default="", help="address of an S3-compatible server (default: Amazon S3)")
    bucket.add_argument("--prefix", default="", help="prefix of the model's name, such as avatars/")
    bucket.add_argument("--profile", default="", help="profile in ~/.aws/credentials")
    bucket.add_argument("--region", default="")
    bucket.add_argument(
        "--promote",
        action="store_true",
        help="promote to the bucket of the add-on's preferences if --bucket is not given",
    )
    parser.add_argument(
        "--online-mode", action="store_true", help="allow the network, as Blender's option does, where bpy is a module"
    )
    parser.add_argument(
        "--json", action="store_true", help="write JSON lines to stdout, of which the last is the summary"
    )
    _text_arguments(parser)
    parser.add_argument("--generated", type=Path, help=argparse.SUPPRESS)
    cluster = parser.add_argument_group("cluster", "Another machine does the work; see docs/cluster.md.")
    cluster.add_argument(
        "--executor",
        choices=["local", "ray"],
        help="where avatars are made (default: here, but engines run where the add-on's preferences say)",
    )
    cluster.add_argument("--address", default="", metavar="URL", help="dashboard of Ray's head: http://HEAD:8265")
    cluster.add_argument("--shared", type=Path, metavar="FOLDER", help="folder that all nodes see")
    cluster.add_argument(
        "--remote-shared", default="", metavar="FOLDER", help="its path on the nodes (default: as here)"
    )
    cluster.add_argument("--run-id", default="", help="to attach to a run (default: made of pictures and options)")
    cluster.add_argument("--remote-python", default="", help="Python with Ray on the nodes (default: python)")
    cluster.add_argument("--remote-root", default="", help="Avatar Forge's folder there (default: as here)")
    parser.add_argument("--again", action="store_true", help="make existing avatars again")
    options = parser.parse_args(arguments)
    options.interruption = Interruption()
    return options


def _text_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "text to avatar", "Descriptions in place of pictures. Keys come from AVATAR_FORGE_IMAGE_KEY and _CHAT_KEY."
    )
    group.add_argument("--prompts", type=Path, metavar="FILE", help="one description a line, or NAME: description")
    group.add_argument("--picture-server", default="", metavar="URL", help="default: as the preferences say")
    group.add_argument("--picture-kind", choices=["openai", "comfyui"], default="openai")
    group.add_argument("--picture-model", default="")
    group.add_argument("--workflow", type=Path, metavar="FILE", help="ComfyUI's workflow (default: the included one)")
    group.add_argument("--workflow-fields", type=_json_object, default={}, metavar="JSON")
    group.add_argument("--chat-server", default="", metavar="URL", help="describes the characters in detail")
    group.add_argument("--chat-model", default="")


def _number(text: str, least: int, most: int) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number from {least} to {most}")
    return int(text)


def _count(text: str) -> int:
    return _number(text, 1, MOST_CANDIDATES)


def _seed(text: str) -> int:
    return _number(text, 0, 2**31 - 1)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (value := float(text)) <= LONGEST_WAIT:
            return value
    raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of seconds from 0 to {LONGEST_WAIT}")


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("the folder has no name")
    return Path(text)


def _with_prompts(options: argparse.Namespace) -> int:
    if options.pictures or options.watch or options.name:
        print("--prompts takes no pictures, no --name and no --watch; leave them out.", file=sys.stderr)
        return 2
    maker = importlib.import_module(f"{load_extension()}.avatar_addon.batch_run")
    return maker.run_prompts(options)


def _no_part(options: argparse.Namespace, pictures: list[Path]) -> str:
    """Why an avatar cannot be made in parts as the arguments say; "" where it can."""
    begun = any(path.suffix.lower() == ".blend" for path in pictures)
    if (begun or options.mesh or options.until) and (options.candidates > 1 or options.turnaround or options.generated):
        return "--candidates, --turnaround and --generated need a whole run of a picture; leave them out."
    if options.mesh and (begun or len(pictures) > 1):
        return "--mesh is for one picture; give the picture that the model was made from."
    if options.until and (options.bucket or options.promote):
        return "--until ends before there is a VRM file to promote; leave out one of the two."
    return ""


def _json_object(text: str) -> dict:
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
        if isinstance(value, dict):
            return value
    raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a JSON object; write it like '{{\"texture_size\": 2048}}'")


def find_pictures(given: list[Path]) -> list[Path]:
    """Files as given, folders as their pictures, in order of their names. Raises OSError."""
    found: list[Path] = []
    for path in given:
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES) if path.is_dir() else [path]
        found += [picture for picture in inside if picture not in found]
    return found


def grouped(pictures: list[Path]) -> tuple[list[Path], list[dict[str, Path]]]:
    """The front pictures, and for each its further sides: NAME.left.png, NAME.back.png and NAME.right.png belong to
    NAME.front.png or NAME.png beside them. Sides without a front are pictures like any other.
    """

    def split(picture: Path) -> tuple[Path, str]:
        stem, dot, side = picture.stem.rpartition(".")
        known = dot and side.lower() in ("front", "left", "back", "right")
        return (picture.with_name(stem), side.lower()) if known else (picture.with_name(picture.stem), "front")

    fronts = {split(picture)[0]: picture for picture in pictures if split(picture)[1] == "front"}
    sides: dict[Path, dict[str, Path]] = {front: {} for front in fronts.values()}
    for picture in pictures:
        base, side = split(picture)
        if side == "front" or base not in fronts:
            sides.setdefault(picture, {})
        else:
            sides[fronts[base]][side] = picture
    kept = [picture for picture in pictures if picture in sides]
    return kept, [sides[picture] for picture in kept]


def names_for(pictures: list[Path], name: str | None) -> list[str]:
    """One file name a picture; two pictures of one name in different folders get their folder's name in front."""
    if name:
        return [name]
    stems = [picture.stem.removesuffix(".front") for picture in pictures]
    taken = [_on_disk(stem) for stem in stems]
    names = [
        stem if taken.count(_on_disk(stem)) == 1 else f"{picture.resolve().parent.name}-{stem}"
        for picture, stem in zip(pictures, stems, strict=True)
    ]
    taken = [_on_disk(name) for name in names]
    return [name if taken.index(_on_disk(name)) == k else f"{name}-{k + 1}" for k, name in enumerate(names)]


def _on_disk(name: str) -> str:
    """What macOS and Windows tell file names apart by."""
    return unicodedata.normalize("NFC", name).casefold()


class Ended(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: what is under way is undone."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


class Interruption:
    """Ctrl-C and SIGTERM, kept until somebody checks. Raised where they arrive, they would often end up in a callback
    of Blender or of another add-on, which swallows them. The second one is raised at once.
    """

    def __init__(self) -> None:
        self._number = 0

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._arrived)

    def check(self) -> None:
        """Raises Ended."""
        if self._number:
            raise Ended(self._number)

    def _arrived(self, number: int, _frame: object) -> None:
        self.check()
        self._number = number
        os.write(2, b"Stopping after this step; the same again stops at once.\n")


def die_with_parent() -> None:
    """On Linux asks the kernel to kill this process with the one that started it, where that one wants it so."""
    parent = os.environ.pop(PARENT_VARIABLE, None)
    if sys.platform == "linux" and parent == str(os.getppid()):
        pr_set_pdeathsig = 1  # <sys/prctl.h>
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
        if str(os.getppid()) != parent:  # it died before the kernel knew
            os._exit(1)


def own_stdout():
    """The stream that was stdout; what Blender and its add-ons print there goes to stderr from now on."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout.flush()
    os.dup2(2, 1)
    return stream


def main(arguments: list[str]) -> int:
    die_with_parent()
    options = parse(arguments)
    options.json = own_stdout() if options.json else None
    options.interruption.listen()
    if options.online_mode:
        importlib.import_module("bpy").context.preferences.system.use_online_access = True
    if options.prompts:
        return _with_prompts(options)
    if options.watch:
        if options.pictures or options.name or options.again:
            print("--watch takes no pictures, no --name and no --again; leave them out.", file=sys.stderr)
            return 2
        return importlib.import_module(f"{load_extension()}.avatar_addon.batch_watch").run(options)
    try:
        pictures, sides = grouped(find_pictures(options.pictures))
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        print(f"{error.filename} cannot be read ({reason}); give picture files or a folder of them.", file=sys.stderr)
        return 2
    if not pictures:
        print("No pictures were found; give picture files or a folder of them.", file=sys.stderr)
        return 2
    if options.name and len(pictures) > 1:
        print(f"--name is for one picture, but there are {len(pictures)}; leave it out.", file=sys.stderr)
        return 2
    if reason := _no_part(options, pictures):
        print(reason, file=sys.stderr)
        return 2
    package = load_extension()
    maker = importlib.import_module(f"{package}.avatar_addon.batch_run")
    return maker.run(options, pictures, sides, names_for(pictures, options.name))


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    try:
        status = main(given)
    except KeyboardInterrupt as stop:
        status = getattr(stop, "status", 130)
        print("Interrupted." if status == 130 else "Ended.", file=sys.stderr)
    except SystemExit as leaving:  # argparse
        status = leaving.code if isinstance(leaving.code, int) else 2
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # bpy can hang while the interpreter shuts down
