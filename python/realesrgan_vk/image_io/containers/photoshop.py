"""Photoshop's image resources, the blocks that hold IPTC data (Adobe Photoshop File Formats).

A block: "8BIM", a 16-bit number, a name as a Pascal string padded to an even length, a 32-bit
size, and as many bytes, padded to an even length. All numbers are big-endian.
"""

import struct
from collections.abc import Iterator

PREFIX = b"Photoshop 3.0\0"
_SIGNATURES = (b"8BIM", b"8B64", b"AgHg", b"DCSR", b"MeSa", b"PHUT")
_IPTC, _ICC, _XMP = 0x0404, 0x040F, 0x0424
# Stored elsewhere in a result, or dropped: thumbnails, the profile, EXIF, XMP, layer groups.
_DROPPED = frozenset({0x0409, 0x040C, _ICC, 0x0422, 0x0423, _XMP, 0x0400, 0x0402})
_MOST_BLOCKS = 10_000


def of_iptc(records: bytes) -> bytes:
    """Resources of nothing but IPTC records."""
    return _block(_IPTC, records)


def of_profile(content: bytes) -> bytes | None:
    """What a "Raw profile type iptc" or "8bim" holds, as resources; None for anything else."""
    content = content.removeprefix(PREFIX)
    if content[:1] == b"\x1c":
        return of_iptc(content)
    return content if content[:4] in _SIGNATURES else None


def iptc(resources: bytes) -> bytes | None:
    """The IPTC records in resources; None where there are none."""
    return _content(resources, _IPTC)


def xmp(resources: bytes) -> bytes | None:
    """The XMP packet in resources; None where there is none."""
    return _content(resources, _XMP)


def kept(resources: bytes) -> bytes | None:
    """The resources without those that describe the old pixels; None where none are left.

    Resources in which nothing has to be dropped come back byte by byte.
    """
    parts = [resources[start:end] for number, start, end, _, _ in _blocks(resources)
             if number not in _DROPPED]  # fmt: skip
    return b"".join(parts) or None


def _content(resources: bytes, wanted: int) -> bytes | None:
    for number, _, _, start, end in _blocks(resources):
        if number == wanted and end > start:
            return resources[start:end]
    return None


def _blocks(resources: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Number, begin and end of each whole block, and begin and end of its content."""
    position = 0
    for _ in range(_MOST_BLOCKS):
        if position + 12 > len(resources) or resources[position : position + 4] not in _SIGNATURES:
            return
        (number,) = struct.unpack_from(">H", resources, position + 4)
        name = resources[position + 6] + 1
        content = position + 6 + name + name % 2 + 4
        if content > len(resources):
            return
        (size,) = struct.unpack_from(">I", resources, content - 4)
        if content + size > len(resources):
            return
        end = min(len(resources), content + size + size % 2)
        yield number, position, end, content, content + size
        position = end


def _block(number: int, content: bytes) -> bytes:
    padding = bytes(len(content) % 2)
    return b"8BIM" + struct.pack(">HHI", number, 0, len(content)) + content + padding
