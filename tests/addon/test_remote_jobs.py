"""The socket's jobs and generators, asked as the server asks them, without a socket."""

import base64
import json
import time
from pathlib import Path

import pytest


def rodin(remote, picture):
    made = remote(
        "create_rodin_job",
        text_prompt=None,
        bbox_condition=None,
        images=[[".png", base64.b64encode(picture.read_bytes()).decode()]],
    )
    return made["jobs"]["subscription_key"], made["uuid"]


def test_a_picture_becomes_an_object_of_the_wanted_name(bpy, remote, ends, picture):
    started = time.perf_counter()
    key, uuid = rodin(remote, picture)
    assert remote("poll_rodin_job_status", subscription_key=key)["status_list"] == ["Waiting"]
    assert time.perf_counter() - started < 5 and not bpy.context.scene.objects
    assert remote("import_generated_asset", name="Hero", task_uuid=uuid)["succeed"] is False  # not yet
    ends()
    assert remote("poll_rodin_job_status", subscription_key=key)["status_list"] == ["Done"]
    assert not bpy.context.scene.objects
    placed = remote("import_generated_asset", name="Hero", task_uuid=uuid)
    low, high = placed["world_bounding_box"]
    assert placed["succeed"] and placed["name"] == "Hero" and high[2] - low[2] == pytest.approx(1.6, abs=0.02)
    hero = bpy.context.scene.objects["Hero"]
    assert hero.avatar_forge.is_avatar and hero.avatar_forge.engine == "preview" and len(hero.data.materials)
    assert (
        remote("import_generated_asset", name="Hero", task_uuid=uuid)["name"] == "Hero"
    )  # its answer may have been lost
    assert remote("import_generated_asset", name="Other", task_uuid=uuid)["succeed"] is False
    assert len(bpy.context.scene.objects) == 1
    bpy.data.objects.remove(hero)  # deleted or undone: it can come again
    assert remote("import_generated_asset", name="Other", task_uuid=uuid)["name"] == "Other"
    assert len(bpy.context.scene.objects) == 1


def test_a_taken_name_is_refused_and_the_model_waits_for_another(bpy, remote, ends, picture):
    bpy.context.collection.objects.link(bpy.data.objects.new("Hero", None))
    job = remote("create_hunyuan_job", text_prompt=None, image=str(picture), quality="high")["Response"]["JobId"]
    ends()
    url = remote("poll_hunyuan_job_status", job_id=f"job_{job}")["Response"]["ResultFile3Ds"][0]["Url"]
    refused = remote("import_generated_asset_hunyuan", name="Hero", zip_file_url=url)
    assert refused["succeed"] is False and "Hero-2" in refused["error"]
    assert remote("import_generated_asset_hunyuan", name="Hero-2", zip_file_url=url)["name"] == "Hero-2"
    assert set(bpy.context.scene.objects.keys()) == {"Hero", "Hero-2"}


@pytest.mark.parametrize("pose", ["a-pose", "t-pose"])
def test_meshy_with_a_pose_is_rigged_and_stands_so(bpy, addon, remote, ends, picture, pose):
    task = remote("create_meshy_job", text_prompt=None, image=str(picture), pose_mode=pose)
    ends()
    done = remote("poll_meshy_job_status", **{key: task[key] for key in ("task_id", "kind")})
    placed = remote("import_generated_asset_meshy", name="Hero", model_url=done["model_url"])
    assert placed["succeed"] and placed["type"] == "ARMATURE" and placed["name"] == "Hero"
    low, high = placed["world_bounding_box"]
    wide = (high[0] - low[0]) / (high[2] - low[2])
    assert (wide > 0.75) == (pose == "t-pose")
    avatar = addon("avatar.scene").find_avatar(bpy.context)
    assert addon("pose.t_pose").is_t_pose(avatar)  # at rest


