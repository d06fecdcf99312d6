"""Locally discriminative learning: a loss on artefacts that a GAN makes (Liang et al., 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_WINDOW = 7


def _local_variance(x: Tensor) -> Tensor:
    """Unbiased variance of [B, 1, H, W] in windows of 7x7, mirrored at the border."""
    padded = functional.pad(x, (_WINDOW // 2,) * 4, mode="reflect").double()
    mean = functional.avg_pool2d(padded, _WINDOW, stride=1)
    square = functional.avg_pool2d(padded.square(), _WINDOW, stride=1)
    samples = _WINDOW**2
    return ((square - mean.square()).clamp_min(0) * samples / (samples - 1)).to(x.dtype)


@torch.no_grad()
def artefact_map(output: Tensor, average: Tensor, target: Tensor) -> Tensor:
    """Return the weight of every pixel, [B, 1, H, W], of equations 4 to 7.

    A pixel counts by the local variance of the error, and by that of the whole patch to the fifth
    root; not at all where the averaged generator, whose results are steadier, is further off.

    Args:
        output: The generator's result, [B, C, H, W], 0..1.
        average: The averaged generator's.
        target: The ground truth.
    """
    error, steady = ((target - x).abs().sum(1, keepdim=True) for x in (output, average))
    patch = error.var((1, 2, 3), keepdim=True) ** (1 / 5)
    found = patch * _local_variance(error)
    return torch.where(error < steady, torch.zeros_like(found), found)


class ArtefactLoss(nn.Module):
    """L1 weighted by `artefact_map`, times `weight`.

    The map is a weight: no gradient flows through it, whose slope is infinite where a patch has no
    error.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, output: Tensor, average: Tensor, target: Tensor) -> Tensor:
        """Compare [B, C, H, W] batches in 0..1; returns a scalar."""
        where = artefact_map(output.detach(), average, target)
        return self.weight * (where * (output - target).abs()).mean()
