# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes and mouth: where two looks at a head agree, what training draws on heads, and what its export keeps."""

import importlib.util
import io

import numpy as np
import pytest
from PIL import Image

from backend.reader import heads
from backend.reader.layout import FACE, HEIGHT, WIDTH

ROWS, COLUMNS = 40, 32
needs_backbone = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite_pytorch") is None, reason="training/requirements.txt"
)


def head(places, mouth=(1.0, 0.0, 0.0)):
    """A look whose map k has the shares of places[k]: ((row, column, share), ...)."""
    heat = np.zeros((len(FACE), ROWS, COLUMNS))
    for k, spread in enumerate(places):
        for row, column, share in spread:
            heat[k, row, column] = share
    zeros = np.zeros(len(FACE))
    return heads.Head(heat, np.zeros((3, 2)), zeros, zeros, np.array(mouth), np.ones((3, 2)))


def test_an_eye_is_where_both_looks_see_it():
    far = head([((10, 20, 0.6), (14, 20, 0.4)), ((10, 8, 1.0),), ((30, 16, 1.0),)])
    near = head([((14, 20, 0.7), (35, 2, 0.3)), ((10, 8, 1.0),), ((30, 16, 1.0),)], mouth=(0.0, 1.0, 0.0))
    found = heads.together(far, near.heat, near)
    assert found.points[0] == pytest.approx(np.array([20.5 * WIDTH / COLUMNS, 14.5 * HEIGHT / ROWS]), abs=0.2)
    assert found.mass[1] > 0.85 > found.mass[0]
    assert found.mouth == pytest.approx([0.5, 0.5, 0.0])


def test_a_sketched_face_is_where_its_truth_says():
    resvg = pytest.importorskip("resvg_py")
    from training.sketches import sketch

    side, unit = 320, 90.0
    for seed in range(12):
        face = sketch(np.random.default_rng(seed), np.array([240, 200, 180]), 0.9)
        assert {"leftEye", "rightEye"} <= set(face.parts) <= set(FACE)
        document = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}">'
            f'<g transform="translate({side / 2} {side / 3}) scale({unit})">{"".join(face.items)}</g></svg>'
        )
        alpha = np.asarray(Image.open(io.BytesIO(bytes(resvg.svg_to_bytes(svg_string=document)))))[..., 3] > 127
        for x, y, half_width, half_height in face.parts.values():
            column, row = side / 2 + x * unit, side / 3 + y * unit
            a, b = max(half_width * unit, 3), max(half_height * unit, 3)
            drawn = alpha[int(row - b) : int(row + b) + 1, int(column - a) : int(column + a) + 1]
            columns = np.flatnonzero(drawn.any(0))
            assert len(columns), seed
            # As wide as it is said to be, and in its middle.
            assert np.ptp(columns) + 1 > 1.3 * a
            assert abs(columns.mean() - a) < 0.25 * a + 1


def test_a_restyled_picture_keeps_its_size_and_follows_from_its_seed():
    from training.restyle import STYLES

    picture = np.random.default_rng(0).integers(0, 256, (48, 40, 3)).astype(np.uint8)
    for name, style in STYLES.items():
        one, two = (style(picture, np.random.default_rng(3)) for _ in range(2))
        assert one.shape == picture.shape, name
        assert np.array_equal(one, two), name
        assert np.abs(one.astype(float) - picture).mean() > 1, name


@needs_backbone
def test_the_export_of_heads_says_what_the_network_says(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from training.heads_export import FIRST, export_heads
    from training.losses import SLICES
    from training.network import ReaderNetwork

    torch.manual_seed(0)
    network = ReaderNetwork().eval()
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    given = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32))
    with torch.no_grad():
        maps, vector = network(given)
    export_heads(network, tmp_path / "heads.onnx", (64, 64))
    found = heads.session(tmp_path / "heads.onnx").run(None, {"pictures": given.numpy()})
    wanted = maps[:, FIRST : FIRST + 3].numpy()
    assert np.abs(found[0] - wanted).max() < 0.05 * np.abs(wanted).max()
    for name, place in (("mouth", heads.STATES), ("sizes", heads.SIZES)):
        assert found[1][:, place] == pytest.approx(vector[:, SLICES[name]].numpy(), abs=0.1), name
    assert found[1][:, heads.SEEN] == pytest.approx(vector[:, SLICES["visible"]].numpy()[:, FIRST:], abs=0.1)


def test_printed_faces_of_many_drawing_styles_are_found():
    """The network of whole figures finds a third of these."""
    resvg = pytest.importorskip("resvg_py")
    from backend.reader.network import MODEL
    from training.restyle import dots
    from training.sketches import sketch

    right = 0
    for seed in range(24):
        random = np.random.default_rng(100 + seed)
        face, unit = sketch(random, np.array([245, 215, 195]), 0.8), 44.0
        hair = "#" + "".join(f"{v:02x}" for v in random.integers(20, 220, 3))
        document = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">'
            f'<rect width="100%" height="100%" fill="#cfd6dc"/><ellipse cx="80" cy="88" rx="58" ry="62" fill="{hair}"/>'
            f'<ellipse cx="80" cy="104" rx="46" ry="52" fill="#f5d7c3"/>'
            f'<g transform="translate(80 100) scale({unit})">{"".join(face.items)}</g></svg>'
        )
        data = bytes(resvg.svg_to_bytes(svg_string=document, skip_system_fonts=True))
        printed = dots(np.array(Image.open(io.BytesIO(data)).convert("RGB")), np.random.default_rng(seed + 1))
        found = heads.look(MODEL, np.clip(printed, 0, 255).astype(np.uint8))
        off = [
            np.hypot(*(found.points[FACE.index(n)] - [80 + unit * p[0], 100 + unit * p[1]]))
            for n, p in face.parts.items()
        ]
        right += max(off) < 0.05 * 114  # of the head's height
    assert right >= 18, right
