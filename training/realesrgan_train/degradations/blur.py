"""Filter every sample of a batch with its own kernel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from realesrgan_train.degradations.extent import Extent, pad, to_device

_CHUNK = 16
"""Planes filtered together; what a depthwise convolution on an AVX-512 CPU handles at once."""


def filter2d(
    x: Tensor, kernels: Tensor, extent: Extent | None = None, sizes: Tensor | None = None
) -> Tensor:
    """Correlate each sample with its kernel; borders are reflected (OpenCV's BORDER_REFLECT_101).

    Args:
        x: [B, C, H, W].
        kernels: [B, K, K], K odd, on the device of x.
        extent: sizes of the samples where they differ.
        sizes: int64 [B] on the host, odd; the kernels are zero beyond that many central taps. Small
            kernels are then filtered apart from large ones, which saves half the work.

    Returns:
        [B, C, H, W].
    """
    batch, channels, height, width = x.shape
    side = kernels.shape[-1]
    padded = pad(x, extent or Extent.of(x), side // 2, (side // 2, side // 2), "reflect")
    planes = padded.reshape(batch * channels, height + side - 1, width + side - 1)
    sizes = torch.full((batch,), side) if sizes is None else sizes
    order = sizes.repeat_interleave(channels).argsort(stable=True)
    out = torch.empty((batch * channels, height, width), device=x.device, dtype=x.dtype)
    for start in range(0, len(order), _CHUNK):
        chunk = order[start : start + _CHUNK]
        margin = (side - int(sizes[chunk // channels].max())) // 2
        inner = slice(margin, side - margin)
        index = to_device(chunk, x.device)
        weight = kernels[:, inner, inner].index_select(0, index // channels).to(x.dtype)
        rows = slice(margin, planes.shape[1] - margin)
        columns = slice(margin, planes.shape[2] - margin)
        some = planes[:, rows, columns].index_select(0, index).unsqueeze(0)
        filtered = functional.conv2d(some, weight.unsqueeze(1), groups=len(chunk))
        out = out.index_copy_(0, index, filtered[0])
    return out.view_as(x)
