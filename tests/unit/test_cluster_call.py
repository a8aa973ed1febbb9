"""A single call of an engine on a Ray cluster: a stand-in of Ray's head, the stages as they are on a node."""

import json
import stat
import sys
from pathlib import Path

import pytest

from backend.cluster import client, driver, offer, stages
from backend.cluster.call import Call, Place, call
from backend.cluster.jobs_api import JobsApi
from backend.errors import BackendError, Cancelled
from tests.cluster.jobs_head import serving

ROOT = Path(__file__).resolve().parents[2]
COMMAND = """ray start --address=10.0.0.1:6380 --resources='{"3d_gen": 1}'"""


def on_a_node(spec):
    """The task of a call, as the driver's task runs it."""
    try:
        return stages.call(spec, spec["items"][0][0], "")
    except stages.StageError as error:
        return {"status": "failed", "code": error.code, "note": str(error)}


@pytest.fixture
def wish(tmp_path, monkeypatch):
    """`wish(head, seed)` is the order of a mesh; the node's worker is a stand-in that needs no engine."""
    script = tmp_path / "python-backend"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -S {ROOT}/tests/cluster/stand_in.py "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("AVATAR_FORGE_BACKEND_PYTHON", str(script))
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("STAND_IN_SECONDS", "0.01")
    monkeypatch.setattr(client, "EVERY", 0.02)
    picture, back = tmp_path / "Ada.PNG", tmp_path / "back.png"
    picture.write_bytes(b"ada")
    back.write_bytes(b"back")
    (tmp_path / "shared").mkdir()

    def make(head, seed=0, **place):
        out = tmp_path / f"out{seed}"
        out.mkdir(exist_ok=True)
        place = Place.read({"address": head.address, "shared": str(tmp_path / "shared"), **place})
        files = {"picture": picture, "pictures": {"back": back}}
        return Call(place, "generate", {"engine": "preview", "seed": seed}, files, out, "mesh")

    return make


def test_a_call_runs_once_and_the_same_again_takes_what_it_has_made(wish, tmp_path):
    said = []
    with serving(on_a_node) as head:
        first = call(wish(head), lambda *what: said.append(what))
        again = call(wish(head), lambda *what: None)
        assert head.starts == 1 and again == first
        assert Path(first["mesh"]).read_text() == "mesh of picture" and Path(first["mesh"]).parent == tmp_path / "out0"
        assert ("mask", 0.5, "Finding the outline") in said
        assert (
            first["cluster_job"] in head.jobs
            and call(wish(head, 1), lambda *what: None)["cluster_job"] != first["cluster_job"]
        )
        sent = json.loads((tmp_path / "shared" / first["cluster_job"] / "spec.json").read_text())["call"]["params"]
        assert {Path(sent["picture"]).read_bytes(), Path(sent["pictures"]["back"]).read_bytes()} == {b"ada", b"back"}
        (tmp_path / "shared" / first["cluster_job"] / "made/generate/result.json").unlink()
        (tmp_path / "shared" / first["cluster_job"] / "made/generate/mesh.glb").unlink()
        (tmp_path / "shared" / first["cluster_job"] / "made/generate").rmdir()
        assert call(wish(head), lambda *what: None)["cluster_job"] == f"{first['cluster_job']}-2"  # tidied up there


def test_cancelling_stops_the_job_and_a_blender_that_is_gone_does_not(wish):
    def gone(*what):
        raise Cancelled

    with serving(on_a_node) as head:
        head.go.clear()
        with pytest.raises(Cancelled):
            call(wish(head), gone, lambda: True)
        [job] = head.jobs
        assert head.jobs[job]["status"] == "RUNNING"
        head.go.set()
        assert call(wish(head), lambda *what: None)["cluster_job"] == job and head.starts == 1
        head.go.clear()
        with pytest.raises(Cancelled):
            call(wish(head, 1), gone)
        assert [entry["status"] for entry in head.jobs.values()] == ["SUCCEEDED", "STOPPED"]
        head.go.set()
        assert call(wish(head, 1), lambda *what: None)["cluster_job"].endswith("-2")


def test_a_resource_that_nobody_offers_is_told_before_ray_has_begun(wish):
    said = []

    def say(stage, fraction, message):
        said.append((stage, message))
        if stage == "waiting":
            head.nodes.append({"3d_gen": 1.0})

    with serving(on_a_node, nodes=[{"GPU": 4.0, "3d_gen": 0.5}]) as head:
        head.nodes.pop()
        assert offer.describe(JobsApi(head.address))["message"] == (
            "The cluster runs Ray 2.60.0 (nodes: 1, CPUs: 1, nodes with 3d_gen: 0)."
            f" No worker offers 3d_gen; add one with: {COMMAND}"
        )
        call(wish(head), say)
        assert said[0] == ("waiting", f"No worker offers 3d_gen; add one with: {COMMAND}")
        assert offer.describe(JobsApi(head.address))["message"].endswith("nodes with 3d_gen: 1).")


def test_the_token_is_sent_and_written_nowhere(wish, tmp_path, monkeypatch):
    with serving(on_a_node, token="s3cret") as head:
        with pytest.raises(BackendError, match="did not accept the token"):
            call(wish(head), lambda *what: None)
        order = wish(head, token="s3cret")
        call(order, lambda *what: None)
        assert "s3cret" not in repr(order)
        written = [path.read_bytes() for path in (tmp_path / "shared").rglob("*") if path.is_file()]
        assert written and not any(b"s3cret" in content for content in written)
        monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret")
        assert JobsApi(head.address).check() == "2.60.0"


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("ModuleNotFoundError: No module named 'backend'", "Avatar Forge is not in /opt/avatar_forge on"),
        ("Job entrypoint command failed with exit code 127", "/opt/ray/python does not run on the cluster's head"),
        ("out of memory", "The job failed on the cluster: out of memory."),
    ],
)
def test_a_node_that_is_not_set_up_is_told_in_a_sentence(wish, message, sentence):
    def never(job):
        job |= {"status": "FAILED", "message": message}

    with serving(on_a_node) as head:
        head._run = never
        with pytest.raises(BackendError) as raised:
            call(wish(head, root="/opt/avatar_forge", python="/opt/ray/python"), lambda *what: None)
    assert raised.value.message.startswith(sentence) and raised.value.hint


def test_the_folder_may_have_another_path_on_the_nodes(wish, tmp_path):
    with serving(lambda spec: {"status": "failed", "code": "cropped", "note": spec["folder"]}) as head:
        (tmp_path / "there").symlink_to(tmp_path / "shared")
        with pytest.raises(BackendError, match=f"{tmp_path}/there/generate-") as raised:
            call(wish(head, there=str(tmp_path / "there")), lambda *what: None)
        assert raised.value.code == "cropped"


def test_the_driver_says_why_it_cannot_begin(capsys):
    assert driver.main(["/nowhere/spec.json"]) == 1
    event = json.loads(capsys.readouterr().out.removeprefix(client.MARK))
    assert "cannot read /nowhere/spec.json (no such file or directory)." in event["message"]
    assert event["hint"].startswith("Mount the shared folder on every node")
    said = """Version mismatch: The cluster was started with:
    Ray: 2.58.0
    Python: 3.11.7
This process on node 10.0.0.2 was started with:
    Ray: 2.60.0"""
    told = driver.why_not_joined(said, "2.60.0")
    assert told["message"].startswith("The cluster runs Ray 2.58.0 and Python 3.11.7, but ")
    assert "has Ray 2.60.0" in told["message"]
