"""Avatars from TRELLIS and TRELLIS.2: real networks of a tiny size that make noise, and a character as their second
halves hand it over.
"""

import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
THIRD_PARTY = ROOT / "tests/addon/third_party"
SMALL = {"structure_steps": 2, "texture_size": 512, "faces": 1000, "device": "cpu"}
ENGINES = {  # label, stages of its own, files of weights
    "trellis": ("TRELLIS image-large", {"structure", "latent", "decode", "bake"}, 6),
    "trellis2": ("TRELLIS.2-4B", {"structure", "shape", "texture", "surface", "material", "bake"}, 9),
}
MAKE = "from pathlib import Path; from tests.unit.tiny_{0} import make_checkpoint; make_checkpoint(Path({1!r}))"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Folders of the published layouts with tiny networks: {"AVATAR_FORGE_TRELLIS": path,
    "AVATAR_FORGE_UNIRIG": path}.
    """
    made = {}
    for name in ("trellis", "trellis2", "unirig"):
        made[f"AVATAR_FORGE_{name.upper()}"] = str(tmp_path_factory.mktemp("weights") / name)
        code = MAKE.format(name, made[f"AVATAR_FORGE_{name.upper()}"])
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([os.environ["AVATAR_FORGE_BACKEND_PYTHON"], "-c", code], cwd=ROOT, env=env, check=True)
    return made


@pytest.fixture
def run(bpy, addon, checkpoints, monkeypatch):
    """run(steps) -> the task at its end; the worker has the tiny checkpoints and the engines of
    tests/addon/third_party.
    """
    for name, folder in checkpoints.items():
        monkeypatch.setenv(name, folder)
    session = addon("client.session")
    session.close()
    session.worker().env["PYTHONPATH"] += f"{os.pathsep}{THIRD_PARTY}"

    def run(steps):
        task = addon("client.process.tasks").Task("Test", steps, session.worker)
        while not task.poll():
            time.sleep(0.005)
        return task

    yield run
    session.close()


def one_sentence(error):
    return str(error).endswith(".") and "\n" not in str(error) and "Traceback" not in str(error)


@pytest.mark.parametrize("engine", ENGINES)
def test_noise_from_tiny_networks_becomes_a_mesh_and_then_a_sentence(bpy, addon, run, picture, capfd, engine):
    """The way of a real picture through the real pipeline, into the scene; what follows says clearly that this is
    nobody.
    """
    workflow, scene = addon("workflow"), addon("avatar.scene")
    label, stages, files = ENGINES[engine]
    request = workflow.Request(picture, engine=engine, engine_options=SMALL, seed=3)
    task = run(workflow.make_avatar(bpy.context, request))
    assert task.error.code == "not_humanoid" and one_sentence(task.error)
    assert stages <= task.seconds.keys()
    avatar = scene.find_avatar(bpy.context)
    assert avatar.armature is None and len(avatar.mesh.data.polygons) > 100 and avatar.record.label == label
    provenance = json.loads(avatar.record.provenance)
    assert len(provenance["weights"]) == files and provenance["parameters"]["engine_options"]["faces"] == 1000
    for steps in (
        workflow.rig(bpy.context, avatar, "unirig", {"device": "cpu", "preset": "greedy"}),
        workflow.locate_face(avatar),
    ):
        task = run(steps)
        assert task.error and task.error.code != "internal" and one_sentence(task.error)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("engine", ["bare", "bare2"])
def test_a_mesh_without_landmarks_becomes_a_whole_avatar(bpy, addon, run, picture, tmp_path, engine):
    """A figure cleaned, unwrapped and baked as TRELLIS and TRELLIS.2 do it, of which nobody knows joints or face."""
    workflow = addon("workflow")
    request = workflow.Request(
        picture, name="Capsule", engine=engine, author="Tester", vrm=tmp_path / "capsule.vrm", record=False
    )
    task = run(workflow.make_avatar(bpy.context, request))
    assert task.error is None
    made = task.result
    assert [check.id for check in made.report.checks if check.status == "FAIL"] == [] and made.warnings == []
    record = made.avatar.record
    assert min(record.eyes_confidence, record.mouth_confidence) > 0.8
    eyes, mouth = np.array([record.left_eye.center, record.right_eye.center]), np.array(record.mouth.center)
    assert eyes[0, 0] > 0.02 > -0.02 > eyes[1, 0] and (eyes[:, 1] < -0.05).all() and mouth[1] < -0.05  # on the front
    assert 0.04 < eyes[:, 2].mean() - mouth[2] < 0.12
