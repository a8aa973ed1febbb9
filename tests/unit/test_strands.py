"""Long hair that the map of the parts takes for arms is told by its colour, where it hangs from the head's hair."""

import numpy as np

from backend.preview.strands import strands

NAMES = ("background", "face", "hair", "torso", "leftForearm", "rightForearm")
HAIR, SKIN, SHIRT, SLEEVE = (240, 210, 120), (250, 220, 205), (60, 90, 160), (200, 60, 60)


def figure(strand=True):
    """(rgba, labels): hair over a face, a shirt, two sleeves, and hair outside the left one with the sleeve's label."""
    labels, rgb = np.full((200, 120), -1), np.zeros((200, 120, 3), np.uint8)
    for name, rows, columns, colour in (
        ("hair", (5, 40), (35, 95), HAIR),
        ("face", (25, 55), (45, 75), SKIN),
        ("torso", (55, 190), (40, 75), SHIRT),
        ("leftForearm", (60, 150), (75, 85), SLEEVE),
        ("rightForearm", (60, 150), (25, 40), SLEEVE),
        ("leftForearm", (40, 170) if strand else (100, 150), (85, 97), HAIR),
    ):
        here = slice(*rows), slice(*columns)
        labels[here], rgb[here] = NAMES.index(name), colour
    return np.dstack([rgb, np.where(labels >= 0, 255, 0).astype(np.uint8)]), labels


def test_hair_beside_an_arm_is_found_and_the_arm_is_not():
    rgba, labels = figure()
    found = strands(rgba, labels, NAMES)
    assert found[60:160, 88:96].all() and not found[:, :84].any()


def test_a_sleeve_of_the_hairs_colour_is_no_hair():
    rgba, labels = figure(strand=False)
    assert not strands(rgba, labels, NAMES).any()
