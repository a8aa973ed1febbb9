# SPDX-License-Identifier: GPL-3.0-or-later
"""Large avatars for the browser: a server on this machine's own loopback address that has nothing but the pages it was
given, each below an address that nobody can guess.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOST = "127.0.0.1"
FILE = "avatar.vrm"  # the avatar's address, from its page's
SECONDS = 30.0  # without a byte from a client before it is hung up on

_lock = threading.Lock()
_server: _Server | None = None


def serve(page: str, vrm: Path) -> str:
    """The address of the page, whose source is FILE. The file is read when it is asked for. Raises OSError."""
    global _server
    with _lock:
        if _server is None:
            _server = _Server((HOST, 0), _Handler)
            threading.Thread(target=_server.serve_forever, daemon=True).start()
        token = secrets.token_urlsafe(16)
        _server.pages[token] = (page.encode("utf-8", "replace"), vrm)
        return f"http://{_server.address}/{token}/"


def stop() -> None:
    """Ends the server, if there is one."""
    global _server
    with _lock:
        if _server:
            _server.shutdown()
            _server.server_close()
        _server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *given) -> None:
        super().__init__(*given)
        self.pages: dict[str, tuple[bytes, Path]] = {}

    @property
    def address(self) -> str:
        return f"{HOST}:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A browser that hangs up is no error, and Blender's console no log."""


class _Handler(BaseHTTPRequestHandler):
    timeout = SECONDS
    server: _Server

    def do_GET(self) -> None:
        """The page or its avatar. A name that another site has pointed at this machine is refused."""
        _, token, name = (self.path.split("?")[0].split("/", 2) + ["", ""])[:3]
        found = self.server.pages.get(token)
        if self.headers.get("Host") != self.server.address or found is None or name not in ("", FILE):
            self.send_error(404)
            return
        page, vrm = found
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(vrm.open("rb")) if name else None
            except OSError:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "model/gltf-binary" if name else "text/html; charset=utf-8")
            self.send_header("Content-Length", str(vrm.stat().st_size if name else len(page)))
            for header, value in (
                ("Cache-Control", "no-store"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Referrer-Policy", "no-referrer"),
                ("X-Content-Type-Options", "nosniff"),
            ):
                self.send_header(header, value)
            self.end_headers()
            if file:
                shutil.copyfileobj(file, self.wfile)
            else:
                self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Nothing: Blender's console is no access log."""
