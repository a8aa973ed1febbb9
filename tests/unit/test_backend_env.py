"""The backend's environment: real virtual environments and a real pip (or uv), with a small package instead of the
real ones.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from avatar_addon.client.process import environment as backend_env
from avatar_addon.client.process.environment import Environment
from avatar_addon.client.process.installation import Step
from avatar_addon.errors import AvatarError

LIMIT = 120
BACKEND = """
import json, sys, tiny
engine = {"name": "preview", "label": "Preview", "available": True, "reason": ""}
print("a log line", file=sys.stderr)
print(json.dumps({"version": 1, "tiny": tiny.VALUE, "generators": [engine], "riggers": [engine]}))
"""


def make_wheel(folder, name, version, code, more=""):
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", code)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def lock(root, wheels, lock_name, package, version):
    digest = hashlib.sha256((wheels / f"{package}-{version}-py3-none-any.whl").read_bytes()).hexdigest()
    path = root / "backend" / "requirements" / f"{lock_name}.lock"
    path.write_text(f"{package}=={version} \\\n    --hash=sha256:{digest}\n")


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """Where pip and uv find packages; there is no index. The environment variables are those of a Blender with a
    Python of its own.
    """
    folder = tmp_path / "wheels"
    make_wheel(folder, "tiny", "1.0", "VALUE = 1\n")
    make_wheel(folder, "torch", "2.13.0", "def zeros(n, device='cpu'):\n    assert device == 'cpu', 'no such device'\n")
    for name, value in {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "UV_FIND_LINKS": str(folder),
        "UV_NO_CACHE": "1",
        "UV_OFFLINE": "1",
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": "/nowhere",
        "PIP_USER": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(backend_env.OVERRIDE, raising=False)
    return folder


@pytest.fixture
def environment(tmp_path, wheels):
    root = tmp_path / "extension"
    (root / "backend" / "requirements").mkdir(parents=True)
    (root / "backend" / "__init__.py").touch()
    (root / "backend" / "__main__.py").write_text(BACKEND)
    lock(root, wheels, "base", "tiny", "1.0")
    lock(root, wheels, "engines", "tiny", "1.0")
    lock(root, wheels, "torch", "torch", "2.13.0")
    (root / "backend" / "requirements" / "torch.txt").write_text("torch==2.13.0\n")
    return Environment(tmp_path / "a folder with spaces", root)


@pytest.fixture
def no_uv(monkeypatch):
    monkeypatch.setattr(backend_env, "find_uv", lambda: None)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """A virtual environment with pip, which takes seconds to make."""
    folder = tmp_path_factory.mktemp("made") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@pytest.fixture
def copies(made_once, tmp_path, monkeypatch):
    """Python's `-m venv --clear FOLDER` copies one, in tests that are about what comes after it."""
    python = tmp_path / "python_that_copies"
    python.write_text(
        f'#!/bin/sh\n[ "$2" = venv ] || exec "{sys.executable}" "$@"\nrm -rf "$4" && cp -a "{made_once}" "$4"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(backend_env, "find_python", lambda need_pip=True: python)


def wait(installation):
    stages, messages, give_up = [], [], time.monotonic() + LIMIT
    while not installation.poll():
        stages.append(installation.stage)
        messages.append(installation.message)
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return list(dict.fromkeys(stages)), messages


def install(environment, **options):
    installation = environment.install(environment.plan(**options), online=True)
    wait(installation)
    return installation


def keys(steps):
    return [step.key for step in steps]


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_install_from_nothing(environment, tool, monkeypatch):
    if tool == "pip":
        monkeypatch.setattr(backend_env, "find_uv", lambda: None)
    elif not backend_env.find_uv():
        pytest.skip("uv is not installed")
    assert environment.state().code == "missing"
    steps = environment.plan()
    assert keys(steps) == ["environment", "packages", "check"]
    assert tool in steps[1].shown() and "--require-hashes" in steps[1].shown() and "base.lock" in steps[1].shown()
    assert not environment.folder.exists(), "a plan changes nothing"
    installation = environment.install(steps, online=True)
    stages, messages = wait(installation)
    assert installation.error is None, (installation.error, environment.log_path.read_text())
    assert set(stages) <= {step.title for step in steps} and any("tiny" in message for message in messages)
    assert installation.result["tiny"] == 1 and installation.fraction == 1.0
    assert environment.state().ready
    assert keys(environment.plan()) == ["check"], "there is nothing left to do"
    command, env = environment.worker_command()
    hello = subprocess.run([*command, "hello"], env=env, cwd="/", capture_output=True, text=True, check=True)
    assert json.loads(hello.stdout)["tiny"] == 1


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_another_file_under_a_pinned_name_is_refused(environment, wheels, tool, monkeypatch):
    if tool == "pip":
        monkeypatch.setattr(backend_env, "find_uv", lambda: None)
    elif not backend_env.find_uv():
        pytest.skip("uv is not installed")
    make_wheel(wheels, "tiny", "1.0", "VALUE = 'of somebody else'\n")
    error = install(environment).error
    assert error.code == "hash_mismatch", (error, environment.log_path.read_text())
    assert not list(environment.venv.glob("[Ll]ib/**/tiny.py")) and environment.state().code == "incomplete"


@pytest.mark.usefixtures("copies")
def test_a_package_that_no_lock_names_is_refused(environment, wheels, no_uv):
    make_wheel(wheels, "tiny", "1.0", "VALUE = 1\n", "Requires-Dist: stranger\n")
    make_wheel(wheels, "stranger", "1.0", "")
    lock(environment.root, wheels, "base", "tiny", "1.0")
    assert install(environment).error.code == "install_failed"
    assert not list(environment.venv.glob("[Ll]ib/**/stranger.py"))


@pytest.mark.usefixtures("copies")
def test_an_interrupted_installation_goes_on(environment, wheels):
    (wheels / "tiny-1.0-py3-none-any.whl").rename(wheels / "away")
    error = install(environment).error
    assert (
        error.code in ("install_failed", "network")
        and str(environment.log_path) in str(error)
        and "press Install Backend" in str(error)
    )
    assert environment.state().code == "incomplete"
    assert keys(environment.plan()) == ["packages", "check"], "the environment is made once"
    (wheels / "away").rename(wheels / "tiny-1.0-py3-none-any.whl")
    assert install(environment).error is None and environment.state().ready


@pytest.mark.usefixtures("copies")
def test_a_damaged_environment_is_found_and_repaired(environment):
    install(environment)
    next(environment.venv.glob("[Ll]ib/**/tiny.py")).write_text("damaged")
    error = install(environment).error
    assert error.code == "backend_broken" and "press Repair Backend" in str(error)
    assert environment.state().code == "broken" and "NameError" in environment.state().message
    assert keys(environment.plan()) == ["environment", "packages", "check"]
    assert install(environment).error is None and environment.state().ready
    assert keys(environment.plan(repair=True)) == ["environment", "packages", "check"]


@pytest.mark.usefixtures("copies")
def test_the_python_it_was_made_with_is_gone(environment):
    install(environment)
    environment.python.unlink()
    environment.python.symlink_to(environment.folder / "an old Blender" / "python")
    assert environment.state().code == "broken" and "no longer exists" in environment.state().message
    assert install(environment).error is None and environment.state().ready


@pytest.mark.usefixtures("copies")
def test_another_version_of_the_add_on_updates_the_packages(environment, wheels):
    install(environment)
    make_wheel(wheels, "tiny", "2.0", "VALUE = 1 + 1\n")  # another size, or Python would take the compiled 1.0
    lock(environment.root, wheels, "base", "tiny", "2.0")
    assert environment.state().code == "outdated"
    assert keys(environment.plan()) == ["packages", "check"]
    assert install(environment).result["tiny"] == 2
    assert environment.state().ready


@pytest.mark.usefixtures("copies")
def test_torch_is_a_second_set(environment, no_uv):
    steps = environment.plan("cpu", models=True)
    assert keys(steps) == ["environment", "packages", "engines", "torch", "torch_check", "check"]
    if sys.platform == "linux":
        assert "--index-url https://download.pytorch.org/whl/cpu" in steps[3].shown()
        assert "--index-url" not in steps[2].shown(), "only torch comes from there"
    assert install(environment, profile="cpu", models=True).error is None
    assert environment.profile() == "cpu" and environment.state().ready
    assert keys(environment.plan("cpu")) == ["check"]
    assert keys(environment.plan("cuda", models=True)) == ["torch", "torch_check", "check"]
    assert keys(environment.plan(repair=True)) == keys(steps), "a repair keeps torch"
    engines = environment.root / "backend" / "requirements" / "engines.lock"
    engines.write_text(f"# changed\n{engines.read_text()}")
    assert environment.state().code == "outdated"
    assert keys(environment.plan()) == ["engines", "check"]
    assert install(environment).error is None and environment.state().ready
    error = install(environment, profile="cuda", models=True).error
    assert error.code == "no_device" and "choose another profile" in str(error)
    assert environment.state().code == "incomplete"


@pytest.mark.parametrize("profile", backend_env.PROFILES)
@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
def test_torch_comes_from_the_right_index(environment, profile, system, monkeypatch):
    monkeypatch.setattr(backend_env.sys, "platform", system)
    index = {("cpu", "linux"): "cpu", ("cuda", "win32"): "cu130", ("rocm", "linux"): "rocm7.2"}.get((profile, system))
    pip, uv = environment._torch_command(None, profile), environment._torch_command("uv", profile)
    assert ("--index-url" in pip) is ("--torch-backend" in uv) is bool(index)
    assert ("--require-hashes" in pip) is ("--require-hashes" in uv) is (not index)
    if index:
        assert pip[pip.index("--index-url") + 1].endswith(f"/{index}") and uv[uv.index("--torch-backend") + 1] == index


def sleeper(environment):
    environment.folder.mkdir(exist_ok=True)
    return Step(
        "packages",
        "Sleeping",
        (sys.executable, "-c", "import time; print('zzz', flush=True); time.sleep(60)"),
        "1",
        network=True,
    )


@pytest.mark.usefixtures("copies")
def test_cancel(environment):
    installation = environment.install([sleeper(environment)], online=True)
    while "zzz" not in installation.message:
        assert not installation.poll()
    installation.cancel()
    wait(installation)
    assert installation.error.code == "cancelled" and "packages" not in environment.done()
    assert install(environment).error is None


def test_two_installations_at_once(environment):
    first = environment.install([sleeper(environment)], online=True)
    with pytest.raises(AvatarError, match="Another Blender") as caught:
        environment.install([sleeper(environment)], online=True)
    assert caught.value.code == "folder_in_use"
    first.close()
    assert first.error.code == "cancelled"
    environment.install([sleeper(environment)], online=True).close()


def test_refused_before_anything_runs(environment, monkeypatch, no_uv):
    steps = environment.plan()
    with pytest.raises(AvatarError, match="allow it in Preferences"):
        environment.install(steps, online=False)
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(9e9, 8.9e9, 0.1e9))
    with pytest.raises(AvatarError, match=r"only 0\.1 GB are free"):
        environment.install(steps, online=True)
    monkeypatch.undo()
    environment.folder.rmdir()
    environment.folder.touch()
    with pytest.raises(AvatarError, match="cannot be written"):
        environment.install(steps, online=True)


