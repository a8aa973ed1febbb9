"""The socket's avatar commands, on an avatar that is made through them."""

import base64
import os

import pytest

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def refused(addon):
    """`refused(command, **params)` is the error's text."""
    registry = addon("remote.protocol.registry")

    def ask(command, **params):
        reply = registry.answer({"type": command, "params": params})
        assert isinstance(reply, dict) and reply["status"] == "error", reply
        return reply["message"]

    return ask


def finished(remote, ends, command, **params):
    """The result of the job that a command starts."""
    started = remote(command, **params)
    assert started["status"] in ("waiting", "running") and started["job"].isalnum()
    ends()
    state = remote("avatar_job", job=started["job"])
    assert state["status"] == "done", state
    return state["result"]


def test_from_a_picture_that_is_sent_to_a_vrm_file(bpy, remote, ends, picture, tmp_path):
    data = base64.b64encode(picture.read_bytes()).decode()
    made = finished(
        remote,
        ends,
        "avatar_make",
        picture_data=data,
        name="Mia",
        path=str(tmp_path),
        author="Tester",
        engine="preview",
    )
    assert made["avatar"] == "Mia" and made["report"]["promotable"] and not made["report"]["counts"]["FAIL"]
    assert (tmp_path / "Mia.vrm").stat().st_size > 100_000 and made["vrm"] == str(tmp_path / "Mia.vrm")
    status = remote("avatar_status")
    assert [avatar["name"] for avatar in status["avatars"]] == ["Mia"] and set(
        status["avatars"][0]["steps"].values()
    ) == {"done"}
    options = {row["name"]: row["options"] for row in status["generators"]}
    assert {
        "name": "triangles",
        "type": "int",
        "default": 28000,
        "low": 4000,
        "high": 200000,
        "help": "Approximate number of triangles",
    } in (options["preview"])
    runs = remote("avatar_runs", limit=3)["runs"]
    assert runs[0]["name"] == "Mia" and runs[0]["vrm"].endswith("Mia.vrm")


def test_the_answer_says_which_figures_of_a_sheet_are_not_used(addon, remote, ends, picture, monkeypatch):
    figures = [
        {"view": "front", "why": "", "picture": str(picture)},
        {"view": "ignore", "why": "portrait", "picture": str(picture)},
    ]

    def cut_sheet(sheet):
        return figures
        yield

    monkeypatch.setattr(addon("picture.cards"), "cut_sheet", cut_sheet)
    made = finished(remote, ends, "avatar_generate", picture=str(picture), sheet=True, engine="preview")
    assert made["sheet"] == [
        "The sheet shows: front.",
        "Figure 2 of 2 from the left is not used: a portrait or a detail.",
    ]


def test_the_steps_one_by_one(bpy, remote, ends, picture, tmp_path):
    assert finished(remote, ends, "avatar_generate", picture=str(picture), name="Mia")["triangles"] > 1000
    rigged = finished(remote, ends, "avatar_rig", avatar="Mia")
    assert rigged["avatar"] == "Mia"
    finished(remote, ends, "avatar_face")
    finished(remote, ends, "avatar_set_up_vrm", author="Tester")
    report = finished(remote, ends, "avatar_validate")
    assert report["promotable"] and len(report["checks"]) > 5
    assert finished(remote, ends, "avatar_export", path=str(tmp_path / "mia"))["vrm"] == str(tmp_path / "mia.vrm")
    assert (tmp_path / "mia.vrm").is_file()


def test_only_the_avatar_is_in_its_file(bpy, remote, ends, avatar, tmp_path):
    bpy.ops.mesh.primitive_cube_add(location=(0, 0, -1))
    cube = bpy.context.object
    report = finished(remote, ends, "avatar_validate", avatar="companion")
    assert report["promotable"], [check for check in report["checks"] if check["status"] == "FAIL"]
    assert cube.select_get() and bpy.context.object == cube  # the user's selection stays


def test_humanoid_bones_are_listed_and_assigned(remote, refused, avatar):
    listed = remote("avatar_bones")
    assert listed["humanoid"]["head"] and not listed["problems"] and not listed["required_but_unassigned"]
    head, neck = listed["humanoid"]["head"], listed["humanoid"]["neck"]
    without = remote("avatar_set_bones", bones={"neck": None})
    assert "neck" in without["unassigned"] and without["humanoid"]["head"] == head
    assert "required" in refused("avatar_set_bones", bones={"head": None})
    assert remote("avatar_bones")["humanoid"]["head"] == head
    assert remote("avatar_set_bones", automatic=True)["humanoid"]["neck"] == neck
    assert "no humanoid bone" in refused("avatar_set_bones", bones={"tail": head})


def test_face_landmarks_are_listed_and_moved(bpy, addon, remote, refused, ends, avatar):
    before = remote("avatar_landmarks")
    x, y, z = before["face"]["mouth"]["center"]
    moved = remote("avatar_set_landmarks", face={"mouth": [x, y, z + 0.01], "jaw": {"center": [x, y, z - 0.05]}})
    assert moved["face"]["mouth"]["center"][2] == pytest.approx(z + 0.01, abs=1e-5)
    assert moved["face"]["mouth"]["width"] == pytest.approx(
        before["face"]["mouth"]["width"]
    )  # sizes that are not given stay
    assert moved["face"]["jaw"] and moved["confidence"] == {"eyes": 1.0, "mouth": 1.0}
    finished(remote, ends, "avatar_face")
    assert addon("avatar.scene").find_avatar(bpy.context).mesh.data.shape_keys
    settled = remote("avatar_landmarks")["face"]  # the face step has put them on the surface
    for wrong in (
        {"mouth": [1, 2]},
        {"mouth": [1, 2, float("nan")]},
        {"nose": [1, 2, 3]},
        {"mouth": {"center": [0, 0, 1], "width": -1}},
        {},
    ):
        assert refused("avatar_set_landmarks", face=wrong).endswith(".")
    assert remote("avatar_landmarks")["face"] == settled


