"""The held-out pictures a generator is measured on, the same whenever they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from realesrgan_train.config.data import ValidationConfig
from realesrgan_train.config.degradation import DegradationConfig
from realesrgan_train.data.opening import open_pairs, open_sources
from realesrgan_train.data.pictures import Picture
from realesrgan_train.data.sampler import torch_seed
from realesrgan_train.degradations.degrader import Degrader
from realesrgan_train.errors import ConfigError, DataError

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


def smallest_edge(scale: int) -> int:
    """The least edge of a target, in pixels: without its border it must hold SSIM's window."""
    return 16 * scale


def check_crop(config: ValidationConfig, scale: int) -> None:
    """Raise ConfigError for a crop that is too small to measure on."""
    if config.crop and config.crop < smallest_edge(scale):
        raise ConfigError(
            f"validation.crop is {config.crop}, too small to measure on: at scale {scale} "
            f"{smallest_edge(scale)} pixels is the least (0 takes whole pictures)"
        )


def too_small(label: str, height: int, width: int, scale: int) -> str:
    """Why a target cannot be measured on, or nothing."""
    least = smallest_edge(scale)
    if min(height, width) >= least:
        return ""
    return (
        f"{label}: {width}x{height} is too small to measure on: at scale {scale} {least} pixels "
        "is the least"
    )


class ValidationSet:
    """The pictures to measure on, by number; each is the same whenever it is asked for.

    Args:
        config: the validation section.
        scale: target edge over input edge.
        training: the run's degradation, for `degradation: training`.

    Raises:
        ConfigError: the crop is too small to measure on.
        DataError: a source is missing, or there is none.
    """

    def __init__(self, config: ValidationConfig, scale: int, training: DegradationConfig) -> None:
        check_crop(config, scale)
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
        """The picture's pair, on the CPU.

        Raises:
            DataError: it cannot be read, or is too small to measure on.
        """
        given = len(self.pictures or ())
        if self.pairs is not None and index >= given:
            label = self.pairs.label(index - given)
            gt, lq = self.pairs.decode(index - given)
            self._check_size(label, gt)
            return ValidationPair(label, _tensor(lq), _tensor(gt))
        assert self.pictures is not None
        label = self.pictures.label(index)
        picture = _centre(self.pictures.decode(index), self.config.crop, self.scale)
        self._check_size(label, picture)
        gt_tensor = _tensor(np.ascontiguousarray(picture))
        return ValidationPair(label, self._shrink(gt_tensor, index), gt_tensor)

    def _check_size(self, label: str, gt: Picture) -> None:
        problem = too_small(label, gt.shape[0], gt.shape[1], self.scale)
        if problem:
            raise DataError(problem)

    def check(self) -> None:
        """Make sure before step 1 that at least one picture can be measured on.

        Raises:
            DataError: none can, with what is wrong with the last.
        """
        problem = ""
        for index in range(len(self)):
            try:
                self[index]
            except DataError as error:
                problem = str(error)
            else:
                return
        raise DataError(f"none of the {len(self)} validation pictures can be used; {problem}")

    def _shrink(self, gt: Tensor, index: int) -> Tensor:
        if self._degrader is None:
            small = functional.interpolate(
                gt, scale_factor=1 / self.scale, mode="bicubic", antialias=True
            )
            return (small.clamp(0, 1) * 255).round() / 255
        generator = torch.Generator().manual_seed(torch_seed(_VALIDATION_SEED, index))
        lq: Tensor = self._degrader(gt, generator).lq
        return lq
