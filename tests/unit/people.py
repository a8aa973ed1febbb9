"""Capsule people drawn by code: pictures with known joints, for the tests that read pictures."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SMOOTH = 2  # drawn larger by this and reduced


@dataclass(frozen=True)
class Person:
    """Lengths are parts of the height. arm: degrees below horizontal; yaw: degrees the body is turned."""

    height: int = 700
    head: float = 0.15
    arm: float = 40.0
    arm_width: float = 0.045
    legs: float = 0.47
    stance: float = 0.09
    yaw: float = 0.0
    skirt: bool = False
    cape: bool = False
    face: bool = True
    colours: tuple = ("#e8b48c", "#3b6ea8", "#5a3a2a")  # skin, clothes, shoes and hair


ADULT = Person()
CHIBI = Person(head=0.42, legs=0.24, arm_width=0.06, stance=0.10)
SKIRT = Person(skirt=True)
CAPE = Person(cape=True)
TURNED = Person(yaw=25.0)
T_POSE = Person(arm=0.0)


def joints_of(person: Person, x: float, top: float) -> dict[str, tuple[float, float]]:
    """The 15 marker joints and headTop of a person whose head's top is at (x, top), pixels; left is on the right of
    the picture.
    """
    h, narrow = person.height, np.cos(np.radians(person.yaw))
    neck = person.head * h
    body = h - neck
    shoulder = neck + 0.08 * body
    reach = 0.18 * body / 0.8 * (1 if person.head < 0.3 else 0.9)
    down, out = np.sin(np.radians(person.arm)), np.cos(np.radians(person.arm))
    hip_y = h - person.legs * h
    points = {
        "hips": (0.0, hip_y - 0.03 * body),
        "neck": (0.0, neck + 0.05 * body),
        "head": (0.0, neck + 0.005 * body),
        "headTop": (0.0, 0.0),
    }
    for side, sign in (("left", 1.0), ("right", -1.0)):
        start = np.array([sign * 0.095 * h * narrow, shoulder])
        step = np.array([sign * out * reach * narrow, down * reach])
        points |= {side + "UpperArm": start, side + "LowerArm": start + step, side + "Hand": start + 2 * step}
        foot = np.array([sign * person.stance * h * narrow, h - 0.07 * body])
        hip = np.array([sign * 0.06 * h * narrow, hip_y])
        points |= {side + "UpperLeg": hip, side + "LowerLeg": (hip + foot) / 2, side + "Foot": foot}
    return {name: (float(x + px), float(top + py)) for name, (px, py) in points.items()}


def face_of(person: Person, joints: dict) -> dict[str, tuple[float, float]]:
    x, top = joints["headTop"]
    size = person.head * person.height
    x += 0.25 * size * np.sin(np.radians(person.yaw))
    apart = 0.16 * size
    return {
        "leftEye": (x + apart, top + 0.58 * size),
        "rightEye": (x - apart, top + 0.58 * size),
        "mouth": (x, top + 0.79 * size),
    }


def paint(pen: ImageDraw.ImageDraw, person: Person, joints: dict) -> None:
    """Draws the person; `pen` draws SMOOTH times as large as the joints say."""
    h, (skin, cloth, dark) = person.height, person.colours

    def at(point) -> np.ndarray:
        return np.array(point, float) * SMOOTH

    def limb(a, b, width, colour) -> None:
        a, b, r = at(a), at(b), width * h * SMOOTH / 2
        pen.line([*a, *b], fill=colour, width=round(2 * r))
        for x, y in (a, b):
            pen.ellipse([x - r, y - r, x + r, y + r], fill=colour)

    def polygon(points, colour) -> None:
        pen.polygon([tuple(at(point)) for point in points], fill=colour)

    narrow = np.cos(np.radians(person.yaw))
    (x, top), (_, hips) = joints["headTop"], joints["hips"]
    neck, bottom, wide = top + person.head * h, top + h, 0.1 * h * narrow
    if person.cape:
        polygon(
            [
                (x - wide, neck + 0.05 * h),
                (x + wide, neck + 0.05 * h),
                (x + 2 * wide, bottom - 0.08 * h),
                (x - 2 * wide, bottom - 0.08 * h),
            ],
            "#8a2030",
        )
    for side, sign in (("left", 1), ("right", -1)):
        hip, knee, foot = (joints[side + part] for part in ("UpperLeg", "LowerLeg", "Foot"))
        limb(hip, knee, 0.10, cloth)
        limb(knee, foot, 0.075, skin if person.skirt else cloth)
        limb((foot[0], bottom - 0.0325 * h), (foot[0] + sign * 0.02 * h, bottom - 0.0325 * h), 0.065, dark)
        arm, elbow, hand = (joints[side + part] for part in ("UpperArm", "LowerArm", "Hand"))
        tip = np.array(hand) + 0.45 * (np.array(hand) - np.array(elbow))
        limb(arm, elbow, 1.1 * person.arm_width, cloth)
        limb(elbow, hand, person.arm_width, cloth)
        limb(hand, tip, 1.1 * person.arm_width, skin)
    limb((x, neck - 0.02 * h), (x, neck + 0.05 * h), 0.07, skin)
    shoulder = joints["leftUpperArm"][1]
    polygon(
        [
            (x - wide, shoulder - 0.02 * h),
            (x + wide, shoulder - 0.02 * h),
            (x + 0.95 * wide, hips + 0.06 * h),
            (x - 0.95 * wide, hips + 0.06 * h),
        ],
        cloth,
    )
    if person.skirt:
        hem = hips + 0.55 * (bottom - hips)
        polygon(
            [
                (x - 0.8 * wide, hips - 0.05 * h),
                (x + 0.8 * wide, hips - 0.05 * h),
                (x + 2 * wide, hem),
                (x - 2 * wide, hem),
            ],
            cloth,
        )
    radius, chin = (neck - top) / 2, neck - 0.015 * h
    broad = radius * (0.82 if person.head < 0.3 else 1.0)
    x0, y0, x1, y1 = *at((x - broad, top)), *at((x + broad, chin))
    pen.ellipse([x0, y0, x1, y1], fill=skin)
    pen.chord([x0, y0, x1, y1], 200, 340, fill=dark)
    if person.face:
        paint_face(pen, person, joints)


def paint_face(pen: ImageDraw.ImageDraw, person: Person, joints: dict) -> None:
    size = person.head * person.height * SMOOTH
    for name, (x, y) in face_of(person, joints).items():
        x, y = x * SMOOTH, y * SMOOTH
        if name == "mouth":
            pen.line([x - 0.1 * size, y, x + 0.1 * size, y], fill="#7a2c30", width=max(2, round(0.025 * size)))
            continue
        w, h = 0.075 * size, 0.06 * size
        pen.ellipse([x - w, y - h, x + w, y + h], fill="#ffffff", outline="#201a1a", width=max(1, round(0.012 * size)))
        pen.ellipse([x - 0.045 * size, y - 0.05 * size, x + 0.045 * size, y + 0.05 * size], fill="#2a3a20")


def picture(
    *people: Person, size: tuple[int, int] = (900, 800), places: tuple | None = None, background=None
) -> tuple[Image.Image, list[dict]]:
    """(picture, joints of each person). RGBA where `background` is None, else RGB on that colour or on that (H, W, 3)
    array.

    places: (x, top) of each person's head; by default they stand side by side in the middle.
    """
    width, height = size
    canvas = Image.new("RGBA", (width * SMOOTH, height * SMOOTH))
    pen = ImageDraw.Draw(canvas)
    found = []
    for index, person in enumerate(people):
        x, top = places[index] if places else ((index + 1) * width / (len(people) + 1), (height - person.height) / 2)
        found.append(joints_of(person, x, top))
        paint(pen, person, found[-1])
    image = canvas.resize(size, Image.Resampling.BOX)
    if background is None:
        return image, found
    behind = Image.new("RGB", size, background) if isinstance(background, str) else Image.fromarray(background)
    behind.paste(image, mask=image.getchannel("A"))
    return behind, found


def busy(size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8: large blots of all colours."""
    coarse = np.random.default_rng(3).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
