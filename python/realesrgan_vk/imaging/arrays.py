"""Conversion between a caller's NumPy arrays and frames."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.checks import MAX_INPUT_SIDE
from realesrgan_vk.errors import ImageError
from realesrgan_vk.imaging.picture import Frame, Picture
from realesrgan_vk.imaging.samples import colour, joined, original_range

FLOAT_RANGE = (-1.0, 2.0)
"""Allowed range of float samples: 0..1 with an overshoot of 1 on either side."""

TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))


def to_frame(image: NDArray[Any], name: str = "image") -> Frame:
    """Return a view of the array as pixels and alpha.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16 or float32 in 0..1.
        name: What it is called in messages.

    Raises:
        TypeError: Another sample type.
        ValueError: Another shape, no pixels, a side of more than `MAX_INPUT_SIDE`, or floats
            beyond `FLOAT_RANGE`.
        ImageError: A value that is not finite.
    """
    dtype = image.dtype.newbyteorder("=")
    if dtype not in TYPES:
        raise TypeError(
            f"{name} has samples of type {image.dtype}; it must be uint8, uint16 or float32 in "
            f"0..1 (convert with {name}.astype(...))"
        )
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise ValueError(
            f"{name} has shape {image.shape}; it must be (height, width), or (height, width, "
            "channels) with 1, 3 or 4 channels"
        )
    if image.size == 0:
        raise ValueError(f"{name} has shape {image.shape}, which has no pixels")
    if max(image.shape[:2]) > MAX_INPUT_SIDE:
        raise ValueError(
            f"{name} has shape {image.shape}; each side must be from 1 to {MAX_INPUT_SIDE} pixels"
        )
    if image.dtype != dtype:
        image = image.astype(dtype)
    # Unpickled arrays have other dtype objects, which compiled code may not recognise.
    image = image.view(np.dtype(dtype.type))
    if dtype == np.float32:
        check_floats(image, name)
    if image.ndim == 2:
        return Frame(image[..., None])
    if image.shape[2] == 4:
        return Frame(image[..., :3], image[..., 3])
    return Frame(image)


def check_floats(samples: NDArray[Any], name: str) -> None:
    """Refuse float samples that are not those of a picture in 0..1.

    Raises:
        ValueError: They are beyond `FLOAT_RANGE`: on another scale, such as 0..255, or of high
            dynamic range, and would only give white.
        ImageError: A value that is not finite.
    """
    low, high = float(samples.min()), float(samples.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageError(f"{name} has values that are NaN or infinite; replace them first")
    if low < FLOAT_RANGE[0] or high > FLOAT_RANGE[1]:
        raise ValueError(
            f"{name} has float samples from {low:g} to {high:g}; black is 0 and white is 1 "
            f"({FLOAT_RANGE[0]:g} to {FLOAT_RANGE[1]:g} are allowed, for overshoot): divide "
            "samples of 0..255 by 255, and bring high dynamic range to 0..1 first"
        )


def from_frame(frame: Frame, dimensions: int) -> NDArray[Any]:
    """The frame as one array; of 2 dimensions only when it is grey and those were asked for."""
    if frame.alpha is not None:
        return joined(frame)
    return frame.pixels[..., 0] if dimensions == 2 else frame.pixels


def of_picture(picture: Picture) -> NDArray[Any]:
    """A picture's first frame: (H, W) where it is grey and opaque, else (H, W, 3) or (H, W, 4)."""
    frame = picture.frames[0]
    pixels = original_range(frame, picture.value_range)
    if frame.alpha is None:
        return pixels[..., 0] if pixels.shape[2] == 1 else pixels
    return colour(replace(frame, pixels=pixels))
