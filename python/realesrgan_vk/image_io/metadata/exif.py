"""Edits an EXIF block in place, so that what is not understood (maker notes) stays valid.

Layout: TIFF 6.0, section 2; tags: EXIF 2.32 (CIPA DC-008), sections 4.6.4 and 4.6.5.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_WIDTH_TAGS = (0x0100, 0xA002)
_HEIGHT_TAGS = (0x0101, 0xA003)
_SHORT, _LONG = 3, 4


@dataclass(frozen=True, slots=True)
class _Entry:
    position: int
    tag: int
    kind: int
    count: int


class _Block:
    """An EXIF block; `struct.error` and `ValueError` tell that it is damaged."""

    def __init__(self, data: bytes) -> None:
        orders = {b"II*\x00": "<", b"MM\x00*": ">"}
        if data[:4] not in orders:
            raise ValueError("no TIFF header")
        self.data = bytearray(data)
        self.order = orders[data[:4]]
        (self.first,) = self._unpack("I", 4)

    def _unpack(self, layout: str, position: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + layout, self.data, position)

    def entries(self, directory: int) -> Iterator[_Entry]:
        """The entries of the directory at this offset."""
        (count,) = self._unpack("H", directory)
        for index in range(count):
            position = directory + 2 + 12 * index
            tag, kind, values = self._unpack("HHI", position)
            yield _Entry(position, tag, kind, values)

    def next_pointer(self, directory: int) -> int:
        """Where the offset of the directory after this one is stored."""
        (count,) = self._unpack("H", directory)
        return directory + 2 + 12 * count

    def value(self, entry: _Entry) -> int:
        """A single SHORT or LONG; 0 for anything else."""
        if entry.count != 1 or entry.kind not in (_SHORT, _LONG):
            return 0
        return self._unpack("H" if entry.kind == _SHORT else "I", entry.position + 8)[0]

    def set_value(self, entry: _Entry, value: int) -> None:
        """Store a single whole number, as LONG, which every reader of sizes accepts."""
        kind = _SHORT if entry.tag == _ORIENTATION else _LONG
        packed = struct.pack(self.order + ("HH" if kind == _SHORT else "I"), *_words(kind, value))
        struct.pack_into(self.order + "HI", self.data, entry.position + 2, kind, 1)
        self.data[entry.position + 8 : entry.position + 12] = packed

    def find(self, directory: int, tag: int) -> int:
        """The value of a tag in a directory; 0 when it is not there."""
        found = (entry for entry in self.entries(directory) if entry.tag == tag)
        return next((self.value(entry) for entry in found), 0)

    def drop_thumbnail(self) -> None:
        """Unlink the directory that describes the thumbnail and remove the thumbnail's bytes."""
        pointer = self.next_pointer(self.first)
        (directory,) = self._unpack("I", pointer)
        if not directory:
            return
        struct.pack_into(self.order + "I", self.data, pointer, 0)
        try:
            start = self.find(directory, _THUMBNAIL_OFFSET)
            end = start + self.find(directory, _THUMBNAIL_LENGTH)
        except struct.error:
            return
        if 8 < start < end <= len(self.data):
            if end == len(self.data):
                del self.data[start:]
            else:
                self.data[start:end] = bytes(end - start)


def orientation(exif: bytes) -> int:
    """The EXIF orientation, 1..8; 1 when it is absent, out of range or unreadable."""
    try:
        block = _Block(exif)
        value = block.find(block.first, _ORIENTATION)
    except (struct.error, ValueError):
        return 1
    return value if 1 <= value <= 8 else 1


def upright(exif: bytes, width: int, height: int) -> bytes | None:
    """The block for an upright picture of this size, without a thumbnail.

    Returns:
        None when the block is damaged.
    """
    try:
        block = _Block(exif)
        block.drop_thumbnail()
        sizes = dict.fromkeys(_WIDTH_TAGS, width) | dict.fromkeys(_HEIGHT_TAGS, height)
        directories = [block.first, block.find(block.first, _EXIF_IFD)]
        for directory in filter(None, directories):
            for entry in block.entries(directory):
                if entry.tag == _ORIENTATION:
                    block.set_value(entry, 1)
                elif entry.tag in sizes:
                    block.set_value(entry, sizes[entry.tag])
    except (struct.error, ValueError):
        return None
    return bytes(block.data)


def _words(kind: int, value: int) -> tuple[int, ...]:
    return (value, 0) if kind == _SHORT else (value,)
