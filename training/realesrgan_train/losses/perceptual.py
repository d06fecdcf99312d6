"""Perceptual loss: the distance between VGG19 features of two pictures (Johnson et al., 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from realesrgan_train.config import RunConfig
from realesrgan_train.config.schema import PerceptualLossConfig
from realesrgan_train.data.sampler import START_STREAM, torch_seed
from realesrgan_train.losses.vgg19 import (
    VGG19_SHA256_PREFIX,
    VGG19Features,
    fetch_vgg19,
    is_cached,
    load_vgg19,
)

PAPER_LAYERS: Mapping[str, float] = MappingProxyType(PerceptualLossConfig().layers)
"""Layer weights of Real-ESRGAN."""


class PerceptualLoss(nn.Module):
    """Sum of L1 distances between features before ReLU, weighted by layer, times `weight`.

    The network must return at least these layers; None makes one with random weights (load real
    ones with `load_vgg19(loss.network, path)`).
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
        """Compare two batches in 0..1, [B, 3, H, W] or grey [B, 1, H, W]; returns a scalar."""
        of_output = self.network(output)
        of_target = self.network(target.detach())
        parts = [
            factor * (of_output[name] - of_target[name]).abs().mean()
            for name, factor in self.layers.items()
        ]
        total: Tensor = self.weight * sum(parts[1:], start=parts[0])
        return total

    def train(self, mode: bool = True) -> PerceptualLoss:
        """Stay in evaluation mode: the feature network is not trained."""
        return super().train(False)


_VGG_STREAM = 2


def perceptual_loss(config: PerceptualLossConfig | None, seed: int) -> PerceptualLoss | None:
    """The VGG loss, or None when it is left out or its weight is 0.

    Raises:
        CheckpointError: The weights are missing, damaged, of another digest, or cannot be fetched.
    """
    if config is None or not config.weight:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, START_STREAM, _VGG_STREAM))
        network = VGG19Features(tuple(config.layers))
    if config.weights == "fetch":
        load_vgg19(network, fetch_vgg19(sha256=config.sha256 or VGG19_SHA256_PREFIX))
    elif isinstance(config.weights, Path):
        load_vgg19(network, config.weights, config.sha256)
    return PerceptualLoss(config.layers, config.weight, network)


def must_be_fetched(config: RunConfig) -> bool:
    """Whether the run will download VGG19's weights: asked for, and not in the cache."""
    wanted = config.perceptual
    if wanted is None or wanted.weights != "fetch":
        return False
    return not is_cached(wanted.sha256 or VGG19_SHA256_PREFIX)


def check_perceptual(config: RunConfig) -> None:
    """Make sure before step 1 that the second stage will find its VGG19 weights.

    Raises:
        CheckpointError: It would not.
    """
    if config.perceptual is not None and config.perceptual.weights != "random":
        perceptual_loss(config.perceptual, config.seed)
