"""`make e2e`: pictures -> batch -> VRM files -> checks on the files -> three-vrm in headless Chromium, with
screenshots; then the viewer's page of the first avatar.

Without PICTURES it draws the project's own varied pictures (tools/characters) and adds the sample. Prints a line an
avatar, `N passed, N failed`, and a line for the page.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
from avatar_addon.report.limits import PASS  # noqa: E402
from avatar_addon.report.report import make_report  # noqa: E402
from avatar_addon.speech import text as speech  # noqa: E402
from avatar_addon.viewer import server  # noqa: E402
from avatar_addon.viewer.page import page_text, write_page  # noqa: E402

FIGURES = ("t_pose", "feet", "triangles", "size", "visemes_differ", "leaks", "stretch", "seams")

FEW = 3  # of so many drawn characters, one: a girl in a dress, a wizard in a hat, a goblin half turned, a robot

# Each rule of speech once: silent and magic e, clusters, digits, abbreviations, accents, kana, kanji, pauses.
SENTENCES = (
    "Hello! I am your companion.",
    "The knight walked home, by the tall alarm; why fly?",
    "3 cats, 10 naïve dogs & a UFO... bbq",
    "こんにちは、きゃっと。カーン 東京",
    "?!",
)


def call(*command: object, **options) -> int:
    return subprocess.run([str(part) for part in command], cwd=ROOT, **options).returncode


def browser() -> str | None:
    return (
        os.environ.get("CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )


def draw_pictures(folder: Path, few: bool) -> list[Path]:
    if call(sys.executable, "tools/characters/make_set.py", folder):
        sys.exit("The test pictures could not be drawn; see above.")
    drawn = sorted(p for p in folder.iterdir() if p.suffix in (".png", ".jpg"))
    return [ROOT / "examples/companion.png", *drawn[:: FEW if few else 1]]


def check_files(avatars: list[Path]) -> int:
    """Prints what the report card finds; returns how many files are not in order, warnings included."""
    failed = 0
    for avatar in avatars:
        report = make_report(avatar)
        wrong = [check for check in report.checks if check.status != PASS]
        failed += bool(wrong)
        figures = {check.id: check.figure for check in report.checks}
        shown = ", ".join(f"{name} {figures[name]}" for name in FIGURES if name in figures)
        print(f"{'FAIL' if wrong else 'ok  '} {avatar.stem}: {len(report.checks)} checks: {shown}", flush=True)
        for check in wrong:
            print(f"       {check.title}: {check.figure}", flush=True)
    return failed


def check_page(avatar: Path, out: Path, blender: str, environment: dict[str, str]) -> int:
    """The viewer's page with the avatar and a clip in it, from a folder and from the loopback server."""
    clip, spoken = out / "page.clip.vrma", out / "page.speech.json"
    if call(blender, HERE / "clip.py", avatar, "Wave", clip, SENTENCES[0]):
        print("FAIL viewer's page: the clip could not be written; see above.")
        return 1
    cues = {text: [(cue.viseme, cue.seconds) for cue in speech.cues(text)] for text in SENTENCES}
    spoken.write_text(json.dumps(cues))
    report = make_report(avatar).to_dict()
    page = write_page(out / "page.html", avatar, avatar.stem, report, {"Wave": clip})
    address = server.serve(page_text(avatar.stem, report, source=server.FILE), avatar)
    try:
        return call("node", HERE / "page.mjs", out, page, address, clip, spoken, env=environment)
    finally:
        server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="*", type=Path, help="pictures, or .vrm files to check as they are")
    parser.add_argument("--blender", required=True, help="the interpreter that has bpy, or a Blender binary's Python")
    parser.add_argument("--out", type=Path, default=ROOT / "build/e2e")
    parser.add_argument("--sheets", action="store_true", help="contact sheets too, which take as long as the avatars")
    parser.add_argument("--few", action="store_true", help="only some of the drawn characters")
    arguments = parser.parse_args()
    chromium = browser()
    if not chromium or not shutil.which("npm"):
        print(
            "The browser check needs npm and Chromium (Debian: tests/e2e/install_browser); CHROMIUM may name another"
            " browser.",
            file=sys.stderr,
        )
        return 2
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    if not (HERE / "node_modules/.package-lock.json").exists() and call(
        "npm", "ci", "--no-audit", "--no-fund", "--prefix", HERE
    ):
        return 1
    given = [path.absolute() for path in arguments.pictures]
    avatars = [path for path in given if path.suffix == ".vrm"]
    pictures = [path for path in given if path.suffix != ".vrm"]
    if not given:
        pictures = draw_pictures(out / "pictures", arguments.few)
    made = 0
    if pictures:
        # The batch resumes: avatars of an earlier state of the code would be kept.
        shutil.rmtree(out / "avatars", ignore_errors=True)
        made = call(
            arguments.blender,
            "avatar_addon/batch.py",
            "--",
            *pictures,
            "--no-record",
            "--author",
            "Avatar Forge",
            "--out",
            out / "avatars",
            *([] if arguments.sheets else ["--no-sheet"]),
        )
        avatars += sorted((out / "avatars").glob("*.vrm"))
    bad_files = check_files(avatars)
    if not avatars:
        return 1
    environment = os.environ | {"CHROMIUM": chromium}
    seen = call("node", HERE / "check.mjs", out, *avatars, env=environment)
    # Pictures are made in the order given, the sample first; its name is in the folder, too.
    first = out / "avatars" / f"{pictures[0].stem}.vrm" if pictures else avatars[0]
    page = check_page(first if first.exists() else avatars[0], out, arguments.blender, environment)
    return 1 if made or bad_files or seen or page else 0


if __name__ == "__main__":
    sys.exit(main())
