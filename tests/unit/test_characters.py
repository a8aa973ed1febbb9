"""The pictures that the demo and the acceptance run start from are ours, and their truth is true."""

import io
from pathlib import Path

import numpy as np

from tools.characters.character import draw
from tools.characters.make_sample import COMPANION
from tools.characters.make_set import SET

ROOT = Path(__file__).resolve().parents[2]


def test_the_sample_is_what_its_script_draws():
    out = io.BytesIO()
    draw(COMPANION)[0].save(out, "PNG", optimize=True)
    assert out.getvalue() == (ROOT / "examples/companion.png").read_bytes()


def test_every_joint_and_marker_lies_on_the_character():
    for look in (COMPANION, *(look for look in SET if look.background == "none")):
        image, truth = draw(look)
        alpha = np.asarray(image)[..., 3]
        points = [
            *(p for name, p in truth["joints2d"].items() if name != "headTop"),
            *(part["center"] for part in truth["face"].values()),
        ]
        for x, y in points:
            around = alpha[max(0, int(y) - 4) : int(y) + 8, max(0, int(x) - 4) : int(x) + 5]
            assert around.max() > 127, (look.name, x, y)
        assert truth["face"]["leftEye"]["center"][0] > truth["face"]["rightEye"]["center"][0]
