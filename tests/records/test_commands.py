"""Records and promotion as the add-on and a shell use them: real processes, real kills, and no secret in what they
write.
"""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from backend.errors import BackendError
from backend.records import tracking
from backend.records.rerun import compare, rerun_receipt
from backend.records.runs import Run, read_receipt, write_run
from tests.records.servers import KEY, ROOT, SECRET, client
from tests.records.test_promotion import GOOD, make_vrm
from tests.records.test_tracking import runs_at

COMMAND = [sys.executable, "-P", "-m", "backend"]


@pytest.fixture
def env(tmp_path):
    return {**os.environ, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(tmp_path / "data")}


@pytest.fixture
def worker(env, tmp_path):
    """call(method, **params) to a living worker; its log is tmp_path/worker.log."""
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*COMMAND, "worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env
        )
    asked = []

    def call(method, cancel_at=None, **params):
        asked.append(method)
        send({"id": len(asked), "method": method, "params": params})
        while True:
            event = json.loads(process.stdout.readline())
            if "event" not in event:
                return event.get("result") or event["error"]
            if cancel_at and event["fraction"] >= cancel_at:
                send({"id": len(asked), "method": "cancel"})

    def send(message):
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()

    yield call
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


def test_from_the_record_to_the_list_of_models_by_the_worker(worker, seaweed, bucket, tmp_path):
    picture = tmp_path / "p.png"
    Image.new("RGB", (4, 4)).save(picture)
    vrm, lists = make_vrm(tmp_path / "ada.vrm", 12_000_000), tmp_path / "models.go"
    lists.write_text("var AllowedAvatarModels = []string{}\n")
    recorded = worker(
        "record",
        runs=str(tmp_path / "runs"),
        run_id="run-1",
        name="Ada",
        picture=str(picture),
        files={"vrm": str(vrm)},
        parameters={"engine": "preview", "seed": 1},
        seconds={"generate": 1.5},
        metrics={},
        warnings=[{"code": "a", "message": "b"}],
        report=GOOD,
    )
    assert recorded["run_id"] == "run-1" and recorded["tracking"]["state"] == "sending"
    assert worker("run_url", run_folder=recorded["run_folder"])["url"].startswith("file://")
    where = {"bucket": bucket, "endpoint": seaweed, "name": "ada", "run_folder": recorded["run_folder"], "report": GOOD}
    assert worker("promote", file=str(vrm), cancel_at=0.3, **where)["code"] == "cancelled"
    assert "Uploads" not in client(seaweed).list_multipart_uploads(Bucket=bucket)
    promoted = worker("promote", file=str(vrm), urls={"cdn": "https://cdn.example/{key}"}, **where)
    assert promoted["file"] == "ada-v1.vrm" and promoted["run_id"] == "run-1"
    assert promoted["urls"] == {"cdn": "https://cdn.example/ada-v1.vrm"}
    assert "promoted" not in worker("promote", file=str(vrm), urls={"cdn": "{nonsense}"}, **where)
    shown = worker("register", model=promoted["file"], files=[str(lists)])
    assert '+var AllowedAvatarModels = []string{"ada-v1.vrm"}' in shown["diff"] and "ada" not in lists.read_text()
    assert worker("register", model=promoted["file"], files=[str(lists)], apply=True)["applied"] == [str(lists)]
    assert "ada-v1.vrm" in lists.read_text()
    kept = json.loads((tmp_path / "runs" / "run-1" / "promotions.json").read_text())["promotions"]
    assert [entry["file"] for entry in kept] == ["ada-v1.vrm"]
    store, deadline = tracking.choose_store(tmp_path / "runs"), time.monotonic() + 240
    while tracking.pending(tmp_path / "runs", store) and time.monotonic() < deadline:
        time.sleep(0.2)
    _, [run] = runs_at(store.uri, "run-1")
    assert run.data.tags["promoted_url"] == "https://cdn.example/ada-v1.vrm"
    assert SECRET not in (tmp_path / "worker.log").read_text() + (tmp_path / "runs" / tracking.LOG).read_text()


