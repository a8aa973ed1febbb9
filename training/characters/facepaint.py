# SPDX-License-Identifier: GPL-3.0-or-later
"""Painted 2D faces in many styles, as SVG with the exact place and size of every eye and mouth.

Coordinates: the front plane of a head; x to the picture's right (the character's left), y up, the distance between
the eyes' middles is 1 and the point between them is the origin. Styles are our own drawing rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .character import State

EYES = (
    *("anime", "sharp", "moe", "dot", "oval", "button", "cartoon", "almond"),
    *("happy", "asleep", "square", "glow", "sleepy", "ring"),
)
CLOSED = ("happy", "asleep")
MOUTHS = ("smile", "open", "flat", "cat", "round", "teeth", "frown", "lips", "small", "fang", "wave", "none")


@dataclass(frozen=True)
class Drawn:
    """x, y: the middle; half sizes in the face's units."""

    x: float
    y: float
    half_width: float
    half_height: float
    state: State = "drawn"


@dataclass(frozen=True)
class Style:
    """Sizes are shares of the distance between the eyes."""

    eyes: str = "anime"
    mouth: str = "smile"
    width: float = 0.3  # half width of an eye
    height: float = 0.35
    gaze: tuple[float, float] = (0.0, 0.0)
    mouth_y: float = -0.95
    mouth_width: float = 0.3  # half
    brows: str = "line"  # none, line, thick
    tilt: float = 0.0
    nose: str = "none"  # none, dot, line, triangle, shade
    blush: bool = False
    marks: tuple[str, ...] = ()  # freckles, scar, whiskers, paint
    iris: tuple[int, int, int] = (70, 110, 190)
    ink: tuple[int, int, int] = (30, 22, 26)
    hair: tuple[int, int, int] = (60, 40, 30)
    skin: tuple[int, int, int] = (250, 220, 200)


def random_style(random: np.random.Generator, skin: tuple[int, int, int], hair: tuple[int, int, int]) -> Style:
    eyes = str(
        random.choice(
            EYES,
            p=_chances(EYES, {"anime": 3, "moe": 2, "sharp": 2, "cartoon": 2, "dot": 1.5, "oval": 1.5, "almond": 2}),
        )
    )
    wide = {"anime": (0.28, 0.4), "moe": (0.32, 0.44), "sharp": (0.26, 0.38), "dot": (0.06, 0.14), "oval": (0.07, 0.16)}
    wide |= {"button": (0.14, 0.28), "cartoon": (0.2, 0.46), "square": (0.1, 0.25), "ring": (0.15, 0.3)}
    width = float(random.uniform(*wide.get(eyes, (0.2, 0.36))))
    ratio = {
        "anime": (0.95, 1.4),
        "moe": (1.05, 1.6),
        "sharp": (0.5, 0.85),
        "oval": (1.5, 2.6),
        "cartoon": (0.9, 1.5),
        "almond": (0.42, 0.6),
    }
    ratio |= {
        "happy": (0.4, 0.7),
        "asleep": (0.3, 0.5),
        "sleepy": (0.45, 0.7),
        "glow": (0.35, 1.0),
        "square": (0.8, 1.8),
    }
    hue = random.integers(20, 236, 3)
    return Style(
        eyes=eyes,
        mouth=str(random.choice(MOUTHS, p=_chances(MOUTHS, {"smile": 4, "open": 2.5, "none": 0.4, "flat": 1.5}))),
        width=width,
        height=width * float(random.uniform(*ratio.get(eyes, (0.8, 1.1)))),
        gaze=(float(random.normal(0, 0.12)), float(random.normal(0, 0.08))),
        mouth_y=-float(random.uniform(0.7, 1.15)),
        mouth_width=float(random.uniform(0.12, 0.45)),
        brows=str(random.choice(("none", "line", "thick"), p=(0.3, 0.45, 0.25))),
        tilt=float(random.normal(0, 0.12)),
        nose=str(random.choice(("none", "dot", "line", "triangle", "shade"))),
        blush=bool(random.random() < 0.35),
        marks=tuple(m for m in ("freckles", "scar", "whiskers", "paint") if random.random() < 0.06),
        iris=(int(hue[0]), int(hue[1]), int(hue[2])),
        ink=tuple(int(v) for v in random.integers(5, 70, 3)),  # type: ignore[arg-type]
        hair=hair,
        skin=skin,
    )


