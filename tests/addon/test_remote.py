# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket on Blender's main thread: the commands an unmodified server sends, code, and peers that must not get
through.
"""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Peer:
    """Asks from a thread while the pump is driven here, as Blender's main thread does it."""

    def __init__(self, pump):
        self.pump = pump
        self.sock = socket.create_connection(("127.0.0.1", pump.server.port), timeout=20)

    def ask(self, name, /, **params):
        return self.send(json.dumps({"type": name, "params": params}).encode())

    def send(self, data):
        """The reply's object; None where the connection ends without one."""
        self.sock.sendall(data)
        replies = []
        reading = threading.Thread(target=lambda: replies.append(read(self.sock)))
        reading.start()
        while reading.is_alive():
            self.pump.tick(0.005)
        return replies[0]

    def result(self, name, /, **params):
        reply = self.ask(name, **params)
        assert reply["status"] == "success", reply
        return reply["result"]

    def refusal(self, name, /, **params):
        reply = self.ask(name, **params)
        assert reply["status"] == "error", reply
        return reply["message"]


def read(sock):
    received = b""
    while chunk := sock.recv(8192):
        received += chunk
        assert received.isascii()
        try:
            return json.loads(received)
        except ValueError:
            continue
    return None


@pytest.fixture
def part(addon):
    return lambda name: addon(f"remote.{name}")


@pytest.fixture
def serve(bpy, part, tmp_path, monkeypatch):
    """`serve(mode)` starts the socket and connects a peer."""
    monkeypatch.setattr(part("python_code").session, "user_folder", lambda name: tmp_path)
    yield lambda mode="off", **more: Peer(part("pump").start(0, mode, **more))
    part("pump").stop()


def test_what_every_server_asks_first(bpy, serve):
    bpy.ops.mesh.primitive_cube_add(location=(1.234, 0, 0))
    peer = serve()
    assert peer.result("ping") == {"pong": True}
    info = peer.result("get_addon_info")
    assert (
        info["protocol_version"] >= 15 and info["premium_generators"] == [] and "get_scene_info" in info["capabilities"]
    )
    assert (
        peer.result("get_telemetry_consent") == {"consent": False} == peer.result("set_telemetry_consent", consent=True)
    )
    assert peer.result("drain_human_activity") == {"events": []}
    for name in ("polyhaven", "sketchfab", "polypizza", "tripo"):
        status = peer.result(f"get_{name}_status")
        assert status["enabled"] is False and "not offered" in status["message"]
    scene = peer.result("get_scene_info")
    assert scene["object_count"] == 1 and scene["objects"] == [
        {"name": "Cube", "type": "MESH", "location": [1.23, 0.0, 0.0]}
    ]
    cube = peer.result("get_object_info", name="Cube")
    assert cube["mesh"] == {"vertices": 8, "edges": 12, "polygons": 6}
    assert cube["world_bounding_box"] == [[0.234, -1, -1], [2.234, 1, 1]]
    assert peer.result("get_world_state_snapshot")["objects"][0]["aabb"] == cube["world_bounding_box"]


def test_what_servers_read_in_refusals(serve):
    peer = serve()
    assert peer.refusal("search_polyhaven_assets").startswith("Unknown command type: search_polyhaven_assets")
    assert "unexpected keyword argument" in peer.refusal("get_scene_info", depth=3)
    assert peer.refusal("get_object_info", name="Nobody") == "Object not found: Nobody"
    assert "No 3D viewport" in peer.refusal(
        "get_viewport_screenshot", max_size=400, filepath="/tmp/x.png", format="png"
    )


def test_items_are_found_by_part_of_their_name(bpy, serve):
    for name in ("Tall Tree", "Tree", "House"):
        bpy.context.collection.objects.link(bpy.data.objects.new(name, None))
    bpy.data.materials.new("Tree Bark")
    found = serve().result("list_scene_items", query="tree", limit=2)
    assert [item["name"] for item in found["items"]] == ["Tree", "Tree Bark"] and found["total"] == 3