def test_a_rerun_says_what_differs_and_what_it_lacks(env, tmp_path):
    picture = tmp_path / "p.png"
    Image.new("RGB", (4, 4)).save(picture)
    vrm = make_vrm(tmp_path / "ada.vrm")
    folder = write_run(
        tmp_path / "runs",
        Run("run-1", "Ada", picture, {"vrm": vrm}, metrics={"faces": 3.0}, versions={"blender": "4.2"}),
    )
    old = read_receipt(folder / "receipt.json")
    make_vrm(vrm, seed=1)
    new = read_receipt(
        write_run(tmp_path / "again", Run("run-1", "Ada", picture, {"vrm": vrm}, metrics={"faces": 4.0}))
        / "receipt.json"
    )
    new["versions"]["blender"] = "5.0"
    lines, same = compare(old, new)
    assert (
        not same and lines[0] == "version blender: was 4.2, is 5.0" and lines[1].startswith("vrm: different (SHA-256 ")
    )
    assert lines[2:] == ["metric faces: was 3, is 4"] and compare(old, old)[1]
    command = [*COMMAND, "rerun", str(folder / "receipt.json")]
    without = subprocess.run(command, env={**env, "PATH": ""}, capture_output=True, text=True)
    assert without.returncode == 1 and without.stderr.startswith(
        "Making the avatar again needs Blender, which was not found."
    )
    (folder / "reference.png").write_bytes(b"another")
    changed = subprocess.run(command, env=env, capture_output=True, text=True)
    assert changed.returncode == 1 and "is not the picture that this avatar was made from" in changed.stderr


PICTURE = {"name": "p.png", "sha256": ""}
RECEIPT = {"receipt": 1, "name": "Ada", "picture": PICTURE, "parameters": {}, "files": {}, "metrics": {}}


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{}", "\0", '{"receipt": 1}']
    + [json.dumps(RECEIPT | {"name": name}) for name in ("a\0b", "\ud800", 5)]
    + [json.dumps(RECEIPT | {"files": {"vrm": file}}) for file in (1, {}, {"sha256": 3})],
)
def test_no_rerun_of_what_is_no_receipt(tmp_path, text):
    (tmp_path / "receipt.json").write_text(text)
    with pytest.raises(BackendError, match="not the receipt of an avatar"):
        rerun_receipt(tmp_path / "receipt.json", sys.executable)
    (tmp_path / "receipt.json").write_text(json.dumps(RECEIPT))
    with pytest.raises(BackendError, match=r"The picture p\.png is not in the folder"):
        rerun_receipt(tmp_path / "receipt.json", sys.executable)


def test_a_killed_upload_leaves_no_object_and_goes_on(env, seaweed, bucket, tmp_path):
    file, report = make_vrm(tmp_path / "big.vrm", 40_000_000), tmp_path / "report.json"
    report.write_text(json.dumps(GOOD))
    command = [
        *COMMAND,
        "promote",
        str(file),
        "--bucket",
        bucket,
        "--endpoint",
        seaweed,
        "--name",
        "big",
        "--report",
        str(report),
    ]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = [next(line for line in process.stderr if "Uploading 15.7" in line)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [
        item["Key"] for item in client(seaweed).list_objects_v2(Bucket=bucket)["Contents"] if "big" in item["Key"]
    ] == []
    ended = subprocess.run(command, env=env, capture_output=True, text=True)
    entry = json.loads(ended.stdout)
    assert ended.returncode == 0 and entry["resumed"] and entry["version"] == 1
    sent = [line for line in ended.stderr.splitlines() if "Uploading" in line]
    assert "Uploading 5.2 of 40.0" in sent[0]  # the parts that were there are only counted
    said += [ended.stderr, ended.stdout]
    wrong = subprocess.run(
        command, env={**env, "AWS_SECRET_ACCESS_KEY": "another-secret"}, capture_output=True, text=True
    )
    assert (
        wrong.returncode == 1
        and wrong.stderr.count("\n") <= 12
        and "access key" in wrong.stderr
        and "Traceback" not in wrong.stderr
    )
    said += [wrong.stderr, *(path.read_text() for path in (tmp_path / "data").rglob("*.json"))]
    assert not any(secret in text for text in said for secret in (SECRET, KEY, "another-secret"))


def test_a_batch_promotes_what_it_makes(seaweed, bucket, tmp_path):
    """The whole way in one command: picture, avatar, report, run folder, bucket."""
    blender = ROOT / ".venv" / "bpy-4.5.15" / "bin" / "python"
    if not blender.exists():
        pytest.skip("needs the environment with bpy: make env-bpy")
    command = [
        blender,
        ROOT / "avatar_addon/batch.py",
        "--",
        ROOT / "examples/companion.png",
        "--out",
        tmp_path / "out",
        "--no-sheet",
    ]
    command += ["--bucket", bucket, "--endpoint", seaweed, "--name", "Ada Two"]
    environment = os.environ | {
        "AVATAR_FORGE_RUNS": str(tmp_path / "runs"),
        "AVATAR_FORGE_BACKEND_PYTHON": sys.executable,
    }
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0 and "promoted as ada-two-v1.vrm" in ended.stdout, ended.stdout + ended.stderr
    assert {entry["Key"] for entry in client(seaweed).list_objects_v2(Bucket=bucket)["Contents"]} >= {
        "ada-two-v1.vrm",
        "index.json",
    }
    assert SECRET not in ended.stdout + ended.stderr
