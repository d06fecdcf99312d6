"""Distances between the Fourier transforms of pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FourierL1Loss(nn.Module):
    """Mean absolute difference of the real and imaginary parts of the two transforms.

    Cho et al., 2021 (MIMO-UNet), equation 5, with the unnormalised transform of their code.
    """

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compare two [B, C, H, W] batches; returns a scalar."""
        return self.weight * torch.view_as_real(torch.fft.fft2(output - target)).abs().mean()


class FocalFrequencyLoss(nn.Module):
    """Squared distance of two spectra, each frequency weighted by its own distance.

    Jiang et al., 2021, with their alpha of 1: the weights are distances over the largest of their
    channel's spectrum, and no gradient flows through them. The transform is orthonormal.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compare two [B, C, H, W] batches; returns a scalar."""
        spectrum = torch.view_as_real(torch.fft.fft2(output - target, norm="ortho"))
        squares = spectrum.square().sum(-1)
        distance = squares.detach().sqrt()
        largest = distance.amax((-2, -1), keepdim=True)
        focus = torch.where(largest > 0, distance / largest, torch.zeros_like(distance))
        return self.weight * (focus * squares).mean()
