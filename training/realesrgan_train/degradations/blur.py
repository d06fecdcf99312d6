"""Filter every sample of a batch with its own kernel."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from realesrgan_train.degradations.extent import Extent, pad, to_device

_CHUNK = 16
"""Planes filtered together; what a depthwise convolution on an AVX-512 CPU handles at once."""

_BY_LINES = 11
"""From this many taps on, two filters of one line each are faster than one of a square."""

_STEP = 32
"""Sizes of strips are rounded up to this, for the CPU's convolutions compile code for each size."""


def filter2d(
    x: Tensor,
    kernels: Tensor,
    extent: Extent | None = None,
    sizes: Tensor | None = None,
    separable: Tensor | None = None,
) -> Tensor:
    """Correlate each sample with its kernel; borders are reflected (OpenCV's BORDER_REFLECT_101).

    Args:
        x: [B, C, H, W].
        kernels: [B, K, K], K odd, on the device of x, each adding up to 1.
        extent: Sizes of the samples where they differ.
        sizes: int64 [B] on the host, odd; the kernels are zero beyond that many central taps. Small
            kernels are then filtered apart from large ones, which saves half the work.
        separable: bool [B] on the host; these kernels are a column times a row, and are applied as
            such. None: none is known to be.
    """
    batch, channels, height, width = x.shape
    side = kernels.shape[-1]
    padded = pad(x, extent or Extent.of(x), side // 2, (side // 2, side // 2), "reflect")
    planes = padded.reshape(batch * channels, height + side - 1, width + side - 1)
    sizes = torch.full((batch,), side) if sizes is None else sizes
    separable = torch.zeros(batch, dtype=torch.bool) if separable is None else separable
    out = torch.empty((batch * channels, height, width), device=x.device, dtype=x.dtype)
    for chunk, by_lines in _chunks(sizes, separable, channels):
        margin = (side - int(sizes[chunk // channels].max())) // 2
        inner = slice(margin, side - margin)
        index = to_device(chunk, x.device)
        weight = kernels[:, inner, inner].index_select(0, index // channels).to(x.dtype)
        rows = slice(margin, planes.shape[1] - margin)
        columns = slice(margin, planes.shape[2] - margin)
        some = planes[:, rows, columns].index_select(0, index)
        filtered = _by_lines(some, weight) if by_lines else _depthwise(some, weight)
        out = out.index_copy_(0, index, filtered)
    return out.view_as(x)


def _chunks(sizes: Tensor, separable: Tensor, channels: int) -> Iterator[tuple[Tensor, bool]]:
    """Indices of planes to filter together, of similar kernels, and whether by lines."""
    order = sizes.repeat_interleave(channels).argsort(stable=True)
    lines = (separable & (sizes >= _BY_LINES)).repeat_interleave(channels)[order]
    for by_lines in (False, True):
        planes = order[lines == by_lines]
        for start in range(0, len(planes), _CHUNK):
            yield planes[start : start + _CHUNK], by_lines


def _by_lines(planes: Tensor, kernels: Tensor) -> Tensor:
    """Filter with kernels that are outer products: their sums are the column and the row."""
    down = _depthwise(planes, kernels.sum(2, keepdim=True))
    return _depthwise(down, kernels.sum(1, keepdim=True))


def _depthwise(planes: Tensor, kernels: Tensor) -> Tensor:
    """Correlate [P, H + h - 1, W + w - 1] with [P, h, w]: [P, H, W].

    A few planes are cut into strips, so that there are as many as are handled at once.
    """
    count, rows, columns = planes.shape
    reach = kernels.shape[1] - 1
    height, width = rows - reach, columns - kernels.shape[2] + 1
    strips = _CHUNK // count
    if strips > 1:
        each = -(-height // strips // (_STEP // 4)) * (_STEP // 4)
        planes = functional.pad(planes, (0, -width % _STEP, 0, strips * each - height))
        planes = planes.unfold(1, each + reach, each).transpose(2, 3)
        planes = planes.reshape(count * strips, each + reach, -1)
        kernels = kernels.repeat_interleave(strips, 0)
    filtered = functional.conv2d(planes.unsqueeze(0), kernels.unsqueeze(1), groups=len(planes))
    return filtered.view(count, -1, filtered.shape[-1])[:, :height, :width]
