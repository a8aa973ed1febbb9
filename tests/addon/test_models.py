"""Models and the engines' options in the window: preferences, operators, presets, what reaches the backend."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.addon.test_extension import Layout, draw, panels

ROOT = Path(__file__).resolve().parents[2]
BACKEND = os.environ.get("AVATAR_FORGE_BACKEND_PYTHON", "")
TINY = "from pathlib import Path; from tests.unit.tiny_trellis import make_checkpoint; make_checkpoint(Path({!r}))"


@pytest.fixture
def preferences(bpy, addon, extension, monkeypatch):
    """The add-on's preferences, as they were afterwards."""
    for name in ("AVATAR_FORGE_MODELS", "AVATAR_FORGE_TRELLIS", "AVATAR_FORGE_UNIRIG"):
        monkeypatch.delenv(name, raising=False)
    chosen = addon("client.session").preferences()
    yield chosen
    for name in ("models_folder", "trellis_folder", "unirig_folder"):
        chosen.property_unset(name)
    addon("client.model_store").forget()
    addon("client.session").close()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A checkpoint folder of TRELLIS' layout, with tiny networks that make noise."""
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([BACKEND, "-c", TINY.format(str(folder))], cwd=ROOT, env=env, check=True)
    return folder


@pytest.fixture
def settings(bpy):
    return bpy.context.scene.avatar_forge


def run(addon, steps):
    return addon("client.process.tasks").Task("Test", steps, addon("client.session").worker).wait()


def drawn(bpy, addon):
    """What the preferences' box of models shows."""
    layout = Layout()
    addon("preferences.models_box").draw(layout, bpy.context)
    return layout


def option_panels(bpy):
    return " ".join(
        draw(bpy, panel).texts
        for panel in panels(bpy)
        if panel.__name__.endswith(("PT_options", "PT_advanced"))
        and (not hasattr(panel, "poll") or panel.poll(bpy.context))
    )


def test_the_box_shows_licence_size_and_what_can_be_done(bpy, addon, preferences):
    run(addon, addon("client.model_store").refresh())
    box = drawn(bpy, addon)
    for words in ("TRELLIS", "UniRig", "4.0 GB, licence MIT, Apache-2.0", "1.4 GB, licence MIT", "Not downloaded."):
        assert words in box.texts
    assert "avatar_forge.download_model" in box.texts and "avatar_forge.use_model_folder" in box.texts
    assert "avatar_forge.remove_model" not in box.texts


def test_models_lie_in_the_extensions_folder_or_where_the_preferences_say(addon, preferences, tmp_path):
    store, session = addon("client.model_store"), addon("client.session")
    run(addon, store.refresh())
    assert Path(store.row("trellis")["folder"]).is_relative_to(session.user_folder("models"))
    before = session.worker().pid
    preferences.models_folder = str(tmp_path)
    assert store.rows() is None
    run(addon, store.refresh())
    assert store.row("unirig")["folder"] == str(tmp_path / "unirig") and session.worker().pid != before


def test_a_download_waits_for_the_permission_to_go_online(bpy, preferences):
    bpy.context.preferences.system.use_online_access = False
    assert not bpy.ops.avatar_forge.download_model.poll()


