# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference pictures from a sentence: real HTTP servers on this machine that speak OpenAI's and ComfyUI's protocols."""

import base64
import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from avatar_addon.client.process.jobs import Job, Worker
from backend.errors import BackendError, Cancelled
from backend.text import http, images, reference
from backend.text.http import Server
from tests.unit.test_jobs import COMMAND, ENV, wait, wait_for_stage

ROOT = Path(__file__).resolve().parents[2]
GOOD = (ROOT / "examples/companion.png").read_bytes()
KEY = "secret-key-1"


class Peer:
    """A server whose answers a test writes: (method, path, body) -> (status, bytes, type)."""

    def __init__(self, answer):
        self.asked, peer = [], self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._reply(b"")

            def do_POST(self):
                self._reply(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def _reply(self, body):
                asked = (self.command, self.path, json.loads(body) if body else None, dict(self.headers))
                peer.asked.append(asked)
                status, data, headers = answer(*asked[:3])
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def peer():
    made = []

    def start(answer):
        made.append(Peer(answer))
        return made[-1]

    yield start
    for one in made:
        one.close()


def told(value, status=200):
    return status, json.dumps(value).encode(), {}


def pictures(*files):
    return told({"data": [{"b64_json": base64.b64encode(file).decode()} for file in files]})


def no_progress(_stage, _fraction, _message):
    pass


def test_a_sentence_becomes_pictures_and_the_prompt_asks_for_one_whole_figure(peer, tmp_path):
    chat = peer(lambda *_: told({"choices": [{"message": {"content": "A tall elf, green cloak."}}]}))
    server = peer(lambda *_: pictures(GOOD, GOOD))
    wish = reference.Wish("an elf", 2, 7, Server("chat server", chat.url + "/v1", KEY), "small")
    made = reference.make_pictures(
        wish, images.OpenAIPictures(Server("picture server", server.url), "sdxl"), tmp_path, no_progress
    )
    assert [entry["usable"] for entry in made["pictures"]] == [True, True]
    assert [entry["seed"] for entry in made["pictures"]] == [7, 8]
    (_, path, body, headers), (_, chat_path, chat_body, chat_headers) = server.asked[0], chat.asked[0]
    assert path == "/v1/images/generations" and body["n"] == 2 and body["model"] == "sdxl" and body["seed"] == 7
    assert "A tall elf, green cloak." in body["prompt"] and "A-pose" in body["prompt"] and "front" in body["prompt"]
    assert chat_path == "/v1/chat/completions" and chat_body["messages"][-1]["content"] == "an elf"
    assert chat_headers["Authorization"] == f"Bearer {KEY}" and "Authorization" not in headers


def test_what_the_reader_cannot_use_is_asked_for_again_three_times_at_most(peer, tmp_path):
    bad = (
        (ROOT / "tests/unit/__init__.py").read_bytes() if (ROOT / "tests/unit/__init__.py").exists() else b"no picture"
    )
    server = peer(lambda *_: pictures(*[bad] * server.asked[-1][2]["n"]))
    one = images.OpenAIPictures(Server("picture server", server.url))
    with pytest.raises(
        BackendError, match="No picture of 6 can be used: The server's answer is not a picture"
    ) as caught:
        reference.make_pictures(reference.Wish("an elf", 2), one, tmp_path, no_progress)
    assert caught.value.code == "no_usable_picture" and len(server.asked) == 3
    later = peer(lambda *_: pictures(*[bad if len(later.asked) == 1 else GOOD] * later.asked[-1][2]["n"]))
    made = reference.make_pictures(
        reference.Wish("an elf", 2), images.OpenAIPictures(Server("picture server", later.url)), tmp_path, no_progress
    )
    assert [entry["usable"] for entry in made["pictures"]] == [True, True] and len(later.asked) == 2


def test_options_that_a_server_does_not_know_are_left_out(peer):
    def answer(_method, _path, body):
        extra = next((name for name in images.OPTIONAL if name in body), None)
        return told({"error": {"message": f"unknown {extra}"}}, 400) if extra else pictures(b"x")

    server = peer(answer)
    assert images.OpenAIPictures(Server("picture server", server.url)).make("p", 1, 1, lambda: None) == [b"x"]
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "answer, said",
    [
        ((500, b"{}", {}), "answered 500"),
        ((401, json.dumps({"error": {"message": f"bad key {KEY}"}}).encode(), {}), "answered 401"),
        ((200, b"<html>", {}), "not JSON"),
        ((200, b"[" * 100_000, {}), "not JSON"),
        ((200, b"[]", {}), "not a JSON object"),
        ((200, b'{"data": []}', {}), "no pictures"),
        ((200, b'{"data": [{"b64_json": "%%"}]}', {}), "not in base64"),
        ((200, b'{"data": [{"url": "http://192.0.2.1/a.png"}]}', {}), "another server"),
        ((302, b"", {"Location": "http://192.0.2.1/v1/images/generations"}), "redirects to another server"),
        ((302, b"", {"Location": "file:///etc/passwd"}), "redirects to another"),
        ((302, b"", {"Location": "/v1/images/generations"}), "redirects to another address"),
        ((308, b"", {"Location": "/again"}), "redirects to another address"),
        ((200, b'{"data": [{"url": "http://127.0.0.1:bad/a.png"}]}', {}), "failed|reached"),
    ],
)
def test_a_wrong_answer_is_one_sentence_without_the_key(peer, answer, said):
    server = Server("picture server", peer(lambda *_: answer).url, KEY, timeout=5)
    with pytest.raises(BackendError, match=said) as caught:
        images.OpenAIPictures(server).make("p", 1, 1, lambda: None)
    assert caught.value.code == "text_server" and KEY not in f"{caught.value.message} {caught.value.hint}"
    assert KEY not in repr(server)


