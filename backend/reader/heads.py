# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes and mouth, by a network that was trained on heads alone, in more styles than the first one (MODEL_CARD.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from .layout import FACE, HEIGHT, MOUTH_STATES, mirrored
from .network import MODEL, peaks, session, softmax

NAME = "heads.onnx"
FAINT = 1e-4  # of a heatmap; less is taken for it, so that one look alone rules no place out
SWAPPED = mirrored(FACE)
# Of the output `vector`, in this order: logits of the mouth's states, log of half width and half height of each of FACE
# in heights of the input, logits of being seen.
STATES, SIZES, SEEN = slice(0, 3), slice(3, 9), slice(9, 12)


@dataclass(frozen=True)
class Head:
    """Of FACE, lengths in pixels of WIDTH x HEIGHT. heat (3, h, w): where each may be, shares that add up to one;
    points (3, 2); mass (3,) share of each heatmap round its maximum; seen (3,) logits; mouth (3,) probabilities of
    MOUTH_STATES; sizes (3, 2) half width and half height.
    """

    heat: np.ndarray
    points: np.ndarray
    mass: np.ndarray
    seen: np.ndarray
    mouth: np.ndarray
    sizes: np.ndarray


def look(model: Path, picture: np.ndarray) -> Head:
    """picture (HEIGHT, WIDTH, 3) uint8 of a head; model: a folder with heads.onnx; without, the shipped one is taken.
    The mean of what the network says of it and of its mirror image.
    """
    network = session(model / NAME if (model / NAME).is_file() else MODEL / NAME)
    rows, columns = network.get_inputs()[0].shape[2:]
    if picture.shape[:2] != (rows, columns):
        picture = np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.BOX))
    pair = np.stack([picture, picture[:, ::-1]]).transpose(0, 3, 1, 2).astype(np.float32)
    maps, vector = network.run(None, {"pictures": pair})
    heat = softmax(maps.reshape(2, len(FACE), -1), 2).reshape(maps.shape)
    share = (heat[0] + heat[1, SWAPPED][..., ::-1]) / 2
    points, mass = peaks(share)
    sizes = vector[:, SIZES].reshape(2, len(FACE), 2)
    return Head(
        heat=share,
        points=points,
        mass=mass,
        seen=(vector[0, SEEN] + vector[1, SEEN][SWAPPED]) / 2,
        mouth=softmax(vector[:, STATES], 1).mean(0)[: len(MOUTH_STATES)],
        sizes=np.exp((sizes[0] + sizes[1, SWAPPED]) / 2) * HEIGHT,
    )


def together(head: Head, heat: np.ndarray, other: Head) -> Head:
    """`head` with its points where it and `other`, a look whose maps in the cells of `head` are `heat`, agree best."""
    both = np.sqrt((head.heat + FAINT) * (heat + FAINT))
    points, mass = peaks(both / both.sum((1, 2), keepdims=True))
    mouth = (head.mouth + other.mouth) / 2
    return replace(head, points=points, mass=mass, seen=(head.seen + other.seen) / 2, mouth=mouth)
