"""Writes files.tar.xz with version 0.1 (see README.md): PYTHON make.py CHECKOUT, where PYTHON has bpy 4.5."""

import hashlib
import importlib
import json
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

checkout = Path(sys.argv[1]).absolute()
work = Path(tempfile.mkdtemp(prefix="avatar-forge-files-"))
out = work / "out"
os.environ["BLENDER_USER_RESOURCES"], os.environ["AVATAR_FORGE_RUNS"] = str(work / "user"), str(work / "runs")
sys.path.insert(0, str(checkout))  # its tests/addon/conftest.py does the same in a symbolic link

import bpy  # noqa: E402

folder = work / "user/extensions/user_default"
folder.mkdir(parents=True)
(folder / "avatar_forge").symlink_to(checkout, target_is_directory=True)
assert bpy.ops.preferences.addon_enable(module="bl_ext.user_default.avatar_forge") == {"FINISHED"}
bpy.context.preferences.filepaths.save_version = 0
part = {
    name: importlib.import_module(f"bl_ext.user_default.avatar_forge.avatar_addon.{name}")
    for name in ("workflow", "tasks", "session", "scene", "publish", "markers")
}
out.mkdir()


def save(name):
    bpy.ops.wm.save_as_mainfile(filepath=str(out / f"{name}.blend"), check_existing=False, copy=True)


def do(steps):
    return part["tasks"].Task("Make", steps, part["session"].worker).wait()


bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
settings = bpy.context.scene.avatar_forge
picture = work / "companion.png"
small = bpy.data.images.load(str(checkout / "examples/companion.png"))
small.scale(small.size[0] * 512 // max(small.size), small.size[1] * 512 // max(small.size))
small.filepath_raw, small.file_format = str(picture), "PNG"
small.save()
bpy.data.images.remove(small)
settings.picture, settings.author, settings.seed = str(picture), "Tester", 3
settings.preview.triangles, settings.preview.texture_size, settings.preview.height = 4000, 256, 1.4
settings.publish_name, settings.sentence = "companion", "hello"
assert bpy.ops.avatar_forge.add_generation_preset(name="Small") == {"FINISHED"}

assert bpy.ops.avatar_forge.check_markers() == {"FINISHED"}
bpy.data.objects["Left Wrist"].location.z += 0.01
save("1-picture-markers")
assert bpy.ops.avatar_forge.accept_picture_markers() == {"FINISHED"}
assert bpy.ops.avatar_forge.generate() == {"FINISHED"}
save("2-mesh")
assert bpy.ops.avatar_forge.rig() == {"FINISHED"}
save("3-rig")
assert bpy.ops.avatar_forge.pose() == {"FINISHED"}
assert bpy.ops.avatar_forge.show_face_markers() == {"FINISHED"}
save("4-t-pose")
assert bpy.ops.avatar_forge.apply_face_markers() == {"FINISHED"}
avatar = part["scene"].find_avatar(bpy.context)
avatar.record.visemes.aa.strength = 1.2
save("5-face")
assert bpy.ops.avatar_forge.set_up_vrm() == {"FINISHED"}
meta = avatar.armature.data.vrm_addon_extension.vrm1.meta
meta.contact_information, meta.version = "tester@example.org", "7"
assert bpy.ops.avatar_forge.add_meta_preset(name="Tester") == {"FINISHED"}
save("6-vrm")
vrm = work / "companion.vrm"
assert bpy.ops.avatar_forge.export(filepath=str(vrm), version="1.0") == {"FINISHED"}
report = part["publish"].keep_report(avatar, vrm)
do(part["publish"].record(avatar, {"vrm": vrm}, report, part["publish"].Target()))
save("7-exported")

shutil.copytree(avatar.record.recorded, out / "run", dirs_exist_ok=True)
for kind in ("generation", "meta"):
    (preset,) = (work / "user").rglob(f"presets/avatar_forge/{kind}/*.py")
    (out / "presets" / kind).mkdir(parents=True, exist_ok=True)
    shutil.copy(preset, out / "presets" / kind)
part["session"].close()

os.environ["AVATAR_FORGE_MODELS"] = str(work / "models")
from backend import models  # noqa: E402

content = {"config.json": b'{"name": "x"}', "big.safetensors": bytes(range(256)) * 4}
tiny = models.Source("some/repo", "c" * 40, "MIT", (models.File("config.json"), models.File("big.safetensors", 1024)))
models.MODELS["tiny"] = models.Model("tiny", "A tiny model", (tiny,))
(work / "models/tiny").mkdir(parents=True)
for name, data in content.items():
    (work / "models/tiny" / name).write_bytes(data)
assert models.verify("tiny") == []
shutil.copytree(work / "models/tiny", out / "models/tiny", dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
lock = json.loads((out / "models/tiny/models.lock.json").read_text())
assert all(lock["files"][name]["sha256"] == hashlib.sha256(data).hexdigest() for name, data in content.items())
archive = Path(__file__).with_name("files.tar.xz")
with tarfile.open(archive, "w:xz", preset=9) as file:  # one archive: the files have most of their content in common
    file.add(out, ".")
shutil.rmtree(work)
sys.stdout.flush()
os._exit(0)
