"""Measure a generator on held-out pictures, shared out over processes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from realesrgan_train.engine.distributed import ProcessGroup
from realesrgan_train.engine.validation_set import ValidationSet
from realesrgan_train.errors import DataError
from realesrgan_train.inference import enlarge
from realesrgan_train.metrics import picture_metrics

Measured = tuple[str, dict[str, float]]
"""A picture's name and its figures."""


def bicubic(lq: Tensor, scale: int) -> Tensor:
    """The baseline every network must beat: bicubic enlargement."""
    return functional.interpolate(lq, scale_factor=scale, mode="bicubic", align_corners=False)


def _save_sample(path: Path, *pictures: Tensor) -> None:
    """Write pictures of one size side by side as PNG, whole or not at all."""
    row = torch.cat([p[0].detach().cpu().clamp(0, 1) for p in pictures], dim=-1)
    array = (row.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    Image.fromarray(array).save(temporary, format="PNG")
    temporary.replace(path)


def _measure(
    network: nn.Module,
    pictures: ValidationSet,
    group: ProcessGroup,
    samples: Path | None,
    warn: Callable[[str], None],
) -> Iterator[tuple[int, Measured]]:
    config, scale = pictures.config, pictures.scale
    for index in range(group.rank, len(pictures), group.world):
        try:
            pair = pictures[index]
        except DataError as error:
            warn(f"left out of the validation: {error}")
            continue
        lq, gt = pair.lq.to(group.device), pair.gt.to(group.device)
        output = enlarge(network, lq, scale, tile=config.tile, overlap=config.tile_overlap)
        baseline = bicubic(lq, scale)
        figures = picture_metrics(output, gt, scale)
        of_bicubic = picture_metrics(baseline, gt, scale)
        figures |= {f"bicubic_{name}": value for name, value in of_bicubic.items()}
        if samples is not None and index < config.samples:
            _save_sample(samples / f"{index:03d}.png", baseline, output, gt)
        yield index, (pair.name, figures)


def validate(
    network: nn.Module,
    pictures: ValidationSet,
    group: ProcessGroup,
    samples: Path | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> tuple[dict[str, float], list[Measured]]:
    """Measure a generator; every process measures its share and gets the figures of all.

    Args:
        network: the generator, on the group's device, in evaluation mode.
        pictures: the same on every process.
        group: this process among the others.
        samples: folder for sample pictures (bicubic, output, target), None for none.
        warn: told of each picture that cannot be read and is left out.

    Returns:
        Means of `psnr_y`, `ssim_y`, `psnr_rgb`, `ssim_rgb` and the same of bicubic enlargement
        (`bicubic_psnr_y`, ...), and all pictures with their figures, in order. How many
        processes there were makes no difference.

    Raises:
        DataError: not one picture could be read.
    """
    own = list(_measure(network, pictures, group, samples, warn))
    each = [measured for _, measured in sorted(group.gather(own), key=itemgetter(0))]
    if not each:
        raise DataError(f"none of the {len(pictures)} validation pictures can be used")
    names = [
        f"{p}{m}_{c}" for p in ("", "bicubic_") for c in ("y", "rgb") for m in ("psnr", "ssim")
    ]
    means = {name: sum(figures[name] for _, figures in each) / len(each) for name in names}
    return means, each
