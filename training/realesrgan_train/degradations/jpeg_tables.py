"""Constants of baseline JPEG (ITU-T T.81): quantisation tables and the 8x8 cosine transform."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
"""T.81, table K.1."""

CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
)  # fmt: skip
"""T.81, table K.2."""


def quantisation_tables(quality: Tensor) -> Tensor:
    """Step sizes for each quality, by libjpeg's rule.

    s = 5000 / q below 50, else 200 - 2 q; a step is floor((table * s + 50) / 100) within 1..255.

    Args:
        quality: float64 [B], 1..100; whole numbers give libjpeg's own tables.

    Returns:
        float64 [B, 2, 64]: luminance and chrominance.
    """
    tables = torch.tensor([LUMINANCE, CHROMINANCE], dtype=quality.dtype)
    scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    steps = (tables * scale.view(-1, 1, 1) + 50) / 100
    return steps.floor().clamp(1, 255)


def cosine_transform() -> Tensor:
    """The orthonormal 8x8 DCT-II as a float64 [64, 64] matrix, to be multiplied from the right."""
    k = torch.arange(8, dtype=torch.float64)
    basis = torch.cos((2 * k.view(-1, 1) + 1) * k * math.pi / 16) / 2
    basis[:, 0] /= math.sqrt(2)
    return torch.kron(basis, basis)
