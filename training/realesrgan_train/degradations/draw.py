"""The random decisions of the recipe (all but the noise fields), drawn on the host."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from realesrgan_train.config.degradation import (
    KERNEL_FAMILIES,
    VIDEO_CODECS,
    DegradationConfig,
    FinalSincConfig,
    KernelConfig,
    NoiseConfig,
    OrderConfig,
    ResizeConfig,
    VideoConfig,
)
from realesrgan_train.degradations.resize import RESIZE_MODES


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
class DrawnVideo:
    """One video compression a sample; every field is [B].

    Attributes:
        applied: bool.
        codec: int64, index into `VIDEO_CODECS`.
        quantiser: int64, as the codec's encoder takes it.
        frames: int64, frames of the clip whose last one the picture is.
        move_y: float64, pixels a frame downwards; so is `move_x`, to the right.
    """

    applied: Tensor
    codec: Tensor
    quantiser: Tensor
    frames: Tensor
    move_y: Tensor
    move_x: Tensor


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
        second: The second order; its resize factor is relative to (ground truth / scale).
        final_sinc: The filter at the end.
        final_mode: int64 [B], index into `RESIZE_MODES`, of the resize to (ground truth / scale).
        resize_before_jpeg: bool [B]; whether resizing and the final sinc come before the last JPEG.
        crop_y: float64 [B] in 0..1, where the patch is cut; so is `crop_x`.
        video: Compression as a frame of a video; None where the recipe has none.
    """

    first: DrawnOrder
    second: DrawnOrder
    final_sinc: DrawnKernel
    final_mode: Tensor
    resize_before_jpeg: Tensor
    crop_y: Tensor
    crop_x: Tensor
    video: DrawnVideo | None = None

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
    if drawn is None:
        return None
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


def _families(part: str) -> Tensor:
    """Indices of the kernel families whose name has a word."""
    return torch.tensor([i for i, name in enumerate(KERNEL_FAMILIES) if part in name.split("_")])


ISOTROPIC_FAMILIES = _families("iso")
GENERALIZED_FAMILIES = _families("generalized")
PLATEAU_FAMILIES = _families("plateau")


