"""Perceptual loss: distance between VGG19 features of two pictures (Johnson et al., 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor, nn

from realesrgan_train.losses.vgg19 import VGG19Features

PAPER_LAYERS: Mapping[str, float] = MappingProxyType(
    {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
)
"""Layer weights of Real-ESRGAN."""


class PerceptualLoss(nn.Module):
    """Weighted sum of L1 distances between features before ReLU.

    Args:
        layers: feature name -> weight.
        weight: factor on the sum.
        network: a `VGG19Features` that returns at least these layers; None makes one with random
            weights (load real ones with `load_vgg19(loss.network, path)`).
    """

    def __init__(
        self,
        layers: Mapping[str, float] = PAPER_LAYERS,
        weight: float = 1.0,
        network: VGG19Features | None = None,
    ) -> None:
        super().__init__()
        self.layers = dict(layers)
        self.weight = weight
        self.network = network or VGG19Features(tuple(layers))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compare two [B, 3, H, W] batches in 0..1; returns a scalar."""
        of_output = self.network(output)
        of_target = self.network(target.detach())
        parts = [
            factor * (of_output[name] - of_target[name]).abs().mean()
            for name, factor in self.layers.items()
        ]
        total: Tensor = self.weight * sum(parts[1:], start=parts[0])
        return total

    def train(self, mode: bool = True) -> PerceptualLoss:
        """Stay in evaluation mode: the feature network is a ruler, not a pupil."""
        return super().train(False)
