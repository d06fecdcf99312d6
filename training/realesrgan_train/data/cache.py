"""Decoded pictures that all loader workers of a process share."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import reduction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from realesrgan_train.data.pictures import Picture
from realesrgan_train.errors import ConfigError


def _shared_zeros(*shape: int) -> Tensor:
    """Numbers that all processes see, however they are started."""
    shared: Tensor = torch.zeros(shape, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
    return shared


class DecodedCache:
    """A file of decoded pictures, up to `capacity` bytes for a process and its loader workers.

    Pictures are kept as they come until the file is full, and then stay: an epoch shows every
    picture once, so that dropping the least recently used one would drop the next to be needed.
    What is read does not depend on the cache.

    The file has no name, so the system removes it with the last process that has it open, however
    that ends. Its pages are in memory while there is room for them.

    Args:
        capacity: Bytes of pixels.
        folder: Where the file is made; the system's folder for temporary files if None.
        channels: Of the pictures, 1 or 3.

    Raises:
        ConfigError: The file cannot be made there.
    """

    def __init__(self, capacity: int, folder: Path | None = None, channels: int = 3) -> None:
        self.capacity, self.channels = capacity, channels
        place = Path(folder or tempfile.gettempdir()).expanduser()
        try:
            with tempfile.TemporaryFile(dir=place, buffering=0) as file:
                file.truncate(capacity)
                self._file = _kept_open(self, os.dup(file.fileno()))
        except OSError as error:
            raise ConfigError(
                f"data.cache_folder: no file of {capacity >> 20} MB can be made in {place} "
                f"({error.strerror}): name another folder, or lower data.cache_mb"
            ) from error
        self._used = _shared_zeros(1)
        self._map: mmap.mmap | None = None

    def part(self, pictures: int, levels: int = 1) -> CachePart:
        """Return the part for one source, which keeps so many versions of each of its pictures."""
        return CachePart(self, pictures, levels)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from reading and changing which pictures are kept.

        A record lock, which the system takes from a worker that is killed.
        """
        if not self.has_file or sys.platform == "win32":
            yield
            return
        import fcntl  # noqa: PLC0415 - not on Windows

        fcntl.lockf(self._file, fcntl.LOCK_EX, 1)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1)

    @property
    def has_file(self) -> bool:
        """Whether this process can reach the file: not in a worker on Windows."""
        return self._file >= 0

    @property
    def used(self) -> int:
        """Bytes that are taken, by all processes together."""
        return int(self._used[0])

    def view(self, offset: int, height: int, width: int) -> Picture:
        """A picture that was written, read-only."""
        if self._map is None:
            self._map = mmap.mmap(self._file, self.capacity, access=mmap.ACCESS_READ)
        count = height * width * self.channels
        pixels = np.frombuffer(self._map, np.uint8, count, offset)
        return pixels.reshape(height, width, self.channels)

    def write(self, picture: Picture) -> int | None:
        """Write a picture; its place, or None when it does not fit. The caller has the lock.

        On a full disk nothing more is kept.
        """
        offset = self.used
        if not self.has_file or offset + picture.nbytes > self.capacity:
            return None
        data = memoryview(picture.tobytes())
        try:
            os.lseek(self._file, offset, os.SEEK_SET)
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            self._used[0] = self.capacity
            return None
        self._used[0] = offset + picture.nbytes
        return offset

    def __getstate__(self) -> dict[str, Any]:
        """For a worker that is not forked: the open file goes with it, where the system can."""
        handle = None
        with suppress(AttributeError):  # not on Windows, whose workers read without the cache
            handle = reduction.DupFd(self._file)
        return {**self.__dict__, "_map": None, "_file": handle}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """See `__getstate__`."""
        handle = state["_file"]
        self.__dict__.update(state)
        self._file = -1 if handle is None else _kept_open(self, handle.detach())


def _kept_open(owner: DecodedCache, descriptor: int) -> int:
    """Close an open file with its owner."""
    weakref.finalize(owner, os.close, descriptor)
    return descriptor


class CachePart:
    """The pictures of one source in a `DecodedCache`, each in up to `levels` versions."""

    def __init__(self, cache: DecodedCache, pictures: int, levels: int) -> None:
        self._cache, self._levels = cache, levels
        # One row a version: 1 + its place in the file (0: not kept), height, width.
        self._rows = _shared_zeros(pictures * levels, 3)

    def get(self, index: int, level: int = 0) -> Picture | None:
        """A version of a picture, read-only; None when it is not kept."""
        if not self._cache.has_file:
            return None
        with self._cache.locked():
            place, height, width = self._rows[index * self._levels + level].tolist()
        return self._cache.view(place - 1, height, width) if place else None

    def keep(self, picture: Picture, index: int, level: int = 0) -> None:
        """Keep a version of a picture if there is room."""
        row = self._rows[index * self._levels + level]
        with self._cache.locked():
            if int(row[0]):
                return  # another worker was first
            offset = self._cache.write(picture)
            if offset is not None:
                row[1], row[2] = picture.shape[0], picture.shape[1]
                row[0] = offset + 1  # last: a process may be killed anywhere

    def link(self, index: int, level: int, kept: int) -> None:
        """Let a version stand for another of the same picture, `kept`, which has equal pixels."""
        rows, first = self._rows, index * self._levels
        with self._cache.locked():
            if int(rows[first + kept, 0]):
                rows[first + level, 1:] = rows[first + kept, 1:]
                rows[first + level, 0] = rows[first + kept, 0]
