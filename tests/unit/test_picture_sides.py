# SPDX-License-Identifier: GPL-3.0-or-later
"""Which side of a character a picture shows: on a sheet, and in the slot that the user has put it in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.image.facing import Facing
from backend.image.load import load_picture
from backend.image.mask import find_figure
from backend.image.sheet import cut_sheet, sheet_result
from backend.image.views import check_views, faces_left, looks_left, review, view_of

COMPANION = Path(__file__).resolve().parents[2] / "examples/companion.png"
TALL = 400  # pixels


@pytest.fixture(scope="module")
def companion():
    """The sample's figure cut out, (TALL, W, 4) uint8."""
    rgba = load_picture(COMPANION).rgba
    mask = find_figure(rgba).mask
    rgba = np.dstack([rgba[..., :3], 255 * mask.astype(np.uint8)])
    figure = Image.fromarray(rgba).crop(Image.fromarray(rgba).getbbox())
    return np.asarray(figure.resize((figure.width * TALL // figure.height, TALL)))


def seen(figure):
    return view_of(figure, figure[..., 3] > 127, TALL)


def faceless(figure):
    """A stand-in for the back: the whole head has the colour of the hair."""
    out = figure[:, ::-1].copy()
    head = out[: TALL // 3]
    head[..., :3] = np.median(head[: TALL // 12][head[: TALL // 12, :, 3] > 127], axis=0)[:3]
    return out


def test_a_portrait_as_tall_as_the_figures_is_not_the_front(companion, tmp_path):
    """Its arms end far apart at the picture's edge, so that it does not end in one broad line."""
    bust = Image.fromarray(companion[: round(0.45 * TALL)])
    bust = bust.resize((round(bust.width / 0.45), TALL))
    back = Image.fromarray(faceless(companion))
    sheet = Image.new("RGB", (bust.width + 2 * back.width + 80, TALL + 40), "white")
    x = 20
    for tile in (bust, back, Image.fromarray(companion)):
        sheet.paste(tile, (x, 20), tile)
        x += tile.width + 20
    sheet.save(tmp_path / "sheet.png")
    assert [(figure.view, figure.why) for figure in cut_sheet(tmp_path / "sheet.png")] == [
        ("ignore", "portrait"),
        ("back", ""),
        ("front", ""),
    ]


def test_figures_of_different_sizes_are_no_portraits(companion, tmp_path):
    """Their heights may differ, and are no reason to refuse the pictures that are cut out either."""
    figures = [companion, faceless(companion)]
    tiles = [Image.fromarray(figure) for figure in figures]
    tiles[0] = tiles[0].resize((round(0.75 * tiles[0].width), round(0.75 * TALL)))
    sheet = Image.new("RGB", (2 * tiles[1].width + 60, TALL + 40), "white")
    sheet.paste(tiles[0], (20, 20), tiles[0])
    sheet.paste(tiles[1], (tiles[1].width + 40, 20), tiles[1])
    sheet.save(tmp_path / "sheet.png")
    found = sheet_result(tmp_path / "sheet.png", tmp_path)["figures"]
    assert [figure["view"] for figure in found] == ["front", "back"]
    assert not review(Path(found[0]["picture"]), {"back": Path(found[1]["picture"])})["message"]


def test_the_reader_tells_a_side_whose_outline_looks_the_other_way():
    mask = np.zeros((200, 80), bool)
    mask[:, 20:60] = True
    mask[192:, :20] = True  # the heel of a shoe reaches further than its toes
    facing = Facing(face=0.1, aside=0.3, furthest=0.3, eyes=0.3, yaw=92.0, feet=0.9, legs=0.3)
    assert looks_left(mask) is True and faces_left(mask, facing) is False


def test_the_front_in_another_slot_is_said(companion):
    front = seen(companion)
    for side, sentence in (
        ("left", "The left side picture shows the character from the front."),
        ("back", "The back picture shows a face; check which side it shows."),
    ):
        assert [w["message"] for w in check_views(front, {side: front})] == [sentence]
    assert not check_views(front, {"back": seen(faceless(companion))})


def test_another_characters_picture_is_said(companion):
    other = faceless(companion)
    other[..., :3] = 255 - other[..., :3]
    (warning,) = check_views(seen(companion), {"back": seen(other)})
    assert "may show another character" in warning["message"]
