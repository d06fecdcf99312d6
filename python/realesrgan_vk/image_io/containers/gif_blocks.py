"""The blocks of a GIF file (GIF89a, sections 15 to 27)."""

from collections.abc import Iterator
from itertools import islice

from realesrgan_vk.imaging.picture import Metadata

_HEADER = 13  # bytes before the global colour table
_COMMENT, _EXTENSION, IMAGE = 0xFE, 0x21, 0x2C
_XMP = b"\x21\xff\x0bXMP DataXMP"
_XMP_END = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
_MOST_EXTENSIONS = 10_000


def with_metadata(gif: bytes, carried: Metadata) -> bytes:
    """The file with these comments and this XMP packet before its first image."""
    start = first_block(gif)
    added = [b"\x21\xfe" + _sub_blocks(comment) for comment in carried.comments]
    if carried.xmp is not None:
        added.append(_XMP + carried.xmp.rstrip(b"\0") + _XMP_END)
    return b"".join([gif[:start], *added, gif[start:]])


def comments(gif: bytes) -> tuple[bytes, ...]:
    """The comments of a file, damaged or not, among its first extensions."""
    places = (at for at in _extensions(gif) if gif[at + 1] == _COMMENT)
    return tuple(filter(None, (_content(gif, at + 2) for at in places)))


def xmp(gif: bytes) -> bytes | None:
    """The XMP packet, which is not in sub-blocks but ends as a chain of them (XMP part 3)."""
    for at in _extensions(gif):
        if gif.startswith(_XMP, at):
            end = gif.find(_XMP_END[:4], at)
            return gif[at + len(_XMP) : end] if end >= 0 else None
    return None


def count_frames(gif: bytes, most: int) -> int:
    """The frames of a file, damaged or not; counting ends at `most`."""
    return sum(1 for _ in islice((at for at, _ in blocks(gif) if gif[at] == IMAGE), most))


def blocks(gif: bytes) -> Iterator[tuple[int, int | None]]:
    """Where each extension and image begins and ends; None: the file ends before the block."""
    try:
        position: int | None = first_block(gif)
        while position is not None and gif[position] in (_EXTENSION, IMAGE):
            end = _end_of(gif, position)
            yield position, end
            position = end
    except IndexError:
        return


def first_block(gif: bytes) -> int:
    """Where the blocks begin: after the header and the global colour table."""
    return _HEADER + _table_bytes(gif[10])


def image_data(gif: bytes, image: int) -> int:
    """Where the compressed pixels of an image begin: after its descriptor and colour table."""
    return image + 10 + _table_bytes(gif[image + 9])


def _end_of(gif: bytes, block: int) -> int | None:
    try:
        position = image_data(gif, block) + 1 if gif[block] == IMAGE else block + 2
        while gif[position]:
            position += gif[position] + 1
    except IndexError:
        return None
    return position + 1


def _extensions(gif: bytes) -> Iterator[int]:
    """Where the first whole extensions begin."""
    whole = (at for at, end in blocks(gif) if end is not None and gif[at] == _EXTENSION)
    return islice(whole, _MOST_EXTENSIONS)


def _table_bytes(flags: int) -> int:
    """The size of a colour table in bytes, from the flags that announce it."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _content(gif: bytes, position: int) -> bytes:
    """The content of a chain of sub-blocks."""
    parts = []
    while size := gif[position]:
        parts.append(gif[position + 1 : position + 1 + size])
        position += size + 1
    return b"".join(parts)


def _sub_blocks(content: bytes) -> bytes:
    parts = (content[start : start + 255] for start in range(0, len(content), 255))
    return b"".join(bytes([len(each)]) + each for each in parts) + b"\0"