def test_blenders_api_is_told_without_a_trace(bpy, serve):
    peer, groups = serve(), len(bpy.data.node_groups)
    node = peer.result(
        "describe_node_type", bl_idname="ShaderNodeMix", property_overrides={"data_type": "RGBA", "nothing": 1}
    )
    enabled = [socket["name"] for socket in node["inputs"] if socket["enabled"]]
    assert enabled == ["Factor", "A", "B"] and list(node["refused_overrides"]) == ["nothing"]
    assert (
        peer.result("describe_node_type", bl_idname="GeometryNodeMeshCube", property_overrides=None)["tree"]
        == "GeometryNodeTree"
    )
    assert "ShaderNodeMix" in peer.result("describe_node_type", bl_idname="ShaderNodeMixx")["did_you_mean"]
    assert len(bpy.data.node_groups) == groups
    assert "PREETHAM" in peer.result("bpy_api_lookup", query="ShaderNodeTexSky.sky_type")["items"]
    cast = peer.result("bpy_api_lookup", query="bpy.types.Object.ray_cast")
    assert cast["parameters"][0]["required"] and "location" in [value["name"] for value in cast["returns"]]
    assert "size" in [
        entry["name"] for entry in peer.result("bpy_api_lookup", query="bpy.ops.mesh.primitive_cube_add")["parameters"]
    ]
    assert "Object" in peer.result("bpy_api_lookup", query="Objct")["did_you_mean"]


def test_export_writes_what_is_named_and_leaves_the_selection(bpy, serve, tmp_path):
    for name in ("A", "B"):
        bpy.ops.mesh.primitive_cube_add()
        bpy.context.object.name = name
    peer, path = serve(), tmp_path / "scene"
    said = peer.result(
        "export_scene", filepath=str(path), format="glb", object_names=["A"], selection_only=False, apply_modifiers=True
    )
    assert said["exported"] == ["A"] and said["bytes"] == Path(said["path"]).stat().st_size
    assert Path(said["path"]).read_bytes()[:4] == b"glTF" and b'"A"' in Path(said["path"]).read_bytes()
    assert b'"B"' not in Path(said["path"]).read_bytes()
    assert [obj.name for obj in bpy.context.selected_objects] == ["B"] and bpy.context.object.name == "B"
    assert peer.result("export_scene", filepath=str(path), format="fbx")["exported"] == ["A", "B"]
    assert "no object" in peer.result("export_scene", filepath=str(path), object_names=["C"])["error"]
    assert "absolute path" in peer.result("export_scene", filepath="relative.glb")["error"]


@pytest.mark.parametrize("mode, words", [("off", "disabled"), ("ask", "without a window")])
def test_code_is_refused_unless_it_is_allowed(bpy, serve, mode, words):
    assert words in serve(mode).refusal("execute_code", code="bpy.ops.mesh.primitive_cube_add()")
    assert not bpy.data.objects


def test_an_observation_that_was_allowed_is_not_asked_for_again(serve, part):
    """The user's answer is given here; the popup itself is in the window's scenario."""
    peer, code = serve("ask"), part("python_code")
    look, other = "print('__MCP_RESULT__{}')", "print('done')"
    for text in (look, other):
        code.asking.append(code.Asked(text, time.monotonic() + 9, verdict=True, opened=True))
        assert code._look(code.asking[0])["result"]["executed"]
    assert peer.result("execute_code", code=look)["result"] == "__MCP_RESULT__{}\n"
    assert peer.refusal("execute_code", code=other) == peer.refusal("execute_code", code=look + " ") == code.HEADLESS
    part("pump").stop()
    assert serve("ask").refusal("execute_code", code=look) == code.HEADLESS  # for one session


