# SPDX-License-Identifier: GPL-3.0-or-later
"""Limbs, torso and clothes."""

from __future__ import annotations

import numpy as np

from .figure import Figure
from .svg import Drawing, area, limb, mix, shadow, smooth, stroke


def between(a, b, t: float) -> np.ndarray:
    return np.asarray(a, float) + (np.asarray(b, float) - np.asarray(a, float)) * t


def hand(d: Drawing, f: Figure, side: int, colour: str) -> None:
    """A relaxed hand with fingers together and the thumb apart, seen from the back."""
    _, _, wrist, tip = f.arm(side)
    along = (tip - wrist) / np.linalg.norm(tip - wrist)
    # The thumb points to the body's front and up: on the picture's upper side of the hand.
    across = np.array([along[1], -along[0]]) * side
    length, w = np.linalg.norm(tip - wrist), 0.030 * f.body * f.look.build

    def at(s: float, t: float) -> tuple[float, float]:
        return tuple(wrist + along * length * s + across * w * t)

    thumb = smooth([at(0.05, 0.5), at(0.18, 1.25), at(0.46, 1.78), at(0.58, 1.5), at(0.42, 0.9), at(0.3, 0.2)])
    d.shape(thumb, colour, 0.5)
    palm = [
        at(-0.30, 0.74),
        at(-0.12, 0.74),
        at(0.12, 0.98),
        at(0.42, 1.06),
        at(0.72, 0.86),
        at(0.95, 0.42),
        at(1.0, -0.02),
        at(0.95, -0.5),
        at(0.7, -0.9),
        at(0.4, -0.98),
        at(0.1, -0.86),
        at(-0.12, -0.74),
        at(-0.30, -0.74),
    ]
    ink = shadow(colour)
    fingers = "".join(
        stroke(smooth([at(0.56, t), at(0.8, t * 0.92), at(0.95, t * 0.7)], False), mix(ink, "#2b2433", 0.4), 2.2)
        for t in (0.48, 0.0, -0.48)
    )
    d.shape(smooth(palm), colour, 0.5, details=fingers)


def arm(
    d: Drawing,
    f: Figure,
    side: int,
    sleeve: str,
    cuff: str | None = None,
    skin: str | None = None,
    reach: float = 0.94,
    loose: float = 1.0,
    glove: str | None = None,
) -> None:
    """An arm: skin or glove below, the sleeve over it down to `reach` of the way to the wrist."""
    shoulder, elbow, wrist, _ = f.arm(side)
    k = f.body * f.look.build
    inner = shoulder + np.array([-side * 0.035, 0.012]) * k
    skin = skin or f.look.skin
    bare = limb(
        [elbow, between(elbow, wrist, 0.5), wrist, between(wrist, f.arm(side)[3], 0.1)],
        [0.032 * k, 0.030 * k, 0.023 * k, 0.025 * k],
        0.3,
    )
    d.shape(smooth(bare), glove or skin, 0.6)
    hand(d, f, side, glove or skin)
    end = between(elbow, wrist, reach) if reach > 0 else between(shoulder, elbow, 1 + reach)
    middle = elbow if reach > 0.2 else between(shoulder, end, 0.6)
    tube = limb(
        [inner, between(shoulder, middle, 0.3), middle, between(middle, end, 0.55), end],
        np.array([0.042, 0.042, 0.037, 0.037 * loose, 0.035 * loose]) * k,
        0.15,
    )
    folds = ""
    if reach > 0.2:
        normal = np.array([-(wrist - shoulder)[1], (wrist - shoulder)[0]]) / np.linalg.norm(wrist - shoulder) * k
        for t, reach_across in ((0.82, 0.022), (1.0, 0.03), (1.14, 0.018)):
            p = between(shoulder, elbow, t) if t <= 1 else between(elbow, wrist, t - 1)
            folds += stroke(
                smooth([p - normal * 0.04 * side, p - normal * (0.04 - reach_across) * side + [3 * side, 8]], False),
                shadow(shadow(sleeve)),
                2.4,
                0.8,
            )
    d.shape(smooth(tube), sleeve, 1.0, details=folds)
    if cuff:
        band = limb([between(elbow, end, 0.78), end], np.array([0.039, 0.038]) * k * loose, 0.12)
        d.shape(smooth(band), cuff, 0.6)


