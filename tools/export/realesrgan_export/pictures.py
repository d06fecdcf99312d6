"""The pictures on which engines are compared: odd sizes, and a real photograph."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.float32]
"""[height, width, channels], values around 0..1."""

SIZES = ((1, 1), (7, 5), (33, 64), (96, 80))
"""Width and height of the synthetic pictures."""


@dataclass(frozen=True)
class NamedPicture:
    """One picture to compare engines on."""

    name: str
    pixels: Picture


def verification_pictures(channels: int) -> list[NamedPicture]:
    """Return the synthetic pictures and the photograph, the same at every call.

    With 1 channel it is the photograph's luma; more than 3 repeat its colours.
    """
    pictures = [
        NamedPicture(f"{width}x{height}", _synthetic(width, height, channels))
        for width, height in SIZES
    ]
    return [*pictures, NamedPicture("photograph", _photograph(channels))]


def square_pictures(side: int) -> list[NamedPicture]:
    """Return a synthetic picture and the photograph's middle, both of this side, in colour."""
    photograph = _photograph(3)
    shorter = min(photograph.shape[:2])
    top, left = ((length - shorter) // 2 for length in photograph.shape[:2])
    middle = photograph[top : top + shorter, left : left + shorter]
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((side, side)))
        for plane in middle.transpose(2, 0, 1)
    ]
    return [
        NamedPicture(f"{side}x{side}", _synthetic(side, side, 3)),
        NamedPicture("photograph", np.clip(np.stack(planes, axis=-1), 0, 1)),
    ]


def _synthetic(width: int, height: int, channels: int) -> Picture:
    """Slow waves, sharp edges and noise: every frequency a network reacts to."""
    rng = np.random.default_rng([width, height, channels])
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = 0.5 + 0.3 * np.sin(0.19 * x + 0.07 * y) * np.cos(0.11 * y)
    edges = 0.2 * ((x.astype(int) // 5 + y.astype(int) // 7) % 2)
    noise = rng.normal(0, 0.05, (height, width, channels))
    tint = np.linspace(0.8, 1.0, channels)
    picture: Picture = np.clip((waves + edges)[..., None] * tint + noise, 0, 1).astype(np.float32)
    return picture


def _photograph(channels: int) -> Picture:
    resource = files("realesrgan_export") / "photograph.png"
    with resource.open("rb") as file, Image.open(file) as image:
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.float32)
    pixels /= np.float32(255)
    if channels == 1:
        return pixels[..., None]
    repeats = -(-channels // 3)
    return np.ascontiguousarray(np.tile(pixels, (1, 1, repeats))[..., :channels])
