"""S3 servers that lose what they accept: found out after the first object, and nothing is left behind."""

import http.server
import json
import threading
import urllib.parse

import pytest

from backend.errors import BackendError
from backend.promotion import index
from backend.promotion.promote import Promotion, next_version, promote
from backend.promotion.store import Store, Target
from tests.records.test_promotion import GOOD, make_vrm, quiet


class Forgetful(http.server.BaseHTTPRequestHandler):
    """As much of S3 as a promotion asks for, with conditional writes. `flaw` says what is wrong with it."""

    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fault(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code></Error>".encode(), Content_Type="application/xml")

    def key(self):
        return urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).removeprefix("/avatars").strip("/")

    def do_PUT(self):
        server, key = self.server, self.key()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        there = server.objects.get(key)
        if (self.headers.get("If-None-Match") and there) or self.headers.get("If-Match", there and there[2]) != (
            there and there[2]
        ):
            return self.fault(412, "PreconditionFailed")
        server.puts.append(key)
        metadata = {name: value for name, value in self.headers.items() if name.lower().startswith("x-amz-meta-")}
        tag = f'"{len(server.puts)}"'
        if not server.flaw(self, key):
            server.objects[key] = (body, metadata if server.keeps_metadata else {}, tag)
        return self.answer(200, ETag=tag)

    def do_GET(self):
        if not self.key():
            prefix = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("prefix", [""])[0]
            rows = "".join(
                f"<Contents><Key>{k}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
                for k in sorted(self.server.objects)
                if k.startswith(prefix)
            )
            page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()
            return self.answer(200, page, Content_Type="application/xml")
        found = self.server.objects.get(self.key())
        if found is None:
            return self.fault(404, "NoSuchKey")
        return self.answer(200, found[0], ETag=found[2], **found[1])

    do_HEAD = do_GET  # noqa: N815

    def do_DELETE(self):
        self.server.objects.pop(self.key(), None)
        self.answer(204)

    def log_message(self, *_):
        pass


@pytest.fixture
def forgetful():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forgetful)
    server.daemon_threads, server.objects, server.puts = True, {}, []
    server.keeps_metadata, server.flaw = True, lambda handler, key: False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def promotion(forgetful, tmp_path):
    target = Target("avatars", f"http://127.0.0.1:{forgetful.server_port}")
    file = make_vrm(tmp_path / "a.vrm")
    return Promotion(file, target, "companion", "run-1", GOOD, state=tmp_path / "state")


def models(server):
    return [key for key in server.objects if key.endswith(".vrm")]


def test_the_small_server_is_one_that_works(forgetful, promotion):
    assert promote(promotion, quiet)["file"] == "companion-v1.vrm" and models(forgetful) == ["companion-v1.vrm"]


@pytest.mark.parametrize("lost", ["object", "metadata"])
def test_a_server_that_loses_what_it_accepts_gets_one_object_and_keeps_none(forgetful, promotion, lost):
    if lost == "object":
        forgetful.flaw = lambda handler, key: key.endswith(".vrm")
    else:
        forgetful.keeps_metadata = False
    with pytest.raises(BackendError) as caught:
        promote(promotion, quiet)
    assert caught.value.code == "not_kept" and caught.value.message.endswith(".")
    assert [key for key in forgetful.puts if key.endswith(".vrm")] == ["companion-v1.vrm"]
    assert not models(forgetful) and not list(promotion.state.glob("*.json"))


def test_an_index_that_is_not_kept_is_no_promotion(forgetful, promotion):
    forgetful.flaw = lambda handler, key: key == "index.json"
    with pytest.raises(BackendError) as caught:
        promote(promotion, quiet)
    assert caught.value.code == "not_kept" and "index.json" in caught.value.message


def test_entries_of_others_with_odd_versions_stop_nothing(forgetful, promotion):
    odd = [{"key": f"x-{k}.vrm", "name": "companion", "version": v} for k, v in enumerate(("two", None, [1], 1.5, {}))]
    body = json.dumps({"format": 1, "models": [*odd, {"key": "companion-v7.vrm", "name": "companion", "version": 7}]})
    forgetful.objects["index.json"] = (body.encode(), {}, '"first"')
    assert promote(promotion, quiet)["version"] == 8
    listed = json.loads(forgetful.objects["index.json"][0])["models"]
    assert len(listed) == 7 and next_version(Store(promotion.target), "companion") == 9


def test_a_name_that_no_text_file_can_hold_is_replaced(forgetful, promotion):
    promotion.details = {"title": "half \ud83d pair"}
    promote(promotion, quiet)
    assert index.read(Store(promotion.target))["models"][0]["title"] == "half ? pair"


def test_a_redirect_that_names_no_region_has_its_sentence(forgetful, promotion):
    def redirect(handler):
        handler.fault(301, "PermanentRedirect")

    forgetful.RequestHandlerClass = type("Redirecting", (Forgetful,), {"do_GET": redirect, "do_HEAD": redirect})
    with pytest.raises(BackendError) as caught:
        promote(promotion, quiet)
    assert caught.value.code in ("wrong_region", "refused")
