"""Pictures of different sizes in one batch: a common canvas and each sample's own extent.

A sample fills the top left corner of the canvas; what lies outside its extent is never read. Sizes
live on the host, so that nothing waits for the device to learn a shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Edge = Literal["reflect", "replicate"]


@dataclass(frozen=True)
class Extent:
    """Height and width of every sample of a batch, in pixels."""

    heights: tuple[int, ...]
    widths: tuple[int, ...]

    @classmethod
    def of(cls, x: Tensor) -> Extent:
        """Every sample fills the canvas of x [B, C, H, W]."""
        batch, _, height, width = x.shape
        return cls((height,) * batch, (width,) * batch)

    @cached_property
    def canvas(self) -> tuple[int, int]:
        """Height and width of the smallest canvas that holds every sample."""
        return max(self.heights), max(self.widths)

    @cached_property
    def is_uniform(self) -> bool:
        """Whether all samples have one size."""
        return len(set(self.heights)) == len(set(self.widths)) == 1

    def halved(self) -> Extent:
        """Sizes of planes subsampled by two, rounded up."""
        return Extent(
            tuple(-(-h // 2) for h in self.heights), tuple(-(-w // 2) for w in self.widths)
        )

    def divided(self, divisor: int) -> Extent:
        """Sizes divided by a whole number, rounded down."""
        return Extent(
            tuple(h // divisor for h in self.heights), tuple(w // divisor for w in self.widths)
        )

    def scaled(self, factors: Sequence[float]) -> Extent:
        """Sizes times one factor a sample, rounded down, at least one pixel."""
        heights = (max(1, int(h * f)) for h, f in zip(self.heights, factors, strict=True))
        widths = (max(1, int(w * f)) for w, f in zip(self.widths, factors, strict=True))
        return Extent(tuple(heights), tuple(widths))

    def select(self, samples: Sequence[int]) -> Extent:
        """The extent of some of the samples."""
        return Extent(
            tuple(self.heights[i] for i in samples), tuple(self.widths[i] for i in samples)
        )


def to_device(host: Tensor, device: torch.device) -> Tensor:
    """Copy a host tensor without making the host wait for the device."""
    if device.type == "cuda":
        return host.contiguous().pin_memory().to(device, non_blocking=True)
    return host.to(device)


def edge_indices(size: int, before: int, count: int, edge: Edge) -> Tensor:
    """Where `count` positions, the first of them `before` left of 0, land in 0..size-1.

    "reflect" mirrors at the centre of the border pixel, as often as needed (NumPy's `reflect`);
    "replicate" repeats the border pixel.

    Returns:
        int64 [count] on the host.
    """
    position = torch.arange(count) - before
    if edge == "replicate" or size == 1:
        return position.clamp(0, size - 1)
    period = 2 * (size - 1)
    folded = position.remainder(period)
    return torch.minimum(folded, period - folded)


def pad(x: Tensor, extent: Extent, before: int, after: tuple[int, int], edge: Edge) -> Tensor:
    """Extend every sample beyond its own border.

    Args:
        x: [B, C, H, W] on the canvas of `extent`.
        extent: Sizes of the samples.
        before: Rows added above and columns added on the left.
        after: Rows added below and columns added on the right.
        edge: How pixels outside are chosen.

    Returns:
        [B, C, before + H + after[0], before + W + after[1]]; sample b's pixel (0, 0) is at
        (before, before), and its continuation fills the whole canvas.
    """
    height, width = extent.canvas
    if before == 0 and after == (0, 0) and extent.is_uniform:
        return x
    fits = max(before, *after) < min(height, width) or edge == "replicate"
    if extent.is_uniform and fits:
        return functional.pad(x, (before, after[1], before, after[0]), mode=edge)
    rows = _indices(extent.heights, before, before + height + after[0], edge)
    columns = _indices(extent.widths, before, before + width + after[1], edge)
    return take(x, to_device(rows, x.device), to_device(columns, x.device))


def _indices(sizes: tuple[int, ...], before: int, count: int, edge: Edge) -> Tensor:
    return torch.stack([edge_indices(size, before, count, edge) for size in sizes])


def take(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Read rows and columns of every sample: out[b, c, i, j] = x[b, c, rows[b, i], columns[b, j]].

    x is [B, C, H, W], rows int64 [B, I] and columns int64 [B, J] on its device.
    """
    batch, channels, _, width = x.shape
    by_row = rows.view(batch, 1, -1, 1).expand(-1, channels, -1, width)
    picked = x.gather(2, by_row)
    by_column = columns.view(batch, 1, 1, -1).expand(-1, channels, picked.shape[2], -1)
    return picked.gather(3, by_column)


def indicator(extent: Extent, device: torch.device) -> Tensor:
    """Bool [B, 1, H, W]: true inside each sample's extent."""
    height, width = extent.canvas
    heights = to_device(torch.tensor(extent.heights).view(-1, 1, 1, 1), device)
    widths = to_device(torch.tensor(extent.widths).view(-1, 1, 1, 1), device)
    rows = torch.arange(height, device=device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=device).view(1, 1, 1, -1)
    return (rows < heights) & (columns < widths)
