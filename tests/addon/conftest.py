"""Add-on tests: the checkout itself, enabled as an extension in the PyPI bpy module, with its own user folder."""

import os
import pathlib
import sys
import tempfile

import pytest

EXTENSION = "avatar_forge"
ROOT = pathlib.Path(__file__).resolve().parents[2]
RESOURCES = pathlib.Path(tempfile.mkdtemp(prefix="avatar-forge-"))
os.environ["BLENDER_USER_RESOURCES"] = str(RESOURCES)  # before the first `import bpy`


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


@pytest.fixture
def bpy(extension):
    """bpy with the extension enabled and an empty file."""
    import bpy

    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    return bpy


def pytest_sessionfinish(session, exitstatus):
    session.config._status = exitstatus


def pytest_unconfigure(config):
    # bpy can hang or crash while the interpreter shuts down.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(getattr(config, "_status", 0)))