def _chances(names: tuple[str, ...], more: dict[str, float]) -> np.ndarray:
    found = np.array([more.get(name, 1.0) for name in names])
    return found / found.sum()


def rgb(colour: tuple[float, ...] | np.ndarray, factor: float = 1.0) -> str:
    return "#" + "".join(f"{int(np.clip(round(v * factor), 0, 255)):02x}" for v in colour)


@dataclass
class Pen:
    """SVG elements in face coordinates, y up."""

    items: list[str] = field(default_factory=list)

    def ellipse(self, x: float, y: float, a: float, b: float, fill: str, extra: str = "") -> None:
        self.items.append(f'<ellipse cx="{x:.4f}" cy="{-y:.4f}" rx="{a:.4f}" ry="{b:.4f}" fill="{fill}" {extra}/>')

    def path(self, points: str, fill: str = "none", stroke: str = "none", width: float = 0.0, extra: str = "") -> None:
        self.items.append(
            f'<path d="{points}" fill="{fill}" stroke="{stroke}" stroke-width="{width:.4f}" '
            f'stroke-linecap="round" stroke-linejoin="round" {extra}/>'
        )

    def curve(self, points: list[tuple[float, float]], stroke: str, width: float) -> None:
        """A quadratic curve through start, control and end, or a line of two points."""
        flat = [(x, -y) for x, y in points]
        self.path(_curve(flat), stroke=stroke, width=width)


def _curve(p: list[tuple[float, float]]) -> str:
    head = f"M{p[0][0]:.4f} {p[0][1]:.4f}"
    return head + (
        f"L{p[1][0]:.4f} {p[1][1]:.4f}" if len(p) == 2 else f"Q{p[1][0]:.4f} {p[1][1]:.4f} {p[2][0]:.4f} {p[2][1]:.4f}"
    )


def draw(style: Style) -> tuple[str, dict[str, Drawn]]:
    """SVG elements and the truth: left_eye (the character's, at x = +0.5), right_eye, mouth."""
    pen, truth = Pen(), {}
    if style.blush:
        for x in (0.62, -0.62):
            pen.ellipse(x, -0.5, 0.22, 0.12, rgb((245, 120, 110)), 'opacity="0.35"')
    _marks(pen, style)
    _nose(pen, style)
    for side, name in ((1, "left_eye"), (-1, "right_eye")):
        truth[name] = EYE_DRAWERS[style.eyes](pen, style, side)
        _brow(pen, style, side)
    truth["mouth"] = _mouth(pen, style)
    return "\n".join(pen.items), truth


def draw_details(style: Style) -> str:
    """SVG elements of what goes on a modelled face: brows, lashes, marks, blush, painted lips."""
    pen = Pen()
    if style.blush:
        for x in (0.62, -0.62):
            pen.ellipse(x, -0.5, 0.22, 0.12, rgb((215, 90, 85)), 'opacity="0.25"')
    _marks(pen, style)
    for side in (1, -1):
        x, w, h = 0.5 * side, style.width, style.height
        _brow(pen, style, side)
        pen.path(_lid(x, 1.1 * w, 0, 0.1 * h, 1.5 * h), stroke=rgb(style.ink), width=0.05)
    return "\n".join(pen.items)


def _clip(pen: Pen, style: Style, x: float, outline: str) -> str:
    name = f"c{len(pen.items)}"
    pen.items.append(f'<clipPath id="{name}"><path d="{outline}"/></clipPath>')
    return f'clip-path="url(#{name})"'


def _lens(x: float, w: float, up: float, down: float, inner: float = 0.0, outer: float = 0.0, side: int = 1) -> str:
    """An eye's outline from corner to corner; inner and outer raise those corners."""
    left, right = (inner, outer) if side > 0 else (outer, inner)
    return (
        _lid(x, w, left, right, 1.3 * up)
        + f"C{x + w * 0.6:.4f} {down * 1.3:.4f} {x - w * 0.6:.4f} {down * 1.3:.4f} {x - w:.4f} {-left:.4f}Z"
    )


