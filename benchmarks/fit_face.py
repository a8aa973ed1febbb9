# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits the weights of the face search: `python -m benchmarks.fit_face [--write]`; some ten minutes.

Draws characters of all kinds (tools/characters), some without a face, disturbs them (blur, noise, texture, side
light, a wrong neck, a band around the neck, an erased mouth), and maximises the likelihood of the true candidates, or
of "none of them", with a quadratic penalty. The signs of the weights are given. Characters of another seed measure
what came out. `--write` replaces backend/image/face_weights.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from scipy import ndimage
from scipy.optimize import minimize

from backend.image import eyes, mouth
from backend.image.analysis import MAX_HEIGHT, _with_joints
from backend.image.eyes import Sampler
from backend.image.face import SAME_PLACE
from backend.image.head import HEIGHT, HeadView, view_of_head
from backend.image.load import resize_rgba
from backend.image.mask import find_figure
from tools.characters.character import draw
from tools.characters.figure import Look
from tools.characters.head import Head

SKINS = ("#f8d9c4", "#eec3a0", "#c98d62", "#8d5a3a", "#7fae4a", "#e6b795", "#5a3a28", "#9ab0e0", "#d9a0a0", "#c3ccd8")
HAIR = ("#c9c3e6", "#2f2a3f", "#6b3f2a", "#d98b2b", "#f0e0a0", "#d9d4cc", "#3a8a8a", "#c03a3a", "#181418", "#e890b0")
EYES = ("#2f8fb8", "#3f8f4e", "#8a5a2b", "#a8442f", "#5a3a22", "#7a4ab0", "#4fe0e8", "#303030")
CLOTH = ("#3f7fc4", "#d8486a", "#5a4b8c", "#7a8a5a", "#e8ecf2", "#4a6a4f", "#f0c83c", "#9aa6b8", "#202028", "#ffffff")
HAIR_OF = {
    "anime": ("bob", "spiky", "long", "bun", "short"),
    "dots": ("hat", "bob", "bald", "short", "spiky", "bun"),
    "real": ("bald", "short", "long", "bob"),
    "beard": ("short", "bald", "hat"),
    "visor": ("helmet",),
    "goblin": ("bald", "hat"),
    "robot": ("bald",),
}
RIGHT, WRONG = 0.035, 0.055  # parts of the head's height: a candidate nearer is the truth, one farther is not
NEGATIVE = ("tilt", "cheeks calm", "bridge calm", "ends")  # features that speak against


@dataclass
class Drawn:
    """A head with its truth in working pixels of no view yet; face is None where none was drawn."""

    rgba: np.ndarray
    mask: np.ndarray
    joints: dict[str, tuple[float, float]]
    face: dict[str, np.ndarray] | None
    mouth_width: float
    head: float


def look(number: int, seed: int) -> Look:
    """One of many characters: the same for the same numbers."""
    r = np.random.default_rng([seed, number])

    def one(options: Any) -> str:
        return str(r.choice(list(options)))

    face = one(["anime", *HAIR_OF])
    return Look(
        f"variant_{seed}_{number}_{face}",
        width=1300,
        height=1100,
        head=float(r.uniform(0.13, 0.40)),
        hair=one(HAIR_OF[face]),
        face=face,
        outfit=one(("jacket", "shirt", "coat", "armour", "robot", "dress")),
        skin=one(SKINS),
        hair_colour=one(HAIR),
        eyes=one(EYES),
        colours=(one(CLOTH), one(CLOTH), one(CLOTH), one(CLOTH)),
        yaw=float(r.choice([0, 0, r.uniform(-1, 1)])),
        arm_angle=float(r.uniform(0, 55)),
        build=float(r.uniform(0.9, 1.3)),
        style=one(("cel", "flat")),
        extras=(one(("headset", "cuffs", "stripes")),) if r.random() < 0.3 else (),
    )


def drawn(seed: int, count: int, faces: bool = True) -> Iterator[Drawn]:
    """Heads of `count` characters whose silhouette is understood; without eyes and mouth where `faces` is False."""
    for number in range(count):
        chosen = look(number, seed)
        if faces:
            image, truth = draw(chosen)
        else:
            # The helmet is drawn with the face's features, and goes with them.
            with mock.patch.object(Head, "features", lambda head: None):
                image, truth = draw(replace(chosen, face="anime", hair="short") if chosen.face == "visor" else chosen)
        rgba = np.asarray(image.convert("RGBA"))
        factor = MAX_HEIGHT / rgba.shape[0]
        rgba = resize_rgba(rgba, (round(rgba.shape[1] * factor), MAX_HEIGHT))
        figure, rgba, found = _with_joints(find_figure(rgba), rgba)
        if not found.humanoid:
            continue
        end = int(found.joints["hips"][1])
        centres = {name: np.array(part["center"]) * factor for name, part in truth["face"].items()} if faces else None
        width = truth["face"]["mouth"]["width"] * factor
        yield Drawn(rgba[:end], figure.mask[:end], found.joints, centres, width, truth["head_height"] * factor)


