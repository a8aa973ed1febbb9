"""S3 servers that lose what they accept: found out after the first object, and nothing is left behind."""

import contextlib
import http.server
import json
import threading
import urllib.parse
from dataclasses import replace

import pytest

from backend.errors import BackendError
from backend.promotion import index
from backend.promotion import store as store_module
from backend.promotion.promote import Promotion, next_version, promote
from backend.promotion.store import Store, Target, explain_answer, explain_way
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
    assert not models(forgetful) and not list(promotion.state.glob("*.json"))


def lying(server, **methods):
    """The server with other answers: method of HTTP -> function of the handler that is true where it has answered."""

    def instead(name, lie):
        honest = getattr(Forgetful, name)
        return lambda handler: lie(handler) or honest(handler)

    names = {f"do_{name}": instead(f"do_{name}", lie) for name, lie in methods.items()}
    server.RequestHandlerClass = type("Lying", (Forgetful,), names)


def refusal(promotion, **more):
    with pytest.raises(BackendError) as caught:
        promote(promotion, quiet, **more)
    assert caught.value.message.endswith(".") and caught.value.hint.endswith(".")
    return caught.value.code


@pytest.mark.parametrize("method, end", [("PUT", "index.json"), ("GET", ".vrm"), ("HEAD", ".vrm")])
def test_a_key_that_lacks_a_permission_leaves_no_model(forgetful, promotion, method, end):
    def refuse(handler):
        if handler.command != method or not handler.key().endswith(end):
            return False
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        handler.fault(403, "AccessDenied")
        return True

    lying(forgetful, **{method: refuse})
    assert refusal(promotion) == "no_permission"
    assert not models(forgetful) and not list(promotion.state.glob("*.json"))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"format": 1, "models": {}}',
        '{"format": 1, "models": [{"key": 1}]}',
        '{"format": 1, "models": 3}',
    ],
)
def test_an_index_of_another_shape_is_found_before_the_upload(forgetful, promotion, text):
    forgetful.objects["index.json"] = (text.encode(), {}, '"first"')
    assert refusal(promotion) == "bad_index" and not models(forgetful)


@pytest.mark.parametrize("version", [-7, 10**9, int("9" * 4000), True, 0])
def test_a_version_that_no_file_has_does_not_count(forgetful, promotion, version):
    body = json.dumps({"format": 1, "models": [{"key": "x.vrm", "name": "companion", "version": version}]})
    forgetful.objects["index.json"] = (body.encode(), {}, '"first"')
    assert promote(promotion, quiet)["file"] == "companion-v1.vrm"


def test_after_the_last_version_there_is_none(forgetful, promotion):
    forgetful.objects["companion-v999999999.vrm"] = (b"", {}, '"x"')
    assert refusal(promotion) == "bad_name" and models(forgetful) == ["companion-v999999999.vrm"]


def hide_index(server, also_from_listings=False):
    """It is there, but a request for it says that it is not."""

    def hide(handler):
        if handler.key() == "index.json":
            handler.fault(404, "NoSuchKey")
        elif also_from_listings and not handler.key() and "prefix=index.json" in handler.path:
            handler.answer(200, PAGE.format("false", "", "").encode())
        else:
            return False
        return True

    lying(server, GET=hide)


def test_an_index_that_is_listed_but_not_shown_is_not_begun_anew(forgetful, promotion, monkeypatch):
    monkeypatch.setattr(index, "LOOK_WAIT", 0.0)
    promote(replace(promotion, name="other"), quiet)
    before = forgetful.objects["index.json"]
    hide_index(forgetful)
    assert refusal(promotion) == "index_hidden"
    assert models(forgetful) == ["other-v1.vrm"] and forgetful.objects["index.json"] == before


@pytest.mark.parametrize("hidden", [True, False])
def test_an_index_that_cannot_be_changed_leaves_one_model_to_resume(forgetful, promotion, monkeypatch, hidden):
    monkeypatch.setattr(index, "STUCK", 0.1)
    promote(replace(promotion, name="other"), quiet)
    if hidden:
        hide_index(forgetful, also_from_listings=True)
    else:

        def refuse(handler):
            if handler.key() != "index.json":
                return False
            handler.rfile.read(int(handler.headers["Content-Length"]))
            handler.fault(412, "PreconditionFailed")
            return True

        lying(forgetful, PUT=refuse)
    assert refusal(promotion) == ("index_hidden" if hidden else "index_refused")
    assert models(forgetful) == ["other-v1.vrm", "companion-v1.vrm"]
    forgetful.RequestHandlerClass = Forgetful
    assert promote(promotion, quiet)["resumed"] and len(models(forgetful)) == 2
    assert len(index.read(Store(promotion.target))["models"]) == 2


PAGE = (
    "<ListBucketResult><IsTruncated>{}</IsTruncated><NextContinuationToken>{}</NextContinuationToken>{}"
    "</ListBucketResult>"
)


@pytest.mark.parametrize(
    "rows", ["<Contents><Size>1</Size></Contents>", "<Contents><Key>companion-v3.vrm</Key></Contents>"]
)
def test_a_listing_without_keys_or_times_is_no_listing(forgetful, promotion, rows):
    def answer(handler):
        return not handler.key() and (handler.answer(200, PAGE.format("false", "", rows).encode()) or True)

    lying(forgetful, GET=answer)
    assert refusal(promotion) == "refused" and not models(forgetful)


def test_a_listing_without_an_end_is_not_read_to_it(forgetful, promotion, monkeypatch):
    monkeypatch.setattr(store_module, "MOST_PAGES", 5)
    asked = []

    def answer(handler):
        if handler.key() or "prefix=" not in handler.path or promotion.name not in handler.path:
            return False
        asked.append(handler.path)
        handler.answer(200, PAGE.format("true", len(asked), "").encode())
        return True

    lying(forgetful, GET=answer)
    assert refusal(promotion) == "refused" and len(asked) == 6


def test_an_object_without_an_end_is_not_read_to_it(forgetful, promotion):
    """What is longer than it was sent is another object."""
    sent = []

    def answer(handler):
        found = forgetful.objects.get(handler.key())
        if handler.command == "HEAD" or not found or not handler.key().endswith(".vrm"):
            return False
        handler.send_response(200)
        for name, value in {"ETag": found[2], "Content-Length": str(1 << 40), **found[1]}.items():
            handler.send_header(name, value)
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(512):
                handler.wfile.write(b" " * (1 << 20))
                sent.append(1)
        handler.close_connection = True
        return True

    lying(forgetful, GET=answer)
    assert refusal(promotion) == "damaged" and not models(forgetful) and len(sent) < 64


def test_messages_name_the_host_only():
    """What an address has behind its host may be a secret."""
    target = Target("avatars", "https://storage.example:9000/s/SECRET-path")
    for problem in (explain_answer("NoSuchBucket", 404, target), explain_way(ConnectionError(), target)):
        assert "SECRET" not in problem.message + problem.hint
        assert "https://storage.example:9000" in problem.message


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


@pytest.mark.parametrize("to", ["", "https://elsewhere.example/avatars"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_redirect_that_names_no_region_has_its_sentence(forgetful, promotion, method, to):
    def redirect(handler):
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        handler.answer(301, **({"Location": to} if to else {}))
        return True

    lying(forgetful, **dict.fromkeys({method, "HEAD"}, redirect))
    assert refusal(promotion) == "redirected" and not models(forgetful)
