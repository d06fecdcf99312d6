"""Edits an EXIF block in place, so that what is not understood (maker notes) stays valid.

Layout: TIFF 6.0, section 2; tags: EXIF 2.32 (CIPA DC-008), sections 4.6.4 and 4.6.5.
"""

import struct
from collections.abc import Iterator

_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_WIDTH_TAGS = (0x0100, 0xA002)
_HEIGHT_TAGS = (0x0101, 0xA003)
_SHORT, _LONG = 3, 4
_ENTRY_BYTES = 12


class _Block:
    """An EXIF block; a damaged one raises `struct.error` or `ValueError`."""

    def __init__(self, data: bytes) -> None:
        orders = {b"II*\x00": "<", b"MM\x00*": ">"}
        if data[:4] not in orders:
            raise ValueError("no TIFF header")
        self.data = bytearray(data)
        self.order = orders[data[:4]]
        (self.first,) = self._unpack("I", 4)

    def _unpack(self, layout: str, position: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + layout, self.data, position)

    def entries(self, directory: int) -> Iterator[tuple[int, int]]:
        """Position and tag of each entry of the directory at this offset."""
        for position in range(directory + 2, self._end_of(directory), _ENTRY_BYTES):
            yield position, self._unpack("HHI", position)[0]

    def _end_of(self, directory: int) -> int:
        return directory + 2 + _ENTRY_BYTES * self._unpack("H", directory)[0]

    def find(self, directory: int, tag: int) -> int:
        """The single SHORT or LONG of a tag in a directory; 0 for anything else."""
        position = next((at for at, found in self.entries(directory) if found == tag), None)
        kind, count = self._unpack("HI", position + 2) if position is not None else (0, 0)
        if position is None or count != 1 or kind not in (_SHORT, _LONG):
            return 0
        return self._unpack("H" if kind == _SHORT else "I", position + 8)[0]

    def store(self, position: int, layout: str, *values: int) -> None:
        """Replace type, count and value of an entry."""
        new = struct.pack(self.order + layout, *values)
        self.data[position + 2 : position + _ENTRY_BYTES] = new

    def drop_thumbnail(self) -> None:
        """Unlink the directory that describes the thumbnail and remove the thumbnail's bytes."""
        pointer = self._end_of(self.first)
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
    """The block for an upright picture of this size, without a thumbnail; None: it is damaged."""
    try:
        block = _Block(exif)
        block.drop_thumbnail()
        sizes = dict.fromkeys(_WIDTH_TAGS, width) | dict.fromkeys(_HEIGHT_TAGS, height)
        directories = [block.first, block.find(block.first, _EXIF_IFD)]
        for directory in filter(None, directories):
            for position, tag in block.entries(directory):
                if tag == _ORIENTATION:
                    block.store(position, "HIHH", _SHORT, 1, 1, 0)
                elif tag in sizes:  # every reader accepts LONG there
                    block.store(position, "HII", _LONG, 1, sizes[tag])
    except (struct.error, ValueError):
        return None
    return bytes(block.data)
