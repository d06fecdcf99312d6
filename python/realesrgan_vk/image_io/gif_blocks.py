"""The blocks of a GIF file (GIF89a, sections 15 to 27)."""

HEADER = 13
"""Bytes before the global table of colours."""

_COMMENT, _EXTENSION, _IMAGE = 0xFE, 0x21, 0x2C


def with_comments(gif: bytes, comments: tuple[bytes, ...]) -> bytes:
    """The file with these comments before its first image."""
    start = HEADER + table_bytes(gif[10])
    return gif[:start] + b"".join(_comment(each) for each in comments) + gif[start:]


def comments(gif: bytes, most: int = 1000) -> tuple[bytes, ...]:
    """The comments of a file, damaged or not; `most` of them."""
    found: list[bytes] = []
    position = HEADER + table_bytes(gif[10])
    try:
        while len(found) < most and gif[position] in (_EXTENSION, _IMAGE):
            if gif[position] == _IMAGE:
                position += 9 + table_bytes(gif[position + 9])
                position = after_blocks(gif, position + 2)
                continue
            end = after_blocks(gif, position + 2)
            if gif[position + 1] == _COMMENT:
                found.append(_joined(gif, position + 2))
            position = end
    except IndexError:
        pass
    return tuple(each for each in found if each)


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
    """Of a GIF colour table, by the flags that announce it."""
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
