"""The viewer's page: built from the sources that lie beside it, and an avatar's own page."""

import base64
import gzip
import json
import re
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import build_viewer  # noqa: E402

from avatar_addon.viewer import server  # noqa: E402
from avatar_addon.viewer.page import TEMPLATE, write_page  # noqa: E402

ABOUT = re.compile(r'<script type="application/json" id="about">(.*?)</script>', re.DOTALL)
AVATAR = re.compile(r'<script type="text/plain" id="avatar">(.*?)</script>', re.DOTALL)


def test_the_committed_page_was_built_from_these_sources():
    assert build_viewer.problems() == []


def test_the_page_may_load_nothing_from_elsewhere():
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', TEMPLATE.read_text(encoding="utf-8"))[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy and "*" not in policy


def test_an_avatars_page_holds_the_file_and_survives_its_name(tmp_path):
    vrm, clip = tmp_path / "a.vrm", tmp_path / "wave.vrma"
    vrm.write_bytes(b"glTF" + bytes(range(256)) * 9)
    clip.write_bytes(b"glTF clip")
    name = "</script><script>alert(1)</script> & \ud83d\ude00 {{AVATAR}}".encode("utf-16", "surrogatepass").decode(
        "utf-16"
    )
    page = write_page(tmp_path / "a.html", vrm, name, {"checks": []}, {"Wave": clip}).read_text(encoding="utf-8")
    about = json.loads(ABOUT.search(page)[1])
    assert about["name"] == name and about["report"] == {"checks": []}
    assert gzip.decompress(base64.b64decode(AVATAR.search(page)[1])) == vrm.read_bytes()
    assert gzip.decompress(base64.b64decode(about["clips"][0]["data"])) == b"glTF clip"
    assert page.count("<script") == TEMPLATE.read_text(encoding="utf-8").count("<script")
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_the_server_gives_a_page_to_nobody_who_does_not_know_its_address(tmp_path):
    vrm = tmp_path / "a.vrm"
    vrm.write_bytes(b"glTF" * 1000)
    try:
        address = server.serve("<p>page", vrm)
        assert urlopen(address).read() == b"<p>page" and urlopen(address + server.FILE).read() == vrm.read_bytes()
        place = urlsplit(address)
        for path, host in (("/", place.netloc), (place.path + "../x", place.netloc), (place.path, "evil.example")):
            with pytest.raises(HTTPError, match="404"):
                urlopen(Request(f"http://{place.netloc}{path}", headers={"Host": host}))
    finally:
        server.stop()
