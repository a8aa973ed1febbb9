# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh seen from several sides, each picture read by the network (`backend.reader`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..mesh.files import MeshArrays
from ..mesh.raster import View, colour, front_view, shade
from ..reader import Reading, read

AROUND = tuple(range(0, 360, 45))
HEIGHT = 384  # of a picture in pixels: twice what the network sees of a whole figure
SOFT = 0.35  # how dark the texture's shaded side is: the network has learnt from lit pictures
EVEN = 4.0  # pixels over which the light on a face is averaged: on a remeshed skin's steps it hides faint lips


@dataclass
class Look:
    """One side of a mesh: seen from `azimuth` degrees, 0 from +Z, 90 from +X. view: pixels of the turned mesh."""

    azimuth: float
    view: View
    reading: Reading

    @property
    def across(self) -> np.ndarray:
        """(3,) the direction of the picture's x in the mesh's axes."""
        return about_y(-self.azimuth)[0]

    @property
    def towards(self) -> np.ndarray:
        """(3,) the direction to the viewer in the mesh's axes."""
        return about_y(-self.azimuth)[2]

    def place(self, x: float, y: float) -> np.ndarray:
        """(2,) metres along `across` and up, of a pixel."""
        return self.view.to_metres(np.array([x - 0.5, y - 0.5]))

    @property
    def face(self) -> float:
        """0..1: how surely a face looks at the viewer."""
        parts = self.reading.face
        eyes = min(parts[name].confidence * (parts[name].state == "drawn") for name in ("leftEye", "rightEye"))
        mouth = parts["mouth"].confidence * (parts["mouth"].state == "drawn")
        return float(0.7 * eyes + 0.3 * mouth)

    @property
    def sureness(self) -> float:
        """0..1: mean confidence of the joints, times the probability that this is one humanoid."""
        mean = float(np.mean([joint.confidence for joint in self.reading.joints.values()]))
        return mean * self.reading.humanoids["one"]


def about_y(degrees: float) -> np.ndarray:
    """(3, 3) rotation about +Y; multiples of a quarter are exact."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    if degrees % 90 == 0:
        c, s = round(c), round(s)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def picture_of(
    mesh: MeshArrays, texture: np.ndarray | None, turn: np.ndarray, height: int = HEIGHT, even: bool = False
) -> tuple[View, np.ndarray]:
    """The mesh after the rotation `turn` from the front, and its colours (H, W, 4) uint8 in soft light. even: the light
    on a texture does not follow small steps of the surface.
    """
    turned = mesh.vertices @ turn.T
    view = front_view(turned, mesh.triangles, height)
    lit = shade(view, turned, mesh.triangles)
    if texture is None or mesh.corner_uvs is None:
        return view, lit
    rgba = colour(view, mesh.corner_uvs, texture)
    light = lit[..., :1].astype(np.float32) / 200
    if even:
        light = _averaged(light[..., 0], view.mask)[..., None]
    rgba[..., :3] = np.clip(rgba[..., :3] * (1 - SOFT + SOFT * light), 0, 255).astype(np.uint8)
    return view, rgba


def _averaged(light: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) over EVEN pixels around each, of those in the mask."""
    share = ndimage.gaussian_filter(mask.astype(np.float32), EVEN)
    return np.asarray(ndimage.gaussian_filter(np.where(mask, light, 0), EVEN) / np.maximum(share, 1e-3))


def look_around(
    mesh: MeshArrays,
    texture: np.ndarray | None,
    azimuths: Iterable[float] = AROUND,
    up: np.ndarray | None = None,
    height: int = HEIGHT,
    even: bool = False,
) -> list[Look]:
    """texture: (h, w, 3 or 4) uint8. up: a rotation (3, 3) to look at the mesh after. even: as in `picture_of`."""
    looks = []
    for azimuth in azimuths:
        turn = about_y(-azimuth) if up is None else about_y(-azimuth) @ up
        view, rgba = picture_of(mesh, texture, turn, height, even)
        looks.append(Look(float(azimuth), view, read(rgba)))
    return looks
