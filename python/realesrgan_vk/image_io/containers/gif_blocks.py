"""The blocks of a GIF file (GIF89a, sections 15 to 27)."""

from collections.abc import Iterator

from realesrgan_vk.imaging.picture import Metadata

HEADER = 13
"""Bytes before the global table of colours."""

_COMMENT, _EXTENSION, _IMAGE = 0xFE, 0x21, 0x2C
_XMP = b"\x21\xff\x0bXMP DataXMP"
_XMP_END = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
_MOST_EXTENSIONS = 10_000


def with_metadata(gif: bytes, carried: Metadata) -> bytes:
    """The file with these comments and this XMP packet before its first image."""
    start = HEADER + table_bytes(gif[10])
    added = [_comment(each) for each in carried.comments]
    if carried.xmp is not None:
        added.append(_XMP + carried.xmp.rstrip(b"\0") + _XMP_END)
    return b"".join([gif[:start], *added, gif[start:]])


def comments(gif: bytes) -> tuple[bytes, ...]:
    """The comments of a file, damaged or not; `_MOST_EXTENSIONS` of them."""
    places = (at for at in _extensions(gif) if gif[at + 1] == _COMMENT)
    return tuple(filter(None, (_joined(gif, at + 2) for at in places)))


def xmp(gif: bytes) -> bytes | None:
    """The XMP packet, which is in no blocks but ends so that block readers pass it (XMP part 3)."""
    for at in _extensions(gif):
        if gif.startswith(_XMP, at):
            end = gif.find(_XMP_END[:4], at)
            return gif[at + len(_XMP) : end] if end >= 0 else None
    return None


def _extensions(gif: bytes) -> Iterator[int]:
    """Where the first extensions begin."""
    position, count = HEADER + table_bytes(gif[10]), 0
    try:
        while count < _MOST_EXTENSIONS and gif[position] in (_EXTENSION, _IMAGE):
            if gif[position] == _IMAGE:
                position += 9 + table_bytes(gif[position + 9])
            else:
                end = after_blocks(gif, position + 2)
                yield position
                count += 1
                position = end
                continue
            position = after_blocks(gif, position + 2)
    except IndexError:
        return


def count_frames(gif: bytes, most: int) -> int:
    """The frames of a GIF file, damaged or not; counting ends at `most`."""
    count, position = 0, HEADER + table_bytes(gif[10])
    try:
        while count < most and gif[position] in b"!,":
            if gif[position] == 0x2C:
                count += 1
                position += 9 + table_bytes(gif[position + 9])
            position = after_blocks(gif, position + 2)
    except IndexError:
        pass
    return count


def table_bytes(flags: int) -> int:
    """The size of a GIF colour table in bytes, from the flags that announce it."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def after_blocks(gif: bytes, position: int) -> int:
    """The place after a chain of data blocks."""
    while gif[position]:
        position += gif[position] + 1
    return position + 1


def _joined(gif: bytes, position: int) -> bytes:
    """The content of a chain of blocks."""
    parts = []
    while size := gif[position]:
        parts.append(gif[position + 1 : position + 1 + size])
        position += size + 1
    return b"".join(parts)


def _comment(text: bytes) -> bytes:
    blocks = (text[start : start + 255] for start in range(0, len(text), 255))
    return b"\x21\xfe" + b"".join(bytes([len(each)]) + each for each in blocks) + b"\0"