def test_an_expression_is_seen(bpy, remote, avatar):
    assert {"rest", "aa", "blink", "happy"} <= set(remote("avatar_expressions")["expressions"])
    keys = {block.name: block.value for block in avatar.mesh.data.shape_keys.key_blocks}
    objects = len(bpy.data.objects)
    seen = {}
    for worn in ("rest", "aa", {"aa": 0.4, "blink": 1.0}):
        shown = remote("avatar_preview_expression", expression=worn, size=128)
        content = base64.b64decode(shown["image"])
        assert content.startswith(PNG) and shown["width"] == 128
        seen[str(worn)] = content
    assert len(set(seen.values())) == 3
    assert (
        keys == {block.name: block.value for block in avatar.mesh.data.shape_keys.key_blocks}
        and len(bpy.data.objects) == objects
    )


def test_what_cannot_be_done_is_said(bpy, remote, refused, tmp_path):
    assert "no avatar" in refused("avatar_bones").lower()
    assert "picture" in refused("avatar_make")
    assert "no file" in refused("avatar_make", picture=str(tmp_path / "none.png"))
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    assert "control character" in refused("avatar_make", picture=str(tmp_path / "a.png"), name="a\0b")
    for wrong, said in {"": "is empty", "  ": "is empty", "x.vrm": "not an absolute path"}.items():
        assert said in refused("avatar_make", picture=str(tmp_path / "a.png"), path=wrong)
    for wrong in ({}, [], 0, False):  # what counts as false is no path that was left out
        assert "wrong type" in refused("avatar_make", picture=str(tmp_path / "a.png"), path=wrong)
    assert "is a folder" in refused("avatar_make", picture=str(tmp_path)) and not remote("avatar_status")["jobs"]
    assert "no job" in refused("avatar_job", job="gone") and "no job" in refused("avatar_cancel", job="gone")
    assert "wrong type" in refused("avatar_runs", limit="many") and "wrong type" in refused("avatar_job", job=7)
    assert remote("avatar_cancel") == {"cancelled": []} and remote("avatar_jobs")["jobs"] is not None


DEEP = "[" * 100_000
DAMAGED = {
    "receipt.json": (
        "", "{", "[]", "null", '"x"', DEEP, '{"receipt": 2}', '{"receipt": 1, "parameters": [1]}', "\ufeff{}}",
        '{"receipt": 1, "name": {"a": 1}}', '{"receipt": 1, "report": {"counts": {"PASS": "many"}}}',
        '{"receipt": 1, "report": 1e999}', '{"receipt": 1, "picture": "x"}', b"\xff\xfe",
        None, "link", "pipe", "nowhere", '{"receipt": 1, "report": {"checks": [1]}}', " " * (5 << 20),
    ),
    "promotions.json": (
        "", "[1]", DEEP, '{"promotions": {"a": 1}}', '{"promotions": [[]]}', None, "link", "pipe", "nowhere",
        '{"promotions": [{"urls": [1]}]}', '{"promotions": [{"bucket": 7}]}',
    ),
}  # fmt: skip


def test_damaged_runs_are_named_and_keep_no_other_from_being_listed(remote, monkeypatch, tmp_path):
    monkeypatch.setenv("AVATAR_FORGE_RUNS", str(tmp_path))
    good = '{"receipt": 1, "name": "%s", "parameters": {"engine": "preview"}}' % ("Mia" * 100_000)
    damaged = [(name, kind) for name, kinds in DAMAGED.items() for kind in kinds]
    for number, (name, kind) in enumerate([*damaged, ("", "")]):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        (folder / "receipt.json").write_text(good)
        path = folder / name
        if name:
            path.unlink(missing_ok=True)
            if kind is None:
                path.mkdir()
            elif kind == "pipe":
                os.mkfifo(path)
            elif kind in ("link", "nowhere"):
                path.symlink_to("/dev/zero" if kind == "link" else folder / "nothing")
            else:
                path.write_bytes(kind if isinstance(kind, bytes) else kind.encode())
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "pictures").mkdir()
    listed = {run["run"]: run for run in remote("avatar_runs", limit=200)["runs"]}
    assert listed.pop("loop")["error"].startswith("receipt.json cannot be read (")
    for number, (name, kind) in enumerate(damaged):
        error = listed.pop(f"run-{number}")["error"]
        assert error.startswith(f"{name} cannot be read (it") or "(no such file" in error, (name, kind)
        assert error.endswith(f"delete the folder run-{number}.") and "object has no" not in error
    [whole] = listed.values()
    assert "error" not in whole and whole["name"].startswith("MiaMia") and whole["engine"] == "preview"


def test_what_fails_in_a_job_is_its_error(remote, refused, ends, avatar, tmp_path):
    assert "bucket" in refused("avatar_promote")
    assert "no folder" in refused("avatar_export", path=str(tmp_path / "none/mia.vrm"))
    wrong = tmp_path / "wrong.png"
    wrong.write_bytes(b"this is no picture")
    job = remote("avatar_make", picture=str(wrong))["job"]
    ends()
    state = remote("avatar_job", job=job)
    assert state["status"] == "failed" and state["error"].endswith(".") and "Traceback" not in state["error"]
