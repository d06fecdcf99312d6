"""Draw the recipe's random decisions for a batch, on the host, from one generator."""

from __future__ import annotations

import torch
from torch import Tensor

from realesrgan_train.config.degradation import (
    DegradationConfig,
    FinalSincConfig,
    KernelConfig,
    NoiseConfig,
    OrderConfig,
    ResizeConfig,
)
from realesrgan_train.degradations.drawn import (
    DrawnJpeg,
    DrawnKernel,
    DrawnNoise,
    DrawnOrder,
    DrawnParameters,
    DrawnResize,
    chance,
    choice,
    uniform,
)
from realesrgan_train.degradations.kernels import (
    GENERALIZED_FAMILIES,
    ISOTROPIC_FAMILIES,
    PLATEAU_FAMILIES,
)
from realesrgan_train.degradations.resize import RESIZE_MODES


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


def draw(config: DegradationConfig, batch: int, generator: torch.Generator) -> DrawnParameters:
    """Draw every decision of the recipe for a batch.

    Args:
        config: the recipe.
        batch: number of samples, at least 1.
        generator: a generator of the CPU; the same state gives the same decisions.

    Returns:
        Host tensors of `batch` entries. With granularity "batch" the resize, the noise family,
        whether a blur runs and the last order are the same for all samples.

    Raises:
        ValueError: for an empty batch or a generator of another device.
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
    )
