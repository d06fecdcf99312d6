"""Distances between pictures, pixel by pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class L1Loss(nn.Module):
    """Mean absolute difference times `weight`."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compare two [B, C, H, W] batches; returns a scalar."""
        return self.weight * (output - target).abs().mean()


class CharbonnierLoss(nn.Module):
    """Weighted mean of sqrt(d^2 + eps^2), an L1 that is smooth at zero (Charbonnier et al., 1994).

    At epsilon, in units of the picture (0..1), the curve turns from quadratic to linear.
    """

    def __init__(self, weight: float = 1.0, epsilon: float = 1e-3) -> None:
        super().__init__()
        if epsilon <= 0:
            raise ValueError(f"CharbonnierLoss: epsilon must be positive, not {epsilon}")
        self.weight = weight
        self.epsilon = epsilon

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compare two [B, C, H, W] batches; returns a scalar."""
        return self.weight * torch.sqrt((output - target).square() + self.epsilon**2).mean()
