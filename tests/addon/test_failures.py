"""Whatever goes wrong: one sentence, no half file, and Blender goes on."""

import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest

GENERATOR_STAGES = ("mask", "inflate", "surface", "texture", "write")
BLENDER_STAGES = ("pose", "face", "vrm", "export", "sheet")


@pytest.fixture
def start(bpy, addon, picture, tmp_path, mesh_folder):
    """start() -> a task that makes an avatar into tmp_path/out; mesh=True: from the generator's mesh on; sheet=True:
    with its contact sheet, which takes longer than all the rest.
    """

    def start(picture=picture, record=False, mesh=False, sheet=False):
        workflow = addon("workflow")
        out = tmp_path / "out"
        request = workflow.Request(picture, vrm=out / "a.vrm", sheet=out / "a.png" if sheet else None, record=record)
        request.generated = mesh_folder if mesh else None
        return addon("client.process.tasks").Task(
            "Make", workflow.make_avatar(bpy.context, request), addon("client.session").worker
        )

    return start


def reach(start, stage, note=lambda: None):
    """A task that is in the stage, or just behind it where the stage takes milliseconds only, and what `note` returned
    before it began.
    """
    noted, task = note(), start(mesh=stage not in GENERATOR_STAGES, sheet=stage == "sheet")
    deadline = time.monotonic() + 120
    while task.stage != stage and stage not in task.seconds and not task.poll():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert not task.done, f"it ended before {stage}: {task.error}"
    return task, noted


def finish(task):
    while not task.poll():
        time.sleep(0.005)


def is_sentence(text):
    return text.endswith(".") and "\n" not in text and "Traceback" not in text


def files(folder):
    return sorted(name for _, folders, names in os.walk(folder) for name in folders + names)


@pytest.mark.parametrize("stage", ["inflate", "weights"])
def test_the_backend_is_killed(stage, start, addon, tmp_path):
    task, _ = reach(start, stage)
    os.kill(addon("client.session").worker().pid, signal.SIGKILL)
    finish(task)
    assert task.error.code == "backend_died" and is_sentence(str(task.error))
    assert files(tmp_path / "out") == []


def test_a_run_that_cannot_be_recorded_costs_no_avatar(start, addon, monkeypatch, tmp_path):
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(addon("avatar.scene"), "export_glb", no_space)
    task = start(record=True, mesh=True)
    finish(task)
    assert task.error is None and files(tmp_path / "out") == ["a.vrm"]
    (warning,) = [entry for entry in task.result.warnings if entry["code"] == "record"]
    assert is_sentence(warning["message"]) and not task.result.avatar.record.run_folder


def test_after_a_death_the_next_run_works(start, addon, tmp_path):
    task, _ = reach(start, "inflate")
    os.kill(addon("client.session").worker().pid, signal.SIGKILL)
    finish(task)
    assert task.error
    again = start()
    finish(again)
    assert again.error is None and files(tmp_path / "out") == ["a.vrm"]


@pytest.mark.parametrize("stage", ("inflate", "texture", "weights", *BLENDER_STAGES))
def test_cancelled(stage, start, addon, bpy, tmp_path):
    kinds = ("objects", "meshes", "armatures", "materials", "images", "scenes", "cameras", "worlds")
    addon("client.session").jobs_folder().mkdir(
        parents=True, exist_ok=True
    )  # the first job of all makes it, and it stays

    def what_is_there():
        return {kind: set(getattr(bpy.data, kind)) for kind in kinds}, files(addon("client.session").runs_folder())

    task, (before, runs) = reach(start, stage, what_is_there)
    task.cancel()
    begun = time.monotonic()
    finish(task)
    assert task.error.code == "cancelled"
    assert time.monotonic() - begun < 10  # a hang, not a speed
    left = {kind: set(getattr(bpy.data, kind)) - before[kind] for kind in kinds}
    assert not {item for kind in kinds for item in left[kind] if item.name not in ("Render Result", "Viewer Node")}
    until = time.monotonic() + 60  # the worker still clears up
    while files(addon("client.session").runs_folder()) != runs and time.monotonic() < until:
        time.sleep(0.02)
    assert files(addon("client.session").runs_folder()) == runs
    assert "a.vrm" not in files(tmp_path / "out") or stage == "sheet"
    assert not [name for name in files(tmp_path / "out") if "part" in name]


