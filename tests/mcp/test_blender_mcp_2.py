"""What `uvx blender-mcp` is today, unmodified: every tool that a model sees."""

import json

import pytest

from tests.mcp.conftest import start


@pytest.fixture(scope="module")
def server(serving, tmp_path_factory):
    talk = start("2.2.4", serving, tmp_path_factory.mktemp("server"))
    yield talk
    talk.close()


def test_the_handshake_finds_a_current_add_on_and_no_consent(server, blender):
    status = server.call("get_addon_status")
    assert '"up_to_date": true' in status.text
    assert "OFF" in server.call("disable_telemetry").text
    assert not server.call("record_trajectory_feedback", feedback="accept").error


def test_the_scene_by_the_servers_own_scripts(server, blender):
    code = (
        "import bpy\nbpy.ops.mesh.primitive_cube_add(location=(1, 2, 3))\nbpy.context.object.name = 'Box'\nprint('ünï')"
    )
    assert "ünï" in server.call("execute_blender_code", code=code).text
    assert "Box | mesh | at (1.0, 2.0, 3.0) | size 2.0x2.0x2.0" in server.call("get_scene_info").text
    assert (
        "Showing 0" in server.call("get_scene_info", query="Nothing").text
        or "No object" in server.call("get_scene_info", query="Nothing").text
    )
    assert json.loads(server.read("blender://object/Box"))["mesh"]["vertices"] == 8
    failed = server.call("execute_blender_code", code="1 / 0").text
    assert "ZeroDivisionError: division by zero" in failed and "line 1" in failed


def test_looking_needs_a_window(server, blender):
    for mode in ("viewport", "angles", "camera"):
        blender.run("import bpy\nbpy.context.scene.camera or bpy.ops.object.camera_add()")
        looked = server.call("look", mode=mode)
        assert (looked.error and not looked.pictures and "window" in looked.text) or "background" in looked.text


def test_libraries_are_switched_off(server, blender):
    assert "switched off" in server.call("search_assets", source="polyhaven", query="rock").text
    said = server.call("import_asset", source="sketchfab", id="abc", target_size=1.0).text
    assert "switched off" in said and "Traceback" not in said


def test_a_picture_becomes_an_object(server, blender, picture):
    said = server.call("generate_3d", image=str(picture), name="Hero").text
    assert said.startswith("Generated and imported 'Hero' with hunyuan3d.") and "size [1.1" in said
    assert server.progress  # it has reported some
    taken = server.call("generate_3d", image=str(picture), name="Hero", provider="hyper3d").text
    assert 'name="Hero-2"' in taken
    handle = taken.partition('job="')[2].partition('"')[0]
    assert server.call("generate_3d", job=handle, name="Hero-2").text.startswith(
        "Generated and imported 'Hero-2' with hyper3d."
    )
    assert "Hero-2 | mesh" in server.call("get_scene_info").text


def test_a_character_in_a_pose_comes_rigged(server, blender, picture):
    said = server.call("generate_3d", image=str(picture), name="Hero", pose_mode="t-pose").text
    assert said.startswith("Generated and imported 'Hero' with meshy.")
    assert "Hero | armature" in server.call("get_scene_info").text
    bones = blender.ask("avatar_bones", avatar="Hero")["result"]
    assert not bones["problems"]


def test_what_cannot_be_made_ends_definitely(server, blender, tmp_path):
    assert "picture" in server.call("generate_3d", prompt="a robot").text
    assert "Generation failed" in server.call("generate_3d", job="hunyuan3d:job:job_gone", name="Gone").text
    assert "Generation failed" in server.call("generate_3d", job="hyper3d:main:gone|gone", name="Gone").text
    assert "Generation failed" in server.call("generate_3d", job="meshy:i2m:gone", name="Gone").text
    wrong = tmp_path / "wrong.png"
    wrong.write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    said = server.call("generate_3d", image=str(wrong)).text
    assert said.startswith("Error: Generation failed: ") and "Traceback" not in said
    again = server.call("generate_3d", image=str(wrong), provider="hyper3d").text
    assert "Generation failed: Failed, " in again and "resumed" not in again


def test_every_tool_was_called(server, request):
    if request.config.option.keyword:
        pytest.skip("only a part of the tests runs")
    names = {tool.name for tool in server.tools()}
    assert not names - set(server.called)
    print(f"\nmcp-for-blender 2.2.4: {len(names)} tools, {len(server.called)} calls: {', '.join(sorted(names))}")
