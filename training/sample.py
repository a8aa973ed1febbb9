# SPDX-License-Identifier: GPL-3.0-or-later
"""One training picture with its truth, from one seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from backend.reader.layout import COUNTS, FACE, HEIGHT, JOINTS, KEYPOINTS, MOUTH_STATES, WIDTH
from training.backgrounds import background, clutter
from training.characters.drawn import make_drawing
from training.closeups import render_head
from training.figure import HEAD_ROOM, OVERSAMPLING, POINT, Figure, Model, joint_depths, render_figure
from training.looks import after
from training.poses import ARMS, LEGS
from training.restyle import restyle
from training.things import render_thing

MAPS = 2  # input pixels per cell of the truth's maps
HEAD_SHARE = 0.36
KIND_SHARES = {"one": 0.76, "drawn": 0.08, "wild": 0.05, "none": 0.06, "several": 0.05}
DRAWN_SHARE = 0.1  # of the whole figures of `make_figure`
RESTYLED = 0.4  # of the pictures of `make_head` and `make_whole`
BOLD = 0.6  # of the figures of `make_whole`
UNKNOWN_PART = 255  # in `parts`: somewhere on a figure whose parts are not known

# What a sample consists of: name -> (shape, dtype). NaN and -1 mean unknown.
FIELDS: dict[str, tuple[tuple[int, ...], str]] = {
    "image": ((HEIGHT, WIDTH, 3), "uint8"),
    "points": ((len(KEYPOINTS), 2), "float32"),
    "known": ((len(KEYPOINTS),), "bool"),
    "visible": ((len(KEYPOINTS),), "bool"),
    "depth": ((len(JOINTS),), "float32"),
    "sizes": ((3, 2), "float32"),
    "yaw": ((), "float32"),
    "count": ((), "int8"),
    "mouth": ((), "int8"),
    "head": ((), "bool"),
    "parts": ((HEIGHT // MAPS, WIDTH // MAPS), "uint8"),
    "front": ((HEIGHT // MAPS, WIDTH // MAPS), "float16"),
    "back": ((HEIGHT // MAPS, WIDTH // MAPS), "float16"),
    "character": ((), "int16"),
    "arms": ((2,), "int8"),
    "legs": ((), "int8"),
}


@dataclass
class Cast:
    """The characters that pictures are made of and how often each is taken."""

    models: list[Model]
    shares: np.ndarray

    def draw(self, random: np.random.Generator) -> int:
        return int(random.choice(len(self.models), p=self.shares))


def make_sample(
    cast: Cast, seed: tuple[int, ...], head_share: float = HEAD_SHARE, bold: float = 0.0, reduced: int = OVERSAMPLING
) -> dict[str, np.ndarray]:
    """The fields of FIELDS; `image` has OVERSAMPLING / reduced times its usual width and height. head_share: so many
    show a head alone; bold: so many figures are, as `training.poses.Poser` takes it. The same for the same arguments.
    """
    random = np.random.default_rng(seed)
    kind = str(random.choice(list(KIND_SHARES), p=list(KIND_SHARES.values())))
    if kind == "none":
        return _nobody(random, reduced)
    if kind == "drawn":
        return _drawing(random, head_share, reduced)
    while True:
        index = cast.draw(random)
        head = kind == "one" and random.random() < head_share
        strong = bold > 0 and random.random() < bold
        figure = render_figure(cast.models[index], random, head, kind == "wild", kind != "several", strong)
        if figure is not None:
            break
    if kind == "several":
        return _several(cast, random, figure, reduced)
    return _one(random, figure, index, reduced)


def make_whole(cast: Cast, seed: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The fields of FIELDS for a picture without heads alone: many figures bold, many pictures as other media show
    them, which is done before their pixels are made fewer. The same for the same cast and seed.
    """
    out = make_sample(cast, seed, 0.0, BOLD, 1)
    random = np.random.default_rng((*seed, 1))
    if random.random() < RESTYLED:
        out["image"] = restyle(out["image"], random)
    fine = out["image"].reshape(HEIGHT, OVERSAMPLING, WIDTH, OVERSAMPLING, 3)
    out["image"] = fine.mean((1, 3)).round().astype(np.uint8)
    return out


def _blank_truth() -> dict[str, np.ndarray]:
    out = {}
    for name, (shape, dtype) in FIELDS.items():
        fill = np.nan if dtype.startswith("float") else -1 if dtype.startswith("int") else 0
        out[name] = np.full(shape, fill, dtype)
    return out


