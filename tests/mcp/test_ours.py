"""Our own MCP server: every tool, from a picture to a VRM file."""

import json
import os
import subprocess
import threading
import time

import pytest

from tests.mcp.conftest import ROOT, VENVS, Blender, serve, start

PNG = b"\x89PNG\r\n\x1a\n"
WRITES = {
    "make_avatar",
    "generate_mesh",
    "rig_avatar",
    "assign_humanoid_bones",
    "set_face_landmarks",
    "make_face",
    "set_up_vrm",
    "cancel_job",
}
WRITES |= {"avatar_from_text", "export_vrm", "promote_avatar"}


def wait(ours, job):
    until = time.monotonic() + 240
    while time.monotonic() < until:
        state = ours.call("wait_for_job", job=job, seconds=40).json
        if state["status"] not in ("waiting", "running"):
            return state
        assert "wait_for_job" in state["next"]
    raise AssertionError(state)


@pytest.fixture(scope="module")
def mia(serving, ours, picture, tmp_path_factory):
    """The result of make_avatar."""
    serving.empty()
    folder = tmp_path_factory.mktemp("made")
    began = time.perf_counter()
    job = ours.call(
        "make_avatar", picture=str(picture), name="Mia", vrm_path=str(folder), author="Tester", engine="preview"
    ).json
    assert time.perf_counter() - began < 5 and "wait_for_job" in job["next"]
    state = wait(ours, job["job"])
    assert state["status"] == "done", state
    return state["result"]


def test_a_model_can_read_what_the_tools_do(ours):
    tools = {tool.name: tool for tool in ours.tools()}
    for name, tool in tools.items():
        assert len(tool.description) > 30 and "\n" not in tool.description and tool.annotations.title
        assert tool.annotations.read_only_hint == (name not in WRITES), name


def test_from_a_picture_to_a_checked_avatar(ours, mia):
    assert mia["avatar"] == "Mia" and mia["report"]["promotable"] and mia["vrm"].endswith("Mia.vrm")
    status = ours.call("avatar_status").json
    assert status["backend"]["ready"] and set(status["avatars"][0]["steps"].values()) == {"done"}
    assert ours.progress and max(ours.progress) <= 1.0
    report = ours.call("validate_avatar").json
    assert report["promotable"] and not any(check["status"] == "FAIL" for check in report["to_fix"])
    assert report["counts"]["PASS"] == len(report["passed"]) > 20
    assert ours.call("list_runs", limit=5).json["runs"][0]["name"] == "Mia"
    assert [job["status"] for job in ours.call("list_jobs").json["jobs"]][:2] == ["done", "done"]


def test_its_face_is_looked_at(ours, mia):
    known = ours.call("list_expressions").json["expressions"]
    assert {"rest", "aa", "blink", "happy"} <= set(known)
    rest, happy, body = (
        ours.call("preview_expression", size=128, **more).pictures
        for more in ({}, {"expression": "happy"}, {"view": "body"})
    )
    assert (
        len(rest) == len(happy) == len(body) == 1 and rest[0].startswith(PNG) and len({rest[0], happy[0], body[0]}) == 3
    )
    assert "no expression" in ours.call("preview_expression", expression="sneezing").text


def test_bones_and_landmarks_are_corrected(ours, mia):
    neck = ours.call("list_humanoid_bones").json["humanoid"]["neck"]
    assert "neck" in ours.call("assign_humanoid_bones", bones={"neck": None}).json["unassigned"]
    assert ours.call("assign_humanoid_bones", bones={"neck": neck}).json["humanoid"]["neck"] == neck
    refused = ours.call("assign_humanoid_bones", bones={"head": None})
    assert refused.error and "head" in refused.text
    before = ours.call("list_face_landmarks").json["face"]
    x, y, z = before["mouth"]["center"]
    moved = ours.call("set_face_landmarks", mouth=[x, y, z + 0.005], mouth_width=before["mouth"]["width"] * 1.1).json
    assert (
        moved["landmarks"]["face"]["mouth"]["center"][2] == pytest.approx(z + 0.005, abs=1e-5)
        and moved["face"]["avatar"] == "Mia"
    )


def test_steps_one_by_one_and_the_file(ours, blender, picture, tmp_path):
    assert (
        wait(ours, ours.call("generate_mesh", picture=str(picture), name="Leo").json["job"])["result"]["avatar"]
        == "Leo"
    )
    assert wait(ours, ours.call("rig_avatar").json["job"])["status"] == "done"
    assert (
        ours.call("make_face").json["avatar"] == "Leo"
        and ours.call("set_up_vrm", author="Tester").json["avatar"] == "Leo"
    )
    written = ours.call("export_vrm", path=str(tmp_path)).json
    assert written["vrm"] == str(tmp_path / "Leo.vrm") and (tmp_path / "Leo.vrm").stat().st_size == written["bytes"]
    assert "bucket" in ours.call("promote_avatar").text