def test_no_python(environment, monkeypatch, no_uv):
    monkeypatch.setattr(backend_env, "PYTHONS", ((2, 7),))
    with pytest.raises(AvatarError, match=r"install one from python\.org") as caught:
        environment.plan()
    assert caught.value.code == "no_python"


def test_a_program_that_embeds_python_is_not_started(monkeypatch, tmp_path):
    blender = tmp_path / "blender"
    blender.write_text(f"#!/bin/sh\ntouch '{tmp_path}/started'\n")
    blender.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(blender))
    monkeypatch.setenv("PATH", f"{Path(sys.prefix) / 'bin'}:{tmp_path}")
    assert backend_env.find_python().name.startswith("python")
    assert not (tmp_path / "started").exists()


def test_a_developers_interpreter(environment, monkeypatch):
    monkeypatch.setenv(backend_env.OVERRIDE, sys.executable)
    assert environment.state().ready and environment.worker_command()[0][0] == sys.executable
    with pytest.raises(AvatarError, match=backend_env.OVERRIDE):
        environment.plan()
    monkeypatch.setenv(backend_env.OVERRIDE, "/nowhere/python")
    assert environment.state().code == "broken" and "/nowhere/python" in environment.state().message


def test_the_real_backend_answers_through_worker_command(monkeypatch):
    monkeypatch.setenv(backend_env.OVERRIDE, sys.executable)
    command, env = Environment(Path("/nowhere")).worker_command()
    ended = subprocess.run([*command, "hello"], env=env, cwd="/", capture_output=True, text=True, timeout=LIMIT)
    assert json.loads(ended.stdout)["version"] == 1


def test_command_line(tmp_path, capsys, wheels):
    assert backend_env.main(["--folder", str(tmp_path / "x"), "--profile", "cpu"]) == 0
    assert "base.lock" in capsys.readouterr().out and not (tmp_path / "x").exists()
