# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for the second opinion's own decoder (`training.joints`), as what MoveNet's frozen layers make of them:

    python -m training.joint_pictures OUT --characters FOLDER --pictures 6144 [--validation 512] [--seed 0] [--bold]

Whole figures are rendered with twice the reader's pixels, restyled as in training, and cut as `backend.reader` cuts
them for MoveNet. OUT/train and OUT/validation get shards: per layer of TAPS one .npy in half precision, and the truth.
A shard depends only on the characters, the seed and its number; called again, the command makes those that are missing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.reader.layout import HEIGHT, WIDTH
from backend.reader.limbs import POINTS, SIDE, SWAPPED_POINTS
from training.cast import make_cast, read_folder
from training.dataset import Batch
from training.sample import Cast, make_figure
from training.variety import drawn, figure_boxes, recolour, restyle

SHARD, BATCH = 128, 32
# Layers of MoveNet as `training.movenet` names them: channels and cells across.
TAPS = {
    "conv_276": (560, 8), "add_234": (168, 16), "add_197": (112, 16), "add_144": (56, 32), "relu_297": (24, 32),
    "relu_305": (24, 64),
}  # fmt: skip
FILLED = (0.72, 1.0)  # of the square, by the figure's longer side
RESTYLED = 0.55  # of the bold pictures, as if drawn in another technique


