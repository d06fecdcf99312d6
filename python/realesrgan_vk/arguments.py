"""Checks of the public functions' arguments that more than one of them takes."""

import operator
from typing import Literal

from realesrgan_vk.byte_size import parse_bytes
from realesrgan_vk.checks import is_whole, shown, whole_number

MIN_TILE = 32
MAX_INPUT_SIDE = 1 << 26
"""Pixels: more than any file format in use holds, and few enough for 64-bit products of sides."""

# More threads than any machine has cores; the core starts no more than there are cores.
_MAX_THREADS = 1 << 10


def tile(value: object) -> int | Literal["auto", "whole"]:
    """The text "auto" or "whole", or a side in input pixels."""
    if isinstance(value, str) and value in ("auto", "whole"):
        return "auto" if value == "auto" else "whole"
    others = ", or 'auto', or 'whole'"
    return whole_number("tile", value, MIN_TILE, MAX_INPUT_SIDE, others=others)


def thread_count(value: object) -> int | None:
    """A whole number of at least 1, or None."""
    if value is None:
        return None
    return min(whole_number("threads", value, 1, others=", or None"), _MAX_THREADS)


def byte_count(value: object) -> int | None:
    """Bytes of a memory limit, or None."""
    return None if value is None else parse_bytes("memory_limit", value)


def pixel_limit(value: object) -> int | None:
    """The most pixels that a file may have; None: any number."""
    return None if value is None else whole_number("max_pixels", value, 1, others=", or None")


def picture_size(size: object, name: str = "image") -> tuple[int, int]:
    """Width and height in pixels, each from 1 to `MAX_INPUT_SIDE`.

    Raises:
        TypeError: Not two whole numbers.
        ValueError: A side out of range.
    """
    if not (isinstance(size, tuple) and len(size) == 2 and all(map(is_whole, size))):
        raise TypeError(f"{name} must be (width, height) in whole pixels, not {shown(size)}")
    width, height = map(operator.index, size)
    if min(width, height) < 1 or max(width, height) > MAX_INPUT_SIDE:
        raise ValueError(
            f"{name} is {shown(width)}x{shown(height)} pixels; each side must be from 1 to "
            f"{MAX_INPUT_SIDE}"
        )
    return width, height
