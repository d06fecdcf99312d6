"""Drawn decisions in words, for people to read."""

from __future__ import annotations

import math

from realesrgan_train.config.degradation import KERNEL_FAMILIES
from realesrgan_train.degradations.drawn import (
    DrawnKernel,
    DrawnNoise,
    DrawnOrder,
    DrawnParameters,
    DrawnResize,
)
from realesrgan_train.degradations.resize import RESIZE_MODES

_DIRECTIONS = ("up", "down", "keep")


def describe(drawn: DrawnParameters, sample: int) -> list[str]:
    """One line for each step a sample goes through, in order.

    Args:
        drawn: the decisions for a batch.
        sample: which sample.

    Returns:
        Ten lines of at most 60 characters.
    """
    before = bool(drawn.resize_before_jpeg[sample])
    tail = [
        f"resize to LQ, {RESIZE_MODES[int(drawn.final_mode[sample])]}",
        _kernel(drawn.final_sinc, sample),
    ]
    jpeg = [_jpeg(drawn.second, sample)]
    return [
        *_order(drawn.first, sample),
        _jpeg(drawn.first, sample),
        *_order(drawn.second, sample),
        *(tail + jpeg if before else jpeg + tail),
    ]


def _order(drawn: DrawnOrder, sample: int) -> list[str]:
    return [
        _kernel(drawn.kernel, sample),
        _resize(drawn.resize, sample),
        _noise(drawn.noise, sample),
    ]


def _kernel(drawn: DrawnKernel, sample: int) -> str:
    if not drawn.applied[sample]:
        return "no blur"
    taps = int(drawn.size[sample])
    if drawn.is_sinc[sample]:
        return f"sinc {taps} taps, cutoff {drawn.cutoff[sample] / math.pi:.2f} pi"
    name = KERNEL_FAMILIES[int(drawn.family[sample])]
    sigma = f"{drawn.sigma_x[sample]:.2f}"
    if name.endswith("aniso"):
        angle = math.degrees(drawn.rotation[sample].item())
        sigma += f"/{drawn.sigma_y[sample]:.2f} at {angle:.0f} deg"
    beta = f", beta {drawn.beta[sample]:.2f}" if "_" in name else ""
    return f"{name.replace('_', ' ')} {taps} taps, {sigma}{beta}"


def _resize(drawn: DrawnResize, sample: int) -> str:
    direction = _DIRECTIONS[int(drawn.direction[sample])]
    mode = RESIZE_MODES[int(drawn.mode[sample])]
    return f"resize {direction} {drawn.factor[sample]:.2f}, {mode}"


def _noise(drawn: DrawnNoise, sample: int) -> str:
    if not drawn.applied[sample]:
        return "no noise"
    colour = "gray" if drawn.is_gray[sample] else "colour"
    if drawn.is_gaussian[sample]:
        return f"Gaussian noise {drawn.sigma[sample]:.1f}/255, {colour}"
    return f"Poisson noise x {drawn.poisson_scale[sample]:.2f}, {colour}"


def _jpeg(drawn: DrawnOrder, sample: int) -> str:
    if not drawn.jpeg.applied[sample]:
        return "no JPEG"
    return f"JPEG quality {drawn.jpeg.quality[sample]:.0f}"
