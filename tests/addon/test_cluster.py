"""Engines on a Ray cluster, as the preferences say: real workers here, a stand-in of Ray's head over loopback."""

import json
import shutil
import time
from argparse import Namespace
from pathlib import Path

import pytest

from tests.cluster.jobs_head import serving


@pytest.fixture
def head(bpy, addon, mesh_folder, picture, tmp_path):
    """A cluster that is chosen in the preferences; its node has the mesh of the sample at once."""

    def work(spec):
        made = Path(spec["folder"], "made/generate")
        shutil.copytree(mesh_folder, made, dirs_exist_ok=True)
        result = json.loads((made / "result.json").read_text())
        result["mesh"] = Path(result["mesh"]).name
        return {"status": "made", "result": result, "files": [result["mesh"]]}

    chosen = addon("client.session").preferences()
    with serving(work) as made:
        chosen.executor, chosen.cluster_address = "ray", made.address
        chosen.cluster_shared = str(tmp_path / "shared")
        (tmp_path / "shared").mkdir()
        bpy.context.scene.avatar_forge.picture = str(picture)
        yield made
    for name in ("executor", "cluster_address", "cluster_shared", "cluster_offer"):
        chosen.property_unset(name)


def test_the_generator_runs_on_the_cluster_and_the_rest_here(bpy, addon, head):
    assert bpy.ops.avatar_forge.generate() == {"FINISHED"}
    avatar = addon("avatar.scene").find_avatar(bpy.context)
    told = json.loads(avatar.record.provenance)["parameters"]
    assert list(head.jobs) == [told["cluster_generate"]]
    assert addon("remote.generation").engine(bpy.context.scene.avatar_forge) == ("preview", "")
    runs = addon("client.cluster").runs
    assert runs("riggers", "unirig") and not runs("riggers", "geometric")


def test_closing_blender_leaves_the_job_and_cancel_stops_it(bpy, addon, head):
    """Asked again, the job that goes on is attached to."""
    task_slot, tasks, session = addon("client.task_slot"), addon("client.process.tasks"), addon("client.session")

    def begun(seed):
        bpy.context.scene.avatar_forge.seed = seed
        request = addon("request").Request.from_settings(bpy.context.scene)
        task = tasks.Task("Generate", addon("workflow").generate(bpy.context, request), session.worker)
        task_slot.begin(task)
        known = len(head.jobs)
        until = time.monotonic() + 60
        while len(head.jobs) == known or not task.message.startswith("Waiting for a worker"):
            assert time.monotonic() < until and not task_slot.poll(task), task.error
            time.sleep(0.01)
        return task, list(head.jobs)[-1]

    head.go.clear()
    task, job = begun(1)
    task_slot.stop()
    assert task.error.code == "cancelled" and head.jobs[job]["status"] == "RUNNING"
    head.go.set()
    assert bpy.ops.avatar_forge.generate() == {"FINISHED"}
    assert (list(head.jobs), head.starts) == ([job], 1)
    head.go.clear()
    task, job = begun(2)
    task_slot.cancel(task)
    while not task_slot.poll(task):
        time.sleep(0.01)
    assert head.jobs[job]["status"] == "STOPPED" and head.starts == 1


def test_the_connection_is_tested_and_blenders_network_setting_is_respected(bpy, addon, head):
    chosen, operator = addon("client.session").preferences(), bpy.ops.avatar_forge.test_cluster
    assert operator() == {"FINISHED"}
    assert chosen.cluster_offer == "The cluster runs Ray 2.60.0 (nodes: 2, CPUs: 2, nodes with 3d_gen: 1)."
    head.version = "2.9.0"
    with pytest.raises(RuntimeError, match=r"runs Ray 2\.9\.0\. Avatar Forge needs Ray 2\.40 or newer"):
        operator()
    chosen.cluster_shared = ""
    with pytest.raises(RuntimeError, match="needs a shared folder; choose it in the preferences"):
        bpy.ops.avatar_forge.generate()
    chosen.cluster_address = "http://192.0.2.1:8265"
    assert not bpy.app.online_access and not operator.poll()
    assert "not allowed to use the internet" in addon("client.cluster").Settings.current().problem(shared=False)


def test_the_batch_takes_the_cluster_of_the_preferences(bpy, addon, head):
    find, cluster = addon("batch_run").find_cluster, addon("client.cluster")
    given = {"address": "", "shared": None, "remote_shared": "", "remote_python": "", "remote_root": "/opt/af"}
    try:
        find(Namespace(executor=None, **given))
        assert cluster.runs("generators", "preview")  # as in the panel
        find(Namespace(executor="local", **given))
        assert not cluster.runs("generators", "preview")
        find(Namespace(executor="ray", **given))
        used = cluster.Settings.current()
        assert (used.address, used.root) == (head.address, "/opt/af")
        with pytest.raises(addon("errors").AvatarError, match="start it with --online-mode"):
            find(Namespace(executor="ray", **{**given, "address": "http://192.0.2.1:8265"}))
    finally:
        cluster.use(None)
