# SPDX-License-Identifier: GPL-3.0-or-later
"""The expressions that VRM presets."""

from __future__ import annotations

VISEMES = ("aa", "ih", "ou", "ee", "oh")
EMOTIONS = ("happy", "angry", "sad", "relaxed", "surprised")
BLINKS = ("blinkLeft", "blinkRight")
LOOKS = ("lookUp", "lookDown", "lookLeft", "lookRight")
SHAPE_KEYS = (*VISEMES, *BLINKS, *EMOTIONS, *LOOKS)
PRESETS: dict[str, tuple[str, ...]] = {**{name: (name,) for name in SHAPE_KEYS}, "blink": BLINKS}
IN_VRM0 = {
    "aa": "a", "ih": "i", "ou": "u", "ee": "e", "oh": "o",
    "blink": "blink", "blinkLeft": "blink_l", "blinkRight": "blink_r",
    "happy": "joy", "angry": "angry", "sad": "sorrow", "relaxed": "fun",
    "lookUp": "lookup", "lookDown": "lookdown", "lookLeft": "lookleft", "lookRight": "lookright",
}  # fmt: skip
# An emotion that closes or widens the eyes, or moves the mouth, must not add to a blink or a viseme.
OVERRIDES = {"happy": "blend", "angry": "blend", "sad": "blend", "relaxed": "blend", "surprised": "blend"}
