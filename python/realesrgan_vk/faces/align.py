"""Cutting a face out of a picture so that it lies as face networks expect it, and back.

All positions are in pixels of their picture with the first pixel's centre at (0.5, 0.5), so that
scaling a picture scales positions by the same factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk.imaging.picture import Pixels
from realesrgan_vk.imaging.samples import to_unit

if TYPE_CHECKING:
    from collections.abc import Iterator

Points = NDArray[np.float64]
Floats = NDArray[np.float32]

CROP = 512
"""Side of a crop in pixels: what networks for faces take and give."""

TEMPLATE: Points = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.19360],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
"""Where a crop has the landmarks: their means over FFHQ's faces at 512 pixels, as in facexlib."""

_TAPS = 2  # of the interpolation, on each side of a position
_BAND_VALUES = 1 << 20  # of the result that are computed at once


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """A turn, a scale and a shift of the plane: `turn @ point + shift`.

    Attributes:
        turn: Of shape (2, 2), the scale times a rotation.
        shift: Of shape (2,).
    """

    turn: Points
    shift: Points

    @property
    def scale(self) -> float:
        """How long a distance of 1 becomes."""
        return math.sqrt(abs(float(np.linalg.det(self.turn))))

    def __call__(self, points: Points) -> Points:
        """Map points of shape (N, 2)."""
        return points @ self.turn.T + self.shift

    def inverse(self) -> Similarity:
        """The map back."""
        back = np.linalg.inv(self.turn).astype(np.float64)
        return Similarity(back, -back @ self.shift)

    def of_scaled(self, across: float, down: float) -> Similarity:
        """The same map from the picture scaled by these factors."""
        factors = np.array([across, down])
        return Similarity(self.turn / factors, self.shift)


def to_crop(landmarks: Points) -> Similarity:
    """The similarity that brings five landmarks closest to `TEMPLATE`, in least squares.

    S. Umeyama: Least-squares estimation of transformation parameters between two point patterns,
    1991, for the plane. Points that are all in one place are only shifted.
    """
    source, target = landmarks - landmarks.mean(axis=0), TEMPLATE - TEMPLATE.mean(axis=0)
    spread = float((source**2).sum())
    # As complex numbers the best factor is the projection of the target on the source.
    along = float((source * target).sum())
    across = float((source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0]).sum())
    if spread > 0 and (along, across) != (0.0, 0.0):
        turn = np.array([[along, -across], [across, along]]) / spread
    else:
        turn = np.eye(2)
    return Similarity(turn, TEMPLATE.mean(axis=0) - turn @ landmarks.mean(axis=0))


def warp(pixels: Pixels, similarity: Similarity, size: tuple[int, int]) -> Floats:
    """The picture mapped by a similarity, by bicubic interpolation.

    Beyond its edges the picture is continued by what is at the edge itself, half a pixel beyond the
    centres of the last pixels. So pictures of any scale are continued alike.

    Where the result is smaller the picture is first shrunk by Lanczos' filter, so that its detail
    does not become false patterns.

    Args:
        pixels: Height x width x channels, of any sample type.
        similarity: From the picture to the result.
        size: Width and height of the result in pixels.

    Returns:
        Floats; those of whole numbers in 0..1.
    """
    pixels, similarity = _part(pixels, similarity, size)
    if similarity.scale < 1:
        height, width = pixels.shape[:2]
        smaller = tuple(max(1, math.ceil(side * similarity.scale)) for side in (width, height))
        planes = [
            np.asarray(Image.fromarray(plane).resize(smaller, Image.Resampling.LANCZOS))
            for plane in map(_float_plane, pixels.transpose(2, 0, 1))
        ]
        pixels = np.stack(planes, axis=-1)
        similarity = similarity.of_scaled(smaller[0] / width, smaller[1] / height)
    samples = to_unit(pixels)
    back = similarity.inverse()
    out = np.empty((size[1], size[0], pixels.shape[2]), np.float32)
    columns = np.arange(size[0]) + 0.5
    for top, bottom in _bands(out):
        rows = np.arange(top, bottom)[:, None] + 0.5
        x = back.turn[0, 0] * columns + back.turn[0, 1] * rows + (back.shift[0] - 0.5)
        y = back.turn[1, 0] * columns + back.turn[1, 1] * rows + (back.shift[1] - 0.5)
        out[top:bottom] = _sampled(samples, x, y)
    return out


def _float_plane(plane: Pixels) -> Floats:
    return np.ascontiguousarray(to_unit(plane))


def _bands(out: Floats) -> Iterator[tuple[int, int]]:
    rows = max(1, _BAND_VALUES // (out.shape[1] * out.shape[2]))
    for top in range(0, out.shape[0], rows):
        yield top, min(top + rows, out.shape[0])


def _part(
    pixels: Pixels, similarity: Similarity, size: tuple[int, int]
) -> tuple[Pixels, Similarity]:
    """The rectangle of the picture that the result can depend on, with the pixels at an edge."""
    height, width = pixels.shape[:2]
    full = np.array([width, height])
    least = np.minimum(1 + _TAPS, full)
    corners = np.array([[0, 0], [size[0], 0], [0, size[1]], size], np.float64)
    needed = similarity.inverse()(corners)
    margin = 4 * max(1.0, 1 / similarity.scale)  # of the filters
    low = np.clip(np.floor(needed.min(axis=0) - margin), 0, full - least).astype(int)
    high = np.clip(np.ceil(needed.max(axis=0) + margin), low + least, full).astype(int)
    part = pixels[low[1] : high[1], low[0] : high[0]]
    return part, Similarity(similarity.turn, similarity.shift + similarity.turn @ low)


def _sampled(pixels: Floats, x: Points, y: Points) -> Floats:
    """Values at positions, where a pixel's centre is at a whole number; cubic with a = -0.5."""
    x = np.clip(x, -0.5, pixels.shape[1] - 0.5) + _TAPS
    y = np.clip(y, -0.5, pixels.shape[0] - 0.5) + _TAPS
    pixels = _continued(pixels)
    height, width, channels = pixels.shape
    left, top = np.floor(x), np.floor(y)
    across, down = _cubic((x - left).astype(np.float32)), _cubic((y - top).astype(np.float32))
    columns, rows = left.astype(np.int64), top.astype(np.int64)
    planes = np.ascontiguousarray(pixels.reshape(-1, channels).T)
    out = np.zeros((channels, *x.shape), np.float32)
    places = [np.clip(columns + (column - 1), 0, width - 1) for column in range(4)]
    for row in range(4):
        line = np.clip(rows + (row - 1), 0, height - 1) * width
        for place, share in zip(places, across, strict=True):
            index = line + place
            weight = down[row] * share
            for channel, plane in enumerate(planes):
                out[channel] += weight * plane.take(index)
    return out.transpose(1, 2, 0)


def _continued(pixels: Floats) -> Floats:
    """The pixels with `_TAPS` more on each side, in which slopes go on, within the range of all."""
    width = ((_TAPS, _TAPS), (_TAPS, _TAPS), (0, 0))
    padded = np.pad(pixels, width, mode="reflect", reflect_type="odd")
    return np.clip(padded, min(0.0, float(pixels.min())), max(1.0, float(pixels.max())))


def _cubic(t: Floats) -> list[Floats]:
    """Weights of the pixels at -1, 0, 1 and 2 for a position `t` between 0 and 1."""
    return [
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