def _lid(x: float, w: float, left: float, right: float, rise: float) -> str:
    """The upper lid's curve; left and right are its ends' heights in the picture."""
    return (
        f"M{x - w:.4f} {-left:.4f}C{x - w * 0.6:.4f} {-rise:.4f} {x + w * 0.6:.4f} {-rise:.4f} {x + w:.4f} {-right:.4f}"
    )


def _iris(pen: Pen, style: Style, x: float, y: float, a: float, b: float, clip: str, shine: bool = True) -> None:
    iris = np.array(style.iris, float)
    pen.ellipse(x, y, a, b, rgb(iris, 0.5), clip)
    pen.ellipse(x, y - 0.08 * b, a * 0.86, b * 0.86, rgb(iris), clip)
    pen.ellipse(x, y - 0.4 * b, a * 0.6, b * 0.45, rgb(iris * 0.6 + 110), clip)
    pen.ellipse(x, y, a * 0.42, b * 0.5, rgb(iris, 0.2), clip)
    if shine:
        pen.ellipse(x - 0.3 * a, y + 0.4 * b, a * 0.32, b * 0.26, "#ffffff", clip)
        pen.ellipse(x + 0.35 * a, y - 0.5 * b, a * 0.15, b * 0.13, "#ffffff", clip)


def _anime(pen: Pen, style: Style, side: int) -> Drawn:
    x, w, h = 0.5 * side, style.width, style.height
    sharp = style.eyes == "sharp"
    up, down = h, h * (0.75 if sharp else 1.0)
    outline = _lens(x, w, up, down, inner=-0.1 * h if sharp else 0, outer=0.35 * h if sharp else 0.1 * h, side=side)
    pen.path(outline, fill="#fdfdff")
    clip = _clip(pen, style, x, outline)
    share = 0.72 if style.eyes == "moe" else 0.62
    _iris(pen, style, x + style.gaze[0] * w - 0.05 * side * w, style.gaze[1] * h, w * share, h * 1.02, clip)
    left, right = (-0.1 * h, 0.35 * h) if side > 0 else (0.35 * h, -0.1 * h)
    left, right = (left, right) if sharp else (0.1 * h, 0.1 * h)
    lash = max(0.05, 0.16 * w)
    pen.path(_lid(x, 1.04 * w, left, right, 1.35 * up), stroke=rgb(style.ink), width=lash)
    return Drawn(x, 0.0, w * 1.04 + lash / 2, (up + down) / 2 + lash / 2)


def _simple(pen: Pen, style: Style, side: int) -> Drawn:
    x, w, h = 0.5 * side, style.width, style.height
    ink = rgb(style.ink)
    if style.eyes == "square":
        pen.path(f"M{x - w} {-h}h{2 * w}v{2 * h}h{-2 * w}Z", fill=ink)
    elif style.eyes == "glow":
        pen.path(_lens(x, w * 1.15, h * 1.1, h * 1.1), fill=rgb(style.iris, 0.4))
        pen.path(_lens(x, w, h * 0.85, h * 0.85), fill=rgb(np.array(style.iris) * 0.5 + 128))
        return Drawn(x, 0, w * 1.15, h * 1.08)
    elif style.eyes == "ring":
        pen.ellipse(x, 0, w * 0.88, h * 0.88, "#fafafa", f'stroke="{ink}" stroke-width="{0.24 * w:.4f}"')
        pen.ellipse(x + style.gaze[0] * w, style.gaze[1] * h, w * 0.25, h * 0.25, ink)
    else:
        pen.ellipse(x, 0, w, h, ink)
        if style.eyes in ("button", "oval"):
            pen.ellipse(x - 0.3 * w, 0.4 * h, w * 0.3, h * 0.25, "#ffffff")
            if style.eyes == "button":
                pen.ellipse(x + 0.3 * w, -0.45 * h, w * 0.16, h * 0.14, "#ffffff")
    return Drawn(x, 0, w, h)


