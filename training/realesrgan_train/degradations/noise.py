"""Gaussian and Poisson noise, in colour or gray, with a strength for each sample."""

from __future__ import annotations

import torch
from torch import Tensor

from realesrgan_train.degradations.extent import Extent, indicator, to_device

_GRAY = (0.2989, 0.587, 0.114)
"""Gray level of RGB as torchvision's `rgb_to_grayscale` rounds BT.601, which the recipe calls."""


def device_generator(device: torch.device, seed: int) -> torch.Generator | None:
    """A generator that starts at the seed; None on the meta device, which computes nothing."""
    if device.type == "meta":
        return None
    return torch.Generator(device).manual_seed(seed)


def _planes(is_gray: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Which of the B * C planes need a noise field, and which field each plane takes.

    A gray sample needs one field for its channels. Host tensors: (planes [P], field of each plane
    [B * C]).
    """
    first = torch.ones(len(is_gray), 1, dtype=torch.bool)
    others = (~is_gray).view(-1, 1).expand(-1, channels - 1)
    needed = torch.cat((first, others), dim=1).flatten()
    fields = needed.cumsum(0) - 1
    return needed.nonzero().flatten(), fields


def _spread(noise: Tensor, is_gray: Tensor, channels: int) -> Tensor:
    """From the needed fields [P, H, W] to all planes [B, C, H, W]."""
    _, height, width = noise.shape
    if channels == 1 or not is_gray.any():  # on the host
        return noise.view(-1, channels, height, width)
    _, fields = _planes(is_gray, channels)
    spread = noise.index_select(0, to_device(fields, noise.device))
    return spread.view(-1, channels, height, width)


def gaussian_noise(x: Tensor, sigma: Tensor, is_gray: Tensor, seed: int) -> Tensor:
    """Normal noise to be added to x.

    Args:
        x: [B, C, H, W], 0..1, of 3 channels or 1; only its shape, type and device are used.
        sigma: [B] on the host, deviation in 1/255.
        is_gray: bool [B] on the host; the three channels of a gray sample get the same noise. With
            one channel it makes no difference.
        seed: Seed of the noise field; every sample has a field of its own.
    """
    channels = x.shape[1]
    planes, _ = _planes(is_gray, channels)
    shape = (len(planes), x.shape[2], x.shape[3])
    generator = device_generator(x.device, seed)
    field = torch.randn(shape, generator=generator, device=x.device, dtype=x.dtype)
    strength = (sigma / 255).to(x.dtype)[planes // channels].view(-1, 1, 1)
    return _spread(field * to_device(strength, x.device), is_gray, channels)


def poisson_noise(
    x: Tensor, scale: Tensor, is_gray: Tensor, seed: int, extent: Extent | None = None
) -> Tensor:
    """Shot noise to be added to x: (Poisson(v x) / v - x) * scale, x rounded to 8 bits.

    v is the number of distinct 8-bit levels in the sample, rounded up to a power of two: pictures
    with few levels are taken for short exposures.

    Args:
        x: [B, C, H, W], 0..1, of 3 channels or 1.
        scale: [B] on the host, factor on the noise.
        is_gray: bool [B] on the host; a gray sample's noise is that of its gray picture. With one
            channel it makes no difference.
        seed: Seed of the noise field; every sample has a field of its own.
        extent: Sizes of the samples where they differ; levels outside do not count.
    """
    channels = x.shape[1]
    seen = x
    if channels == 3:
        gray = to_device(is_gray.view(-1, 1, 1, 1), x.device)
        red, green, blue = x.unbind(1)
        luma = (_GRAY[0] * red + _GRAY[1] * green + _GRAY[2] * blue).unsqueeze(1)
        seen = torch.where(gray, luma, x)
    levels = (seen.clamp(0, 1) * 255).round()
    exposure = _exposure(levels, extent)
    planes, _ = _planes(is_gray, channels)
    needed = levels.view(-1, *x.shape[2:]).index_select(0, to_device(planes, x.device))
    each = exposure.index_select(0, to_device(planes // channels, x.device)).view(-1, 1, 1)
    generator = device_generator(x.device, seed)
    counts = torch.poisson(needed * (each / 255), generator=generator)
    strength = to_device(scale.to(x.dtype)[planes // channels].view(-1, 1, 1), x.device)
    noise = counts.div_(each).sub_(needed, alpha=1 / 255).mul_(strength)
    return _spread(noise, is_gray, channels)


def _exposure(levels: Tensor, extent: Extent | None) -> Tensor:
    """Distinct values among 0..255, rounded up to a power of two: float [B]."""
    batch = len(levels)
    index = levels.long()
    if extent is not None and not extent.is_uniform:
        index = index.where(indicator(extent, levels.device), 256)
    seen = levels.new_zeros(batch, 257).scatter_(1, index.reshape(batch, -1), 1.0)
    distinct = seen[:, :256].sum(1).clamp(min=1)
    return torch.exp2(torch.log2(distinct).ceil())
