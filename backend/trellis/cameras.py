# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras evenly spread on a sphere around the object, for previews of a result from all sides."""

from __future__ import annotations

import numpy as np


def radical_inverse(index: int, base: int) -> float:
    """The digits of `index` in `base`, mirrored behind the point."""
    value, scale = 0.0, 1.0 / base
    while index:
        index, digit = divmod(index, base)
        value += digit * scale
        scale /= base
    return value


def hammersley(index: int, count: int) -> tuple[float, float, float]:
    """Point `index` of a `count` point Hammersley set in the unit cube."""
    return index / count, radical_inverse(index, 2), radical_inverse(index, 3)


def sphere_views(count: int) -> np.ndarray:
    """(count, 2) yaw and pitch in radians."""
    points = np.array([hammersley(i, count)[:2] for i in range(count)])
    return np.stack([2 * np.pi * points[:, 1], np.arccos(1 - 2 * points[:, 0]) - np.pi / 2], 1)


def extrinsics(yaw: float, pitch: float, radius: float = 2.0) -> np.ndarray:
    """(4, 4) world to camera, OpenCV axes (x right, y down, z forward), looking at the origin with Z up."""
    eye = radius * np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    forward = -eye / np.linalg.norm(eye)
    right = np.cross(-np.array([0.0, 0.0, 1.0]), forward)
    right = right / np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation, -rotation @ eye
    return out


def intrinsics(fov_degrees: float) -> np.ndarray:
    """(3, 3) in units of the picture's side."""
    f = 0.5 / np.tan(np.radians(fov_degrees) / 2)
    return np.array([[f, 0, 0.5], [0, f, 0.5], [0, 0, 1]])
