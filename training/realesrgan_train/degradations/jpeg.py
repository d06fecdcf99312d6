"""Baseline JPEG with 4:2:0 chroma, there and back, with gradients: as libjpeg or as DiffJPEG does.

Entropy coding loses nothing and is left out. Rounding passes gradients through unchanged.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from realesrgan_train.colour import BLUE, GREEN, MOST_BLUENESS, MOST_REDNESS, RED
from realesrgan_train.degradations.extent import Extent, indicator, pad, to_device

_EPSILON = 1e-4

_SMALLEST_STEP = 1e-6
"""Of DiffJPEG, whose steps are 0 at quality 100; such small ones change no coefficient."""


class _RoundStraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - autograd's signature
        return x.round()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        return gradient


def _round(x: Tensor) -> Tensor:
    """Round to integers, in place unless a gradient is asked for, which passes unchanged."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return x.round_()
    rounded: Tensor = _RoundStraightThrough.apply(x)  # type: ignore[no-untyped-call]
    return rounded


@lru_cache(maxsize=8)
def _transform(device: torch.device, dtype: torch.dtype) -> Tensor:
    return to_device(cosine_transform().to(dtype), device)


def jpeg(x: Tensor, quality: Tensor, extent: Extent | None = None) -> Tensor:
    """Compress and decompress as libjpeg does; the result is as x, in steps of 1/255.

    Colour, subsampling, transform, quantisation, triangle-filtered chroma and the rounding to
    integers between these steps follow libjpeg's defaults.

    Args:
        x: [B, 3, H, W] RGB or [B, 1, H, W] grey, 0..1; clamped to that range and rounded to 8 bits.
            A grey picture becomes a grey JPEG, which has luma only.
        quality: [B] on the host, 1..100, one for each sample.
        extent: Sizes of the samples where they differ.
    """
    extent = extent or Extent.of(x)
    height, width = extent.canvas
    padded = pad(x, extent, 0, (-height % 16, -width % 16), "replicate")
    pixels = _round(padded.clamp(0, 1).mul_(255))
    tables = quantisation_tables(quality.double()).to(x.dtype)
    steps = to_device(tables, x.device)
    if x.shape[1] == 1:
        return _quantise(pixels, steps[:, 0])[..., :height, :width].div(255)
    luma, chroma = _to_ycc(pixels)
    luma = _quantise(_round(luma).unsqueeze(1), steps[:, 0])
    chroma = _quantise(_subsample(_round(chroma)), steps[:, 1])
    rgb = _to_rgb(luma[:, 0, :height, :width], _upsample(chroma, extent))
    return _round(rgb).clamp(0, 255).div_(255)


def diffjpeg(x: Tensor, quality: Tensor, extent: Extent | None = None) -> Tensor:
    """Compress and decompress as DiffJPEG does, which the published networks were trained with.

    It is the JPEG of Shin and Song (2017) with plain rounding of the coefficients. Unlike libjpeg
    it rounds nothing else, to no whole steps either; its table of luminance is transposed, chroma
    is repeated rather than interpolated, and samples are continued in black to whole blocks.

    Args:
        x: [B, 3, H, W] RGB or [B, 1, H, W] grey, 0..1; clamped to that range.
        quality: [B] on the host, 1..100, one for each sample.
        extent: Sizes of the samples where they differ.

    Returns:
        As x, 0..1.
    """
    extent = extent or Extent.of(x)
    height, width = extent.canvas
    if not extent.is_uniform:
        x = x.masked_fill(~indicator(extent, x.device), 0)
    padded = functional.pad(x.clamp(0, 1), (0, -width % 16, 0, -height % 16))
    steps = to_device(diffjpeg_tables(quality.double()).to(x.dtype), x.device)
    if x.shape[1] == 1:
        grey = _quantise_only(padded.mul(255), steps[:, 0])[..., :height, :width]
        return grey.clamp(0, 255).div(255)
    luma, chroma = _to_ycc(padded.mul(255))
    luma = _quantise_only(luma.unsqueeze(1), steps[:, 0])
    chroma = _quantise_only(functional.avg_pool2d(chroma, 2), steps[:, 1])
    doubled = functional.interpolate(chroma, scale_factor=2, mode="nearest")
    rgb = _to_rgb(luma[:, 0, :height, :width], doubled[..., :height, :width])
    return rgb.clamp(0, 255).div_(255)


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """JFIF colour: luma [B, H, W] and chroma [B, 2, H, W] around 128."""
    red, green, blue = rgb.unbind(1)
    luma = (RED * red).add_(green, alpha=GREEN).add_(blue, alpha=BLUE)
    blueness, redness = (blue - luma).div_(MOST_BLUENESS), (red - luma).div_(MOST_REDNESS)
    chroma = torch.stack((blueness, redness), dim=1)
    return luma, chroma.add_(128)


def _to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """Back from JFIF colour: [B, 3, H, W]."""
    blueness, redness = (chroma - 128).unbind(1)
    red = torch.add(luma, redness, alpha=MOST_REDNESS)
    green = luma.sub(blueness, alpha=0.344136286).sub_(redness, alpha=0.714136286)
    blue = torch.add(luma, blueness, alpha=MOST_BLUENESS)
    return torch.stack((red, green, blue), dim=1)