def test_code_runs_and_what_it_prints_comes_back(bpy, serve, part, capsys):
    peer = serve("on")
    chatter = "import threading\nt = threading.Thread(target=print, args=('elsewhere',))\nt.start()\nt.join()\n"
    said = peer.result(
        "execute_code", code=chatter + "bpy.ops.mesh.primitive_cube_add()\nprint('é', len(bpy.data.objects))"
    )
    assert said == {"executed": True, "result": "é 1\n"} and "elsewhere" in capsys.readouterr().out
    assert peer.result("execute_code", code="")["result"] == ""
    observed = peer.result(
        "execute_code", code="import json\nprint('x' * 500_000)\nprint('__MCP_RESULT__' + json.dumps({'n': 1}))"
    )
    assert observed["result"].splitlines()[-1] == '__MCP_RESULT__{"n": 1}'
    copies = list(part("python_code").recovery.parent.glob("*.blend"))
    assert copies == [part("python_code").recovery]  # one, before the first code
    with bpy.data.libraries.load(str(copies[0])) as (inside, _):
        assert inside.objects == []


def test_faults_in_code_come_back_in_parts_and_end_nothing(serve):
    peer = serve("on")
    for code, kind, words in (
        ("def f():\n    return 1 / 0\n\nf()", "ZeroDivisionError", "line 2, in f"),
        ("x = (", "SyntaxError", "never closed"),
        ("import sys\nsys.exit('enough')", "SystemExit", "enough"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "line 1"),
        ("class Odd(BaseException):\n    def __str__(self): raise ValueError\nraise Odd", "Odd", ""),
        ("def f(): f()\nf()", "RecursionError", "recursion"),
    ):
        said = json.loads(peer.refusal("execute_code", code=code))
        assert (
            said["exception_type"] == kind and words in said["traceback"] and "python_code.py" not in said["traceback"]
        )
    assert peer.result("execute_code", code="import sys\nprint('done')\nsys.exit()")["result"] == "done\n"
    assert "left out" in peer.result("execute_code", code="print('\\u00e9' * 2_000_000)")["result"]
    assert peer.result("execute_code", code="print('\\ud800')")["result"] == "\N{REPLACEMENT CHARACTER}\n"
    assert peer.result("ping")


def test_another_file_may_be_opened_by_code(serve):
    peer = serve("on")
    assert (
        peer.result(
            "execute_code", code="bpy.ops.wm.read_homefile(use_factory_startup=True)\nprint(len(bpy.data.objects))"
        )["result"]
        == "3\n"
    )
    assert peer.result("get_scene_info")["object_count"] == 3


def test_code_whose_client_has_gone_is_stopped(serve, part, monkeypatch):
    monkeypatch.setattr(part("protocol.server"), "ABANDONED", 0.5)
    peer = serve("on")
    endless = socket.create_connection(("127.0.0.1", peer.pump.server.port))
    endless.sendall(json.dumps({"type": "execute_code", "params": {"code": "while True:\n    pass"}}).encode())
    threading.Timer(1.3, endless.close).start()
    deadline = time.monotonic() + 60
    while peer.pump.last != "execute_code":
        peer.pump.tick(0.01)
        assert time.monotonic() < deadline
    assert peer.result("ping")


@pytest.mark.parametrize(
    "opening",
    [
        b"POST / HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        b"\n\x16\x03",
        b"\x00",
    ],
)
def test_a_body_behind_something_else_is_never_run(bpy, serve, opening):
    peer = serve("on")
    peer.sock.sendall(opening + b'{"type": "execute_code", "params": {"code": "bpy.ops.mesh.primitive_cube_add()"}}')
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        peer.pump.tick(0.01)
    assert not bpy.data.objects and peer.pump.last == "" and peer.pump.server.refused


