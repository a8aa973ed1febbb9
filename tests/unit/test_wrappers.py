"""The container image, the manifests and the ComfyUI nodes: what can be checked without any of those programs."""

import asyncio
import importlib.util
import json
import os
import pickle
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from backend.cluster import stages
from backend.cluster.client import Batch, ClusterRun
from backend.cluster.jobs_api import JobsApi
from backend.errors import BackendError, Cancelled
from tests.cluster import json_server

ROOT = Path(__file__).resolve().parents[2]


def test_the_image_copies_what_is_there_and_the_wrappers_call_commands_that_exist():
    text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    copied = [word for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)
    named = set(re.findall(r"(?:-r|--require-hashes -r) (\S+)", text))
    assert named and all((ROOT / name).exists() for name in named)
    assert re.findall(r"^FROM base AS (\w+)", text, re.MULTILINE) == ["cpu", "cuda"]
    version = (ROOT / "backend/requirements/cluster.txt").read_text().strip().partition("==")[2]
    assert f'rayVersion: "{version}"' in (ROOT / "deploy/rayjob.yaml").read_text()
    pipeline = (ROOT / "deploy/avatar_pipeline.yaml").read_text()
    from backend.__main__ import COMMANDS

    assert set(re.findall(r"- backend\n\s+- (\w+)", pipeline)) <= set(COMMANDS)


@pytest.mark.skipif(importlib.util.find_spec("kfp") is None, reason="kfp is not installed")
def test_compiling_the_pipeline_again_changes_nothing(tmp_path):
    (tmp_path / "pipeline.py").write_text((ROOT / "deploy/pipeline.py").read_text())
    subprocess.run([sys.executable, tmp_path / "pipeline.py"], check=True)
    assert (tmp_path / "avatar_pipeline.yaml").read_text() == (ROOT / "deploy/avatar_pipeline.yaml").read_text()


@pytest.fixture
def head():
    """A stand-in of the Jobs REST API: `answers` path -> (status, JSON); `asked` what came."""
    answers, asked = {"/api/version": (200, {"ray_version": "2.60.0"})}, []

    def answer(verb, path, _headers, body):
        asked.append((verb, path, body))
        return answers.get(path, (404, {}))

    with json_server.serving(answer) as address:
        yield types.SimpleNamespace(address=address, answers=answers, asked=asked)


def test_a_run_on_a_cluster_is_followed_attached_to_and_stopped(head, tmp_path):
    picture = tmp_path / "ada.png"
    picture.write_bytes(b"ada")
    batch = Batch({"ada": picture}, tmp_path, tmp_path / "shared")
    run = ClusterRun(batch, JobsApi(head.address))
    head.answers["/api/jobs/"] = (500, {"detail": "Job already exists"})
    batch.prepare()
    job = f"/api/jobs/{batch.run}"
    made = tmp_path / "shared" / batch.run / "avatars" / "ada"
    made.mkdir(parents=True)
    (made / "ada.vrm").write_bytes(b"vrm")
    row = {"name": "ada", "status": "made", "note": "", "files": {"vrm": "ada.vrm"}}
    log = "noise\n" + "".join(
        f"AVATAR_FORGE {json.dumps(event)}\n"
        for event in (
            {"event": "waiting", "code": "no_resource", "message": "No worker offers 3d_gen"},
            {"event": "progress", "name": "ada", "fraction": 0.5, "message": "Rigging"},
            {"event": "avatar", "row": row},
        )
    )
    waited = f"AVATAR_FORGE {json.dumps({'event': 'waiting', 'code': '', 'message': 'A worker has joined.'})}\n"
    head.answers |= {job: (200, {"status": "SUCCEEDED"}), f"{job}/logs": (200, {"logs": log})}
    assert not run.start() and run.job == batch.run
    said = []
    [there] = run.follow(lambda *what: said.append(what))
    assert [entry[2] for entry in said[:2]] == ["No worker offers 3d_gen", "ada: Rigging"] and said[-1][1] == 1.0
    assert (tmp_path / "ada.vrm").read_bytes() == b"vrm" and there["files"]["vrm"] == str(tmp_path / "ada.vrm")

    rows = log.rindex("AVATAR_FORGE")
    again = ClusterRun(batch, run.api)
    again.start()
    for known, last in ((log[: log.index("AVATAR_FORGE", 6 + log.index("AVATAR_FORGE"))], "No worker offers 3d_gen"),
                        (log[:rows] + waited, "0 of 1 avatars are there")):  # fmt: skip
        again._take(known, lambda *what: said.append(what))
        assert said[-1][2] == last

    def stop(*_):
        raise Cancelled

    head.answers |= {job: (200, {"status": "RUNNING"}), f"{job}/stop": (200, {"stopped": True})}
    with pytest.raises(Cancelled):
        _follow_again(batch, run.api, stop)
    assert head.asked[-1][:2] == ("POST", f"{job}/stop")
    head.answers["/api/version"] = (200, {"ray_version": "2.9.0"})
    with pytest.raises(BackendError, match=r"runs Ray 2\.9\.0"):
        run.api.check()
    with pytest.raises(BackendError, match="no Ray cluster at"):
        JobsApi("http://127.0.0.1:9").check()