def make_figure(
    cast: Cast, seed: tuple[int, ...], wild_share: float = 0.0, bold: bool = False
) -> dict[str, np.ndarray]:
    """The fields of FIELDS for one whole figure, rendered or drawn, with OVERSAMPLING times the pixels of `image`; all
    else is in pixels of WIDTH x HEIGHT. wild_share: so many are seen from the side or from behind. bold: as
    `training.poses.Poser` takes it. The same for the same arguments.
    """
    random = np.random.default_rng(seed)
    if random.random() < DRAWN_SHARE:
        return _drawing(random, 0.0, 1)
    wild = random.random() < wild_share if wild_share else False
    while True:
        index = cast.draw(random)
        figure = render_figure(cast.models[index], random, wild=wild, bold=bold)
        if figure is not None:
            return _one(random, figure, index, 1)


def make_head(cast: Cast, seed: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The fields of FIELDS for one head, as the reader's last looks see it. The same for the same cast and seed."""
    random = np.random.default_rng(seed)
    if random.random() < DRAWN_SHARE:
        out = _drawing(random, 1.0)
    else:
        figure = None
        while figure is None:
            index = cast.draw(random)
            figure = render_head(cast.models[index], random)
        out = _one(random, figure, index)
    if random.random() < RESTYLED:
        out["image"] = restyle(out["image"], random)
    return out


def _flatten(random: np.random.Generator, image: np.ndarray, mask: np.ndarray, step: int = OVERSAMPLING) -> np.ndarray:
    """Figure over a background, every `step` pixels made one, and treated as pictures are."""
    height, width = mask.shape
    behind = background(random, height, width)
    if random.random() < 0.25:  # a shadow on the ground
        shadow = ndimage.gaussian_filter(np.roll(mask, 6, 0).astype(np.float32), 8)
        behind = behind * (1 - 0.5 * shadow[..., None])
    flat = np.where(mask[..., None], image, behind)
    cells = [flat[i::step, j::step] for i in range(step) for j in range(step)]
    return after(sum(cells) / len(cells), random)


def _one(random: np.random.Generator, figure: Figure, index: int, reduced: int = OVERSAMPLING) -> dict[str, np.ndarray]:
    out = _blank_truth()
    out["image"] = _flatten(random, figure.image, figure.mask, reduced)
    out["points"] = np.nan_to_num(figure.points[:, :2]).astype(np.float32)
    out["known"], out["visible"] = figure.known, figure.visible
    out["depth"] = joint_depths(figure).astype(np.float32)
    out["sizes"] = figure.sizes.astype(np.float32)
    out["yaw"] = np.float32(figure.camera.yaw)
    out["count"] = np.int8(-1 if figure.head else COUNTS.index("one"))
    out["mouth"] = np.int8(figure.mouth)
    out["head"] = np.bool_(figure.head)
    out["character"] = np.int16(index)
    out["arms"] = np.array([ARMS.index(k) for k in figure.arms], np.int8)
    out["legs"] = np.int8(LEGS.index(figure.legs))
    # The middle sample of each cell.
    step = MAPS * OVERSAMPLING
    cell = (slice(step // 2, None, step), slice(step // 2, None, step))
    seen = figure.buffers.mask[cell]
    out["parts"] = np.where(seen, figure.buffers.part[cell], 0).astype(np.uint8)
    origin = figure.points[POINT["head" if figure.head else "hips"], 2]
    scale = figure.camera.scale / HEIGHT
    for name in ("front", "back"):
        depth = (getattr(figure.buffers, name)[cell] - origin) * scale
        out[name] = np.where(seen, np.clip(depth, -4, 4), np.nan).astype(np.float16)
    return out


def _drawing(
    random: np.random.Generator, head_share: float = HEAD_SHARE, reduced: int = OVERSAMPLING
) -> dict[str, np.ndarray]:
    """One of our own drawn characters; its parts and depths are not known."""
    seed = int(random.integers(1 << 30))
    drawing = make_drawing(seed)
    points = np.array([drawing.points[name] for name in KEYPOINTS])
    head = random.random() < head_share
    rows, columns = (np.flatnonzero((drawing.image[..., 3] > 127).any(axis)) for axis in (1, 0))
    low, high = np.array([columns[0], rows[0]], float), np.array([columns[-1], rows[-1]], float)
    if head:
        top, chin = points[POINT["headTop"]], points[POINT["chin"]]
        size = float(np.hypot(*(top - chin))) * random.uniform(*HEAD_ROOM)
        scale, centre = min(WIDTH, HEIGHT) / size, (top + chin) / 2 + random.normal(0, 0.09, 2) * size
    else:
        scale = min(WIDTH / (high - low)[0], HEIGHT / (high - low)[1]) * random.uniform(0.5, 1.0)
        room = np.array([WIDTH, HEIGHT]) / scale - (high - low)
        centre = (low + high) / 2 + random.uniform(-0.4, 0.4, 2) * room
    # The inverse map: a pixel of the oversampled picture to one of the drawing.
    step = 1 / (scale * OVERSAMPLING)
    left, top_edge = centre - np.array([WIDTH, HEIGHT]) / (2 * scale)
    size_out = (WIDTH * OVERSAMPLING, HEIGHT * OVERSAMPLING)
    image = Image.fromarray(drawing.image).convert("RGBa")
    if step > 1.5:
        image = image.reduce(int(step + 0.5))
    shrink = drawing.image.shape[1] / image.width
    matrix = (step / shrink, 0, left / shrink, 0, step / shrink, top_edge / shrink)
    moved = image.transform(size_out, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    pixels = np.asarray(moved.convert("RGBA"))
    mask = pixels[..., 3] > 127
    out = _blank_truth()
    out["image"] = _flatten(random, pixels[..., :3].astype(np.float32), mask, reduced)
    placed = (points - centre) * scale + np.array([WIDTH, HEIGHT]) / 2
    inside = (placed > -4).all(1) & (placed[:, 0] < WIDTH + 4) & (placed[:, 1] < HEIGHT + 4)
    near = np.isin(np.arange(len(KEYPOINTS)), [POINT[n] for n in ("neck", "head", "headTop", "chin", *FACE)])
    out["points"], out["known"] = placed.astype(np.float32), inside & (near | (not head))
    out["visible"] = (placed >= 0).all(1) & (placed < [WIDTH, HEIGHT]).all(1)
    halves = [drawing.features[name][2:4] for name in ("left_eye", "right_eye", "mouth")]
    out["sizes"] = (np.array(halves, float) * scale).astype(np.float32)
    # Every other drawing is mirrored; a look turned as far as it goes is seen from about 35 degrees aside.
    out["yaw"] = np.float32(35 * drawing.look.yaw * (-1 if seed % 2 else 1))
    out["count"] = np.int8(-1 if head else COUNTS.index("one"))
    state = "hidden" if drawing.look.face == "visor" else "drawn"
    if state == "hidden":
        out["known"][-len(FACE) :] = False
        out["visible"][-len(FACE) :] = False
    out["mouth"], out["head"] = np.int8(MOUTH_STATES.index(state)), np.bool_(head)
    cell = slice(MAPS * OVERSAMPLING // 2, None, MAPS * OVERSAMPLING)
    out["parts"] = np.where(mask[cell, cell], UNKNOWN_PART, 0).astype(np.uint8)
    return out


def _nobody(random: np.random.Generator, reduced: int = OVERSAMPLING) -> dict[str, np.ndarray]:
    """A thing on a background, or a background alone."""
    out = _blank_truth()
    height, width = HEIGHT * OVERSAMPLING, WIDTH * OVERSAMPLING
    image, mask = np.zeros((height, width, 3), np.float32), np.zeros((height, width), bool)
    if random.random() < 0.85:
        image, mask = render_thing(random)
    elif random.random() < 0.5:
        image, mask = clutter(random, background(random, height, width)), np.ones((height, width), bool)
    out["image"] = _flatten(random, image, mask, reduced)
    out["count"] = np.int8(COUNTS.index("none"))
    out["parts"] = np.zeros(FIELDS["parts"][0], np.uint8)
    return out


def _several(
    cast: Cast, random: np.random.Generator, first: Figure, reduced: int = OVERSAMPLING
) -> dict[str, np.ndarray]:
    """Two or three figures side by side."""
    out = _blank_truth()
    figures = [first]
    for _ in range(int(random.integers(1, 3))):
        figure = render_figure(cast.models[cast.draw(random)], random, framed=False)
        if figure is not None:
            figures.append(figure)
    image, mask = np.zeros_like(first.image), np.zeros_like(first.mask)
    parts = np.zeros_like(first.buffers.part)
    slots = random.permutation(len(figures))
    width = mask.shape[1]
    for figure, slot in zip(figures, slots, strict=True):
        columns = np.flatnonzero(figure.mask.any(0))
        place = (slot + 0.5) / len(figures) + random.normal(0, 0.03)
        shift = int(place * width - (columns[0] + columns[-1]) / 2)
        there = _shifted(figure.mask, shift)
        image = np.where(there[..., None], _shifted(figure.image, shift), image)
        parts = np.where(there, _shifted(figure.buffers.part, shift), parts)
        mask |= there
    out["image"] = _flatten(random, image, mask, reduced)
    out["count"] = np.int8(COUNTS.index("several" if len(figures) > 1 else "one"))
    step = MAPS * OVERSAMPLING
    out["parts"] = parts[step // 2 :: step, step // 2 :: step].astype(np.uint8)
    return out


def _shifted(array: np.ndarray, columns: int) -> np.ndarray:
    """`array` moved to the right by `columns`, zeros where it came from."""
    out = np.zeros_like(array)
    width = array.shape[1]
    if abs(columns) >= width:
        return out
    if columns >= 0:
        out[:, columns:] = array[:, : width - columns]
    else:
        out[:, :columns] = array[:, -columns:]
    return out
