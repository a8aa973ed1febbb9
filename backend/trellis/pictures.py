# SPDX-License-Identifier: GPL-3.0-or-later
"""Any picture file to the picture that the image encoder wants: its subject cut out, of whatever kind it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import BackendError
from ..image.load import load_picture
from ..image.mask import find_figure, is_cut_out
from ..image.matting import installed_model, matte
from .preprocess import SOLID, crop_subject

MATTING_SIDE = 1024
MIN_SIDE = 16  # pixels of the subject's longer side


def prepare(path: str | Path) -> Image.Image:
    """The picture at `path` -> (518, 518) RGB, subject centred on black (reference, section 2).

    A cut-out picture's alpha is used as it is; else the background goes, with a matting network where one is
    installed and by its colour where it is plain. Raises BackendError: unreadable, too_large, too_small, empty_mask,
    background (not plain, and no network).
    """
    return crop_subject(large_enough(cut_out(load_picture(Path(path)).rgba)))


def cut_out(rgba: np.ndarray) -> Image.Image:
    """(H, W, 4) uint8 -> RGBA picture whose alpha is the subject."""
    alpha = rgba[..., 3]
    if alpha.min() < 255 and (is_cut_out(alpha) or not (alpha > SOLID).any()):
        return Image.fromarray(rgba)
    picture = Image.fromarray(rgba)
    rgb = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    factor = MATTING_SIDE / max(rgb.size)
    if factor < 1:
        rgb = rgb.resize((max(1, int(rgb.width * factor)), max(1, int(rgb.height * factor))), Image.Resampling.LANCZOS)
    model = installed_model()
    mask = matte(rgb, model) if model else _plain_background(np.asarray(rgb))
    rgb.putalpha(Image.fromarray(mask))
    return rgb


def _plain_background(rgb: np.ndarray) -> np.ndarray:
    """(H, W) uint8 alpha of everything that stands out from a plain background."""
    if min(rgb.shape[:2]) < MIN_SIDE:
        raise _too_small(max(rgb.shape[:2]))
    try:
        figure = find_figure(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]))
    except BackendError as error:
        if error.code != "not_humanoid":  # that module speaks of characters; here anything may be in the picture
            raise
        message = "Nothing in the picture stands out from its background."
        raise BackendError("empty_mask", message, "Use a picture with a transparent background.") from error
    return figure.alpha if figure.loose is None else np.where(figure.loose, 255, figure.alpha).astype(np.uint8)


def large_enough(picture: Image.Image) -> Image.Image:
    """The RGBA picture, unless its subject is too small to be worth a try. Raises BackendError("too_small")."""
    rows, columns = np.nonzero(np.asarray(picture)[..., 3] > SOLID)
    if len(rows):  # an empty one is refused where the crop is made
        side = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
        if side < MIN_SIDE:
            raise _too_small(side)
    return picture


def _too_small(side: int) -> BackendError:
    message = f"The subject of the picture has only {side} pixels; at least {MIN_SIDE} are needed."
    return BackendError("too_small", message, "Use a larger picture; 512 pixels or more give the best result.")
