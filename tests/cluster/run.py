"""A real Ray cluster of two nodes on this machine: `make test-cluster` (Linux; needs .venv/cluster).

The node that generates is killed in the middle and another one joins: every avatar is there, none is finished twice,
no process is left. --blender and --backend run the real engines instead of stand-ins (minutes for each avatar).
"""

import argparse
import json
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from backend.cluster.client import Batch, ClusterRun
from backend.cluster.jobs_api import JobsApi
from backend.errors import BackendError, Cancelled
from tests.cluster.local import SLOW

ROOT = Path(__file__).resolve().parents[2]
PORT = 8299


def stand_in(folder, name):
    script = folder / name
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -S {ROOT}/tests/cluster/stand_in.py "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def say_to(said):
    begun = time.monotonic()

    def say(stage, fraction, message):
        if not said or said[-1][1:] != (stage, round(fraction, 1), message):
            said.append((round(time.monotonic() - begun, 1), stage, round(fraction, 1), message))
            print(f"{said[-1][0]:6.1f} s {fraction:4.0%} {message}", flush=True)

    return say


def living(log):
    """Processes of stand-ins that are still there."""
    pids = {line.split()[-1] for line in log.read_text().splitlines()} if log.exists() else set()
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a stand-in's stage")
    parser.add_argument("--backend", help="the backend's Python, in place of a stand-in")
    parser.add_argument("--blender", help="Blender or a Python with bpy, in place of a stand-in")
    parser.add_argument("--scale", action="store_true", help="only the time over one node and over two")
    parser.add_argument("--picture", type=Path, default=ROOT / "examples/companion.png")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="avatar-cluster-"))
    log = folder / "stand-ins.log"
    os.environ |= {
        "AVATAR_FORGE_BACKEND_PYTHON": options.backend or stand_in(folder, "python-backend"),
        "AVATAR_FORGE_BLENDER": options.blender or stand_in(folder, "python-blender"),
        "AVATAR_FORGE_RUNS": str(folder / "runs"),
        "STAND_IN_LOG": str(log),
        "STAND_IN_SECONDS": str(options.seconds),
        "RAY_USAGE_STATS_ENABLED": "0",
        **SLOW,
        "PYTHONPATH": str(ROOT),
    }
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": True, "dashboard_port": PORT, "object_store_memory": 80_000_000}
    node = {"num_cpus": 1, "resources": {"3d_gen": 1}, "object_store_memory": 80_000_000}
    try:
        JobsApi("http://127.0.0.1:9").check()
    except BackendError as error:
        print(f"No head: {error.message} {error.hint}")
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        (scale if options.scale else check)(options, folder, log, cluster, node)
    finally:
        cluster.shutdown()
    time.sleep(2)
    assert not living(log), living(log)
    print("No process is left.")
    shutil.rmtree(folder)


def ready():
    """The head's API, once it answers."""
    api = JobsApi(f"http://127.0.0.1:{PORT}")
    deadline = time.monotonic() + 120
    while True:
        try:
            print(f"Ray {api.check()}")
            return api
        except BackendError:
            assert time.monotonic() < deadline
            time.sleep(1)


def copies(options, folder):
    pictures = {}
    for k in range(options.count):
        pictures[f"avatar{k:02}"] = folder / f"avatar{k:02}.png"
        shutil.copyfile(options.picture, pictures[f"avatar{k:02}"])
    out = folder / "out"
    out.mkdir()
    return pictures, out


def scale(options, folder, _log, cluster, node):
    """Seconds from the first avatar's start to the last one's end over one node and over two."""
    api = ready()
    pictures, out = copies(options, folder)
    for nodes in (1, 2):
        cluster.add_node(**node)
        batch = Batch(pictures, out, folder / "shared", python=sys.executable, arguments=["--no-sheet"], seed=nodes)
        run, begun = ClusterRun(batch, api), []
        run.start()

        def say(_stage, fraction, _message, begun=begun):
            if fraction > 0 and not begun:
                begun.append(time.monotonic())

        rows = run.follow(say)
        print(f"{nodes} nodes: {time.monotonic() - begun[0]:.1f} s for {Counter(row['status'] for row in rows)}")


def check(options, folder, log, cluster, node):
    api, said = ready(), []
    pictures, out = copies(options, folder)

    def batch():
        return Batch(pictures, out, folder / "shared", python=sys.executable, arguments=["--no-sheet"])

    run = ClusterRun(batch(), api)
    assert run.start()
    again = ClusterRun(batch(), api)
    assert not again.start() and again.job == run.job
    print("Asked twice: attached.")
    result = {}
    thread = threading.Thread(target=lambda: result.update(rows=run.follow(say_to(said))))
    thread.start()
    wait(lambda: any(entry[1] == "waiting" for entry in said), 60)
    waited = next(entry for entry in said if entry[1] == "waiting")
    print(f"The missing resource was said after {waited[0]} s")
    first = cluster.add_node(**node)
    wait(lambda: len(run.rows) >= options.count // 4, 3600)
    cluster.remove_node(first, allow_graceful=False)
    killed = time.monotonic()
    print("The node that generates was killed.")
    time.sleep(5)
    print(f"Children of the killed node: {len(living(log))}")
    cluster.add_node(**node)
    print(f"Another one joined after {time.monotonic() - killed:.0f} s.")
    thread.join()
    rows = result["rows"]
    print(json.dumps(Counter(row["status"] for row in rows)))
    assert all(row["status"] == "made" for row in rows), rows
    assert len(list(out.glob("*.vrm"))) == len(list(out.glob("*.receipt.json"))) == options.count
    if log.exists():
        ends = Counter(line.rsplit(" ", 1)[0] for line in log.read_text().splitlines())
        print({k: n for k, n in ends.items() if n > 1} or "Every stage ran once.")
        assert all(ends[f"end finish avatar{k:02}"] == 1 for k in range(options.count))
        assert sum(ends[f"end generate avatar{k:02}"] for k in range(options.count)) <= options.count + 1
    cancel(options, folder, log, api)


def cancel(options, folder, log, api):
    def say(stage, fraction, message):
        if fraction > 0:
            raise Cancelled

    batch = Batch({"cancelled": options.picture}, folder / "out", folder / "shared", python=sys.executable, seed=1)
    run = ClusterRun(batch, api)
    run.start()
    try:
        run.follow(say)
    except Cancelled:
        begun = time.monotonic()
        wait(lambda: not living(log), 60)
        print(f"Cancelled; the worker was free {time.monotonic() - begun:.1f} s later.")


def wait(until, seconds):
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


if __name__ == "__main__":
    main()
