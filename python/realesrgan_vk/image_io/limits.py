"""Checks of a file's size in bytes and of the picture's size, before pixels are decoded."""

import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from realesrgan_vk._core import installed_memory
from realesrgan_vk.errors import ImageError, OutOfMemoryError
from realesrgan_vk.image_io.streams import is_stream, open_to_read
from realesrgan_vk.image_io.urls import UrlPath

_LEAST_FRAME = 4096  # pixels that each frame counts at least, for its time
_PIXEL_BYTES, _OTHER_BYTES = 8, 1 << 26  # the most that a pixel, and all else, take in a file
_START_BYTES = 64  # enough to recognise a format
_BLOCK = 1 << 20
_RAISE_IT = "if that is meant, raise it with --max-pixels (0: no limit), in Python max_pixels="


class ResultSizeError(ImageError):
    """A result that its format cannot hold."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a picture before its pixels are decoded.

    Attributes:
        width: Upright, in pixels.
        height: Upright, in pixels.
        frames: 1, or more for an animation.
        has_alpha: Whether it may have transparent pixels.
        channels: Colour channels that the decoded frames have, 1 or 3.
        dtype: The type of their samples: "uint8", "uint16" or "float32".
        icc: The profile of their colours.
    """

    width: int
    height: int
    frames: int = 1
    has_alpha: bool = False
    channels: int = 3
    dtype: str = "uint8"
    icc: bytes | None = None


Accept = Callable[[Header], object]
"""Called with the header before pixels are decoded; what it raises stops the reading."""


class Limit:
    """The decompression-bomb limit: sizes are checked before pixels are decoded."""

    def __init__(self, name: str, max_pixels: int | None) -> None:
        self._name = name
        self._max_pixels = max_pixels

    @property
    def is_set(self) -> bool:
        """Whether there is one."""
        return self._max_pixels is not None

    def check(self, width: int, height: int, frames: int = 1, sample_bytes: int = 1) -> None:
        """A pixel counts once for each byte of a sample, since that determines the memory."""
        if width < 1 or height < 1:
            raise ImageError(f"{self._name} has no pixels ({width} x {height})")
        pixels = max(width * height * sample_bytes, _LEAST_FRAME if frames > 1 else 1) * frames
        if self._max_pixels is not None and pixels > self._max_pixels:
            many = f" in {frames} frames" if frames > 1 else ""
            deep = f" of {8 * sample_bytes} bits" if sample_bytes > 1 else ""
            counted = f" (they count as {pixels})" if pixels != width * height else ""
            raise ImageError(
                f"{self._name} claims {width} x {height} pixels{deep}{many}{counted}, more than "
                f"the limit of {self._max_pixels}; {_RAISE_IT}"
            )


def check_frames(frames: int, width: int, height: int) -> None:
    """Refuse an animation whose frames do not fit the memory together.

    Raises:
        OutOfMemoryError: They do not.
    """
    needed, installed = frames * width * height * 3, installed_memory()
    if frames > 1 and installed is not None and needed > installed:
        raise OutOfMemoryError(
            f"{frames} frames of {width} x {height} pixels need at least {needed / 2**30:.1f} GiB, "
            f"this machine has {installed / 2**30:.1f}; ask for a smaller size"
        )


def whole_file(
    path: Path, max_pixels: int | None, accept_start: Callable[[bytes], object]
) -> bytes:
    """A file's bytes, no more than a picture within the limit can need.

    Args:
        path: Any path, or a URL; a pipe, a device or a descriptor is read to its end.
        max_pixels: As for `Limit`.
        accept_start: Called with the first 64 bytes; what it raises stops the reading.

    Raises:
        ImageError: No such file, an unreadable one, or one that is too large.
    """
    try:
        if isinstance(path, UrlPath):
            with path.reading() as remote:
                content = bytearray(first_bytes(remote, _START_BYTES))
                accept_start(bytes(content))
                return _rest(remote, path, content, max_pixels)
        if not path.is_file() and not is_stream(path):
            state = "is not a file" if path.exists() else "does not exist"
            raise ImageError(f"picture {path} {state}")
        with open_to_read(path) as file:
            content = bytearray(file.read(_START_BYTES))
            accept_start(bytes(content))
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):  # the size is checked before memory is taken
                _check_bytes(path, status.st_size, max_pixels)
                file.seek(-len(content), os.SEEK_CUR)
                return file.read(status.st_size)
            return _rest(file, path, content, max_pixels)
    except OSError as error:
        raise ImageError(f"picture {path} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise ImageError(f"picture {path} cannot be read: there is not enough memory") from error


def first_bytes(file: IO[bytes], count: int) -> bytes:
    """So many bytes, fewer at the end of a file that may give fewer at a time."""
    content = bytearray()
    while len(content) < count and (part := file.read(count - len(content))):
        content += part
    return bytes(content)


def _rest(file: IO[bytes], path: Path, content: bytearray, max_pixels: int | None) -> bytes:
    """What was read of a file, and all that follows."""
    while part := file.read(_BLOCK):
        content += part
        _check_bytes(path, len(content), max_pixels)
    return bytes(content)


def whole_stream(file: IO[bytes], name: str, max_pixels: int | None) -> bytes:
    """All bytes of an open file, no more than a picture within the limit can need.

    Raises:
        TypeError: It gives text.
        ImageError: It cannot be read, or is too large.
    """
    parts, size = [], 0
    try:
        with contextlib.suppress(AttributeError, OSError):  # a pipe cannot be rewound
            file.seek(0)
        while part := file.read(_BLOCK):
            if not isinstance(part, (bytes, bytearray, memoryview)):
                raise TypeError(
                    f"image must be open for binary reading (mode 'rb'), but read() of {name} "
                    f"gives {type(part).__name__}"
                )
            parts.append(bytes(part))
            size += len(part)
            _check_bytes(Path(name), size, max_pixels)
    except (OSError, ValueError) as error:  # ValueError: the file is closed
        raise ImageError(f"picture {name} cannot be read: {error}") from error
    return b"".join(parts)


def _check_bytes(path: Path, size: int, max_pixels: int | None) -> None:
    if max_pixels is not None and size > _PIXEL_BYTES * max_pixels + _OTHER_BYTES:
        raise ImageError(
            f"picture {path} is a file of {size} bytes, more than any picture within the limit of "
            f"{max_pixels} pixels needs; {_RAISE_IT}"
        )
    installed = installed_memory()
    if installed is not None and size > installed:
        raise ImageError(
            f"picture {path} is a file of {size / 2**30:.1f} GiB, this machine has "
            f"{installed / 2**30:.1f} GiB of memory"
        )
