"""A third party's engines, found through entry points: `options["do"]` says how they behave."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from backend.engines import GeneratedMesh, Rig
from backend.errors import BackendError

STAGES = ("mask", "shape", "texture")


def behave(request, progress):
    do = request.options.get("do", "")
    at = request.options.get("at", "shape")
    for index, stage in enumerate(STAGES):
        progress(stage, index / len(STAGES), f"Doing the {stage}")
        (request.out_dir / f"{stage}.tmp").write_bytes(b"half a file")
        if stage == at and do:
            progress(do, index / len(STAGES), f"About to {do}")
            globals()[f"do_{do}"](request, progress)
        (request.out_dir / f"{stage}.tmp").rename(request.out_dir / f"{stage}.bin")


def do_wait(request, progress):
    """Works until it is cancelled."""
    while True:
        time.sleep(0.01)
        progress("wait", 0.5, "step")


def do_go(request, progress):
    """Works until the test lets it go on."""
    while not Path(request.options["go"]).exists():
        time.sleep(0.01)
        progress("go", 0.5, "step")


def do_flood(request, progress):
    for index in range(100_000):
        progress("shape", 0.4 + index / 1e6, f"step {index}")


def do_sleep(request, progress):
    """Deaf to a polite cancel, but Python can interrupt it."""
    while True:
        time.sleep(0.01)


def do_stuck(request, progress):
    """Deaf to everything but a kill, as a hanging native library is."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"])


def do_swallow(request, progress):
    """Takes our Cancelled for its own problem."""
    while True:
        time.sleep(0.01)
        try:
            progress("shape", 0.5, "step")
        except Exception as error:
            raise RuntimeError("the sampler failed") from error


def do_print(request, progress):
    print("a library that prints")
    os.write(1, b'{"id": 1, "result": {}}\n')
    subprocess.run([sys.executable, "-c", "import sys; print('a child that prints', repr(sys.stdin.read()))"])


def do_crash(request, progress):
    os.kill(os.getpid(), signal.SIGSEGV)


def do_exit(request, progress):
    os._exit(3)


def do_sysexit(request, progress):
    raise SystemExit(4)


def do_memory(request, progress):
    raise MemoryError


def do_raise(request, progress):
    raise ValueError("secret detail of a library")


def do_refuse(request, progress):
    raise BackendError("cropped", "The picture shows the character only down to the knees.", "Use a full-body picture.")


def do_big(request, progress):
    with (request.out_dir / "big.bin").open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))


def do_outside(request, progress):
    request.options["mesh"] = "/etc/hostname"


def do_nothing(request, progress):
    request.options["mesh"] = str(request.out_dir / "never_made.glb")


class FakeGenerator:
    name = "fake"
    label = "Fake engine"

    def generate(self, request, progress):
        behave(request, progress)
        mesh = request.out_dir / "mesh.glb"
        mesh.write_bytes(f"{request.picture.name} {request.seed}".encode())
        return GeneratedMesh(
            Path(request.options.get("mesh", mesh)), self.label, metrics={"iou": 0.5, "unknown": float("nan")}
        )


class FakeRigger:
    name = "fake"
    label = "Fake rigger"

    def rig(self, request, progress):
        behave(request, progress)
        (request.out_dir / "rig.npz").write_bytes(b"rig")
        return Rig(request.out_dir / "rig.npz", self.label, humanoid={"hips": "J_hips"})


class Choosy(FakeGenerator):
    def unavailable_reason(self):
        return "It needs a GPU."
