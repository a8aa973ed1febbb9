# SPDX-License-Identifier: GPL-3.0-or-later
"""How soon the socket answers, in a real Blender window with 5,000 objects: `GUI_BLENDER=TOOL python -m
benchmarks.remote`.

The tool (see tests/gui/run.py) runs this file's `drive` inside Blender, which starts the socket; the client is this
process. One row a command: milliseconds from sending to having the reply, median, 99th percentile and slowest. Then
what the timer costs while a client is connected and asks nothing. `--headless PYTHON` measures serve.py instead, in a
Python with the bpy module; it has no screenshot.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PORT, OBJECTS = 9891, 5000
READY = 120  # seconds until Blender listens
IDLE = 5.0  # seconds
SETTLED = 12.0  # seconds until the viewport is drawn and its edges are smooth; without a graphics card that takes long
SCENE = f"""
mesh = bpy.data.meshes.new("Box")
mesh.from_pydata([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], [],
                 [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
for number in range({OBJECTS}):
    box = bpy.data.objects.new(f"Box {{number}}", mesh)
    box.location = number % 70 * 2, number // 70 * 2, 0
    bpy.context.scene.collection.objects.link(box)
"""


def drive(g):
    """Inside Blender: the socket, until the client has done what it came for; then the idle timer."""
    import importlib

    import bpy

    module = next(name for name in bpy.context.preferences.addons.keys() if name.endswith(".avatar_forge"))  # noqa: SIM118
    pump = importlib.import_module(f"{module}.avatar_addon.remote.pump")
    running = pump.start(PORT, "on")
    yield lambda: running.server.clients
    wanted = bpy.app.driver_namespace
    while "measure_idle" not in wanted:
        yield 0.2
    yield 3.0  # until it is no longer lively
    ticks, tick = [], running.tick

    def timed():
        began = time.perf_counter()
        pause = tick()
        ticks.append(time.perf_counter() - began)
        return pause

    running.tick = timed
    yield IDLE
    del running.tick
    figures = {
        "median": statistics.median(ticks) * 1e3,
        "slowest": max(ticks) * 1e3,
        "a_second": sum(ticks) / IDLE * 1e3,
        "ticks": len(ticks) / IDLE,
    }
    (g.out / "idle.json").write_text(json.dumps(figures))
    pump.stop()


class Client:
    def __init__(self) -> None:
        deadline = time.monotonic() + READY
        while True:
            try:
                self._sock = socket.create_connection(("127.0.0.1", PORT), timeout=60)
                return
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def ask(self, name: str, **params) -> dict:
        """Reads as BlenderMCP's servers do."""
        self._sock.sendall(json.dumps({"type": name, "params": params}).encode())
        received = b""
        while True:
            received += self._sock.recv(8192)
            try:
                reply = json.loads(received.decode())
            except ValueError:
                continue
            if reply["status"] != "success":
                sys.exit(f"{name}: {reply}")
            return reply["result"]

    def code(self, code: str) -> None:
        self.ask("execute_code", code=code)


def measure(times: int, act, before=lambda: None) -> tuple[float, float, float]:
    """Milliseconds: median, 99th percentile, slowest. before: called before each, not measured."""
    taken = []
    for _ in range(times):
        before()
        began = time.perf_counter()
        act()
        taken.append((time.perf_counter() - began) * 1e3)
    taken.sort()
    return statistics.median(taken), taken[min(len(taken) - 1, int(len(taken) * 0.99))], taken[-1]


def rows(client: Client, folder: Path, window: bool):
    client.ask("ping")
    client.code(SCENE)
    client.code("bpy.context.view_layer.update()")
    time.sleep(SETTLED)
    yield "get_scene_info", measure(3000, lambda: client.ask("get_scene_info"))
    yield "execute_code, empty", measure(3000, lambda: client.code(""))
    yield (
        "get_scene_info, one every 50 ms",
        measure(100, lambda: client.ask("get_scene_info"), lambda: time.sleep(0.05)),
    )
    yield "get_scene_info, one every 3 s", measure(8, lambda: client.ask("get_scene_info"), lambda: time.sleep(3.0))
    yield (
        "execute_code that moves an object",
        measure(100, lambda: client.code("bpy.data.objects['Box 7'].location.x += 0.1")),
    )
    if window:
        path = str(folder / "shot.png")
        shoot = lambda: client.ask("get_viewport_screenshot", max_size=800, filepath=path, format="png")  # noqa: E731
        time.sleep(SETTLED)
        yield "screenshot, 800 pixels, first", measure(1, shoot)
        yield "screenshot of what has not changed", measure(500, shoot)

        def move_and_shoot():
            client.code("bpy.data.objects['Box 7'].location.x += 0.1")
            return shoot()

        yield "a move and its screenshot", measure(15, move_and_shoot)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--addon", type=Path, help="extension to install (default: the newest zip in dist/)")
    parser.add_argument("--headless", type=Path, metavar="PYTHON", help="measure serve.py without a window")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avatar-forge-remote-") as name:
        folder = Path(name)
        if options.headless:
            command = [
                str(options.headless),
                str(ROOT / "avatar_addon/remote/serve.py"),
                "--",
                "--port",
                str(PORT),
                "--code",
                "on",
            ]
        else:
            tool = os.environ.get("GUI_BLENDER") or sys.exit(
                "GUI_BLENDER is not set; see docs/development.md. Nothing was measured."
            )
            addon = options.addon or max(
                (ROOT / "dist").glob("avatar_forge-*.zip"), key=lambda path: path.stat().st_mtime
            )
            command = [
                tool,
                "shot",
                "--addon",
                str(addon),
                "--script",
                __file__,
                "--out",
                str(folder / "out"),
                "--share",
                str(folder),
            ]
            command += ["--timeout", "400", "--size", "1600x1000"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            client = Client()
            print(f"\n| {OBJECTS:,} objects | median ms | p99 | slowest |\n|---|---|---|---|")
            for label, (median, high, most) in rows(client, folder, not options.headless):
                print(f"| {label} | {median:.2f} | {high:.2f} | {most:.2f} |", flush=True)
            if not options.headless:
                client.code("bpy.app.driver_namespace['measure_idle'] = True")
                process.wait(120)
                idle = json.loads((folder / "out/idle.json").read_text())
                print(
                    f"\nThe timer with a client connected that asks nothing: {idle['ticks']:.0f} ticks a second,",
                    end=" ",
                )
                print(
                    f"{idle['median']:.3f} ms each (slowest {idle['slowest']:.2f}), {idle['a_second']:.2f} ms a second."
                )
        finally:
            process.terminate()
            process.wait(30)
    return 0


if __name__ == "__main__":
    sys.exit(main())
