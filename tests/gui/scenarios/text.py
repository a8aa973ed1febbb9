# SPDX-License-Identifier: GPL-3.0-or-later
"""A description instead of a picture: without a server, with one that does not answer, and with one that does."""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bpy
from window import (
    MODULE,
    PICTURE,
    SHARED,
    finish,
    fresh,
    in_japanese,
    press,
    rest,
    settings,
    sidebar,
    state,
    tooltip,
    until_idle,
)

GOOD, BAD = Path(PICTURE), SHARED / "files/letter.png"


class PictureServer(BaseHTTPRequestHandler):
    """Answers /v1/images/generations with the sample; the last picture of a request is none."""

    def do_POST(self):
        count = json.loads(self.rfile.read(int(self.headers["Content-Length"]))).get("n", 1)
        time.sleep(1.0)
        files = [GOOD] * max(count - 1, 1) + [BAD] * (count > 1)
        data = [{"b64_json": base64.b64encode(file.read_bytes()).decode()} for file in files]
        body = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def drive(g):
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.image_url = ""
    yield from fresh(g)
    yield g.shot("off")
    preferences.image_url = "http://127.0.0.1:9"
    yield from fresh(g)
    yield from tooltip(g, "avatar_forge.pictures_from_text", "no-description", across=0.83)
    settings().text = "A young knight with red hair and a blue cloak"
    yield from sidebar(g)
    yield from press(g, "avatar_forge.pictures_from_text", across=0.83)
    yield from until_idle(g, 60)
    yield from rest(g)
    yield g.shot("no-answer")
    if "cannot be reached (connection refused)" not in state().error:
        g.fail(f"a server that does not answer: {state().error!r}")
    yield from in_japanese(g, "no-answer-japanese")

    server = ThreadingHTTPServer(("127.0.0.1", 0), PictureServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    preferences.image_url = f"http://127.0.0.1:{server.server_port}"
    yield from press(g, "avatar_forge.pictures_from_text", across=0.83)
    yield 0.4
    yield g.shot("asking")
    yield from finish(g, 120)
    yield from rest(g)
    yield 0.5
    yield g.shot("pictures")
    yield from in_japanese(g, "pictures-japanese")
    first = settings().picture
    made = json.loads(settings().text_pictures)["pictures"]
    if [entry["usable"] for entry in made].count(True) < 2 or first != made[0]["path"]:
        g.fail(f"the pictures are {made}, chosen is {first}")
    yield from press(g, "avatar_forge.choose_text_picture", across=0.35)
    yield from rest(g)
    yield g.shot("chosen")
    if settings().picture == first:
        g.fail("no other picture was chosen")
    server.shutdown()
    preferences.image_url = ""

    bpy.ops.preferences.addon_show(module=MODULE)
    preferences.show_text = True
    preferences.show_backend = False
    yield 1.5
    yield g.shot("preferences")
