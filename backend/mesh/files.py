# SPDX-License-Identifier: GPL-3.0-or-later
"""mesh.npz in, rig.npz out (layouts: docs/architecture.md)."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import BackendError

REPAIR = "Repair or re-import the mesh, then try again."
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass
class MeshArrays:
    """Metres, Y up, the character faces +Z. vertices (V, 3) float64; triangles (T, 3) int64; corner_uvs (T, 3, 2)
    float64 or None.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    corner_uvs: np.ndarray | None = None


@dataclass
class RigArrays:
    """joints, tails (J, 3); parents (J,), -1 for the root; names; weight_joint (V, 4) int; weight (V, 4), rows sum to
    1. cut: numbers of triangles that have to go, because they join parts that only touch.
    """

    joints: np.ndarray
    tails: np.ndarray
    parents: np.ndarray
    names: list[str]
    weight_joint: np.ndarray
    weight: np.ndarray
    cut: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))


def read_mesh(path: Path) -> MeshArrays:
    """Reads and checks mesh.npz. Raises BackendError("bad_mesh") in one sentence when its content cannot be used."""
    try:
        with np.load(path, allow_pickle=False) as data:
            vertices = np.asarray(data["vertices"], np.float64)
            triangles = np.asarray(data["triangles"], np.int64) if "triangles" in data else np.zeros((0, 3), np.int64)
            uvs = np.asarray(data["corner_uvs"], np.float64) if "corner_uvs" in data else None
    except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise BackendError("bad_mesh", f"The mesh file {path.name} is damaged or not a mesh.", REPAIR) from error
    triangles = triangles.reshape(0, 3) if triangles.size == 0 else triangles
    if vertices.ndim != 2 or vertices.shape[1] != 3 or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise BackendError("bad_mesh", "The mesh does not consist of 3D points and triangles.", REPAIR)
    if not len(vertices):
        raise BackendError("bad_mesh", "The mesh has no vertices.", REPAIR)
    broken = int((~np.isfinite(vertices)).any(1).sum())
    if broken:
        raise BackendError(
            "bad_mesh",
            f"{broken} of the mesh's {len(vertices)} vertices have no valid position (NaN or infinite).",
            REPAIR,
        )
    if len(triangles) and (triangles.min() < 0 or triangles.max() >= len(vertices)):
        raise BackendError("bad_mesh", "The mesh has triangles that refer to missing vertices.", REPAIR)
    if uvs is not None and (uvs.shape != (len(triangles), 3, 2) or not np.isfinite(uvs).all()):
        uvs = None
    return MeshArrays(vertices, triangles, uvs)


def write_mesh(path: Path, mesh: MeshArrays) -> None:
    """Writes mesh.npz: under a temporary name first, then renamed."""
    arrays = {"vertices": mesh.vertices.astype(np.float32), "triangles": mesh.triangles.astype(np.int32)}
    if mesh.corner_uvs is not None:
        arrays["corner_uvs"] = mesh.corner_uvs.astype(np.float32)
    _write(path, arrays)


def write_rig(path: Path, rig: RigArrays) -> None:
    """Writes rig.npz: under a temporary name first, then renamed. The same arrays give the same bytes."""
    _write(
        path,
        {
            "joints": rig.joints.astype(np.float32),
            "tails": rig.tails.astype(np.float32),
            "parents": np.asarray(rig.parents, np.int32),
            "names": np.asarray(rig.names, np.str_),
            "weight_joint": rig.weight_joint.astype(np.int32),
            "weight": rig.weight.astype(np.float32),
            "cut": np.asarray(rig.cut, np.int32),
        },
    )


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    part = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays.items():
                # numpy.savez stamps the time of writing into some versions' archives; a fixed date keeps the bytes
                # equal.
                with archive.open(zipfile.ZipInfo(f"{name}.npy", EPOCH), "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
