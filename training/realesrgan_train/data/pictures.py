"""Decode a picture into 8-bit RGB or grey."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from realesrgan_train.errors import DataError

Picture = npt.NDArray[np.uint8]

_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})


def is_picture_name(name: str) -> bool:
    """Whether a file name ends like a picture this package decodes."""
    return PurePosixPath(name).suffix.lower() in _EXTENSIONS


_TOLERANCE = 0.01
"""Of full scale: what sharpening or resampling of a floating-point picture leaves outside 0..1."""

_FLOAT, _SIGNED = 3, 2
"""TIFF's `SampleFormat` values (TIFF 6.0, section 19) that Pillow opens for one channel at most."""


def _full_scale(image: Image.Image, values: npt.NDArray[np.float64]) -> float:
    """The value of white in a picture of one deep channel.

    Raises:
        DataError: The picture does not say, or holds values outside.
    """
    if image.mode == "F":
        full, kind = 1.0, "floating-point"
    elif image.format == "TIFF" and image.mode == "I":
        raise DataError(
            "is a TIFF of signed or 32-bit integers, whose white is unknown: convert it to 8 or 16 "
            "bit, unsigned"
        )
    else:
        full, kind = 65535.0, "16-bit"
    if not np.isfinite(values).all():
        raise DataError("holds NaN or infinity")
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if low < -_TOLERANCE * full or high > (1 + _TOLERANCE) * full:
        raise DataError(
            f"is a {kind} picture with values from {low:g} to {high:g}; 0 to {full:g} can be read: "
            "convert it to 8 or 16 bit"
        )
    return full


def _to_rgb(image: Image.Image, upright: Image.Image) -> Image.Image:
    """8-bit RGB; deeper grey is scaled rather than clipped, alpha is dropped."""
    if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
        values = np.asarray(upright, dtype=np.float64)
        scaled = values * (255.0 / _full_scale(image, values))
        upright = Image.fromarray(np.clip(scaled + 0.5, 0, 255).astype(np.uint8))
    if upright.mode == "P" and "transparency" in upright.info:
        upright = upright.convert("RGBA")
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def _what_pillow_lacks(data: bytes) -> str:
    """Say which TIFF it is that Pillow does not open, or nothing for other files."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return ""
    stream = io.BytesIO(data)
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(stream.read(8))
        stream.seek(tags.next)
        tags.load(stream)
        samples = set(tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,)))
        bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
        channels = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, struct.error):
        return ""
    kind = "floating-point" if _FLOAT in samples else "signed" if _SIGNED in samples else "unsigned"
    return (
        f"is a TIFF of {bits}-bit {kind} numbers in {channels} channel{'s' * (channels != 1)}, "
        "which Pillow cannot read: convert it to 8 or 16 bit"
    )


def picture_area(data: bytes) -> int | None:
    """Pixels of an encoded picture by its header, of which `data` may be all; None if unknown."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in decode_picture
            with Image.open(io.BytesIO(data)) as image:
                return image.width * image.height
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError):
        return None


def decode_picture(data: bytes, name: str, channels: int = 3) -> Picture:
    """Decode an encoded picture to `uint8[H, W, channels]`, upright by its EXIF orientation.

    With 3 channels it is RGB. With 1 it is grey: a grey picture's own values, of a colour picture
    (19595 R + 38470 G + 7471 B + 32768) >> 16 of its 8-bit RGB, which is BT.601's 0.299 R +
    0.587 G + 0.114 B, rounded. Grey of 16 bit is read as 0..65535, grey in floating point as 0..1.
    Messages have the name.

    Raises:
        DataError: Empty, truncated, not a picture, or of values whose white is unknown.
    """
    if not data:
        raise DataError(f"{name}: the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata and large pictures are fine here
            with Image.open(io.BytesIO(data)) as image:
                upright = ImageOps.exif_transpose(image)
                rgb = _to_rgb(image, upright)
                if channels == 3:
                    return np.array(rgb, dtype=np.uint8)
                return np.array(rgb.convert("L"), dtype=np.uint8)[..., None]
    except UnidentifiedImageError as error:
        what = _what_pillow_lacks(data) or "not a picture, or one of an unknown format"
        raise DataError(f"{name}: {what}") from error
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{name}: cannot be decoded ({error})") from error
