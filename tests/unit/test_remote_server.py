# SPDX-License-Identifier: GPL-3.0-or-later
"""The listener with a small table of commands in place of Blender's: peers that break the rules, and those who keep
them meanwhile.
"""

import json
import random
import resource
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from avatar_addon.errors import AvatarError
from avatar_addon.remote.protocol import registry, server
from avatar_addon.remote.protocol.server import Server, free_port

SECOND = 1.0  # no peer may hold another one up for longer


class Table:
    """Answers on a thread of its own, as Blender's main thread does. `seen`: the names of what was run."""

    def __init__(self, listening):
        self.server, self.seen, self.slow, self._end = listening, [], 0.0, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._end:
            request = self.server.take(0.05)
            if request:
                self.seen.append(request.name)
                self.server.reply(request, registry.encode(self._answer(request)))
                self.server.rest()

    def _answer(self, request):
        if request.name == "sleep":
            time.sleep(self.slow)
        if request.name == "large":
            return registry.success("x" * 900_000)
        return registry.success(request.message)

    def stop(self):
        self._end = True
        self._thread.join()


@pytest.fixture
def running():
    listening = Server(0, longest=lambda name: 32 << 20 if name == "create_rodin_job" else 4 << 20)
    listening.start()
    table = Table(listening)
    yield table
    table.stop()
    listening.stop()


class Peer:
    def __init__(self, port, send=b""):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        if send:
            self.sock.sendall(send)

    def ask(self, name, /, **params):
        self.sock.sendall(json.dumps({"type": name, "params": params}).encode())
        return self.reply()

    def reply(self):
        """The next object, or None at the end of the connection."""
        received = b""
        while True:
            try:
                chunk = self.sock.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not chunk:
                assert not received, received[:100]
                return None
            received += chunk
            try:
                return json.loads(received)
            except ValueError:
                continue

    def rest(self):
        """Everything until the end of the connection."""
        received = b""
        while chunk := self.sock.recv(1 << 16):
            received += chunk
        return received


@contextmanager
def others_are_served(table):
    """A well-behaved client asks all the time; its slowest answer must not take a second."""
    peer, slowest, end = Peer(table.server.port), [0.0], threading.Event()

    def ask():
        while not end.is_set():
            began = time.monotonic()
            assert peer.ask("ping")["status"] == "success"
            slowest[0] = max(slowest[0], time.monotonic() - began)
            time.sleep(0.005)

    asking = threading.Thread(target=ask)
    asking.start()
    yield
    assert asking.is_alive()  # it was answered well every time
    end.set()
    asking.join()
    assert 0.0 < slowest[0] < SECOND


