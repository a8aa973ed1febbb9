"""Registration, panels, what operators say when they cannot run."""

import functools
import inspect
import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

OPERATORS = (
    "make_avatar",
    "generate",
    "rig",
    "pose",
    "face",
    "set_up_vrm",
    "export",
    "cancel",
    "install_backend",
    "show_install_plan",
)


class Layout:
    """Takes every call a panel makes and writes down operators, properties and texts."""

    def __init__(self, said=None):
        self.said = [] if said is None else said

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.said.append((name, *(args[1:] if name == "prop" else args), kwargs.get("text", "")))
            if name in ("panel", "panel_prop"):
                return Layout(self.said), Layout(self.said)
            return SimpleNamespace() if name == "operator" else Layout(self.said)

        return call

    @property
    def texts(self):
        return " ".join(str(part) for entry in self.said for part in entry)


def panels(bpy):
    classes = bpy.types.Panel.__subclasses__()
    return [cls for cls in classes if cls.__name__.startswith("AVATARFORGE_PT_") and hasattr(bpy.types, cls.__name__)]


class Shown:
    """A panel or the preferences as Blender makes them: an instance with a layout. The class itself cannot be called
    from here.
    """

    def __init__(self, cls, **attributes):
        self._cls, self.layout = cls, Layout()
        self.__dict__ |= attributes

    def __getattr__(self, name):
        return functools.partial(getattr(self._cls, name), self)


def draw(bpy, panel, **attributes):
    shown = Shown(panel, **attributes)
    panel.draw(shown, bpy.context)
    return shown.layout


def children():
    """Command and state of the processes that this one has started."""
    numbers = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    command = {number: Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode() for number in numbers}
    return [
        f"{command[number]} {Path(f'/proc/{number}/stat').read_text().rpartition(')')[2].split()[0]}"
        for number in numbers
    ]


def ours(extension, bpy):
    """What of the extension is alive in this process: handlers by list, threads, child processes, classes, keymap
    items.
    """
    handlers = {
        name: len([entry for entry in values if getattr(entry, "__module__", "").startswith(extension.__name__)])
        for name, values in ((name, getattr(bpy.app.handlers, name)) for name in dir(bpy.app.handlers))
        if isinstance(values, list)
    }
    keymaps = bpy.context.window_manager.keyconfigs.addon
    return {
        "handlers": {name: count for name, count in handlers.items() if count},
        "threads": [thread.name for thread in threading.enumerate() if thread.name.startswith("avatar-forge")],
        "children": children(),
        "classes": [name for name in dir(bpy.types) if name.lower().startswith(("avatarforge", "avatar_forge"))],
        "keys": [
            item.idname
            for keymap in (keymaps.keymaps if keymaps else ())
            for item in keymap.keymap_items
            if "avatar_forge" in item.idname
        ],
        "timers": [
            f"{name}.{timer.__name__}"
            for name, module in list(sys.modules.items())
            if name.startswith(extension.__name__)
            for timer in vars(module).values()
            if inspect.isfunction(timer) and bpy.app.timers.is_registered(timer)
        ],
    }


def begin_a_job(addon, bpy, picture):
    """A task in the slot, as an operator's, whose job the worker is busy with. Returns the task."""
    workflow, task_slot = addon("workflow"), addon("client.task_slot")
    request = workflow.Request(picture, record=False)
    task = addon("client.process.tasks").Task(
        "Make Avatar", workflow.make_avatar(bpy.context, request), addon("client.session").worker
    )
    task_slot.begin(task)
    deadline = time.monotonic() + 240
    while not task.stage:
        assert not task_slot.poll(task), task.error
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return task


