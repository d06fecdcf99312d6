"""Grey and colour: BT.601, the luma that the measures use too."""

from __future__ import annotations

from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Shares of R, G and B in the full-range luma of ITU-R BT.601; white stays white."""


def as_rgb(x: Tensor) -> Tensor:
    """[B, 3, H, W] of [B, 1 or 3, H, W]: grey is repeated, without a copy."""
    return x.expand(-1, 3, -1, -1)
