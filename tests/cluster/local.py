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
}


@contextlib.contextmanager
def _ray(python, *words, env=None):
    env = {**os.environ, **SLOW, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT), **(env or {})}
    command = [str(Path(python).with_name("ray")), "start", "--block", "--num-cpus=1", *words]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def head(python, port=PORT, dashboard=DASHBOARD, env=None):
    """A head without 3d_gen; the address of its API. python: of an environment with Ray."""
    folder = tempfile.mkdtemp(prefix="ray-")
    words = ("--head", "--node-ip-address=127.0.0.1", f"--port={port}", "--dashboard-host=127.0.0.1")
    more = (f"--dashboard-port={dashboard}", f"--temp-dir={folder}", "--object-store-memory=80000000")
    with _ray(python, *words, *more, env=env) as process:
        api, deadline = JobsApi(f"http://127.0.0.1:{dashboard}", (env or {}).get("RAY_AUTH_TOKEN", "")), 240
        begun = time.monotonic()
        while True:
            try:
                api.nodes()
                break
            except BackendError as error:
                if error.code not in ("cluster_unreachable", "cluster_refused") or process.poll() is not None:
                    raise
                if time.monotonic() - begun > deadline:
                    raise
                time.sleep(0.5)
        yield api.address
    shutil.rmtree(folder, ignore_errors=True)


def node(python, port=PORT, env=None):
    """A node that offers 3d_gen, with the backend's environment of this checkout."""
    words = (f"--address=127.0.0.1:{port}", '--resources={"3d_gen": 1}', "--object-store-memory=80000000")
    known = {"AVATAR_FORGE_BACKEND_PYTHON": str(ROOT / ".venv/backend/bin/python")}
    return _ray(python, *words, env=known | (env or {}))
