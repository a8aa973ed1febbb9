# SPDX-License-Identifier: GPL-3.0-or-later
"""Every threshold of the report card in one table, with its source, and what a check is for the reader."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"


@dataclass(frozen=True)
class Limit:
    """Figures up to `good` pass and up to `bad` warn; with `least`, figures from `good` on pass and from `bad`
    on warn.
    """

    good: float
    bad: float
    unit: str
    source: str
    least: bool = False

    def judge(self, value: float) -> str:
        """PASS, WARN or FAIL; what is no number fails."""
        if value != value:
            return FAIL
        if self.least:
            return PASS if value >= self.good else WARN if value >= self.bad else FAIL
        return PASS if value <= self.good else WARN if value <= self.bad else FAIL


LIMITS = {
    "t_pose": Limit(5, 15, "°", "VRM 1.0 humanoid: T-pose. Our limit is 5°; from 15° on, animations look bent"),
    "feet": Limit(0.01, 0.05, "m", "VRM 1.0: the model stands on the ground at the origin. Our limit is 1 cm"),
    "height": Limit(3.0, 5.0, "m", "metres (glTF 2.0, 3.4); characters are 0.5 to 3 m tall"),
    "height_least": Limit(0.5, 0.2, "m", "metres (glTF 2.0, 3.4); characters are 0.5 to 3 m tall", least=True),
    "weight_sum": Limit(1e-3, 1e-2, "", "glTF 2.0, 3.7.3.1: the weights of a vertex sum to 1"),
    "influences": Limit(
        4, 4, "", "glTF 2.0, 3.7.3.1: clients must support 4 joints a vertex, and need support no more"
    ),
    "size": Limit(12, 40, "MB", "house rule for a browser app behind a CDN"),
    "triangles": Limit(60_000, 150_000, "", "house rule; VRChat's 'poor' begins at 70,000"),
    "draw_calls": Limit(8, 24, "", "one a primitive; VRChat's 'good' allows 8 materials"),
    "texture_pixels": Limit(4096, 8192, "px", "largest texture of WebGL 2 on phones is 4096"),
    "morph_values": Limit(6e6, 3e7, "", "morph targets times vertices: memory on the graphics card of a phone"),
    "leak": Limit(0.01, 0.05, "", "share of another limb that moves 2 mm when one limb turns 60°; house rule 1 %"),
    "stray": Limit(0.002, 0.01, "", "share of a limb's skin that lies at another limb"),
    "follow": Limit(
        0.85,
        0.6,
        "",
        "share of a limb beyond its joint that follows it; below that the skin is torn off its bone",
        least=True,
    ),
    "stretch": Limit(0.002, 0.01, "", "share of triangles stretched over 4 times in the usual poses; house rule 0.2 %"),
    "seam": Limit(
        0.001, 0.005, "m", "gap that opens in a pose between vertices that coincide at rest: a visible crack"
    ),
    "viseme_amount": Limit(
        0.008, 0.003, "", "largest movement in heads; measured on hand-made avatars: 0.05 to 0.13", least=True
    ),
    "face_most": Limit(0.35, 0.6, "", "largest movement in heads; beyond it the face is torn"),
    "viseme_cosine": Limit(0.97, 0.985, "", "cosine of two visemes' displacements; at 1 they are the same"),
    "emotion_cosine": Limit(0.97, 0.985, "", "as for visemes"),
    "blink_amount": Limit(0.008, 0.003, "", "as for visemes", least=True),
    "other_eye": Limit(0.3, 0.3, "", "movement of the other eye in a wink, of the winking one's"),
    "emotion_amount": Limit(0.005, 0.002, "", "as for visemes", least=True),
    "look_amount": Limit(0.002, 0.0005, "", "the iris moves a few millimetres", least=True),
    "sync_amount": Limit(0.002, 0.0005, "", "as for the gaze", least=True),
    "other_side": Limit(0.25, 0.25, "", "share of a one-sided face shape that moves the other side of the head"),
    "flipped": Limit(0.001, 0.01, "", "share of the surface that a face shape turns over"),
    "spill": Limit(0.0, 0.02, "", "share of what an expression moves (over 2 mm) outside of the head"),
    "inward": Limit(0.05, 0.2, "", "share of what is seen from outside that shows its back; sound characters: to 0.05"),
    "webs": Limit(0.01, 0.03, "", "share of the skin that shrinks to a third when the arms go down; docs/report.md"),
    "arm_girth": Limit(0.28, 0.36, "", "median distance from the bones over the arm's length; docs/report.md"),
    "arm_stray": Limit(0.01, 0.025, "", "share of the skin that an arm holds far from its bones; docs/report.md"),
    "arm_gap": Limit(0.32, 0.45, "", "distance of an arm's bones from its skin over the arm's length; docs/report.md"),
    "scraps": Limit(0.0005, 0.005, "", "share of the skin that floats beside the rest; docs/report.md"),
    "beside": Limit(0.01, 0.025, "", "share of the skin that the body holds far beside it; docs/report.md"),
    "head_least": Limit(0.10, 0.07, "", "an adult's head is an eighth of the height", least=True),
    "head_most": Limit(0.60, 0.70, "", "sound chibis: up to 0.58 of the height"),
    "symmetry": Limit(0.07, 0.12, "", "in heights; foreshortened arms of sound avatars: to 0.06"),
    "thighs": Limit(0.45, 0.30, "", "thigh over shin; docs/report.md", least=True),
    "depth": Limit(0.30, 0.18, "", "depth over width; docs/report.md", least=True),
    "eyes_least": Limit(0.15, 0.08, "", "of the head from its joint; docs/report.md", least=True),
    "eyes_most": Limit(0.75, 0.9, "", "as above"),
    "face_symmetry": Limit(0.35, 0.7, "", "in distances of the eyes; docs/report.md"),
    "seen_joints": Limit(0.12, 0.2, "", "in heights, between a bone's head and where it is seen; docs/report.md"),
    "seen_parts": Limit(0.6, 0.4, "", "area that looks like a part and follows it; docs/report.md", least=True),
    "seen_eyes": Limit(0.06, 0.12, "", "in heights of the head; docs/report.md"),
    "seen_mouth": Limit(0.07, 0.12, "", "as above"),
    "slivers": Limit(0.02, 0.1, "", "share of triangles without area"),
}
HEAD_FOLLOWS = 0.5  # share of what lies above the head's joint that must turn with it


@dataclass(frozen=True)
class Check:
    """One line of the card. figure: the measured value, as text; meaning: what a viewer would see; fix: the step that
    fixes it.

    step is one of generate, rig, humanoid, pose, face, vrm, export: where the panel jumps to.
    """

    id: str
    title: str
    status: str
    figure: str
    meaning: str
    step: str
    fix: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def line(name: str, title: str, ok: bool | str, figure: str, meaning: str, step: str, fix: str) -> Check:
    """A check whose outcome is PASS, WARN or FAIL, or a plain yes or no."""
    return Check(name, title, ok if isinstance(ok, str) else PASS if ok else FAIL, figure, meaning, step, fix)


def worst(statuses: list[str]) -> str:
    return FAIL if FAIL in statuses else WARN if WARN in statuses else PASS
