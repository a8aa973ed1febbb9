# SPDX-License-Identifier: GPL-3.0-or-later
"""Time from picture to VRM with the preview engine: `python -m benchmarks.preview BLENDER_PYTHON [PICTURES...]`.

Runs the batch twice over the pictures, each time in one process, and prints a table in Markdown: seconds per stage
without and with the contact sheet, the backend's peak memory (Linux), and whether both runs wrote the same bytes. The
first avatar of a run warms Blender and the backend up and is counted apart. --processor counts the seconds that
Blender and the backend compute, in all their threads, in place of those of the clock, which other programs prolong
(Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Stages as a receipt names them -> what the table says.
STAGES = {
    "generate": "mesh from the picture, with the way there and back",
    "rig": "skeleton and weights, with the way there and back",
    "pose": "T-pose",
    "face": "mouth, eyelids, shape keys",
    "vrm": "VRM properties, thumbnail",
    "export": "VRM file, report card",
    "sheet": "contact sheet",
}
# Becomes `sitecustomize`, which a Python imports before all else: what is measured knows nothing of it.
PROCESSOR = """
import os, time
from pathlib import Path

def processor():
    own, ticks = f"{os.getpid()}", 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == own:  # a child that runs
            ticks += int(fields[11]) + int(fields[12])
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system + ticks / os.sysconf("SC_CLK_TCK")

time.perf_counter = processor
"""


class PeakMemory(threading.Thread):
    """Highest resident set of any process below `parent` that runs `-m backend`, in bytes; 0 where /proc does
    not tell.
    """

    def __init__(self, parent: int) -> None:
        super().__init__(daemon=True)
        self.parent, self.peak, self.ended = parent, 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.05):
            for status in Path("/proc").glob("[0-9]*/status") if Path("/proc").is_dir() else ():
                try:
                    text = status.read_text()
                    if (
                        f"PPid:\t{self.parent}\n" not in text
                        or b"backend" not in (status.parent / "cmdline").read_bytes()
                    ):
                        continue
                    self.peak = max(self.peak, 1024 * int(text.partition("VmHWM:")[2].split()[0]))
                except (OSError, ValueError, IndexError):
                    continue


def run_batch(blender: Path, pictures: list[Path], out: Path, modules: Path | None) -> tuple[list[dict], int]:
    """The receipts in the pictures' order, without refused pictures, and the backend's peak memory. modules: a folder
    whose `sitecustomize` Blender's and the backend's Python import. Exits when nothing was made.
    """
    command = [str(blender), str(ROOT / "avatar_addon" / "batch.py"), "--", *map(str, pictures), "--out", str(out)]
    env = os.environ | {"AVATAR_FORGE_BACKEND_PYTHON": sys.executable}
    if modules:
        python = modules / "python"  # the backend gets a PYTHONPATH of its own
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{modules}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
        python.chmod(0o700)
        env |= {"PYTHONPATH": str(modules), "AVATAR_FORGE_BACKEND_PYTHON": str(python)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    memory = PeakMemory(process.pid)
    memory.start()
    status = process.wait()
    memory.ended.set()
    receipts = [out / f"{picture.stem}.receipt.json" for picture in pictures]
    made = [json.loads(receipt.read_text()) for receipt in receipts if receipt.exists()]
    if not made:
        sys.exit(f"No avatar was made (status {status}).")
    return made, memory.peak


def table(receipts: list[dict]) -> list[str]:
    """Rows of a Markdown table over all but the first receipt."""
    cold, warm = receipts[0], receipts[1:] or receipts
    found = list(dict.fromkeys(stage for receipt in receipts for stage in receipt["seconds"]))

    def row(title: str, seconds: list[float], first: float) -> str:
        return f"| {title} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} | {first:.2f} |"

    def total(receipt: dict, sheet: bool) -> float:
        return sum(value for stage, value in receipt["seconds"].items() if sheet or stage != "sheet")

    lines = ["| stage | median s | min | max | first avatar |", "|---|---|---|---|---|"]
    lines.extend(
        row(STAGES.get(stage, stage), [r["seconds"].get(stage, 0.0) for r in warm], cold["seconds"].get(stage, 0.0))
        for stage in found
    )
    for title, sheet in (("**picture to VRM**", False), ("**with the contact sheet**", True)):
        lines.append(row(title, [total(r, sheet) for r in warm], total(cold, sheet)))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("blender", type=Path, help="a Python with the bpy module, such as .venv/bpy-4.5.15/bin/python")
    parser.add_argument("pictures", nargs="*", type=Path, help="default: ten drawn characters and the sample")
    parser.add_argument("--processor", action="store_true", help="processor seconds in place of the clock's")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avatar-forge-benchmark-") as folder:
        pictures = [picture.absolute() for picture in options.pictures]
        if not pictures:
            from tools.characters.make_set import SET, save

            drawn = [save(look, Path(folder) / "pictures") for look in SET]
            pictures = [ROOT / "examples" / "companion.png", *drawn]
        modules = Path(folder) / "modules" if options.processor else None
        if modules:
            modules.mkdir()
            (modules / "sitecustomize.py").write_text(PROCESSOR)
        runs = [run_batch(options.blender, pictures, Path(folder) / name, modules) for name in ("first", "second")]
    print("\n".join(table(runs[0][0])))
    print(f"\n{len(runs[0][0])} avatars of {len(pictures)} pictures, {os.cpu_count()} cores.", end=" ")
    if peak := max(memory for _, memory in runs):
        print(f"Backend: {peak / 2**20:.0f} MB at most.", end=" ")
    same = sum(
        a["files"]["vrm"]["sha256"] == b["files"]["vrm"]["sha256"] for a, b in zip(runs[0][0], runs[1][0], strict=True)
    )
    largest = max(receipt["files"]["vrm"]["bytes"] for receipt in runs[0][0])
    print(f"Same bytes in both runs: {same} of {len(runs[0][0])}. Largest file: {largest / 1e6:.1f} MB.")
    return 0 if same == len(runs[0][0]) else 1


if __name__ == "__main__":
    sys.exit(main())