def leg(
    d: Drawing,
    f: Figure,
    side: int,
    cloth: str | None,
    shoe: str,
    reach: float = 1.0,
    sock: str | None = None,
    sole: str = "#ffffff",
    boot: float = 0.0,
    loose: float = 1.0,
) -> None:
    """A leg: skin or sock, cloth down to `reach` of the way to the ankle (None: bare), a shoe or a boot that goes
    `boot` of the way up.
    """
    hip, knee, ankle, _ = f.leg(side)
    k = f.body * f.look.build
    hip = hip + np.array([-side * 0.004 * k, 0])
    calf = between(knee, ankle, 0.33)
    bare = limb([between(hip, knee, 0.3), knee, calf, ankle], np.array([0.060, 0.047, 0.049, 0.034]) * k, 0.3)
    d.shape(smooth(bare), sock or f.look.skin, 1.0)
    if cloth:
        trouser_leg(d, f, side, cloth, reach, loose)
    foot(d, f, side, shoe, sole, boot)


def trouser_leg(d: Drawing, f: Figure, side: int, cloth: str, reach: float, loose: float) -> None:
    """One leg of cloth, from the hip down to `reach` of the way to the ankle."""
    hip, knee, ankle, _ = f.leg(side)
    k = f.body * f.look.build
    end = between(hip, ankle, reach)
    stops = [hip, between(hip, end, 0.33), between(hip, end, 0.66), end]
    widths = (
        np.array([0.073, 0.066, 0.054 if reach > 0.6 else 0.063, (0.044 if reach > 0.6 else 0.064)])
        * k
        * np.array([1, 1, loose, loose])
    )
    crease = stroke(
        smooth(
            [between(hip, knee, 0.1) - [side * 0.045 * k, 0], between(hip, knee, 0.3) - [side * 0.03 * k, 0]], False
        ),
        shadow(shadow(cloth)),
        2.6,
        0.8,
    )
    if reach > 0.7:
        for t in (0.47, 0.53, 0.93):
            p = between(hip, ankle, t)
            crease += stroke(
                smooth([p + [side * 0.05 * k, -4], p + [side * 0.02 * k, 5]], False), shadow(shadow(cloth)), 2.4, 0.7
            )
    d.shape(smooth(limb(stops, widths, 0.1)), cloth, 1.2, details=crease)


def trousers(d: Drawing, f: Figure, cloth: str, reach: float = 1.0, loose: float = 1.0) -> None:
    """Both legs and the seat as one piece of cloth, down to `reach` of the way from hip to ankle."""
    k, b = f.body * f.look.build, f.body
    half_widths = ((0.10, 0.062), (0.30, 0.059), (0.50, 0.050 * loose), (0.72, 0.046 * loose), (1.0, 0.042 * loose))
    halves = {}
    for side in (1, -1):
        hip, _, ankle, _ = f.leg(side)
        spine = [(between(hip, ankle, t * reach), w) for t, w in half_widths]
        outer = [(p[0] + side * w * k, p[1]) for p, w in spine]
        inner = [(p[0] - side * w * k, p[1]) for p, w in reversed(spine) if p[1] > f.crotch_y + 0.03 * b]
        halves[side] = [
            (f.cx + side * 0.094 * k, f.chin + 0.40 * b),
            (f.cx + side * 0.116 * k, f.chin + 0.455 * b),
            *outer,
            outer[-1],
            inner[0],
            *inner,
        ]
    left, right = halves[1], halves[-1]
    outline = [*left, (f.cx, f.crotch_y), *reversed(right)]
    ink = shadow(shadow(cloth))
    lines = stroke(smooth([(f.cx, f.chin + 0.43 * b), (f.cx + 2, f.crotch_y)], False), ink, 3)
    for side in (1, -1):
        hip, _, ankle, _ = f.leg(side)
        lines += stroke(
            smooth(
                [(f.cx + side * 0.012 * k, f.crotch_y - 0.012 * b), (f.cx + side * 0.042 * k, f.crotch_y - 0.030 * b)],
                False,
            ),
            ink,
            2.8,
        )
        lines += stroke(
            smooth(
                [(f.cx + side * 0.118 * k, f.chin + 0.465 * b), (f.cx + side * 0.082 * k, f.chin + 0.435 * b)], False
            ),
            ink,
            2.8,
        )
        for t, u, v in ((0.49, 0.045, 0.016), (0.545, 0.042, 0.022), (0.90, 0.036, 0.010), (0.95, -0.036, -0.012)):
            p = between(hip, ankle, t)
            if t < reach:
                lines += stroke(
                    smooth([(p[0] - side * u * k, p[1] - 5), (p[0] - side * v * k, p[1] + 5)], False), ink, 2.6
                )
    d.shape(smooth(outline), cloth, 1.2, details=lines)


