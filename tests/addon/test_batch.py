"""What other programs rely on of the batch (docs/batch.md), and the .blend file that another computer goes on with."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture
def quick(addon, made, monkeypatch):
    """The batch with the avatar that was made once in place of making one; `quick.made` are the names it made."""
    batch_run, batch = addon("batch_run"), addon("batch")
    digest = addon("files").digest
    report = addon("report.report").make_report(made.vrm).to_dict()
    names = []

    def make_avatar(context, request):
        yield addon("client.process.tasks").Stage("export", 0.8, "Writing the VRM file")
        if request.name.startswith("bad"):
            raise addon("errors").AvatarError("The figure is cropped; choose another picture.", "cropped")
        names.append(request.name)
        shutil.copy(made.vrm, request.vrm)
        receipt = {"receipt": 1, "run": f"run-{request.name}", "picture": {"sha256": digest(request.picture)}}
        request.receipt.write_text(json.dumps(receipt | {"report": report}))
        return SimpleNamespace(warnings=[], report=SimpleNamespace(checks=[]))

    monkeypatch.setattr(addon("workflow"), "make_avatar", make_avatar)

    def run(capsys, *arguments):
        options = batch.parse([str(word) for word in arguments])
        pictures, sides = batch.grouped(batch.find_pictures(options.pictures))
        stream = (options.out.parent / "lines.jsonl").open("w+") if options.json else None
        options.json = stream
        status = batch_run.run(options, pictures, sides, batch.names_for(pictures, options.name))
        said = capsys.readouterr()
        if stream:
            stream.seek(0)
        return status, [json.loads(line) for line in stream] if stream else said

    return SimpleNamespace(run=run, made=names)


def test_the_summary_for_programs_and_that_a_second_run_makes_nothing_again(quick, tmp_path, capsys):
    for name in ("ada", "bad"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    given = (tmp_path / "ada.png", tmp_path / "bad.png", tmp_path / "gone.png", "--out", tmp_path / "out", "--json")
    status, lines = quick.run(capsys, *given)
    assert status == 1 and lines[-1]["event"] == "summary" and lines[-1]["counts"] == {"made": 1, "failed": 2}
    ada, bad, gone = lines[-1]["avatars"]
    assert ada["status"] == "made" and ada["run"] == "run-ada" and ada["checks"]["PASS"] > 40
    assert ada["files"] == {"vrm": f"{tmp_path}/out/ada.vrm", "receipt": f"{tmp_path}/out/ada.receipt.json"}
    assert (bad["code"], gone["code"]) == ("cropped", "no_picture")
    assert [line["name"] for line in lines if line["event"] == "progress"] == ["ada", "bad"]

    _, lines = quick.run(capsys, *given)
    assert lines[-1]["avatars"][0]["status"] == "kept" and quick.made == ["ada"]
    assert {**lines[-1]["avatars"][0], "status": "made", "seconds": 0} == {**ada, "seconds": 0}
    (tmp_path / "ada.png").write_bytes(b"another picture")  # under the same name: the next version
    quick.run(capsys, *given)
    (tmp_path / "out" / "ada.receipt.json").unlink()  # killed before the end
    quick.run(capsys, *given)
    assert quick.made == ["ada", "ada", "ada"]


def test_what_is_damaged_in_the_output_folder_is_made_again_or_named(addon, made, tmp_path):
    """Neither a traceback nor a wait for ever; a folder in the place of a file is named before minutes of work."""
    run, vrm, path = addon("batch_run"), tmp_path / "ada.vrm", tmp_path / "ada.receipt.json"
    files, whole = {"vrm": vrm, "receipt": path}, {"receipt": 1, "run": "a", "picture": {"sha256": "5"}}
    shutil.copy(made.vrm, vrm)
    path.write_text(json.dumps(whole))
    assert run.is_complete(files, tmp_path / "ada.png", "5")
    parts = [{"report": [1]}, {"report": {"checks": [1]}}, {"run": ["x"]}, {"picture": 5}, {"receipt": 2}]
    for damage in [*(json.dumps(whole | part) for part in parts), "[" * 100_000, "", "[]", "{"]:
        path.write_text(damage)
        assert not run.is_complete(files, tmp_path / "ada.png", "5"), damage[:40]
        addon("batch_files").check_ours(tmp_path, "ada")
    for place in (path, vrm):
        content = place.read_bytes()
        place.unlink()
        os.mkfifo(place)
        assert not run.is_complete(files, tmp_path / "ada.png", "5")
        place.unlink()
        place.mkdir()
        assert not run.is_complete(files, tmp_path / "ada.png", "5")
        with pytest.raises(addon("errors").AvatarError, match="is a folder; move it away"):
            addon("batch_files").check_ours(tmp_path, "ada")
        place.rmdir()
        place.write_bytes(content)


def test_ctrl_c_while_another_add_on_works_undoes_the_avatar(picture, tmp_path):
    """Raised there, it would be caught by the VRM add-on, and the avatar be made all the same."""
    batch = Path(__file__).parents[2] / "avatar_addon" / "batch.py"
    arguments = [sys.executable, str(batch), "--", str(picture), "--out", str(tmp_path / "out"), "--no-record"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(arguments, start_new_session=True, **pipes) as process:
        for line in process.stdout:
            if "Writing the VRM file" in line:
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the worker too
                break
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 130 and "Interrupted." in errors and "Traceback" not in errors, errors
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rigger", "wrong"], "There is no rigger 'wrong'; choose from geometric, "),
        (["--rigger", "skintokens"], "The rigger 'skintokens' cannot run here: "),
        (["--candidate-engines", "preview,wrong"], "There is no generator 'wrong'; choose from preview, "),
    ],
)
def test_an_engine_that_cannot_run_is_told_before_anything_is_made(quick, tmp_path, capsys, arguments, sentence):
    (tmp_path / "ada.png").write_bytes(b"ada")
    given = [tmp_path / "ada.png", "--out", tmp_path / "out", *arguments]
    status, said = quick.run(capsys, *given)
    assert status == 2 and said.err.startswith(sentence) and not quick.made
    _, lines = quick.run(capsys, *given, "--json")
    assert lines[-1]["event"] == "summary" and lines[-1]["exit"] == 2 and lines[-1]["note"].startswith(sentence)


def test_files_of_others_are_never_written_over(quick, addon, tmp_path, capsys):
    out, precious = tmp_path / "out", tmp_path / "settings"
    out.mkdir()
    precious.write_text("mine")
    (tmp_path / "ada.png").write_bytes(b"ada")
    (out / "ada.vrm").write_bytes(b"mine")
    status, lines = quick.run(capsys, tmp_path / "ada.png", "--out", out, "--json")
    assert status == 1 and lines[-1]["avatars"][0]["code"] == "exists" and not quick.made
    assert (out / "ada.vrm").read_bytes() == b"mine"
    (out / "watch.jsonl").symlink_to(precious)
    options = addon("batch").parse(["--watch", str(tmp_path), "--out", str(out), "--once", "--json"])
    options.json = (tmp_path / "lines").open("w+")
    assert addon("batch_watch").run(options) == 2 and precious.read_text() == "mine"
    (out / "watch.jsonl").unlink()
    (out / "watch.jsonl").write_text("a diary of mine\n")
    assert addon("batch_watch").run(options) == 2 and (out / "watch.jsonl").read_text() == "a diary of mine\n"


@pytest.mark.parametrize("begun", ["", '{"sha', '{"sha256": "0123', '{"sha256": "0123", "file": "ada.png"'])
def test_a_journal_whose_first_line_is_unfinished_goes_on(addon, tmp_path, begun):
    (tmp_path / "watch.jsonl").write_text(begun)
    assert addon("batch_watch").Journal(tmp_path / "watch.jsonl").known == {}
    assert (tmp_path / "watch.jsonl").read_text() == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--settle", "nan"],
        ["--every", "-1"],
        ["--seed", str(2**70)],
        ["--candidates", "0"],
        ["--engine-options", "[" * 100000],
        ["--engine-options", '{"height": 1e999}'],
        ["--out", ""],
    ],
)
def test_odd_arguments_are_refused_in_one_sentence(addon, tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        addon("batch").parse(["ada.png", "--out", str(tmp_path), *arguments])
    assert ended.value.code == 2 and f"argument {arguments[0]}: " in capsys.readouterr().err.splitlines()[-1]


def test_a_packed_file_goes_on_on_another_computer(avatar, bpy, addon, tmp_path, monkeypatch, picture):
    packed_file, steps, workflow = addon("avatar.packed_file"), addon("publish.steps"), addon("workflow")
    first, seed = avatar.record.recorded_run, avatar.record.seed
    face = addon("avatar.scene").read_face(avatar)
    blend = packed_file.save(avatar, tmp_path / "companion.blend")
    assert avatar.record.picture == str(picture)  # the open file is as it was
    monkeypatch.setenv("AVATAR_FORGE_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)

    bpy.ops.wm.open_mainfile(filepath=str(blend))
    there = addon("avatar.scene").find_avatar(bpy.context)
    record = there.record
    named = [record.job_folder, record.run_folder, record.picture, bpy.context.scene.avatar_forge.picture]
    assert named == ["", "", picture.name, picture.name] and record.seed == seed
    assert all(image.packed_file for image in bpy.data.images if image.source == "FILE" and image.users)
    assert str(picture.parent).encode() not in repr(record.provenance).encode()
    assert addon("request").picture_path(bpy.context.scene).read_bytes() == picture.read_bytes()
    assert addon("avatar.scene").read_face(there).parts.keys() == face.parts.keys()

    there.armature.data.vrm_addon_extension.vrm1.meta.version = "2"
    vrm = workflow.export(there, tmp_path / "companion.vrm")
    report = addon("report.report").make_report(vrm)
    task = addon("client.process.tasks").Task(
        "Record", steps.record(there, {"vrm": vrm}, report, steps.Target()), addon("client.session").worker
    )
    receipt = json.loads(Path(task.wait()["receipt"]).read_text())
    assert receipt["parent"]["run"] == first and receipt["run"].startswith(f"{first}-")
    assert receipt["picture"]["sha256"] == addon("files").digest(picture)
    assert packed_file.parent(there) == {"run": receipt["run"], "vrm": receipt["files"]["vrm"]["sha256"]}


def test_a_blend_file_goes_on_at_the_steps_that_are_left(avatar, bpy, addon, tmp_path, made):
    parts, workflow, task = addon("parts"), addon("workflow"), addon("client.process.tasks").Task
    request = addon("request").Request(picture=made.vrm)
    assert parts.to_do(avatar, request) == {"rig", "pose", "face", "vrm", "export"}  # after a generator
    request.begun = request.blend = addon("avatar.packed_file").save(avatar, tmp_path / "ada.blend")
    assert parts.to_do(avatar, request) == {"export"}
    request.vrm, request.receipt, request.record = tmp_path / "ada.vrm", tmp_path / "ada.receipt.json", False
    request.blend = None
    task("Go on", workflow.make_avatar(bpy.context, request), addon("client.session").worker).wait()
    digest = addon("files").digest
    assert digest(request.vrm) == digest(made.vrm)
    receipt = json.loads(request.receipt.read_text())
    assert receipt["parameters"]["blend_sha256"] == digest(request.begun) and receipt["parameters"]["engine"]
    again = addon("avatar.scene").find_avatar(bpy.context)
    addon("avatar.step_states").done(again, "mesh")  # it was turned: the rig and all after it are to do again
    assert parts.to_do(again, request) == {"rig", "pose", "face", "vrm", "export"}
    request.until, request.blend = "face", tmp_path / "part.blend"
    at = parts.scale(request, {"face", "vrm", "export"})
    assert at(parts.BEGINS["face"]) == 0 and at(parts.ENDS["face"]) == pytest.approx(1)


def test_what_cannot_be_made_in_parts_is_told(quick, addon, tmp_path, capsys):
    (tmp_path / "ada.png").write_bytes(b"ada")
    out = tmp_path / "out"
    out.mkdir()
    (out / "ada.blend").write_bytes(b"mine")
    status, lines = quick.run(capsys, tmp_path / "ada.png", "--out", out, "--until", "rig", "--json")
    assert status == 1 and "--again replaces it" in lines[-1]["avatars"][0]["note"] and not quick.made
    batch = addon("batch")
    for words in (["ada.png", "--until", "rig", "--bucket", "b"], ["a.png", "b.png", "--mesh", "m.glb"]):
        assert batch.main([*words, "--out", str(out)]) == 2
    assert "give the picture that the model was made from" in capsys.readouterr().err


def test_the_watcher_takes_each_content_once_and_goes_on_after_a_restart(quick, addon, tmp_path, monkeypatch, made):
    inbox, out = tmp_path / "in", tmp_path / "out"
    inbox.mkdir()
    end = b"IEND\xaeB`\x82"
    png = b"\x89PNG\r\n\x1a\n"
    (inbox / "ada.png").write_bytes(png + b"ada" + end)
    (inbox / "copy.png").write_bytes(png + b"ada" + end)
    (inbox / "torn.png").write_bytes(png + b"half")
    (inbox / ".bea.png").write_bytes(png + b"bea" + end)
    (inbox / "bad.png").write_bytes(png + b"bad" + end)
    (inbox / "nowhere.png").symlink_to(inbox / "gone")
    (inbox / "circle.png").symlink_to(inbox / "circle.png")
    options = addon("batch").parse(["--watch", str(inbox), "--out", str(out), "--settle", "0", "--once"])
    options.json = None
    watch_module = addon("batch_watch")
    monkeypatch.setattr(addon("arrivals"), "TORN_AFTER", float("inf"))

    def turn():
        watch = watch_module.Watch(options, inbox, out, None, addon("batch_run").speaker(options))
        watch.turn(lambda: False)
        return [(row.name, row.status) for row in watch.rows]

    out.mkdir()
    assert turn() == [("ada", "made"), ("bad", "failed"), ("copy", "skipped")]
    with (out / "watch.jsonl").open("a") as journal:
        journal.write('{"sha256": "killed in the mid')
    (inbox / ".bea.png").rename(inbox / "bea.png")
    (inbox / "ada.png").rename(inbox / "renamed.png")
    (inbox / "torn.png").write_bytes(png + b"half and half" + end)
    assert dict(turn()) == {"bea": "made", "copy": "skipped", "renamed": "skipped", "torn": "made"}
    assert quick.made == ["ada", "bea", "torn"]
    with (inbox / "ada.jpg").open("wb") as other:
        other.write(b"\xff\xd8another ada\xff\xd9")
    turn()
    assert quick.made[-1].startswith("ada-") and len(json.loads((out / "watch.jsonl").read_text().splitlines()[0])) > 3


def test_what_others_have_put_into_the_folder_is_not_replaced(addon, made, tmp_path):
    files, error = addon("batch_files"), addon("errors").AvatarError
    files.check_ours(tmp_path, "mia")  # nothing is there
    for end in (".vrm", ".html", ".blend", ".receipt.json"):
        (tmp_path / f"mia{end}").write_text("precious")
        with pytest.raises(error) as caught:
            files.check_ours(tmp_path, "mia")
        assert caught.value.code == "exists" and f"mia{end}" in str(caught.value)
        (tmp_path / f"mia{end}").unlink()
    (tmp_path / "mia.html").write_text("of a run that was killed")
    shutil.copy(made.vrm, tmp_path / "mia.vrm")
    files.check_ours(tmp_path, "mia")
    (tmp_path / "mia.vrm").write_text("")
    (tmp_path / "mia.receipt.json").write_text('{"receipt": 1}')
    files.check_ours(tmp_path, "mia")


@pytest.mark.parametrize("text", ["{", "[]", '{"joints": {"hips": [NaN, 1]}}', '{"a": 1e999}', "[" * 99999])
def test_a_markers_file_of_another_kind_is_named(addon, tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(addon("errors").AvatarError) as caught:
        addon("request").read_markers(tmp_path / "m.json")
    assert caught.value.code == "bad_markers" and "m.json" in str(caught.value)
