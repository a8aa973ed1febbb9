# SPDX-License-Identifier: GPL-3.0-or-later
"""The expressions of an avatar: what the face step makes, VRM presets and the report checks.

Sources: VRMC_vrm-1.0, expressions (names, overrides); VRM 0.0, blendShapeMaster (presetName).
"""

from __future__ import annotations

from dataclasses import dataclass

VISEME, BLINK, EMOTION, LOOK = "viseme", "blink", "emotion", "look"


@dataclass(frozen=True)
class Preset:
    """An expression. A name that VRM 1.0 has no preset for is exported as a custom expression.

    group: VISEME, BLINK, EMOTION or LOOK. vrm0: the preset's name in VRM 0.x; "" where that has none, and viewers go
    by the group's name. override: how it overrides blinks, visemes and gaze of VRM 1.0 ("none", "block" or "blend").
    direction: of a LOOK, to the character's left and up. together: the shape keys that make it; () is its own.
    """

    name: str
    group: str
    vrm0: str = ""
    override: str = "none"
    direction: tuple[float, float] = (0.0, 0.0)
    together: tuple[str, ...] = ()

    @property
    def shape_keys(self) -> tuple[str, ...]:
        return self.together or (self.name,)


# An emotion that closes or widens the eyes, or moves the mouth, must not add to a blink or a viseme.
PRESETS = {
    preset.name: preset
    for preset in (
        Preset("aa", VISEME, "a"),
        Preset("ih", VISEME, "i"),
        Preset("ou", VISEME, "u"),
        Preset("ee", VISEME, "e"),
        Preset("oh", VISEME, "o"),
        Preset("blinkLeft", BLINK, "blink_l"),
        Preset("blinkRight", BLINK, "blink_r"),
        Preset("blink", BLINK, "blink", together=("blinkLeft", "blinkRight")),
        Preset("happy", EMOTION, "joy", "blend"),
        Preset("angry", EMOTION, "angry", "blend"),
        Preset("sad", EMOTION, "sorrow", "blend"),
        Preset("relaxed", EMOTION, "fun", "blend"),
        Preset("surprised", EMOTION, "", "blend"),
        Preset("lookUp", LOOK, "lookup", direction=(0.0, 1.0)),
        Preset("lookDown", LOOK, "lookdown", direction=(0.0, -1.0)),
        Preset("lookLeft", LOOK, "lookleft", direction=(1.0, 0.0)),
        Preset("lookRight", LOOK, "lookright", direction=(-1.0, 0.0)),
    )
}


def names(group: str) -> tuple[str, ...]:
    return tuple(preset.name for preset in PRESETS.values() if preset.group == group)


VISEMES, BLINKS, EMOTIONS, LOOKS = (names(group) for group in (VISEME, BLINK, EMOTION, LOOK))
SHAPE_KEYS = tuple(preset.name for preset in PRESETS.values() if not preset.together)  # what the face step makes
_OF_VRM0 = {preset.vrm0: preset.name for preset in PRESETS.values() if preset.vrm0}


def name_of_vrm0(preset_name: str, group_name: str) -> str:
    """The preset that a blend shape group of VRM 0.x is: by its presetName, else by its name; "" for neither."""
    return _OF_VRM0.get(preset_name) or (group_name if group_name in PRESETS else "")
