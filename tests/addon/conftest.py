"""Add-on tests: the checkout itself, enabled as an extension in the PyPI bpy module, with its own user folder."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import pytest

EXTENSION = "avatar_forge"
ROOT = pathlib.Path(__file__).resolve().parents[2]
WRITE_MESH = ["-P", "-m", "backend", "step", "generate"]
RESOURCES = pathlib.Path(tempfile.mkdtemp(prefix="avatar-forge-"))
os.environ["BLENDER_USER_RESOURCES"] = str(RESOURCES)  # before the first `import bpy`
os.environ.setdefault("AVATAR_FORGE_CLIENT_FOLDERS", tempfile.gettempdir())  # clients of the socket write there


@pytest.fixture(scope="session")
def extension():
    folder = RESOURCES / "extensions" / "user_default"
    folder.mkdir(parents=True)
    (folder / EXTENSION).symlink_to(ROOT, target_is_directory=True)
    import bpy

    module = f"bl_ext.user_default.{EXTENSION}"
    assert bpy.ops.preferences.addon_enable(module=module) == {"FINISHED"}
    yield sys.modules[module]
    bpy.ops.preferences.addon_disable(module=module)


@pytest.fixture(scope="session")
def picture():
    return ROOT / "examples/companion.png"


@pytest.fixture
def bpy(extension):
    """bpy with the extension enabled and an empty file."""
    import bpy

    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    return bpy


@pytest.fixture
def addon(bpy):
    """`addon("workflow")` is the extension's avatar_addon.workflow."""
    import importlib

    return lambda name: importlib.import_module(f"bl_ext.user_default.{EXTENSION}.avatar_addon.{name}")


@pytest.fixture(scope="session")
def made(extension, picture, tmp_path_factory):
    """An avatar made once: (path of a .blend with it, Made's metrics, VRM path, sheet path, seconds per stage)."""
    import importlib
    from types import SimpleNamespace

    import bpy

    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    part = {
        name.rpartition(".")[2]: importlib.import_module(f"{extension.__name__}.avatar_addon.{name}")
        for name in ("workflow", "client.process.tasks", "client.session")
    }
    folder = tmp_path_factory.mktemp("made")
    request = part["workflow"].Request(
        picture, vrm=folder / "companion.vrm", sheet=folder / "companion.sheet.png", author="Tester"
    )
    task = part["tasks"].Task("Make", part["workflow"].make_avatar(bpy.context, request), part["session"].worker)
    result = task.wait()
    blend = folder / "companion.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), check_existing=False)
    return SimpleNamespace(
        blend=blend,
        vrm=result.vrm,
        sheet=result.sheet,
        metrics=result.metrics,
        warnings=result.warnings,
        seconds=task.seconds,
    )


@pytest.fixture(scope="session")
def mesh_folder(extension, picture, tmp_path_factory):
    """What `backend generate` leaves of the picture: `Request.generated`, for what comes after the generator."""
    folder = tmp_path_factory.mktemp("generated")
    subprocess.run(
        [os.environ["AVATAR_FORGE_BACKEND_PYTHON"], *WRITE_MESH, "--picture", picture, "--out", folder],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    return folder


@pytest.fixture
def avatar(bpy, made, addon):
    """The made avatar in a fresh session, from its .blend alone."""
    bpy.ops.wm.open_mainfile(filepath=str(made.blend))
    return addon("avatar.scene").find_avatar(bpy.context)


@pytest.fixture
def remote(addon):
    """`remote(command, **params)` is a command's result once it is there."""
    registry, work = addon("remote.protocol.registry"), addon("remote.work")
    for name in ("generation", "avatar_commands", "avatar_jobs"):
        addon(f"remote.{name}")

    def ask(command, **params):
        reply = registry.answer({"type": command, "params": params})
        while isinstance(reply, registry.Later):
            work.TABLE.tick()
            reply = reply.poll() or reply
        assert reply["status"] == "success", reply
        registry.encode(reply)  # JSON can carry it
        return reply["result"]

    yield ask
    work.TABLE.stop()


@pytest.fixture
def ends(addon):
    """Runs the job table as the pump does until nothing is left to do."""
    table = addon("remote.work").TABLE

    def run():
        until = time.monotonic() + 300  # a hang, not a speed
        while table.tick():
            assert time.monotonic() < until
            time.sleep(0.005)

    return run


def pytest_sessionfinish(session, exitstatus):
    session.config._status = exitstatus


def pytest_unconfigure(config):
    # bpy can hang or crash while the interpreter shuts down.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(getattr(config, "_status", 0)))
