"""PSNR and SSIM on luma and on RGB, as super-resolution papers report them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from realesrgan_train.colour import as_rgb

_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5


def to_eight_bit(x: Tensor) -> Tensor:
    """Clamp to 0..1 and round to 256 steps; the result is in 0..255, `float64`."""
    return (x.double().clamp(0, 1) * 255).round()


def luma(rgb: Tensor) -> Tensor:
    """ITU-R BT.601 studio-range luma of `[B, 3, H, W]` in 0..255: `[B, 1, H, W]`, 16..235."""
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=rgb.dtype, device=rgb.device) / 255
    return (rgb * weights.view(1, 3, 1, 1)).sum(1, keepdim=True) + 16


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of two tensors in 0..255; infinite when they are equal."""
    error = float((a - b).square().mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def ssim(a: Tensor, b: Tensor) -> float:
    """Structural similarity, mean over channels and positions (Wang et al., 2004).

    A Gaussian window of 11 taps and sigma 1.5, only where it lies wholly inside the picture. Both
    are `[B, C, H, W]` in 0..255.

    Raises:
        ValueError: The pictures are smaller than the window.
    """
    if min(a.shape[-2:]) < _SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs pictures of at least {_SSIM_WINDOW} pixels, not {tuple(a.shape[-2:])}"
        )
    x = torch.arange(_SSIM_WINDOW, dtype=a.dtype, device=a.device) - _SSIM_WINDOW // 2
    line = torch.exp(-x.square() / (2 * _SSIM_SIGMA**2))
    line = line / line.sum()

    def blur(t: Tensor) -> Tensor:
        rows = functional.conv2d(t.flatten(0, 1).unsqueeze(1), line.view(1, 1, 1, -1))
        return functional.conv2d(rows, line.view(1, 1, -1, 1))

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = blur(a), blur(b)
    var_a = blur(a * a) - mean_a**2
    var_b = blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    score = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return float(score.mean())


def picture_metrics(output: Tensor, target: Tensor, border: int) -> dict[str, float]:
    """`psnr_y`, `ssim_y`, `psnr_rgb` and `ssim_rgb` of one picture.

    PSNR is capped at 100 dB, so that one perfect picture does not make a mean infinite. Both
    pictures are `[1, 3, H, W]` in 0..1, clamped and rounded to 8 bits here; `border` is how many
    pixels are left out on each side, by custom the scale. Grey `[1, 1, H, W]` counts as RGB of
    three equal channels.
    """
    a, b = (as_rgb(to_eight_bit(each)) for each in (output, target))
    if border:
        a, b = (t[..., border:-border, border:-border] for t in (a, b))
    ya, yb = luma(a), luma(b)
    return {
        "psnr_y": min(100.0, psnr(ya, yb)),
        "ssim_y": ssim(ya, yb),
        "psnr_rgb": min(100.0, psnr(a, b)),
        "ssim_rgb": ssim(a, b),
    }
