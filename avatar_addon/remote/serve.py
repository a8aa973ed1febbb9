# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket without a window, until it is interrupted:

    blender --background --python avatar_addon/remote/serve.py -- --port 9876 --code off
    blender FILE.blend --background --python avatar_addon/remote/serve.py -- --code on
    python avatar_addon/remote/serve.py -- --port 9876                     (a Python that has the bpy module)

SIGINT (Ctrl-C) and SIGTERM end it; nothing is saved by itself. Exit status: 0 ended so, 1 the port cannot be had, 2
wrong arguments.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import signal
import sys
from pathlib import Path

LINGER = 0.05  # seconds that a tick waits for a command
JOB_LINGER = 0.01  # the same while a job runs


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="serve.py --", description="Serve BlenderMCP's protocol on 127.0.0.1 without a window."
    )
    parser.add_argument("--port", type=int, default=9876, help="default: 9876; 0 uses any free port, which is printed")
    parser.add_argument(
        "--code", choices=("off", "on"), default="off", help="whether clients may run Python (default: off)"
    )
    parser.add_argument(
        "--token", default="", help=("token that clients must send; preferably set AVATAR_FORGE_TOKEN instead")
    )
    return parser.parse_args(arguments)


def _load_extension() -> str:
    """As the batch tool does it; this file may be run on its own, so its neighbours are found by their place."""
    place = Path(__file__).resolve().parents[1] / "batch.py"
    spec = importlib.util.spec_from_file_location("avatar_forge_batch", place)
    assert spec and spec.loader
    batch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(batch)
    return batch.load_extension()


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    package = _load_extension()
    pump = importlib.import_module(f"{package}.avatar_addon.remote.pump")
    errors = importlib.import_module(f"{package}.avatar_addon.errors")
    python_code = importlib.import_module(f"{package}.avatar_addon.remote.python_code")
    work = importlib.import_module(f"{package}.avatar_addon.remote.work")
    ended: list[int] = []

    def end(number: int, _frame) -> None:
        ended.append(number)
        python_code.interrupt()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        running = pump.start(options.port, options.code, options.token or os.environ.get("AVATAR_FORGE_TOKEN", ""))
    except errors.AvatarError as problem:
        print(problem, file=sys.stderr)
        return 1
    print(
        f"Avatar Forge listens on 127.0.0.1:{running.server.port}; code is {options.code}. Ctrl-C ends it.", flush=True
    )
    while not ended and pump.current() is running:
        running.tick(JOB_LINGER if work.TABLE.active else LINGER)
    sys.modules[package].unregister()
    print("Avatar Forge has stopped listening.", flush=True)
    return 0


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    try:
        status = main(given)
    except SystemExit as leaving:  # argparse
        status = leaving.code if isinstance(leaving.code, int) else 2
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # bpy can hang while the interpreter shuts down
