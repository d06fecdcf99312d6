"""What a source of pictures is: names, and bytes by index."""

from __future__ import annotations

import bisect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import PurePosixPath

from realesrgan_train.data.pictures import Picture, decode_picture


class PictureSource(ABC):
    """An ordered, unchanging list of encoded pictures.

    The order depends on the pictures' names alone, so every process and every restart sees the
    same picture at the same index.
    """

    #: Where the pictures are, for messages and the manifest.
    origin: str
    #: One name per picture, unique within the source.
    names: Sequence[str]

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
            DataError: it cannot be read.
        """

    def decode(self, index: int) -> Picture:
        """The picture as `uint8[H, W, 3]`.

        Raises:
            DataError: it cannot be read or decoded.
        """
        return decode_picture(self.read(index), self.label(index))


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