BODY = b'{"type": "execute_code", "params": {"code": "x"}}'
HOSTILE = {
    "garbage": b"\x00\x01\x02garbage" + BODY,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + BODY,
    "get": b"GET / HTTP/1.1\r\nHost: localhost:9876\r\n\r\n" + BODY,
    "post": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 49\r\n\r\n" + BODY,
    "websocket": b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n" + BODY,
    "invalid": b'{"type": execute_code}' + BODY,
    "deep": b'{"type": "execute_code", "params": ' + b'{"a": ' * 5000,
    "10 MB": b'{"type": "execute_code", "params": {"code": "' + b"x" * (10 << 20) + b'"}}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_peers_are_turned_away_and_nothing_is_run(running, name):
    with others_are_served(running):
        peer = Peer(running.server.port)
        try:
            peer.sock.sendall(HOSTILE[name])
            said = peer.rest()
        except (ConnectionResetError, BrokenPipeError):
            said = b""
    assert "execute_code" not in running.seen
    if name in {"get", "post", "websocket"}:
        assert said.startswith(b"HTTP/1.1 403 ") and b"Access-Control" not in said
    elif name == "tls":
        assert said == b""
    elif said:  # the refusal may be lost where the peer goes on sending
        assert json.loads(said)["status"] == "error"
    assert running.server.refused


def test_one_byte_at_a_time_and_two_commands_in_one_packet(running):
    peer = Peer(running.server.port)
    for byte in json.dumps({"type": "slowly", "params": {"text": "é}{"}}).encode():
        peer.sock.sendall(bytes([byte]))
        time.sleep(0.0005)
    assert peer.reply()["result"]["params"] == {"text": "é}{"}
    peer.sock.sendall(b'{"type": "first"}{"type": "second"}')
    received = b""
    while received.count(b"success") < 2:
        received += peer.sock.recv(4096)
    assert received.index(b"first") < received.index(b"second") and running.seen[-2:] == ["first", "second"]


def test_fifty_clients_take_turns(running):
    peers = [Peer(running.server.port) for _ in range(50)]
    greedy = Peer(running.server.port, b'{"type": "greedy"}' * 2000)
    began = time.monotonic()
    for peer in peers:
        assert peer.ask("ping")["status"] == "success"
    assert time.monotonic() - began < 50 * SECOND
    assert running.seen.count("greedy") >= 1 and len(running.server.clients) == 51
    greedy.sock.close()


def test_a_silent_client_makes_room_for_the_65th(running):
    peers = [Peer(running.server.port) for _ in range(server.MOST_CLIENTS)]
    assert all(peer.ask("ping") for peer in peers[1:])  # the first one says nothing
    newest = Peer(running.server.port)
    assert newest.ask("ping")["status"] == "success" and peers[0].reply() is None
    late = Peer(running.server.port)
    assert "64 clients" in late.reply()["message"] and late.reply() is None


def test_a_peer_that_does_not_read_waits_alone(running):
    with others_are_served(running):
        peer = Peer(running.server.port, b'{"type": "large"}' * 200)
        time.sleep(0.3)
        assert running.seen.count("large") < 20  # the rest stays in its socket, not here
        assert max(len(client.outbox) for client in running.server.clients) < 1_000_000
    peer.sock.close()


def test_unfinished_messages_are_bounded_together(running, monkeypatch):
    monkeypatch.setattr(server, "MOST_BUFFERED", 8 << 20)
    half = b'{"type": "create_rodin_job", "params": {"images": "' + b"A" * (3 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with others_are_served(running):
        peers = [Peer(running.server.port) for _ in range(12)]
        for peer in peers:
            with suppress(ConnectionResetError, BrokenPipeError):
                peer.sock.sendall(half)
        time.sleep(0.2)
        assert sum(client.decoder.pending for client in running.server.clients if not client.closing) <= 9 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_a_peer_that_stalls_in_a_message_is_dropped(running, monkeypatch):
    monkeypatch.setattr(server, "MESSAGE_SECONDS", 0.2)
    stalled, idle = Peer(running.server.port, b'{"type": "half'), Peer(running.server.port)
    assert stalled.reply() is None
    assert idle.ask("ping")["status"] == "success"  # between messages one may be silent for hours


def test_a_half_closed_client_gets_its_answer_and_one_that_has_given_up_is_not_run(running):
    once = Peer(running.server.port, b'{"type": "once"}')
    once.sock.shutdown(socket.SHUT_WR)
    assert once.reply()["status"] == "success" and once.reply() is None
    running.slow = 1.6
    busy = Peer(running.server.port, b'{"type": "sleep"}')
    time.sleep(0.1)
    patient = Peer(running.server.port, b'{"type": "abandoned"}')
    gone = Peer(running.server.port, b'{"type": "reset"}')
    gone.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.1)
    gone.sock.close()
    time.sleep(1.1)
    patient.sock.close()
    assert busy.reply()["status"] == "success"
    assert Peer(running.server.port).ask("ping")["status"] == "success"
    assert "abandoned" not in running.seen and "reset" not in running.seen


def test_a_command_that_never_ends_leaves_others_an_answer(running, monkeypatch):
    monkeypatch.setattr(server, "PATIENCE", 0.3)
    running.slow = 2.0
    endless = Peer(running.server.port, b'{"type": "sleep"}')
    time.sleep(0.1)
    said = Peer(running.server.port).ask("ping")
    assert said["status"] == "error" and "busy with sleep" in said["message"]
    assert endless.reply()["status"] == "success"


def test_code_whose_client_has_gone_is_interrupted(monkeypatch):
    monkeypatch.setattr(server, "ABANDONED", 0.2)
    monkeypatch.setattr(server, "GIVEN_UP", 0.1)
    interrupted = threading.Event()
    listening = Server(0, interrupt=interrupted.set)
    listening.start()
    peer = Peer(listening.port, b'{"type": "endless"}')
    assert listening.take(2.0).name == "endless"
    time.sleep(0.3)
    assert not interrupted.is_set()  # it still waits
    peer.sock.close()
    assert interrupted.wait(2.0)
    listening.stop()


def test_the_port_is_this_computers_alone_and_a_taken_one_is_said(running):
    host, port = running.server._listener.getsockname()
    assert host == "127.0.0.1"
    with pytest.raises(AvatarError) as refused:
        Server(port).start()
    assert f"Port {port} is already in use" in str(refused.value) and "Blender's own MCP add-on" in str(refused.value)
    assert port < free_port(port) <= port + 100
    with pytest.raises(AvatarError):
        Server(1_000_000).start()


def test_stopped_while_connected_and_started_again(running):
    peer, port = Peer(running.server.port), running.server.port
    assert peer.ask("ping")
    running.slow = 0.3
    peer.sock.sendall(b'{"type": "sleep"}')
    time.sleep(0.1)
    running.server.stop()
    running.server.stop()
    assert peer.reply() is None
    again = Server(port)
    again.start()
    table = Table(again)
    assert Peer(port).ask("ping")["status"] == "success"
    table.stop()
    again.stop()


def test_with_a_token_only_those_who_know_it_are_answered():
    listening = Server(0, token="secret")
    listening.start()
    table = Table(listening)
    stranger = Peer(listening.port)
    assert "token" in stranger.ask("ping")["message"] and stranger.reply() is None
    friend = Peer(listening.port, json.dumps({"type": "ping", "params": {}, "token": "secret"}).encode())
    assert friend.reply()["status"] == "success"
    assert table.seen == ["ping"]
    table.stop()
    listening.stop()


def test_twenty_thousand_damaged_messages_leave_it_answering(running, monkeypatch):
    """Damaged, cut and glued at random, over some hundred connections; every well-formed ping is answered in
    between.
    """
    monkeypatch.setattr(server, "ACCEPTED", (1e6, 1e6))
    running.server._accepted = server.Rate(1e6, 1e6)
    dice = random.Random(20)
    seeds = [
        BODY,
        b'{"type": "ping", "params": {}}',
        b'{"type": null, "params": [1, {"a": "\\u0000"}]}',
        b'{"x": 1e5}',
        b"{}",
    ]
    sent = 0
    with others_are_served(running):
        while sent < 20_000:
            peer = Peer(running.server.port)
            peer.sock.settimeout(0.0)
            count = dice.randint(1, 120)
            data = b"".join(_damaged(dice, seeds) if k == count - 1 else dice.choice(seeds) for k in range(count))
            sent += count
            for start in range(0, len(data), size := dice.choice([7, 300, 1 << 16])):
                try:
                    peer.sock.send(data[start : start + size])
                    peer.sock.recv(1 << 16)
                except (BlockingIOError, ConnectionError):
                    pass
            if dice.random() < 0.3:
                peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.sock.close()
    assert Peer(running.server.port).ask("ping")["status"] == "success"
    deadline = time.monotonic() + 5
    while len(running.server.clients) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(running.server.clients) <= 1


def _damaged(dice, seeds):
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.randint(1, 3)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data[: dice.randint(1, len(data))])