def _cartoon(pen: Pen, style: Style, side: int) -> Drawn:
    x, w, h = 0.5 * side, min(style.width, 0.49), style.height
    line = 0.05
    pen.ellipse(x, 0, w, h, "#ffffff", f'stroke="{rgb(style.ink)}" stroke-width="{line}"')
    pupil = 0.5 * min(w, h)
    px, py = x + np.clip(style.gaze[0] * 2, -0.4, 0.4) * w, np.clip(style.gaze[1] * 2, -0.4, 0.4) * h
    pen.ellipse(px, py, pupil, pupil, rgb(style.iris, 0.8))
    pen.ellipse(px, py, pupil * 0.6, pupil * 0.6, rgb(style.ink))
    pen.ellipse(px - 0.3 * pupil, py + 0.35 * pupil, pupil * 0.25, pupil * 0.25, "#ffffff")
    return Drawn(x, 0, w + line / 2, h + line / 2)


def _almond(pen: Pen, style: Style, side: int) -> Drawn:
    x, w, h = 0.5 * side, style.width, style.height
    up, down = (h * 0.75, h) if style.eyes == "sleepy" else (h, h * 0.85)
    outline = _lens(x, w, up, down, inner=-0.1 * h, outer=0.15 * h, side=side)
    pen.path(_lens(x, w * 1.3, up * 2.0, down * 1.5), fill=rgb(style.skin, 0.72), extra='opacity="0.35"')
    pen.path(outline, fill="#f4f1ee")
    clip = _clip(pen, style, x, outline)
    radius = min(w * 0.5, h * 1.05)
    _iris(pen, style, x + style.gaze[0] * w * 0.6, 0.08 * h, radius, radius, clip, shine=bool(style.gaze[1] > 0))
    left, right = (-0.1 * h, 0.15 * h) if side > 0 else (0.15 * h, -0.1 * h)
    pen.path(_lid(x, w, left, right, 1.3 * up), stroke=rgb(style.ink), width=0.045)
    return Drawn(x, 0, w, (up + down) / 2 + 0.02)


def _closed(pen: Pen, style: Style, side: int) -> Drawn:
    x, w, h = 0.5 * side, style.width, style.height * 0.6
    sign = 1 if style.eyes == "happy" else -1
    line = max(0.05, 0.18 * w)
    pen.curve([(x - w, -sign * h / 2), (x, sign * 1.5 * h), (x + w, -sign * h / 2)], rgb(style.ink), line)
    return Drawn(x, 0, w + line / 2, h / 2 + line / 2, "closed")


EYE_DRAWERS: dict[str, Callable[[Pen, Style, int], Drawn]] = {
    **dict.fromkeys(("anime", "sharp", "moe"), _anime),
    **dict.fromkeys(("dot", "oval", "button", "square", "glow", "ring"), _simple),
    "cartoon": _cartoon,
    **dict.fromkeys(("almond", "sleepy"), _almond),
    **dict.fromkeys(CLOSED, _closed),
}


def _brow(pen: Pen, style: Style, side: int) -> None:
    if style.brows == "none":
        return
    x, y, w = 0.5 * side, max(style.height, 0.2) * 1.45 + 0.08, max(style.width, 0.2)
    slope = style.tilt * side
    width = 0.05 if style.brows == "line" else 0.13
    pen.curve([(x - w, y - slope), (x, y + 0.1), (x + w, y + slope)], rgb(style.hair, 0.7), width)


def _nose(pen: Pen, style: Style) -> None:
    y, dark = 0.55 * style.mouth_y, rgb(style.skin, 0.7)
    if style.nose == "dot":
        pen.ellipse(0, y, 0.035, 0.03, dark)
    elif style.nose == "line":
        pen.curve([(0.02, y + 0.15), (0.1, y), (0, y - 0.02)], dark, 0.04)
    elif style.nose == "triangle":
        pen.path(f"M-0.09 {-y - 0.05}h0.18L0 {-y + 0.07}Z", fill=rgb(style.ink))
    elif style.nose == "shade":
        pen.ellipse(0, y, 0.13, 0.09, dark, 'opacity="0.5"')


def _marks(pen: Pen, style: Style) -> None:
    dark = rgb(style.skin, 0.68)
    if "freckles" in style.marks:
        for k in range(8):
            pen.ellipse((0.4 + 0.09 * (k % 4)) * (1 if k < 4 else -1), -0.42 - 0.07 * (k % 2), 0.022, 0.022, dark)
    if "scar" in style.marks:
        pen.curve([(0.75, 0.45), (0.6, 0), (0.7, -0.5)], dark, 0.05)
    if "whiskers" in style.marks:
        for side in (1, -1):
            for k in (-1, 0, 1):
                pen.curve([(0.6 * side, -0.7 + 0.08 * k), (1.05 * side, -0.68 + 0.2 * k)], dark, 0.03)
    if "paint" in style.marks:
        for side in (1, -1):
            pen.path(f"M{0.45 * side} 0.4h{0.3 * side}l{-0.15 * side} 0.5Z", fill=rgb(style.iris))


