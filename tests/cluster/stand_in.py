"""In place of the backend's worker and of Blender with the batch, for tests of the cluster: the same lines on stdin and
stdout in seconds without an engine. STAND_IN_LOG gets a line for every start and end; one takes STAND_IN_SECONDS.
"""

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path


def note(text):
    with Path(os.environ["STAND_IN_LOG"]).open("a") as log:
        log.write(f"{text} {os.getpid()}\n")


def work(stage, name, emit):
    note(f"start {stage} {name}")
    for k in range(10):
        emit({"id": 1, "event": "progress", "name": name, "stage": stage, "fraction": k / 10, "message": f"Part {k}"})
        time.sleep(float(os.environ.get("STAND_IN_SECONDS", "2")) / 10)
    note(f"end {stage} {name}")


def emit(message):
    print(json.dumps(message), flush=True)


def generate():
    params = json.loads(sys.stdin.readline())["params"]
    name = Path(params["picture"]).stem
    work("generate", name, emit)
    mesh = Path(params["out_dir"]) / "mesh.glb"
    mesh.write_text(f"mesh of {name}")
    emit({"id": 1, "result": {"mesh": str(mesh)}})


def batch(given):
    out, name = Path(given[given.index("--out") + 1]), given[given.index("--name") + 1]
    mesh = Path(given[given.index("--generated") + 1]) / "mesh.glb"
    work("finish", name, emit)
    files = {"vrm": out / f"{name}.vrm", "receipt": out / f"{name}.receipt.json"}
    files["vrm"].write_text(f"avatar of {mesh.read_text()}")
    files["receipt"].write_text("{}")
    row = {"name": name, "status": "made", "note": files["vrm"].name}
    emit({"event": "summary", "avatars": [{**row, "files": {kind: str(path) for kind, path in files.items()}}]})


if __name__ == "__main__":
    if os.environ["AVATAR_FORGE_PARENT_PID"] == str(os.getppid()):  # as the real ones do
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    batch(sys.argv[1:]) if "--out" in sys.argv else generate()
