"""Real servers: SeaweedFS (S3), nanio (S3 without conditional writes) and MLflow's."""

import http.server
import os
import threading
import uuid

import pytest

from tests.records import servers
from tests.records.servers import BIN, KEY, SECRET, free_port, make_bucket, start, stop

CLEAN = ("AWS_", "MLFLOW_", "AVATAR_FORGE_")


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory):
    """Credentials as users give them, and nothing of this machine's own settings."""
    kept = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(CLEAN)]:
        del os.environ[name]
    os.environ |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "MLFLOW_DISABLE_TELEMETRY": "true"}
    os.environ |= {"AWS_EC2_METADATA_DISABLED": "true", "XDG_DATA_HOME": str(tmp_path_factory.mktemp("data"))}
    yield
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory):
    with servers.seaweed(tmp_path_factory.mktemp("seaweed")) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def nanio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nanio")
    port = free_port()
    command = [BIN / "nanio", "serve", "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder / "data")]
    secrets = {**os.environ, "NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
    process = start(command, folder, f"http://127.0.0.1:{port}/", env=secrets)
    yield f"http://127.0.0.1:{port}"
    stop(process)


@pytest.fixture
def bucket(seaweed):
    return make_bucket(seaweed, f"avatars-{uuid.uuid4().hex[:8]}")


class Broken(http.server.BaseHTTPRequestHandler):
    """A server in trouble: `answer` is a status, or None for no answer at all."""

    answer: int | None = 500

    def handle_any(self):
        if self.answer is None:
            self.server.ended.wait(30)
            return
        self.send_response(self.answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815 (http.server calls them by these names)

    def log_message(self, *_):
        pass


@pytest.fixture
def broken():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Broken,), {}))
    server.daemon_threads, server.ended = True, threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()
