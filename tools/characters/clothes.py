# SPDX-License-Identifier: GPL-3.0-or-later
"""Outfits of cloth: each draws legs, torso and arms in the right order."""

from __future__ import annotations

import numpy as np

from .body import arm, high_top, leg, neck, torso_outline, trousers
from .figure import SIDES, Figure
from .svg import Drawing, area, mix, shadow, smooth, stroke


def cape(d: Drawing, f: Figure, colour: str) -> None:
    k, b = f.body * f.look.build, f.body
    w, low = 0.26 * k, f.chin + 0.86 * b
    top = f.shoulder_y - 0.03 * b
    points = [
        (f.cx - 0.10 * k, top),
        (f.cx + 0.10 * k, top),
        (f.cx + 0.16 * k, f.chin + 0.35 * b),
        (f.cx + w, low),
        (f.cx + w * 0.5, low + 0.02 * b),
        (f.cx, low - 0.01 * b),
        (f.cx - w * 0.5, low + 0.02 * b),
        (f.cx - w, low),
        (f.cx - 0.16 * k, f.chin + 0.35 * b),
    ]
    folds = "".join(
        stroke(smooth([(f.cx + x * 0.5, top + 0.3 * b), (f.cx + x, low)], False), shadow(shadow(colour)), 3)
        for x in (-0.19 * k, -0.12 * k, 0.12 * k, 0.19 * k)
    )
    d.shape(smooth(points), colour, 1.0, details=folds)


def jacket(d: Drawing, f: Figure) -> None:
    """Short jacket with a hood's collar over a dark top, slim trousers, high sneakers."""
    main, second, accent, _ = f.look.colours
    k, b = f.body * f.look.build, f.body
    for side in SIDES:
        high_top(d, f, side, "#f4f5fa", accent)
    trousers(d, f, second, reach=0.93, loose=0.92)
    neck(d, f)
    shirt = torso_outline(f, f.chin + 0.44 * b, flare=-0.012, waist=0.086, chest=0.100)
    d.shape(smooth(shirt, tension=0.8), "#383450", 0.8)
    d.path(
        smooth(
            [
                (f.cx - 0.042 * k, f.chin + 0.062 * b),
                (f.cx, f.chin + 0.088 * b),
                (f.cx + 0.042 * k, f.chin + 0.062 * b),
            ],
            False,
        ),
        "none",
        accent,
        6,
    )
    belt = [
        (f.cx + x * k, f.chin + y * b)
        for x, y in ((-0.103, 0.415), (0, 0.424), (0.103, 0.415), (0.108, 0.442), (0, 0.452), (-0.108, 0.442))
    ]
    d.shape(smooth(belt, tension=0.7), mix(second, "#000000", 0.3), 0.4)
    d.shape(
        smooth(
            [
                (f.cx - 12, f.chin + 0.420 * b),
                (f.cx + 12, f.chin + 0.420 * b),
                (f.cx + 12, f.chin + 0.452 * b),
                (f.cx - 12, f.chin + 0.452 * b),
            ],
            tension=0.4,
        ),
        "#d9dbe6",
        0.2,
    )
    for side in SIDES:
        arm(d, f, side, main, cuff=accent, reach=0.93, loose=1.06)
    for side in SIDES:
        half = [
            (0.020, 0.060),
            (0.055, 0.052),
            (0.078, 0.066),
            (0.118, 0.088),
            (0.128, 0.115),
            (0.124, 0.190),
            (0.102, 0.300),
            (0.106, 0.392),
            (0.106, 0.392),
            (0.060, 0.402),
            (0.034, 0.396),
            (0.034, 0.396),
            (0.040, 0.26),
            (0.030, 0.15),
        ]
        outline = smooth([(f.cx + side * x * k, f.chin + y * b) for x, y in half], tension=0.9)
        hem = area(
            smooth(
                [
                    (f.cx + side * x * k, f.chin + y * b)
                    for x, y in ((0.02, 0.372), (0.12, 0.366), (0.12, 0.41), (0.02, 0.42))
                ],
                tension=0.4,
            ),
            accent,
        )
        zip_line = stroke(
            smooth(
                [(f.cx + side * x * k, f.chin + y * b) for x, y in ((0.030, 0.14), (0.041, 0.26), (0.035, 0.40))], False
            ),
            accent,
            5,
        )
        pocket = stroke(
            smooth([(f.cx + side * x * k, f.chin + y * b) for x, y in ((0.062, 0.330), (0.092, 0.300))], False),
            shadow(main),
            4,
        )
        crease = stroke(
            smooth(
                [(f.cx + side * x * k, f.chin + y * b) for x, y in ((0.118, 0.17), (0.092, 0.20), (0.084, 0.225))],
                False,
            ),
            shadow(main),
            3.4,
        )
        crease += stroke(
            smooth([(f.cx + side * x * k, f.chin + y * b) for x, y in ((0.100, 0.285), (0.078, 0.275))], False),
            shadow(main),
            3,
        )
        d.shape(outline, main, 1.0, details=hem + zip_line + pocket + crease)
        collar = [(0.024, 0.150), (0.026, 0.085), (0.044, 0.040), (0.074, 0.046), (0.088, 0.078), (0.060, 0.118)]
        d.shape(smooth([(f.cx + side * x * k, f.chin + y * b) for x, y in collar]), mix(main, second, 0.10), 0.8)
    badge(d, f.cx + 0.078 * k, f.chin + 0.168 * b, 0.022 * k, accent)


