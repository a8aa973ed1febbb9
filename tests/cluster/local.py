"""Ray's own processes on this machine's loopback, for tests: `head()` and `node()`, which end with their context.

`ray start --block` stays in the foreground, so that ours can be ended by its id: `ray stop` would end every cluster of
this machine.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from backend.cluster.jobs_api import JobsApi
from backend.errors import BackendError

ROOT = Path(__file__).resolve().parents[2]
PORT, DASHBOARD = 6391, 8296  # outside of the range that Ray gives its workers
SLOW = {  # a busy machine takes longer than Ray expects
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "200",
    "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": "200",
    "RAY_agent_register_timeout_ms": "200000",
}


@contextlib.contextmanager
def _ray(python, api, nodes, *words, env=None):
    """One that has started when the head knows so many nodes. It is tried again: on a busy machine, Ray gives up when
    its agents need more than 15 s.
    """
    env = {**os.environ, **SLOW, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT), **(env or {})}
    command = [str(Path(python).with_name("ray")), "start", "--block", "--num-cpus=1", *words]
    for _ in range(5):
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                if _has_joined(process, api, nodes):
                    yield process
                    return
                log.seek(0)
                print(f"Ray did not start: {log.read()[-500:].decode()}")
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
    raise RuntimeError("Ray does not start on this machine")


def _has_joined(process, api, nodes):
    begun = time.monotonic()
    while process.poll() is None and time.monotonic() - begun < 240:
        with contextlib.suppress(BackendError):
            if len(api.nodes()) >= nodes:
                return True
        time.sleep(0.5)
    return False


@contextlib.contextmanager
def head(python, port=PORT, dashboard=DASHBOARD, env=None):
    """A head without 3d_gen; the address of its API. python: of an environment with Ray."""
    folder = tempfile.mkdtemp(prefix="ray-")
    words = ("--head", "--node-ip-address=127.0.0.1", f"--port={port}", "--dashboard-host=127.0.0.1")
    more = (f"--dashboard-port={dashboard}", f"--temp-dir={folder}", "--object-store-memory=80000000")
    api = JobsApi(f"http://127.0.0.1:{dashboard}", (env or {}).get("RAY_AUTH_TOKEN", ""))
    with _ray(python, api, 1, *words, *more, env=env):
        yield api.address
    shutil.rmtree(folder, ignore_errors=True)


def node(python, port=PORT, dashboard=DASHBOARD, env=None):
    """A second node, which offers 3d_gen, with the backend's environment of this checkout."""
    api = JobsApi(f"http://127.0.0.1:{dashboard}", (env or {}).get("RAY_AUTH_TOKEN", ""))
    words = (f"--address=127.0.0.1:{port}", '--resources={"3d_gen": 1}', "--object-store-memory=80000000")
    known = {"AVATAR_FORGE_BACKEND_PYTHON": str(ROOT / ".venv/backend/bin/python")}
    return _ray(python, api, 2, *words, env=known | (env or {}))
