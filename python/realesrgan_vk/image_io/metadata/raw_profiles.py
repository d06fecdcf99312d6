"""Metadata as hexadecimal text, as ImageMagick and ExifTool put it into PNG texts.

The text "Raw profile type NAME" holds a line feed, the name, a line feed, the number of bytes in
decimal digits, a line feed, and the bytes in lines of hexadecimal digits (ImageMagick's
coders/png.c).
"""

import re
import zlib

_KEYWORD = b"Raw profile type "
_HEAD = re.compile(rb"\s{0,16}([^\n]{1,80})\n\s{0,16}(\d{1,9})\s{0,16}\n")
_LINE = 36  # bytes in a line of digits
MOST_BYTES = 1 << 24  # of a profile; a longer one is kept as text


def name_of(keyword: bytes) -> str:
    """The profile's name in lower case; empty for other texts' keywords."""
    if not keyword.startswith(_KEYWORD):
        return ""
    return keyword[len(_KEYWORD) :].decode("latin-1").strip().lower()


def decoded(text: bytes) -> bytes | None:
    """The bytes of a raw profile; None where the text is damaged or too large."""
    head = _HEAD.match(text)
    if head is None or int(head[2]) > MOST_BYTES:
        return None
    digits = bytes(text[head.end() :]).translate(None, b" \t\r\n\0")
    try:
        content = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return None
    return content if len(content) == int(head[2]) else None


def encoded(name: str, content: bytes) -> tuple[bytes, bytes]:
    """The zTXt chunk of a profile."""
    digits = content.hex()
    step = 2 * _LINE
    lines = "\n".join(digits[start : start + step] for start in range(0, len(digits), step))
    text = f"\n{name}\n{len(content):8d}\n{lines}\n".encode("ascii")
    return b"zTXt", _KEYWORD + name.encode("ascii") + b"\0\0" + zlib.compress(text)