def test_any_parameter_may_be_null_or_nonsense(serve, part):
    """Every command answers with an envelope of its own words, whatever its parameters are."""
    peer, own = serve(), ("api_commands", "scene_commands", "viewport_commands", "python_code")
    known = part("protocol.registry").COMMANDS
    for name, entry in known.items():
        if entry.run.__module__.rpartition(".")[2] not in own:
            continue
        names = list(entry.signature.parameters)
        for values in itertools.chain([None], (3, -1.5, "x", [], ["a"], {}, True, "\ud800", "a\0b")):
            reply = peer.ask(name, **dict.fromkeys(names, values))
            assert reply["status"] in {"success", "error"} and f"{name} failed (" not in reply.get("message", ""), (
                name,
                values,
                reply,
            )
    for broken in ({}, {"type": 3}, {"type": "execute_code", "params": []}, {"params": {}}):
        assert peer.send(json.dumps(broken).encode())["status"] == "error"
    assert peer.send(b'{"type": "ping"}') == peer.send(b'{"type": "ping", "params": null}')


@pytest.mark.parametrize("command, key", [("export_scene", "filepath"), ("avatar_export", "path")])
def test_no_path_of_a_client_reaches_what_is_not_its(bpy, serve, part, avatar, monkeypatch, tmp_path, command, key):
    """Attacks with code off: files of the user that nothing may replace, and folders that nothing may be put into."""
    part("avatar_jobs")
    mine, other = tmp_path / "mine", tmp_path / "home"
    mine.mkdir()
    other.mkdir()
    monkeypatch.setenv("AVATAR_FORGE_CLIENT_FOLDERS", str(mine))
    monkeypatch.setattr(part("python_code").session, "user_folder", lambda name: tmp_path / "extension")
    suffix = ".vrm" if command == "avatar_export" else ".glb"
    secret = other / ".bashrc"
    secret.write_text("precious")
    (mine / f"link{suffix}").symlink_to(secret)
    (mine / f"kept{suffix}").write_text("precious")
    (mine / "way").symlink_to(other)
    (mine / ".config").mkdir()
    (mine / "authorized_keys").write_text("precious")
    attacks = [
        f"{secret}\0{suffix}", f"{mine}/authorized_keys\0{suffix}", f"{mine}/authorized_keys\n{suffix}", str(secret),
        f"{other}/new{suffix}", f"{mine}/../home/new{suffix}", f"{mine}/way/new{suffix}", f"{mine}/link{suffix}",
        f"{mine}/kept{suffix}", f"{mine}/.bashrc{suffix}", f"~root/new{suffix}", "\ud800", "", f"{mine}/none/x{suffix}",
        f"{mine}/.config/new{suffix}", f"{mine}/{'x' * 300}{suffix}", f"{mine}/{'x/' * 3000}x{suffix}",
        f"{mine}/\u202ex{suffix}",
    ]  # fmt: skip
    peer = serve()
    for path in attacks:
        reply = peer.ask(command, **{key: path})
        assert reply["status"] == "error" or "error" in reply["result"], path
    assert {path.read_text() for path in (secret, mine / f"kept{suffix}", mine / "authorized_keys")} == {"precious"}
    assert sorted(path.name for path in other.iterdir()) == [".bashrc"]
    assert len(list(mine.iterdir())) == 5 and not list((mine / ".config").iterdir())


def test_a_file_of_a_client_may_be_written_again_and_others_on_request(bpy, serve, tmp_path):
    bpy.ops.mesh.primitive_cube_add()
    peer, there = serve(), tmp_path / "there.glb"
    there.write_text("of somebody")
    assert "exists" in peer.result("export_scene", filepath=str(there))["error"]
    assert peer.result("export_scene", filepath=str(there), replace=True)["bytes"] == there.stat().st_size
    assert "error" not in peer.result("export_scene", filepath=str(there))
    kept = tmp_path / "kept.txt"
    os.link(there, kept)  # the same file under a second name
    before = kept.stat().st_ino
    assert "error" not in peer.result("export_scene", filepath=str(there))
    assert kept.stat().st_ino == before != there.stat().st_ino
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.txt", "there.glb"]


