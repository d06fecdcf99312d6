"""Whether a file is as long as its container says, or the rest is missing, as of a broken download.

FFmpeg reads such a file as far as it goes and says nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"  # RFC 8794 and RFC 9559
_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"})
_UNKNOWN = 2**32 - 1  # of a recording that was not ended
_MOST_BOXES = 100_000
_LONG_BOX = 16  # bytes of a box' header with a size of 64 bits (ISO/IEC 14496-12)


def declared_bytes(path: Path) -> int | None:
    """The size of a whole file by its container; None: it does not say.

    Matroska and WebM, MPEG-4 and QuickTime, and AVI do.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(12)
        if start[:4] == _EBML:
            return _of_matroska(file)
        if start[4:8] in _FIRST_BOXES:
            return _of_boxes(file, size)
        if start[:4] == b"RIFF" and start[8:] == b"AVI ":
            length = int.from_bytes(start[4:8], "little")
            return None if length == _UNKNOWN else 8 + length
    return None


def _of_matroska(file: BinaryIO) -> int | None:
    file.seek(4)
    header = _size(file)
    if header is None:
        return None
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return None
    segment = _size(file)
    return None if segment is None else file.tell() + segment


def _size(file: BinaryIO) -> int | None:
    """EBML's number of 1 to 8 bytes, the first of which tells how many; all ones are unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    rest = file.read(more)
    bits = 7 * (more + 1)
    value = int.from_bytes(first + rest, "big") & ((1 << bits) - 1)
    return None if len(rest) < more or value == (1 << bits) - 1 else value


def _of_boxes(file: BinaryIO, size: int) -> int | None:
    end = 0
    for _ in range(_MOST_BOXES):
        file.seek(end)
        header = file.read(_LONG_BOX)
        if len(header) < 8:  # padding at the end, or none
            return end
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if length == 0:  # up to the end of the file
            return size
        if length < 8:  # no box
            return None
        end += length
        if end >= size:
            return end
    return None
