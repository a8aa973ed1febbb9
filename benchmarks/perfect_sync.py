# SPDX-License-Identifier: GPL-3.0-or-later
"""The 52 face shapes of finished avatars: `python -m benchmarks.perfect_sync FILE.vrm ...`.

One row a file: shapes that move something, the largest movement in heads, the largest share of the surface that a
shape turns over, the largest share of a one-sided shape on the other side, and what of all shapes lies outside the
head; then the report card's verdict.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from avatar_addon.report.measured import Measured
from avatar_addon.report.perfect_sync import flipped, middles, perfect_sync, share_of_side
from avatar_addon.report.skin_measures import MOVED
from avatar_addon.vrm.spec.perfect_sync import SYNC_SHAPES
from avatar_addon.vrm.spec.vrm_file import VrmFile


def row(path: Path) -> str:
    measured = Measured(VrmFile(path))
    bound = measured.file.expressions()
    names = [name for name in SYNC_SHAPES if bound.get(name)]
    middle = middles(measured)
    most = turned = other = spill = 0.0
    for name in names:
        length = np.linalg.norm(measured.expression(name), axis=1)
        most = max(most, float(length.max()) / measured.head_height)
        turned = max(turned, flipped(measured, SYNC_SHAPES[name]))
        shape = SYNC_SHAPES[name]
        if shape.side:
            other = max(other, 1 - share_of_side(measured, length, shape.side, middle[shape.region]))
        moved = length > MOVED
        spill = max(spill, float((moved & ~measured.in_head).sum() / max(moved.sum(), 1)))
    verdict = next((check.status for check in perfect_sync(measured)), "none")
    size = path.stat().st_size / 1e6
    figures = f"{100 * most:7.1f} {100 * turned:10.3f} {100 * other:11.1f} {100 * spill:9.1f} {size:6.1f}"
    return f"{path.stem:28} {len(names):6} {figures}  {verdict}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    print(f"{'avatar':28} shapes most % flipped % other side % outside %     MB  card")
    for path in parser.parse_args().files:
        print(row(path), flush=True)


if __name__ == "__main__":
    main()
