"""What was drawn for one batch: every random decision of the recipe but the noise fields."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class DrawnKernel:
    """One blur kernel a sample; every field is [B].

    Attributes:
        applied: bool; false leaves the sample as it is.
        size: int64, odd tap count.
        is_sinc: bool; true takes the sinc of `cutoff`, false the kernel of `family`.
        family: int64, index into `KERNEL_FAMILIES`.
        sigma_x: float64, pixels, along the rotated first axis.
        sigma_y: float64, pixels, along the other; equal to sigma_x for isotropic families.
        rotation: float64, radians, 0 for isotropic families.
        beta: float64, exponent of the generalized and plateau families, 1 for the plain ones.
        cutoff: float64, radians.
    """

    applied: Tensor
    size: Tensor
    is_sinc: Tensor
    family: Tensor
    sigma_x: Tensor
    sigma_y: Tensor
    rotation: Tensor
    beta: Tensor
    cutoff: Tensor


@dataclass(frozen=True)
class DrawnResize:
    """One resize a sample; every field is [B].

    Attributes:
        direction: int64; 0 up, 1 down, 2 keep.
        factor: float64, new size over the reference size.
        mode: int64, index into `RESIZE_MODES`.
    """

    direction: Tensor
    factor: Tensor
    mode: Tensor


@dataclass(frozen=True)
class DrawnNoise:
    """One noise a sample; every field is [B].

    Attributes:
        applied: bool.
        is_gaussian: bool; false is Poisson.
        sigma: float64, deviation of the Gaussian noise in 1/255.
        poisson_scale: float64, factor on the Poisson noise.
        is_gray: bool; true adds the same noise to the three channels.
        seed: int64; where several samples are treated together, the first one's seed starts their
            noise field on the device.
    """

    applied: Tensor
    is_gaussian: Tensor
    sigma: Tensor
    poisson_scale: Tensor
    is_gray: Tensor
    seed: Tensor


@dataclass(frozen=True)
class DrawnJpeg:
    """One JPEG compression a sample: `applied` bool [B] and `quality` float64 [B], 1..100."""

    applied: Tensor
    quality: Tensor


@dataclass(frozen=True)
class DrawnOrder:
    """One order of degradation."""

    kernel: DrawnKernel
    resize: DrawnResize
    noise: DrawnNoise
    jpeg: DrawnJpeg


@dataclass(frozen=True)
class DrawnParameters:
    """All decisions for a batch of B samples, as host tensors.

    Attributes:
        first: the first order.
        second: the second order; its resize factor is relative to (ground truth / scale).
        final_sinc: the filter at the end.
        final_mode: int64 [B], index into `RESIZE_MODES`, of the resize to (ground truth / scale).
        resize_before_jpeg: bool [B]; whether resizing and the final sinc come before the last JPEG.
        crop_y: float64 [B] in 0..1, where the patch is cut.
        crop_x: float64 [B] in 0..1.
    """

    first: DrawnOrder
    second: DrawnOrder
    final_sinc: DrawnKernel
    final_mode: Tensor
    resize_before_jpeg: Tensor
    crop_y: Tensor
    crop_x: Tensor

    @property
    def batch(self) -> int:
        """Number of samples."""
        return len(self.crop_y)

    def select(self, samples: Tensor) -> DrawnParameters:
        """The decisions of some samples, int64 [N], in that order."""
        chosen: DrawnParameters = _select(self, samples)
        return chosen


def _select(drawn: Any, samples: Tensor) -> Any:  # noqa: ANN401 - any of the classes above
    """The same dataclass with every tensor, however deep, indexed."""
    if isinstance(drawn, Tensor):
        return drawn[samples]
    parts = {item.name: getattr(drawn, item.name) for item in fields(drawn)}
    return replace(drawn, **{name: _select(part, samples) for name, part in parts.items()})


def uniform(generator: torch.Generator, bounds: tuple[float, float], count: int) -> Tensor:
    """float64 [count], uniform in bounds[0]..bounds[1]."""
    low, high = bounds
    return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)


def chance(generator: torch.Generator, probability: float, count: int) -> Tensor:
    """Bool [count], true with the probability."""
    return torch.rand(count, generator=generator, dtype=torch.float64) < probability


def choice(generator: torch.Generator, probabilities: tuple[float, ...], count: int) -> Tensor:
    """int64 [count], index i with probabilities[i]."""
    edges = torch.tensor(probabilities, dtype=torch.float64).cumsum(0)[:-1]
    draws = torch.rand(count, generator=generator, dtype=torch.float64)
    return torch.searchsorted(edges, draws, right=True)
