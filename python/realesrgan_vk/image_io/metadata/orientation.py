"""Turns pixels upright by EXIF's orientation (EXIF 2.32, section 4.6.4, tag 0x0112)."""

from dataclasses import replace

import numpy as np

from realesrgan_vk.image_io.limits import Header
from realesrgan_vk.image_io.metadata import exif
from realesrgan_vk.imaging.picture import Frame, Pixels


def upright_header(stored: Header, block: bytes | None) -> Header:
    """The header of a picture as it should be seen, which its EXIF block may turn."""
    if block is not None and exif.orientation(block) >= 5:
        return replace(stored, width=stored.height, height=stored.width)
    return stored


def turned(frame: Frame, orientation: int) -> Frame:
    """The frame as it should be seen; `orientation` is 1..8."""
    alpha = None if frame.alpha is None else _turn(frame.alpha, orientation)
    return Frame(_turn(frame.pixels, orientation), alpha, frame.duration)


def _turn(samples: Pixels, orientation: int) -> Pixels:
    if orientation >= 5:  # rows and columns are exchanged
        samples = samples.swapaxes(0, 1)
    # What remains is a mirroring of columns, of rows, or of both.
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)
