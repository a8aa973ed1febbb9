# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a picture file of any usual kind into upright 8-bit RGBA."""

from __future__ import annotations

import errno
import itertools
import math
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import BackendError, reason_of

# Raster formats decoded by Pillow itself; EPS and the like would start other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "TGA", "PPM", "JPEG2000", "AVIF")
MAX_PIXELS = 64_000_000
# What a decoder needs that keeps all pixels several times over: 15 bytes of each, and 23 where there is transparency.
MOST_OF = {"WEBP": 36_000_000, "JPEG2000": 24_000_000}
# Decoded pictures are kept at this size at most: more detail never reaches the avatar's texture.
MAX_SIDE = 4096
MIN_SIDE = 3072  # of a picture that a decoder makes smaller
TILE = 1024  # pixels of the file's, of which a tile is converted at once
REACH = 4  # pixels of the result: a little more than the filters look at
KINDS = {"WEBP": "WebP", "JPEG2000": "JPEG 2000"}
# EXIF's orientations and what turns a picture upright.
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
KEEPS_SIDES = (UPRIGHT[2], UPRIGHT[3], UPRIGHT[4])
Box = tuple[int, int, int, int]  # left, top, right, bottom


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
    Raises BackendError: `unreadable` (missing, no picture, damaged), `too_large` (over 64 million pixels; fewer for the
    formats in MOST_OF).
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
        message = f"The picture {path} cannot be read: {reason_of(error)}."
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


def _too_large(kind: str = "") -> BackendError:
    """kind: one of MOST_OF, or any picture."""
    message = "The picture has over 64 million pixels."
    if kind:
        message = f"The {KINDS[kind]} picture has over {MOST_OF[kind] // 1_000_000} million pixels."
    return BackendError("too_large", message, "Make it smaller; 2048 pixels on a side is plenty.")


def _decode(path: Path) -> Picture:
    Image.init()
    if not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):  # a pipe would never end
        raise PermissionError(errno.EINVAL, "it is not an ordinary file")
    # Which codecs there are depends on how Pillow was built; JPEG opens MPO too.
    formats = [name for name in FORMATS if name in Image.OPEN]
    # A picture that Pillow opens by its path is mapped into memory: width and height are mistaken for each other in
    # some TIFF files then, and the process ends where the file is cut meanwhile.
    with path.open("rb") as file, Image.open(file, formats=formats) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _too_large()
        size = image.size
        # Counting the frames would read them all. An MPO's other frames are previews.
        animated = getattr(image, "is_animated", False) and image.format != "MPO"
        # JPEG decodes to a half or less directly; no effect on the other formats.
        image.draft("RGB", (MIN_SIDE, MIN_SIDE))
        _load(image)
        turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))  # none for TIFF, which its decoder has turned
        rgba = _to_rgba(image)
    if turn is not None:
        rgba = np.array(Image.fromarray(rgba).transpose(turn))
        size = size if turn in KEEPS_SIDES else (size[1], size[0])
    return Picture(rgba=rgba, size=size, animated=animated)


def _load(image: Image.Image) -> None:
    """Decodes the picture. Raises BackendError("too_large") where that takes gigabytes."""
    kind = image.format or ""
    if image.width * image.height <= MOST_OF.get(kind, MAX_PIXELS):
        image.load()
        return
    if kind != "JPEG2000":
        raise _too_large(kind)
    # Most files hold smaller versions, which their decoder makes the large one from.
    image.reduce = max(1, int(math.log2(max(image.size) / MIN_SIDE)))  # type: ignore[assignment,method-assign]
    try:
        image.load()
    except (OSError, ValueError) as error:
        raise _too_large(kind) from error


def _to_rgba(image: Image.Image) -> np.ndarray:
    """(H, W, 4) uint8, reduced to MAX_SIDE. In tiles: a whole large picture in each mode on the way takes gigabytes."""
    factor = min(1.0, MAX_SIDE / max(image.size))
    width, height = (max(1, round(side * factor)) for side in image.size)
    convert, smooth = _to_tile(image), _filter(image)
    rgba = np.empty((height, width, 4), np.uint8)
    spans = _spans(width, image.width), _spans(height, image.height)
    for (left, right), (top, bottom) in itertools.product(*spans):
        place = (left, top, right, bottom)
        tile = convert(place) if factor == 1.0 else _reduced(image, convert, place, (width, height), smooth)
        rgba[top:bottom, left:right] = np.asarray(tile)
    return rgba


def _spans(length: int, original: int) -> Iterator[tuple[int, int]]:
    """`length` cut into pieces, each of about TILE pixels of the original's length."""
    step = max(1, TILE * length // original)
    return ((start, min(start + step, length)) for start in range(0, length, step))


def _reduced(
    image: Image.Image,
    convert: Callable[[Box], Image.Image],
    place: Box,
    size: tuple[int, int],
    smooth: Image.Resampling,
) -> Image.Image:
    """The part `place` of the picture at `size`. Colours of transparent pixels do not bleed in."""
    scale = [image.width / size[0], image.height / size[1]] * 2
    wanted = [edge * by for edge, by in zip(place, scale, strict=True)]
    beyond = [REACH * by for by in scale]  # what the filter looks at
    left, top = (max(0, int(wanted[k] - beyond[k])) for k in (0, 1))
    right, bottom = (min(image.size[k], int(wanted[k + 2] + beyond[k]) + 1) for k in (0, 1))
    box = (wanted[0] - left, wanted[1] - top, min(wanted[2] - left, right - left), min(wanted[3] - top, bottom - top))
    part = convert((left, top, right, bottom)).convert("RGBa")
    return part.resize((place[2] - place[0], place[3] - place[1]), smooth, box=box).convert("RGBA")


def _filter(image: Image.Image) -> Image.Resampling:
    """Sharp filters make rims where a picture ends in transparency."""
    has_alpha = image.mode in ("RGBA", "LA", "PA")
    see_through = "transparency" in image.info or (has_alpha and np.asarray(image.getchannel("A")).min() < 255)
    return Image.Resampling.BOX if see_through else Image.Resampling.LANCZOS


def _to_tile(image: Image.Image) -> Callable[[Box], Image.Image]:
    """A function that gives a part of the picture as RGBA."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return lambda box: image.crop(box).convert("RGBA")
    white = _white(image)

    def grey(box: Box) -> Image.Image:  # of 16 and 32 bits, which Pillow would clip at 255
        values = np.nan_to_num(np.asarray(image.crop(box), dtype=np.float64))
        return Image.fromarray(np.clip(values / white * 255.0 + 0.5, 0, 255).astype(np.uint8)).convert("RGBA")

    return grey


def _white(image: Image.Image) -> float:
    """The value that becomes white: of the usual range, or the highest in the picture where that is beyond it."""
    most = 65535.0 if image.mode != "F" else 1.0
    for (left, right), (top, bottom) in itertools.product(*(_spans(side, side) for side in image.size)):
        values = np.asarray(image.crop((left, top, right, bottom)))
        most = max(most, float(np.max(values, where=np.isfinite(values), initial=0)))
    return most
