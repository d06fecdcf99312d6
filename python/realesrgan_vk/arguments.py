"""Checks of single arguments; each raises `TypeError` or `ValueError` that names the argument."""

from realesrgan_vk import _core
from realesrgan_vk.byte_size import parse_bytes

MIN_TILE = 32


def tile_side(tile: int | str) -> int:
    """The core's number for "auto", "whole" or a side in input pixels."""
    if tile == "auto":
        return _core.TILE_AUTO
    if tile == "whole":
        return _core.TILE_WHOLE
    if isinstance(tile, bool) or not isinstance(tile, int):
        raise TypeError(f"tile must be 'auto', 'whole' or a whole number, not {tile!r}")
    if tile < MIN_TILE:
        raise ValueError(f"tile is {tile}; it must be at least {MIN_TILE}, or 'auto', or 'whole'")
    return tile


def thread_count(value: int | None) -> int:
    """A whole number of at least 1; 0, the core's own choice, for None."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"threads must be a whole number or None, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"threads is {value}; it must be at least 1, or None")
    return value


def byte_count(value: int | str | None) -> int:
    """Of a memory limit; 0, the core's own choice, for None."""
    return 0 if value is None else parse_bytes("memory_limit", value)


def flag(name: str, value: bool) -> bool:
    """True or False, and nothing that only counts as such."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def picture_size(size: object) -> tuple[int, int]:
    """Width and height in pixels, each at least 1."""
    if not (isinstance(size, tuple) and len(size) == 2 and all(type(n) is int for n in size)):
        raise TypeError(
            f"image must be an array, a PIL image, a path or (width, height), not {size!r}"
        )
    if min(size) < 1:
        raise ValueError(f"the size is {size[0]}x{size[1]}; each side must be at least 1")
    return size
