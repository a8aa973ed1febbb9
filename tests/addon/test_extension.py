"""Registration, panels, what operators say when they cannot run."""

import functools
from types import SimpleNamespace

import pytest

OPERATORS = ("make_avatar", "generate", "rig", "pose", "face", "set_up_vrm", "export", "cancel", "install_backend", "show_install_plan")


class Layout:
    """Takes every call a panel makes and writes down operators, properties and texts."""

    def __init__(self, said=None):
        self.said = [] if said is None else said

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.said.append((name, *(args[1:] if name == "prop" else args), kwargs.get("text", "")))
            return SimpleNamespace() if name == "operator" else Layout(self.said)

        return call

    @property
    def texts(self):
        return " ".join(str(part) for entry in self.said for part in entry)


def panels(bpy):
    classes = bpy.types.Panel.__subclasses__()
    return [cls for cls in classes if cls.__name__.startswith("AVATARFORGE_PT_") and hasattr(bpy.types, cls.__name__)]


class Shown:
    """A panel or the preferences as Blender makes them: an instance with a layout. The class itself cannot be called from here."""

    def __init__(self, cls, **attributes):
        self._cls, self.layout = cls, Layout()
        self.__dict__ |= attributes

    def __getattr__(self, name):
        return functools.partial(getattr(self._cls, name), self)


def draw(bpy, panel, **attributes):
    shown = Shown(panel, **attributes)
    panel.draw(shown, bpy.context)
    return shown.layout


def test_enabled_disabled_and_enabled_again(bpy, extension):
    for _ in range(3):
        assert bpy.ops.preferences.addon_disable(module=extension.__name__) == {"FINISHED"}
        assert not hasattr(bpy.types.Scene, "avatar_forge")
        assert not any(hasattr(bpy.types, f"AVATAR_FORGE_OT_{name}") for name in OPERATORS)
        assert bpy.ops.preferences.addon_enable(module=extension.__name__) == {"FINISHED"}
    assert all(hasattr(bpy.types, f"AVATAR_FORGE_OT_{name}") for name in OPERATORS)
    assert len([handler for handler in bpy.app.handlers.load_pre if handler.__module__.startswith(extension.__name__)]) == 1


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
    hello = addon("session").worker().submit(addon("jobs").Job("hello")).wait()
    addon("properties").learn_engines(hello)
    offered = {item.identifier for item in bpy.types.Scene.avatar_forge.keywords["type"].bl_rna.properties["engine"].enum_items}
    assert {engine["name"] for engine in hello["generators"]} >= {"preview"}
    settings = bpy.context.scene.avatar_forge
    for engine in hello["generators"]:
        settings.engine = engine["name"]
        assert settings.engine == engine["name"]
    assert offered is not None
