"""A Blender without a window that serves the socket, and MCP servers in environments of their own (make env-mcp)."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.mcp.talk import Talk

ROOT = Path(__file__).resolve().parents[2]
VENVS = ROOT / ".venv"
BPY = ROOT / os.environ.get("AVATAR_FORGE_BPY", ".venv/bpy-4.5.15/bin/python")
# Release -> its command; `blender-mcp` is now called `mcp-for-blender`.
SERVERS = {"1.5.5": "blender-mcp", "1.6.5": "blender-mcp", "1.9.4": "blender-mcp", "2.2.4": "mcp-for-blender"}


class Blender:
    """`ask(command, **params)` is one exchange on a connection of its own."""

    def __init__(self, port):
        self.port = port

    def ask(self, command, **params):
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(json.dumps({"type": command, "params": params}).encode())
            received = b""
            while part := connection.recv(1 << 16):
                received += part
                try:
                    return json.loads(received)
                except ValueError:
                    continue
        raise AssertionError(f"no answer to {command}")

    def run(self, code):
        reply = self.ask("execute_code", code=code)
        assert reply["status"] == "success", reply
        return reply["result"]["result"]

    def empty(self):
        self.ask("avatar_cancel")
        until = time.monotonic() + 120
        while self.ask("avatar_status")["result"]["jobs"]:
            assert time.monotonic() < until
            time.sleep(0.05)
        self.run("import bpy\nbpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)")


@contextlib.contextmanager
def serve(folder, **more):
    """A Blender without a window that listens. more: environment variables."""
    environment = {
        **os.environ,
        "BLENDER_USER_RESOURCES": str(folder / "user"),
        "AVATAR_FORGE_RUNS": str(folder / "runs"),
        "AVATAR_FORGE_BACKEND_PYTHON": str(VENVS / "backend/bin/python"),
        "AVATAR_FORGE_CLIENT_FOLDERS": tempfile.gettempdir(),
        "OMP_NUM_THREADS": "1",
        **more,
    }
    command = [BPY, ROOT / "avatar_addon/remote/serve.py", "--", "--port", "0", "--code", "on"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=folder)
    try:
        yield Blender(_port(process, folder / "log"))
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def serving(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("blender")) as blender:
        yield blender


def _port(process, log):
    until = time.monotonic() + 240
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"listens on 127\.0\.0\.1:(\d+)", log.read_text(errors="replace")):
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(log.read_text(errors="replace"))


@pytest.fixture
def blender(serving):
    """The serving Blender with an empty file."""
    serving.empty()
    return serving


def start(name, serving, folder, **more):
    """BlenderMCP's server of a release, or "ours", against the serving Blender. more: environment variables."""
    home = {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CACHE_HOME": str(folder),
    }
    env = home | {"BLENDER_HOST": "127.0.0.1", "BLENDER_PORT": str(serving.port), "DISABLE_TELEMETRY": "true", **more}
    if name == "ours":
        return Talk([VENVS / "mcp/bin/python", "-m", "backend", "mcp"], env, folder / "errors", ROOT)
    return Talk([VENVS / f"mcp-{name}/bin" / SERVERS[name]], env, folder / "errors")


@pytest.fixture(scope="module")
def ours(serving, tmp_path_factory):
    talk = start("ours", serving, tmp_path_factory.mktemp("ours"))
    yield talk
    talk.close()


@pytest.fixture(scope="session")
def picture():
    return ROOT / "examples/companion.png"
