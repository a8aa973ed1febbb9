# SPDX-License-Identifier: GPL-3.0-or-later
"""What bone names say, where they say something.

Schemes: VRM, Mixamo and Ready Player Me, VRoid, Unreal, Rigify, 3ds Max Biped, Character Creator, Daz, Cats,
MikuMikuDance in Japanese.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_PREFIX = re.compile(
    r"^(?:.*[:|]|def[-_ ]|org[-_ ]|j_(?:bip|adj|sec)_|cc_base_|valvebiped\.|bip\d*["
    r" _]|bip\d*$|mixamorig\d*_?|armature_|jnt_|jt_|sk_|b_)+",
    re.I,
)
_SIDES = {
    "l": "left",
    "left": "left",
    "lft": "left",
    "r": "right",
    "right": "right",
    "rgt": "right",
    "左": "left",
    "右": "right",
}
_FINGERS = {
    "thumb": "Thumb", "index": "Index", "pointer": "Index", "middle": "Middle", "mid": "Middle", "ring": "Ring",
    "little": "Little",
    "pinky": "Little", "pinkie": "Little", "親指": "Thumb", "人指": "Index", "人差指": "Index", "人差し指": "Index",
    "中指": "Middle",
    "薬指": "Ring", "小指": "Little",
}  # fmt: skip
_ROLES = {
    "hips": "hips hip pelvis 腰",
    "spine": "spine waist abdomen abdomenlower 上半身 spinelower",
    "chest": "chest ribcage thorax 上半身2 spinemiddle",
    "upperChest": "upperchest chestupper 上半身3 spineupper",
    "neck": "neck neck1 necklower 首",
    "head": "head 頭",
    "jaw": "jaw あご 顎",
    "Eye": "eye eyeball faceeye eyebone 目",
    "Shoulder": "shoulder clavicle collar collarbone clav 肩",
    "UpperArm": "upperarm uparm shldr shldrbend shoulderbend 腕",
    "LowerArm": "lowerarm forearm elbow forearmbend foarm lowarm ひじ 肘",
    "Hand": "hand wrist palm fist 手首",
    "UpperLeg": "upperleg upleg thigh thighbend 足",
    "LowerLeg": "lowerleg calf shin knee lowleg ひざ 膝",
    "Foot": "foot ankle 足首",
    "Toes": "toes toe toebase ball toe0 つま先",
}
_WORDS = {word: role for role, words in _ROLES.items() for word in words.split()}
_KINDS = (
    ("control", r"(?:^|[^a-z])ik(?:$|[^a-z])|(?-i:IK(?![a-z]))|pole|ctrl|control"),
    ("twist", r"twist|roll|捩|捻"),
    ("hair", r"hair|bang|pony|tail_?hair|ahoge|髪|ツインテ|もみあげ"),
    (
        "face",
        r"nose|(?:^|[^a-z])(?:lip|lid|eyelid)s?(?:$|[^a-z])|chin|brow|forehead|temple|cheek|teeth|tooth|tongue|舌|眉",
    ),
    ("skirt", r"skirt|dress|robe|cloth|coat|スカート|裾"),
    ("wing", r"wing|feather|翼|羽"),
    ("tail", r"tail|しっぽ|尻尾"),
    ("bust", r"breast|bust|boob|pec(?:$|[^a-z])|胸|乳"),
    ("ear", r"(?:^|[^a-z])ear(?:$|[^a-z])|耳"),
    ("sleeve", r"sleeve|袖"),
    ("prop", r"weapon|prop(?:$|[^a-z])|sword|shield|gun|武器"),
    ("end", r"(?:_end|nub|_tip|\.tip|先)(?:$|[^a-z])"),
)


@dataclass(frozen=True)
class Name:
    """What one name says. role: a VRM bone without its side ("UpperArm", "IndexProximal", "hips"), or ""; side: left,
    right or "";

    kind: what the bone is besides a humanoid's ("twist", "hair", ...), or "".
    """

    role: str = ""
    side: str = ""
    kind: str = ""

    @property
    def bone(self) -> str:
        """The VRM bone, where side and role together name one."""
        if not self.role or self.kind:
            return ""
        sided = self.role[0].isupper()
        return "" if sided != bool(self.side) else self.side + self.role


def read_name(name: str) -> Name:
    """What a single name says; `read_names` also settles words that depend on the others."""
    text = unicodedata.normalize("NFKC", name).strip()
    kind = next((kind for kind, pattern in _KINDS if re.search(pattern, text, re.I)), "")
    text = _PREFIX.sub("", text)
    tokens = re.findall(r"左|右|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z左右]+\d*", text)
    side = ""
    words: list[str] = []
    for place, token in enumerate(tokens):
        low = token.lower()
        if (
            not side
            and low in _SIDES
            and (len(low) > 1 or low in "左右" or place in (0, len(tokens) - 1) or len(tokens) > 1)
        ):
            side = _SIDES[low]
        elif low not in ("c", "bone", "joint", "jnt", "def", "bind"):
            words.append(low)
    return Name(_role(words), side, kind)


def _role(words: list[str]) -> str:
    text = "".join(words)
    finger = re.fullmatch(
        r"(?:f|hand)?(thumb|index|pointer|middle|mid|ring|little|pinky|pinkie|[親人中薬小]差?し?指)(?:finger)?(.*)",
        text,
    )
    if finger:
        return _phalanx(_FINGERS[finger[1]], finger[2])
    biped = re.fullmatch(r"finger(\d)(\d?)", text)
    if biped and int(biped[1]) < 5:
        name = ("Thumb", "Index", "Middle", "Ring", "Little")[int(biped[1])]
        return name + _phalanges(name)[min(int(biped[2] or 0), 2)]
    if text in _WORDS:
        return _WORDS[text]
    stem = re.sub(r"\d+$", "", text)
    if re.fullmatch(r"spine\d+", text) or stem in ("abdomenupper",):
        return "torso"
    if stem in ("arm", "leg"):
        return stem
    if stem in _WORDS and stem not in ("腕", "足", "目", "palm", "fist") and re.fullmatch(r"0*[01]", text[len(stem) :]):
        return _WORDS[stem]
    return ""


def _phalanges(finger: str) -> tuple[str, str, str]:
    return ("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else ("Proximal", "Intermediate", "Distal")


def _phalanx(finger: str, rest: str) -> str:
    for word in ("metacarpal", "proximal", "intermediate", "distal"):
        if rest == word:
            if finger == "Thumb" and word == "intermediate":
                return ""  # VRM 0.x: settled by geometry
            return "" if finger != "Thumb" and word == "metacarpal" else finger + word.capitalize()
    # The numbers of a finger's joints start at 0 in MMD's thumbs and at 1 elsewhere: `read_names` looks at all of them.
    return f"{finger}#{rest}" if not rest or (rest.isdigit() and int(rest) < 10) else ""


def read_names(names: Sequence[str]) -> list[Name]:
    """What the names of a whole skeleton say, where words mean different bones in different schemes settled by the
    others'.
    """
    read = [read_name(name) for name in names]
    roles = {name.role for name in read if not name.kind}
    settled = {"arm": "UpperArm", "leg": "LowerLeg" if "UpperLeg" in roles else "UpperLeg"}
    numbers: dict[str, list[int]] = {}
    for name in read:
        finger, _, number = name.role.partition("#")
        if number:
            numbers.setdefault(name.side + finger, []).append(int(number))
    plain = {side: {name.role for name in read if name.side == side} for side in ("left", "right", "")}
    out = []
    for name in read:
        role = settled.get(name.role, name.role)
        finger, counted, number = role.partition("#")
        if counted:
            role = _counted(finger, number, numbers.get(name.side + finger, []), f"{finger}#" in plain[name.side])
        out.append(Name(role, name.side, name.kind))
    return out


def _counted(finger: str, number: str, numbers: Sequence[int], plain: bool) -> str:
    """The role of a finger's joint that is counted. numbers: of all its joints; plain: one has no number, as the first
    of Thumb and Thumb2. Beside three with numbers it is no joint but what carries them.
    """
    if plain and len(numbers) >= 3:
        plain = False
        if not number:
            return ""
    step = int(number) - min(numbers) + plain if number else 0
    return finger + _phalanges(finger)[step] if step < 3 else ""


def named_bones(read: Sequence[Name]) -> dict[str, int]:
    """VRM bone -> index, of the bones that exactly one name means."""
    found: dict[str, list[int]] = {}
    for bone, name in enumerate(read):
        if name.bone:
            found.setdefault(name.bone, []).append(bone)
    return {name: bones[0] for name, bones in found.items() if len(bones) == 1 and not name.startswith("torso")}
