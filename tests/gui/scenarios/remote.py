# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket in the window: started with its button, asked as a server's client would, code shown, refused and run,
stopped.
"""

import importlib
import json
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import bpy
from window import MODULE, open_panel, press, rest, sidebar

PORT = 9876
# As mcp-for-blender's `look` does it.
LOOK = """
image = bpy.data.images.new("look", 8, 8)
bpy.data.images.remove(image)
print(f"__MCP_RESULT__{len(bpy.data.objects)}")
"""
SECOND_PORT = 9877


class Client:
    """Asks from a thread, so that the window lives meanwhile; `reply` is there when it has come."""

    def __init__(self, port=PORT):
        self._sock = socket.create_connection(("127.0.0.1", port))
        self.reply = None

    def ask(self, name, /, **params):
        self.reply = None
        threading.Thread(target=self._ask, args=(name, params), daemon=True).start()
        return self

    def _ask(self, name, params):
        received = b""
        try:
            self._sock.sendall(json.dumps({"type": name, "params": params}).encode())
            while chunk := self._sock.recv(8192):
                received += chunk
                try:
                    self.reply = json.loads(received)
                    return
                except ValueError:
                    continue
        except OSError:
            pass
        self.reply = {"status": "closed"}

    def answered(self):
        return self.reply is not None


def expect(g, client, status, having=""):
    """The reply that has come."""
    yield client.answered
    if client.reply["status"] != status or having not in json.dumps(client.reply):
        g.fail(f"expected {status} {having!r}, got {str(client.reply)[:300]}")
    return client.reply


def pump():
    return importlib.import_module(f"{MODULE}.avatar_addon.remote.pump").current()


def settings():
    return bpy.context.preferences.addons[MODULE].preferences.remote


def drive(g):
    yield from sidebar(g)
    yield from open_panel(g, "avatar_forge.start_remote")
    yield from rest(g)
    yield g.shot("off")
    yield from press(g, "avatar_forge.start_remote")
    yield lambda: pump() is not None
    client, other = Client(), Client()
    yield from expect(g, client.ask("get_scene_info"), "success", "Cube")
    picture = Path(tempfile.gettempdir(), "viewport.png")  # BlenderMCP's servers ask for their own there
    reply = yield from expect(
        g, client.ask("get_viewport_screenshot", max_size=600, filepath=str(picture), format="png"), "success"
    )
    shutil.copy(picture, g.out)
    g.log(f"screenshot {reply['result']['width']} x {reply['result']['height']}, {picture.stat().st_size} bytes")
    view = reply["result"]["view"]
    picked = yield from expect(g, client.ask("pick_viewport_object", x=0.5, y=0.5, **view), "success")
    g.log(f"in its middle: {picked['result']}")

    yield from ask_and_refuse(g, client, other)
    yield from ask_and_run(g, client)

    settings().code = "on"
    yield from expect(
        g, client.ask("execute_code", code="bpy.ops.mesh.primitive_cone_add(location=(3, 0, 0))"), "success"
    )
    yield lambda: "Cone" in bpy.data.objects
    yield from expect(g, client.ask("execute_code", code="print(len(bpy.data.objects))"), "success", "4")
    yield from expect(g, client.ask("execute_code", code=LOOK), "success", "__MCP_RESULT__4")
    g.move(500, 400)
    g.key("ctrl+z")  # one step: the mere looks have left none
    yield lambda: "Cone" not in bpy.data.objects
    yield from wait_for_the_mouse(g, client)
    yield from expect(g, client.ask("execute_code", code="import sys\nsys.exit('enough')"), "error", "SystemExit")
    yield from expect(g, client.ask("execute_code", code="bpy.ops.wm.read_homefile(app_template='')"), "success")
    yield 1.0
    yield from sidebar(g)
    yield from open_panel(g, "avatar_forge.stop_remote")
    yield from expect(g, other.ask("get_scene_info"), "success", "Cube")  # still there with another file
    yield from rest(g)
    yield g.shot("running")

    yield from stop_and_start(g, client)


def ask_and_refuse(g, client, other):
    g.move(700, 400)
    client.ask(
        "execute_code", code="import bpy\n\nfor number in range(3):\n    bpy.ops.mesh.primitive_cube_add(size=number)"
    )
    yield 1.0
    yield g.shot("asked")
    yield from expect(
        g, other.ask("get_scene_info"), "success", '"object_count": 3'
    )  # nobody waits for the user but who asked
    g.key("Escape")
    yield from expect(g, client, "error", "denied")


def ask_and_run(g, client):
    """A key that is pressed as the popup appears is meant for something else; here "as it appears" is made longer
    than the tools take.
    """
    operators = importlib.import_module(f"{MODULE}.operators.remote")
    usual, operators.TOO_SOON = operators.TOO_SOON, 10.0
    g.move(700, 400)
    client.ask("execute_code", code="\n".join(f"print({number})" for number in range(60)))
    yield 1.5
    g.key("r")
    yield 2.0
    yield g.shot("long")
    if client.answered():
        g.fail(f"a key that was pressed as the popup appeared has answered it: {client.reply}")
    operators.TOO_SOON = usual
    yield 2.0
    g.key("r")
    yield from expect(g, client, "success", "59")


def wait_for_the_mouse(g, client):
    """Nothing is changed below a tool that the user is using."""
    g.move(500, 400)
    g.key("g")
    yield 1.5
    client.ask("execute_code", code="bpy.context.object.scale.x = 2")
    yield 1.5
    if client.answered():
        g.fail("code was run while the user moved something")
    g.key("Escape")
    yield from expect(g, client, "success")


def stop_and_start(g, client):
    yield from press(g, "avatar_forge.stop_remote")
    yield lambda: pump() is None
    yield from expect(g, client.ask("ping"), "closed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", SECOND_PORT))
        taken.listen()
        settings().port = SECOND_PORT
        yield from press(g, "avatar_forge.start_remote")
        yield 0.5
        yield g.shot("taken")
        g.key("Escape")  # the dialog that suggests another port
        yield 1.0
        if pump():
            g.fail("it has started on a port that is taken")
    settings().port = PORT
    yield from press(g, "avatar_forge.start_remote")
    yield lambda: pump() is not None
    yield from expect(g, Client().ask("ping"), "success", "pong")
    yield from press(g, "avatar_forge.stop_remote")