def test_a_screenshot_goes_through_no_link(part, tmp_path):
    viewport, target = part("viewport_commands"), tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "shot.png").symlink_to(target)
    with pytest.raises(part("protocol.registry").Refusal):
        viewport._picture_path(str(tmp_path / "shot.png"))
    viewport._write(tmp_path / "shot.png", viewport.PNG)
    assert target.read_text() == "precious" and (tmp_path / "shot.png").read_bytes() == viewport.PNG


def test_a_screenshot_replaces_pictures_only(part, tmp_path):
    viewport, refusal = part("viewport_commands"), part("protocol.registry").Refusal
    (tmp_path / "letter.png").write_text("Dear reader")
    (tmp_path / "old.png").write_bytes(viewport.PNG)
    assert viewport._picture_path(str(tmp_path / "old.png")) and viewport._picture_path(str(tmp_path / "new.png"))
    for bad in ("letter.png", "new.txt", "nowhere/new.png"):
        with pytest.raises(refusal):
            viewport._picture_path(str(tmp_path / bad))


def test_png_is_read_as_it_was_written(bpy, part, tmp_path):
    import numpy as np

    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    path = tmp_path / "p.png"
    path.write_bytes(part("viewport_commands").write_png(pixels))
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    read = np.array(image.pixels).reshape(5, 7, 4)[::-1, :, :3]
    assert np.array_equal(np.rint(read * 255).astype(np.uint8), pixels)


def test_picking_finds_the_object_under_the_point(bpy, serve):
    bpy.ops.mesh.primitive_cube_add(location=(0, 0, 0))
    bpy.ops.object.light_add(location=(3, 0, 0))
    view = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -10], [0, 0, 0, 1]]  # from above
    near, far = 0.1, 100.0
    lens = [
        [2, 0, 0, 0],
        [0, 2, 0, 0],
        [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)],
        [0, 0, -1, 0],
    ]
    seen = {"view_matrix": view, "window_matrix": lens, "width": 100, "height": 100, "file": "", "scene": "Scene"}
    peer = serve()
    assert peer.result("pick_viewport_object", x=0.5, y=0.5, **seen)["object"]["name"] == "Cube"
    assert peer.result("pick_viewport_object", x=0.8, y=0.5, **seen)["object"]["type"] == "LIGHT"
    assert peer.result("pick_viewport_object", x=0.5, y=0.05, **seen)["object"] is None
    assert peer.result("pick_viewport_object", x=0.5, y=0.5, **seen | {"scene": "Other"})["mismatch"] == "scene"
    assert "view_matrix" in peer.refusal("pick_viewport_object", x=0.5, y=0.5, view_matrix=None)


def test_turning_the_add_on_off_ends_the_socket(serve, part):
    peer = serve()
    port = peer.pump.server.port
    part("pump").unregister()
    part("pump").unregister()
    assert peer.sock.recv(10) == b"" and part("pump").current() is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_window_until_it_is_interrupted(tmp_path, number):
    """The real tool; it ends well even while code runs that never would."""
    command = [sys.executable, str(ROOT / "avatar_addon/remote/serve.py"), "--", "--port", "0", "--code", "on"]
    environment = os.environ | {"BLENDER_USER_RESOURCES": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        line = next(line for line in process.stdout if "listens on" in line)
        port = int(line.partition("127.0.0.1:")[2].partition(";")[0])
        sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        sock.sendall(b'{"type": "execute_code", "params": {"code": "print(6 * 7)"}}')
        assert read(sock)["result"]["result"] == "42\n"
        sock.sendall(b'{"type": "execute_code", "params": {"code": "while True: pass"}}')
        time.sleep(0.3)
        process.send_signal(number)
        assert process.wait(20) == 0
    finally:
        process.kill()