def badge(d: Drawing, x: float, y: float, r: float, colour: str) -> None:
    d.shape(
        smooth(
            [
                (x + r * u, y + r * v)
                for u, v in ((0, -1), (0.87, -0.5), (0.87, 0.5), (0, 1), (-0.87, 0.5), (-0.87, -0.5))
            ],
            tension=0.3,
        ),
        colour,
        0.3,
    )
    d.ellipse(x, y, r * 0.38, r * 0.38, "#ffffff")


def dress(d: Drawing, f: Figure) -> None:
    main, second, accent, shoes = f.look.colours
    k, b = f.body * f.look.build, f.body
    for side in SIDES:
        leg(d, f, side, None, shoes, sole=mix(shoes, "#000000", 0.3))
    neck(d, f)
    for side in SIDES:
        arm(d, f, side, second, cuff=accent, reach=-0.35, loose=1.2)
    low = f.chin + 0.70 * b
    skirt = [
        (f.cx + x * k, y)
        for x, y in (
            (-0.088, f.chin + 0.32 * b),
            (0.088, f.chin + 0.32 * b),
            (0.155, f.chin + 0.48 * b),
            (0.222, low),
            (0.11, low + 0.018 * b),
            (0, low + 0.008 * b),
            (-0.11, low + 0.018 * b),
            (-0.222, low),
            (-0.155, f.chin + 0.48 * b),
        )
    ]
    pleats = "".join(
        stroke(smooth([(f.cx + x * 0.45, f.chin + 0.36 * b), (f.cx + x, low + 8)], False), shadow(main), 4)
        for x in np.linspace(-0.17, 0.17, 6) * k
    )
    trim = stroke(
        smooth(
            [
                (f.cx - 0.215 * k, low - 14),
                (f.cx - 0.1 * k, low + 2),
                (f.cx, low - 8),
                (f.cx + 0.1 * k, low + 2),
                (f.cx + 0.215 * k, low - 14),
            ],
            False,
        ),
        accent,
        9,
    )
    d.shape(smooth(skirt), main, 1.4, details=pleats + trim)
    d.shape(
        smooth(torso_outline(f, f.chin + 0.35 * b, flare=-0.018, waist=0.086, chest=0.104), tension=0.8), second, 1.0
    )
    belt = [
        (f.cx + x * k, f.chin + y * b)
        for x, y in ((-0.09, 0.325), (0, 0.335), (0.09, 0.325), (0.093, 0.362), (0, 0.374), (-0.093, 0.362))
    ]
    d.shape(smooth(belt), accent, 0.5)
    for side in SIDES:
        d.shape(
            smooth(
                [
                    (f.cx + side * x * k, f.chin + y * b)
                    for x, y in ((0.0, 0.09), (0.05, 0.055), (0.085, 0.075), (0.055, 0.13))
                ]
            ),
            "#ffffff",
            0.4,
        )
    bow = [
        (f.cx + x * k, f.chin + y * b)
        for x, y in ((0, 0.118), (0.045, 0.098), (0.05, 0.145), (0, 0.126), (-0.05, 0.145), (-0.045, 0.098))
    ]
    d.shape(smooth(bow), accent, 0.4)


