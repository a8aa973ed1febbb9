# SPDX-License-Identifier: GPL-3.0-or-later
"""Which existing shape keys are which VRM expression: our own and VRM's names, VRoid, VRChat, ARKit, MMD (Japanese
and English). Pure.

Sources: Apple's ARFaceAnchor.BlendShapeLocation; VRChat's avatar documentation (visemes after Oculus Lipsync); the
usual morph names of MikuMikuDance models; VRoid Studio's exported names. A preset that a convention has no key for is
put together from several, with weights.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .presets import PRESETS, VISEMES

Bind = tuple[str, float]  # shape key, weight

# convention -> preset -> keys with weights; of several alternatives the first that the mesh has complete.
TABLES: dict[str, dict[str, list[list[Bind]]]] = {
    "VRM": {name: [[(name, 1.0)]] for name in PRESETS},
    "VRM 0.x": {preset.name: [[(preset.vrm0 or preset.name, 1.0)]] for preset in PRESETS.values()},
    "VRChat": {
        "aa": [[("vrc.v_aa", 1.0)]], "ih": [[("vrc.v_ih", 1.0)]], "ou": [[("vrc.v_ou", 1.0)]],
        "oh": [[("vrc.v_oh", 1.0)]],
        "ee": [[("vrc.v_e", 1.0)], [("vrc.v_ee", 1.0)]],
        "blink": [[("vrc.blink", 1.0)], [("vrc.blink_left", 1.0), ("vrc.blink_right", 1.0)]],
        "blinkLeft": [[("vrc.blink_left", 1.0)]], "blinkRight": [[("vrc.blink_right", 1.0)]],
    },
    "ARKit": {
        "aa": [[("jawOpen", 0.7)]],
        "ih": [[("jawOpen", 0.2), ("mouthStretchLeft", 0.6), ("mouthStretchRight", 0.6)]],
        "ou": [[("mouthPucker", 0.8), ("jawOpen", 0.15)]],
        "ee": [[("jawOpen", 0.25), ("mouthSmileLeft", 0.4), ("mouthSmileRight", 0.4)]],
        "oh": [[("mouthFunnel", 0.7), ("jawOpen", 0.35)]],
        "blink": [[("eyeBlinkLeft", 1.0), ("eyeBlinkRight", 1.0)]],
        "blinkLeft": [[("eyeBlinkLeft", 1.0)]], "blinkRight": [[("eyeBlinkRight", 1.0)]],
        "happy": [[("mouthSmileLeft", 0.8), ("mouthSmileRight", 0.8),
                   ("cheekSquintLeft", 0.5), ("cheekSquintRight", 0.5)],
                  [("mouthSmileLeft", 0.8), ("mouthSmileRight", 0.8)]],
        "angry": [[("browDownLeft", 1.0), ("browDownRight", 1.0), ("mouthFrownLeft", 0.4), ("mouthFrownRight", 0.4)],
                  [("browDownLeft", 1.0), ("browDownRight", 1.0)]],
        "sad": [[("browInnerUp", 0.8), ("mouthFrownLeft", 0.7), ("mouthFrownRight", 0.7)],
                [("mouthFrownLeft", 0.7), ("mouthFrownRight", 0.7)]],
        "relaxed": [[("mouthSmileLeft", 0.4), ("mouthSmileRight", 0.4)]],
        "surprised": [[("eyeWideLeft", 0.8), ("eyeWideRight", 0.8), ("browInnerUp", 0.8), ("jawOpen", 0.3)],
                      [("eyeWideLeft", 0.8), ("eyeWideRight", 0.8)]],
        "lookUp": [[("eyeLookUpLeft", 1.0), ("eyeLookUpRight", 1.0)]],
        "lookDown": [[("eyeLookDownLeft", 1.0), ("eyeLookDownRight", 1.0)]],
        "lookLeft": [[("eyeLookOutLeft", 1.0), ("eyeLookInRight", 1.0)]],
        "lookRight": [[("eyeLookInLeft", 1.0), ("eyeLookOutRight", 1.0)]],
    },
    "MMD": {
        "aa": [[("あ", 1.0)]], "ih": [[("い", 1.0)]], "ou": [[("う", 1.0)]], "ee": [[("え", 1.0)]],
        "oh": [[("お", 1.0)]],
        "blink": [
            [("まばたき", 1.0)], [("ウィンク2", 1.0), ("ウィンク2右", 1.0)], [("ウィンク", 1.0), ("ウィンク右", 1.0)],
        ],
        "blinkLeft": [[("ウィンク2", 1.0)], [("ウィンク", 1.0)]],
        "blinkRight": [[("ウィンク2右", 1.0)], [("ウィンク右", 1.0)]],
        "happy": [[("笑い", 1.0), ("にこり", 1.0)], [("笑い", 1.0)], [("にこり", 1.0)]],
        "angry": [[("怒り", 1.0)]], "sad": [[("困る", 1.0)], [("悲しい", 1.0)]],
        "relaxed": [[("なごみ", 1.0)]], "surprised": [[("びっくり", 1.0)]],
    },
    "VRoid": {
        **{
            preset: [[(f"Fcl_MTH_{letter}", 1.0)]]
            for letter, preset in zip("AIUEO", VISEMES, strict=True)
        },
        "blink": [[("Fcl_EYE_Close", 1.0)]], "blinkLeft": [[("Fcl_EYE_Close_L", 1.0)]],
        "blinkRight": [[("Fcl_EYE_Close_R", 1.0)]],
        "happy": [[("Fcl_ALL_Joy", 1.0)]], "angry": [[("Fcl_ALL_Angry", 1.0)]], "sad": [[("Fcl_ALL_Sorrow", 1.0)]],
        "relaxed": [[("Fcl_ALL_Fun", 1.0)]], "surprised": [[("Fcl_ALL_Surprised", 1.0)]],
    },
}  # fmt: skip
LEAST = 3  # presets by which a convention of short names ("a", "i") is believed
PREFIXES = ("blendshape.", "face.m_f00_000_00_", "morph_", "exp_")


@dataclass(frozen=True)
class Recognised:
    """binds: preset -> shape keys with weights; conventions: whose names they are, most first."""

    binds: dict[str, list[Bind]]
    conventions: tuple[str, ...]


def recognise(keys: Iterable[str]) -> Recognised:
    """The presets that these shape keys can show. A preset of several conventions takes the one that knows most of
    the keys.
    """
    known: dict[str, str] = {}
    for key in keys:
        known.setdefault(plain(key), key)
    found = {convention: _binds(table, known) for convention, table in TABLES.items()}
    if len(found["VRM 0.x"]) < LEAST:
        found["VRM 0.x"] = {}
    order = sorted((name for name in found if found[name]), key=lambda name: (name != "VRM", -len(found[name])))
    binds: dict[str, list[Bind]] = {}
    used = []
    for convention in order:
        new = {preset: bind for preset, bind in found[convention].items() if preset not in binds}
        if new:
            used.append(convention)
            binds |= new
    for preset in PRESETS.values():
        if preset.together and preset.name not in binds and set(preset.together) <= set(binds):
            binds[preset.name] = [bind for part in preset.together for bind in binds[part]]
    return Recognised({name: binds[name] for name in PRESETS if name in binds}, tuple(used))


def _binds(table: dict[str, list[list[Bind]]], known: dict[str, str]) -> dict[str, list[Bind]]:
    out = {}
    for preset, alternatives in table.items():
        for alternative in alternatives:
            if all(plain(key) in known for key, _ in alternative):
                out[preset] = [(known[plain(key)], weight) for key, weight in alternative]
                break
    return out


def plain(key: str) -> str:
    """A name as it is compared: full width as half width, without case, prefix, blanks, dashes, and `_L` for Left."""
    name = unicodedata.normalize("NFKC", key).strip().lower()
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    for short, side in (("_l", "left"), ("_r", "right"), (".l", "left"), (".r", "right")):
        if name.endswith(short) and len(name) > len(short) + 1:
            name = name[: -len(short)] + side
    return "".join(letter for letter in name if letter not in " -_")


def describe(binds: Collection[str], conventions: Iterable[str]) -> str:
    """One sentence for the user. binds: the presets that are bound."""
    if not binds:
        return "No shape key has a name that is known; make the face, or bind the expressions in the VRM panel."
    missing = [name for name in PRESETS if name not in binds]
    text = f"Bound {len(binds)} of {len(PRESETS)} expressions ({', '.join(conventions)})"
    return f"{text}; nothing for {', '.join(missing)}." if missing else f"{text}."
