# SPDX-License-Identifier: GPL-3.0-or-later
"""Loose pieces of a mesh (eyes, buckles, hair, weapons) follow one bone as a whole instead of bending."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from .skeleton import Skeleton

SMALL = 0.16  # of the character's height: a piece this small does not bend
RIGID_BONES = ("head", "leftHand", "rightHand", "leftFoot", "rightFoot")


def pieces(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V,) number of the connected piece of each vertex; vertices at the same place count as one."""
    _, welded = np.unique(vertices, axis=0, return_inverse=True)
    welded = welded.reshape(-1)
    n = int(welded.max()) + 1
    edges = welded[np.concatenate([triangles[:, :2], triangles[:, 1:]])] if len(triangles) else np.zeros((0, 2), int)
    graph = sparse.coo_matrix((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (n, n))
    return connected_components(graph, directed=False)[1][welded]


def make_rigid(weights: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, skeleton: Skeleton) -> None:
    """Gives every loose piece that no bone runs through the weights of one bone, in place. weights: (V, J).

    A piece is one thing when it is small, or when most of it already follows the head, a hand or a foot (a hat, a
    sword). Large sheets (capes, skirts) stay soft.
    """
    piece = pieces(vertices, triangles)
    count = np.bincount(piece)
    if len(count) < 2 or not len(triangles):
        return
    height = max(float(np.ptp(vertices[:, 1])), 1e-9)
    order = np.argsort(piece, kind="stable")
    starts = np.r_[0, np.cumsum(count)[:-1]]
    low = np.minimum.reduceat(vertices[order], starts)
    high = np.maximum.reduceat(vertices[order], starts)
    mean = np.add.reduceat(weights[order], starts) / count[:, None]
    diagonal = np.linalg.norm(high - low, axis=1)
    names = skeleton.names
    firm = [names.index(name) for name in RIGID_BONES if name in names]
    bone = mean.argmax(1)
    share = mean[np.arange(len(mean)), bone]
    one = (diagonal < SMALL * height) | (np.isin(bone, firm) & (share > 0.55) & ~_has_bone(low, high, skeleton, bone))
    one &= count < 0.5 * len(vertices)
    for k in np.flatnonzero(one):
        mine = order[starts[k] : starts[k] + count[k]]
        weights[mine] = 0
        weights[mine, bone[k]] = 1


def _has_bone(low: np.ndarray, high: np.ndarray, skeleton: Skeleton, bone: np.ndarray) -> np.ndarray:
    """(P,) whether a bone other than the piece's own has its middle within the piece's box."""
    middle = np.array([(skeleton.heads[name] + skeleton.tails[name]) / 2 for name in skeleton.names])
    inside = np.asarray(((middle > low[:, None]) & (middle < high[:, None])).all(2))
    inside[np.arange(len(bone)), bone] = False
    return np.asarray(inside.any(1))
