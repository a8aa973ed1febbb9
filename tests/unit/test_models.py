"""Model files: downloaded from a hub on the loopback device, checked, taken up from a folder, removed."""

import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backend.errors import BackendError, Cancelled
from backend.models import hub, lock, store
from backend.models.store import File, Model, Source
from backend.trellis.model import MODEL as TRELLIS
from backend.unirig.model import MODEL as UNIRIG

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "c" * 40
CONTENT = {"config.json": b'{"name": "x"}', "big.safetensors": bytes(range(256)) * 4096, "pickle.ckpt": b"p" * 1000}


class Hub:
    """The few answers of a model hub that a download needs: metadata, ranges, and the ways they go wrong."""

    def __init__(self):
        self.content, self.requests, self.cut_after, self.lie = dict(CONTENT), [], None, None
        self.held: threading.Event | None = None  # the second half of big.safetensors waits for it
        hub_self = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                revision, name = re.fullmatch(r"/some/repo/resolve/([^/]+)/(.+)", self.path).groups()
                hub_self.requests.append((self.command, revision, name, self.headers.get("Range")))
                body = hub_self.content.get(name)
                if body is None:
                    self.send_response(404)
                    self.send_header("X-Error-Code", "EntryNotFound")
                    self.end_headers()
                    return
                start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
                self.send_response(206 if self.headers.get("Range") else 200)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("ETag", '"0123"')
                if name != "config.json":  # large files announce their SHA-256
                    self.send_header("X-Linked-Etag", f'"{hub_self.lie or hashlib.sha256(body).hexdigest()}"')
                if self.headers.get("Range"):
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                if self.command == "GET" and hub_self.held and name.startswith("big"):
                    self.wfile.write(body[start : len(body) // 2])
                    self.wfile.flush()
                    hub_self.held.wait(20)
                    self.wfile.write(body[max(start, len(body) // 2) :])
                elif self.command == "GET":
                    self.wfile.write(body[start:][: hub_self.cut_after])

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def bodies(self, name):
        return [request[3] for request in self.requests if request[0] == "GET" and request[2] == name]


@pytest.fixture
def fake(monkeypatch, tmp_path):
    fake = Hub()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", fake.url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", fake.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 16)
    monkeypatch.setattr(
        "huggingface_hub.file_download.time.sleep", lambda _: None
    )  # between the hub library's own retries
    files = (File("config.json"), File("big.safetensors", len(CONTENT["big.safetensors"])))
    source = Source("some/repo", "main", "MIT", files)
    monkeypatch.setitem(store.MODELS, "tiny", Model("tiny", "A tiny model", (source,)))
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "models"))
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "models"


def test_a_download_is_locked_and_pinned(fake, root):
    events = []
    where = store.download("tiny", lambda *event: events.append(event))
    assert where == root / "tiny" and (where / "big.safetensors").read_bytes() == CONTENT["big.safetensors"]
    assert store.digests("tiny") == {
        name: hashlib.sha256(CONTENT[name]).hexdigest() for name in ("big.safetensors", "config.json")
    }
    fractions = [fraction for _, fraction, _ in events]
    assert fractions == sorted(fractions) and fractions[-1] == 1 and events[-1][0] == "download"
    assert store.status("tiny")["sources"][0]["revision"] == COMMIT
    (where / "config.json").unlink()
    store.download("tiny")
    assert fake.requests[-1][1:3] == (COMMIT, "config.json")  # "main" was asked for once only
    assert len(fake.bodies("big.safetensors")) == 1
    assert store.verify("tiny") == []


def test_a_stopped_download_goes_on_where_it_stopped(fake, root):
    def stop(stage, fraction, message):
        if "big" in message and fraction > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        store.download("tiny", stop)
    [part] = (root / "tiny").glob("*.part")
    part.write_bytes(CONTENT["big.safetensors"][:300_000])
    with pytest.raises(BackendError) as error:
        store.folder("tiny")
    assert error.value.code == "missing_weights" and "big.safetensors is missing" in error.value.message
    store.download("tiny")
    assert fake.bodies("big.safetensors")[-1] == "bytes=300000-"
    assert store.verify("tiny") == [] and not list((root / "tiny").glob("*.part"))


def test_a_hub_with_another_file_than_the_pinned_one_is_not_believed(fake, root, monkeypatch):
    """Its announcement fits its bytes; the pin does not."""
    pinned = tuple(
        store.File(name, 0, hashlib.sha256(CONTENT[name]).hexdigest()) for name in ("config.json", "big.safetensors")
    )
    model = store.Model("tiny", "Tiny", (store.Source("some/repo", COMMIT, "MIT", pinned),))
    monkeypatch.setitem(store.MODELS, "tiny", model)
    for name in ("big.safetensors", "config.json"):  # announced with a digest, and without
        fake.content = CONTENT | {name: CONTENT[name][::-1]}
        with pytest.raises(BackendError, match=f"The file {name} on the hub") as caught:
            store.download("tiny")
        assert caught.value.code == "bad_weights" and not (root / "tiny" / name).exists()
    fake.content = dict(CONTENT)
    where = store.download("tiny")
    assert store.verify("tiny") == []
    # As an earlier version, which believed the hub, left it behind.
    (where / "config.json").write_bytes(b"{}")
    locked = json.loads((where / lock.LOCK).read_text())
    locked["files"]["config.json"] = {"sha256": hashlib.sha256(b"{}").hexdigest(), "size": 2}
    (where / lock.LOCK).write_text(json.dumps(locked))
    assert any("config.json" in problem for problem in store.verify("tiny"))
    with pytest.raises(BackendError, match=r"config\.json is another one"):
        store.folder("tiny")
    store.download("tiny")
    assert store.verify("tiny") == [] and "SHA-256" in store.status("tiny")["sources"][0]["pinned"]


@pytest.mark.parametrize("name", ["config.json", "big.safetensors"])
@pytest.mark.parametrize("damage", [None, b"damaged"])
def test_what_was_locked_at_the_first_download_must_come_again(fake, root, name, damage):
    """Of a model without pinned digests, one that is damaged or lost is not replaced by another of the same commit."""
    path = store.download("tiny") / name
    path.unlink() if damage is None else path.write_bytes(damage)
    fake.content = CONTENT | {name: CONTENT[name][::-1]}
    for _ in range(2):
        with pytest.raises(BackendError, match=f"The file {name} on the hub") as caught:
            store.download("tiny")
        assert caught.value.code == "bad_weights" and not path.exists()
    fake.content = dict(CONTENT)
    store.download("tiny")
    assert path.read_bytes() == CONTENT[name]


def test_a_file_of_another_size_than_the_known_one_is_not_begun(fake, root):
    fake.content["big.safetensors"] = CONTENT["big.safetensors"] * 2
    with pytest.raises(BackendError, match=r"big\.safetensors on the hub"):
        store.download("tiny")
    assert not fake.bodies("big.safetensors")


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_no_download_is_written_through_a_link(fake, root):
    precious, digest = root.parent / "precious", hashlib.sha256(CONTENT["big.safetensors"]).hexdigest()
    precious.write_bytes(b"mine")
    (root / "tiny").mkdir(parents=True)
    (root / "tiny" / f"big.safetensors.{digest[:12]}.part").symlink_to(precious)
    assert (store.download("tiny") / "big.safetensors").read_bytes() == CONTENT["big.safetensors"]
    assert precious.read_bytes() == b"mine"


def test_a_folder_that_cannot_be_locked_has_its_sentence(fake, root):
    (root / "tiny" / lock.BUSY).mkdir(parents=True)
    with pytest.raises(BackendError, match=r"\.$"):
        store.download("tiny")


def test_two_downloads_of_one_model_do_not_meet(fake, root):
    fake.held = threading.Event()
    first = threading.Thread(target=store.download, args=("tiny",))
    first.start()
    until = time.monotonic() + 60
    while not fake.bodies("big.safetensors") and time.monotonic() < until:
        time.sleep(0.01)
    for action in (store.download, store.remove):
        with pytest.raises(BackendError) as caught:
            action("tiny")
        assert caught.value.code == "folder_in_use"
    fake.held.set()
    first.join(20)
    assert (root / "tiny" / "big.safetensors").read_bytes() == CONTENT["big.safetensors"]


def test_a_damaged_note_of_checks_only_costs_a_check(fake, root):
    where = store.download("tiny")
    for text in ("[]", "3", "{", '{"config.json": 7}', "[" * 100_000):
        (where / lock.CHECKED).write_text(text)
        assert store.folder("tiny") == where


def test_a_broken_connection_keeps_what_has_arrived(fake, root):
    fake.cut_after = 150_000  # seven pieces; the hub library gives up only without any
    store.download("tiny")
    assert (root / "tiny" / "big.safetensors").read_bytes() == CONTENT["big.safetensors"]
    store.remove("tiny")
    fake.cut_after = 0
    with pytest.raises(BackendError) as error:
        store.download("tiny")
    assert error.value.code == "download_failed" and "resumes where it stopped" in error.value.hint


def test_what_arrives_must_be_what_the_hub_announced(fake, root):
    fake.lie = "ab" * 32
    with pytest.raises(BackendError, match=r"big.safetensors differs from the one on the hub") as error:
        store.download("tiny")
    assert error.value.code == "bad_weights" and not (root / "tiny" / "big.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "words"), [(lambda b: b[:-1], "bytes instead of"), (lambda b: b[:-1] + b"x", "SHA-256 differs")]
)
def test_a_changed_file_is_refused_before_the_load_and_mended(fake, root, change, words):
    path = store.download("tiny") / "big.safetensors"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BackendError, match=words) as error:
        store.folder("tiny")
    assert error.value.code == "bad_weights" and "big.safetensors" in error.value.message
    assert [words in problem for problem in store.verify("tiny")] == [True]
    store.download("tiny")
    assert store.folder("tiny") == root / "tiny" and path.read_bytes() == CONTENT["big.safetensors"]


def test_unchanged_files_are_not_read_again_but_verify_reads_them(fake, root, monkeypatch):
    path = store.download("tiny") / "big.safetensors"
    read = []
    real = lock.sha256_of
    monkeypatch.setattr(lock, "sha256_of", lambda file, on_bytes=None: read.append(file.name) or real(file, on_bytes))
    store.folder("tiny")
    assert read == []
    stat = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # forged: only reading everything finds it
    assert len(store.verify("tiny")) == 1 and "big.safetensors" in read
    with pytest.raises(BackendError):
        store.folder("tiny")  # and what was found stays found


def test_a_full_disk_is_said_before_and_while(fake, root, monkeypatch):
    with monkeypatch.context() as m:
        m.setattr(store.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))
        with pytest.raises(BackendError) as error:
            store.download("tiny")
        assert error.value.code == "disk_full" and not fake.bodies("big.safetensors")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(BackendError) as error:
        store.download("tiny")
    assert error.value.code == "disk_full"


