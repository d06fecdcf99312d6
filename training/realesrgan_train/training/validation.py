"""Measure a generator on held-out pictures, shared out over processes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from realesrgan_train.config.data import ValidationConfig
from realesrgan_train.data.opening import open_pairs, open_sources
from realesrgan_train.data.pictures import Picture
from realesrgan_train.data.sampler import torch_seed
from realesrgan_train.degradations.config import DegradationConfig
from realesrgan_train.degradations.degrader import Degrader
from realesrgan_train.errors import DataError
from realesrgan_train.inference import enlarge
from realesrgan_train.metrics import picture_metrics
from realesrgan_train.training.distributed import ProcessGroup

_VALIDATION_SEED = 20_240_229  # fixed: the same pictures are degraded alike in every run


def light_degradation() -> DegradationConfig:
    """A fixed mild degradation: Gaussian blur of sigma 1.2, area shrink, sigma 1/255, JPEG 92."""
    only_iso = {
        "iso": 1.0,
        "aniso": 0.0,
        "generalized_iso": 0.0,
        "generalized_aniso": 0.0,
        "plateau_iso": 0.0,
        "plateau_aniso": 0.0,
    }
    keep = {"up": 0.0, "down": 0.0, "keep": 1.0, "modes": ("area",)}
    noise = {
        "gaussian_probability": 1.0,
        "gaussian_sigma": (1.0, 1.0),
        "gray_probability": 0.0,
    }
    kernel = {
        "size": (13, 13),
        "families": only_iso,
        "sigma": (1.2, 1.2),
        "sinc_probability": 0.0,
    }
    return DegradationConfig.model_validate(
        {
            "granularity": "sample",
            "patch_size": None,
            "pool_size": 0,
            "first": {
                "kernel": kernel,
                "resize": keep,
                "noise": {**noise, "probability": 0.0},
                "jpeg_probability": 0.0,
            },
            "second": {
                "blur_probability": 0.0,
                "kernel": kernel,
                "resize": keep,
                "noise": noise,
                "jpeg_quality": (92.0, 92.0),
            },
            "resize_before_jpeg": 1.0,
            "final_sinc": {"probability": 0.0},
            "usm": {"weight": 0.0},
        }
    )


@dataclass
class ValidationPair:
    """One picture to measure on: `[1, 3, H, W]` tensors in 0..1."""

    name: str
    lq: Tensor
    gt: Tensor


def _tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


def _centre(picture: Picture, edge: int, multiple: int) -> Picture:
    """The centre square of `edge` pixels (0: all), both edges cut to the multiple."""
    height, width = picture.shape[:2]
    h = (min(edge, height) if edge else height) // multiple * multiple
    w = (min(edge, width) if edge else width) // multiple * multiple
    top, left = (height - h) // 2, (width - w) // 2
    return picture[top : top + h, left : left + w]


class ValidationSet:
    """The pictures to measure on, by number; each is the same whenever it is asked for.

    Args:
        config: the validation section.
        scale: target edge over input edge.
        training: the run's degradation, for `degradation: training`.

    Raises:
        DataError: a source is missing, or there is none.
    """

    def __init__(self, config: ValidationConfig, scale: int, training: DegradationConfig) -> None:
        self.config, self.scale = config, scale
        self.pictures = open_sources(config.pictures)
        self.pairs = open_pairs(config.pairs, scale)
        self._count = len(self.pictures or ()) + len(self.pairs or ())
        if not self._count:
            raise DataError("validation has neither pictures nor pairs: name a folder")
        if config.limit:
            self._count = min(self._count, config.limit)
        self._degrader = self._make_degrader(config.degradation, training)

    def _make_degrader(
        self, kind: Literal["training", "light", "bicubic"], training: DegradationConfig
    ) -> Degrader | None:
        if kind == "bicubic":
            return None
        recipe = training if kind == "training" else light_degradation()
        return Degrader(recipe.model_copy(update={"patch_size": None, "pool_size": 0}), self.scale)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> ValidationPair:
        """The picture's pair, on the CPU."""
        given = len(self.pictures or ())
        if self.pairs is not None and index >= given:
            gt, lq = self.pairs.decode(index - given)
            return ValidationPair(self.pairs.label(index - given), _tensor(lq), _tensor(gt))
        assert self.pictures is not None
        picture = _centre(self.pictures.decode(index), self.config.crop, self.scale)
        if min(picture.shape[:2]) < 16 * self.scale:
            raise DataError(
                f"{self.pictures.label(index)} is too small to measure on: at scale {self.scale} "
                f"{16 * self.scale} pixels is the least"
            )
        gt_tensor = _tensor(np.ascontiguousarray(picture))
        return ValidationPair(self.pictures.label(index), self._shrink(gt_tensor, index), gt_tensor)

    def _shrink(self, gt: Tensor, index: int) -> Tensor:
        if self._degrader is None:
            small = functional.interpolate(
                gt, scale_factor=1 / self.scale, mode="bicubic", antialias=True
            )
            return (small.clamp(0, 1) * 255).round() / 255
        generator = torch.Generator().manual_seed(torch_seed(_VALIDATION_SEED, index))
        lq: Tensor = self._degrader(gt, generator).lq
        return lq


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
) -> Iterator[tuple[str, dict[str, float]]]:
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
        yield pair.name, figures


def validate(
    network: nn.Module,
    pictures: ValidationSet,
    group: ProcessGroup,
    samples: Path | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> tuple[dict[str, float], list[tuple[str, dict[str, float]]]]:
    """Measure a generator; every process measures its share and gets the means over all.

    Args:
        network: the generator, on the group's device, in evaluation mode.
        pictures: the same on every process.
        group: this process among the others.
        samples: folder for sample pictures (bicubic, output, target), None for none.
        warn: told of each picture that cannot be read and is left out.

    Returns:
        Means of `psnr_y`, `ssim_y`, `psnr_rgb`, `ssim_rgb` and the same of bicubic enlargement
        (`bicubic_psnr_y`, ...), and this process's pictures with their figures.

    Raises:
        DataError: not one picture could be read.
    """
    each = list(_measure(network, pictures, group, samples, warn))
    names = [
        f"{p}{m}_{c}" for p in ("", "bicubic_") for c in ("y", "rgb") for m in ("psnr", "ssim")
    ]
    sums = {name: sum(figures[name] for _, figures in each) for name in names}
    totals = group.total({**sums, "count": float(len(each))})
    count = totals.pop("count")
    if not count:
        raise DataError(f"none of the {len(pictures)} validation pictures can be used")
    return {name: value / count for name, value in totals.items()}, each
