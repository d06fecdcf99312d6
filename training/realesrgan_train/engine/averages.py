"""Means of figures over steps, kept on the device so that no step waits for the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class RunningMeans:
    """Sums of scalars and how many steps they cover."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one step's scalars; every step must name the same ones."""
        for name, value in values.items():
            sum_so_far = self._sums.get(name)
            self._sums[name] = value.double() if sum_so_far is None else sum_so_far + value
        self.count += 1

    def take(self) -> dict[str, Tensor]:
        """The means since the last call, and start anew."""
        means = {name: value / self.count for name, value in self._sums.items()}
        self.clear()
        return means

    def clear(self) -> None:
        """Start anew."""
        self._sums, self.count = {}, 0

    def state_dict(self) -> dict[str, Any]:
        """Sums and count."""
        return {"sums": {k: v.cpu() for k, v in self._sums.items()}, "count": self.count}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what `state_dict` returned."""
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.count = state["count"]