def test_offline(fake, root, monkeypatch):
    store.download("tiny")
    fake.server.shutdown()
    fake.server.server_close()
    assert store.folder("tiny") == store.download("tiny") == root / "tiny"  # nothing is asked when nothing is missing
    store.remove("tiny")
    with pytest.raises(BackendError) as error:
        store.download("tiny")
    assert error.value.code == "offline" and error.value.hint
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BackendError) as error:
        store.download("tiny")
    assert error.value.code == "offline" and "HF_HUB_OFFLINE" in error.value.message


def test_a_folder_filled_by_hand_is_taken_up(fake, root, tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("config.json", "big.safetensors"):
        (clone / name).write_bytes(CONTENT[name])
    assert store.folder("tiny", root=clone) == clone and not fake.requests
    assert set(store.digests("tiny", clone)) == {"config.json", "big.safetensors"}
    (clone / lock.LOCK).unlink()
    (clone / "big.safetensors").write_bytes(b"x")
    with pytest.raises(BackendError, match="truncated"):
        store.folder("tiny", root=clone)
    assert store.remove("tiny") == 0 and (clone / "config.json").exists()


def test_a_converted_file_stands_for_its_source(fake, root):
    where = store.download("tiny")
    (where / "made").mkdir()
    (where / "made" / "x.safetensors").write_bytes(b"made")
    store.derived("tiny", where / "made" / "x.safetensors", "big.safetensors")
    (where / "big.safetensors").unlink()
    assert store.folder("tiny") == where and store.unavailable_reason("tiny") == ""
    (where / "made" / "x.safetensors").write_bytes(b"evil")
    with pytest.raises(BackendError) as error:
        store.folder("tiny")
    assert error.value.code == "bad_weights"
    (where / "mine.txt").write_text("not the model's")
    assert store.remove("tiny") > 0 and [p.name for p in where.iterdir()] == ["mine.txt"]


def test_a_damaged_or_hostile_lock_is_one_sentence(fake, root):
    where = store.download("tiny")
    entry = {"sha256": "0" * 64, "size": 1}
    for text in (
        "{",
        "[]",
        "[" * 100_000,
        '{"files": {"a": {}}, "commits": {}}',
        '{"files": {}, "commits": {"a": 5}}',
        json.dumps({"files": {"../../etc/passwd": entry}, "commits": {}}),
    ):
        (where / lock.LOCK).write_text(text)
        with pytest.raises(BackendError, match="lock") as error:
            store.folder("tiny")
        assert error.value.code == "bad_weights"
        assert store.unavailable_reason("tiny")


def test_the_models_are_what_the_loaders_need():
    needed = {target for _, _, target in TRELLIS.files()}
    assert {"pipeline.json", "dinov2/model.safetensors"} <= needed and len(needed) == 13
    assert all(name.endswith((".json", ".safetensors")) for name in needed)  # no pickle is ever fetched for TRELLIS
    for model in (TRELLIS, UNIRIG):
        assert all(source.licence and source.revision for source in model.sources)
        assert all(hub.SHA256.fullmatch(file.sha256) for _, file, _ in model.files() if file.sha256)


def test_the_command(fake, root):
    env = {**os.environ, store.VARIABLE: str(root), "PYTHONPATH": str(ROOT), "HF_ENDPOINT": fake.url}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "backend", "models", *arguments], env=env, capture_output=True, text=True
        )

    listed = run("list")
    assert (
        listed.returncode == 0
        and "MIT" in listed.stdout
        and "Apache-2.0" in listed.stdout
        and "missing" in listed.stdout
    )
    assert {"trellis", "trellis2", "unirig"} <= {row["name"] for row in json.loads(run("list", "--json").stdout)}
    missing = run("verify", "trellis")
    assert missing.returncode == 1 and "models download trellis" in missing.stderr and "Traceback" not in missing.stderr
    assert run("verify").returncode == 0
    unknown = run("remove", "nope")
    assert unknown.returncode == 1 and "trellis2" in unknown.stderr and "unirig" in unknown.stderr
