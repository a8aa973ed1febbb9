"""Promotion against real S3 servers: names are given once, nothing is overwritten, nothing is lost, and every failure
has its sentence.
"""

import hashlib
import json
import logging
import os
import random
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.errors import BackendError, Cancelled
from backend.promotion.promote import Promotion, check_report, promote
from backend.promotion.store import Store, Target
from tests.records.servers import SECRET, client

GOOD = {"checks": [{"id": "humanoid", "status": "PASS"}, {"id": "triangles", "status": "WARN"}]}
BAD = {"checks": [*GOOD["checks"], {"id": "viseme.aa", "status": "FAIL"}]}


def quiet(stage, fraction, message):
    pass


def make_vrm(path, size=20_000, seed=0):
    """Bytes in a GLB's container: all that promotion looks at."""
    body = random.Random(seed).randbytes(size - 12)
    path.write_bytes(b"glTF" + (2).to_bytes(4, "little") + size.to_bytes(4, "little") + body)
    return path


@pytest.fixture
def make(tmp_path, seaweed, bucket):
    def make(name="companion", size=20_000, seed=0, **options):
        file = make_vrm(tmp_path / f"{seed}.vrm", size, seed)
        target = options.pop("target", Target(bucket, seaweed))
        return Promotion(
            file, target, name, **{"report": GOOD, "run_id": f"run-{seed}", "state": tmp_path / "state", **options}
        )

    return make


def index_of(endpoint, bucket, key="index.json"):
    return json.loads(client(endpoint).get_object(Bucket=bucket, Key=key)["Body"].read())


def refused(promotion, **options):
    with pytest.raises(BackendError) as caught:
        promote(promotion, quiet, Store(promotion.target, **options) if options else None)
    assert caught.value.message.endswith(".") and caught.value.hint.endswith(".")
    return caught.value.code


def test_a_promoted_model_is_public_as_it_was_checked(make, seaweed, bucket):
    promotion = make(run_id="run-Ä-1", details={"licence": "CC0"})
    stages = []
    entry = promote(promotion, lambda *event: stages.append(event[0]))
    found = client(seaweed).get_object(Bucket=bucket, Key="companion-v1.vrm")
    assert found["Body"].read() == promotion.file.read_bytes()
    assert (
        found["ContentType"] == "model/gltf-binary" and found["CacheControl"] == "public, max-age=31536000, immutable"
    )
    digest = hashlib.sha256(promotion.file.read_bytes()).hexdigest()
    assert found["Metadata"]["sha256"] == digest and found["Metadata"]["run-id"] == "run-%C3%84-1"
    [listed] = index_of(seaweed, bucket)["models"]
    assert listed == {key: value for key, value in entry.items() if key not in ("bucket", "resumed")}
    assert (listed["file"], listed["version"], listed["sha256"], listed["run_id"]) == (
        "companion-v1.vrm",
        1,
        digest,
        "run-Ä-1",
    )
    assert listed["report"] == {"pass": 1, "warn": 1, "fail": 0} and listed["licence"] == "CC0"
    assert list(dict.fromkeys(stages)) == ["check", "upload", "verify", "index"]
    assert not list(promotion.state.glob("*.json"))


def test_names_count_up_and_are_never_given_twice(make, seaweed, bucket):
    files = [promote(make(seed=seed), quiet)["file"] for seed in (1, 2)]
    other = promote(make("companion-v2", seed=3), quiet)["file"]
    client(seaweed).delete_object(Bucket=bucket, Key="companion-v2.vrm")
    assert files == ["companion-v1.vrm", "companion-v2.vrm"] and other == "companion-v2-v1.vrm"
    assert promote(make(seed=4), quiet)["file"] == "companion-v3.vrm"


def test_twenty_promoters_at_once(make, seaweed, bucket):
    promotions = [make(seed=max(seed, 5)) for seed in range(20)]  # six of them with the same file
    with ThreadPoolExecutor(20) as pool:
        entries = list(pool.map(lambda promotion: promote(promotion, quiet), promotions))
    assert sorted(entry["version"] for entry in entries) == list(range(1, 21))
    assert {model["key"] for model in index_of(seaweed, bucket)["models"]} == {
        f"companion-v{n}.vrm" for n in range(1, 21)
    }
    for entry in entries:
        body = client(seaweed).get_object(Bucket=bucket, Key=entry["key"])["Body"].read()
        assert hashlib.sha256(body).hexdigest() == entry["sha256"]


def test_a_server_that_ignores_conditions_is_found_out_and_still_nothing_is_overwritten(make, nanio):
    client(nanio).create_bucket(Bucket="plain")
    target = Target("plain", nanio, prefix="models/")
    assert not Store(target).has_conditional_writes(multipart=False)
    promotions = [make(seed=seed, target=target, size=6_000_000 if seed == 0 else 20_000) for seed in range(5)]
    with ThreadPoolExecutor(5) as pool:
        entries = list(pool.map(lambda promotion: promote(promotion, quiet), promotions))
    assert sorted(entry["version"] for entry in entries) == [1, 2, 3, 4, 5]
    assert len(index_of(nanio, "plain", "models/index.json")["models"]) == 5
    for entry in entries:
        body = client(nanio).get_object(Bucket="plain", Key=entry["key"])["Body"].read()
        assert hashlib.sha256(body).hexdigest() == entry["sha256"]
    assert not Store(target).keys("models/.locks/")


