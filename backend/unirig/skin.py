# SPDX-License-Identifier: GPL-3.0-or-later
"""The skin stage: a prepared mesh and a skeleton to at most four weights for each vertex given
(shared/reference/unirig.md 7 to 9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ..nn.cube import Affine, Prepared, normalisation
from ..nn.surface_samples import Samples, normaliser_draws, sample
from ..nn.vertex_weights import strongest, welded
from .geodesic import SHIPPED, GeodesicSettings, geodesic_weights
from .resample import nearest_weights, smooth
from .shortest_paths import Search
from .skin_network import SkinNetwork, build, set_precision
from .voxels import voxelise

__all__ = ["SkinNetwork", "build", "geodesic_feature", "predict", "set_precision", "to_vertices"]

SKIN_SAMPLES = 32_768
VERTEX_SAMPLES = 8192  # of the points of both stages, at most
# Where in the stage its parts begin.
FEATURE, NETWORK, VERTICES = 0.0, 0.15, 0.9


def geodesic_feature(
    mesh: Prepared,
    joints: np.ndarray,
    settings: GeodesicSettings = SHIPPED,
    progress: Callable[[float], None] = lambda fraction: None,
    search: Search | None = None,
) -> np.ndarray:
    """(V, J) f64 how near each joint is to each vertex of a mesh. It is measured in the cube of the vertices alone."""
    affine = normalisation(mesh.vertices)
    vertices = affine.apply(mesh.vertices)
    cells = voxelise(vertices, mesh.faces, settings.grid)
    return geodesic_weights(vertices, mesh.faces, cells, affine.apply(joints), settings, progress, search)


def predict(
    model: SkinNetwork,
    mesh: Prepared,
    joints: np.ndarray,
    parents: np.ndarray,
    vertices: np.ndarray,
    triangles: np.ndarray,
    seed: int,
    progress: Callable[[float, str], None],
    samples: int = SKIN_SAMPLES,
    vertex_samples: int = VERTEX_SAMPLES,
) -> tuple[np.ndarray, np.ndarray]:
    """weight_joint (W, 4) int64 and weight (W, 4) f64 for the vertices (W, 3) and triangles (T, 3) given; the network
    sees `mesh`.

    joints (J, 3), parents (J,) with -1 for a root and parents before children, all in the same coordinates. Rows are
    finite, sum to 1, strongest first, unused entries are 0. progress(fraction of this stage, message) may raise to
    stop.
    """

    def on_feature(fraction: float) -> None:
        progress(FEATURE + (NETWORK - FEATURE) * fraction, "Measuring distances inside the body")

    on_feature(0.0)
    near = geodesic_feature(mesh, joints, progress=on_feature)
    progress(NETWORK, "Computing skin weights")
    affine = normalisation(mesh.vertices, joints)
    rng = np.random.RandomState(seed)
    normaliser_draws(rng)
    chosen = sample(
        replace(mesh, vertices=affine.apply(mesh.vertices).astype(np.float32)), samples, vertex_samples, rng
    )

    def on_network(fraction: float) -> None:
        progress(NETWORK + (VERTICES - NETWORK) * fraction, "Computing skin weights")

    weights = sampled_weights(model, chosen, affine.apply(joints), parents, chosen.interpolate(near), on_network)
    progress(VERTICES, "Transferring the weights to the mesh")
    result = to_vertices(chosen, weights, affine, vertices, triangles, parents)
    progress(1.0, "Skin weights done")
    return result


@torch.inference_mode()
def sampled_weights(
    model: SkinNetwork,
    samples: Samples,
    joints: np.ndarray,
    parents: np.ndarray,
    near: np.ndarray,
    progress: Callable[[float], None] = lambda fraction: None,
) -> np.ndarray:
    """(N, J) f32 weights of samples; joints (J, 3) in their cube, near (N, J) the geodesic feature."""
    device = next(model.parameters()).device

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(device)[None]

    bones = torch.from_numpy(np.asarray(parents, np.int64)).to(device)[None]
    weights = model(
        tensor(samples.points), tensor(samples.normals), tensor(joints), bones, tensor(near), progress=progress
    )
    return weights[0].cpu().numpy()


def to_vertices(
    samples: Samples,
    weights: np.ndarray,
    affine: Affine,
    vertices: np.ndarray,
    triangles: np.ndarray,
    parents: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (N, J) of samples in the cube to bones and weights (W, 4) of the vertices given, in the coordinates
    before `affine`.

    Vertices in the same place, as at texture seams, get the same weights.
    """
    at, place = welded(affine.apply(vertices).astype(np.float32))
    faces = place[np.asarray(triangles, np.int64).reshape(-1, 3)]
    # The network may leave a sample without a number (bad weights, overflow in half precision): it then has no say.
    sound = np.isfinite(weights).all(1)
    points, known = (samples.points[sound], weights[sound]) if sound.any() else (samples.points, np.ones_like(weights))
    first = nearest_weights(points, known, at)
    smoothed = smooth(first, at, faces, parents)
    joint, weight = strongest(smoothed)
    lost = np.flatnonzero(
        weight.sum(1) < 0.5
    )  # per bone medians may all be 0: the strongest bone nearby then takes it all
    if len(lost):
        joint[lost], weight[lost] = strongest(nearest_weights(points, known, at[lost], neighbours=1))
    return joint[place], weight[place]
