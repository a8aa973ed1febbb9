"""Pictures from a description, by a real HTTP server on this machine that speaks OpenAI's protocol."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@pytest.fixture
def server(picture):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            entry = {"b64_json": base64.b64encode(picture.read_bytes()).decode()}
            data = json.dumps({"data": [entry, {"b64_json": base64.b64encode(b"no picture").decode()}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def test_a_description_becomes_pictures_to_choose_from_and_the_receipt_says_so(bpy, addon, server):
    settings, chosen = bpy.context.scene.avatar_forge, addon("client.session").preferences()
    operator = bpy.ops.avatar_forge.pictures_from_text
    settings.text = "a girl with headphones"
    assert not operator.poll()  # no server
    chosen.image_url = server
    try:
        assert operator() == {"FINISHED"}
        made = addon("text_pictures").stored(settings)
        usable = [entry["usable"] for entry in made["pictures"]]
        assert usable[0] and settings.picture == made["pictures"][0]["path"] and Path(settings.picture).is_file()
        request = addon("request").Request.from_settings(bpy.context.scene)
        told = request.parameters()["text"]
        assert told["text"] == "a girl with headphones" and "A-pose" in told["prompt"] and told["seed"] == 0
        settings.text = " "
        assert not operator.poll()
        settings.picture = "/elsewhere.png"
        assert "text" not in addon("request").Request.from_settings(bpy.context.scene).parameters()
        chosen.image_url = "http://192.0.2.1:1"
        assert bpy.app.online_access or addon("text_pictures").problem().startswith("Blender is not allowed")
    finally:
        chosen.image_url = ""
