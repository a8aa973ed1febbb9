# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages in a stream of bytes: whatever the cuts, whatever the peer, nothing is found in what is no JSON."""

import json
import os
import random
from pathlib import Path

import pytest

from avatar_addon.client.process.environment import OVERRIDE, Environment
from avatar_addon.remote.protocol import paths
from avatar_addon.remote.protocol.framing import DEEPEST, Decoder, Malformed
from avatar_addon.remote.protocol.registry import Refusal

SMALL, LARGE = 4 << 20, 32 << 20


def decoder():
    return Decoder(lambda name: LARGE if name == "create_rodin_job" else SMALL)


def feed(data, step):
    reader, found = decoder(), []
    for start in range(0, len(data), step):
        found += reader.feed(data[start : start + step])
    return found, reader


MESSAGES = [
    {"type": "execute_code", "params": {"code": "print(\"}{][\\\", 'é' * 3)  # \\\\"}},
    {"type": "get_scene_info", "params": {}},
    {"type": "x", "params": {"list": [[1, -2.5e3], {"a": None, "b": [True, False]}], "text": "\u2028\U0001f600\x7f"}},
]


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("step", [1, 2, 7, 1 << 16])
def test_messages_come_out_as_they_went_in(step, ascii_only):
    data = b" \n".join(json.dumps(message, ensure_ascii=ascii_only).encode() for message in MESSAGES) + b"\n"
    found, reader = feed(data, step)
    assert found == MESSAGES and reader.pending == 0


BODY = b'{"type": "execute_code", "params": {"code": "1/0"}}'
PEERS = {
    "get": (b"GET / HTTP/1.1\r\nHost: localhost:9876\r\n\r\n" + BODY, "http"),
    "post": (b"POST / HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n" + BODY, "http"),
    "websocket": (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + BODY, "http"),
    "http2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + BODY, "http"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + BODY, "tls"),
    "words": (b"hello\n" + BODY, "json"),
    "binary": (bytes(range(128, 256)) + BODY, "json"),
    "length in front": (len(BODY).to_bytes(4, "big") + BODY, "json"),
    "a list": (b"[" + BODY + b"]", "json"),
    "no string where one is due": (b"{nonsense}" + BODY, "json"),
    "brackets crossed": (b'{"a": [}' + BODY, "json"),
    "NaN": (b'{"a": NaN}' + BODY, "json"),
    "bad UTF-8": (b'{"a": "\xff"}' + BODY, "json"),
    "a line break in a string": (b'{"a": "\n"}' + BODY, "json"),
    "a huge number": (b'{"a": ' + b"9" * 5000 + b"}" + BODY, "json"),
    "deep": (b'{"a":' * (DEEPEST + 1) + BODY, "depth"),
}


@pytest.mark.parametrize("step", [1, 1 << 16])
@pytest.mark.parametrize("name", PEERS)
def test_what_is_no_json_ends_the_connection(name, step):
    data, kind = PEERS[name]
    reader, found = decoder(), []
    with pytest.raises(Malformed) as refused:
        for start in range(0, len(data), step):
            found += reader.feed(data[start : start + step])
    assert refused.value.kind == kind and found == []


def test_only_the_command_with_pictures_may_be_long():
    long = "A" * (10 << 20)
    found, _ = feed(json.dumps({"type": "create_rodin_job", "params": {"images": [[".png", long]]}}).encode(), 1 << 16)
    assert found[0]["params"]["images"][0][1] == long
    for head in ('{"type": "execute_code", "params": {"code": "', '{"params": {"code": "'):
        with pytest.raises(Malformed) as refused:
            feed(head.encode() + long.encode(), 1 << 16)
        assert refused.value.kind == "size"
    with pytest.raises(Malformed):  # not even that one
        feed(b'{"type": "create_rodin_job", "params": {"images": "' + b"A" * (LARGE + 1), 1 << 16)


def test_parts_of_a_message_are_counted():
    with pytest.raises(Malformed) as refused:
        feed(b'{"a": [' + b"[]," * 300_000, 1 << 16)
    assert refused.value.kind == "size"


def test_random_damage_raises_nothing_else():
    dice = random.Random(7)
    whole = b"".join(json.dumps(message).encode() for message in MESSAGES)
    for _ in range(5000):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            found, _ = feed(bytes(data), dice.choice([1, 13, 400]))
        except Malformed:
            continue
        assert all(isinstance(message, dict) for message in found)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="Windows has no such folders")
def test_a_folder_that_is_closed_to_us_is_a_refusal(tmp_path, monkeypatch):
    """Path.is_dir and its like raise there."""
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)
    tmp_path.chmod(0o755)
    user = os.geteuid()
    try:
        if user == 0:  # who may enter every folder
            os.seteuid(65534)
        inside = closed / "inner" / "x.vrm"
        monkeypatch.setenv(OVERRIDE, str(inside))
        assert Environment(Path("/nowhere")).state().code == "broken"
        assert not paths.is_file(inside) and not paths.is_folder(closed / "inner")
        for path in (inside, closed / "x.vrm"):
            with pytest.raises(Refusal):
                paths.output_file(str(path), ".vrm", [tmp_path], name="x.vrm")
    finally:
        os.seteuid(user)
        closed.chmod(0o755)
