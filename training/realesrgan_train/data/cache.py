"""Keep decoded pictures in memory: small data sets are decoded once."""

from __future__ import annotations

from collections import OrderedDict

from realesrgan_train.data.pictures import Picture
from realesrgan_train.data.sources import PictureSource


class CachedSource(PictureSource):
    """Remembers the most recently used pictures of another source.

    What is read does not depend on the cache. Each loader process has its own.

    Args:
        source: where the pictures are.
        capacity: bytes of decoded pictures to keep.
    """

    def __init__(self, source: PictureSource, capacity: int) -> None:
        self.source, self.capacity = source, capacity
        self.origin, self.names = source.origin, source.names
        self._kept: OrderedDict[int, Picture] = OrderedDict()
        self._bytes = 0

    def key(self, index: int) -> str:
        """See `PictureSource.key`."""
        return self.source.key(index)

    def label(self, index: int) -> str:
        """See `PictureSource.label`."""
        return self.source.label(index)

    def read(self, index: int) -> bytes:
        """See `PictureSource.read`."""
        return self.source.read(index)

    def decode(self, index: int) -> Picture:
        """See `PictureSource.decode`; the array is shared, so do not write to it."""
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        picture = self.source.decode(index)
        picture.setflags(write=False)
        self._kept[index] = picture
        self._bytes += picture.nbytes
        while self._bytes > self.capacity and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes
        return picture