def test_a_job_is_cancelled(ours, blender, picture):
    jobs = [ours.call("make_avatar", picture=str(picture)).json["job"] for _ in range(2)]
    assert ours.call("wait_for_job", job=jobs[1], seconds=0).json["status"] == "waiting"
    assert set(ours.call("cancel_job").json["cancelled"]) == set(jobs)
    assert [wait(ours, job)["status"] for job in jobs] == ["cancelled", "cancelled"]
    assert not blender.ask("avatar_status")["result"]["avatars"]


def test_an_avatar_from_text_needs_a_picture_server(ours):
    said = ours.call("avatar_from_text", text="a girl with headphones")
    assert said.error and "picture server" in said.text


def test_without_blender_it_says_what_to_do(serving, tmp_path):
    with_nobody = start("ours", Blender(1), tmp_path)
    try:
        said = with_nobody.call("avatar_status")
        assert said.error and "does not answer" in said.text and "Start" in said.text
    finally:
        with_nobody.close()


def test_no_line_is_left_without_an_answer(tmp_path):
    """Half a surrogate pair ends the SDK's parser, which then drops the line; a client would wait for ever."""
    call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call"}
    wrong = {
        json.dumps(call | {"params": {"name": "export_vrm", "arguments": {"path": "\ud800"}}}): (7, "surrogate"),
        json.dumps(call | {"id": "\ud800"}): (None, "surrogate"),
        "not json": (None, "not JSON"),
        "[" * 100_000: (None, "not JSON"),
        '{"jsonrpc": "1.0", "id": "x", "method": "ping"}': ("x", "not a JSON-RPC message"),
        '{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}': (None, "not a JSON-RPC message"),
    }
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    begun = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    bad = call | {"id": 8, "params": {"name": "export_vrm", "arguments": {"path": {}}}}
    lines = [json.dumps(begin), json.dumps(begun), *wrong, "", '{"jsonrpc": "2.0", "id": 3, "result": "\\ud800"}']
    command = [VENVS / "mcp/bin/python", "-m", "backend", "mcp", "--port", "1"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as server:
        late = threading.Timer(60, server.kill)
        late.start()
        server.stdin.write("\n".join([*lines, json.dumps(bad)]) + "\n")
        server.stdin.flush()
        replies = []
        for line in server.stdout:  # the end of the input cancels what is not answered yet
            replies.append(json.loads(line))
            if replies[-1].get("id") == 8:
                break
        rest, errors_said = server.communicate()
        late.cancel()
    replies += [json.loads(line) for line in rest.splitlines()]
    errors = [(reply["id"], reply["error"]["message"]) for reply in replies if "error" in reply]
    assert len(errors) == len(wrong) and server.returncode == 0 and "Traceback" not in errors_said
    for (number, message), (wanted, words) in zip(errors, wrong.values(), strict=True):
        assert number == wanted and words in message, message
    [said] = [reply["result"]["content"][0]["text"] for reply in replies if reply.get("id") == 8]
    assert said.startswith("export_vrm: path") and said.endswith(".") and "\n" not in said


@pytest.mark.parametrize("port", ["abc", "-1", "70000"])
def test_a_port_that_is_none_ends_it_in_a_sentence(port):
    ended = subprocess.run(
        [VENVS / "mcp/bin/python", "-m", "backend", "mcp"],
        env={**os.environ, "BLENDER_PORT": port},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2 and "Traceback" not in ended.stderr and "port" in ended.stderr.splitlines()[-1]


def test_a_token_is_asked_for(tmp_path):
    with serve(tmp_path, AVATAR_FORGE_TOKEN="right") as guarded:
        for token, welcome in (("right", True), ("wrong", False), ("", False)):
            talk = start("ours", guarded, tmp_path, AVATAR_FORGE_TOKEN=token)
            said = talk.call("avatar_status")
            talk.close()
            assert said.error != welcome and (welcome or "token" in said.text)


def test_every_tool_was_called(ours, request):
    if request.config.option.keyword:
        pytest.skip("only a part of the tests runs")
    names = {tool.name for tool in ours.tools()}
    assert not names - set(ours.called)
    print(f"\nours: {len(names)} tools, {len(ours.called)} calls: {', '.join(sorted(names))}")