def test_jobs_that_are_not_known_have_failed_in_the_providers_words(remote):
    assert remote("poll_rodin_job_status", subscription_key="gone")["status_list"][0] == "Failed"
    assert remote("poll_rodin_job_status", request_id="gone", subscription_key=None)["status"] == "FAILED"
    assert remote("poll_rodin_job_status")["status_list"][0] == "Failed"
    assert remote("poll_hunyuan_job_status", job_id="job_gone")["Response"]["Status"] == "FAIL"
    assert remote("poll_hunyuan_job_status", job_id=None)["Response"]["Status"] == "FAIL"
    assert remote("poll_meshy_job_status", task_id="gone", kind="i2m")["status"] == "FAILED"
    for command, named in (("", "task_uuid"), ("_hunyuan", "zip_file_url"), ("_meshy", "model_url")):
        refused = remote(f"import_generated_asset{command}", **{"name": "Hero", named: "gone"})
        assert refused["succeed"] is False and refused["error"].endswith(".")


def test_what_cannot_be_made_is_said_in_a_sentence(remote, ends, tmp_path):
    for command, given in (("rodin", {}), ("hunyuan", {"image": None}), ("meshy", {"image": ""})):
        error = remote(f"create_{command}_job", text_prompt="a robot", **given)["error"]
        assert "picture" in error and "Traceback" not in error
    assert "web" in remote("create_hunyuan_job", text_prompt=None, image="https://example.org/a.png")["error"]
    assert "no file" in remote("create_meshy_job", text_prompt=None, image=str(tmp_path / "none.png"))["error"]
    assert "error" in remote("create_rodin_job", text_prompt=None, images=[[".png", "!!"]], bbox_condition=None)
    assert "error" in remote("create_rodin_job", text_prompt=None, images=["relative.png"], bbox_condition=None)
    wrong = tmp_path / "wrong.png"
    wrong.write_bytes(b"this is no picture")
    job = remote("create_hunyuan_job", text_prompt=None, image=str(wrong))["Response"]["JobId"]
    ends()
    failed = remote("poll_hunyuan_job_status", job_id=f"job_{job}")["Response"]
    assert failed["Status"] == "FAIL" and failed["ErrorMessage"].endswith(".")


def test_the_second_job_waits_and_both_can_be_cancelled(bpy, addon, remote, picture):
    table = addon("remote.work").TABLE
    first, _ = rodin(remote, picture)
    second, _ = rodin(remote, picture)
    table.tick()
    assert [table.state(job)["status"] for job in (first, second)] == ["running", "waiting"]
    state = bpy.context.window_manager.avatar_forge
    assert state.running and state.remote and not bpy.ops.avatar_forge.generate.poll()
    table.cancel(second)
    assert table.state(second)["status"] == "cancelled"
    state.cancel = True  # the sidebar's button
    until = time.monotonic() + 120
    while table.tick():
        assert time.monotonic() < until
        time.sleep(0.005)
    assert table.state(first)["status"] == "cancelled" and not state.running and not state.error
    assert remote("poll_rodin_job_status", subscription_key=first)["status_list"][0] == "Canceled"


def test_another_file_ends_every_job(bpy, addon, remote, picture):
    table = addon("remote.work").TABLE
    first, _ = rodin(remote, picture)
    second, _ = rodin(remote, picture)
    table.tick()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert [table.state(job)["status"] for job in (first, second)] == ["cancelled", "cancelled"]
    assert not table.tick() and not bpy.context.window_manager.avatar_forge.running


@pytest.mark.parametrize("name", ["hyper3d", "hunyuan3d", "meshy"])
def test_the_status_says_who_answers(remote, name):
    said = remote(f"get_{name}_status")
    assert said["enabled"] is True and "preview" in said["message"].lower() and said["mode"] in said["message"]
    if name == "hyper3d":
        assert "Mode: MAIN_SITE" in said["message"]


def test_the_file_for_vs_code_is_written_by_a_button(bpy, extension, tmp_path):
    assert bpy.ops.avatar_forge.write_mcp_json(directory=str(tmp_path)) == {"FINISHED"}
    written = json.loads((tmp_path / ".vscode/mcp.json").read_text())["servers"]
    assert (
        written["blender"]["args"] == ["mcp-for-blender==2.2.4"]
        and written["avatar-forge"]["env"]["BLENDER_PORT"] == "9876"
    )
    root = Path(written["avatar-forge"]["env"]["PYTHONPATH"])
    assert (root / "backend/mcp/server.py").is_file() and Path(written["avatar-forge"]["args"][3]).is_file()
    (tmp_path / ".vscode/mcp.json").write_text("{ not json")
    with pytest.raises(RuntimeError, match="Nothing was changed"):
        bpy.ops.avatar_forge.write_mcp_json(directory=str(tmp_path))