def _mouth(pen: Pen, style: Style) -> Drawn:
    y, w, ink = style.mouth_y, style.mouth_width, rgb(style.ink)
    line, red = 0.05, rgb((150, 40, 45))
    if style.mouth == "none":
        return Drawn(0, y, float("nan"), float("nan"), "none")
    if style.mouth in ("smile", "frown", "flat", "small"):
        w = min(w, 0.12) if style.mouth == "small" else w
        bend = {"smile": -0.45, "frown": 0.45, "flat": 0.0, "small": -0.3}[style.mouth] * w
        # A quadratic curve reaches half of its control point's height.
        pen.curve([(-w, y - bend / 2), (0, y + 1.5 * bend), (w, y - bend / 2)], ink, line)
        return Drawn(0, y, w + line / 2, abs(bend) / 2 + line / 2)
    if style.mouth == "wave":
        pen.path(f"M{-w} {-y}q{w / 3} -0.1 {2 * w / 3} 0t{2 * w / 3} 0t{2 * w / 3} 0", stroke=ink, width=line)
        return Drawn(0, y, w + line / 2, 0.05 + line / 2)
    if style.mouth == "cat":
        pen.path(f"M{-w} {-y - 0.04}q{w / 2} 0.16 {w} 0q{w / 2} 0.16 {w} 0", stroke=ink, width=line)
        return Drawn(0, y, w + line / 2, 0.04 + line / 2)
    if style.mouth == "round":
        w = min(w, 0.25)
        pen.ellipse(0, y, w * 0.7, w, red, f'stroke="{ink}" stroke-width="0.03"')
        return Drawn(0, y, w * 0.7 + 0.015, w + 0.015)
    if style.mouth == "lips":
        h = 0.32 * w
        lip = rgb(np.array(style.skin) * [0.85, 0.5, 0.5])
        pen.path(
            f"M{-w} {-y}Q{-w * 0.3} {-y - 1.6 * h} 0 {-y - h * 0.6}"
            f"Q{w * 0.3} {-y - 1.6 * h} {w} {-y}Q0 {-y + 2 * h} {-w} {-y}Z",
            fill=lip,
        )
        pen.curve([(-w, y), (0, y - 0.05), (w, y)], rgb(style.skin, 0.35), 0.025)
        return Drawn(0, y, w, h)
    return _open_mouth(pen, style, red)


def _open_mouth(pen: Pen, style: Style, red: str) -> Drawn:
    y, w = style.mouth_y, style.mouth_width
    h = w * (0.45 if style.mouth == "teeth" else 0.6)
    outline = (
        f"M{-w} {-y - h}Q0 {-y - h + 0.1 * w} {w} {-y - h}C{w * 0.9} {-y + 1.1 * h} {w * 0.4} {-y + h} 0 {-y + h}"
        f"C{-w * 0.4} {-y + h} {-w * 0.9} {-y + 1.1 * h} {-w} {-y - h}Z"
    )
    pen.path(outline, fill="#f8f8f4" if style.mouth == "teeth" else red, stroke=rgb(style.ink), width=0.03)
    if style.mouth == "open":
        clip = _clip(pen, style, 0, outline)
        pen.ellipse(0, y - h, w * 0.6, h * 0.7, rgb((225, 110, 110)), clip)
        if style.tilt > 0:
            pen.path(f"M{-w} {-y - h}h{2 * w}v{0.5 * h}h{-2 * w}Z", fill="#fbfbfb", extra=clip)
    elif style.mouth == "fang":
        for side in (1, -1):
            pen.path(f"M{side * w * 0.5} {-y - h * 0.95}h{side * w * 0.25}l{-side * w * 0.1} {h}Z", fill="#ffffff")
    else:
        pen.curve([(-w * 0.9, y), (w * 0.9, y)], rgb((120, 110, 110)), 0.025)
    return Drawn(0, y, w + 0.015, h + 0.015)
