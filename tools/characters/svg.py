# SPDX-License-Identifier: GPL-3.0-or-later
"""A small cel-shading layer over SVG: smooth outlines, one light from the upper left, clean line art."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]
LINE = "#2b2433"


def mix(a: str, b: str, t: float) -> str:
    """Colour `a` moved towards `b` by t (both #rrggbb)."""
    pa, pb = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (a, b))
    return "#" + "".join(f"{round(v):02x}" for v in pa + (pb - pa) * t)


def shadow(colour: str) -> str:
    """The colour in shade: warm colours turn rosy, the others cool, as illustrators do instead of adding black."""
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    factors = (0.87, 0.73, 0.73) if r > b + 20 else (0.74, 0.76, 0.86)
    return "#" + "".join(f"{round(v * f):02x}" for v, f in zip((r, g, b), factors, strict=True))


def smooth(points: Sequence[Point], closed: bool = True, tension: float = 1.0) -> str:
    """Path through the points as Catmull-Rom splines. A point given twice in a row makes a corner."""
    p = np.asarray(points, float)
    n = len(p)
    at = (lambda i: p[i % n]) if closed else (lambda i: p[min(max(i, 0), n - 1)])
    out = [f"M{p[0][0]:.1f} {p[0][1]:.1f}"]
    for i in range(n if closed else n - 1):
        a, b, c, d = at(i - 1), at(i), at(i + 1), at(i + 2)
        if np.allclose(b, c):
            continue
        u = b + (c - a) * tension / 6 * (0 if np.allclose(a, b) else 1)
        v = c - (d - b) * tension / 6 * (0 if np.allclose(c, d) else 1)
        out.append(f"C{u[0]:.1f} {u[1]:.1f} {v[0]:.1f} {v[1]:.1f} {c[0]:.1f} {c[1]:.1f}")
    return "".join(out) + ("Z" if closed else "")


def limb(spine: Sequence[Point], half_widths: Sequence[float], cap: float = 0.9) -> list[Point]:
    """Outline of a tapering tube along `spine`, rounded at the far end."""
    p, w = np.asarray(spine, float), np.asarray(half_widths, float)
    t = np.gradient(p, axis=0)
    t /= np.linalg.norm(t, axis=1, keepdims=True)
    n = np.c_[-t[:, 1], t[:, 0]]
    tip = p[-1] + t[-1] * w[-1] * cap
    return [tuple(q) for q in np.vstack([p + n * w[:, None], [tip], (p - n * w[:, None])[::-1]])]


class Drawing:
    """Collects SVG. Every shape gets a shaded side, and an outline unless told otherwise."""

    def __init__(self, width: int, height: int, line: float = 3.0, light: Point = (-9.0, -7.0)) -> None:
        self.width, self.height, self.line, self.light = width, height, line, light
        self.parts: list[str] = []
        self.defs: list[str] = []
        self.flat = False

    def path(
        self,
        d: str,
        fill: str = "none",
        stroke: str | None = None,
        width: float | None = None,
        opacity: float = 1,
        extra: str = "",
    ) -> None:
        ink = (
            f'stroke="{stroke}" stroke-width="{self.line if width is None else width:.1f}" stroke-linejoin="round"'
            ' stroke-linecap="round"'
            if stroke
            else ""
        )
        self.parts.append(f'<path d="{d}" fill="{fill}" {ink} opacity="{opacity:g}" {extra}/>')

    def shape(
        self, d: str, fill: str, shade: float = 1.0, outline: str | None = LINE, details: str = "", soft: bool = False
    ) -> None:
        """A filled outline with a shaded lower right side of `shade` times the usual width; `details` (SVG) is
        clipped to it.
        """
        key = f"c{len(self.defs)}"
        self.defs.append(f'<clipPath id="{key}"><path d="{d}"/></clipPath>')
        x, y = (0.0, 0.0) if self.flat else (self.light[0] * shade, self.light[1] * shade)
        blur = ' filter="url(#soft)"' if soft else ""
        self.path(d, shadow(fill))
        self.parts.append(
            f'<g clip-path="url(#{key})"><g{blur}><path d="{d}" fill="{fill}" transform="translate({x:.1f}'
            f' {y:.1f})"/></g>{details}</g>'
        )
        if outline:
            self.path(d, "none", outline)

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        fill: str,
        opacity: float = 1,
        stroke: str | None = None,
        width: float = 2,
    ) -> None:
        ink = f'stroke="{stroke}" stroke-width="{width:.1f}"' if stroke else ""
        self.parts.append(
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{rx:.1f}" ry="{ry:.1f}" fill="{fill}" opacity="{opacity:g}"'
            f" {ink}/>"
        )

    def gradient(self, stops: Sequence[tuple[float, str]]) -> str:
        """A top-to-bottom gradient over the shape that uses it; returns its fill value."""
        key = f"g{len(self.defs)}"
        body = "".join(f'<stop offset="{t:g}" stop-color="{c}"/>' for t, c in stops)
        self.defs.append(f'<linearGradient id="{key}" x1="0" y1="0" x2="0" y2="1">{body}</linearGradient>')
        return f"url(#{key})"

    def clipped(self, d: str, body: str) -> None:
        key = f"c{len(self.defs)}"
        self.defs.append(f'<clipPath id="{key}"><path d="{d}"/></clipPath>')
        self.parts.append(f'<g clip-path="url(#{key})">{body}</g>')

    def svg(self) -> str:
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        soft = (
            '<filter id="soft" x="-20%" y="-20%" width="140%" height="140%"><feGaussianBlur stdDeviation="5"/></filter>'
        )
        defs, parts = "".join(self.defs), "".join(self.parts)
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><defs>{soft}{defs}</defs>{parts}</svg>'


def stroke(d: str, colour: str = LINE, width: float = 2.5, opacity: float = 1) -> str:
    """An SVG line to be put into a shape's `details`."""
    ends = 'stroke-linecap="round" stroke-linejoin="round"'
    return f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width:.1f}" {ends} opacity="{opacity:g}"/>'


def area(d: str, fill: str, opacity: float = 1) -> str:
    """A filled SVG path to be put into a shape's `details`."""
    return f'<path d="{d}" fill="{fill}" opacity="{opacity:g}"/>'