def test_the_disk_is_full_when_the_vrm_is_written(start, addon, monkeypatch, bpy, tmp_path, capsys):
    write = Path.write_bytes

    def no_space(path, data):
        if path.suffix != ".vrm":
            return write(path, data)
        write(path, data[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", no_space)
    task = start(mesh=True)
    finish(task)
    assert is_sentence(str(task.error)) and f"{tmp_path / 'out'}: no space left" in str(task.error)
    assert "Traceback" not in capsys.readouterr().err
    assert files(tmp_path / "out") == []
    assert bpy.data.armatures  # the avatar stays, to be exported elsewhere


def test_an_existing_file_survives_a_failed_export(avatar, addon, monkeypatch, tmp_path):
    path = tmp_path / "a.vrm"
    path.write_bytes(b"the good old file")
    monkeypatch.setattr(addon("export"), "_run", lambda armature, part: part.write_bytes(b"glTF, but no more"))
    with pytest.raises(addon("errors").AvatarError) as error:
        addon("workflow").export(avatar, path)
    assert is_sentence(str(error.value)) and path.read_bytes() == b"the good old file" and files(tmp_path) == ["a.vrm"]


def test_a_folder_that_cannot_be_written(avatar, addon, tmp_path):
    (tmp_path / "file").write_text("in the way")
    task = addon("client.process.tasks").Task(
        "Export", _export(addon, avatar, tmp_path / "file" / "a.vrm"), addon("client.session").worker
    )
    finish(task)
    assert is_sentence(str(task.error)) and "folder" in str(task.error)


def test_the_runs_folder_cannot_be_written(start, addon, bpy, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(addon("client.session"), "runs_folder", lambda: tmp_path / "file" / "runs")
    task = start()
    finish(task)
    assert (
        task.error.code == "not_writable" and is_sentence(str(task.error)) and str(tmp_path / "file") in str(task.error)
    )
    assert not bpy.context.scene.objects


def test_a_picture_that_is_a_text_file(start, bpy, tmp_path):
    letter = tmp_path / "letter.png"
    letter.write_text("Dear reader")
    task = start(letter)
    finish(task)
    assert is_sentence(str(task.error)) and "letter.png" in str(task.error)
    assert not bpy.context.scene.objects and files(tmp_path / "out") == []


def _export(addon, avatar, path):
    yield addon("client.process.tasks").Stage("export", 0.0, "Writing")
    addon("workflow").export(avatar, path)


def test_the_avatar_is_deleted_while_the_backend_works(start, bpy):
    task, _ = reach(start, "weights")
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    finish(task)
    assert task.error.code == "deleted" and is_sentence(str(task.error))


def test_two_tasks_at_once_share_the_backend(start, addon, bpy, picture, tmp_path):
    workflow = addon("workflow")
    tasks = [
        addon("client.process.tasks").Task(
            name, workflow.generate(bpy.context, workflow.Request(picture, name=name)), addon("client.session").worker
        )
        for name in ("first", "second")
    ]
    while False in [task.poll() for task in tasks]:
        time.sleep(0.005)
    assert [task.error for task in tasks] == [None, None]
    assert {obj.name for obj in bpy.data.objects} == {"first", "second"}


def test_no_thread_is_left_behind(start, addon):
    task, _ = reach(start, "inflate")
    task.cancel()
    finish(task)
    addon("client.session").close()
    deadline = time.monotonic() + 60
    while threading.active_count() > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() == 1
