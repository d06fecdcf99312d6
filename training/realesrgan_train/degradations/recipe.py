"""The steps of the recipe in their order, on decisions already drawn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from realesrgan_train.degradations.blur import filter2d
from realesrgan_train.degradations.drawn import DrawnKernel, DrawnNoise, DrawnParameters
from realesrgan_train.degradations.extent import Extent, to_device
from realesrgan_train.degradations.jpeg import jpeg
from realesrgan_train.degradations.kernels import drawn_kernels
from realesrgan_train.degradations.noise import gaussian_noise, poisson_noise
from realesrgan_train.degradations.resize import resize

_CPU_GROUP = 4
"""Samples of similar size degraded together on the CPU: little empty canvas, and the cache holds
them. A GPU takes the whole batch at once."""

_Stage = Callable[[Tensor, Tensor, Extent], Tensor]
"""(samples [N, 3, H, W], their indices [N] on the host, their extent) -> [N, 3, H, W]."""


def degrade(x: Tensor, drawn: DrawnParameters, scale: int) -> Tensor:
    """Both orders of the recipe.

    Args:
        x: [B, 3, H, W], 0..1.
        drawn: the decisions for B samples.
        scale: divides H and W.

    Returns:
        [B, 3, H / scale, W / scale], 0..1 in steps of 1/255.
    """
    x = _blur(x, drawn.first.kernel, Extent.of(x))
    group = _CPU_GROUP if x.device.type == "cpu" else len(x)
    if len(x) <= group:
        return _after_first_blur(x, drawn, scale)
    order = drawn.first.resize.factor.argsort(stable=True)
    parts = []
    for start in range(0, len(x), group):
        some = order[start : start + group]
        parts.append(_after_first_blur(x.index_select(0, some), drawn.select(some), scale))
    return torch.cat(parts).index_select(0, order.argsort())


def _after_first_blur(x: Tensor, drawn: DrawnParameters, scale: int) -> Tensor:
    full = Extent.of(x)
    low = full.divided(scale)
    first, second = drawn.first, drawn.second

    extent = full.scaled(first.resize.factor.tolist())
    x = resize(x, full, extent, first.resize.mode)
    x = _noise(x, first.noise, extent)
    x = _jpeg(x, first.jpeg.quality, first.jpeg.applied, extent)

    x = _blur(x, second.kernel, extent)
    smaller = low.scaled(second.resize.factor.tolist())
    x = resize(x, extent, smaller, second.resize.mode)
    x = _noise(x, second.noise, smaller)

    before = drawn.resize_before_jpeg
    x = _jpeg(x, second.jpeg.quality, second.jpeg.applied & ~before, smaller)
    x = resize(x, smaller, low, drawn.final_mode)
    x = _blur(x, drawn.final_sinc, low)
    x = _jpeg(x, second.jpeg.quality, second.jpeg.applied & before, low)
    return (x.clamp(0, 1) * 255).round() / 255


def _only(x: Tensor, extent: Extent, wanted: Tensor, stage: _Stage) -> Tensor:
    """Run a stage on the samples where `wanted` [B], on the host, is true, on their own canvas."""
    samples = wanted.nonzero().flatten()
    if len(samples) == 0:
        return x
    if len(samples) == len(x):
        return stage(x, samples, extent)
    index = to_device(samples, x.device)
    sizes = extent.select(samples.tolist())
    height, width = sizes.canvas
    changed = stage(x[..., :height, :width].index_select(0, index), samples, sizes)
    out = x.clone()
    out[..., :height, :width].index_copy_(0, index, changed)
    return out


def _blur(x: Tensor, drawn: DrawnKernel, extent: Extent) -> Tensor:
    kernels = drawn_kernels(drawn)

    def stage(some: Tensor, samples: Tensor, sizes: Extent) -> Tensor:
        return filter2d(some, to_device(kernels[samples], some.device), sizes, drawn.size[samples])

    return _only(x, extent, drawn.applied, stage)


def _noise(x: Tensor, drawn: DrawnNoise, extent: Extent) -> Tensor:
    def gaussian(some: Tensor, samples: Tensor, sizes: Extent) -> Tensor:
        sigma, is_gray = drawn.sigma[samples], drawn.is_gray[samples]
        noise = gaussian_noise(some, sigma, is_gray, int(drawn.seed[samples[0]]))
        return noise.add_(some).clamp_(0, 1)

    def poisson(some: Tensor, samples: Tensor, sizes: Extent) -> Tensor:
        scale, is_gray = drawn.poisson_scale[samples], drawn.is_gray[samples]
        seed = int(drawn.seed[samples[0]])
        return poisson_noise(some, scale, is_gray, seed, sizes).add_(some).clamp_(0, 1)

    x = _only(x, extent, drawn.applied & drawn.is_gaussian, gaussian)
    return _only(x, extent, drawn.applied & ~drawn.is_gaussian, poisson)


def _jpeg(x: Tensor, quality: Tensor, applied: Tensor, extent: Extent) -> Tensor:
    def stage(some: Tensor, samples: Tensor, sizes: Extent) -> Tensor:
        return jpeg(some, quality[samples], sizes)

    return _only(x, extent, applied, stage)