@pytest.mark.parametrize("status, advice", [(429, "wait a minute"), (503, "Try again"), (401, "model and key")])
def test_what_to_do_next_fits_the_answer(peer, status, advice):
    server = Server("picture server", peer(lambda *_: (status, b"{}", {})).url, KEY, timeout=5)
    with pytest.raises(BackendError) as caught:
        images.OpenAIPictures(server).make("p", 1, 1, lambda: None)
    assert advice in caught.value.hint


def test_a_key_goes_to_no_other_server_and_into_no_message():
    """https may not become http on the way; a header's own error would repeat the key."""
    assert Server("picture server", "https://pictures.example", f"{KEY}\n").key == KEY
    for key in (f"{KEY}\n2", f"{KEY}é", f"{KEY}\ud800"):
        with pytest.raises(BackendError, match="key of the picture server") as caught:
            Server("picture server", "https://pictures.example", key)
        assert KEY not in f"{caught.value.message} {caught.value.hint}"
    with pytest.raises(BackendError, match="another server"):
        Server("picture server", "https://pictures.example", KEY).file("http://pictures.example/a.png")
    for url, other, fine in (
        ("https://a.example/x", "http://a.example/x", False),
        ("https://a.example/x", "https://a.example:443/y", True),
        ("http://a.example/x", "https://a.example/x", True),
        ("http://a.example:8000/x", "https://a.example/x", False),
        ("http://a.example/x", "http://b.example/x", False),
        ("http://a.example/x", "ftp://a.example/x", False),
    ):
        assert http.is_same_server(url, other) == fine


def test_a_server_that_is_not_there_and_an_address_that_is_none(peer):
    gone = peer(lambda *_: told({}))
    gone.close()
    with pytest.raises(BackendError, match="cannot be reached"):
        images.OpenAIPictures(Server("picture server", gone.url)).make("p", 1, 1, lambda: None)
    for address in (
        "ftp://127.0.0.1",
        "localhost:8188",
        "http://user:pass@127.0.0.1:1",
        "file:///etc/passwd",
        "http://a\ud800",
    ):
        with pytest.raises(BackendError, match="not usable") as caught:
            Server("picture server", address)
        assert "pass" not in caught.value.message


