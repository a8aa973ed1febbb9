# SPDX-License-Identifier: GPL-3.0-or-later
"""A recorded voice to weights of the five visemes, from loudness and the two lowest formants.

Each frame's spectrum (scipy.signal.spectrogram) is reduced to the centroids of two bands: 200-1000 Hz for the first
formant, which rises as the jaw opens, and 800-3000 Hz for the second, which rises as the tongue moves forward and the
lips spread. The place in that plane is compared with the vowels' usual formants (Peterson and Barney 1952, means of
men and women); the frame's loudness scales the result. It is a guess at the lips' shape, not speech recognition:
consonants are seen as the quiet or the hiss that they are.
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal
from scipy.io import wavfile

from .errors import BackendError

STEP = 1 / 50  # seconds between frames
WINDOW = 0.04  # seconds
RATE = 16000  # Hz that a frame is looked at with
LONGEST = 600.0  # seconds
FIRST, SECOND = (200.0, 1000.0), (800.0, 3000.0)  # Hz
FORMANTS = {"aa": (790, 1150), "ih": (300, 2500), "ou": (340, 900), "ee": (560, 2050), "oh": (540, 860)}  # Hz
SPREAD = 0.35  # octaves around a vowel in which it is likely
RANGE = 30.0  # decibels below the loudest at which the mouth is shut
HISS = 4000.0  # Hz above which a sibilant has most of its energy: teeth together


def visemes(sound: Path) -> dict[str, Any]:
    """The worker's answer to `visemes`: `duration` and `step` in seconds, `weights` {viseme: [0..1 a frame]}.

    Raises BackendError with the code unreadable or too_large.
    """
    samples, rate = _load(sound)
    duration = len(samples) / rate
    weights = _weights(samples, rate)
    return {
        "duration": round(duration, 4),
        "step": STEP,
        "weights": {name: np.round(row, 3).tolist() for name, row in weights.items()},
    }


def _load(sound: Path) -> tuple[np.ndarray, int]:
    """(N,) float mono samples from -1 to 1, and their rate."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks it does not know
            rate, data = wavfile.read(sound)
    except (ValueError, OSError, EOFError, KeyError, struct.error) as error:
        message = f"The sound {sound.name} cannot be read as a WAV file."
        raise BackendError("unreadable", message, "Save it as an uncompressed WAV file.") from error
    if data.size == 0 or rate <= 0:
        raise BackendError("unreadable", f"The sound {sound.name} is empty.", "Choose another WAV file.")
    if len(data) / rate > LONGEST:
        raise BackendError(
            "too_large", f"The sound {sound.name} is longer than ten minutes.", "Split it into shorter files."
        )
    samples = data.astype(np.float64)
    if data.dtype == np.uint8:
        samples = (samples - 128) / 128
    elif np.issubdtype(data.dtype, np.integer):
        samples /= -float(np.iinfo(data.dtype).min)
    mono = samples.mean(1) if samples.ndim == 2 else samples
    return np.nan_to_num(mono), int(rate)


def _weights(samples: np.ndarray, rate: int) -> dict[str, np.ndarray]:
    """viseme -> (F,) weights, a frame each STEP."""
    if rate != RATE:
        divisor = int(np.gcd(rate, RATE))
        samples = signal.resample_poly(samples, RATE // divisor, rate // divisor)
    length, hop = int(WINDOW * RATE), int(STEP * RATE)
    padded = np.pad(samples, (length // 2, length))
    frequency, _, power = signal.spectrogram(padded, RATE, "hann", length, length - hop, detrend=False, mode="psd")
    power = power[:, : int(np.ceil(len(samples) / hop))]
    loud = _loudness(power.sum(0))
    first = _centroid(frequency, power, FIRST)
    # A voice falls by about 12 dB an octave; without that the second band's centroid would lie at its lower end.
    second = _centroid(frequency, power * frequency[:, None] ** 2, SECOND)
    place = np.log2(np.stack([first, second]))
    near = np.stack(
        [np.exp(-0.5 * ((place - np.log2([[a], [b]])) ** 2).sum(0) / SPREAD**2) for a, b in FORMANTS.values()]
    )
    share = near**2 / np.maximum((near**2).sum(0), 1e-12)
    hiss = power[frequency > HISS].sum(0) / np.maximum(power.sum(0), 1e-20)
    open_ = loud * (1 - 0.8 * np.clip(2 * hiss - 0.4, 0, 1))
    kernel = signal.windows.hann(5)[:, None].T
    smooth = signal.convolve(share * open_, kernel / kernel.sum(), mode="same")
    return dict(zip(FORMANTS, np.clip(smooth, 0, 1), strict=True))


def _loudness(power: np.ndarray) -> np.ndarray:
    """(F,) from 0 at RANGE below the loudest parts to 1 there; silence is 0."""
    level = 10 * np.log10(np.maximum(power, 1e-20))
    loudest = np.quantile(level, 0.95) if len(level) else 0.0
    if loudest < -100:
        return np.zeros(len(power))
    return np.clip((level - loudest) / RANGE + 1, 0, 1)


def _centroid(frequency: np.ndarray, power: np.ndarray, band: tuple[float, float]) -> np.ndarray:
    """(F,) the power's mean frequency inside a band, in Hz."""
    inside = (frequency >= band[0]) & (frequency <= band[1])
    # Squared: the strongest part of the band counts, rather than its whole width.
    part = power[inside] ** 2
    return (frequency[inside, None] * part).sum(0) / np.maximum(part.sum(0), 1e-60) + (part.sum(0) <= 1e-60) * band[0]