def disturbed(item: Drawn, r: np.random.Generator) -> HeadView | None:
    """The view of the head with a neck and a top that are off, and colours that are less clean than drawn ones."""
    joints = dict(item.joints)
    height = joints["neck"][1] - joints["headTop"][1]
    joints["neck"] = (
        joints["neck"][0] + 0.04 * height * r.normal(),
        joints["neck"][1] + height * r.uniform(-0.12, 0.3) * (r.random() < 0.5),
    )
    joints["headTop"] = (
        joints["headTop"][0],
        joints["headTop"][1] + height * r.uniform(-0.1, 0.1) * (r.random() < 0.5),
    )
    view = view_of_head(item.rgba, item.mask, joints)
    if view is None:
        return None
    lab, shape = view.lab, view.lab.shape[:2]
    if r.random() < 0.4:
        lab = ndimage.gaussian_filter(lab, (float(r.uniform(0.5, 1.8)),) * 2 + (0,))
    if r.random() < 0.5:  # texture
        field = ndimage.gaussian_filter(r.normal(size=(*shape, 3)), (float(r.choice([0.7, 2, 4, 8])),) * 2 + (0,))
        lab = lab + field / field.std() * r.uniform(1, 5) * np.array([1, 0.4, 0.4])
    if r.random() < 0.4:  # light from one side
        y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
        turn = r.uniform(0, 2 * np.pi)
        lab = lab + np.array([1.0, 0, 0]) * (r.uniform(5, 20) * (np.cos(turn) * x + np.sin(turn) * y))[..., None]
    view.lab = np.asarray(lab, np.float32)
    return view


def erase_mouth(view: HeadView, item: Drawn) -> None:
    assert item.face is not None
    (x, y), w, h = (
        _in_view(view, item.face["mouth"]),
        0.4 * item.mouth_width * view.scale + 4,
        0.06 * item.head * view.scale + 3,
    )
    x0, x1, y0, y1 = (
        int(np.clip(v, 1, view.lab.shape[axis] - 2)) for v, axis in ((x - w, 1), (x + w, 1), (y - h, 0), (y + h, 0))
    )
    blend = np.linspace(0, 1, y1 - y0)[:, None, None]
    view.lab[y0:y1, x0:x1] = view.lab[y0 - 1, x0:x1] * (1 - blend) + view.lab[y1, x0:x1] * blend


def tie_band(view: HeadView, item: Drawn, r: np.random.Generator) -> None:
    """A choker or the edge of a collar below the chin, as wide as the figure's skin there."""
    assert item.face is not None
    chin = _in_view(view, np.array([item.face["mouth"][0], item.joints["headTop"][1] + item.head]))
    y0, x = round(chin[1] + r.uniform(0.03, 0.14) * HEIGHT), int(np.clip(round(chin[0]), 0, view.lab.shape[1] - 1))
    y1 = y0 + int(r.integers(3, 9))
    if y1 >= view.lab.shape[0] or y0 < 1:
        return
    like = np.linalg.norm(view.lab[y0] - view.lab[y0, x], axis=1) < 8
    half = min(
        next((k for k in range(1, 60) if not like[min(x + k, len(like) - 1)] or not like[max(x - k, 0)]), 60),
        round(0.2 * HEIGHT),
    )
    view.lab[y0:y1, max(x - half, 0) : x + half + 1] = [r.uniform(5, 75), *r.uniform(-40, 40, 2)]


def _in_view(view: HeadView, point: np.ndarray) -> np.ndarray:
    return (point + 0.5 - np.array(view.origin)) * view.scale - 0.5


@dataclass
class Example:
    """features: (N, F) of the candidates; error: (N,) in parts of the head's height; places: (N, k) in
    working pixels.
    """

    features: np.ndarray
    error: np.ndarray
    places: np.ndarray


def eye_example(view: HeadView, item: Drawn) -> Example:
    spots = eyes.find_spots(view)
    pairs = eyes.candidate_pairs(spots, view)
    if len(pairs) == 0:
        return Example(np.zeros((0, len(eyes.FEATURES))), np.zeros(0), np.zeros((0, 4)))
    a, b = spots.points[pairs[:, 0]], spots.points[pairs[:, 1]]
    features = eyes.describe(Sampler(view), a, b, spots.strength[pairs], float(spots.strength.max()))
    if item.face is None:
        return Example(features, np.full(len(pairs), 9.0), np.hstack([a, b]))
    gaps = [np.hypot(*(p - _in_view(view, item.face[name])).T) for p, name in ((a, "rightEye"), (b, "leftEye"))]
    return Example(features, np.maximum(*gaps) / (item.head * view.scale), np.hstack([a, b]))


