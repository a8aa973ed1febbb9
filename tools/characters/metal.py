# SPDX-License-Identifier: GPL-3.0-or-later
"""Outfits of metal: a knight's armour, and a robot."""

from __future__ import annotations

import numpy as np

from .body import arm, between, leg, torso_outline
from .figure import SIDES, Figure
from .svg import Drawing, limb, mix, shadow, smooth, stroke


def armour(d: Drawing, f: Figure) -> None:
    steel, second, accent, _ = f.look.colours
    k, b = f.body * f.look.build, f.body
    for side in SIDES:
        leg(d, f, side, second, steel, boot=0.85, sole=shadow(steel))
        hip, knee, _, _ = f.leg(side)
        d.shape(
            smooth(limb([between(hip, knee, 0.15), between(hip, knee, 0.75)], np.array([0.076, 0.062]) * k, 0.3)),
            steel,
            1.0,
        )
        d.shape(
            smooth(
                [
                    (knee[0] + x * k, knee[1] + y * k)
                    for x, y in ((0, -0.05), (0.05, -0.01), (0.03, 0.05), (-0.03, 0.05), (-0.05, -0.01))
                ]
            ),
            mix(steel, "#ffffff", 0.3),
            0.5,
        )
    for side in SIDES:
        arm(d, f, side, second, reach=0.4, glove="#6a4a32")
        shoulder, elbow, wrist, _ = f.arm(side)
        d.shape(
            smooth(limb([between(elbow, wrist, 0.1), between(elbow, wrist, 0.95)], np.array([0.050, 0.042]) * k, 0.2)),
            steel,
            0.8,
        )
        d.shape(
            smooth(
                [
                    tuple(shoulder + np.array([side * x, y]) * k)
                    for x, y in (
                        (-0.06, -0.035),
                        (0.0, -0.062),
                        (0.055, -0.03),
                        (0.078, 0.03),
                        (0.03, 0.07),
                        (-0.05, 0.05),
                    )
                ]
            ),
            mix(steel, "#ffffff", 0.15),
            0.9,
        )
    d.shape(
        smooth(torso_outline(f, f.chin + 0.50 * b, flare=0.03, waist=0.098, chest=0.122), tension=0.8),
        steel,
        1.6,
        details=stroke(smooth([(f.cx, f.chin + 0.08 * b), (f.cx, f.chin + 0.36 * b)], False), shadow(steel), 5),
    )
    tabard = [
        (f.cx + x * k, f.chin + y * b)
        for x, y in ((-0.052, 0.40), (0.052, 0.40), (0.064, 0.66), (0, 0.69), (-0.064, 0.66))
    ]
    d.shape(smooth(tabard, tension=0.6), accent, 0.8)
    belt = [
        (f.cx + x * k, f.chin + y * b)
        for x, y in ((-0.11, 0.375), (0, 0.39), (0.11, 0.375), (0.116, 0.415), (0, 0.432), (-0.116, 0.415))
    ]
    d.shape(smooth(belt), "#6a4a32", 0.5)
    star = [
        (f.cx + 0.05 * k * r * np.sin(t), f.chin + 0.2 * b - 0.05 * k * r * np.cos(t))
        for t, r in ((i * np.pi / 5, 1 if i % 2 == 0 else 0.45) for i in range(10))
    ]
    d.shape(smooth(star, tension=0.05), accent, 0.3)


