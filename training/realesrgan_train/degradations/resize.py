"""Resize every sample to its own size, in its own mode, without antialiasing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from realesrgan_train.degradations.extent import Extent, to_device

RESIZE_MODES = ("area", "bilinear", "bicubic")
"""Mode names; a drawn mode is an index into this tuple."""

_TILE = 64
"""Output pixels computed by one matrix product."""

_REACH = 4
"""Input pixels beyond a tile's own that interpolation may touch."""

_CUBIC_A = -0.75
"""The free parameter of the cubic convolution kernel (Keys, 1981) that OpenCV and PyTorch use."""


def resize(
    x: Tensor, extent: Extent, target: Extent, modes: Tensor, factors: Tensor | None = None
) -> Tensor:
    """Resize a batch.

    "area" averages the pixels an output pixel touches, "bilinear" and "bicubic" interpolate at
    pixel centres; all three as `torch.nn.functional.interpolate` without antialiasing does.

    Args:
        x: [B, C, H, W] on the canvas of `extent`.
        extent: Sizes of the samples now.
        target: Sizes wanted.
        modes: int64 [B] on the host, indices into `RESIZE_MODES`.
        factors: Float [B] on the host: interpolation steps by 1 / factor, as
            `interpolate(scale_factor=...)` does, in place of the sizes' ratio. `target` is then
            the sizes times these, rounded down.

    Returns:
        [B, C, *target.canvas]; zero outside the samples' extents.
    """
    steps = _steps(extent, target, modes, factors)
    if extent == target and steps is None:
        return x
    kinds, paces = set(modes.tolist()), set(steps or ())
    if extent.is_uniform and target.is_uniform and len(kinds) == 1 and len(paces) < 2:
        mode = RESIZE_MODES[kinds.pop()]
        align = None if mode == "area" else False
        if mode == "area" or not paces:
            return functional.interpolate(x, size=target.canvas, mode=mode, align_corners=align)
        factor = paces.pop()
        return functional.interpolate(x, scale_factor=factor, mode=mode, align_corners=align)
    batch, channels, height, width = x.shape
    on_device = to_device(modes, x.device)
    columns = resize_weights(extent.widths, target.widths, on_device, steps).to(x.dtype)
    rows = resize_weights(extent.heights, target.heights, on_device, steps).to(x.dtype)
    reach = _REACH + (math.ceil(1 / min(steps)) if steps else 0)
    lines = x.reshape(batch, channels * height, width)
    narrow = [
        lines[:, :, source] @ columns[:, tile, source].transpose(1, 2)
        for tile, source in _tiles(extent.widths, target.widths, reach)
    ]
    lines = torch.cat(narrow, dim=2).view(batch, channels, height, -1)
    low = [
        rows[:, None, tile, source] @ lines[:, :, source]
        for tile, source in _tiles(extent.heights, target.heights, reach)
    ]
    return torch.cat(low, dim=2)


def _steps(
    extent: Extent, target: Extent, modes: Tensor, factors: Tensor | None
) -> list[float] | None:
    """The factors by which interpolation steps; None where sizes alone decide.

    Sizes that a factor leaves as they are, or changes to one that it maps to exactly, are the same
    either way, and "area" knows sizes only.
    """
    if factors is None or not bool((modes != 0).any()):
        return None
    exact = extent == target and all(factor == 1 for factor in factors.tolist())
    return None if exact else [float(factor) for factor in factors.tolist()]


def _tiles(
    sizes: tuple[int, ...], targets: tuple[int, ...], reach: int = _REACH
) -> list[tuple[slice, slice]]:
    """Tiles of output pixels and the input pixels that any sample needs for them.

    An output pixel depends on few input pixels; a product a tile skips most of the zero weights.
    """
    tiles = []
    for start in range(0, max(targets), _TILE):
        stop = min(start + _TILE, max(targets))
        pairs = list(zip(sizes, targets, strict=True))
        first = min(min(start, m - 1) * n // m - reach for n, m in pairs)
        last = max(-(-min(stop, m) * n // m) + reach for n, m in pairs)
        tiles.append((slice(start, stop), slice(max(0, first), min(max(sizes), last))))
    return tiles


def resize_weights(
    sizes: tuple[int, ...],
    targets: tuple[int, ...],
    modes: Tensor,
    factors: Sequence[float] | None = None,
) -> Tensor:
    """Matrices that resize one axis: row o holds the weights of output pixel o.

    Args:
        sizes: Current size of each sample along the axis.
        targets: Wanted size of each sample.
        modes: int64 [B], indices into `RESIZE_MODES`; its device is the result's.
        factors: See `resize`; for each sample.

    Returns:
        float32 [B, max(targets), max(sizes)]; rows beyond a sample's target are zero.
    """
    device = modes.device
    size = to_device(torch.tensor(sizes, dtype=torch.int32), device).view(-1, 1, 1)
    target = to_device(torch.tensor(targets, dtype=torch.int32), device).view(-1, 1, 1)
    output = torch.arange(max(targets), device=device, dtype=torch.int32).view(1, -1, 1)
    position = torch.arange(max(sizes), device=device, dtype=torch.int32).view(1, 1, -1)
    mode = modes.view(-1, 1, 1)
    inside = output < target
    pace = size.double() / target
    if factors is not None:
        inverse = torch.tensor([1 / factor for factor in factors], dtype=torch.float64)
        # PyTorch copies an axis that keeps its size, but for "bicubic".
        keeps = (size == target) & (mode != 2)
        pace = torch.where(keeps, 1.0, to_device(inverse, device).view(-1, 1, 1))
    taps, weights = _interpolation_taps(output, size, pace, mode == 2)
    shape = (len(sizes), max(targets), max(sizes))
    interpolation = torch.zeros(shape, device=device).scatter_add_(2, taps, weights * inside)
    return torch.where(mode == 0, _area(output, position, size, target) * inside, interpolation)


def _area(output: Tensor, position: Tensor, size: Tensor, target: Tensor) -> Tensor:
    """Equal weights on all the pixels an output pixel touches: [B, O, I]."""
    start = output * size // target
    stop = ((output + 1) * size + target - 1) // target
    touched = (position >= start) & (position < stop)
    return touched / (stop - start).float()


def _interpolation_taps(
    output: Tensor, size: Tensor, pace: Tensor, cubic: Tensor
) -> tuple[Tensor, Tensor]:
    """The four pixels around each output pixel's centre and their weights, both [B, O, 4].

    Pixels outside count as the border pixel. The bilinear weights of the outer two are zero.
    """
    centre = (output + 0.5) * pace - 0.5
    left = centre.floor()
    offsets = torch.arange(-1, 3, device=output.device)
    taps = (left + offsets).clamp(min=0).minimum(size - 1.0).long()
    distance = (centre - left - offsets).abs()
    linear = (1 - distance).clamp(min=0)
    return taps, torch.where(cubic, _cubic(distance), linear).float()


def _cubic(d: Tensor) -> Tensor:
    """Keys' kernel at the distance d: cubic pieces on d <= 1 and 1 < d < 2."""
    a = _CUBIC_A
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, far)
