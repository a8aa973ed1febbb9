"""BlenderMCP's servers of the first generation, unmodified: every tool they have."""

import struct
import time

import pytest

from tests.mcp.conftest import start

PROMPT = {"user_prompt": "test"}
NOT_OFFERED = {
    "get_polyhaven_categories": {},
    "search_polyhaven_assets": {},
    "download_polyhaven_asset": {"asset_id": "sky", "asset_type": "hdris"},
    "set_texture": {"object_name": "Box", "texture_id": "bricks"},
    "search_sketchfab_models": {"query": "chair"},
    "get_sketchfab_model_preview": {"uid": "abc"},
    "download_sketchfab_model": {"uid": "abc", "target_size": 1.0},
    "search_polypizza_models": {"query": "chair"},
    "download_polypizza_model": {"model_id": "abc"},
}


@pytest.fixture(scope="module", params=["1.5.5", "1.6.5", "1.9.4"])
def server(request, serving, tmp_path_factory):
    talk = start(request.param, serving, tmp_path_factory.mktemp("server"))
    talk.release = request.param
    yield talk
    talk.close()


def poll(server, tool, done, **job):
    """Until the job is done, as a model would; the last answer."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        began = time.perf_counter()
        answer = server.call(tool, **job)
        assert not answer.error and time.perf_counter() - began < 5
        if done in answer.text or "Fail" in answer.text or "FAIL" in answer.text:
            return answer.json
        time.sleep(0.3)
    raise AssertionError(answer.text)


def test_the_scene_and_its_objects(server, blender):
    code = (
        "import bpy\nbpy.ops.mesh.primitive_cube_add(location=(1, 2, 3))\nbpy.context.object.name = 'Box'\nprint('ünï',"
        " 'Box')"
    )
    assert (
        server.call("execute_blender_code", code=code, **PROMPT).text.strip() == "Code executed successfully: ünï Box"
    )
    scene = server.call("get_scene_info", **PROMPT).json
    assert scene["object_count"] == 1 and scene["objects"][0] == {
        "name": "Box",
        "type": "MESH",
        "location": [1.0, 2.0, 3.0],
    }
    box = server.call("get_object_info", object_name="Box", **PROMPT).json
    assert box["mesh"]["vertices"] == 8 and box["world_bounding_box"] == [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]
    assert "Object not found: Nothing" in server.call("get_object_info", object_name="Nothing", **PROMPT).text
    assert (
        server.call("get_scene_info", **PROMPT).json == scene
    )  # the failed call has cost the client its connection, not more


def test_code_that_fails_says_how(server, blender):
    said = server.call("execute_blender_code", code="print('before')\n1 / 0", **PROMPT).text
    assert "ZeroDivisionError" in said and "division by zero" in said
    assert "Nothing" not in server.call("execute_blender_code", code="import sys\nsys.exit(3)", **PROMPT).text
    assert server.call("get_scene_info", **PROMPT).json["object_count"] == 0


def test_a_screenshot_without_a_window_is_refused_in_the_servers_words(server, blender):
    answer = server.call("get_viewport_screenshot", max_size=300)
    assert answer.error and "No 3D viewport" in answer.text and not answer.pictures


def test_what_is_not_offered_is_said(server, blender):
    names = {tool.name for tool in server.tools()}
    for tool, arguments in NOT_OFFERED.items():
        if tool in names:
            said = server.call(tool, **arguments).text
            assert any(
                words in said for words in ("Unknown command type", "disabled", "switched off", "not offered")
            ), said
            assert "Traceback" not in said
    for name in ("polyhaven", "sketchfab", "polypizza"):
        if f"get_{name}_status" in names:
            assert "not offered" in server.call(f"get_{name}_status").text
    assert "Mode: MAIN_SITE" in server.call("get_hyper3d_status").text
    assert "answered on this computer by Avatar Forge" in server.call("get_hunyuan3d_status").text


def test_a_picture_becomes_an_object_through_rodin(server, blender, picture):
    assert "picture" in server.call("generate_hyper3d_model_via_text", text_prompt="a robot").json["error"]
    began = time.perf_counter()
    job = server.call("generate_hyper3d_model_via_images", input_image_paths=[str(picture)]).json
    assert time.perf_counter() - began < 5
    assert poll(server, "poll_rodin_job_status", "Done", subscription_key=job["subscription_key"])["status_list"] == [
        "Done"
    ]
    placed = server.call("import_generated_asset", name="Hero", task_uuid=job["task_uuid"]).json
    assert placed["succeed"] and placed["name"] == "Hero"
    hero = server.call("get_object_info", object_name="Hero", **PROMPT).json
    assert hero["mesh"]["polygons"] > 1000 and hero["materials"]
    for mine, theirs in zip(hero["world_bounding_box"], placed["world_bounding_box"], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-3)
    assert poll(server, "poll_rodin_job_status", "Done", subscription_key="gone")["status_list"][0] == "Failed"


def test_a_picture_becomes_an_object_through_hunyuan(server, blender, picture):
    assert "picture" in server.call("generate_hunyuan3d_model", text_prompt="a robot").json["error"]
    assert poll(server, "poll_hunyuan_job_status", "DONE", job_id="job_gone")["Response"]["Status"] == "FAIL"
    missing = server.call("import_generated_asset_hunyuan", name="Hero", zip_file_url="avatar-forge://job/gone").json
    assert missing["succeed"] is False
    if server.release != "1.5.5":  # the same on the wire
        return
    job = server.call("generate_hunyuan3d_model", input_image_url=str(picture)).json["job_id"]
    done = poll(server, "poll_hunyuan_job_status", "DONE", job_id=job)["Response"]
    placed = server.call(
        "import_generated_asset_hunyuan", name="Hero", zip_file_url=done["ResultFile3Ds"][0]["Url"]
    ).json
    assert placed["succeed"] and server.call("get_scene_info", **PROMPT).json["objects"][0]["name"] == "Hero"


def test_what_1_9_added(server, blender, tmp_path):
    if server.release != "1.9.4":
        pytest.skip("1.9 has more tools")
    status = server.call("get_addon_status").json
    assert status["up_to_date"] is True
    assert "OFF" in server.call("disable_telemetry").text
    assert blender.ask("get_telemetry_consent")["result"] == {"consent": False}
    assert "Roughness" in server.call("describe_node_type", bl_idname="ShaderNodeBsdfPrincipled", **PROMPT).text
    assert "primitive_cube_add" in server.call("bpy_api_lookup", query="bpy.ops.mesh.primitive_cube_add", **PROMPT).text
    blender.run("import bpy\nbpy.ops.mesh.primitive_cube_add()")
    written = server.call("export_scene", filepath=str(tmp_path / "box.glb"), format="glb", **PROMPT).json
    magic, version, length = struct.unpack("<4sII", (tmp_path / "box.glb").read_bytes()[:12])
    assert (magic, version) == (b"glTF", 2) and length == written["bytes"]
    assert not server.call("record_trajectory_feedback", feedback="accept").error


def test_every_tool_was_called(server, request):
    if request.config.option.keyword:
        pytest.skip("only a part of the tests runs")
    names = {tool.name for tool in server.tools()}
    assert not names - set(server.called)
    print(f"\nblender-mcp {server.release}: {len(names)} tools, {len(server.called)} calls: {', '.join(sorted(names))}")
