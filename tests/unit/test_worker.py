"""The worker as a process: what goes in by stdin, what comes out, and what is left on the disk."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from backend.protocol import MAX_LINE
from tests.unit.people import Person
from tests.unit.people import picture as person_picture

ROOT = Path(__file__).resolve().parents[2]
THIRD_PARTY = ROOT / "tests" / "unit" / "third_party"
ENV = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{THIRD_PARTY}", "PYTHONWARNINGS": "error"}
COMMAND = [sys.executable, "-P", "-m", "backend", "worker"]


class Client:
    """Blocking; tests of the non-blocking one are in test_jobs.py."""

    def __init__(self, log, command=COMMAND, **options):
        self.log = log
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log.open("ab"), env=ENV, **options
        )
        self.last_id = 0

    def write(self, line):
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def read(self):
        line = self.process.stdout.readline()
        assert line, f"the worker died: {self.log.read_text()}"
        return json.loads(line)

    def send(self, method, request_id=None, **params):
        self.last_id += 1
        request_id = request_id or self.last_id
        self.write(json.dumps({"id": request_id, "method": method, "params": params}).encode())
        return request_id

    def answer(self, request_id):
        """The answer to a request, and the stages of its progress."""
        stages = []
        while True:
            event = self.read()
            if event["id"] == request_id and "event" not in event:
                return event, list(dict.fromkeys(stages))
            if event["id"] == request_id:
                stages.append(event["stage"])

    def until_stage(self, stage):
        while self.read().get("stage") != stage:
            pass

    def wait_until_read(self, running_id):
        """Returns when the worker has read all that was sent: it refuses an id in use at once, whatever else
        it does.
        """
        self.send("hello", request_id=running_id)
        while (event := self.read())["id"] is not None:
            pass
        assert event["error"]["code"] == "bad_request"

    def call(self, method, **params):
        return self.answer(self.send(method, **params))[0]

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(10)
        self.process.stdout.close()
        return status


@pytest.fixture
def start(tmp_path):
    clients = []

    def start(*arguments, **options):
        clients.append(Client(tmp_path / "worker.log", *arguments, **options))
        return clients[-1]

    yield start
    for client in clients:
        client.process.kill()
        client.process.wait()
        client.process.stdin.close()
        client.process.stdout.close()


@pytest.fixture
def picture(tmp_path):
    (tmp_path / "me.png").write_bytes(b"any file will do for the fake engines")
    return str(tmp_path / "me.png")


def fake(picture, out_dir, **options):
    return {"engine": "fake", "picture": picture, "out_dir": str(out_dir), "options": options}


def left_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def is_one_sentence(text):
    return (
        text.endswith(".")
        and "Traceback" not in text
        and "\n" not in text
        and len(re.findall(r"[.!?] +[A-Z]", text)) == 0
    )


def test_hello_lists_built_in_and_third_party_engines_and_why_one_cannot_run(start):
    hello = start().call("hello")["result"]
    generators = {engine["name"]: engine for engine in hello["generators"]}
    silent = {"options": [], "models": [], "views": 1, "seeded": True}  # it describes nothing of itself
    assert generators["fake"] == {"name": "fake", "label": "Fake engine", "available": True, "reason": "", **silent}
    assert [option["name"] for option in generators["preview"]["options"]] == ["height", "triangles", "texture_size"]
    assert not generators["broken"]["available"] and "a_library_nobody_has" in generators["broken"]["reason"]
    assert not generators["choosy"]["available"] and generators["choosy"]["reason"] == "It needs a GPU."
    assert generators["preview"]["label"] != "Fake engine", "a third party must not replace a built-in engine"
    assert {"fake", "geometric"} <= {engine["name"] for engine in hello["riggers"]}


def test_generate_and_rig(start, picture, tmp_path):
    client, out = start(), tmp_path / "not" / "there" / "yet"
    answer, stages = client.answer(client.send("generate", seed=7, **fake(picture, out)))
    assert stages == ["mask", "shape", "texture"]
    assert Path(answer["result"]["mesh"]).read_text() == "me.png 7"
    assert answer["result"]["metrics"] == {"iou": 0.5}
    rig = client.call("rig", rigger="fake", mesh=answer["result"]["mesh"], out_dir=str(out))["result"]
    assert rig["humanoid"] == {"hips": "J_hips"} and Path(rig["rig"]).parent == out
    assert left_in(out) == ["mask.bin", "mesh.glb", "rig.npz", "shape.bin", "texture.bin"]
    assert client.close() == 0


def test_many_progress_calls_become_few_events_and_the_fraction_never_falls(start, picture, tmp_path):
    client = start()
    request_id = client.send("generate", **fake(picture, tmp_path / "out", do="flood"))
    events = []
    while "event" in (event := client.read()):
        events.append(event)
    assert event["id"] == request_id and "result" in event
    assert len(events) < 1000, "100,000 calls were made"
    assert [event["fraction"] for event in events] == sorted(event["fraction"] for event in events)


@pytest.mark.parametrize(
    ("do", "code"),
    [
        ("raise", "internal"),
        ("sysexit", "internal"),
        ("memory", "out_of_memory"),
        ("refuse", "cropped"),
        ("nothing", "engine_failed"),
        ("outside", "engine_failed"),
    ],
)
def test_a_failing_engine_gives_one_sentence_and_leaves_nothing(start, picture, tmp_path, do, code):
    client, out = start(), tmp_path / "out"
    error = client.call("generate", **fake(picture, out, do=do))["error"]
    assert error["code"] == code and is_one_sentence(error["message"])
    assert "secret" not in error["message"] and left_in(out) == []
    assert "result" in client.call("generate", **fake(picture, out)), "the worker goes on"
    if do == "raise":
        assert "secret detail of a library" in client.log.read_text()


def test_what_libraries_print_does_not_reach_the_protocol(start, picture, tmp_path):
    client = start()
    answer = client.call("generate", **fake(picture, tmp_path / "out", do="print"))
    assert answer["result"]["label"] == "Fake engine"
    log = client.log.read_text()
    assert "a library that prints" in log and "a child that prints ''" in log


@pytest.mark.parametrize("engine", ["broken", "choosy", "no such engine"])
def test_an_engine_that_cannot_run_is_refused_with_the_reason(start, picture, tmp_path, engine):
    error = start().call("generate", **{**fake(picture, tmp_path / "out"), "engine": engine})["error"]
    assert error["code"] in ("engine_unavailable", "unknown_engine")
    assert any(
        word in error["message"] + error["hint"]
        for word in ("a_library_nobody_has", "GPU", "Choose one of: broken, choosy, fake, preview")
    )


def test_jobs_run_in_order_and_a_waiting_one_can_be_cancelled(start, picture, tmp_path):
    client, go = start(), tmp_path / "go"
    first, second, third = (
        client.send("generate", **fake(picture, tmp_path / name, do="go", go=str(go))) for name in "abc"
    )
    client.until_stage("go")
    client.send("cancel", request_id=second)
    client.send("cancel", request_id=999)
    client.wait_until_read(first)
    go.touch()
    assert "result" in client.answer(first)[0]
    assert client.answer(second)[0]["error"]["code"] == "cancelled"
    assert "result" in client.answer(third)[0]
    assert not (tmp_path / "b").exists()


def test_an_id_in_use_is_refused_and_the_first_job_goes_on(start, picture, tmp_path):
    client, go = start(), tmp_path / "go"
    request_id = client.send("generate", **fake(picture, tmp_path / "a", do="go", go=str(go)))
    client.wait_until_read(request_id)
    go.touch()
    assert client.answer(request_id)[0]["result"]["label"] == "Fake engine"


@pytest.mark.parametrize("stage", ["mask", "shape", "texture"])
def test_cancel_in_each_stage(start, picture, tmp_path, stage):
    client, out = start(), tmp_path / "out"
    request_id = client.send("generate", **fake(picture, out, do="wait", at=stage))
    client.until_stage("wait")
    client.send("cancel", request_id=request_id)
    assert client.answer(request_id)[0]["error"]["code"] == "cancelled"
    assert left_in(out) == []
    assert "result" in client.call("generate", **fake(picture, out))


def test_an_interrupt_breaks_into_a_job_that_does_not_listen_but_never_into_one_that_is_not_cancelled(
    start, picture, tmp_path
):
    client, go = start(), tmp_path / "go"
    request_id = client.send("generate", **fake(picture, tmp_path / "a", do="go", go=str(go)))
    client.until_stage("go")
    client.process.send_signal(signal.SIGINT)
    go.touch()
    assert "result" in client.answer(request_id)[0]
    request_id = client.send("generate", **fake(picture, tmp_path / "b", do="sleep"))
    client.until_stage("sleep")
    client.send("cancel", request_id=request_id)
    client.wait_until_read(request_id)
    client.process.send_signal(signal.SIGINT)
    assert client.answer(request_id)[0]["error"]["code"] == "cancelled"
    assert left_in(tmp_path / "b") == []


@pytest.mark.parametrize("do", ["wait", "sleep", "stuck"])
def test_the_worker_ends_with_its_client_and_leaves_nothing(start, picture, tmp_path, do):
    client, out = start(start_new_session=True), tmp_path / "out"
    client.send("generate", **fake(picture, out, do=do))
    client.until_stage(do)
    assert client.close() == 0
    assert left_in(out) == []
    if do == "stuck":
        os.killpg(client.process.pid, signal.SIGKILL)  # the hanging grandchild of the fake engine


def test_the_leftovers_of_a_killed_worker_are_gone_after_the_next_job(start, picture, tmp_path):
    client, out = start(), tmp_path / "out"
    client.send("generate", **fake(picture, out, do="wait"))
    client.until_stage("wait")
    client.process.kill()
    client.process.wait()
    assert [name for name in left_in(out) if not name.startswith(".partial")] == []
    assert "result" in start().call("generate", **fake(picture, out))
    assert left_in(out) == ["mask.bin", "mesh.glb", "shape.bin", "texture.bin"]


def test_two_jobs_in_one_folder(start, picture, tmp_path):
    first, second, out, go = start(), start(), tmp_path / "out", tmp_path / "go"
    request_id = first.send("generate", **fake(picture, out, do="go", go=str(go)))
    first.until_stage("go")
    error = second.call("generate", **fake(picture, out))["error"]
    assert error["code"] == "folder_in_use" and str(out) in error["message"]
    go.touch()
    assert "result" in first.answer(request_id)[0]
    assert "result" in second.call("generate", **fake(picture, out))


def private_mount(folder, options):
    """A worker command with a file system of its own at `folder`, which goes away with the worker."""
    script = f"mount -t tmpfs -o {options} none '{folder}' && exec \"$@\""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    return [*command, *COMMAND]


def test_a_full_disk(start, picture, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    client, out = start(private_mount(disk, "size=1m")), disk / "out"
    error = client.call("generate", **fake(picture, out, do="big"))["error"]
    assert error["code"] == "disk_full" and is_one_sentence(error["message"])
    assert left_in(Path(f"/proc/{client.process.pid}/root{out}")) == []
    assert "result" in client.call("generate", **fake(picture, out)), "there is space again"


def test_a_file_size_limit(start, picture, tmp_path):
    client = start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    assert client.call("generate", **fake(picture, tmp_path / "out", do="big"))["error"]["code"] == "disk_full"
    assert left_in(tmp_path / "out") == []


def test_a_read_only_folder(start, picture, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    error = start(private_mount(disk, "ro")).call("generate", **fake(picture, disk / "out"))["error"]
    assert error["code"] == "not_writable" and str(disk / "out") in error["message"]


def test_a_folder_that_cannot_be_made(start, picture, tmp_path):
    for out in (Path(picture), Path(picture) / "out"):
        error = start().call("generate", **fake(picture, out))["error"]
        assert error["code"] == "not_writable" and str(out) in error["message"]
    assert Path(picture).is_file()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    client = Client(tmp_path_factory.mktemp("fuzz") / "worker.log")
    yield client
    assert client.close() == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary(max_size=60).map(lambda line: line.replace(b"\n", b""))
        | st.fixed_dictionaries(
            {
                "id": st.integers(0, 3),
                "method": st.sampled_from(["rig", "analyse", "cancel", "x"]),
                "params": st.just({"x": 1}),
            }
        ).map(lambda message: json.dumps(message).encode()),
        max_size=5,
    )
)
def test_no_line_harms_the_worker(fuzzed, lines):
    for line in lines:
        fuzzed.write(line)
    hello = fuzzed.send("hello", request_id=1_000_000 + fuzzed.last_id)
    while (event := fuzzed.read())["id"] != hello:
        assert event["error"]["code"] in ("bad_request", "bad_params", "unknown_method", "cancelled")
    assert event["result"]["version"] == 1


def test_a_line_without_end_is_refused(start):
    client = start()
    client.write(b'{"id": 1, "method": "' + b"x" * (2 * MAX_LINE))
    assert "longer" in client.read()["error"]["message"]
    assert "result" in client.call("hello")


def test_unknown_command():
    ended = subprocess.run([sys.executable, "-P", "-m", "backend", "fly"], env=ENV, capture_output=True, text=True)
    assert ended.returncode == 2 and "hello" in ended.stderr and "Traceback" not in ended.stderr


def test_a_draft_of_a_refused_picture_has_every_joint_and_says_why(start, tmp_path):
    """What Check Markers starts from: the pixels are those of the upright picture, which is written for it."""
    drawn, _joints = person_picture(Person(), Person(), size=(1900, 800))
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side: to be turned by a quarter
    drawn.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "side.png", exif=exif)
    client, params = start(), {"picture": str(tmp_path / "side.png"), "upright": str(tmp_path / "up.png")}
    assert client.call("analyse", **params)["error"]["code"] == "several"
    result = client.call("analyse", draft=True, **params)["result"]
    assert result["refused"]["code"] == "several" and result["refused"]["message"].endswith(".")
    assert result["size"] == list(drawn.size) == list(Image.open(tmp_path / "up.png").size)
    assert len(set(result["joints"]) - {"headTop"}) == 15 and {"leftEye", "rightEye", "mouth"} <= set(result["face"])
    again = client.call(
        "analyse",
        draft=True,
        markers={"joints": {k: v for k, v in result["joints"].items() if k != "headTop"}},
        **params,
    )
    assert "refused" not in again["result"]
