"""What callers give as pictures: PIL images, paths, bytes and open files, decoded."""

import os

import numpy as np
from PIL import Image

from realesrgan_vk import image_io
from realesrgan_vk.checks import file_path
from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io.codecs import pillow
from realesrgan_vk.image_io.limits import Accept
from realesrgan_vk.image_io.urls import UrlPath
from realesrgan_vk.imaging.picture import Picture
from realesrgan_vk.options import FileSource

_KINDS = "a NumPy array, a PIL image, a path, the bytes of a picture file or an open binary file"


def check_samples(image: object, name: str = "image") -> None:
    """Refuse arrays in forms whose samples would silently be read as something else.

    Raises:
        TypeError: A masked array with masked pixels, which have no value, or the view of an array,
            where bytes are those of a file.
    """
    if np.ma.is_masked(image):
        raise TypeError(
            f"{name} is a masked array with masked pixels; give these a value ({name}.filled(0)), "
            "or pass the mask as alpha, the fourth channel"
        )
    if isinstance(image, memoryview) and (image.ndim != 1 or image.itemsize != 1):
        raise TypeError(
            f"{name} is a memoryview of shape {image.shape}, format {image.format!r}; bytes must "
            "be those of a picture file: for an array give numpy.asarray(image)"
        )


def picture_of(
    image: Image.Image | FileSource,
    max_pixels: int | None,
    accept: Accept | None = None,
    name: str = "image",
) -> Picture:
    """Decode a PIL image, a path, the bytes of a file or an open file."""
    if isinstance(image, Image.Image):
        return picture_of_pil(image, name)
    if isinstance(image, UrlPath):
        return image_io.read(image, max_pixels=max_pixels, accept=accept)
    if isinstance(image, (str, os.PathLike)):
        return image_io.read(file_path(image, name), max_pixels=max_pixels, accept=accept)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return image_io.decode(bytes(image), max_pixels=max_pixels, accept=accept)
    if callable(getattr(image, "read", None)):
        return image_io.read_open(image, max_pixels=max_pixels, accept=accept)
    raise TypeError(f"{name} must be {_KINDS}, not {type(image).__name__}")


def picture_of_pil(image: Image.Image, name: str = "image") -> Picture:
    """Decode a PIL image, which may not have read its file yet.

    Raises:
        ImageError: Its file is damaged.
    """
    try:
        image.load()
    except Exception as error:  # decoders raise many types on damaged data
        raise ImageError(f"{name} cannot be decoded by PIL: {error}") from error
    return pillow.from_pil(image)
