"""Paths that are not regular files: standard streams, open descriptors, devices and pipes.

Such a path is read and written in place, from its current position on, and never replaced.
"""

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from realesrgan_vk.image_io.urls import UrlPath

STDIN, STDOUT = Path("/dev/stdin"), Path("/dev/stdout")
"""The standard streams; also understood where the system has no such files."""

_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTORS = re.compile(r"/dev/fd|/proc/(\d+)(?:/task/\d+)?/fd")
_MOST_LINKS = 40  # as Linux allows


def is_stream(path: Path) -> bool:
    """Whether a path names something that is written into rather than replaced."""
    if isinstance(path, UrlPath):
        return False
    if descriptor_of(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:  # it does not exist, or using it raises
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def open_to_read(path: Path) -> BinaryIO:
    """Open any path; a descriptor of this process is read from its current position.

    Raises:
        OSError: It cannot be opened.
    """
    descriptor = descriptor_of(path)
    return path.open("rb") if descriptor is None else os.fdopen(os.dup(descriptor), "rb")


def open_to_write(path: Path) -> BinaryIO:
    """Open a stream to write at its current position; nothing is created or truncated.

    Raises:
        OSError: It cannot be opened.
    """
    descriptor = descriptor_of(path)
    binary = getattr(os, "O_BINARY", 0)
    handle = os.open(path, os.O_WRONLY | binary) if descriptor is None else os.dup(descriptor)
    return os.fdopen(handle, "wb")


def is_writable(path: Path) -> bool:
    """Whether a stream can be written to; a pipe is not opened for it."""
    descriptor = descriptor_of(path)
    if descriptor is None:
        return os.access(path, os.W_OK)
    try:
        os.write(descriptor, b"")
    except OSError:  # it is not open, or only to be read
        return False
    return True


def descriptor_of(path: Path) -> int | None:
    """The descriptor of this process that a path names, by itself or through links."""
    name = str(path)
    for _ in range(_MOST_LINKS):
        if name in _STANDARD:
            return _STANDARD[name]
        folder, last = os.path.split(name)
        if last.isascii() and last.isdecimal():
            match = _DESCRIPTORS.fullmatch(os.path.realpath(folder))
            if match is not None and match[1] in (None, str(os.getpid())):
                return int(last)
        try:
            name = os.path.join(folder, os.readlink(name))  # noqa: PTH115, PTH118 - plain text
        except OSError:  # it is no link, or does not exist
            return None
    return None
