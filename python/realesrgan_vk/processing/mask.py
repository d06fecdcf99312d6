"""A mask: a grey picture that says where a network's result is used, and how much of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io.limits import Header
from realesrgan_vk.imaging import arrays
from realesrgan_vk.imaging.picture import Pixels
from realesrgan_vk.imaging.resample import resized_rows
from realesrgan_vk.imaging.samples import is_opaque, to_grey
from realesrgan_vk.options import FileSource
from realesrgan_vk.processing.pictures import check_samples, picture_of


@dataclass(frozen=True, slots=True)
class Mask:
    """How much of a network's result is used at each place.

    Attributes:
        pixels: Height x width x 1; white (255, 65535 or 1) is the network's result, black the plain
            enlargement.
        size: Width and height of the result.
    """

    pixels: Pixels
    size: tuple[int, int]

    def rows(self, rows: range) -> NDArray[np.float32]:
        """Shares of these rows of the result, 0..1; rows x width x 1.

        A mask of the source's size is enlarged linearly, which neither rings nor overshoots.
        """
        return resized_rows(self.pixels, self.size, rows, kernel="triangle")


def mask_of(
    mask: NDArray[Any] | Image.Image | FileSource, source: tuple[int, int], result: tuple[int, int]
) -> Mask:
    """Read a mask; colours become grey (BT.601).

    Args:
        mask: An array, which may be of booleans, a PIL image, or a picture file.
        source: Width and height of the picture.
        result: Width and height of its result.

    Raises:
        TypeError: No picture.
        ValueError: An array of another shape than a picture's.
        ImageError: It cannot be read, is an animation, of another size than the source and the
            result, or partly transparent.
    """
    allowed = tuple(dict.fromkeys((source, result)))

    def accept(header: Header) -> None:
        if header.frames > 1:
            raise ImageError("the mask is an animation; give a still picture, for all frames")
        found = (header.width, header.height)
        if found not in allowed:
            sizes = " or ".join(f"{width} x {height}" for width, height in allowed)
            raise ImageError(
                f"the mask is {found[0]} x {found[1]} pixels; it must be as large as the picture "
                f"or its result ({sizes})"
            )

    check_samples(mask, "mask")
    if isinstance(mask, np.ndarray):
        samples = mask.astype(np.uint8) * np.uint8(255) if mask.dtype == np.bool_ else mask
        frame = arrays.to_frame(samples, "mask")
        accept(Header(frame.width, frame.height))
    else:
        # Its size is known before it is decoded, and needs no other limit.
        frame = picture_of(mask, None, accept, "mask").frames[0]
        accept(Header(frame.width, frame.height))
    if not is_opaque(frame):
        raise ImageError(
            "the mask is partly transparent, and its grey values alone count: white for the "
            "network's result, black for the plain enlargement; flatten it first"
        )
    grey = frame if frame.pixels.shape[2] == 1 else to_grey(frame)
    return Mask(grey.pixels, result)
