"""Photographs for the tests, from scikit-image's wheel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from skimage import data
from torch import Tensor

NAMES = ("astronaut", "chelsea", "coffee", "rocket")


@lru_cache(maxsize=4)
def photograph(name: str) -> Tensor:
    """[3, H, W], 0..1."""
    pixels: np.ndarray = getattr(data, name)()
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def crops(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """[B, 3, height, width] of several photographs."""
    rng = np.random.default_rng(seed)
    out = []
    for number in range(batch):
        picture = photograph(NAMES[number % len(NAMES)])
        top = int(rng.integers(picture.shape[1] - height + 1))
        left = int(rng.integers(picture.shape[2] - width + 1))
        out.append(picture[:, top : top + height, left : left + width])
    return torch.stack(out)


def ragged(sizes: list[tuple[int, int]], seed: int = 0) -> tuple[list[Tensor], Tensor]:
    """Pictures [1, 3, h, w] of the sizes, and the canvas [B, 3, H, W] full of junk around them."""
    height, width = max(h for h, _ in sizes), max(w for _, w in sizes)
    whole = crops(len(sizes), height, width, seed)
    canvas = torch.full_like(whole, 0.77)
    pictures = []
    for number, (h, w) in enumerate(sizes):
        pictures.append(whole[number : number + 1, :, :h, :w].clone())
        canvas[number, :, :h, :w] = whole[number, :, :h, :w]
    return pictures, canvas
