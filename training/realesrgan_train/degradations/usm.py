"""Unsharp masking, which gives the network sharp pictures to learn from."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from realesrgan_train.degradations.extent import edge_indices, to_device

_TILE = 32
"""Rows or columns blurred by one matrix product."""

_CPU_PLANES = 12
"""Planes sharpened together on the CPU: as many as its cache holds."""


def gaussian_window(radius: int) -> Tensor:
    """A normal curve as float64 [K], K = radius made odd, adding up to 1.

    The deviation is OpenCV's for a window of K taps: 0.3 ((K - 1) / 2 - 1) + 0.8.
    """
    taps = radius + 1 - radius % 2
    sigma = 0.3 * ((taps - 1) * 0.5 - 1) + 0.8
    offset = torch.arange(taps, dtype=torch.float64) - taps // 2
    curve = torch.exp(-offset.square() / (2 * sigma * sigma))
    return curve / curve.sum()


@lru_cache(maxsize=32)
def _blur_matrix(size: int, radius: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The blur of one axis, reflection included, as a [size, size] matrix."""
    window = gaussian_window(radius)
    reach = len(window) // 2
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for tap, weight in enumerate(window.tolist()):
        source = edge_indices(size, reach - tap, size, "reflect")
        matrix[torch.arange(size), source] += weight
    return to_device(matrix.to(dtype), device)


def _blur(x: Tensor, radius: int) -> Tensor:
    """Blur both axes of [P, H, W] by matrix products, borders reflected.

    A tile of the output depends on few inputs beyond it, so each tile is one small product; on a
    CPU that is several times faster than a depthwise convolution of so many taps.
    """
    planes, height, width = x.shape
    across, down = torch.empty_like(x), torch.empty_like(x)
    matrix = _blur_matrix(width, radius, x.device, x.dtype)
    for tile, source in _tiles(width, radius):
        across[:, :, tile] = x[:, :, source] @ matrix[tile, source].T
    matrix = _blur_matrix(height, radius, x.device, x.dtype)
    for tile, source in _tiles(height, radius):
        weights = matrix[tile, source].expand(planes, -1, -1)
        down[:, tile] = torch.bmm(weights, across[:, source])
    return down


def _tiles(size: int, radius: int) -> list[tuple[slice, slice]]:
    """Output tiles and the inputs they depend on."""
    starts, reach = range(0, size, _TILE), radius // 2 + 1
    return [
        (slice(i, min(size, i + _TILE)), slice(max(0, i - reach), min(size, i + _TILE + reach)))
        for i in starts
    ]


def usm_sharpen(
    x: Tensor, weight: float = 0.5, radius: int = 50, threshold: float = 10.0
) -> Tensor:
    """Add back what a blur removes, where that is more than the threshold.

    out = x + m (clamp(x + weight d) - x), with d = x - blur(x) and m the blurred mask of
    |d| > threshold.

    Args:
        x: [B, C, H, W], 0..1.
        weight: Factor on the difference that is added.
        radius: Window of the blur in pixels, made odd (50 means 51 taps).
        threshold: Smallest difference that counts as an edge, in 1/255.
    """
    planes = x.reshape(-1, *x.shape[2:])
    chunk = _CPU_PLANES if x.device.type == "cpu" else len(planes)
    parts = [
        _sharpen(planes[start : start + chunk], weight, radius, threshold)
        for start in range(0, len(planes), chunk)
    ]
    return torch.cat(parts).view(x.shape)


def _sharpen(x: Tensor, weight: float, radius: int, threshold: float) -> Tensor:
    detail = _blur(x, radius).neg_().add_(x)
    mask = _blur(detail.abs().mul_(255).gt_(threshold), radius)
    return torch.lerp(x, detail.mul_(weight).add_(x).clamp_(0, 1), mask)
