"""Averages over steps: the means of the figures, and the moving average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class RunningMeans:
    """Sums of scalars, and how many steps each of them covers."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one step's scalars; a mean is over the steps that name it."""
        for name, value in values.items():
            sum_so_far = self._sums.get(name)
            self._sums[name] = value.double() if sum_so_far is None else sum_so_far + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, Tensor]:
        """The means since the last call, and start anew."""
        means = {name: value / self._counts[name] for name, value in self._sums.items()}
        self.clear()
        return means

    def clear(self) -> None:
        """Start anew."""
        self._sums, self._counts = {}, {}

    def state_dict(self) -> dict[str, Any]:
        """Sums and counts."""
        return {"sums": {k: v.cpu() for k, v in self._sums.items()}, "counts": dict(self._counts)}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what `state_dict` returned; in an older checkpoint all have one count."""
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._counts = dict(state.get("counts") or dict.fromkeys(self._sums, state.get("count", 0)))


class WeightAverage:
    """A copy of a network that follows it slowly: `average += (1 - decay) * (weights - average)`.

    With a decay of 0 the average is the network itself.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, averaged: Sequence[Tensor] | None = None) -> None:
        """Take one step towards the network's present weights.

        Where the optimiser averages the parameters itself, take those.
        """
        theirs = network.parameters() if averaged is None else averaged
        weight = 1 if averaged is not None else 1 - self.decay
        for ours, present in zip(self.network.parameters(), theirs, strict=True):
            ours.lerp_(present, weight)
        for kept, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            kept.copy_(buffer)
