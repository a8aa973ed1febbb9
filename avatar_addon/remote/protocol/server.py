# SPDX-License-Identifier: GPL-3.0-or-later
"""The listener on 127.0.0.1: one thread that reads all clients; requests wait here until the main thread takes them.
No bpy.

Each client's requests run in order and one at a time; clients take turns. Every queue is bounded: a client with many
requests waiting, or with a reply it has not read, is simply not read from, and TCP makes it wait.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...errors import AvatarError
from . import framing, registry

HOST = "127.0.0.1"
MOST_CLIENTS = 64
MOST_WAITING = 16  # requests of one client; further ones stay in its socket
MOST_BUFFERED = 96 << 20  # bytes of unfinished messages, all clients together
CHUNK = 1 << 16  # bytes read from one client before the next one's turn
MESSAGE_SECONDS = 60.0  # from a message's first byte to its last, and for a reply to be read
PATIENCE = 40.0  # seconds after which a request that could not begin is answered with an error; hosts give up after 60
GIVEN_UP = 1.0  # a client that closes this long after its request no longer waits for the answer
ACCEPTED = (100.0, 200.0)  # connections a second, and at once
ASKED = (2000.0, 2000.0)  # requests a second of one client, and at once
ABANDONED = 10.0  # seconds that a command whose client has gone may still run
CLOSING_SECONDS = 2.0  # for a refusal to be read
HTTP_REFUSAL = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
)
_NO_SIGNAL = getattr(
    socket, "MSG_NOSIGNAL", 0
)  # Blender leaves SIGPIPE at its default: a client that has gone would end it
_SO_NOSIGPIPE = 0x1022  # of macOS, which has no MSG_NOSIGNAL


class Rate:
    """A token bucket: so many a second in the long run, so many at once."""

    def __init__(self, per_second: float, at_once: float) -> None:
        self._per_second, self._most = per_second, at_once
        self._tokens, self._since = at_once, time.monotonic()

    def take(self, count: int = 1) -> None:
        """May go below zero; then `wait` says for how long."""
        self._refill()
        self._tokens -= count

    def wait(self) -> float:
        """Seconds until something may be taken."""
        self._refill()
        return max(0.0, -self._tokens / self._per_second)

    def _refill(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._most, self._tokens + (now - self._since) * self._per_second)
        self._since = now


@dataclass(eq=False)
class ClientRequest:
    client: Client
    message: dict[str, Any]
    since: float

    @property
    def name(self) -> str:
        name = self.message.get("type")
        return name if isinstance(name, str) else ""

    @property
    def gone(self) -> bool:
        """Nobody waits for the answer."""
        return self.client.closed


@dataclass(eq=False)
class Client:
    sock: socket.socket
    number: int
    decoder: framing.Decoder
    since: float  # time.time() of the connection, for people
    last: str = ""  # the command it sent last
    asked: int = 0
    closed: bool = False
    queued: bool = False  # among those whose turn comes
    waiting: deque[ClientRequest] = field(default_factory=deque)
    running: ClientRequest | None = None
    outbox: bytearray = field(default_factory=bytearray)
    ended: bool = False  # it sends nothing more
    closing: bool = False  # nothing more is read; closed once the outbox is empty
    deadline: float = 0.0  # monotonic; for the message that is coming, or the reply that is not read
    paused_until: float = 0.0
    rate: Rate = field(default_factory=lambda: Rate(*ASKED))
    events: int = 0


class Server:
    """`start`, then `take` requests and `reply` to each, from one thread.

    longest: command name -> most bytes of its requests. interrupt: called, on the server's thread, while a command
    runs for which nobody waits any more.
    """

    def __init__(
        self,
        port: int,
        longest: Callable[[str], int] = registry.longest_request,
        token: str = "",
        interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        self.port = port
        self.refused = ""  # the last peer that was turned away, as a sentence
        self.changes = 0  # grows with whatever a panel shows
        self._longest = longest
        self._token = token
        self._interrupt = interrupt
        self._clients: list[Client] = []
        self._ready: deque[Client] = deque()  # with a request that may run
        self._dead: list[Client] = []  # for the thread to close
        self._change = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._accepted = Rate(*ACCEPTED)
        self._number = 0
        self._current: tuple[ClientRequest, float] | None = None  # what the main thread does, and since when

    def start(self) -> None:
        """Raises AvatarError where the port cannot be had. Port 0 is any free one."""
        self._listener = _listen(self.port)
        self.port = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = socket.socketpair()
        for sock in (self._wake_out, self._wake_in):
            sock.setblocking(False)
        self._selector.register(self._wake_out, selectors.EVENT_READ, None)
        self._selector.register(self._listener, selectors.EVENT_READ, self._listener)
        self._thread = threading.Thread(target=self._run, name="avatar-forge-remote", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Closes every connection; what waits is dropped. May be called twice, and from a command."""
        with self._change:
            self._stopping = True
            self._change.notify_all()
        if self._thread:
            self._wake()
            self._thread.join(5)
            self._thread = None

    @property
    def clients(self) -> list[Client]:
        """Those connected now, oldest first. Read only."""
        with self._change:
            return list(self._clients)

    def take(self, timeout: float = 0.0) -> ClientRequest | None:
        """The next request, or None when none comes in `timeout` seconds. Each must be answered with `reply`."""
        if timeout <= 0.0 and not self._ready:  # the usual case, without the lock
            return None
        deadline = time.monotonic() + timeout
        with self._change:
            while True:
                while self._ready:
                    client = self._ready.popleft()
                    client.queued = False
                    if client.waiting and client.running is None:
                        request = client.running = client.waiting.popleft()
                        self._current = request, time.monotonic()
                        return request
                left = deadline - time.monotonic()
                if left <= 0 or self._stopping:
                    return None
                self._change.wait(left)

    def rest(self) -> None:
        """The main thread is done with what it took last; a reply may still come later."""
        self._current = None

    def reply(self, request: ClientRequest, payload: bytes) -> None:
        client = request.client
        with self._change:
            if client.running is not request or client.closed:
                return
            client.running = None
            self._send(client, payload)
            self._settle(client)
            more = client.closed or client.events != self._wanted(client)
        if more:
            self._wake()

    # -- the thread
    # ----------------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                for key, mask in self._selector.select(self._pause()):
                    if key.data is None:
                        with contextlib.suppress(OSError):
                            self._wake_out.recv(4096)
                    elif key.data is self._listener:
                        self._accept()
                    else:
                        self._serve(key.data, mask)
                with self._change:
                    self._look_at_clocks()
                    for client in self._clients:
                        self._watch(client)
                    self._bury()
                    self._watch_listener()
        finally:
            with self._change:
                for client in list(self._clients):
                    self._close(client)
                self._bury()
            for sock in (self._listener, self._wake_in, self._wake_out):
                sock.close()
            self._selector.close()

    def _pause(self) -> float:
        """Seconds until something may have to be done without anything having come."""
        now = time.monotonic()
        with self._change:
            soon = [client.paused_until - now for client in self._clients if client.paused_until > now]
        return min([0.5, *soon])

    def _accept(self) -> None:
        try:
            sock, _address = self._listener.accept()
        except OSError:  # it has gone again, or there is no descriptor left
            return
        self._accepted.take()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "darwin":
            sock.setsockopt(socket.SOL_SOCKET, _SO_NOSIGPIPE, 1)
        with self._change:
            self._number += 1
            client = Client(sock, self._number, framing.Decoder(self._longest), time.time())
            self._clients.append(client)
            self.changes += 1
            if len(self._clients) > MOST_CLIENTS:
                silent = next((other for other in self._clients[:-1] if not other.asked), None)
                if silent:
                    self._close(silent)
                else:
                    self._turn_away(client, f"{MOST_CLIENTS} clients are connected already; close one of them.")

    def _serve(self, client: Client, mask: int) -> None:
        if client.closed:
            return
        if mask & selectors.EVENT_WRITE:
            with self._change:
                self._send(client, b"")
                self._settle(client)
        if not mask & selectors.EVENT_READ or client.closed:
            return
        try:
            data = client.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:  # it was reset: nobody waits
            with self._change:
                self._close(client)
            return
        if not data:
            with self._change:
                self._has_ended(client)
            return
        if client.closing:
            return  # read, so that its refusal arrives before the connection's end
        try:
            messages = client.decoder.feed(data)
        except framing.Malformed as problem:
            with self._change:
                self._turn_away(client, str(problem), problem.kind)
            return
        with self._change:
            self._receive(client, messages)

    def _receive(self, client: Client, messages: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        if not client.decoder.pending:
            client.deadline = 0.0
        elif messages or not client.deadline:
            client.deadline = now + MESSAGE_SECONDS
        unfinished = [other for other in self._clients if other.decoder.pending and not other.closing]
        if sum(other.decoder.pending for other in unfinished) > MOST_BUFFERED:
            longest = max(unfinished, key=lambda other: other.decoder.pending)
            self._turn_away(longest, "Too many long messages arrived at once; send this one again later.")
            if longest is client:
                return
        if self._token and not all(_has_token(message, self._token) for message in messages):
            self._turn_away(
                client,
                "This Blender requires a token, but the request has a wrong one or none; see the panel MCP Server.",
            )
            return
        client.waiting.extend(ClientRequest(client, message, now) for message in messages)
        if messages:
            client.asked += len(messages)
            client.last = client.waiting[-1].name[:64]
            self.changes += 1
            client.rate.take(len(messages))
            client.paused_until = now + wait if (wait := client.rate.wait()) else 0.0
            self._settle(client)

    def _has_ended(self, client: Client) -> None:
        """It closed its sending side. What it asked just before is still answered: that is how one-shot clients do it
        (`nc -N`).
        """
        client.ended = True
        newest = client.waiting[-1] if client.waiting else client.running
        if newest is None and client.outbox and not client.closing:
            return
        if newest is None or time.monotonic() - newest.since > GIVEN_UP:
            self._close(client)

    def _turn_away(self, client: Client, sentence: str, kind: str = "") -> None:
        """One sentence in the peer's own language, then the end; what it had asked before is dropped."""
        self.refused = sentence
        client.decoder = framing.Decoder(self._longest)
        client.waiting.clear()
        client.running = None
        client.closing = True
        client.deadline = time.monotonic() + CLOSING_SECONDS
        if kind == "http":
            text = b"This is Avatar Forge's socket for MCP servers; it does not speak HTTP.\n"
            self._send(client, HTTP_REFUSAL % (len(text), text))
        elif kind != "tls":
            self._send(client, registry.encode(registry.failure(sentence)))
        if not client.closed and not client.outbox:
            with contextlib.suppress(OSError):
                client.sock.shutdown(socket.SHUT_WR)
        self.changes += 1

    # -- with the lock held
    # -----------------------------------------------------------------------------------------------------------

    def _settle(self, client: Client) -> None:
        """After anything has changed: is its next request ready, or is it done?"""
        if client.closed:
            return
        if client.outbox:
            client.deadline = client.deadline or time.monotonic() + MESSAGE_SECONDS
        elif client.running is None and client.waiting and not client.queued:
            client.queued = True
            self._ready.append(client)
            self._change.notify_all()
        elif client.ended and client.running is None and not client.waiting:
            self._close(client)

    def _send(self, client: Client, payload: bytes) -> None:
        client.outbox += payload
        try:
            while client.outbox:
                del client.outbox[: client.sock.send(client.outbox, _NO_SIGNAL)]
        except BlockingIOError:
            return
        except OSError:
            self._close(client)
            return
        if not client.decoder.pending and not client.closing:
            client.deadline = 0.0

    def _wanted(self, client: Client) -> int:
        events = selectors.EVENT_WRITE if client.outbox else 0
        busy = len(client.waiting) >= MOST_WAITING or client.outbox or client.paused_until > time.monotonic()
        if client.closing or not (client.ended or busy):
            events |= selectors.EVENT_READ
        return events

    def _watch(self, client: Client) -> None:
        wanted = self._wanted(client)
        if wanted == client.events:
            return
        if not wanted:
            self._selector.unregister(client.sock)
        elif client.events:
            self._selector.modify(client.sock, wanted, client)
        else:
            self._selector.register(client.sock, wanted, client)
        client.events = wanted

    def _watch_listener(self) -> None:
        try:
            self._selector.get_key(self._listener)
            listening = True
        except KeyError:
            listening = False
        room = self._accepted.wait() == 0.0
        if room and not listening:
            self._selector.register(self._listener, selectors.EVENT_READ, self._listener)
        elif listening and not room:
            self._selector.unregister(self._listener)

    def _look_at_clocks(self) -> None:
        now = time.monotonic()
        for client in list(self._clients):
            if client.deadline and now > client.deadline:
                self._close(client)
        if current := self._current:  # the main thread may end it meanwhile
            self._look_at_running(*current, now)

    def _look_at_running(self, running: ClientRequest, since: float, now: float) -> None:
        if running.gone and now - since > ABANDONED:
            self._interrupt()
        if now - since <= PATIENCE:
            return
        for client in self._clients:
            if client.running is None and client.waiting and now - client.waiting[0].since > PATIENCE:
                client.waiting.popleft()
                text = (
                    f"Blender has been busy with {running.name} for {now - since:.0f} s and could not begin this; ask"
                    " again later."
                )
                self._send(client, registry.encode(registry.failure(text)))

    def _close(self, client: Client) -> None:
        if client.closed:
            return
        client.closed = True
        client.waiting.clear()
        client.outbox.clear()
        self._clients.remove(client)
        self._dead.append(client)
        self.changes += 1

    def _bury(self) -> None:
        """On the thread alone: a selector does not like sockets that vanish while it waits."""
        for client in self._dead:
            if client.events:
                self._selector.unregister(client.sock)
            client.sock.close()
        self._dead.clear()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_in.send(b"\0")


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":  # there SO_REUSEADDR would let another program take the port over
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
        listener.setblocking(False)
    except (OSError, OverflowError) as problem:
        listener.close()
        if getattr(problem, "errno", None) == errno.EADDRINUSE:
            message = (
                f"Port {port} is already in use, probably by Blender's own MCP add-on, which uses the same port, or"
                " by another Blender; stop that one or use another port."
            )
            raise AvatarError(message, "port_taken") from None
        raise AvatarError(f"Port {port} cannot be used ({problem}); choose another one above 1023.", "port") from None
    return listener


def free_port(after: int) -> int:
    """The next port after this one that can be had; 0 where the next hundred are all taken."""
    for port in range(after + 1, min(after + 101, 65536)):
        with contextlib.suppress(AvatarError):
            _listen(port).close()
            return port
    return 0


def _has_token(message: dict[str, Any], token: str) -> bool:
    return hmac.compare_digest(
        str(message.get("token", "")).encode("utf-8", "replace"), token.encode("utf-8", "replace")
    )
