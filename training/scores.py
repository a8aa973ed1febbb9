# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of network outputs against rendered truth."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.reader.layout import COUNTS, HEIGHT, JOINTS, KEYPOINTS, STRIDE
from training.dataset import Batch
from training.losses import SLICES, peak_places
from training.sample import UNKNOWN_PART

NEAR = 0.05  # of the figure's height, for a joint; of the head's height, for a part of the face
HEAD_TOP, CHIN = KEYPOINTS.index("headTop"), KEYPOINTS.index("chin")


def lengths(batch: Batch) -> tuple[Tensor, Tensor]:
    """(B,) the figure's and the head's height in input pixels; the head's is NaN where it is not known."""
    rows = (batch["parts"] > 0).any(2)
    figure = rows.sum(1).clamp(min=1).float() * STRIDE
    head = (batch["points"][:, HEAD_TOP] - batch["points"][:, CHIN]).norm(dim=-1)
    both = batch["known"][:, HEAD_TOP] & batch["known"][:, CHIN]
    return figure, torch.where(both, head, torch.full_like(head, float("nan")))


def near(places: Tensor, batch: Batch) -> Tensor:
    """(B, K) bool: within NEAR of the truth; False where there is none."""
    figure, head = lengths(batch)
    error = (places - batch["points"]).norm(dim=-1)
    scale = figure[:, None].repeat(1, len(KEYPOINTS))
    scale[:, len(JOINTS) :] = head[:, None].nan_to_num(1.0)
    return (error <= NEAR * scale) & batch["known"]


def quick_scores(maps: Tensor, vector: Tensor, batch: Batch) -> dict[str, tuple[float, float]]:
    """name: (how many were right, how many there were)."""
    places, _ = peak_places(maps[:, : len(KEYPOINTS)])
    good, known, head = near(places, batch), batch["known"], batch["head"]
    body, face = slice(0, len(JOINTS)), slice(len(KEYPOINTS) - 3, len(KEYPOINTS))

    def share(rows: Tensor, columns: slice) -> tuple[float, float]:
        return float(good[rows, columns].sum()), float(known[rows, columns].sum())

    # The truth has the resolution of full pictures.
    rows, columns = batch["parts"].shape[1:]
    whole = F.interpolate(maps[:, len(KEYPOINTS) :], size=(rows, columns), mode="bilinear", align_corners=False)
    parts = whole[:, :-2].argmax(1)
    shown = ((batch["parts"] > 0) | (parts > 0)) & (batch["parts"] != UNKNOWN_PART)
    one = torch.isfinite(batch["yaw"])
    turned = torch.atan2(*vector[one][:, SLICES["yaw"]].unbind(1))
    off = (torch.rad2deg(turned) - batch["yaw"][one] + 180) % 360 - 180
    counted = batch["count"] >= 0
    guess = vector[:, SLICES["count"]].argmax(1)
    nobody = batch["count"] == COUNTS.index("none")
    front = torch.isfinite(batch["front"])
    depth_error = (whole[:, -2] - batch["front"].nan_to_num()).abs()[front] * HEIGHT
    return {
        "joints": share(~head, body),
        "eyes and mouth": share(head, face),
        "eyes": share(head, slice(face.start, face.stop - 1)),
        "mouth": share(head, slice(face.stop - 1, face.stop)),
        "parts": (float((parts == batch["parts"])[shown].sum()), float(shown.sum())),
        "mask": (float(((parts > 0) & (batch["parts"] > 0) & shown).sum()), float(shown.sum())),
        "yaw within 15": (float((off.abs() <= 15).sum()), float(one.sum())),
        "count": (float((guess == batch["count"])[counted].sum()), float(counted.sum())),
        "nobody found": (float((guess == batch["count"])[nobody].sum()), float(nobody.sum())),
        "depth within 8 px": (float((depth_error <= 8).sum()), float(depth_error.numel())),
    }
