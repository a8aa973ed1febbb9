# SPDX-License-Identifier: GPL-3.0-or-later
"""The depth fitted to silhouettes from the side. Each row keeps its middle plane, from which front and back are drawn
out to where the pictures have them, so that face, joints and arms stay where the body is, whatever hangs behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from .body import ARMS, HEAD, Body, runs, smooth
from .cape import Cape
from .sides import Profile, Views
from .solid import Depth

STRETCH = 0.3, 6.0  # limits of what half a row's depth is multiplied by
BULK = 0.5  # of the skull's half width: what is thinner in the picture hangs on the head and is no part of it
FIN = 0.12  # of the skull's depth: what reaches so much further than the bulk is built apart
FIN_WIDTH = 0.25, 0.6  # of the skull's half width
BUNCH_SLOPE = 1.3  # how far bunches beside the head go back for each cell that they stand off it
BESIDE = 0.4  # of the rows in which something hangs behind: bunches show beside the head, so it is they


@dataclass
class Reach:
    """Per row of the grid, cells, NaN where the pictures do not tell. front, back: z of the body's ends; end: of what
    reaches furthest back, a cape and hair included; tip: of what reaches furthest forward.
    """

    front: np.ndarray
    back: np.ndarray
    end: np.ndarray
    tip: np.ndarray


def fit_sides(depth: Depth, views: Views) -> Depth:
    """The depth changed so that each row reaches as far forward and back as the side pictures have it."""
    if not views.profiles:
        return depth
    own = _own_extents(depth)
    for profile in views.profiles:
        _place_zero(depth, profile, own)
    reach = _reach(depth, views.profiles, own)
    return _fit(depth, own, reach) if np.isfinite(reach.front).any() else depth


def _own_extents(depth: Depth) -> np.ndarray:
    """(R, 2): z of the frontmost and rearmost point of the figure without arms and cape per row, NaN where there is
    none.
    """
    core, thick = (depth.inside > 0) & ~np.isin(depth.parts, ARMS), depth.thick
    front = np.where(core, depth.centre + thick, -np.inf).max(1)
    back = np.where(core, depth.centre - thick, np.inf).min(1)
    out = np.stack([front, back], 1)
    out[~core.any(1)] = np.nan
    return out


def _place_zero(depth: Depth, profile: Profile, own: np.ndarray) -> None:
    """Moves the picture to where most rows from shoulders to ankles lie within it: a rucksack or a belly adds to one
    end of a row, but to hardly one of the legs.
    """
    ends = []
    for r in range(int(depth.body.shoulder), int(depth.body.ankle)):
        extent = profile.extent(r)
        if extent and np.isfinite(own[r, 0]):
            back = extent[1] if depth.cape is None else extent[2]
            ends += [extent[0] - own[r, 0], back - own[r, 1]]
    if ends:
        profile.zero -= float(np.median(ends)) * profile.frame.pixels


def _reach(depth: Depth, profiles: list[Profile], own: np.ndarray) -> Reach:
    """What the pictures tell of each row, their mean where there are two."""
    rows, cape = len(own), depth.cape
    found = np.full((len(profiles), rows, 4), np.nan)
    low = depth.body.chin + 0.1 * depth.body.head
    for k, profile in enumerate(profiles):
        bulk = profile.bulk(BULK * depth.head.half)
        for r in np.flatnonzero(np.isfinite(own[:, 0])):
            extent = profile.extent(int(r))
            if extent is None:
                continue
            front, back, end, several = extent
            found[k, r] = front, back, back, front
            if cape is not None and cape.region[r].any():
                found[k, r, 1] = end if several else max(own[r, 1], back + 2 * cape.thick)
            solid = profile.extent(int(r), bulk) if r < low else None
            if solid is not None:
                found[k, r, 0], found[k, r, 1] = solid[0], max(solid[1], found[k, r, 1])
    known = np.isfinite(found[..., 0])
    mean = np.where(known[..., None], found, 0).sum(0) / np.maximum(known.sum(0), 1)[:, None]
    return Reach(*np.where(known.any(0)[:, None], mean, np.nan).T)


def _shifts(own: np.ndarray, reach: Reach, known: np.ndarray, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """(R,) how far each row's middle moves, and how far joints in it do. A row moves as little as brings it within the
    picture's, to the middle where it is deeper than that, and that of feet, which are as long as the picture has them.
    The head moves as one, as far as its rows let it: fringe and nape would pull them to and fro.
    """
    every = np.arange(len(own))
    forward, backward = reach.front[known] - own[known, 0], reach.back[known] - own[known, 1]
    within = (backward <= forward) & (known < body.ankle)
    least = np.where(within, np.clip(0, backward, forward), (forward + backward) / 2)
    head = (known > body.top + 0.3 * body.head) & (known < body.chin)
    if not head.any():
        every_row = np.interp(every, known, least)
        return every_row, every_row
    share = smooth(body.chin + 0.05 * body.head - every, -0.05 * body.head, 0.05 * body.head)
    whole = float(np.median(least[head]))
    of_head = np.clip(whole, np.minimum(forward, backward), np.maximum(forward, backward))
    rows, of_head = np.interp(every, known, least), np.interp(every, known, of_head)
    return rows * (1 - share) + of_head * share, rows * (1 - share) + whole * share


def _fit(depth: Depth, own: np.ndarray, reach: Reach) -> Depth:
    known = np.flatnonzero(np.isfinite(reach.front))
    every, body = np.arange(len(own)), depth.body
    rows, joints = _shifts(own, reach, known, body)
    shift, calm = (ndimage.gaussian_filter1d(rows, sigma)[:, None] for sigma in (0.7, 3.0))
    plane = own.mean(1)
    plane = np.interp(every, known, plane[known])

    def drawn_out(to: np.ndarray, of: np.ndarray) -> np.ndarray:
        by = (to[known] - plane[known] - shift[known, 0]) / np.where(of[known] > plane[known], 1, -1)
        by = np.clip(by / np.maximum(np.abs(of[known] - plane[known]), 0.5), *STRETCH)
        return np.asarray(ndimage.gaussian_filter1d(np.interp(every, known, by), 0.7))

    ahead, behind = drawn_out(reach.front, own[:, 0]), drawn_out(reach.back, own[:, 1])
    figure = depth.inside > 0
    arm = figure & np.isin(depth.parts, ARMS)
    apart = np.clip(ndimage.gaussian_filter(arm.astype(float), 2.0), 0, 1) * arm

    def moved(z: np.ndarray, shift: np.ndarray) -> np.ndarray:
        off = z - plane[:, None]
        by = np.where(off > 0, ahead[:, None], behind[:, None])
        return np.asarray(z + (shift + off * (by - 1)) * (1 - apart) + calm * apart)

    front, back = moved(depth.centre + depth.thick, shift), moved(depth.centre - depth.thick, shift)
    outline = moved(depth.centre, shift)
    middle = moved(depth.centre, ndimage.gaussian_filter1d(joints, 2.0)[:, None])
    front, back = _hanging(depth, front, back, reach, known)
    inside = figure & (depth.square > 0)
    centre = np.where(inside, (front + back) / 2, outline)
    nearest = ndimage.distance_transform_edt(~figure, return_distances=False, return_indices=True)
    centre = centre[tuple(nearest)]
    square = ((front - back) / 2) ** 2
    deeper = np.where(inside, square / np.maximum(depth.square, 1e-9), 1.0)[tuple(nearest)]
    square = np.where(inside, square, depth.square * deeper)  # by as much, else the outline would move
    cape = depth.cape
    return replace(
        depth,
        centre=centre,
        square=square,
        middle=middle,
        cape=_hang(cape, reach.end) if cape is not None else None,
    )


def _hanging(
    depth: Depth, front: np.ndarray, back: np.ndarray, reach: Reach, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Front and back with what reaches beyond the bulk of the head: bunches beside it go back to where the picture has
    them, a plait or a tail behind it and a nose or beak before it become fins in its middle.
    """
    body, head, every = depth.body, depth.head, np.arange(len(front))
    mask = body.of(HEAD)
    least = FIN * (head.depth + head.half)

    def beyond(far: np.ndarray, near: np.ndarray) -> np.ndarray:
        out = np.zeros(len(front))
        out[known] = np.maximum(np.abs(far[known] - near[known]) - 0.5, 0)
        rows = np.zeros(len(out), bool)
        for first, last in runs(out > 0):
            rows[first : last + 1] = out[first : last + 1].max() > least
        return np.asarray(ndimage.gaussian_filter1d(np.where(rows & mask.any(1), out, 0), 1.0))

    off = np.abs(body.columns - body.axis)
    after = beyond(reach.end, reach.back)
    rows = after > 0.5 * least
    aside = mask & (off > 1.2 * head.half)[None]
    if rows.any() and aside[rows].any(1).mean() > BESIDE:
        way = np.minimum(after[:, None], BUNCH_SLOPE * np.maximum(off - 0.85 * head.half, 0)[None]) * mask
        front, back = front - way, back - way
    elif rows.any():
        back = back - _fin(after, off, head.half, np.clip(0.5 * after.max() / head.half, *FIN_WIDTH)) * mask
    face = body.face
    if face is not None:
        below = smooth(every - face.eyes[1], -0.2 * face.gap, 0.2 * face.gap)
        before = beyond(reach.tip, reach.front)
        wide = _fin(before, off, 1.25 * head.half, 1.0) * (1 - below)[:, None]
        slim = _fin(before, off, face.apart, 0.3) * below[:, None]
        front = front + (wide + slim) * mask
    return front, back


def _fin(far: np.ndarray, off: np.ndarray, half: float, share: float) -> np.ndarray:
    """(R, C): `far` in the middle, 0 from `share` of `half` on."""
    return np.asarray(far[:, None] * np.sqrt(1 - np.clip(off / (share * half), 0, 1) ** 2)[None])


def _hang(cape: Cape, outer: np.ndarray) -> Cape:
    """The sheet moved to where the side pictures show what is rearmost."""
    rows = np.flatnonzero(cape.region.any(1) & np.isfinite(outer))
    if not len(rows):
        return cape
    at = np.interp(np.arange(len(outer)), rows, outer[rows]) + cape.thick
    shift = ndimage.gaussian_filter1d(at, 1.0) - cape.centre.min(1)
    return replace(cape, centre=cape.centre + shift[:, None])