def _subsample(chroma: Tensor) -> Tensor:
    """Average 2x2 pixels; halves are rounded down in even columns and up in odd ones.

    A quarter of slack either way does that, as sums of four integers end in 0, 1/4, 1/2 or 3/4.
    """
    mean = functional.avg_pool2d(chroma, 2)
    return _round(mean + _alternating(-1 / 8, mean))


def _alternating(even: float, like: Tensor) -> Tensor:
    """One value for even columns and its negative for odd ones: [W]."""
    slack = torch.full((like.shape[-1],), -even, device=like.device, dtype=like.dtype)
    slack[::2] = even
    return slack


def _quantise(planes: Tensor, steps: Tensor) -> Tensor:
    """Round the cosine coefficients of all 8x8 blocks to multiples of their steps, [B, 64].

    Planes are [B, C, H, W], 0..255, H and W multiples of 8; the result is rounded.
    """
    matrix, blocks = _transform(planes.device, planes.dtype), _blocks(planes)
    step = steps.unsqueeze(1)
    # libjpeg's coefficients are whole eighths. Halves are frequent among mean values; they round
    # away from zero on the way there and up on the way back, hence slightly more than the number.
    eighths = _round((blocks - 128) @ (matrix * 8))
    coefficients = _round(eighths / (step * (8 - _EPSILON))).mul_(step)
    restored = _round((coefficients @ matrix.T).add_(128 + _EPSILON)).clamp(0, 255)
    return _merged(restored, planes.shape)


def _quantise_only(planes: Tensor, steps: Tensor) -> Tensor:
    """As `_quantise`, but nothing else is rounded, nor clamped."""
    matrix, step = _transform(planes.device, planes.dtype), steps.unsqueeze(1)
    coefficients = _round(((_blocks(planes) - 128) @ matrix) / step).mul_(step)
    return _merged((coefficients @ matrix.T).add_(128), planes.shape)


def _blocks(planes: Tensor) -> Tensor:
    """The 8x8 blocks of [B, C, H, W], C by C, row by row: [B, N, 64]."""
    batch, channels, height, width = planes.shape
    blocks = planes.reshape(batch, channels, height // 8, 8, width // 8, 8)
    return blocks.permute(0, 1, 2, 4, 3, 5).reshape(batch, -1, 64)


def _merged(blocks: Tensor, shape: torch.Size) -> Tensor:
    """The planes of a shape [B, C, H, W] that `_blocks` has cut."""
    batch, channels, height, width = shape
    tiles = blocks.view(batch, channels, height // 8, width // 8, 8, 8)
    return tiles.permute(0, 1, 2, 4, 3, 5).reshape(shape)


def _upsample(chroma: Tensor, extent: Extent) -> Tensor:
    """Double each axis with weights 3/4 and 1/4, each sample's last row and column repeated.

    Sixteenths are rounded, halves up in even columns and down in odd ones.
    """
    height, width = extent.canvas
    half = extent.halved()
    inside = chroma[..., : half.canvas[0], : half.canvas[1]]
    if not extent.is_uniform:
        inside = pad(inside, half, 0, (0, 0), "replicate")
    doubled = functional.interpolate(inside, scale_factor=2, mode="bilinear", align_corners=False)
    doubled = doubled[..., :height, :width]
    return _round(doubled + _alternating(1 / 32, doubled))


LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
"""T.81, table K.1."""

CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
)  # fmt: skip
"""T.81, table K.2."""


def quantisation_tables(quality: Tensor) -> Tensor:
    """Steps of luminance and chrominance for each quality, float64 [B, 2, 64], by libjpeg's rule.

    s = 5000 / q below 50, else 200 - 2 q; a step is floor((table * s + 50) / 100) within 1..255.
    Qualities are float64 [B], 1..100; whole numbers give libjpeg's own tables.
    """
    tables = torch.tensor([LUMINANCE, CHROMINANCE], dtype=quality.dtype)
    scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    steps = (tables * scale.view(-1, 1, 1) + 50) / 100
    return steps.floor().clamp(1, 255)


def diffjpeg_tables(quality: Tensor) -> Tensor:
    """Steps of luminance and chrominance for each quality as DiffJPEG has them, [B, 2, 64].

    s = 50 / q below 50, else 2 - q / 50; a step is table * s, not rounded, with K.1 transposed.
    Qualities are float64 [B], 1..100.
    """
    luminance = torch.tensor(LUMINANCE, dtype=quality.dtype).view(8, 8).T.flatten()
    tables = torch.stack((luminance, torch.tensor(CHROMINANCE, dtype=quality.dtype)))
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    return (tables * scale.view(-1, 1, 1)).clamp(min=_SMALLEST_STEP)


def cosine_transform() -> Tensor:
    """The orthonormal 8x8 DCT-II as a float64 [64, 64] matrix, to be multiplied from the right."""
    k = torch.arange(8, dtype=torch.float64)
    basis = torch.cos((2 * k.view(-1, 1) + 1) * k * math.pi / 16) / 2
    basis[:, 0] /= math.sqrt(2)
    return torch.kron(basis, basis)