@pytest.fixture
def raw():
    """Servers that answer a request with parts of bytes, seconds between them, and then hang up."""
    made = []

    def start(*parts, pause=0.0):
        listening = socket.create_server(("127.0.0.1", 0))

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    talk, _ = listening.accept()
                    with talk, contextlib.suppress(OSError):
                        talk.recv(1 << 16)
                        for part in parts:
                            talk.sendall(part)
                            time.sleep(pause)
                        talk.shutdown(socket.SHUT_WR)
                        while talk.recv(1 << 16):  # bytes that nobody has read would reset the connection
                            pass

        threading.Thread(target=serve, daemon=True).start()
        made.append(listening)
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for one in made:
        one.close()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "parts, pause, said",
    [
        ((b"",), 0.0, "cannot be reached"),  # dies before it answers
        ((b"SSH-2.0-OpenSSH\r\n",), 0.0, "cannot be reached"),
        ((OK + b"Content-Length: 900\r\n\r\n{",), 0.0, "breaks off"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{",), 0.0, "cannot be reached|breaks off"),
        ((b"",), 2.0, "timed out"),  # silent
        ((OK + b"Content-Length: 900\r\n\r\n", *[b" "] * 20), 0.2, "took longer"),  # a byte now and then
    ],
    ids=["dead", "another protocol", "dies halfway", "dies in a chunk", "silent", "dripping"],
)
def test_a_server_that_dies_or_dawdles_is_one_sentence(raw, parts, pause, said):
    server = Server("picture server", raw(*parts, pause=pause), KEY, timeout=1.0)
    with pytest.raises(BackendError, match=said) as caught:
        images.OpenAIPictures(server).make("p", 1, 1, lambda: None)
    assert caught.value.code == "text_server" and KEY not in caught.value.message


@pytest.mark.parametrize("phase", ["describe", "pictures", "read"])
def test_cancelling_ends_the_job_in_each_phase_and_the_next_one_works(raw, peer, tmp_path, phase):
    """With a real worker: while the chat server is silent, while the picture server is, and while pictures are read."""
    silent = raw(b"", pause=60.0)
    answering = peer(lambda *_: pictures(GOOD)).url
    out = tmp_path / "out"
    params = {"text": "an elf", "count": 1, "seed": 1, "out_dir": str(out), "kind": "openai", "url": silent}
    if phase == "describe":
        params["chat_url"] = silent
    elif phase == "read":
        params["url"] = answering
    out.mkdir()
    worker = Worker(COMMAND, ENV, tmp_path / "worker.log")
    try:
        running = worker.submit(Job("pictures_from_text", **params))
        wait_for_stage(running, phase)
        running.cancel()
        wait(running)
        assert running.error.code == "cancelled"
        after = worker.submit(Job("hello"))
        wait(after)
        assert after.result["generators"]
    finally:
        worker.close()


class Comfy:
    """ComfyUI's routes; `looks` is how often the job is asked for until it is done."""

    def __init__(self, looks=2, status="success"):
        self.left, self.status, self.stopped = looks, status, []

    def __call__(self, method, path, body):
        parts = urlsplit(path)
        if parts.path == "/prompt":
            self.workflow = body["prompt"]
            return told({"prompt_id": "job-1", "number": 1})
        if parts.path in ("/queue", "/interrupt"):
            self.stopped.append(parts.path)
            return 200, b"{}", {}
        if parts.path == "/view":
            assert parse_qs(parts.query)["filename"][0].startswith("a")
            return 200, GOOD, {"Content-Type": "image/png"}
        self.left -= 1
        if self.left > 0:
            return told({})
        saved = [{"filename": f"a{k}.png", "subfolder": "", "type": "output"} for k in range(2)]
        preview = {"filename": "b.png", "subfolder": "", "type": "temp"}
        outputs = {"9": {"images": saved}, "10": {"images": [preview]}}
        return told({"job-1": {"status": {"status_str": self.status}, "outputs": outputs}})


def test_a_workflow_runs_in_comfyui_with_prompt_seed_and_count_in_their_fields(peer, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "POLL", 0.01)
    comfy = Comfy()
    server = images.ComfyPictures.load(Server("picture server", peer(comfy).url))
    made = reference.make_pictures(reference.Wish("a knight", 2, 5), server, tmp_path, no_progress)
    assert [entry["usable"] for entry in made["pictures"]] == [True, True]
    assert "a knight" in comfy.workflow["6"]["inputs"]["text"] and comfy.workflow["3"]["inputs"]["seed"] == 5
    assert comfy.workflow["5"]["inputs"]["batch_size"] == 2 and not comfy.stopped


def test_cancelling_takes_the_job_out_of_comfyui(peer, monkeypatch):
    monkeypatch.setattr(images, "POLL", 0.01)
    comfy = Comfy(looks=100)
    calls = iter(range(3))

    def wait():
        if next(calls, None) is None:
            raise Cancelled

    server = images.ComfyPictures.load(Server("picture server", peer(comfy).url))
    with pytest.raises(Cancelled):
        server.make("p", 1, 1, wait)
    assert comfy.stopped == ["/queue", "/interrupt"]


def test_a_workflow_that_fails_or_does_not_fit_is_told_in_a_sentence(peer, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "POLL", 0.01)
    server = Server("picture server", peer(Comfy(looks=1, status="error")).url)
    with pytest.raises(BackendError, match="workflow failed there"):
        images.ComfyPictures.load(server).make("p", 1, 1, lambda: None)
    file = tmp_path / "mine.json"
    for text, fields, said in (
        ("{", None, "cannot be read"),
        ('{"nodes": []}', None, "not in the API format"),
        ('{"1": {"inputs": {"text": ""}}}', {"prompt": "1.text", "seed": "2.seed"}, "no field 2.seed"),
        ('{"1": {"inputs": {"text": ""}}}', {"prompt": "1.text"}, "field for the seed is not named"),
    ):
        file.write_text(text)
        with pytest.raises(BackendError, match=said):
            images.ComfyPictures.load(server, file, fields)
