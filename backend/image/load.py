# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a picture file of any usual kind into upright 8-bit RGBA."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import BackendError

# Raster formats decoded by Pillow itself; EPS and the like would start other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "TGA", "PPM", "JPEG2000", "AVIF")
MAX_PIXELS = 64_000_000
# Decoded pictures are kept at this size at most: more detail never reaches the avatar's texture.
MAX_SIDE = 4096


@dataclass
class Picture:
    """rgba: (H, W, 4) uint8, upright. size: (width, height) of the upright original; rgba may be a smaller version of
    it.
    """

    rgba: np.ndarray
    size: tuple[int, int]
    animated: bool = False


def load_picture(path: Path) -> Picture:
    """Reads the first frame of `path`, turned upright by its EXIF orientation.

    Grey, palette, CMYK and 16-bit pictures become 8-bit RGBA; a longest side over 4096 pixels is reduced to that.
    Raises BackendError: `unreadable` (missing, no picture, damaged), `too_large` (over 64 million pixels).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow's own warnings on size and damaged metadata; the sizes are checked below
            return _decode(path)
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except UnidentifiedImageError as error:
        if path.stat().st_size == 0:
            raise BackendError(
                "unreadable", f"The picture {path.name} is an empty file.", "Choose another file."
            ) from error
        message = f"The file {path.name} is not a picture in a known format."
        raise BackendError("unreadable", message, "Use a PNG, JPEG or WebP picture.") from error
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        message = f"The picture {path} cannot be read: {(error.strerror or 'unknown reason').lower()}."
        raise BackendError("unreadable", message, "Check the path and its permissions.") from error
    # Pillow's decoders answer damaged data with any of these.
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, struct.error) as error:
        message = f"The picture {path.name} is damaged or incomplete."
        raise BackendError("unreadable", message, "Save or download it again.") from error


def resize_rgba(rgba: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 4) uint8 reduced to `size` = (width, height) without colour bleeding in from transparent pixels."""
    if (rgba.shape[1], rgba.shape[0]) == size:
        return rgba
    image = Image.fromarray(np.ascontiguousarray(rgba))
    if rgba[..., 3].min() == 255:
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    return np.asarray(image.convert("RGBa").resize(size, Image.Resampling.BOX).convert("RGBA"))


def _too_large() -> BackendError:
    return BackendError(
        "too_large", "The picture has over 64 million pixels.", "Make it smaller; 2048 pixels on a side is plenty."
    )


def _decode(path: Path) -> Picture:
    Image.init()
    # Which codecs there are depends on how Pillow was built; JPEG opens MPO too.
    with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _too_large()
        swapped = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        size = (image.height, image.width) if swapped else image.size
        # Counting the frames would read them all. An MPO's other frames are previews.
        animated = getattr(image, "is_animated", False) and image.format != "MPO"
        image.draft(
            "RGB", (MAX_SIDE, MAX_SIDE)
        )  # JPEG decodes to a smaller size directly; no effect on the other formats
        image.load()
        rgba = _to_rgba(ImageOps.exif_transpose(_reduced(image)))
    longest = max(rgba.shape[:2])
    if longest > MAX_SIDE:
        factor = MAX_SIDE / longest
        rgba = resize_rgba(rgba, (max(1, round(rgba.shape[1] * factor)), max(1, round(rgba.shape[0] * factor))))
    return Picture(rgba=rgba, size=size, animated=animated)


def _reduced(image: Image.Image) -> Image.Image:
    """Halved as often as its longest side stays above the limit, before anything copies it. Pictures with
    transparency or a palette are left: their colours would bleed.
    """
    times = max(image.size) // MAX_SIDE
    return image.reduce(times) if times > 1 and image.mode in ("L", "RGB") else image


def _to_rgba(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":  # 16- and 32-bit grey, which Pillow would clip at 255
        values = np.asarray(image, dtype=np.float64)
        integers = image.mode != "F"
        top = 65535.0 if integers and values.max() <= 65535 else max(float(np.nanmax(values)), 1e-9)
        if not integers and top <= 1.0:
            top = 1.0
        grey = np.clip(np.nan_to_num(values) / top * 255.0 + 0.5, 0, 255).astype(np.uint8)
        return np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    return np.array(image.convert("RGBA"))
