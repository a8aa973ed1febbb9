# SPDX-License-Identifier: GPL-3.0-or-later
"""Training the reader: pictures follow from their seed, truth follows the picture, an interrupted run goes on."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")
import torch

from backend.reader.layout import HEIGHT, KEYPOINTS
from tests.unit.doll import make_doll
from training import dataset, variety
from training.dataset import Shards, augment
from training.figure import Model
from training.sample import FIELDS, Cast, make_figure, make_sample, make_whole
from training.scores import CHIN, HEAD_TOP

needs_backbone = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite_pytorch") is None, reason="training/requirements.txt"
)


@pytest.fixture(scope="module")
def cast() -> Cast:
    return Cast([Model.of(make_doll())], np.ones(1))


@pytest.fixture(scope="module")
def data(cast, tmp_path_factory) -> Path:
    """Eight pictures as training.render writes them."""
    folder = tmp_path_factory.mktemp("data") / "train"
    samples = [make_sample(cast, (5, k)) for k in range(8)]
    (folder / "000_00000").mkdir(parents=True)
    for name in FIELDS:
        np.save(folder / "000_00000" / f"{name}.npy", np.stack([sample[name] for sample in samples]))
    return folder


def test_a_picture_follows_from_its_seed(cast):
    one, two, other = make_sample(cast, (1, 2)), make_sample(cast, (1, 2)), make_sample(cast, (1, 3))
    for name, (shape, dtype) in FIELDS.items():
        assert one[name].shape == shape
        assert one[name].dtype == dtype
        assert np.array_equal(one[name], two[name], equal_nan=dtype.startswith("float"))
    assert not np.array_equal(one["image"], other["image"])


def test_pictures_of_figures_have_the_usual_fields_and_show_no_head_alone(cast):
    for k in range(10):
        out = make_whole(cast, (1, k))
        assert not out["head"] and out["count"] >= 0
        assert {name: (value.shape, str(value.dtype)) for name, value in out.items()} == FIELDS


def test_bold_figures_have_big_heads_and_their_truth_goes_along(cast):
    shares = []
    for bold in (False, True):
        figures = [make_figure(cast, (1, k), bold=bold) for k in range(12)]
        heads = [np.hypot(*(f["points"][HEAD_TOP] - f["points"][CHIN])) for f in figures if f["known"].all()]
        tall = [np.ptp(f["points"][:, 1]) for f in figures if f["known"].all()]
        shares.append(np.quantile(np.divide(heads, tall), 0.8))
    assert shares[1] > 1.1 * shares[0]


def test_some_pictures_of_a_batch_are_drawn_anew_and_follow_from_the_seed():
    image = (torch.rand(12, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 255).round()
    rows = torch.arange(12) % 2 == 0
    one, two = (variety.drawn(image, rows, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(one, two) and one.min() >= 0 and one.max() <= 255
    assert torch.equal((one != image).flatten(1).any(1), rows)


def test_the_truth_moves_with_the_picture(data, monkeypatch):
    for name in ("TINTED", "FILTERED", "PLAIN", "PATCHED"):
        monkeypatch.setattr(variety, name, 0.0)
    monkeypatch.setattr(dataset, "DRAWN", 0.0)
    raw = Shards([data]).take(np.arange(8))
    raw["image"][:] = 0
    raw["points"][:, 0], raw["known"][:, 0] = torch.tensor([90.0, 80.0]), True
    raw["image"][:, 78:83, 88:93] = 255  # around the hips
    out = augment(raw, torch.Generator().manual_seed(1))
    for image, point, known in zip(out["image"], out["points"][:, 0], out["known"][:, 0], strict=True):
        light = image.mean(0)
        light = light * (light > 0.6 * light.max())
        y, x = (torch.arange(n, dtype=torch.float32) + 0.5 for n in light.shape)
        middle = torch.stack([(light.sum(0) * x).sum(), (light.sum(1) * y).sum()]) / light.sum()
        if known and (point > 8).all() and (point < torch.tensor([152.0, 184.0])).all():
            assert (middle - point).norm() < 1.5


@needs_backbone
def test_an_interrupted_run_goes_on_and_learns(data, tmp_path, monkeypatch):
    from training import train

    monkeypatch.setattr(train, "WARM_UP", 1)
    torch.set_num_threads(1)
    raw = Shards([data]).take(np.arange(4))

    def trained(run: str, *stops: int) -> tuple[dict, list[float]]:
        heat = []
        for stop in stops:
            trainer = train.Trainer(tmp_path / run, "cpu", 0)
            while trainer.step < stop:
                heat.append(trainer.advance(raw, 6, (64, 64))["heat"])
            trainer.save()
        return trainer.network.state_dict(), heat

    (whole, heat), (resumed, _) = trained("whole", 6), trained("parts", 2, 6)
    assert heat[-1] < heat[0]
    for name, value in whole.items():
        assert torch.allclose(value, resumed[name], atol=1e-4), name


def test_joints_are_calibrated_on_what_the_reader_finds_in_whole_figures(cast):
    from backend.reader.network import MODEL, calibration
    from training.calibration import FIGURE, calibrated, rendered

    for picture, points, known, tall in rendered(cast, 3):
        assert picture.shape[0] == 2 * HEIGHT and known.shape == (len(points),)
        assert 0 < tall <= picture.shape[0]
    found = calibrated(MODEL, cast, 3)
    assert list(found) == list(KEYPOINTS[:FIGURE])
    assert found["leftHand"] == found["rightHand"]
    assert len(found["hips"]) == len(calibration(MODEL)["hips"])


@needs_backbone
def test_a_run_from_other_weights_records_what_those_were_trained_on(tmp_path):
    pytest.importorskip("onnx")
    from training.export import record
    from training.train import START

    record(tmp_path, tmp_path, {"weights": "a", "steps": 5})
    (tmp_path / START).write_text("a\n")
    trained = json.loads((tmp_path / "training.json").read_text())
    (tmp_path / "training.json").write_text(json.dumps(trained | {"heads": {"steps": 2}}))
    record(tmp_path, tmp_path, {"weights": "b", "steps": 7})
    after = json.loads((tmp_path / "training.json").read_text())
    assert after == {"weights": "b", "steps": 7, "start": {"weights": "a", "steps": 5}, "heads": {"steps": 2}}


def test_the_reader_tells_to_which_side_a_figure_is_turned(cast):
    from backend.reader import read
    from training.sample import make_figure

    told = []
    for k in range(24):
        sample = make_figure(cast, (5, k))
        if sample["character"] >= 0 and 18 < abs(sample["yaw"]) < 50:
            told.append(read(sample["image"]).yaw * float(sample["yaw"]))
    assert len(told) >= 4
    assert all(product > 0 for product in told)
