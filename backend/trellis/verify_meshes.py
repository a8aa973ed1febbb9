# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of mesh extraction and of the gaussian file, and how meshes are compared: numbering and order of faces are
nobody's contract.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..nn.golden import Case, Comparison
from . import dual_mc, export
from .decoders import Gaussians
from .dual_mc import DenseMesh
from .verify_cases import check

# Two diagonals of a quad are as good as each other when their gamma products differ by less than this.
TIE = 1e-6


@check("mesh_extract")
def _extract(case: Case) -> list[Comparison]:
    coords, feats = case.tensor("coords"), case.tensor("feats")
    return meshes_of(case, coords, feats, case.config["res"])


def meshes_of(case: Case, coords, feats, res: int) -> list[Comparison]:
    """Extracts every batch item whose mesh the case has: arrays `vertices` (the only item) or `meshN_vertices` (item
    N).
    """
    out = []
    for name in [name for name in case.arrays if name.endswith("vertices")]:
        prefix = name.removesuffix("vertices")
        item = "".join(c for c in prefix if c.isdigit())
        rows = slice(None) if coords.shape[1] == 3 or not item else coords[:, 0] == int(item)
        mesh = dual_mc.extract(coords[rows, -3:], feats[rows], res)
        out += compare_meshes(case, prefix, mesh)
    return out


def compare_meshes(case: Case, prefix: str, mesh: DenseMesh) -> list[Comparison]:
    """Vertices matched by position, one to one; faces compared as sets after renumbering."""
    limit = case.tolerance("vertices")
    want, want_faces = case.arrays[f"{prefix}vertices"], case.arrays[f"{prefix}faces"]
    got, got_faces = mesh.vertices.cpu().numpy(), mesh.faces.cpu().numpy()
    if len(got) != len(want) or len(got_faces) != len(want_faces):
        return [
            Comparison(
                f"{len(got)} vertices and {len(got_faces)} faces, not {len(want)} and {len(want_faces)}",
                float("inf"),
                limit,
            )
        ]
    if not len(want):
        return [Comparison("empty mesh", 0.0, limit)]
    want_colours = case.arrays.get(f"{prefix}vertex_attrs")
    got_colours = None if mesh.attributes is None else mesh.attributes.cpu().numpy()
    if want_colours is not None and got_colours is not None:  # colours tell apart vertices at the same place
        match = cKDTree(np.c_[want, 1e-2 * want_colours]).query(np.c_[got, 1e-2 * got_colours])[1]
    else:
        match = cKDTree(want).query(got)[1]
    out = [case.compare(f"{prefix}vertices", got, want[match], limit)]
    if want_colours is not None and got_colours is not None:
        out.append(
            case.compare(f"{prefix}vertex_attrs", got_colours, want_colours[match], case.tolerance("vertex_attrs"))
        )
    # Vertices closer than the tolerance have one name, so that faces do not depend on which of them was found.
    name = _names(want, limit)
    pairing = Counter(name[match].tolist()) - Counter(name.tolist())
    out.append(Comparison("vertices without a partner of their own", float(pairing.total()), 0))
    return [*out, Comparison("faces that differ", float(_differing(name[match][got_faces], name[want_faces], mesh)), 0)]


def _names(points: np.ndarray, limit: float) -> np.ndarray:
    pairs = cKDTree(points).query_pairs(limit, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    return connected_components(graph, directed=False)[1]


def _differing(got: np.ndarray, want: np.ndarray, mesh: DenseMesh) -> int:
    """Faces that only one side has, apart from quads whose two diagonals are a tie."""
    extra, lacking = Counter(_turned(got)) - Counter(_turned(want)), Counter(_turned(want)) - Counter(_turned(got))
    tie = np.flatnonzero(np.abs(mesh.margin.cpu().numpy()) < TIE)
    for quad in tie:
        one, two = got[2 * quad], got[2 * quad + 1]
        ours = Counter(_turned(np.stack([one, two])))
        # The shared edge is one diagonal; the corners off it are the other one's ends.
        first, second = (next(iter(set(a.tolist()) - set(b.tolist())), -1) for a, b in ((one, two), (two, one)))
        at = one.tolist().index(first) if first in one else -1
        if at < 0 or second < 0:
            continue
        a, b = int(one[(at + 1) % 3]), int(one[(at + 2) % 3])
        theirs = Counter(_turned(np.array([[first, a, second], [first, second, b]])))
        if ours <= extra and theirs <= lacking:
            extra, lacking = extra - ours, lacking - theirs
    return extra.total() + lacking.total()


def _turned(faces: np.ndarray) -> list[tuple[int, ...]]:
    """Each face starting at its smallest index, winding kept."""
    start = faces.argmin(1)[:, None]
    return list(map(tuple, np.take_along_axis(faces, (start + np.arange(3)) % 3, 1).tolist()))


def compare_meshes_loosely(case: Case, mesh: DenseMesh) -> list[Comparison]:
    """A whole pipeline may flip the sign of a corner that is almost zero: counts within 1 %, 99 % of the positions
    within 5e-3.
    """
    want, got = case.arrays["vertices"], mesh.vertices.cpu().numpy()
    want_faces = len(case.arrays["faces"])
    if not len(want) or not len(got):
        return [Comparison("vertices", float(abs(len(want) - len(got))), 0)]
    counts = max(abs(len(got) - len(want)) / len(want), abs(len(mesh.faces) - want_faces) / max(want_faces, 1))
    far = max((cKDTree(a).query(b)[0] > 5e-3).mean() for a, b in ((want, got), (got, want)))
    return [
        Comparison("share by which counts differ", counts, 0.01),
        Comparison("share of vertices off by 5e-3", float(far), 0.01),
    ]


def compare_gaussians(case: Case, prefix: str, got: Gaussians, limit: float) -> list[Comparison]:
    values = {
        "xyz": got.xyz,
        "scaling": got.scaling,
        "rotation": got.rotation,
        "opacity": got.opacity,
        "features_dc": got.features_dc,
    }
    values |= {f"{name}_raw": value for name, value in got.raw.items()}
    return case.compare_recorded({prefix + name: value for name, value in values.items()}, limit)


@check("gaussian_ply")
def _ply(case: Case) -> list[Comparison]:
    gaussians = Gaussians(
        raw={}, **{n: case.tensor(n) for n in ("xyz", "features_dc", "scaling", "rotation", "opacity")}
    )
    got, want = export.gaussian_table(gaussians), case.arrays["table"]
    if got.shape != want.shape:
        return [case.compare("table", got)]
    same = (got[:, -4:] * want[:, -4:]).sum(1, keepdims=True) >= 0  # a quaternion and its negative are one rotation
    got[:, -4:] = np.where(same, got[:, -4:], -got[:, -4:])
    return [case.compare("table", got)]
