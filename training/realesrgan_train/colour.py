"""Grey and colour: BT.601, the luma that the measures use too."""

from __future__ import annotations

from torch import Tensor

RED, GREEN, BLUE = LUMA = (0.299, 0.587, 0.114)
"""Shares of R, G and B in the full-range luma of ITU-R BT.601; white stays white."""
MOST_BLUENESS, MOST_REDNESS = 1.772, 1.402
"""Width of the range of blue and of red less luma: 2 (1 - share). JPEG has chroma so, too."""


def as_rgb(x: Tensor) -> Tensor:
    """[B, 3, H, W] of [B, 1 or 3, H, W]: grey is repeated, without a copy."""
    return x.expand(-1, 3, -1, -1)
