"""A sentence to lip shapes: what would look wrong in a mirror."""

import pytest

from avatar_addon.speech.text import PAUSE, SHUT, cues, length, sampled, thinned, track, value_at
from avatar_addon.vrm.spec.presets import VISEMES


def shapes(text, least=0.0):
    return [cue.viseme for cue in cues(text) if cue.seconds > least and cue.viseme != PAUSE]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("あいうえお", ["aa", "ih", "ou", "ee", "oh"]),
        ("アイウエオ", ["aa", "ih", "ou", "ee", "oh"]),
        ("きゃ", ["aa"]),
        ("ママ", [SHUT, "aa", SHUT, "aa"]),
        ("ぱん", [SHUT, "aa", SHUT]),
        ("ｱﾒ", ["aa", SHUT, "ee"]),
    ],
)
def test_kana_name_their_vowels(text, expected):
    assert shapes(text) == expected


def test_a_long_vowel_is_longer():
    assert cues("ラーメン")[0].seconds > 1.8 * cues("ラメン")[0].seconds


@pytest.mark.parametrize(
    "text, expected",
    [
        ("mama", [SHUT, "aa", SHUT, "aa"]),
        ("moon", [SHUT, "ou"]),
        ("home", ["oh", "ou", SHUT]),
        ("five", [SHUT, "aa", "ih", SHUT]),
        ("beam", [SHUT, "ih", SHUT]),
        ("phone", [SHUT, "oh", "ou"]),
        ("ball", [SHUT, "oh"]),
        ("red", ["ee"]),
        ("night", ["aa", "ih"]),
        ("élan", ["ee", "aa"]),
    ],
)
def test_english_spelling(text, expected):
    assert shapes(text, 0.06) == expected


def test_words_without_vowels_numbers_and_signs():
    assert shapes("TV 42 !") and cues("!?…") == [] and cues("") == [] and cues("🙂") == []


def test_timing_is_that_of_calm_speech():
    seconds = sum(cue.seconds for cue in cues("Hello, my name is Momo and I can talk now."))  # 11 syllables, one comma
    assert 1.8 < seconds < 4.5
    assert max(cue.seconds for cue in cues("One. Two.") if cue.viseme == PAUSE) >= 0.4


def test_the_track_opens_shuts_and_never_adds_up_to_more_than_one_mouth():
    keys = track(cues("Mama, あいうえお."), 0.5)

    end = length(keys)
    for points in keys.values():
        assert points[-1][1] == 0 and [t for t, _ in points] == sorted(t for t, _ in points)
    moments = [k * end / 200 for k in range(201)]
    total = [sum(value_at(keys[name], moment) for name in VISEMES) for moment in moments]
    assert max(total) <= 1.0 and max(total) > 0.8 and total[0] == 0
    first = cues("Mama")[0].seconds / 2 + 0.5
    assert sum(value_at(keys[name], first) for name in VISEMES) < 0.05  # the m
    assert all(max(weight for _, weight in keys[name]) > 0.7 for name in VISEMES)


def test_a_sound_needs_few_keys():
    weights = {"aa": [0.0] * 50 + [k / 20 for k in range(20)] + [1.0] * 30}
    keys = sampled(weights, 0.02)["aa"]
    assert len(keys) < 8 and keys[-1][1] == 0 and keys[-1][0] == pytest.approx(2.0)
    assert thinned([(0, 0), (1, 1), (2, 0)], 0.1) == [(0, 0), (1, 1), (2, 0)]