def mouth_example(view: HeadView, item: Drawn, erased: bool, r: np.random.Generator) -> Example:
    assert item.face is not None
    a, b = (_in_view(view, item.face[name]) + r.normal(0, 1.5, 2) for name in ("rightEye", "leftEye"))
    places, features = mouth.mouth_candidates(Sampler(view), a, b)
    middle, across, down = mouth.eye_frame(a, b)
    points = middle + places[:, :1] * across + places[:, 1:2] * down
    error = np.hypot(*(points - _in_view(view, item.face["mouth"])).T) / (item.head * view.scale)
    return Example(features, np.full(len(error), 9.0) if erased else error, points)


def examples(seed: int, counts: tuple[int, int], rounds: int) -> dict[str, list[Example]]:
    """{"EYES": ..., "MOUTH": ...} of counts = (with, without) faces, each disturbed `rounds` times."""
    r, bands = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    out: dict[str, list[Example]] = {"EYES": [], "MOUTH": []}
    for faces, count in zip((True, False), counts, strict=True):
        for item in drawn(seed + 100 * (not faces), count, faces):
            for _ in range(rounds):
                view = disturbed(item, r)
                if view is None:
                    continue
                out["EYES"].append(eye_example(view, item))
                if faces:
                    erased = bool(r.random() < 0.3)
                    if erased:
                        erase_mouth(view, item)
                    if bands.random() < 0.35:
                        tie_band(view, item, bands)
                    out["MOUTH"].append(mouth_example(view, item, erased, r))
    return out


def fit(data: list[Example], names: tuple[str, ...], penalty: float) -> tuple[np.ndarray, float]:
    """(weights, score of none)"""
    everything = np.concatenate([example.features for example in data])
    mean, spread = everything.mean(0), everything.std(0) + 1e-6
    scaled = [((example.features - mean) / spread, example.error) for example in data]

    def loss(p: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = 0.0, np.zeros_like(p)
        for features, error in scaled:
            clear = (error < RIGHT) | (error > WRONG)
            true = error[clear] < RIGHT
            scores = np.append(features[clear] @ p[:-1], p[-1])
            chance = np.exp(scores - scores.max())
            chance /= chance.sum()
            wanted = np.append(true, not true.any())
            got = chance[wanted].sum() + 1e-12
            total -= np.log(got)
            step = chance - np.where(wanted, chance / got, 0)
            slope += np.append(step[:-1] @ features[clear], step[-1])
        regular = np.append(p[:-1], 0.0)
        return total / len(scaled) + penalty * float(regular @ regular), slope / len(scaled) + 2 * penalty * regular

    bounds = [(None, 0) if name in NEGATIVE else (0, None) for name in names] + [(None, None)]
    best = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = best[:-1] / spread
    return weights, float(best[-1] + weights @ mean)


def report(name: str, data: list[Example], weights: np.ndarray, none: float) -> str:
    """How often the first choice is right, and how often its chance says otherwise."""
    right, sure = [], []
    for example in data:
        scores = np.append(example.features @ weights, none)
        chance = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        best = int(np.argmax(chance[:-1])) if len(example.error) else -1
        right.append(best >= 0 and example.error[best] < 0.05)
        near = np.abs(example.places - example.places[best]).max(axis=1) < SAME_PLACE * HEIGHT if best >= 0 else []
        sure.append(float(chance[:-1][near].sum()) if best >= 0 else 0.0)
    good, certain = np.array(right), np.array(sure) >= 0.5
    wrong, timid = (~good & certain).sum(), (good & ~certain).sum()
    return f"{name}: right {good.mean():.0%}; wrong but sure {wrong}, right but not sure {timid} of {len(good)}"


def source(fitted: dict[str, tuple[np.ndarray, float]]) -> str:
    head = (Path(__file__).resolve().parents[1] / "backend/image/face_weights.py").read_text().split("\nEYES = ")[0]
    parts = [head]
    for (name, (weights, none)), names in zip(fitted.items(), (eyes.FEATURES, mouth.FEATURES), strict=True):
        rows = "".join(
            f'        "{feature}": {round(float(weight), 3)},\n' for feature, weight in zip(names, weights, strict=True)
        )
        parts.append(f"\n{name} = Scores(\n    {{\n{rows}    }},\n    none={round(none, 3)},\n)\n")
    return "".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--penalty", type=float, default=0.01)
    options = parser.parse_args()
    training, held_out = examples(1, (160, 30), 2), examples(2, (60, 15), 1)
    fitted = {}
    for name, names in (("EYES", eyes.FEATURES), ("MOUTH", mouth.FEATURES)):
        fitted[name] = fit(training[name], names, options.penalty)
        print(report(f"{name}, fitted", training[name], *fitted[name]))
        print(report(f"{name}, held out", held_out[name], *fitted[name]))
    text = source(fitted)
    print(text)
    if options.write:
        (Path(__file__).resolve().parents[1] / "backend/image/face_weights.py").write_text(text)


if __name__ == "__main__":
    main()
