"""The worker's methods for models, in a worker process whose hub is on the loopback device."""

import json
import signal
import sys
import threading
import time

import pytest

from backend.models import lock, store
from tests.unit.test_models import CONTENT, Hub
from tests.unit.test_worker import ENV, Client, is_one_sentence
from tests.unit.tiny_trellis import make_checkpoint

# The worker itself, with one engine that needs one small model in the place of the real ones.
TINY = """
import huggingface_hub.constants
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 1 << 16
from backend import registry, worker
from backend.models import store
FILES = (store.File("config.json"), store.File("big.safetensors"))
class Tiny:
    label = "Tiny"
    models = (store.Model("tiny", "A tiny model", (store.Source("some/repo", "main", "MIT", FILES),), about=1_000_000),)
    def generate(self, request, progress): ...
registry.BUILT_IN = {"generators": {"tiny": "__main__:Tiny"}, "riggers": {}}
raise SystemExit(worker.main())
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """start(command, **environment) -> a client of a worker whose models are kept in tmp_path/models."""
    clients = []

    def start(command=None, **environment):
        for name, value in {
            store.VARIABLE: str(tmp_path / "models"),
            "HF_HOME": str(tmp_path / "hub"),
            **environment,
        }.items():
            monkeypatch.setitem(ENV, name, value)
        clients.append(Client(tmp_path / "worker.log", command or [sys.executable, "-P", "-m", "backend", "worker"]))
        return clients[-1]

    yield start
    for client in clients:
        client.process.kill()
        client.process.wait()
        client.process.stdin.close()
        client.process.stdout.close()


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    if hub.held:
        hub.held.set()
    hub.server.shutdown()
    hub.server.server_close()


@pytest.fixture
def tiny(start, hub):
    return start([sys.executable, "-P", "-c", TINY], HF_ENDPOINT=hub.url)


def ask(client, method, **params):
    return client.answer(client.send(method, **params))[0]


def until_half(tmp_path):
    """Until the hub has sent what it sends before it is let go on."""
    deadline = time.monotonic() + 60
    while not [part for part in (tmp_path / "models" / "tiny").glob("big.*.part") if part.stat().st_size > 300_000]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def only(client):
    (row,) = ask(client, "models")["result"]["models"]
    return row


def test_listed_downloaded_and_removed(tiny, tmp_path):
    before = only(tiny)
    assert (before["name"], before["licence"], before["size"], before["installed"]) == ("tiny", "MIT", 1_000_000, False)
    assert before["state"] == "missing" and is_one_sentence(before["reason"])
    answer, stages = tiny.answer(tiny.send("download_model", name="tiny"))
    assert "download" in stages and answer["result"]["installed"]
    folder = tmp_path / "models" / "tiny"
    assert (
        answer["result"]["folder"] == str(folder)
        and (folder / "big.safetensors").read_bytes() == CONTENT["big.safetensors"]
    )
    assert only(tiny) == answer["result"] and only(tiny)["reason"] == ""
    removed = ask(tiny, "remove_model", name="tiny")["result"]
    assert removed["freed"] > len(CONTENT["big.safetensors"]) and removed["state"] == "missing" and not folder.exists()


def test_a_cancelled_download_goes_on_where_it_stopped(tiny, hub, tmp_path):
    hub.held = threading.Event()
    request = tiny.send("download_model", name="tiny")
    until_half(tmp_path)
    tiny.send("cancel", request)
    tiny.wait_until_read(request)
    hub.held.set()
    assert tiny.answer(request)[0]["error"]["code"] == "cancelled"
    hub.held = None
    assert only(tiny)["state"] == "incomplete"
    (part,) = (tmp_path / "models" / "tiny").glob("big.*.part")
    there = part.stat().st_size
    assert ask(tiny, "download_model", name="tiny")["result"]["installed"]
    assert there > 0 and hub.bodies("big.safetensors")[-1] == f"bytes={there}-"


def test_a_network_that_hangs_can_be_interrupted(tiny, hub, tmp_path):
    hub.held = threading.Event()
    request = tiny.send("download_model", name="tiny")
    until_half(tmp_path)
    tiny.send("cancel", request)
    tiny.wait_until_read(request)  # an interrupt that nobody has asked for is ignored
    begun = time.monotonic()
    tiny.process.send_signal(signal.SIGINT)  # as the add-on does to a job that does not hear
    assert tiny.answer(request)[0]["error"]["code"] == "cancelled"
    assert time.monotonic() - begun < 10  # a hang, not a speed


def test_offline_and_a_full_disk_are_one_sentence(tiny, start, hub, tmp_path):
    off = start([sys.executable, "-P", "-c", TINY], HF_ENDPOINT="http://127.0.0.1:1")
    full = start(
        [sys.executable, "-P", "-c", TINY.replace("raise", "store._free = lambda where: 1000\nraise", 1)],
        HF_ENDPOINT=hub.url,
    )
    for client, code in ((off, "offline"), (full, "disk_full")):
        error = ask(client, "download_model", name="tiny")["error"]
        assert error["code"] == code and is_one_sentence(error["message"]) and is_one_sentence(error["hint"])
    assert not list(tmp_path.glob("models/tiny/*.part"))


@pytest.mark.parametrize("params", [{}, {"name": ""}, {"name": 3}, {"name": "tiny", "root": "/"}])
@pytest.mark.parametrize("method", ["download_model", "remove_model"])
def test_wrong_parameters(tiny, method, params):
    assert ask(tiny, method, **params)["error"]["code"] == "bad_params"


def test_an_unknown_model_and_a_damaged_lock(tiny, tmp_path):
    assert ask(tiny, "download_model", name="../x")["error"]["code"] == "unknown_model"
    ask(tiny, "download_model", name="tiny")
    (tmp_path / "models" / "tiny" / lock.LOCK).write_text("{")
    row = only(tiny)
    assert row["state"] == "damaged" and not row["installed"] and "lock" in row["reason"]


def test_the_users_own_folder_is_used_and_never_touched(start, tmp_path):
    folder = make_checkpoint(tmp_path / "mine")
    before = sorted(path.name for path in folder.rglob("*"))
    client = start(AVATAR_FORGE_TRELLIS=str(folder), AVATAR_FORGE_UNIRIG=str(tmp_path))
    rows = {row["name"]: row for row in ask(client, "models")["result"]["models"]}
    assert rows["trellis"]["installed"] and rows["trellis"]["own"] and rows["trellis"]["folder"] == str(folder)
    assert rows["trellis"]["licence"] == "MIT, Apache-2.0" and 3e9 < rows["trellis"]["size"] < 5e9
    assert not rows["unirig"]["installed"] and "skeleton" in rows["unirig"]["reason"]
    for method in ("download_model", "remove_model"):
        assert ask(client, method, name="trellis")["error"]["code"] == "own_folder"
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_files_put_in_place_by_hand_are_not_removed(start, tmp_path):
    root = tmp_path / "clone"
    root.mkdir()
    (root / "pipeline.json").write_text(json.dumps({}))
    client = start(**{store.VARIABLE: str(root)})
    error = ask(client, "remove_model", name="trellis")["error"]
    assert error["code"] == "own_folder" and str(root) in error["message"] and (root / "pipeline.json").exists()
