"""Starting and stopping the real servers of the tests, on free loopback ports."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("AVATAR_FORGE_TEST_SERVERS", ROOT / ".venv" / "servers" / "bin"))
KEY, SECRET = "AKIATESTRECORDS", "wJalrXUtnFEMI-secret-of-the-tests-K7MDENG"


def free_port(span=1):
    """A port that is free together with its twin 10000 above (SeaweedFS' gRPC), and `span` - 1 more after it.

    All lie below 32768: from there on the system hands out ports to outgoing connections, at any moment.
    """
    while True:
        first = random.SystemRandom().randrange(10000, 22768 - span)
        with contextlib.ExitStack() as stack:
            try:
                for port in [p + twin for p in range(first, first + span) for twin in (0, 10000)]:
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first


def start(command, folder, ready_url, **options):
    """A server process in its own session, ready to answer. Its output goes to `folder/server.log`."""
    program = Path(command[0])
    assert program.exists(), f"{program.name} is missing; run `make env-servers`"
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True, **options)
    deadline = time.monotonic() + 240
    while True:
        try:
            urllib.request.urlopen(ready_url, timeout=2).close()
            return process
        except urllib.error.HTTPError:
            return process
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "server.log").read_text()[-3000:]
            time.sleep(0.1)


@contextlib.contextmanager
def seaweed(folder):
    """A SeaweedFS server below `folder`; its address. KEY may do everything, READER with reader-secret only read."""
    reader = {
        "name": "reader",
        "credentials": [{"accessKey": "READER", "secretKey": "reader-secret"}],
        "actions": ["Read", "List"],
    }
    admin = {"name": "avatar", "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
    admin["actions"] = ["Admin", "Read", "Write", "List", "Tagging"]
    (folder / "s3.json").write_text(json.dumps({"identities": [admin, reader]}))
    for attempt in range(3):
        data = folder / str(attempt)
        data.mkdir()
        port = free_port(4)
        try:
            process = start(mini(data, port), folder, f"http://127.0.0.1:{port}/")
            break
        except AssertionError:
            # Another test of this machine may have taken a port between the look and the start.
            if attempt == 2:
                raise
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def mini(data, port):
    """The command of a SeaweedFS server with its services at `port` and the three after it."""
    return [
        BIN / "weed",
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-webdav=false",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.port={port}",
        f"-master.port={port + 1}",
        f"-volume.port={port + 2}",
        f"-filer.port={port + 3}",
        "-s3.config=s3.json",
        f"-s3.localSocket={data}/s3.sock",
    ]


def make_bucket(endpoint, name, **options):
    """Makes a bucket that takes objects; the server answers before its volumes are ready."""
    deadline = time.monotonic() + 120
    while True:
        try:
            client(endpoint, **options).create_bucket(Bucket=name)
            client(endpoint, **options).put_object(Bucket=name, Key="ready", Body=b"")
            return name
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def stop(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def client(endpoint, **options):
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2})
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config, **options)