def squares(raw: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random frames round the figures, as the reader's boxes and FILLS make them and a little worse: matrix (B, 2, 2)
    and centre (B, 2), so that matrix @ pixel + centre is where a pixel of the square, counted from its middle, comes
    from in WIDTH x HEIGHT; which rows are mirrored (B,).
    """
    count = len(raw["image"])

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand((count, *shape), generator=generator) * (high - low) + low

    centre, extent, _ = figure_boxes(raw["parts"])
    centre = centre + torch.randn(count, 2, generator=generator) * 0.025 * extent
    scale = extent.amax(1) / (SIDE * uniform(*FILLED))
    wide = torch.exp(uniform(-0.1, 0.1))
    angle = torch.randn(count, generator=generator) * torch.where(uniform(0, 1) < 0.2, 0.2, 0.05)
    flip = uniform(0, 1) < 0.5
    cos, sin, sign = torch.cos(angle), torch.sin(angle), 1.0 - 2.0 * flip
    across = torch.stack([cos * sign, sin * sign], -1) * (scale * wide)[:, None]
    down = torch.stack([-sin, cos], -1) * (scale / wide)[:, None]
    return torch.stack([across, down], -1), centre, flip


def cut(raw: Batch, generator: torch.Generator, varied: bool, bold: bool = False) -> tuple[Tensor, Batch]:
    """pictures (B, 3, SIDE, SIDE), whole numbers 0..255, and their ground truth: points (B, K, 2) of POINTS in their
    pixels; known (B, K); tall (B,), the figure's height in the same pixels; zoom (B,), their pixels per pixel of WIDTH
    x HEIGHT; flip (B,), which are mirrored. varied: in other colours and textures; bold: some as if drawn in another
    technique, too.
    """
    image = raw["image"].permute(0, 3, 1, 2).float()
    matrix, centre, flip = squares(raw, generator)
    if varied:
        image = restyle(image, raw, generator)
    half = torch.tensor([WIDTH / 2, HEIGHT / 2])
    theta = torch.cat([matrix * (SIDE / 2) / half.view(1, 2, 1), ((centre - half) / half)[..., None]], -1)
    grid = F.affine_grid(theta, [len(image), 3, SIDE, SIDE], align_corners=False)
    edge = torch.cat([image[:, :, 0], image[:, :, -1], image[:, :, :, 0], image[:, :, :, -1]], 2)
    outside = edge.median(2).values[..., None, None]
    image = F.grid_sample(image - outside, grid, align_corners=False) + outside
    if varied:
        image = recolour(image, generator)
    if bold:
        image = drawn(image, torch.rand(len(image), generator=generator) < RESTYLED, generator)
    points = torch.einsum("bij,bkj->bki", torch.linalg.inv(matrix), raw["points"][:, : len(POINTS)] - centre[:, None])
    points = points + SIDE / 2
    known = raw["known"][:, : len(POINTS)]
    points = torch.where(flip[:, None, None], points[:, SWAPPED_POINTS], points)
    known = torch.where(flip[:, None], known[:, SWAPPED_POINTS], known)
    known = known & (points > -2).all(-1) & (points < SIDE + 2).all(-1)
    zoom = torch.linalg.det(matrix).abs().rsqrt()
    tall = figure_boxes(raw["parts"])[1][:, 1] * zoom
    found = {"points": points, "known": known, "tall": tall, "zoom": zoom, "flip": flip}
    return image.round().clamp(0, 255), found


def tapped(path: Path, taps: Iterable[str] = tuple(TAPS)) -> onnxruntime.InferenceSession:
    """MoveNet as `training.movenet` wrote it, or limbs.onnx, that also puts out these of TAPS."""
    model = onnx.load(path)
    for name in taps:
        channels, cells = TAPS[name]
        shape = ["n", channels, cells, cells]
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def make_batch(
    cast: Cast, seed: tuple[int, ...], network: onnxruntime.InferenceSession, varied: bool, bold: bool = False
) -> dict[str, np.ndarray]:
    """BATCH pictures: the fields of a shard."""
    samples = [make_figure(cast, (*seed, k), bold=bold) for k in range(BATCH)]
    raw = {name: torch.from_numpy(np.stack([s[name] for s in samples])) for name in samples[0]}
    raw["points"] = raw["points"].nan_to_num()
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    pictures, truth = cut(raw, generator, varied, bold)
    found = network.run(list(TAPS), {"pictures": pictures.numpy()})
    out = {name: value.astype(np.float16) for name, value in zip(TAPS, found, strict=True)}
    return out | {
        "points": truth["points"].numpy(), "known": truth["known"].numpy(), "tall": truth["tall"].numpy(),
        "arms": raw["arms"].numpy(), "character": raw["character"].numpy(),
    }  # fmt: skip


def make_shard(
    out: Path,
    cast: Cast,
    seed: tuple[int, ...],
    network: onnxruntime.InferenceSession,
    varied: bool,
    bold: bool = False,
) -> None:
    """Writes one shard; it appears complete or not at all."""
    batches = [make_batch(cast, (*seed, k), network, varied, bold) for k in range(SHARD // BATCH)]
    temporary = out.with_name(out.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name in batches[0]:
        np.save(temporary / f"{name}.npy", np.concatenate([b[name] for b in batches]))
    temporary.rename(out)


def record(options: argparse.Namespace, casts: dict[str, Cast]) -> None:
    """OUT/data.json: the seed, how many pictures, whether they are bold, and the digest of every character."""
    characters = {p: {m.character.name: m.character.digest() for m in cast.models} for p, cast in casts.items()}
    counts = {"pictures": options.pictures, "validation": options.validation}
    options.out.mkdir(parents=True, exist_ok=True)
    bold = {"bold": True} if vars(options).get("bold") else {}
    found = {"seed": options.seed, **counts, **bold, "characters": characters}
    (options.out / "data.json").write_text(json.dumps(found) + "\n", encoding="utf-8")


def command(doc: str | None) -> argparse.ArgumentParser:
    """The options that `missing` needs."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--characters", type=Path, action="append", required=True, help="may be given several times")
    parser.add_argument("--pictures", type=int, default=6144)
    parser.add_argument("--validation", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser


def missing(options: argparse.Namespace, end: str = "") -> Iterator[tuple[Path, Cast, tuple[int, ...], bool]]:
    """Each shard of SHARD figures that is not there yet: its path, which ends in `end`, the cast, the seed, and whether
    its pictures are varied. Records what they are made of first.
    """
    characters = [c for folder in options.characters for c in read_folder(folder)]
    casts = {part: make_cast(characters, part == "validation") for part in ("validation", "train")}
    counts = {"validation": options.validation, "train": options.pictures}
    record(options, casts)
    began, done = time.monotonic(), 0
    for part, cast in casts.items():
        (options.out / part).mkdir(parents=True, exist_ok=True)
        for number in range(-(-counts[part] // SHARD)):
            path = options.out / part / f"{options.seed:03d}_{number:05d}{end}"
            if not path.exists():
                yield path, cast, (options.seed, int(part == "validation"), number), part == "train"
                done += SHARD
                print(f"{part} {number}: {done / (time.monotonic() - began):.1f} figures a second", flush=True)


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--movenet", type=Path, required=True, help="what training.movenet wrote, or limbs.onnx")
    parser.add_argument(
        "--bold", action="store_true", help="more raised arms, proportions of cartoons, drawn techniques"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = tapped(options.movenet)
    for out, cast, seed, varied in missing(options):
        make_shard(out, cast, seed, network, varied, options.bold)


if __name__ == "__main__":
    main()