class Stopped(BaseException):
    """As a kill: nothing of ours may run after it but `finally`."""


def stop_at(stage, part=0.0):
    def progress(now, fraction, message):
        if now == stage and fraction >= part:
            raise Stopped

    return progress


@pytest.mark.parametrize("stage", ["upload", "verify", "index"])
@pytest.mark.parametrize("size", [20_000, 17_000_000])
def test_a_promotion_that_died_goes_on_where_it_was(make, seaweed, bucket, stage, size):
    with pytest.raises(Stopped):
        promote(make(size=size), stop_at(stage, 0.4 if stage == "upload" and size > 1e6 else 0.0))
    there = [
        item["Key"] for item in client(seaweed).list_objects_v2(Bucket=bucket, Prefix="companion").get("Contents", [])
    ]
    assert there == ([] if stage == "upload" else ["companion-v1.vrm"])
    messages = []
    entry = promote(make(size=size), lambda stage, fraction, message: messages.append(message))
    assert entry["file"] == "companion-v1.vrm" and entry["resumed"]
    assert [model["version"] for model in index_of(seaweed, bucket)["models"]] == [1]
    if stage != "upload":
        assert not any(message.startswith("Uploading") for message in messages)
    elif size > 1e6:
        assert not any(message.startswith("Uploading 0.0") for message in messages)
    assert "Uploads" not in client(seaweed).list_multipart_uploads(Bucket=bucket)


def test_one_who_was_overtaken_while_stopped_takes_the_next_name(make, seaweed, bucket):
    with pytest.raises(Stopped):
        promote(make(size=12_000_000), stop_at("upload", 0.4))
    assert promote(make(seed=1), quiet)["version"] == 1
    assert promote(make(size=12_000_000), quiet)["version"] == 2
    assert "Uploads" not in client(seaweed).list_multipart_uploads(Bucket=bucket)


def test_a_cancelled_promotion_leaves_nothing(make, seaweed, bucket):
    def cancel(stage, fraction, message):
        if fraction > 0.4:
            raise Cancelled

    promotion = make(size=12_000_000)
    with pytest.raises(Cancelled):
        promote(promotion, cancel)
    assert "Uploads" not in client(seaweed).list_multipart_uploads(Bucket=bucket)
    assert not Store(promotion.target).keys("companion") and not list(promotion.state.glob("*.json"))


def test_only_what_was_checked_is_promoted(make, tmp_path, seaweed, bucket):
    assert refused(make(report=BAD)) == "report_failed"
    assert refused(make(report=None)) == "no_report"
    assert refused(make(report={"checks": [{"id": "x", "status": "Fail"}]})) == "report_failed"
    assert refused(make(report={**GOOD, "sha256": "0" * 64})) == "stale_report"
    assert refused(make("Has Spaces")) == "bad_name"
    half = make()
    half.file.write_bytes(half.file.read_bytes()[:-1])
    assert refused(half) == "not_vrm"
    assert len(Store(half.target).keys("")) <= 1  # the fixture's own object
    entry = promote(make(report=BAD, override="Its mouth is a mask – wanted"), quiet)
    assert entry["override"] == "Its mouth is a mask – wanted" and entry["report"]["fail"] == 1
    kept = client(seaweed).head_object(Bucket=bucket, Key=entry["key"])["Metadata"]["override-reason"]
    assert kept == "Its mouth is a mask %E2%80%93 wanted"
    assert check_report(GOOD, "") == {"pass": 1, "warn": 1, "fail": 0}


@pytest.mark.parametrize(
    "answer, code", [(500, "server_error"), (None, "server_silent"), (507, "disk_full"), (403, "no_permission")]
)
def test_a_server_in_trouble(make, broken, answer, code):
    broken.RequestHandlerClass.answer = answer
    target = Target("avatars", f"http://127.0.0.1:{broken.server_port}")
    assert refused(make(target=target), read_timeout=0.5) == code


def test_each_failure_has_its_sentence(make, seaweed, bucket, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert refused(make(target=Target("avatars", f"http://127.0.0.1:{unused.getsockname()[1]}"))) == "no_network"
    assert refused(make(target=Target("avatars", seaweed.replace("http:", "https:")))) == "tls"
    assert refused(make(target=Target("not-there", seaweed))) == "no_bucket"
    assert refused(make(target=Target("avatars", "https://me:secret@storage.example"))) == "bad_target"
    assert refused(make(target=Target("avatars", seaweed, prefix="half \ud800"))) == "bad_target"
    assert refused(make(target=Target(bucket, seaweed, profile="not-there"))) == "no_credentials"
    client(seaweed).put_object(Bucket=bucket, Key="theirs/index.json", Body=b"[]")
    assert refused(make(target=Target(bucket, seaweed, prefix="theirs"))) == "bad_index"
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "READER")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "reader-secret")
        assert refused(make()) == "no_permission"
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-of-the-reader")
        assert refused(make()) == "wrong_key"
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        assert refused(make()) == "no_credentials"
    logged = caplog.text
    assert SECRET not in logged and "wrong-secret" not in logged and "me:secret" not in logged


def test_a_wrong_clock_is_named(make, monkeypatch):
    import datetime

    import botocore.auth

    late = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(hours=2)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: late, raising=True)
    assert refused(make()) == "clock_skew"