def test_a_download_that_fails_is_one_sentence(bpy, addon, preferences, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    addon("client.session").close()
    bpy.context.preferences.system.use_online_access = True
    try:
        with pytest.raises(RuntimeError, match="hub cannot be reached"):
            bpy.ops.avatar_forge.download_model(model="unirig")
    finally:
        bpy.context.preferences.system.use_online_access = False
    assert "hub cannot be reached" in drawn(bpy, addon).texts and not addon("client.model_store").busy()


def test_a_folder_of_ones_own(bpy, addon, preferences, tiny, tmp_path, settings):
    store = addon("client.model_store")
    settings.engine = "trellis"
    run(addon, store.refresh())
    make = next(panel for panel in panels(bpy) if panel.__name__ == "AVATARFORGE_PT_make")
    texts = draw(bpy, make).texts
    assert "The weights of TRELLIS" in texts and "preferences.addon_show" in texts
    with pytest.raises(RuntimeError, match="no pipeline"):
        bpy.ops.avatar_forge.use_model_folder(model="trellis", directory=str(tmp_path))
    assert preferences.trellis_folder == ""
    bpy.ops.avatar_forge.use_model_folder(model="trellis", directory=str(tiny))
    assert store.row("trellis")["installed"] and "avatar_forge.forget_model_folder" in drawn(bpy, addon).texts
    assert "weights" not in draw(bpy, make).texts
    bpy.ops.avatar_forge.forget_model_folder(model="trellis")
    assert not store.row("trellis")["installed"] and (tiny / "pipeline.json").exists()


def test_a_model_is_removed(bpy, addon, preferences, tmp_path):
    preferences.models_folder = str(tmp_path)
    folder = tmp_path / "unirig" / "skin" / "articulation-xl"
    folder.mkdir(parents=True)
    (folder / "model.ckpt").write_bytes(b"x" * 1000)
    run(addon, addon("client.model_store").refresh())
    assert "Not complete" in drawn(bpy, addon).texts
    assert bpy.ops.avatar_forge.remove_model(model="unirig") == {"FINISHED"}
    assert not (tmp_path / "unirig").exists() and addon("client.model_store").row("unirig")["state"] == "missing"


def test_options_are_drawn_for_the_chosen_engines_only(bpy, settings):
    texts = option_panels(bpy)
    assert "triangles" in texts and "memory" not in texts and "bone_class" not in texts
    settings.engine, settings.rigger = "trellis", "unirig"
    texts = option_panels(bpy)
    assert "memory" in texts and "bone_class" in texts and "triangles" not in texts and "structure_steps" not in texts
    settings.trellis.own_sampling = True
    assert "structure_steps" in option_panels(bpy)


def test_options_reach_the_backend_and_have_its_limits(bpy, addon, settings, picture):
    """Every option at its lowest and highest value, and every default, is one that the engine's own check takes."""
    options, engines = addon("client.engine_options"), addon("client.engines")
    given = []
    for kind, row in engines.all_rows():
        setattr(settings, options.SETTINGS[kind], row["name"])
        group = options.group_of(settings, kind)
        if group is None:
            continue
        values_of = {"generators": options.engine_options, "riggers": options.rigger_options}[kind]
        switches = {option["switch"]["name"] for option in row["options"] if option["switch"]}
        given.append((kind, row["name"], values_of(settings), True))
        for name in switches:
            setattr(group, name, True)
        for name, prop in group.bl_rna.properties.items():
            if name in ("rna_type", "name"):
                continue
            if prop.type == "ENUM":
                values = [item.identifier for item in prop.enum_items]
            elif prop.type in ("INT", "FLOAT"):
                values = [prop.hard_min, prop.hard_max]
            else:
                continue
            for value in values:
                setattr(group, name, value)
                given.append((kind, row["name"], values_of(settings), False))
        sent = {o["name"] for o in row["options"] if o["shown"] and o["type"] not in ("seed", "paths")}
        assert set(given[-1][2]) == sent
    code = (
        "import json, sys; from backend.registry import Engines, checked_options\n"
        "for kind, name, given, is_default in json.load(sys.stdin):\n"
        "    engine = Engines(kind)._load(name); checked = checked_options(engine, given)\n"
        "    assert not is_default or checked == checked_options(engine, {}), (name, checked)\n"
    )
    ended = subprocess.run([BACKEND, "-c", code], cwd=ROOT, input=json.dumps(given), capture_output=True, text=True)
    assert len(given) > 40 and ended.returncode == 0, ended.stderr


def test_options_of_a_file_of_version_0_1(bpy, addon):
    """options-0.1.blend: the options' properties were written in the add-on then; it has a value of each."""
    bpy.ops.wm.open_mainfile(filepath=str(Path(__file__).with_name("files") / "options-0.1.blend"))
    settings, options = bpy.context.scene.avatar_forge, addon("client.engine_options")
    assert (settings.engine, settings.rigger, settings.seed) == ("trellis", "unirig", 7)
    assert options.engine_options(settings) == {
        "preset": "quality",
        "height": 1.75,
        "faces": 12345,
        "texture_size": 2048,
        "memory": "low",
        "structure_steps": 33,
        "structure_cfg": 4.5,
        "latent_steps": 44,
        "latent_cfg": 2.5,
        "device": "cpu",
        "dtype": "fp32",
    }
    expected = {"class": "vroid", "preset": "greedy", "grammar": "upstream", "attempts": 9, "device": "mps"}
    assert options.rigger_options(settings) == expected | {"dtype": "bf16"} and options.rigger_seed(settings) == 5
    settings.engine = "preview"
    assert options.engine_options(settings) == {"height": 1.25, "triangles": 9000, "texture_size": 512}


OTHERS = {
    "generators": [
        {"name": "silent", "label": "Silent", "available": True, "reason": ""},  # describes nothing
        {
            "name": "my-engine",
            "label": "Mine",
            "available": True,
            "reason": "",
            "options": [],
            "models": [],
            "views": 1,
        },
    ],
    "riggers": [],
}
GLOSS = {
    "name": "gloss",
    "property": "gloss",
    "type": "float",
    "default": 0.5,
    "initial": None,
    "label": "Gloss",
    "help": "How shiny",
    "low": 0.0,
    "high": 1.0,
    "choices": [],
    "pattern": "",
    "unit": "",
    "digits": 2,
    "switch": None,
    "advanced": False,
    "shown": True,
    "attribute": "",
    "code": "bad_params",
    "hint": "",
}
MODEL = {"name": "mine", "label": "My model", "licence": "MIT", "size": 5, "variable": "AVATAR_FORGE_MINE"}


def test_an_engine_of_another_package_gets_its_options_and_its_models_folder(bpy, addon, preferences, settings):
    engines, options = addon("client.engines"), addon("client.engine_options")
    preferences.trellis_folder = "/kept"
    engines.learn_engines(OTHERS)
    settings.engine = "silent"
    assert options.engine_options(settings) == {} and option_panels(bpy)
    mine = {**OTHERS["generators"][1], "options": [GLOSS], "models": [MODEL]}
    engines.learn_engines({"generators": [mine]})
    settings.engine = "my-engine"
    assert options.engine_options(settings) == {"gloss": 0.5} and "gloss" in option_panels(bpy)
    options.group_of(settings, "generators").gloss = 0.75
    both = [GLOSS, {**GLOSS, "name": "shine", "property": "shine", "default": 0.25}]
    engines.learn_engines({"generators": [{**mine, "options": both}]})
    assert options.engine_options(settings) == {"gloss": 0.75, "shine": 0.25}
    session = addon("client.session")
    session.set_own_folder("mine", "/somewhere")
    assert session.own_folder("mine") == "/somewhere" and session.own_folder("trellis") == "/kept"
    assert session._model_variables().items() >= {"AVATAR_FORGE_MINE": "/somewhere"}.items()
    assert options.attribute("generators", "my-engine") in options.paths()
    engines.learn_engines({"generators": []})  # its package was removed
    assert "my-engine" not in engines.GENERATORS and "preview" in engines.GENERATORS


def test_the_request_has_the_options(bpy, addon, settings, picture):
    make = sys.modules[addon("workflow").__name__.replace("avatar_addon.workflow", "operators.make_avatar")]
    settings.picture, settings.seed = str(picture), 7
    settings.preview.texture_size = 512
    request = make.request(bpy.context)
    assert request.engine_options == {"height": 1.6, "triangles": 28000, "texture_size": 512}
    assert request.rigger_options == {} and request.skeleton_seed == 7
    settings.rigger, settings.unirig.skeleton_seed, settings.unirig.bone_class = "unirig", 3, "vroid"
    request = make.request(bpy.context)
    assert request.rigger_options["class"] == "vroid" and request.skeleton_seed == 3 and request.seed == 7
    assert request.parameters()["rigger_seed"] == 3


def test_a_preset_keeps_the_settings(bpy, settings):
    menu = bpy.types.AVATARFORGE_MT_generation_presets
    settings.engine, settings.rigger = "trellis", "unirig"
    settings.trellis.faces, settings.unirig.grammar = 12345, "upstream"
    assert bpy.ops.avatar_forge.add_generation_preset(name="Small game") == {"FINISHED"}
    settings.engine, settings.rigger, settings.trellis.faces, settings.unirig.grammar = (
        "preview",
        "geometric",
        900,
        "strict",
    )
    path = bpy.utils.preset_find("Small_game", menu.preset_subdir)
    try:
        bpy.ops.script.execute_preset(filepath=path, menu_idname=menu.__name__)
        assert (settings.engine, settings.rigger, settings.trellis.faces, settings.unirig.grammar) == (
            "trellis",
            "unirig",
            12345,
            "upstream",
        )
        assert menu.bl_label == "Small game"
        bpy.ops.avatar_forge.add_generation_preset(remove_active=True)
        assert not Path(path).exists()
    finally:
        menu.bl_label = "Presets"
        shutil.rmtree(Path(path).parent, ignore_errors=True)
