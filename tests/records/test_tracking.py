"""Run folders reach a real MLflow server, or the local store, once, whatever happens on the way."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from PIL import Image

from backend.errors import BackendError
from backend.mesh.glb import write_glb
from backend.records import content, tracking
from backend.records.content import RUN_TAG
from backend.records.runs import Run, add_promotion, read_receipt, write_run
from tests.records.servers import BIN, ROOT, free_port, start, stop

PASSWORD = "s3cret-of-the-server"


@pytest.fixture(scope="session")
def mlflow_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="session")
def serve(mlflow_folder):
    """Starts the MLflow server on a port that stays the same."""
    port, running = free_port(), []

    def serve():
        command = [BIN / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        command += [
            "--backend-store-uri",
            f"sqlite:///{mlflow_folder}/server.db",
            "--artifacts-destination",
            str(mlflow_folder / "files"),
        ]
        env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # three more processes that nobody asks for anything
        running.append(start(command, mlflow_folder, f"http://127.0.0.1:{port}/health", env=env))
        return running[-1]

    serve.url = f"http://127.0.0.1:{port}"
    yield serve
    for process in running:
        stop(process)


@pytest.fixture
def make_run(tmp_path):
    def make(run_id="20261124-120000-abc123", root=tmp_path / "runs", **changes):
        picture = tmp_path / "Ada é.jpg"
        Image.new("RGB", (40, 60), (200, 30, 40)).save(picture)
        vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
        triangles = np.array([[0, 1, 2]])
        normals, uvs = np.tile(np.float32([0, 0, 1]), (3, 1)), np.zeros((1, 3, 2), np.float32)
        mesh = write_glb(tmp_path / "mesh.glb", vertices, triangles, normals, uvs, np.full((64, 64, 3), 90, np.uint8))
        (tmp_path / "ada.vrm").write_bytes(mesh.read_bytes())
        sheet = tmp_path / "s.png"
        Image.new("RGB", (8, 8)).save(sheet)
        values = {
            "files": {"raw": mesh, "vrm": tmp_path / "ada.vrm", "sheet": sheet},
            "parameters": {
                "engine": "trellis",
                "rigger": "geometric",
                "seed": 7,
                "engine_options": {"structure_cfg": 7.5},
                "markers": None,
            },
            "versions": {"blender": "4.5.15"},
            "weights": {"ss_flow.safetensors": "96dc"},
            "seconds": {"structure": 12.5, "rig": 2.0},
            "metrics": {"generate_time_s": 12.25, "rig_time_s": 2.0, "broken": float("nan")},
            "warnings": [{"code": "small", "message": "It is <small>."}],
            "report": {"checks": [{"id": "humanoid", "status": "PASS"}, {"id": "size", "status": "WARN"}]},
        }
        return write_run(root, Run(run_id, "Ada é", picture, **{**values, **changes}))

    return make


def runs_at(uri, run_id):
    client = tracking.connect(tracking.Store(uri))
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    return client, client.search_runs(
        [experiment.experiment_id], f"tags.\"{RUN_TAG}\" = '{run_id}'"
    ) if experiment else []


def files_at(client, run, path=None):
    for item in client.list_artifacts(run.info.run_id, path):
        yield from files_at(client, run, item.path) if item.is_dir else [item.path]


def check_complete(uri, run_id):
    client, found = runs_at(uri, run_id)
    [run] = found
    assert run.info.status == "FINISHED" and run.info.run_name == "Ada é"
    assert run.info.end_time - run.info.start_time == 14500
    expected = {
        "engine": "trellis",
        "seed": "7",
        "skeleton_seed": "7",
        "structure_cfg": "7.5",
        "version.blender": "4.5.15",
    }
    assert run.data.params.items() >= expected.items()
    figures = {
        "vertex_count": 3,
        "face_count": 1,
        "texture_resolution": 64,
        "trellis_time_s": 12.25,
        "total_time_s": 14.5,
    }
    figures |= {"report_pass": 1, "report_warn": 1, "report_fail": 0}
    assert run.data.metrics.items() >= figures.items() and "unirig_time_s" not in run.data.metrics
    assert {"reference.png", "Ada_é_raw.glb", "Ada_é.vrm", "previews/Ada_é_sheet.png", "receipt.json"} <= set(
        files_at(client, run)
    )
    return run


def test_a_run_folder_is_complete_or_not_there(make_run, tmp_path):
    folder = make_run()
    receipt = read_receipt(folder / "receipt.json")
    assert Image.open(folder / "reference.png").size == (40, 60) and (folder / "picture.jpg").exists()
    assert receipt["files"]["raw"]["path"] == "Ada_é_raw.glb" and receipt["weights"] == {"ss_flow.safetensors": "96dc"}
    assert {"python", "numpy", "avatar_forge", "blender"} <= receipt["versions"].keys() and "broken" not in receipt[
        "metrics"
    ]
    page = (folder / "run.html").read_text(encoding="utf-8")
    assert "&lt;small&gt;" in page and "previews/Ada_é_sheet.png" in page
    assert make_run() == folder
    assert make_run(report=None).name == f"{folder.name}-2"
    with pytest.raises(FileNotFoundError):
        make_run("another", files={"vrm": tmp_path / "missing.vrm"})
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, f"{folder.name}-2"]


def test_the_local_store_needs_no_server_and_nobody_waits_for_it(make_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = make_run()
    store = tracking.choose_store(folder.parent)
    started = time.monotonic()
    assert tracking.send_later(folder.parent) == {"state": "sending", "store": store.uri, "pending": 1}
    assert time.monotonic() - started < 2
    deadline = time.monotonic() + 240
    while tracking.pending(folder.parent, store) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert tracking.sync(folder.parent) == {"state": "done", "sent": 0, "pending": 0, "message": ""}
    check_complete(store.uri, folder.name)
    assert tracking.run_url(folder).startswith("file://")
    assert not (tmp_path / "mlruns").exists()


def test_candidates_are_children_of_one_run(make_run, tmp_path):
    group = {"candidates_of": "0a1b-candidates", "candidates_name": "Ada é"}
    for k in range(3):
        make_run(f"run-{k}", parameters={"engine": "preview", "seed": k, **group})
    store = tracking.choose_store(tmp_path / "runs")
    assert tracking.sync(tmp_path / "runs")["sent"] == 3
    _, [parent] = runs_at(store.uri, "0a1b-candidates")
    assert parent.info.status == "FINISHED" and parent.data.tags["picture"] == "Ada é.jpg"
    children = [runs_at(store.uri, f"run-{k}")[1][0] for k in range(3)]
    assert {run.data.tags[tracking.PARENT] for run in children} == {parent.info.run_id}
    assert [run.data.params["seed"] for run in children] == ["0", "1", "2"]
    tracking.sync(tmp_path / "runs", everything=True)
    assert len(runs_at(store.uri, "0a1b-candidates")[1]) == 1  # sent again, it stays one


@pytest.mark.parametrize(
    "answer, sentence",
    [
        (500, "kept and sent later"),
        (None, "kept and sent later"),
        (403, "does not let us in"),
        (404, "There is no MLflow at"),
    ],
)
def test_a_server_in_trouble_costs_no_run(make_run, broken, monkeypatch, answer, sentence):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    broken.RequestHandlerClass.answer = answer
    folder = make_run()
    state = tracking.sync(folder.parent, f"http://127.0.0.1:{broken.server_port}")
    assert (state["state"], state["pending"]) == ("waiting", 1) and sentence in state["message"]
    assert tracking.run_url(folder).startswith("file://")


class Killed(BaseException):
    """As a kill: nothing of ours runs after it but `finally`, which only gives the lock back."""


def test_what_is_recorded_while_the_server_is_away_arrives_once(make_run, serve, capfd, monkeypatch):
    root = make_run().parent
    url = serve.url.replace("//", f"//me:{PASSWORD}@")
    away = tracking.sync(root, url)
    assert (away["state"], away["pending"]) == ("waiting", 1) and "kept and sent later" in away["message"]
    server = serve()
    folders = [make_run("second"), root / "20261124-120000-abc123"]
    # Two senders at once, and a third after them.
    command = [sys.executable, "-m", "backend", "sync", "--runs", str(root), "--patient"]
    env = {**os.environ, "MLFLOW_TRACKING_URI": url, "PYTHONPATH": str(ROOT)}
    sender = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    tracking.sync(root, url, patient=True)
    said = sender.communicate(timeout=60)[0]
    assert sender.returncode == 0
    assert tracking.sync(root, url)["sent"] == 0
    for folder in folders:
        run = check_complete(serve.url, folder.name)
        assert tracking.run_url(folder) == f"{serve.url}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    # The promotion is added to the same run.
    entry = {"bucket": "avatars", "key": "ada-v3.vrm", "version": 3, "urls": {"cdn": "https://cdn.example/ada-v3.vrm"}}
    add_promotion(folders[0], entry)
    assert tracking.sync(root, url)["sent"] == 1
    tags = check_complete(serve.url, "second").data.tags
    assert tags["promoted_url"] == "https://cdn.example/ada-v3.vrm" and tags["version"] == "3"
    # A sender that dies after any of its requests is followed by one that ends its work.
    folder = make_run("killed")
    for step in ("create_run", "log_batch", "log_artifact", "set_terminated"):
        of = HttpArtifactRepository if step == "log_artifact" else MlflowClient
        real = getattr(of, step)

        def die(*args, real=real, **kwargs):
            real(*args, **kwargs)
            raise Killed

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(of, step, die)
            tracking.sync(root, url)
        assert tracking.pending(root, tracking.choose_store(root, url)) == [folder]
    assert tracking.sync(root, url)["sent"] == 1
    check_complete(serve.url, "killed")
    # A second run, of a request that was given up but carried out, goes away.
    client, [run] = runs_at(serve.url, "killed")
    client.create_run(run.info.experiment_id, tags={RUN_TAG: "killed"})
    (folder / tracking.STATE).unlink()
    assert tracking.sync(root, url)["sent"] == 1
    assert len(runs_at(serve.url, "killed")[1]) == 1
    # A server that accepts and never answers.
    os.killpg(server.pid, signal.SIGSTOP)
    try:
        make_run("hanging")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        started = time.monotonic()
        assert tracking.sync(root, url)["state"] == "waiting"
        assert time.monotonic() - started < 20
    finally:
        os.killpg(server.pid, signal.SIGCONT)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    assert tracking.sync(root, url)["sent"] == 1
    check_complete(serve.url, "hanging")
    written = (
        said + "".join(path.read_text(encoding="utf-8") for path in root.rglob("*.json")) + "".join(capfd.readouterr())
    )
    assert PASSWORD not in written


DAMAGED = {
    "receipt.json": [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"receipt": 2}', b'{"receipt": 1}', b"[" * 100_000,
        b'{"receipt": 1, "run": 3, "name": "x", "made_at": "now"}',
        {"picture": None}, {"picture": {}}, {"picture": {"name": 5}}, {"picture": {"name": "\ud800"}}, {"name": "a\0b"},
        {"parent": "x"}, {"parent": {"run": 5}}, {"versions": {"avatar_forge": 5}}, {"metrics": {"a": 10**400}},
        {"seconds": {"a": float("nan")}}, {"seconds": {"a": 1e300}}, {"made_at": "0001-01-01T00:00:00"},
        {"parameters": {"engine": "\ud800"}}, {"parameters": {"candidates_of": "a'b"}},
        {"parameters": {"candidates_of": ["x"]}}, None,
    ],
    "promotions.json": [
        b"", b"[]", None, b'{"promotions": 3}', b'{"promotions": [7]}', b'{"promotions": [{"key": "x"}]}',
        b'{"promotions": [{"bucket": "\\ud800", "key": "k", "version": 1}]}',
    ],
    "tracking.json": [b"", b"[]", b"3", b'{"stores": []}', b'{"stores": {"x": 3}}', b'{"stores": {"x": {"sent": 1}}}'],
}  # fmt: skip


@pytest.mark.parametrize("name, damaged", [(name, kind) for name, kinds in DAMAGED.items() for kind in kinds])
def test_a_damaged_run_folder_is_named_and_the_others_go_on(make_run, monkeypatch, name, damaged):
    """Damage in the first folder, and what is sent of the second."""
    sent = []
    monkeypatch.setattr(tracking, "connect", lambda store: None)
    monkeypatch.setattr(tracking, "_experiment", lambda client, store: "1")

    def send(client, experiment, store, folder):
        digest = content.read(folder).digest
        tracking._note(folder, store, experiment="1", run="r", sent=digest)
        sent.append(folder.name)

    monkeypatch.setattr(tracking, "_send", send)
    first = make_run("a-first")
    make_run("b-second")
    path = first / name
    if isinstance(damaged, dict):
        damaged = json.dumps(json.loads(path.read_text()) | damaged).encode()
    if damaged is None:  # a folder in its place
        path.unlink(missing_ok=True)
        path.mkdir()
    else:
        path.write_bytes(damaged)
    done = tracking.sync(first.parent)
    assert "b-second" in sent and done["state"] == "done" and not done["pending"]
    if name == "tracking.json":
        assert "a-first" in sent and not done["message"]
    else:
        assert "a-first" not in sent and "a-first" in done["message"]
        assert name in done["message"] or "receipt.json" in done["message"]
    assert make_run("c-third").name == "c-third"
    if name != "promotions.json" or damaged is not None:
        add_promotion(first, {"bucket": "b", "key": "k", "version": 1})


def test_what_a_dead_process_left_of_a_run_folder_goes(make_run):
    root = make_run().parent
    old, new = root / ".old.1234.partial", root / ".new.1234.partial"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    make_run("another")
    assert not old.exists() and new.exists()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:{}@db.example/mlflow", "HTTP://me:{}@host:5000", " https://me:{}@host", "https://host?token={}",
        "mysql+pymysql://me:{}@db/x?ssl_key={}", "https://host/#{}", "me:{}@host:5000",
        "http:/me:{}@host", "http//me:{}@host", "https:\\\\me:{}@host", "https://{}@host",
        "postgresql://db/x#{}", "http://me:a/{}@host", "http://[me:{}",
    ],
)  # fmt: skip
def test_no_address_shows_its_secret(make_run, monkeypatch, address):
    root, started = make_run().parent, []
    monkeypatch.setattr(tracking.subprocess, "Popen", lambda command, **options: started.append(command))
    address = address.replace("{}", PASSWORD)
    try:
        store = tracking.choose_store(root, address)
        assert PASSWORD not in store.uri and PASSWORD not in repr(store)
        assert store.address == address.strip() or PASSWORD in (store.password, store.user)
    except BackendError as error:
        assert error.code == "bad_target" and PASSWORD not in error.message + error.hint
    answer = tracking.send_later(root, address)
    assert PASSWORD not in str(answer) + str(started)


@pytest.mark.parametrize(
    "address, remote",
    [
        ("https://mlflow.example", True),
        ("postgresql://me:x@db.example/m", True),
        ("http://127.0.0.1:5000", False),
        ("", False),
    ],
)
def test_without_online_access_records_wait_for_another_machine(make_run, monkeypatch, address, remote):
    root, started = make_run().parent, []
    monkeypatch.setattr(tracking.subprocess, "Popen", lambda command, **options: started.append(command))
    state = tracking.send_later(root, address, online=False)
    assert (state["state"], len(started)) == (("offline", 0) if remote else ("sending", 1))
    assert state["pending"] == 1
    assert tracking.send_later(root, address)["state"] == "sending"


def test_the_runs_follow_no_redirect_to_another_host(make_run):
    asked = []

    class Redirecting(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers["Host"].split(":")[0])
            self.send_response(307)
            self.send_header("Location", f"http://localhost:{self.server.server_port}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state = tracking.sync(make_run().parent, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert set(asked) == {"127.0.0.1"} and "redirects to another address; enter that one" in state["message"]


@pytest.mark.skipif(sys.platform == "win32", reason="makes a pipe")
@pytest.mark.parametrize("name", ["receipt.json", "promotions.json", "tracking.json"])
def test_a_pipe_in_a_run_folder_stops_nothing(make_run, name):
    folder = make_run()
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert f"({name} is no file)" in tracking.damaged(folder.parent)
    assert not tracking.pending(folder.parent, tracking.choose_store(folder.parent))


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_a_run_folder_that_cannot_be_entered_is_named(make_run):
    runs = make_run().parent
    (runs / "loop").symlink_to(runs / "loop")
    (runs / "lost").mkdir()
    (runs / "lost" / "receipt.json").symlink_to(runs / "nothing")
    (runs / "note.txt").touch()
    assert "loop (receipt.json" in tracking.damaged(runs) and "lost (receipt.json" in tracking.damaged(runs)
    assert len(tracking.pending(runs, tracking.choose_store(runs))) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_what_a_link_in_a_run_folder_leads_to_stays_here(make_run, tmp_path):
    folder, secret = make_run(), tmp_path / "id_rsa"
    secret.write_text("precious")
    (folder / "previews").mkdir(exist_ok=True)
    (folder / "previews" / "x.png").symlink_to(secret)
    assert "x.png" not in {path.name for path in content.read(folder).artifacts}


@pytest.mark.parametrize(
    "server, place, fine",
    [
        ("https://mlflow.example", "mlflow-artifacts:/1/r1/artifacts", True),
        ("https://mlflow.example", "https://mlflow.example/api/artifacts/r1", True),
        ("https://mlflow.example", "s3://models/1/r1/artifacts", True),
        ("https://mlflow.example", "https://other.example/r1", False),
        ("https://mlflow.example", "mlflow-artifacts://other.example/r1", False),
        ("https://mlflow.example", "file://{here}/1/r1/artifacts", False),
        ("https://mlflow.example", "{here}", False),
        ("http://127.0.0.1:5000", "file://{here}/1/r1/artifacts", True),
        ("http://127.0.0.1:5000", "file://{here}", False),
        ("http://127.0.0.1:5000", "{here}/link/r1/artifacts", False),
        ("http://127.0.0.1:5000", "../r1/artifacts", False),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/r1", False),
        ("http://127.0.0.1:5000", "ftp://127.0.0.1/r1/artifacts", False),
        ("http://127.0.0.1:5000", "", False),
    ],
)
def test_a_server_does_not_choose_where_files_go_on_this_computer(tmp_path, server, place, fine):
    """A server that named a folder as the place of a run's files had them written there, over others."""
    (tmp_path / "link").symlink_to(tmp_path)
    info = SimpleNamespace(artifact_uri=place.format(here=tmp_path))
    client = SimpleNamespace(get_run=lambda run: SimpleNamespace(info=info), tracking_uri=server)
    if fine:
        assert tracking._files_of(client, tracking.Store(server), "r1")
        return
    with pytest.raises(BackendError) as caught:
        tracking._files_of(client, tracking.Store(server), "r1")
    assert caught.value.code == "bad_target" and "--serve-artifacts" in caught.value.hint


def test_no_message_shows_what_is_behind_the_host():
    store = tracking.Store("https://host.example:5000/s/SECRET-path")
    for code in ("INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "ENDPOINT_NOT_FOUND", ""):
        error = type("Problem", (Exception,), {"error_code": code})()
        assert "SECRET" not in tracking._away(store, error) and "host.example:5000" in tracking._away(store, error)
