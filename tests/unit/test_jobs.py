"""The client of the worker, with real child processes: progress, cancel, death, silence, and what the user reads."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from avatar_addon.client.process import jobs, progress
from avatar_addon.client.process.child import Child
from avatar_addon.client.process.jobs import Job, Worker, new_job_folder
from avatar_addon.errors import AvatarError
from backend import progress as sent

ROOT = Path(__file__).resolve().parents[2]
ENV = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'unit' / 'third_party'}"}
COMMAND = [sys.executable, "-P", "-m", "backend", "worker"]
LIMIT = 30  # seconds after which a test is stuck


def wait(running, until=lambda running: False):
    """Polls as a timer does, until the end or until `until`."""
    give_up = time.monotonic() + LIMIT
    while not running.poll() and not until(running):
        assert time.monotonic() < give_up, f"stuck in {running.stage}"
        time.sleep(0.01)


def wait_for_stage(running, stage):
    """Until the job has entered the stage, which may be over when that is heard."""
    wait(running, until=lambda running: stage in [told.stage for told in running.entered])
    assert not running.done, running.error


def files(folder):
    return sorted(path.name for path in folder.rglob("*"))


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until_gone(pid):
    give_up = time.monotonic() + LIMIT
    while not is_gone(pid):
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "logs" / "worker.log"


@pytest.fixture
def worker(log):
    worker = Worker(COMMAND, ENV, log)
    yield worker
    worker.close()


@pytest.fixture
def fake(tmp_path):
    (tmp_path / "me.png").write_bytes(b"any file will do for the fake engine")

    def fake(do="", at="shape", out_dir=None, **params):
        options = {"do": do, "at": at, "go": str(tmp_path / "go")}
        return Job(
            "generate",
            engine="fake",
            picture=tmp_path / "me.png",
            out_dir=out_dir or tmp_path / "out",
            options=options,
            **params,
        )

    return fake


def reads_well(error, code, log=None):
    """A sentence for the user with what to do next, and where more is written."""
    text = str(error)
    assert error.code == code, text
    assert text.endswith(".") and "\n" not in text and "Traceback" not in text
    assert re.search(r"try again|repair|install|choose|close|report|free|use ", text, re.IGNORECASE), text
    if log:
        assert str(log) in text and log.exists()


def test_a_job_from_progress_to_result(worker, fake, tmp_path):
    running = worker.submit(fake(seed=5))
    wait(running)
    assert running.stage == "texture" and running.message == "Doing the texture"
    assert running.error is None and running.fraction == 1.0
    assert Path(running.result["mesh"]).read_text() == "me.png 5"
    assert worker.hello["version"] == jobs.VERSION
    pid = worker.pid
    assert worker.submit(fake()).wait()["label"] == "Fake engine"
    assert worker.pid == pid, "the worker stays warm"


def test_an_error_of_the_backend_is_an_avatar_error(worker, fake, log):
    with pytest.raises(AvatarError, match=r"down to the knees\. Use a full-body picture") as caught:
        worker.submit(fake("refuse")).wait()
    assert caught.value.code == "cropped"
    running = worker.submit(fake("raise"))
    wait(running)
    reads_well(running.error, "internal", log)


@pytest.mark.parametrize("stage", ["mask", "shape", "texture"])
def test_cancel_in_each_stage(worker, fake, tmp_path, stage):
    running = worker.submit(fake("wait", at=stage))
    wait_for_stage(running, "wait")
    pid = worker.pid
    running.cancel()
    wait(running)
    assert running.error.code == "cancelled" and running.result is None
    assert files(tmp_path / "out") == []
    assert worker.submit(fake()).wait() and worker.pid == pid


@pytest.mark.parametrize(("do", "survives"), [("sleep", True), ("swallow", True), ("stuck", False)])
def test_cancel_gets_harsher(worker, fake, tmp_path, do, survives, monkeypatch):
    monkeypatch.setattr(jobs, "INTERRUPT_AFTER", 0.2)
    monkeypatch.setattr(jobs, "KILL_AFTER", LIMIT if survives else 0.6)
    running = worker.submit(fake(do))
    wait_for_stage(running, do)
    pid = worker.pid
    running.cancel()
    wait(running)
    assert running.error.code == "cancelled"
    assert is_gone(pid) is not survives
    assert files(tmp_path / "out") == []
    assert worker.submit(fake()).wait()
    assert (worker.pid == pid) is survives


def test_a_child_that_cannot_even_be_killed_is_given_up(worker, fake, monkeypatch):
    for name in ("INTERRUPT_AFTER", "KILL_AFTER", "GIVE_UP_AFTER"):
        monkeypatch.setattr(jobs, name, 0.1)
    running = worker.submit(fake("stuck"))
    wait_for_stage(running, "stuck")
    pid = worker.pid
    with monkeypatch.context() as patch:
        patch.setattr(Child, "kill", lambda self: None)  # as when it hangs in a driver
        running.cancel()
        wait(running)
    assert running.error.code == "cancelled" and not is_gone(pid)
    os.killpg(pid, signal.SIGKILL)
    assert worker.submit(fake()).wait()


def test_cancel_before_the_worker_has_started_and_while_waiting(worker, fake, tmp_path):
    first, second = worker.submit(fake()), worker.submit(fake(out_dir=tmp_path / "second"))
    first.cancel()
    second.cancel()
    assert second.done and second.error.code == "cancelled"
    wait(first)
    assert first.error.code == "cancelled"
    assert worker.submit(fake()).wait()


@pytest.mark.parametrize(
    ("stage", "by"),
    [
        ("mask", signal.SIGKILL),
        ("shape", signal.SIGKILL),
        ("texture", signal.SIGKILL),
        ("shape", signal.SIGSEGV),
        ("shape", signal.SIGTERM),
    ],
)
def test_a_child_killed_in_each_stage(worker, fake, tmp_path, log, stage, by):
    running = worker.submit(fake("wait", at=stage))
    waiting = worker.submit(fake(out_dir=tmp_path / "second"))
    wait_for_stage(running, "wait")
    os.kill(worker.pid, by)
    wait(running)
    reads_well(running.error, "backend_died", log)
    assert ("memory" in str(running.error)) is (by == signal.SIGKILL)
    assert files(tmp_path / "out") == []
    assert waiting.wait()["label"] == "Fake engine", "jobs that had not begun go to a new worker"
    assert worker.submit(fake()).wait()


def test_a_child_that_leaves_by_itself_or_dies_idle(worker, fake, log):
    running = worker.submit(fake("exit"))
    wait(running)
    reads_well(running.error, "backend_died", log)
    assert "exit status 3" in str(running.error)
    assert worker.submit(fake()).wait()
    os.kill(worker.pid, signal.SIGKILL)
    until_gone(worker.pid)
    assert worker.submit(fake()).wait(), "nobody needs to know"


def test_a_stalled_job_is_stopped(worker, fake, tmp_path, log):
    job = fake("sleep")
    job.stall_timeout = 0.5
    running = worker.submit(job)
    wait(running)
    reads_well(running.error, "stalled", log)
    assert files(tmp_path / "out") == []
    assert worker.submit(fake()).wait()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import time; time.sleep(60)", "backend_silent"),
        ("import sys; sys.exit('no numpy')", "backend_broken"),
        ("print('hello?')", "backend_broken"),
        (
            'print(\'{"id": 0, "result": {"version": 99}}\', flush=True); import time; time.sleep(60)',
            "backend_outdated",
        ),
    ],
)
def test_what_is_no_worker(fake, log, code, error):
    worker = Worker([sys.executable, "-c", code], ENV, log, hello_timeout=0.5 if error == "backend_silent" else LIMIT)
    running = worker.submit(fake())
    wait(running)
    reads_well(running.error, error, log)
    worker.close()


def test_a_python_that_is_not_there(fake, log, tmp_path):
    for command in (tmp_path / "nowhere" / "python", tmp_path):
        running = Worker([command], ENV, log).submit(fake())
        assert running.done
        reads_well(running.error, "backend_missing")


def test_a_log_that_cannot_be_written_stops_nothing(fake, tmp_path):
    worker = Worker(COMMAND, ENV, tmp_path / "me.png" / "worker.log")
    assert worker.submit(fake()).wait()
    worker.close()


def test_a_parameter_that_is_no_json(worker, fake):
    running = worker.submit(fake(seed=object()))
    assert running.error.code == "bad_params"
    assert worker.submit(fake()).wait()


def test_a_long_log_is_set_aside(worker, fake, log, monkeypatch):
    monkeypatch.setattr(jobs, "LOG_LIMIT", 10)
    log.parent.mkdir()
    log.write_text("older than this session")
    worker.submit(fake()).wait()
    assert "older" not in log.read_text() and "older" in log.with_suffix(".log.old").read_text()


def test_noise_on_the_protocol_is_ignored():
    assert [
        jobs._from_line(line)
        for line in (b"print\n", b"[]\n", b"{}\n", b'{"id": 1}\n', b'{"id": 1, "event": "progress"}\n', b"[" * 99999)
    ] == [None] * 6


def test_close_leaves_no_process_and_no_thread(fake, log):
    before = set(threading.enumerate())
    for do, at in (("", ""), ("wait", "wait"), ("stuck", "stuck")):
        worker = Worker(COMMAND, ENV, log)
        running = worker.submit(fake(do))
        wait(running, until=lambda running, at=at: running.stage == at)
        pid = worker.pid
        worker.close()
        assert is_gone(pid) and running.done and not worker.alive
        assert set(threading.enumerate()) == before
    worker.close()


def client_script(tmp_path, ending):
    return textwrap.dedent(f"""
        import os, signal, sys, time
        sys.path.insert(0, {str(ROOT)!r})
        from avatar_addon.client.process.jobs import Job, Worker
        # A shell's background jobs, and so these tests in one, ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        worker = Worker({COMMAND!r}, dict(os.environ))
        options = {{"do": "sleep"}}
        job = Job("generate", engine="fake", picture={__file__!r}, out_dir={str(tmp_path / "out")!r}, options=options)
        running = worker.submit(job)
        while running.stage != "sleep":
            running.poll()
        print(worker.pid, flush=True)
        {ending}
    """)


@pytest.mark.parametrize(
    "ending", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)", "pass", "raise KeyboardInterrupt"]
)
def test_the_worker_does_not_outlive_its_client(tmp_path, ending):
    ended = subprocess.run(
        [sys.executable, "-c", client_script(tmp_path, ending)], env=ENV, capture_output=True, text=True, timeout=LIMIT
    )
    until_gone(int(ended.stdout))


def test_ctrl_c_in_a_headless_run_cancels_the_job(tmp_path):
    script = client_script(tmp_path, "print('ready', flush=True); running.wait()")
    client = subprocess.Popen(
        [sys.executable, "-c", script],
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with client:
        pid = int(client.stdout.readline())
        client.stdout.readline()
        os.killpg(client.pid, signal.SIGINT)
        try:
            assert client.wait(LIMIT) != 0
        except subprocess.TimeoutExpired:
            client.kill()  # else leaving the block would wait for it
            raise
    until_gone(pid)
    assert files(tmp_path / "out") == []


def test_job_folders_are_never_shared(tmp_path):
    folders = [new_job_folder(tmp_path / "runs") for _ in range(20)]
    assert len(set(folders)) == 20 and all(folder.is_dir() for folder in folders)
    (tmp_path / "file").touch()
    with pytest.raises(AvatarError, match="choose another folder") as caught:
        new_job_folder(tmp_path / "file" / "runs")
    assert caught.value.code == "not_writable"


def test_what_the_worker_sends_of_progress_is_what_arrives():
    event = sent.Progress("structure", 1 / 3, "Finding the shape").after(None).to_event()
    got = progress.Progress.from_event(json.loads(json.dumps(event)))
    expected = {"stage": "structure", "fraction": 0.3333, "message": "Finding the shape", "part": ""}
    assert dataclasses.asdict(got) == expected
    names = [[field.name for field in dataclasses.fields(kind)] for kind in (sent.Progress, progress.Progress)]
    assert names[0] == names[1]
    for wrong in ({"fraction": True}, {"fraction": "1"}, {"stage": None}, {"message": 3}):
        assert progress.Progress.from_event({**event, **wrong}) is None
    assert progress.Progress.from_event({"stage": "x", "fraction": 0.5}) is None
    assert progress.Progress("x", 0.5).within(0.2, 0.4).fraction == pytest.approx(0.3)
