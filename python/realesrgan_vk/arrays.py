"""NumPy arrays as callers have them, to and from a frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.errors import ImageError
from realesrgan_vk.picture import Frame

_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))


def to_frame(image: NDArray[Any]) -> Frame:
    """A view of the array as pixels and alpha.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16 or float32 in 0..1.

    Raises:
        TypeError: Another sample type.
        ValueError: Another shape, or no pixels.
        ImageError: A value that is not finite.
    """
    dtype = image.dtype.newbyteorder("=")
    if dtype not in _TYPES:
        raise TypeError(
            f"image has samples of type {image.dtype}; it must be uint8, uint16 or float32 in 0..1 "
            "(convert with image.astype(...))"
        )
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise ValueError(
            f"image has shape {image.shape}; it must be (height, width), or (height, width, "
            "channels) with 1, 3 or 4 channels"
        )
    if image.size == 0:
        raise ValueError(f"image has shape {image.shape}: there is no pixel in it")
    if image.dtype != dtype:
        image = image.astype(dtype)
    # Unpickled arrays have type objects of their own, which compiled code may not recognise.
    image = image.view(np.dtype(dtype.type))
    if dtype == np.float32 and not np.isfinite(image).all():
        raise ImageError("image has values that are NaN or infinite; replace them first")
    if image.ndim == 2:
        return Frame(image[..., None])
    if image.shape[2] == 4:
        return Frame(image[..., :3], image[..., 3])
    return Frame(image)


def from_frame(frame: Frame, dimensions: int) -> NDArray[Any]:
    """The frame as one array; of 2 dimensions only when it is grey and those were asked for."""
    if frame.alpha is not None:
        return np.concatenate([frame.pixels, frame.alpha[..., None]], axis=2)
    return frame.pixels[..., 0] if dimensions == 2 else frame.pixels
