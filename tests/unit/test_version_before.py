"""A run folder and a folder of weights that version 0.1 left behind are read (tests/addon/files/v0.1/README.md)."""

import tarfile
from pathlib import Path

import pytest

from backend.models import store
from backend.records import content, runs, tracking

FILES = Path(__file__).parents[1] / "addon/files/v0.1/files.tar.xz"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("v0.1")
    with tarfile.open(FILES) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_a_run_folder_is_found_and_can_be_promoted_and_tracked(files):
    assert runs.run_folders(files) == [files / "run"]
    receipt = runs.read_receipt(files / "run/receipt.json")
    for entry in (receipt["picture"], *receipt["files"].values()):
        assert runs.digest(files / "run" / entry["path"]) == entry["sha256"]
    assert content.run_metrics(receipt)["vertex_count"] > 1000 and tracking.run_url(files / "run").startswith("file:")
    runs.add_promotion(
        files / "run", {"bucket": "models", "key": "companion-v1.vrm", "name": "companion", "version": 1, "urls": {}}
    )
    assert [entry["key"] for entry in runs.promotions(files / "run")] == ["companion-v1.vrm"]


def test_locked_weights_are_verified(files, monkeypatch):
    names = (store.File("config.json"), store.File("big.safetensors", 1024))
    source = store.Source("some/repo", "c" * 40, "MIT", names)
    monkeypatch.setitem(store.MODELS, "tiny", store.Model("tiny", "A tiny model", (source,)))
    assert store.verify("tiny", root=files / "models") == []
    (files / "models/tiny/config.json").write_bytes(b"{}")
    assert "config.json" in store.verify("tiny", root=files / "models")[0]