def robot(d: Drawing, f: Figure) -> None:
    main, second, accent, _ = f.look.colours
    k, b = f.body * f.look.build, f.body
    for side in SIDES:
        hip, knee, ankle, _ = f.leg(side)
        d.shape(smooth(limb([hip, ankle], np.array([0.034, 0.030]) * k, 0.1)), "#59616f", 0.5)
        d.shape(
            smooth(
                limb([between(hip, knee, 0.12), between(hip, knee, 0.82)], np.array([0.066, 0.056]) * k, 0.2),
                tension=0.6,
            ),
            main,
            1.2,
        )
        d.shape(
            smooth(
                limb([between(knee, ankle, 0.2), between(knee, ankle, 0.98)], np.array([0.054, 0.062]) * k, 0.2),
                tension=0.6,
            ),
            main,
            1.2,
        )
        box = [
            (ankle[0] + x * k, f.sole + y * k)
            for x, y in ((-0.055, -0.075), (0.055, -0.075), (0.075, -0.02), (0.075, 0), (-0.075, 0), (-0.075, -0.02))
        ]
        d.shape(smooth(box, tension=0.3), second, 0.8)
        shoulder, elbow, wrist, tip = f.arm(side)
        d.shape(smooth(limb([shoulder, between(wrist, tip, 0.4)], np.array([0.028, 0.024]) * k, 0.2)), "#59616f", 0.4)
        d.shape(
            smooth(
                limb(
                    [between(shoulder, elbow, 0.25), between(shoulder, elbow, 0.88)], np.array([0.050, 0.046]) * k, 0.2
                ),
                tension=0.6,
            ),
            main,
            0.9,
        )
        d.shape(
            smooth(
                limb([between(elbow, wrist, 0.12), between(elbow, wrist, 0.98)], np.array([0.044, 0.056]) * k, 0.2),
                tension=0.6,
            ),
            main,
            0.9,
        )
        for t in (-0.8, 0.0, 0.8):
            along = (tip - wrist) / np.linalg.norm(tip - wrist)
            across = np.array([-along[1], along[0]]) * 0.028 * k * t
            d.shape(
                smooth(
                    limb(
                        [wrist + across * 0.7 + along * 6, tip + across - along * (8 + 10 * abs(t))],
                        np.array([0.016, 0.013]) * k,
                    )
                ),
                second,
                0.3,
            )
        x, y = shoulder
        d.shape(
            smooth(
                [
                    (x + 0.058 * k * u, y + 0.058 * k * v)
                    for u, v in (
                        (0, -1),
                        (0.71, -0.71),
                        (1, 0),
                        (0.71, 0.71),
                        (0, 1),
                        (-0.71, 0.71),
                        (-1, 0),
                        (-0.71, -0.71),
                    )
                ]
            ),
            second,
            0.8,
        )
    d.shape(
        smooth(
            [(f.cx + x * k, f.chin + y * b) for x, y in ((-0.03, -0.04), (0.03, -0.04), (0.035, 0.1), (-0.035, 0.1))],
            tension=0.3,
        ),
        "#59616f",
        0.4,
    )
    chest = [
        (f.cx + x * k, f.chin + y * b)
        for x, y in (
            (-0.09, 0.06),
            (0.09, 0.06),
            (0.135, 0.10),
            (0.13, 0.30),
            (0.085, 0.38),
            (-0.085, 0.38),
            (-0.13, 0.30),
            (-0.135, 0.10),
        )
    ]
    d.shape(smooth(chest, tension=0.5), main, 1.6)
    d.shape(
        smooth(
            [(f.cx + x * k, f.chin + y * b) for x, y in ((-0.06, 0.38), (0.06, 0.38), (0.06, 0.45), (-0.06, 0.45))],
            tension=0.3,
        ),
        "#59616f",
        0.5,
    )
    d.shape(
        smooth(
            [
                (f.cx + x * k, f.chin + y * b)
                for x, y in ((-0.11, 0.43), (0.11, 0.43), (0.12, 0.50), (0.04, 0.56), (-0.04, 0.56), (-0.12, 0.50))
            ],
            tension=0.4,
        ),
        main,
        1.0,
    )
    d.ellipse(f.cx, f.chin + 0.19 * b, 0.045 * k, 0.045 * k, "#1d2836", 1, "#2b2433", 3)
    d.ellipse(f.cx, f.chin + 0.19 * b, 0.030 * k, 0.030 * k, accent)