class _Draw:
    """Draws for one batch; `common` quantities are drawn once when the granularity is "batch"."""

    def __init__(self, batch: int, per_sample: bool, generator: torch.Generator) -> None:
        self.batch = batch
        self.shared = batch if per_sample else 1
        self.generator = generator

    def common(self, drawn: Tensor) -> Tensor:
        """Spread [1] or [B] over the batch."""
        return drawn.expand(self.batch)

    def sizes(self, bounds: tuple[int, int]) -> Tensor:
        """Odd sizes, all equally likely."""
        count = (bounds[1] - bounds[0]) // 2 + 1
        steps = torch.randint(count, (self.batch,), generator=self.generator)
        return bounds[0] + 2 * steps

    def kernel(self, config: KernelConfig, blur_probability: float) -> DrawnKernel:
        g, n = self.generator, self.batch
        size = self.sizes(config.size)
        family = choice(g, config.families.as_tuple(), n)
        isotropic = torch.isin(family, ISOTROPIC_FAMILIES)
        sigma_x, sigma_y = uniform(g, config.sigma, n), uniform(g, config.sigma, n)
        rotation = uniform(g, config.rotation, n)
        cutoffs = torch.where(
            size < config.sinc_small_below,
            uniform(g, config.sinc_cutoff_small, n),
            uniform(g, config.sinc_cutoff_large, n),
        )
        return DrawnKernel(
            applied=self.common(chance(g, blur_probability, self.shared)),
            size=size,
            is_sinc=chance(g, config.sinc_probability, n),
            family=family,
            sigma_x=sigma_x,
            sigma_y=torch.where(isotropic, sigma_x, sigma_y),
            rotation=torch.where(isotropic, torch.zeros_like(rotation), rotation),
            beta=self._beta(config, family),
            cutoff=cutoffs,
        )

    def _beta(self, config: KernelConfig, family: Tensor) -> Tensor:
        """Half of the draws below 1, half above; the plain families have 1."""
        g, n = self.generator, self.batch
        below = chance(g, 0.5, n)
        beta = torch.ones(n, dtype=torch.float64)
        for families, (low, high) in (
            (GENERALIZED_FAMILIES, config.beta_generalized),
            (PLATEAU_FAMILIES, config.beta_plateau),
        ):
            drawn = torch.where(below, uniform(g, (low, 1.0), n), uniform(g, (1.0, high), n))
            beta = torch.where(torch.isin(family, families), drawn, beta)
        return beta

    def resize(self, config: ResizeConfig) -> DrawnResize:
        g, n = self.generator, self.shared
        direction = choice(g, (config.up, config.down, config.keep), n)
        up = uniform(g, (1.0, config.factor[1]), n)
        down = uniform(g, (config.factor[0], 1.0), n)
        factor = torch.where(direction == 0, up, down).masked_fill(direction == 2, 1.0)
        return DrawnResize(self.common(direction), self.common(factor), self.mode(config))

    def mode(self, config: ResizeConfig) -> Tensor:
        """Resize modes, all allowed ones equally likely."""
        allowed = torch.tensor([RESIZE_MODES.index(mode) for mode in config.modes])
        picked = torch.randint(len(allowed), (self.shared,), generator=self.generator)
        return self.common(allowed[picked])

    def noise(self, config: NoiseConfig) -> DrawnNoise:
        g, n = self.generator, self.batch
        return DrawnNoise(
            applied=self.common(chance(g, config.probability, self.shared)),
            is_gaussian=self.common(chance(g, config.gaussian_probability, self.shared)),
            sigma=uniform(g, config.gaussian_sigma, n),
            poisson_scale=uniform(g, config.poisson_scale, n),
            is_gray=chance(g, config.gray_probability, n),
            seed=torch.randint(2**62, (n,), generator=g),
        )

    def order(self, config: OrderConfig) -> DrawnOrder:
        kernel = self.kernel(config.kernel, config.blur_probability)
        resize = self.resize(config.resize)
        noise = self.noise(config.noise)
        compressed = self.common(chance(self.generator, config.jpeg_probability, self.shared))
        quality = uniform(self.generator, config.jpeg_quality, self.batch)
        return DrawnOrder(kernel, resize, noise, DrawnJpeg(compressed, quality))

    def final_sinc(self, config: FinalSincConfig) -> DrawnKernel:
        g, n = self.generator, self.batch
        zeros = torch.zeros(n, dtype=torch.float64)
        return DrawnKernel(
            applied=chance(g, config.probability, n),
            size=self.sizes(config.size),
            is_sinc=torch.ones(n, dtype=torch.bool),
            family=torch.zeros(n, dtype=torch.int64),
            sigma_x=zeros + 1,
            sigma_y=zeros + 1,
            rotation=zeros,
            beta=zeros + 1,
            cutoff=uniform(g, config.cutoff, n),
        )

    def video(self, config: VideoConfig) -> DrawnVideo | None:
        if not config.probability:
            return None
        g, n = self.generator, self.batch
        codec = choice(g, config.codecs.as_tuple(), n)
        bounds = torch.tensor([getattr(config, name) for name in VIDEO_CODECS])
        low, high = bounds[codec].unbind(1)
        place = torch.rand(n, generator=g, dtype=torch.float64)
        first, last = config.frames
        return DrawnVideo(
            applied=chance(g, config.probability, n),
            codec=codec,
            quantiser=low + (place * (high - low + 1)).long(),
            frames=torch.randint(first, last + 1, (n,), generator=g),
            move_y=uniform(g, (-config.motion, config.motion), n),
            move_x=uniform(g, (-config.motion, config.motion), n),
        )


def draw(config: DegradationConfig, batch: int, generator: torch.Generator) -> DrawnParameters:
    """Draw every decision of the recipe for `batch` samples; a generator's state decides alone.

    With granularity "batch" the resize, the noise family, whether a blur runs and the last order
    are the same for all samples.

    Raises:
        ValueError: For an empty batch or a generator of another device than the CPU.
    """
    if batch < 1:
        raise ValueError(f"draw: the batch must have at least one sample, not {batch}")
    if generator.device.type != "cpu":
        raise ValueError(
            f"draw: needs a generator of the CPU, not of {generator.device} (decisions are drawn "
            "on the host; noise fields on the device are seeded from them)"
        )
    one = _Draw(batch, config.granularity == "sample", generator)
    first, second = one.order(config.first), one.order(config.second)
    return DrawnParameters(
        first=first,
        second=second,
        final_sinc=one.final_sinc(config.final_sinc),
        final_mode=one.mode(config.second.resize),
        resize_before_jpeg=one.common(chance(generator, config.resize_before_jpeg, one.shared)),
        crop_y=uniform(generator, (0.0, 1.0), batch),
        crop_x=uniform(generator, (0.0, 1.0), batch),
        video=one.video(config.video),
    )