def high_top(d: Drawing, f: Figure, side: int, colour: str, accent: str) -> None:
    """A high sneaker seen from the front: shaft, tongue with laces, toe cap, thick sole."""
    k, (x, y) = f.body * f.look.build, f.leg(side)[2]
    x += side * 0.004 * k
    shaft_top, sole = y - 0.048 * k, f.sole

    def at(points):
        return smooth([(x + dx * k, dy) for dx, dy in points], tension=0.8)

    upper = [
        (-0.046, shaft_top),
        (0, shaft_top + 0.012 * k),
        (0.046, shaft_top),
        (0.046, y),
        (0.056, sole - 0.040 * k),
        (0.062, sole - 0.012 * k),
        (0, sole - 0.004 * k),
        (-0.062, sole - 0.012 * k),
        (-0.056, sole - 0.040 * k),
        (-0.046, y),
    ]
    tongue = area(
        at(
            [
                (-0.020, shaft_top - 0.012 * k),
                (0.020, shaft_top - 0.012 * k),
                (0.024, sole - 0.046 * k),
                (-0.024, sole - 0.046 * k),
            ]
        ),
        shadow(colour),
    )
    toe = area(
        at(
            [
                (-0.050, sole - 0.034 * k),
                (0, sole - 0.050 * k),
                (0.050, sole - 0.034 * k),
                (0.062, sole),
                (-0.062, sole),
            ]
        ),
        mix(colour, "#ffffff", 0.5),
    )
    toe += stroke(
        at(
            [
                (-0.056, sole - 0.028 * k),
                (-0.03, sole - 0.046 * k),
                (0, sole - 0.050 * k),
                (0.03, sole - 0.046 * k),
                (0.056, sole - 0.028 * k),
            ]
        ).rstrip("Z"),
        shadow(shadow(colour)),
        2.4,
    )
    laces = "".join(
        stroke(f"M{x - 0.018 * k:.1f} {sole - t * k:.1f}l{0.036 * k:.1f} {s:.1f}", accent, 5)
        for t, s in ((0.062, 3), (0.078, -3), (0.094, 3))
    )
    d.shape(at(upper), colour, 0.8, details=tongue + laces + toe)
    d.shape(
        at(
            [
                (-0.049, shaft_top - 0.006 * k),
                (0, shaft_top + 0.006 * k),
                (0.049, shaft_top - 0.006 * k),
                (0.048, shaft_top + 0.016 * k),
                (0, shaft_top + 0.028 * k),
                (-0.048, shaft_top + 0.016 * k),
            ]
        ),
        accent,
        0.4,
    )
    d.shape(
        at(
            [
                (-0.064, sole - 0.017 * k),
                (0, sole - 0.012 * k),
                (0.064, sole - 0.017 * k),
                (0.064, sole),
                (-0.064, sole),
            ]
        ),
        accent,
        0.3,
    )


