"""Decode a picture into 8-bit RGB."""

from __future__ import annotations

import io
import warnings
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from realesrgan_train.errors import DataError

Picture = npt.NDArray[np.uint8]

_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})


def is_picture_name(name: str) -> bool:
    """Whether a file name ends like a picture this package decodes."""
    return PurePosixPath(name).suffix.lower() in _EXTENSIONS


def _to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB; 16-bit grey is scaled rather than clipped, alpha is dropped."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image, dtype=np.float64)
        full = 65535.0 if image.mode != "F" or values.max(initial=0.0) > 255 else 255.0
        image = Image.fromarray(np.clip(values * (255.0 / full) + 0.5, 0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def decode_picture(data: bytes, name: str) -> Picture:
    """Decode an encoded picture, upright by its EXIF orientation.

    Args:
        data: the file's bytes.
        name: for messages.

    Returns:
        `uint8[H, W, 3]`, RGB.

    Raises:
        DataError: empty, truncated, or not a picture.
    """
    if not data:
        raise DataError(f"{name}: the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata and large pictures are fine here
            with Image.open(io.BytesIO(data)) as image:
                upright = ImageOps.exif_transpose(image)
                return np.array(_to_rgb(upright), dtype=np.uint8)
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: not a picture, or one of an unknown format") from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{name}: cannot be decoded ({error})") from error