def test_a_stage_that_fails_on_a_node_says_why_here(tmp_path):
    """Ray pickles the error."""
    error = pickle.loads(pickle.dumps(stages.StageError("cropped", "The figure is cropped.")))
    assert (error.code, str(error)) == ("cropped", "The figure is cropped.")
    (tmp_path / "meshes").write_text("a file where the folder should be")
    with pytest.raises(stages.StageError, match=r"The worker cannot write to .*; free some space\."):
        stages.generate({"folder": str(tmp_path)}, "ada", "ada.png")


def _follow_again(batch, api, say):
    run = ClusterRun(batch, api)
    run.start()
    run.follow(say)


@pytest.fixture
def comfy(monkeypatch, tmp_path):
    """The node pack, loaded as ComfyUI does, over a small stand-in of its V3 API."""

    class Field:
        def __init__(self, id="", **options):
            self.id, self.options = id, options

    def kind():
        return type("Kind", (), {"Input": Field, "Output": Field})

    names = ("Image", "String", "Combo", "Int", "Boolean", "Mesh", "File3DAny")
    names += ("File3DGLB", "File3DGLTF", "File3DFBX", "File3DOBJ")
    io = types.SimpleNamespace(
        **{name: kind() for name in names},
        Custom=lambda name: kind(),
        MultiType=types.SimpleNamespace(Input=lambda text, types: text),
        ComfyNode=object,
        Schema=types.SimpleNamespace,
        NodeOutput=lambda *values, ui=None: values,
    )
    api = types.ModuleType("comfy_api.v0_0_2")
    api.io, api.ComfyExtension, api.ComfyAPI = io, object, object
    api.ui = types.SimpleNamespace(PreviewText=str)
    api.Types = types.SimpleNamespace(File3D=lambda *given: types.SimpleNamespace(given=given))
    folders = types.ModuleType("folder_paths")
    folders.get_temp_directory = folders.get_output_directory = lambda: str(tmp_path)
    management = types.ModuleType("comfy.model_management")
    management.throw_exception_if_processing_interrupted = lambda: None
    monkeypatch.setitem(sys.modules, "folder_paths", folders)
    comfy_package = types.ModuleType("comfy")
    comfy_package.model_management = management
    monkeypatch.setitem(sys.modules, "comfy", comfy_package)
    monkeypatch.setitem(sys.modules, "comfy.model_management", management)
    monkeypatch.setitem(sys.modules, "comfy_api", types.ModuleType("comfy_api"))
    monkeypatch.setitem(sys.modules, "comfy_api.v0_0_2", api)
    spec = importlib.util.spec_from_file_location(
        "avatar_forge_nodes", ROOT / "comfyui/__init__.py", submodule_search_locations=[str(ROOT / "comfyui")]
    )
    package = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "avatar_forge_nodes", package)
    spec.loader.exec_module(package)
    yield package
    for name in [name for name in sys.modules if name.startswith("avatar_forge_nodes.")]:
        del sys.modules[name]


def test_the_nodes_schemas_belong_to_what_they_execute_and_to_the_example(comfy):
    nodes = asyncio.run(asyncio.run(comfy.comfy_entrypoint()).get_node_list())
    schemas = {node.define_schema().node_id: node for node in nodes}
    engines = json.loads((ROOT / "avatar_addon/client/engines.json").read_text())
    known = {kind: [entry["name"] for entry in engines[f"{kind}s"]] for kind in ("generator", "rigger")}
    for node_id, node in schemas.items():
        schema = node.define_schema()
        offered = {field.id: field.options["options"] for field in schema.inputs if field.id in ("engine", "rigger")}
        assert offered.get("engine", known["generator"]) == known["generator"]
        assert offered.get("rigger", known["rigger"]) == known["rigger"]
        code = node.execute.__func__.__code__
        taken = code.co_varnames[1 : code.co_argcount]
        assert node_id == node.__name__ and [field.id for field in schema.inputs] == list(taken)
    used = set()
    for path in (ROOT / "comfyui/example_workflows").glob("*.json"):
        workflow = json.loads(path.read_text())
        for step in workflow.values():
            links = {key: value for key, value in step["inputs"].items() if isinstance(value, list)}
            for source, output in links.values():
                if before := schemas.get(workflow[source]["class_type"]):
                    assert output < len(before.define_schema().outputs)
            if node := schemas.get(step["class_type"]):
                used.add(step["class_type"])
                assert {field.id for field in node.define_schema().inputs} == set(step["inputs"]), path.name
    assert used == set(schemas)
    assert not (ROOT / "comfyui/requirements.txt").read_text().strip()


