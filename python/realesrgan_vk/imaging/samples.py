"""Arithmetic on samples: their types, ranges and tone curve, colour and alpha of a frame."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.errors import ImageError
from realesrgan_vk.imaging.picture import Frame, Pixels


def to_unit(samples: Pixels) -> NDArray[np.float32]:
    """Samples of any type as float32 in 0..1."""
    if samples.dtype == np.float32:
        return samples
    unit: NDArray[np.float32] = samples.astype(np.float32)
    unit /= np.iinfo(samples.dtype).max
    return unit


def from_unit(samples: NDArray[np.float32], dtype: np.dtype[Any]) -> Pixels:
    """Float samples in 0..1 as another type, rounded to the nearest."""
    if dtype == np.float32:
        return samples
    return np.rint(np.clip(samples, 0, 1) * np.iinfo(dtype).max).astype(dtype)


def mixed(samples: Pixels, rest: NDArray[np.float32], share: NDArray[np.float32] | float) -> Pixels:
    """This share of the samples, 0..1, and the rest of floats in 0..1, rounded once.

    A share of 1 gives the samples, and one of 0 the rest, exactly.
    """
    part = np.float32(share)
    return from_unit(to_unit(samples) * part + rest * (1 - part), samples.dtype)


def srgb_to_linear(encoded: NDArray[np.float32]) -> NDArray[np.float32]:
    """sRGB-encoded values in 0..1 as linear light (IEC 61966-2-1)."""
    high = ((np.maximum(encoded, 0) + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, high).astype(np.float32)


def linear_to_srgb(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear light in 0..1 as sRGB-encoded values (IEC 61966-2-1)."""
    high = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, linear * 12.92, high).astype(np.float32)


def eight_bit(frame: Frame) -> Frame:
    """The frame with 8-bit samples."""
    return _stored_as(frame, np.dtype(np.uint8))


def sixteen_bit(frame: Frame) -> Frame:
    """The frame with 16-bit samples where it had floats."""
    return _stored_as(frame, np.dtype(np.uint16)) if frame.pixels.dtype == np.float32 else frame


def joined(frame: Frame) -> Pixels:
    """Colour and alpha as one array."""
    if frame.alpha is None:
        return frame.pixels
    return np.concatenate([frame.pixels, frame.alpha[..., None]], axis=2)


def colour(frame: Frame) -> Pixels:
    """RGB or RGBA samples; a grey frame is repeated in all three channels."""
    pixels = frame.pixels
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return joined(replace(frame, pixels=pixels))


def to_grey(frame: Frame) -> Frame:
    """The luma of a colour frame (ITU-R BT.601, as in Pillow and Netpbm)."""
    luma = to_unit(frame.pixels) @ np.array([[0.299], [0.587], [0.114]], np.float32)
    return replace(frame, pixels=from_unit(luma, frame.pixels.dtype))


def bilevel(frame: Frame) -> Pixels:
    """Height x width of bool: whether the 8-bit sample is at least 128."""
    threshold: Pixels = eight_bit(frame).pixels[..., 0] >= 128
    return threshold


def is_opaque(frame: Frame) -> bool:
    """Whether every pixel is fully opaque."""
    alpha = frame.alpha
    if alpha is None:
        return True
    return bool((alpha == (1 if alpha.dtype == np.float32 else np.iinfo(alpha.dtype).max)).all())


def on_white(frame: Frame) -> Frame:
    """The frame composited onto white, without alpha."""
    if frame.alpha is None or is_opaque(frame):
        return replace(frame, alpha=None)
    opacity = to_unit(frame.alpha)[..., None]
    mixed = to_unit(frame.pixels) * opacity + (1 - opacity)
    return replace(frame, pixels=from_unit(mixed, frame.pixels.dtype), alpha=None)


def unit_range(frame: Frame) -> tuple[Frame, tuple[float, float]]:
    """Float samples scaled to 0..1, and what 0 and 1 stand for; unchanged where they fit."""
    if not np.isfinite(frame.pixels).all():
        raise ImageError("the picture has values that are NaN or infinite; replace them first")
    low = min(0.0, float(frame.pixels.min()))
    high = max(1.0, float(frame.pixels.max()))
    if (low, high) == (0.0, 1.0):
        return frame, (low, high)
    if high - low > float(np.finfo(np.float32).max):
        raise ImageError(
            f"the picture has values from {low:g} to {high:g}, a larger range than floats have; "
            "replace those far outside of the others"
        )
    # In double precision, because floats would round away small values beside a large offset.
    scaled = np.empty_like(frame.pixels)
    for row, values in enumerate(frame.pixels):
        scaled[row] = (values.astype(np.float64) - low) / (high - low)
    return replace(frame, pixels=scaled), (low, high)


def original_range(frame: Frame, value_range: tuple[float, float]) -> Pixels:
    """Float samples in the range they had before `unit_range`."""
    low, high = value_range
    if value_range == (0.0, 1.0) or frame.pixels.dtype != np.float32:
        return frame.pixels
    restored = np.empty_like(frame.pixels)
    for row, values in enumerate(frame.pixels):
        restored[row] = values.astype(np.float64) * (high - low) + low
    return restored


def _stored_as(frame: Frame, dtype: np.dtype[Any]) -> Frame:
    if frame.pixels.dtype == dtype:
        return frame
    alpha = None if frame.alpha is None else from_unit(to_unit(frame.alpha), dtype)
    return replace(frame, pixels=from_unit(to_unit(frame.pixels), dtype), alpha=alpha)
