"""Sources of pictures: names, and encoded or decoded pictures by index."""

from __future__ import annotations

import bisect
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from realesrgan_train.data.cache import CachePart
from realesrgan_train.data.pictures import (
    Picture,
    decode_picture,
    is_picture_name,
    picture_area,
)
from realesrgan_train.errors import ConfigError, DataError

HEADER = 1 << 16
"""Bytes in which nearly every picture says its size."""


class PictureSource(ABC):
    """An ordered, unchanging list of encoded pictures.

    The order depends on the pictures' names alone, so every process and every restart sees the
    same picture at the same index.
    """

    #: Where the pictures are, for messages and the manifest.
    origin: str
    #: One name per picture, unique within the source.
    names: Sequence[str]
    #: Keeps decoded pictures.
    cache: CachePart | None = None
    #: Of decoded pictures: 3 for RGB, 1 for grey; see `decode_picture`.
    channels: int = 3

    def __len__(self) -> int:
        return len(self.names)

    def key(self, index: int) -> str:
        """The name without extension, by which given pairs find each other."""
        return str(PurePosixPath(self.names[index]).with_suffix(""))

    def label(self, index: int) -> str:
        """Origin and name of a picture, for messages."""
        return f"{self.origin}/{self.names[index]}"

    @abstractmethod
    def read(self, index: int) -> bytes:
        """The encoded picture.

        Raises:
            DataError: It cannot be read.
        """

    def beginning(self, index: int) -> bytes:
        """At least the first `HEADER` bytes of the encoded picture, or all of it.

        Raises:
            DataError: It cannot be read.
        """
        return self.read(index)

    def area(self, index: int) -> int:
        """Pixels of the picture as its header says; 0 where that cannot be read."""
        try:
            return picture_area(self.beginning(index)) or picture_area(self.read(index)) or 0
        except DataError:
            return 0

    def decode(self, index: int) -> Picture:
        """The picture as `uint8[H, W, channels]`; one from a cache is shared and read-only.

        Raises:
            DataError: It cannot be read or decoded.
        """
        kept = self.cache.get(index) if self.cache is not None else None
        if kept is not None:
            return kept
        picture = self.decode_anew(index)
        if self.cache is not None:
            picture.setflags(write=False)
            self.cache.keep(picture, index)
        return picture

    def decode_anew(self, index: int) -> Picture:
        """As `decode`, without a look at the cache.

        Raises:
            DataError: It cannot be read or decoded.
        """
        return decode_picture(self.read(index), self.label(index), self.channels)


class JoinedSource(PictureSource):
    """Several sources, one after the other."""

    def __init__(self, parts: Sequence[PictureSource]) -> None:
        self.parts = list(parts)
        self.origin = ", ".join(part.origin for part in self.parts)
        self._starts = [0]
        for part in self.parts:
            self._starts.append(self._starts[-1] + len(part))
        self.names = [name for part in self.parts for name in part.names]

    def _locate(self, index: int) -> tuple[PictureSource, int]:
        which = bisect.bisect_right(self._starts, index) - 1
        return self.parts[which], index - self._starts[which]

    def key(self, index: int) -> str:
        """See `PictureSource.key`."""
        part, inner = self._locate(index)
        return part.key(inner)

    def label(self, index: int) -> str:
        """See `PictureSource.label`."""
        part, inner = self._locate(index)
        return part.label(inner)

    def read(self, index: int) -> bytes:
        """See `PictureSource.read`."""
        part, inner = self._locate(index)
        return part.read(inner)

    def beginning(self, index: int) -> bytes:
        """See `PictureSource.beginning`."""
        part, inner = self._locate(index)
        return part.beginning(inner)


class FolderSource(PictureSource):
    """Every picture below `path`; hidden files and folders are left out.

    Raises:
        DataError: The folder is missing or has no picture.
    """

    def __init__(self, path: str | Path) -> None:
        root = Path(path).expanduser()
        if not root.is_dir():
            what = "is not a folder" if root.exists() else "does not exist"
            raise DataError(f"picture folder {root} {what}: check the path in the configuration")
        self.root = root
        self.origin = str(root)
        self.names = self._names()
        if not self.names:
            raise DataError(
                f"picture folder {root} has no picture (png, jpg, webp, bmp, tiff, ppm)"
            )

    def _names(self) -> list[str]:
        found: list[str] = []
        for folder, inner, files in os.walk(self.root, followlinks=True):
            inner[:] = [name for name in inner if not name.startswith(".")]
            here = Path(folder).relative_to(self.root)
            found.extend(
                (here / name).as_posix()
                for name in files
                if is_picture_name(name) and not name.startswith(".")
            )
        return sorted(found)

    def read(self, index: int) -> bytes:
        """See `PictureSource.read`."""
        return self._bytes(index, -1)

    def beginning(self, index: int) -> bytes:
        """See `PictureSource.beginning`."""
        return self._bytes(index, HEADER)

    def _bytes(self, index: int, count: int) -> bytes:
        try:
            with (self.root / self.names[index]).open("rb") as file:
                return file.read(count)
        except OSError as error:
            raise DataError(f"{self.label(index)}: cannot be read ({error.strerror})") from error


_open_environments: dict[tuple[int, str], Any] = {}
"""By process and path: a handle must not cross a fork, nor be opened twice in one process."""


def _environment(path: Path) -> Any:  # noqa: ANN401 - lmdb has no types
    key = (os.getpid(), str(path.resolve()))
    if key in _open_environments:
        return _open_environments[key]
    try:
        import lmdb  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ConfigError(
            f"reading {path} needs a package that is not installed: pip install lmdb"
        ) from error
    try:
        environment = lmdb.open(
            str(path),
            subdir=path.is_dir(),
            readonly=True,
            lock=False,
            readahead=False,
            meminit=False,
        )
    except lmdb.Error as error:
        raise DataError(f"LMDB {path} cannot be opened ({error})") from error
    _open_environments[key] = environment
    return environment


class LmdbSource(PictureSource):
    """Keys are names, values are encoded pictures.

    Raises:
        ConfigError: The `lmdb` package is not installed.
        DataError: The environment is missing, damaged or empty.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.origin = str(self.path)
        if not self.path.exists():
            raise DataError(f"LMDB {self.path} does not exist: check the path in the configuration")
        with _environment(self.path).begin() as transaction:
            self.names = [
                bytes(key).decode() for key in transaction.cursor().iternext(values=False)
            ]
        if not self.names:
            raise DataError(f"LMDB {self.path} holds no picture")

    def key(self, index: int) -> str:
        """See `PictureSource.key`; keys often carry no extension at all."""
        stem, dot, ending = self.names[index].rpartition(".")
        return stem if dot and "/" not in ending else self.names[index]

    def read(self, index: int) -> bytes:
        """See `PictureSource.read`."""
        with _environment(self.path).begin() as transaction:
            value = transaction.get(self.names[index].encode())
        if value is None:
            raise DataError(f"{self.label(index)}: no longer in the LMDB")
        return bytes(value)
