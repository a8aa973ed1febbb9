# SPDX-License-Identifier: GPL-3.0-or-later
"""A sentence to lip shapes by rule: English spelling and Japanese kana to visemes, timed by syllable. Pure.

English is read by its spelling (digraphs, the silent e, soft c and g), which is right often enough for lips; it is no
pronouncing dictionary. Japanese kana name their vowels; each is one mora. Kanji have no reading here: each is spoken
as two moras of open mouth. Durations are those of calm speech: about five syllables, or seven moras, a second.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..vrm.spec.presets import VISEMES

SHUT, PAUSE = "shut", "pause"  # lips pressed together; nothing is said
VOWEL, LONG, CONSONANT, PRESSED, MORA = 0.15, 0.2, 0.055, 0.075, 0.14  # seconds
PAUSES = {
    ",": 0.25,
    ";": 0.3,
    ":": 0.3,
    ".": 0.5,
    "!": 0.5,
    "?": 0.5,
    "、": 0.25,
    "。": 0.5,
    "！": 0.5,
    "？": 0.5,
    "…": 0.6,
    "\n": 0.5,
}
WORD_GAP = 0.03
AMOUNT = {"aa": 0.9, "ih": 0.8, "ou": 0.85, "ee": 0.8, "oh": 0.85}
MOST = 2000  # letters that are spoken

# The longest that fits comes first. A value is visemes in turn; "" is silent.
VOWELS = {
    "eigh": "ee ih", "augh": "oh", "ough": "oh", "igh": "aa ih", "eau": "oh", "oor": "oh", "our": "oh", "air": "ee",
    "ear": "ih", "eer": "ih",
    "ai": "ee ih", "ay": "ee ih", "ea": "ih", "ee": "ih", "ei": "ih", "ey": "ih", "ie": "ih", "oa": "oh", "oo": "ou",
    "ou": "aa ou",
    "ow": "oh ou", "oi": "oh ih", "oy": "oh ih", "au": "oh", "aw": "oh", "ew": "ou", "ue": "ou", "ui": "ou", "eu": "ou",
    "ar": "aa", "er": "ee", "ir": "ee", "or": "oh", "ur": "ee", "al": "oh", "a": "aa", "e": "ee", "i": "ih",
    "o": "oh", "u": "aa",
    "y": "ih",
}  # fmt: skip
MAGIC_E = {
    "a": "ee ih",
    "e": "ih",
    "i": "aa ih",
    "o": "oh ou",
    "u": "ou",
    "y": "aa ih",
}  # cake, theme, time, home, cute, type
WORDS = {
    "the": "ee", "a": "aa", "i": "aa ih", "you": "ou", "to": "ou", "do": "ou", "who": "ou", "two": "ou",
    "one": "shut aa", "of": "oh shut",
    "are": "aa", "was": "ou oh", "what": "ou oh", "they": "ee ih", "me": "shut ih", "be": "shut ih", "he": "ih",
    "she": "ou ih",
    "we": "ou ih",
    "my": "shut aa ih", "by": "shut aa ih", "hello": "ee oh ou", "have": "aa shut", "some": "aa shut",
    "come": "aa shut", "love": "aa shut",
    "there": "ee", "where": "ou ee", "were": "ou ee", "people": "shut ih shut oh", "your": "oh", "four": "shut oh",
    "eye": "aa ih",
    "know": "oh ou", "no": "oh ou", "go": "oh ou", "so": "oh ou", "now": "aa ou", "how": "aa ou", "said": "ee",
    "again": "aa ee",
}  # fmt: skip
PRESSES = {"m", "b", "p", "f", "v", "mm", "bb", "pp", "ff", "ph"}
ROUNDED = {"w": "ou", "wh": "ou", "qu": "ou", "sh": "ou", "ch": "ou", "j": "ou"}  # consonants that purse the lips
CLUSTERS = (
    "sch",
    "tch",
    "ngh",
    "ck",
    "gh",
    "kn",
    "wr",
    "mb",
    "th",
    "ng",
    "ll",
    "ss",
    "tt",
    "nn",
    "rr",
    "dd",
    "gg",
    "cc",
    "zz",
    "ps",
)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

KANA_VOWELS = {
    "aa": "あかさたなはまやらわがざだばぱぁゃゎ", "ih": "いきしちにひみりぎじぢびぴぃゐ",
    "ou": "うくすつぬふむゆるぐずづぶぷぅゅゔ",
    "ee": "えけせてねへめれげぜでべぺぇゑ", "oh": "おこそとのほもよろをごぞどぼぽぉょ",
}  # fmt: skip
KANA = {letter: viseme for viseme, letters in KANA_VOWELS.items() for letter in letters}
SMALL = set("ぁぃぅぇぉゃゅょゎ")
KANA_PRESSED = set("まみむめもばびぶべぼぱぴぷぺぽ")


@dataclass(frozen=True)
class Cue:
    """A shape of the lips and how long it is held, in seconds. viseme: one of VISEMES, SHUT or PAUSE."""

    viseme: str
    seconds: float


def cues(text: str) -> list[Cue]:
    """The lip shapes of a text in turn; letters of other scripts and signs are passed over. Empty where there is
    nothing to say.
    """
    out: list[Cue] = []
    word = ""
    folded = [
        _hiragana(letter) for letter in unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text[:MOST]).lower())
    ]
    for letter in [*folded, " "]:
        letter = (
            "".join(part for part in unicodedata.normalize("NFD", letter) if not unicodedata.combining(part))
            if letter < "\u0250"
            else letter
        )
        if "a" <= letter <= "z" or (letter in "'’" and word):
            word += letter
            continue
        if word:
            out += _english(word.replace("'", "").replace("’", ""))
            word = ""
        if letter in PAUSES:
            out.append(Cue(PAUSE, PAUSES[letter]))
        elif letter.isspace() and out and out[-1].viseme != PAUSE:
            out.append(Cue(PAUSE, WORD_GAP))
        elif letter.isdecimal():
            out += _english(DIGITS[int(letter)])
        else:
            _add_kana(out, letter)
    while out and out[-1].viseme == PAUSE:
        out.pop()
    return out if any(cue.viseme in VISEMES for cue in out) else []


def _hiragana(letter: str) -> str:
    return chr(ord(letter) - 0x60) if "ァ" <= letter <= "ヶ" else letter


def _add_kana(out: list[Cue], letter: str) -> None:
    spoken = out and out[-1].viseme in VISEMES
    if letter in SMALL and spoken:  # きゃ is one mora, with the small one's vowel
        out[-1] = Cue(KANA[letter], out[-1].seconds)
    elif letter in KANA:
        if letter in KANA_PRESSED:
            out.append(Cue(SHUT, PRESSED))
        out.append(Cue(KANA[letter], MORA - PRESSED / 2 if letter in KANA_PRESSED else MORA))
    elif letter in "ー〜" and spoken:
        out[-1] = Cue(out[-1].viseme, out[-1].seconds + MORA)
    elif letter in "っん":
        out.append(Cue(SHUT, 0.6 * MORA))
    elif "\u4e00" <= letter <= "\u9fff":
        out += [Cue("aa", MORA), Cue("ih", MORA)]


def _english(word: str) -> list[Cue]:
    if word in WORDS:
        return [Cue(name, PRESSED if name == SHUT else VOWEL) for name in WORDS[word].split()]
    if not any(letter in "aeiouy" for letter in word):  # an abbreviation: its letters' names, each a syllable
        return [
            cue
            for letter in word[:12]
            for cue in ([Cue(SHUT, PRESSED)] if letter in PRESSES else []) + [Cue("ih", VOWEL)]
        ]
    out: list[Cue] = []
    at = 0
    while at < len(word):
        part, shapes, seconds = _next_sound(word, at)
        out += [Cue(shape, seconds) for shape in shapes]
        at += len(part)
    return out


def _next_sound(word: str, at: int) -> tuple[str, list[str], float]:
    """The letters of the next sound, its shapes, and the seconds of each."""
    rest = word[at:]
    if rest[0] == "y" and at == 0 and len(word) > 1:
        return "y", ["ih"], CONSONANT
    if rest[0] in "aeiouy":
        if rest in ("e", "es", "ed") and at > 1 and any(letter in "aeiouy" for letter in word[:at]):
            return rest, [], 0.0  # silent at the end
        if (
            len(rest) in (3, 4)
            and rest[0] in MAGIC_E
            and rest[1] not in "aeiouywrx"
            and rest[2] == "e"
            and rest[3:] in ("", "s", "d")
        ):
            return rest[0], MAGIC_E[rest[0]].split(), LONG / 2 if " " in MAGIC_E[rest[0]] else LONG
        part = next(part for part in sorted(VOWELS, key=len, reverse=True) if rest.startswith(part))
        if part == "al" and rest[2:3] not in ("l", "k"):  # ball, walk; not alarm
            part = "a"
        if part == "y" and at > 0 and len(word) <= 3:
            return "y", ["aa", "ih"], VOWEL / 2  # fly, try
        shapes = VOWELS[part].split()
        return part, shapes, LONG / 2 if len(shapes) > 1 else (LONG if len(part) > 1 else VOWEL)
    if rest.startswith(("gh", "kn", "wr")) and (at > 0 or rest[0] != "g"):
        return rest[:2], [], 0.0
    part = next(
        (part for size in (3, 2, 1) if (part := rest[:size]) in PRESSES or part in ROUNDED or part in CLUSTERS), rest[0]
    )
    if part in PRESSES:
        return part, [SHUT], PRESSED
    if part in ROUNDED:
        return part, [ROUNDED[part]], CONSONANT
    # Other consonants are the way to the next vowel: nearly closed, teeth together.
    return part, ["ih"] if len(part) > 1 or part in "szcxt" else [], CONSONANT


Points = list[tuple[float, float]]
Keys = dict[str, Points]


def track(spoken: Sequence[Cue], start: float = 0.0) -> Keys:
    """viseme -> (seconds, weight) keys: each shape is full in its middle, and the next one comes in as it goes."""
    times = [start]
    for cue in spoken:
        times.append(times[-1] + cue.seconds)
    middles = [(a + b) / 2 for a, b in zip(times, times[1:], strict=False)]
    keys: Keys = {name: [(max(start - 0.08, 0.0), 0.0)] for name in VISEMES}
    for k, (cue, middle) in enumerate(zip(spoken, middles, strict=False)):
        short = cue.seconds < VOWEL / 2
        for name in VISEMES:
            weight = AMOUNT[name] * (0.35 if short else 1.0) if cue.viseme == name else 0.0
            if cue.viseme == PAUSE and cue.seconds > 0.15:  # closed during the pause, not only in its middle
                keys[name] += [(times[k] + 0.06, 0.0), (times[k + 1] - 0.06, 0.0)]
            elif cue.viseme != PAUSE:
                keys[name].append((middle, weight))
    for name in VISEMES:
        keys[name].append((times[-1] + 0.1, 0.0))
    return {name: thinned(points, 0.0) for name, points in keys.items()}


def sampled(weights: Mapping[str, Iterable[float]], step: float, start: float = 0.0, tolerance: float = 0.03) -> Keys:
    """Keys of weights that are given frame by frame, as few as are within `tolerance`."""
    out = {}
    for name, values in weights.items():
        points = [(start + k * step, float(value)) for k, value in enumerate(values)]
        end = points[-1][0] + step if points else start
        out[name] = thinned([*points, (end, 0.0)], tolerance)
    return out


def thinned(points: Sequence[tuple[float, float]], tolerance: float) -> list[tuple[float, float]]:
    """The keys without those that the line between their neighbours passes within `tolerance` (Ramer, Douglas and
    Peucker).
    """
    if len(points) < 3:
        return list(points)
    keep = {0, len(points) - 1}
    spans = [(0, len(points) - 1)]
    while spans:
        a, b = spans.pop()
        (ta, va), (tb, vb) = points[a], points[b]
        worst, at = tolerance, None
        for k in range(a + 1, b):
            t, v = points[k]
            off = abs(v - (va + (vb - va) * ((t - ta) / (tb - ta) if tb > ta else 0.0)))
            if off > worst + 1e-9:
                worst, at = off, k
        if at is not None:
            keep.add(at)
            spans += [(a, at), (at, b)]
    return [points[k] for k in sorted(keep)]


def value_at(points: Points, time: float) -> float:
    """Between keys on the line between them; outside that of the nearest key."""
    for (ta, a), (tb, b) in zip(points, points[1:], strict=False):
        if ta <= time <= tb:
            return a + (b - a) * ((time - ta) / (tb - ta) if tb > ta else 1.0)
    return points[-1][1] if time > points[-1][0] else points[0][1]


def length(keys: Keys) -> float:
    """Seconds until the last key."""
    return max((points[-1][0] for points in keys.values() if points), default=0.0)