def foot(d: Drawing, f: Figure, side: int, colour: str, sole: str, boot: float) -> None:
    _, knee, ankle, _ = f.leg(side)
    k, x, y = f.body * f.look.build, ankle[0], f.sole
    if boot:
        top = between(ankle, knee, boot)
        shaft = limb([top, between(top, ankle, 0.55), ankle + [0, 0.012 * k]], np.array([0.056, 0.050, 0.041]) * k, 0.2)
        d.shape(smooth(shaft), colour, 1.0)
        rim = limb([between(top, ankle, -0.04), between(top, ankle, 0.14)], np.array([0.059, 0.058]) * k, 0.1)
        d.shape(smooth(rim), mix(colour, "#ffffff", 0.25), 0.5)
    o = side * 0.006 * k
    upper = [
        (x - 0.040 * k + o, ankle[1] - 0.012 * k),
        (x + 0.040 * k + o, ankle[1] - 0.012 * k),
        (x + 0.050 * k + o, y - 0.034 * k),
        (x + 0.054 * k + o, y - 0.010 * k),
        (x + o, y - 0.004 * k),
        (x - 0.054 * k + o, y - 0.010 * k),
        (x - 0.050 * k + o, y - 0.034 * k),
    ]
    toe = area(
        smooth(
            [
                (x - 0.042 * k + o, y - 0.030 * k),
                (x + o, y - 0.042 * k),
                (x + 0.042 * k + o, y - 0.030 * k),
                (x + 0.05 * k + o, y),
                (x - 0.05 * k + o, y),
            ]
        ),
        mix(colour, "#ffffff", 0.16),
    )
    laces = (
        "".join(
            stroke(f"M{x - 0.016 * k + o:.1f} {y - t * k:.1f}h{0.032 * k:.1f}", mix(sole, colour, 0.2), 3)
            for t in (0.046, 0.056)
        )
        if not boot
        else ""
    )
    d.shape(smooth(upper), colour, 0.7, details=toe + laces)
    rubber = [
        (x - 0.055 * k + o, y - 0.013 * k),
        (x + o, y - 0.009 * k),
        (x + 0.055 * k + o, y - 0.013 * k),
        (x + 0.054 * k + o, y),
        (x - 0.054 * k + o, y),
    ]
    d.shape(smooth(rubber, tension=0.5), sole, 0.3)


def torso_outline(
    f: Figure, bottom: float, flare: float = 0.0, waist: float = 0.088, chest: float = 0.112
) -> list[tuple[float, float]]:
    """Outline from the neck's base to `bottom` (a y), both sides."""
    k, b = f.body * f.look.build, f.body
    s, y = f.look.shoulders * k, f.shoulder_y
    waist_y = f.chin + 0.35 * b
    right = [
        (0.030 * k, f.chin + 0.044 * b),
        (s * 0.72, y - 0.040 * b),
        (s + 0.006 * k, y - 0.014 * b),
        (s + 0.008 * k, y + 0.03 * b),
        (chest * k, y + 0.085 * b),
        (waist * k, waist_y),
        ((0.106 + flare) * k, bottom),
        ((0.106 + flare) * k, bottom),
    ]
    return [(f.cx + dx, dy) for dx, dy in right] + [(f.cx - dx, dy) for dx, dy in reversed(right)]


def neck(d: Drawing, f: Figure) -> None:
    k = f.body * f.look.build
    w = 0.034 * k
    points = [
        (f.cx - w, f.chin - 0.05 * f.body),
        (f.cx + w, f.chin - 0.05 * f.body),
        (f.cx + w, f.chin + 0.05 * f.body),
        (f.cx + w * 1.5, f.chin + 0.085 * f.body),
        (f.cx - w * 1.5, f.chin + 0.085 * f.body),
        (f.cx - w, f.chin + 0.05 * f.body),
    ]
    cast = area(
        smooth(
            [
                (f.cx - 2 * w, f.chin - 9),
                (f.cx + 2 * w, f.chin - 9),
                (f.cx + 1.6 * w, f.chin + 0.022 * f.body),
                (f.cx, f.chin + 0.040 * f.body),
                (f.cx - 1.4 * w, f.chin + 0.018 * f.body),
            ]
        ),
        shadow(f.look.skin),
    )
    d.shape(smooth(points, tension=0.6), f.look.skin, 0.4, details=cast)
