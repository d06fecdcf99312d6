"""The steps of the recipe in their order, on decisions already drawn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from realesrgan_train.degradations.blur import filter2d
from realesrgan_train.degradations.drawn import DrawnKernel, DrawnNoise, DrawnParameters
from realesrgan_train.degradations.extent import Extent, to_device
from realesrgan_train.degradations.jpeg import jpeg
from realesrgan_train.degradations.kernels import drawn_kernels, is_separable
from realesrgan_train.degradations.noise import gaussian_noise, poisson_noise
from realesrgan_train.degradations.resize import resize

_CPU_GROUP = 4
"""Samples degraded together on the CPU, as many as its cache holds."""

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
    kernels = (drawn.first.kernel, drawn.second.kernel, drawn.final_sinc)
    taps = tuple(drawn_kernels(kernel) for kernel in kernels)
    x = _blur(x, drawn.first.kernel, taps[0], Extent.of(x))
    groups = same_sizes(drawn) if x.device.type == "cpu" else [list(range(len(x)))]
    if len(groups) == 1:
        return _tail(_to_low(x, drawn, taps[1], scale), drawn, taps[2])
    low = x.new_empty(len(x), 3, x.shape[2] // scale, x.shape[3] // scale)
    for group in groups:
        some = torch.tensor(group)
        low[some] = _to_low(x[some], drawn.select(some), taps[1][some], scale)
    return _tail(low, drawn, taps[2])


def same_sizes(drawn: DrawnParameters) -> list[list[int]]:
    """Samples that have one size all the way, in groups for the CPU.

    Its operations on pictures of one size are much faster than those on a canvas of several sizes,
    which a GPU takes for the sake of whole batches.
    """
    factors = zip(
        drawn.first.resize.factor.tolist(), drawn.second.resize.factor.tolist(), strict=True
    )
    groups: dict[tuple[float, float], list[list[int]]] = {}
    for sample, key in enumerate(factors):
        alike = groups.setdefault(key, [[]])
        if len(alike[-1]) == _CPU_GROUP:
            alike.append([])
        alike[-1].append(sample)
    return [group for alike in groups.values() for group in alike]


def _to_low(x: Tensor, drawn: DrawnParameters, taps: Tensor, scale: int) -> Tensor:
    """From the first resize to the one to [N, 3, H / scale, W / scale]; taps: the second blur's."""
    full = Extent.of(x)
    low = full.divided(scale)
    first, second = drawn.first, drawn.second

    extent = full.scaled(first.resize.factor.tolist())
    x = resize(x, full, extent, first.resize.mode)
    x = _noise(x, first.noise, extent)
    x = _jpeg(x, first.jpeg.quality, first.jpeg.applied, extent)

    x = _blur(x, second.kernel, taps, extent)
    smaller = low.scaled(second.resize.factor.tolist())
    x = resize(x, extent, smaller, second.resize.mode)
    x = _noise(x, second.noise, smaller)

    compressed = second.jpeg.applied & ~drawn.resize_before_jpeg
    x = _jpeg(x, second.jpeg.quality, compressed, smaller)
    return resize(x, smaller, low, drawn.final_mode)


def _tail(x: Tensor, drawn: DrawnParameters, taps: Tensor) -> Tensor:
    """The final sinc of `taps`, JPEG where it comes last, and 8 bits."""
    low, last = Extent.of(x), drawn.second.jpeg
    x = _blur(x, drawn.final_sinc, taps, low)
    x = _jpeg(x, last.quality, last.applied & drawn.resize_before_jpeg, low)
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


def _blur(x: Tensor, drawn: DrawnKernel, taps: Tensor, extent: Extent) -> Tensor:
    separable = is_separable(drawn)

    def stage(some: Tensor, samples: Tensor, sizes: Extent) -> Tensor:
        kernels = to_device(taps[samples], some.device)
        return filter2d(some, kernels, sizes, drawn.size[samples], separable[samples])

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
