"""Blur kernels: six families around the Gaussian, and the sinc (circular low-pass) filter."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from realesrgan_train.config.degradation import KERNEL_FAMILIES, LARGEST_KERNEL
from realesrgan_train.degradations.draw import PLATEAU_FAMILIES, DrawnKernel


def _grid() -> tuple[Tensor, Tensor]:
    """Offsets (x, y) from the centre, each float64 [K, K]."""
    axis = torch.arange(LARGEST_KERNEL, dtype=torch.float64) - LARGEST_KERNEL // 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return x, y


def _normalised(kernels: Tensor, size: Tensor) -> Tensor:
    """Cut each kernel to its size and make it add up to 1."""
    x, y = _grid()
    reach = torch.maximum(x.abs(), y.abs())
    kernels = kernels * (reach <= size.view(-1, 1, 1) // 2)
    return kernels / kernels.sum((1, 2), keepdim=True)


def gaussian_family_kernels(
    *,
    size: Tensor,
    family: Tensor,
    sigma_x: Tensor,
    sigma_y: Tensor,
    rotation: Tensor,
    beta: Tensor,
) -> Tensor:
    """Kernels of the six families, from the quadratic form q = d' S^-1 d of the offset d.

    S has deviations sigma_x, sigma_y and the given rotation. Plain families are exp(-q/2),
    generalized ones exp(-q^beta/2), plateau ones 1/(1 + q^beta): Wang et al., Real-ESRGAN, 2021,
    section 3.1; Liu et al., Estimating Generalized Gaussian Blur Kernels, 2020.

    The arguments are those of `DrawnKernel`; outside of `size`, at most 21, a kernel is zero.

    Returns:
        float64 [B, 21, 21] on the host, each adding up to 1.
    """
    x, y = _grid()
    cosine, sine = rotation.cos().view(-1, 1, 1), rotation.sin().view(-1, 1, 1)
    along = (x * cosine + y * sine) / sigma_x.view(-1, 1, 1)
    across = (y * cosine - x * sine) / sigma_y.view(-1, 1, 1)
    powered = (along.square() + across.square()) ** beta.view(-1, 1, 1)
    plateau = torch.isin(family, PLATEAU_FAMILIES).view(-1, 1, 1)
    return _normalised(torch.where(plateau, 1 / (1 + powered), torch.exp(-powered / 2)), size)


def sinc_kernels(size: Tensor, cutoff: Tensor) -> Tensor:
    """Ideal circular low-pass filters: w J1(w r) / (2 pi r), cut to a square support.

    Args:
        size: int64 [B], odd, at most 21.
        cutoff: float64 [B], w in radians per pixel, up to pi.

    Returns:
        float64 [B, 21, 21] on the host, each adding up to 1.
    """
    x, y = _grid()
    radius = torch.hypot(x, y)
    centre = radius == 0
    w = cutoff.view(-1, 1, 1)
    wave = w * torch.special.bessel_j1(w * radius) / (2 * math.pi * radius.masked_fill(centre, 1.0))
    return _normalised(torch.where(centre, w.square() / (4 * math.pi), wave), size)


def is_separable(drawn: DrawnKernel) -> Tensor:
    """Which of the drawn kernels are a column times a row: the plain round ones. bool [B]."""
    return ~drawn.is_sinc & (drawn.family == KERNEL_FAMILIES.index("iso"))


def drawn_kernels(drawn: DrawnKernel) -> Tensor:
    """The kernels that were drawn, float32 [B, 21, 21] on the host."""
    family = gaussian_family_kernels(
        size=drawn.size,
        family=drawn.family,
        sigma_x=drawn.sigma_x,
        sigma_y=drawn.sigma_y,
        rotation=drawn.rotation,
        beta=drawn.beta,
    )
    sinc = sinc_kernels(drawn.size, drawn.cutoff)
    return torch.where(drawn.is_sinc.view(-1, 1, 1), sinc, family).float()