def test_disabled_enabled_and_loaded_with_jobs_running(bpy, extension, addon, picture, tmp_path):
    blend = str(tmp_path / "empty.blend")
    bpy.ops.wm.save_as_mainfile(filepath=blend)
    addon("client.session").close()
    usual = ours(extension, bpy)
    assert usual["classes"] and not usual["children"]
    for number in range(4):
        task = begin_a_job(addon, bpy, picture)
        assert ours(extension, bpy)["children"] and bpy.context.window_manager.avatar_forge.running
        if number in (1, 2):  # another file takes this one's place
            bpy.ops.wm.open_mainfile(filepath=blend)
            assert task.done and task.error.code == "cancelled"
            assert not bpy.context.window_manager.avatar_forge.running and not bpy.context.scene.objects
            task = begin_a_job(addon, bpy, picture)
        assert bpy.ops.preferences.addon_disable(module=extension.__name__) == {"FINISHED"}
        assert task.done and task.error.code == "cancelled" and not bpy.context.scene.objects
        deadline = time.monotonic() + 20  # a thread that was told to end does so when the machine lets it
        while ours(extension, bpy)["threads"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(ours(extension, bpy).values()), ours(extension, bpy)
        assert not hasattr(bpy.types.Scene, "avatar_forge")
        assert bpy.ops.preferences.addon_enable(module=extension.__name__) == {"FINISHED"}
        assert ours(extension, bpy) == usual
    assert all(hasattr(bpy.types, f"AVATAR_FORGE_OT_{name}") for name in OPERATORS)


def test_every_panel_draws_in_an_empty_file(bpy):
    drawn = [draw(bpy, panel) for panel in panels(bpy) if not hasattr(panel, "poll") or panel.poll(bpy.context)]
    assert len(drawn) >= 3
    assert any("avatar_forge.make_avatar" in layout.texts for layout in drawn)


def test_every_panel_draws_an_avatar(bpy, avatar):
    drawn = [draw(bpy, panel) for panel in panels(bpy) if not hasattr(panel, "poll") or panel.poll(bpy.context)]
    texts = " ".join(layout.texts for layout in drawn)
    assert "avatar_forge.export" in texts and "avatar_forge.show_face_markers" in texts
    assert "Preview" in texts  # what it was made with is said


@pytest.mark.parametrize("name", ["make_avatar", "rig", "pose", "face", "export", "cancel"])
def test_an_operator_that_cannot_run_is_greyed_out(bpy, name):
    assert not getattr(bpy.ops.avatar_forge, name).poll()


def test_every_disabled_button_says_why(bpy):
    silent = []
    for name in dir(bpy.ops.avatar_forge):
        operator = getattr(bpy.ops.avatar_forge, name)
        if operator.poll():
            continue
        with pytest.raises(RuntimeError) as error:
            operator()
        if "context is incorrect" in str(error.value):  # what Blender says where the operator says nothing
            silent.append(name)
    assert silent == []


def test_make_avatar_waits_for_a_picture(bpy, tmp_path, picture):
    settings = bpy.context.scene.avatar_forge
    settings.picture = str(tmp_path / "nothing.png")
    assert not bpy.ops.avatar_forge.make_avatar.poll()
    settings.picture = str(picture)
    assert bpy.ops.avatar_forge.make_avatar.poll()


def test_an_error_is_one_sentence_in_the_panel(bpy, tmp_path):
    wrong = tmp_path / "wrong.png"
    wrong.write_text("this is no picture")
    bpy.context.scene.avatar_forge.picture = str(wrong)
    with pytest.raises(RuntimeError) as report:
        bpy.ops.avatar_forge.make_avatar()
    state = bpy.context.window_manager.avatar_forge
    assert state.error and state.error in str(report.value)
    assert "Traceback" not in state.error and state.error.endswith(".")
    assert not bpy.context.scene.objects and not state.running


def test_settings_offer_every_engine_the_backend_has(bpy, addon):
    hello = addon("client.session").worker().submit(addon("client.process.jobs").Job("hello")).wait()
    addon("client.engines").learn_engines(hello)
    offered = {
        item.identifier for item in bpy.types.Scene.avatar_forge.keywords["type"].bl_rna.properties["engine"].enum_items
    }
    assert {engine["name"] for engine in hello["generators"]} >= {"preview"}
    settings = bpy.context.scene.avatar_forge
    for engine in hello["generators"]:
        settings.engine = engine["name"]
        assert settings.engine == engine["name"]
    assert offered is not None
