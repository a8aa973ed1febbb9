"""What the flanks of a picture tell of sides and back: cloth stays plain, a pattern goes on, and nothing bands."""

import numpy as np
import pytest

from backend.preview.flanks import Flanks, close_to
from backend.preview.head_paint import FACE, HEADGEAR, KINDS, HeadLines, read_head
from backend.preview.strokes import cleaned

BANDS, CALM, TALL, WIDE = ((0.06, 0.36), (0.64, 0.94)), 18.0, 400, 120
CLOTH, BELT, HAIR, BOW, SKIN = (60, 90, 170), (200, 170, 60), (225, 200, 150), (40, 36, 40), (232, 180, 140)


def flanks_of(colours):
    return Flanks(colours, np.ones(colours.shape[:2], bool), np.array([0.0, 1.0]), BANDS, CALM)


def plates():
    """An armour: plates of any lightness, 24 rows high and 4 pixels wide."""
    light = np.random.default_rng(2).uniform(30, 220, (-(-TALL // 24), WIDE // 4))
    return np.repeat(np.repeat(np.repeat(light, 24, 0)[:TALL], 4, 1)[..., None], 3, -1).astype(np.float32)


def test_a_pattern_makes_no_bands_and_a_belt_stays():
    rows = np.column_stack([np.full(TALL, 60.0), np.arange(TALL)])
    bands = np.ptp(flanks_of(plates()).colour(rows, np.zeros(TALL))[:, 0])
    assert bands < 20, bands
    cloth = np.full((TALL, WIDE, 3), CLOTH, np.float32)
    cloth[200:220] = BELT
    shown = flanks_of(cloth).colour(rows, np.zeros(TALL))
    assert close_to(shown[[150, 250]], CLOTH, 5).all() and close_to(shown[[210]], BELT, 5).all()


def test_a_pattern_goes_on_behind_a_part_without_what_is_in_its_middle():
    armour = plates()
    armour[:, 45:75] = (250, 30, 30)  # an opening
    found = flanks_of(armour)
    column = np.tile(np.arange(8.0, 112), 3)
    pixels = np.column_stack([column, np.repeat([100.0, 200, 300], 104)])
    assert found.pattern_at(pixels, np.zeros(len(pixels))).min() > 0.9
    behind = found.turned(armour, pixels, np.full(len(pixels), 180.0), 0.35)
    assert not close_to(behind, (250, 30, 30), 25).any()
    outer = (column < 30) | (column > 90)
    ahead = armour[pixels[outer, 1].astype(int), pixels[outer, 0].astype(int)]
    assert np.abs(behind[outer] - ahead).max(1).mean() < 25
    plain = flanks_of(np.full((TALL, WIDE, 3), CLOTH, np.float32))
    assert plain.pattern_at(pixels, np.zeros(len(pixels))).max() == 0


def test_bows_on_top_of_a_head_do_not_colour_its_hair():
    where, colours = np.zeros((220, 300), bool), np.full((220, 300, 3), HAIR, np.float32)
    row, column = np.indices(where.shape)
    where |= np.hypot(row - 120, column - 150) < 60
    bows = (np.abs(np.abs(column - 150) - 42) < 16) & (row > 20) & (row < 82)
    where |= bows
    colours[bows] = BOW
    colours[(np.abs(column - 150) < 45) & (row > 100)] = SKIN
    found = read_head(colours, where, HeadLines(150.0, 178.0, 105.0, 120.0, 158.0, 60.0))
    assert close_to(found.ring, HAIR, 12).all(), found.ring[::20]


@pytest.mark.parametrize("wears", ["goggles", "pate"])
def test_hair_beside_goggles_or_a_bare_pate_goes_around_the_head(wears):
    """A reader calls the pate hair, and large eyes are no forehead."""
    hair = np.array((170, 40, 50))
    where, colours = np.zeros((220, 300), bool), np.full((220, 300, 3), hair, np.float32)
    row, column = np.indices(where.shape)
    where |= np.hypot(row - 120, column - 150) < 60
    kinds = np.where(where, KINDS[1], 0)
    middle = np.abs(column - 150) < 38
    top = middle & (row > (82 if wears == "goggles" else 0)) & (row < 100)
    colours[top], kinds[top] = (BOW, HEADGEAR) if wears == "goggles" else (SKIN, KINDS[1])
    face = middle & (row > 98)
    colours[face], kinds[face] = SKIN, FACE
    colours[face & (row < 112)] = (250, 250, 250)
    found = read_head(colours, where, HeadLines(150.0, 178.0, 110.0, 110.0, 118.0, 60.0), kinds)
    assert close_to(found.ring, hair, 12).all(), found.ring[::10]


def test_a_mask_that_is_soft_inside_does_not_take_the_colours_away():
    rgba = np.zeros((300, 200, 4), np.uint8)
    rgba[20:280, 40:160] = (*CLOTH, 200)
    rgba[140:160, 40:160, :3] = BELT
    found = cleaned(rgba, rgba[..., 3] > 0)
    assert close_to(found.front[150, 60:140], BELT, 5).all()


def test_ears_that_a_reader_takes_for_hair_do_not_colour_a_bare_head():
    skin, where = np.array((110, 170, 60)), np.zeros((220, 300), bool)
    row, column = np.indices(where.shape)
    where |= np.hypot(row - 120, column - 150) < 60
    colours = np.tile(skin.astype(np.float32), (*where.shape, 1))
    ears = where & (np.abs(column - 150) > 48) & (row > 95)
    colours[ears] = BOW
    kinds = np.where(ears, KINDS[1], np.where(where, FACE, 0))
    found = read_head(colours, where, HeadLines(150.0, 178.0, 110.0, 115.0, 118.0, 60.0), kinds)
    assert close_to(found.ring, skin, 12).all(), found.ring[::10]