def coat(d: Drawing, f: Figure) -> None:
    """A long coat or robe, open below the belt."""
    main, second, accent, shoes = f.look.colours
    k, b = f.body * f.look.build, f.body
    for side in SIDES:
        leg(d, f, side, second, shoes, boot=0.45, sole="#2b2430")
    seat = [
        (f.cx + x * k, f.chin + y * b)
        for x, y in ((-0.10, 0.38), (0.10, 0.38), (0.12, 0.50), (0.08, 0.56), (0, 0.565), (-0.08, 0.56), (-0.12, 0.50))
    ]
    d.shape(smooth(seat), second, 0.8)
    neck(d, f)
    for side in SIDES:
        arm(d, f, side, main, cuff=accent, reach=0.95, loose=1.25)
    d.shape(smooth(torso_outline(f, f.chin + 0.42 * b, flare=0.02), tension=0.8), main, 1.2)
    for side in SIDES:
        tail = [(0.006, 0.38), (0.118, 0.38), (0.150, 0.55), (0.170, 0.72), (0.06, 0.76), (0.035, 0.60)]
        d.shape(smooth([(f.cx + side * x * k, f.chin + y * b) for x, y in tail]), main, 1.2)
    d.path(smooth([(f.cx, f.chin + 0.08 * b), (f.cx, f.chin + 0.40 * b)], False), "none", accent, 7)
    for y in (0.16, 0.22, 0.28, 0.34):
        d.ellipse(f.cx + 0.024 * k, f.chin + y * b, 7, 7, "#e8c75a", 1, "#2b2433", 2)
    belt = [
        (f.cx + x * k, f.chin + y * b)
        for x, y in ((-0.118, 0.395), (0, 0.41), (0.118, 0.395), (0.124, 0.435), (0, 0.452), (-0.124, 0.435))
    ]
    d.shape(smooth(belt), "#6b4527", 0.5)
    d.shape(
        smooth(
            [
                (f.cx - 22, f.chin + 0.402 * b),
                (f.cx + 22, f.chin + 0.402 * b),
                (f.cx + 22, f.chin + 0.448 * b),
                (f.cx - 22, f.chin + 0.448 * b),
            ],
            tension=0.3,
        ),
        "#e0c15a",
        0.3,
    )


def shirt(d: Drawing, f: Figure) -> None:
    """T-shirt, trousers, shoes; for children, giants and everyday people."""
    main, second, accent, shoes = f.look.colours
    k, b = f.body * f.look.build, f.body
    short = "shorts" in f.look.extras
    for side in SIDES:
        leg(d, f, side, None, shoes)
    trousers(d, f, second, reach=0.46 if short else 0.97, loose=1.15)
    neck(d, f)
    for side in SIDES:
        arm(d, f, side, main, cuff=accent if "cuffs" in f.look.extras else None, reach=-0.1, loose=1.25)
    stripes = (
        "".join(
            stroke(
                smooth(
                    [
                        (f.cx - 0.2 * k, f.chin + y * b),
                        (f.cx, f.chin + (y + 0.012) * b),
                        (f.cx + 0.2 * k, f.chin + y * b),
                    ],
                    False,
                ),
                accent,
                0.030 * b,
            )
            for y in (0.17, 0.25, 0.33)
        )
        if "stripes" in f.look.extras
        else ""
    )
    d.shape(
        smooth(torso_outline(f, f.chin + 0.44 * b, flare=0.006, waist=0.100, chest=0.112), tension=0.8),
        main,
        1.2,
        details=stripes,
    )
    d.path(
        smooth(
            [
                (f.cx - 0.042 * k, f.chin + 0.058 * b),
                (f.cx, f.chin + 0.092 * b),
                (f.cx + 0.042 * k, f.chin + 0.058 * b),
            ],
            False,
        ),
        "none",
        shadow(main),
        6,
    )
