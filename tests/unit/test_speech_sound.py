"""Visemes from a voice: vowels made of a pulse train through two resonances, silence, and files that are none."""

import numpy as np
import pytest
from scipy import signal
from scipy.io import wavfile

from backend.errors import BackendError
from backend.speech import STEP, visemes

RATE = 22050
# Formants of two speakers' vowels, Hz (Peterson and Barney 1952; Hillenbrand et al. 1995), not the means the code
# compares with.
VOWELS = {
    "aa": [(730, 1090, 2440), (936, 1400, 2800)],
    "ih": [(270, 2290, 3010), (340, 2700, 3300)],
    "ou": [(300, 870, 2240), (380, 950, 2670)],
    "ee": [(530, 1840, 2480), (600, 2200, 2990)],
    "oh": [(500, 840, 2410), (550, 900, 2700)],
}


def vowel(formants, seconds=0.4, pitch=118):
    pulses = np.zeros(int(seconds * RATE))
    pulses[:: RATE // pitch] = 1
    voice = signal.lfilter([1], [1, -0.97], pulses)
    for formant in formants:
        radius, angle = np.exp(-np.pi * 90 / RATE), 2 * np.pi * formant / RATE
        voice = signal.lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], voice)
    return voice / np.abs(voice).max() * 0.5


@pytest.mark.parametrize("speaker", [0, 1])
@pytest.mark.parametrize("name", VOWELS)
def test_a_sustained_vowel_is_its_viseme(tmp_path, name, speaker):
    wavfile.write(tmp_path / "v.wav", RATE, (vowel(VOWELS[name][speaker]) * 32767).astype(np.int16))
    weights = {key: np.mean(row[5:-5]) for key, row in visemes(tmp_path / "v.wav")["weights"].items()}
    assert max(weights, key=weights.get) == name, weights


def test_silence_between_words_shuts_the_mouth(tmp_path):
    word = vowel(VOWELS["aa"][0], 0.3)
    sound = np.concatenate([word, np.zeros(RATE // 2), word])
    wavfile.write(tmp_path / "w.wav", RATE, np.column_stack([sound, sound]).astype(np.float32))  # stereo
    result = visemes(tmp_path / "w.wav")
    opened = np.sum(list(result["weights"].values()), 0)
    assert result["duration"] == pytest.approx(1.1, abs=0.01) and len(opened) == pytest.approx(1.1 / STEP, abs=1)
    at = lambda seconds: opened[int(seconds / STEP)]  # noqa: E731
    assert at(0.15) > 0.5 and at(0.95) > 0.5 and at(0.55) < 0.02


def test_only_silence(tmp_path):
    wavfile.write(tmp_path / "s.wav", 8000, np.zeros(8000, np.int16))
    assert np.max(list(visemes(tmp_path / "s.wav")["weights"].values())) == 0


@pytest.mark.parametrize("content", [b"", b"no sound at all", b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_a_file_that_is_no_sound_is_one_sentence(tmp_path, content):
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(BackendError) as refused:
        visemes(tmp_path / "x.wav")
    assert refused.value.code == "unreadable"
