"""A picture becomes a VRM whose weights come from SkinTokens: real networks of a tiny size."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = "from pathlib import Path; from tests.unit.tiny_skintokens import make_checkpoint; make_checkpoint(Path({!r}))"
TINY = {"device": "cpu", "preset": "greedy", "points": "vertices"}


@pytest.fixture
def skintokens(addon, tmp_path, monkeypatch):
    """A worker with a checkpoint of the published layout; the Task that runs steps in it."""
    folder = tmp_path / "weights"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = MAKE.format(str(folder))
    subprocess.run([os.environ["AVATAR_FORGE_BACKEND_PYTHON"], "-c", code], cwd=ROOT, env=env, check=True)
    monkeypatch.setenv("AVATAR_FORGE_SKINTOKENS", str(folder))
    session = addon("client.session")
    session.close()
    tasks = addon("client.process.tasks")
    yield lambda steps: tasks.Task("Test", steps, session.worker)
    session.close()


def test_a_picture_becomes_an_avatar_on_the_given_skeleton(bpy, addon, skintokens, picture, tmp_path):
    workflow = addon("workflow")
    request = addon("request").Request(
        picture,
        rigger="skintokens",
        rigger_options=TINY,
        author="Tester",
        vrm=tmp_path / "companion.vrm",
        record=False,
    )
    task = skintokens(workflow.make_avatar(bpy.context, request))
    made = task.wait()
    record, human = made.avatar.record, made.avatar.armature.data.vrm_addon_extension.vrm1.humanoid.human_bones
    assert record.rigger == "skintokens" and made.vrm.stat().st_size > 100_000
    bones = made.avatar.armature.data.bones
    for name in ("hips", "head", "left_hand", "right_foot", "left_upper_arm"):
        assert getattr(human, name).node.bone_name in bones
    provenance = json.loads(record.provenance)
    assert "experiments/articulation_xl_quantization_256_token_4/grpo_1400.ckpt" in str(provenance["weights"])
    assert provenance["parameters"]["rigger_options"] == TINY
    # The tiny networks know nothing of bodies, and the report card says so instead of passing their weights.
    failed = {check.id for check in made.report.checks if check.status == "FAIL"}
    assert {"leaks", "follow"} <= failed and not failed & {"valid", "humanoid_bones", "hierarchy"}


def test_a_skeleton_of_noise_ends_in_one_sentence(bpy, addon, skintokens, picture):
    workflow = addon("workflow")
    request = addon("request").Request(
        picture, rigger="skintokens", rigger_options={**TINY, "skeleton": "free", "attempts": 1}, record=False
    )
    task = skintokens(workflow.make_avatar(bpy.context, request))
    while not task.poll():
        time.sleep(0.005)
    assert task.error and task.error.code != "internal"
    assert str(task.error).endswith(".") and "\n" not in str(task.error) and "Traceback" not in str(task.error)
    assert addon("avatar.scene").find_avatar(bpy.context).mesh is not None
