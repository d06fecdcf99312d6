"""Resampling to an exact size, in gamma-encoded values or in linear light."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk.imaging.picture import Pixels
from realesrgan_vk.imaging.samples import from_unit, linear_to_srgb, srgb_to_linear, to_unit
from realesrgan_vk.options import Filter, Light

_PILLOW: dict[str, Image.Resampling] = {
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "triangle": Image.Resampling.BILINEAR,
    "catmullrom": Image.Resampling.BICUBIC,  # Pillow's cubic has a = -0.5
    "nearest": Image.Resampling.NEAREST,
}
_REACH = 3  # pixels to each side that the widest filter, Lanczos, takes where it does not shrink
# B and C of Mitchell and Netravali, "Reconstruction Filters in Computer Graphics", 1988.
_CUBIC = {"mitchell": (1 / 3, 1 / 3), "cubicbspline": (1.0, 0.0)}


def resize(
    pixels: Pixels, size: tuple[int, int], light: Light = "gamma", kernel: Filter = "lanczos"
) -> Pixels:
    """The picture in another size, clipped to its range, of the same sample type.

    Args:
        pixels: Height x width x channels, sRGB-encoded where `light` is "linear".
        size: Width and height wanted.
        light: Whether to average encoded values or linear light.
        kernel: Which filter weighs them.
    """
    if pixels.shape[:2] == (size[1], size[0]):
        return pixels
    if light == "gamma" and pixels.dtype == np.uint8 and kernel in _PILLOW:
        return np.stack(
            [
                np.asarray(_image(pixels[..., c]).resize(size, _PILLOW[kernel]))
                for c in range(pixels.shape[2])
            ],
            axis=-1,
        )
    out = np.empty((size[1], size[0], pixels.shape[2]), pixels.dtype)
    for channel in range(pixels.shape[2]):
        plane = to_unit(pixels[..., channel])
        if light == "linear":
            plane = srgb_to_linear(plane)
        plane = np.clip(_resize_plane(plane, size, kernel), 0, 1)
        if light == "linear":
            plane = linear_to_srgb(plane)
        out[..., channel] = from_unit(plane, pixels.dtype)
    return out


def resized_rows(
    pixels: Pixels,
    size: tuple[int, int],
    rows: range,
    light: Light = "gamma",
    kernel: Filter = "lanczos",
) -> NDArray[np.float32]:
    """Some rows of what `resize` returns, in floats of 0..1; only the rows they need are converted.

    Args:
        pixels: Height x width x channels, sRGB-encoded where `light` is "linear".
        size: Width and height of the whole resized picture.
        rows: Which of its rows.
        light: As for `resize`.
        kernel: As for `resize`.
    """
    height = pixels.shape[0]
    if pixels.shape[:2] == (size[1], size[0]):
        return to_unit(pixels[rows.start : rows.stop])
    ratio = height / size[1]
    reach = math.ceil(_REACH * max(ratio, 1)) + 1
    top = max(0, math.floor(rows.start * ratio) - reach)
    part = pixels[top : math.ceil(rows.stop * ratio) + reach]
    out = np.empty((len(rows), size[0], pixels.shape[2]), np.float32)
    for channel in range(pixels.shape[2]):
        plane = to_unit(part[..., channel])
        if light == "linear":
            plane = srgb_to_linear(plane)
        if kernel in _PILLOW:
            # Pillow takes what lies outside of the box, too, where a filter reaches it.
            box = (0, rows.start * ratio - top, plane.shape[1], rows.stop * ratio - top)
            box = (*box[:3], min(box[3], float(plane.shape[0])))
            wanted = (size[0], len(rows))
            plane = np.asarray(_image(plane).resize(wanted, _PILLOW[kernel], box))
        else:
            weigh = _cubic(*_CUBIC[kernel])
            columns = _resize_rows(plane.T, size[0], weigh)
            plane = _resize_rows(columns.T, size[1], weigh, rows, (top, height))
        plane = np.clip(plane, 0, 1)
        out[..., channel] = linear_to_srgb(plane) if light == "linear" else plane
    return out


def _image(plane: Pixels) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(plane))


def _resize_plane(
    plane: NDArray[np.float32], size: tuple[int, int], kernel: Filter
) -> NDArray[np.float32]:
    if kernel in _PILLOW:
        return np.asarray(_image(plane).resize(size, _PILLOW[kernel]))
    weigh = _cubic(*_CUBIC[kernel])
    columns = _resize_rows(plane.T, size[0], weigh)
    return _resize_rows(columns.T, size[1], weigh)


def _cubic(b: float, c: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def weigh(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        x = np.abs(distance)
        near = (12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + (6 - 2 * b)
        far = (-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x
        return np.where(x < 1, near, np.where(x < 2, far + (8 * b + 24 * c), 0.0)) / 6

    return weigh


def _resize_rows(
    plane: NDArray[np.float32],
    length: int,
    weigh: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    rows: range | None = None,
    part: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """Resize along axis 0; the kernel (radius 2) widens when shrinking.

    Args:
        plane: All rows, or those from `part[0]` on of `part[1]`.
        length: Of the whole result.
        weigh: The kernel.
        rows: Which rows of it; None: all.
        part: Which part the plane is of; None: it is whole.
    """
    top, height = part or (0, plane.shape[0])
    rows = range(length) if rows is None else rows
    ratio = height / length
    widening = max(ratio, 1.0)
    centre = (np.arange(rows.start, rows.stop) + 0.5) * ratio - 0.5
    first = np.ceil(centre - 2 * widening).astype(np.int64)
    taps = first[:, None] + np.arange(int(np.ceil(4 * widening)) + 1)
    weights = weigh((taps - centre[:, None]) / widening)
    weights[(taps < 0) | (taps >= height)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    sources = np.clip(taps - top, 0, plane.shape[0] - 1)
    out = np.zeros((len(rows), plane.shape[1]), np.float32)
    for tap in range(taps.shape[1]):
        out += weights[:, tap, None].astype(np.float32) * plane[sources[:, tap]]
    return out
