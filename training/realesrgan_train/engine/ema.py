"""The exponential moving average of the generator's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """A copy of a network that follows it slowly: `average += (1 - decay) * (weights - average)`.

    Args:
        network: the network to follow.
        decay: 0 follows at once, so that the average is the network itself.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step towards the network's present weights."""
        for ours, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
            ours.lerp_(theirs, 1 - self.decay)
        for kept, present in zip(self.network.buffers(), network.buffers(), strict=True):
            kept.copy_(present)

    @torch.no_grad()
    def copy_into(self, network: nn.Module) -> None:
        """Give the network the averaged weights, as the second stage's start."""
        network.load_state_dict(self.network.state_dict())