def test_a_node_follows_its_child_and_ends_it_with_the_workflow(comfy, monkeypatch, tmp_path):
    script = tmp_path / "python-stand-in"
    lines = [
        {"event": "progress", "fraction": 0.5},
        {"event": "summary", "avatars": [{"status": "made", "name": "ada"}]},
    ]
    body = "\n".join(f"echo '{json.dumps(line)}'" for line in lines)
    script.write_text(f'#!/bin/sh\necho $$ >{tmp_path}/pid\n[ "$3" = slow ] && exec sleep 60\n{body}\n')
    script.chmod(0o755)
    monkeypatch.setenv("AVATAR_FORGE_BLENDER", str(script))
    fractions = []

    async def progress(fraction):
        fractions.append(fraction)

    row = asyncio.run(comfy.nodes.work.child.batch(["ada"], progress, lambda: None))
    assert row["name"] == "ada" and fractions == [0.5]

    def interrupted():
        if (tmp_path / "pid").read_text().strip() != first:
            raise InterruptedError

    first = (tmp_path / "pid").read_text().strip()
    with pytest.raises(InterruptedError):
        asyncio.run(comfy.nodes.work.child.batch(["slow"], progress, interrupted))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_the_nodes_hand_an_avatar_from_step_to_step(comfy, monkeypatch):
    """Each gives the batch what the one before has left; other settings make other files."""
    said = []

    async def batch(words, *_):
        said.append(words)
        out = Path(words[words.index("--out") + 1])
        files = {kind: str(out / f"ada.{kind}") for kind in ("blend", "mesh", "vrm", "sheet", "receipt")}
        for path in files.values():
            Path(path).write_text(str(words))
        receipt = {"report": {"checks": [{"status": "PASS", "title": "Height", "figure": "1.6 m"}]}}
        Path(files["receipt"]).write_text(json.dumps(receipt))
        return {"files": files, "note": "ada.vrm", "promoted": {"key": "ada-v1.vrm"}}

    nodes = comfy.nodes
    monkeypatch.setattr(nodes.work.child, "batch", batch)
    monkeypatch.setattr(nodes.work, "_picture", lambda path: path)
    monkeypatch.setattr(nodes.work, "_progress", lambda: None)
    picture = Path(nodes.work._folder("temp", "p"), "ada.png")
    picture.write_bytes(b"ada")
    monkeypatch.setattr(nodes.work, "new", lambda image, name: {"name": name, "source": str(picture), "more": []})
    run = lambda node, *given: asyncio.run(node.execute(*given))  # noqa: E731
    mesh, _ = run(nodes.AvatarForgeGenerateMesh, "image", "ada", "preview", 3)
    rigged, glb = run(nodes.AvatarForgeRig, mesh, "geometric", 3)
    other, _ = run(nodes.AvatarForgeRig, mesh, "geometric", 4)
    faced, _ = run(nodes.AvatarForgeFace, rigged, True)
    avatar, _, _, vrm, *_ = run(nodes.AvatarForgeVrm, faced, "1.0", "Me")
    text, promotable, same = nodes.AvatarForgeReportCard.execute(avatar)
    assert (text, promotable, same) == ("PASS  Height  1.6 m", True, avatar) and glb.given[1] == "glb"
    assert run(nodes.AvatarForgePromote, avatar, "models") == ("ada-v1.vrm",)
    until = [words[words.index("--until") + 1] if "--until" in words else "" for words in said]
    assert until == ["mesh", "rig", "rig", "face", "", ""] and "--perfect-sync" in said[3]
    assert [words[0] for words in said[1:5]] == [mesh["source"]] * 2 + [rigged["source"], faced["source"]]
    assert rigged["source"] != other["source"] and said[5][:3] == [faced["source"], "--out", str(Path(vrm).parent)]
    with pytest.raises(ValueError, match="has no VRM file yet"):
        nodes.AvatarForgeReportCard.execute(rigged)


def test_a_mesh_of_comfyui_is_a_glb_file(comfy, tmp_path):
    numpy = pytest.importorskip("numpy")
    trimesh = pytest.importorskip("trimesh")

    class Tensor(numpy.ndarray):
        detach = cpu = lambda self: self
        numpy = lambda self: numpy.asarray(self)  # noqa: E731

    tensor = lambda values, kind="f4": numpy.array([values], kind).view(Tensor)  # noqa: E731
    points, uvs = [[0, 0, 0], [1, 0, 0], [0, 2, 0], [9, 9, 9]], [[0, 0], [1, 0], [0, 1], [0, 0]]
    mesh = types.SimpleNamespace(vertices=tensor(points), faces=tensor([[0, 1, 2], [0, 0, 0]], "i8"), uvs=tensor(uvs))
    mesh.vertex_counts, mesh.face_counts, mesh.texture = [3], [1], tensor(numpy.full((4, 4, 3), 0.5))
    made = trimesh.load(comfy.nodes.work.glb.write(mesh, tmp_path / "mesh.glb"), force="mesh", process=False)
    assert made.vertices.tolist() == points[:3] and made.faces.tolist() == [[0, 1, 2]]
    assert made.visual.material.baseColorTexture.size == (4, 4)
