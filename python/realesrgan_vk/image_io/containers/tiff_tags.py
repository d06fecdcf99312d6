"""The first directory of a TIFF or BigTIFF file as bytes (TIFF 6.0, section 2).

Pillow keeps the first of several values where it expects one, and decodes strings; values that a
result must get unchanged are read here.
"""

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
_LAYOUTS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 16: "Q"}
DESCRIPTION, XMP, IPTC, PHOTOSHOP, ICC = 270, 700, 33723, 34377, 34675  # tags
_TEXT = 2
_MOST_BYTES = 1 << 26  # of a tag's values
_BIG_FIELD = 8  # bytes of a value, or of its offset, in BigTIFF
_MOST_ENTRIES = 4096
_FARTHEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag's values as the file has them.

    Attributes:
        kind: The type of a value.
        content: The values' bytes.
        order: "<" or ">".
    """

    kind: int
    content: bytes
    order: str

    @property
    def numbers(self) -> tuple[Any, ...]:
        """The values; none for text, fractions and unknown types."""
        layout = _LAYOUTS.get(self.kind)
        if layout is None:
            return ()
        count = len(self.content) // _SIZES[self.kind]
        return struct.unpack(f"{self.order}{count}{layout}", self.content)

    @property
    def values(self) -> tuple[float, ...] | bytes:
        """Numbers of 16 bits and more; else the bytes, without the zero that ends text."""
        if self.kind == _TEXT:
            return self.text
        return self.numbers if self.kind in _LAYOUTS and _SIZES[self.kind] > 1 else self.content

    @property
    def text(self) -> bytes:
        """The bytes without the zero that ends text."""
        return self.content.rstrip(b"\0")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a directory: its number, and where its type, count and value are."""

    tag: int
    kind: int
    size: int  # bytes of all values
    field: int  # where the value, or its offset, is in the file


def first_directory(file: IO[bytes], wanted: frozenset[int]) -> dict[int, Tag]:
    """These tags of the first directory; without those that are damaged or too large."""
    order, inside, entries = entries_of(file)
    found = {}
    for entry in entries:
        if entry.tag not in wanted or not 0 < entry.size <= _MOST_BYTES:
            continue
        file.seek(entry.field)
        content = file.read(inside)
        if entry.size > inside and len(content) == inside:
            layout = "Q" if inside == _BIG_FIELD else "I"
            file.seek(min(struct.unpack(order + layout, content)[0], _FARTHEST))
            content = file.read(entry.size)
        if len(content) >= entry.size:
            found[entry.tag] = Tag(entry.kind, content[: entry.size], order)
    return found


def with_number(data: bytes, tag: int, number: int) -> bytes:
    """The file with another number in a tag of one 16-bit value; as it is without the tag."""
    order, _, entries = entries_of(BytesIO(data))
    for entry in entries:
        if entry.tag == tag and entry.size == 2 and entry.field + 2 <= len(data):
            changed = bytearray(data)
            struct.pack_into(order + "H", changed, entry.field, number)
            return bytes(changed)
    return data


def entries_of(file: IO[bytes]) -> tuple[str, int, list[Entry]]:
    """Byte order, bytes of a value's field, and the entries of the first directory."""
    file.seek(0)
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 16:
        return "<", 4, []
    big = struct.unpack_from(order + "H", start, 2)[0] == 43
    place, count, size, inside = ("Q", "Q", 20, _BIG_FIELD) if big else ("I", "H", 12, 4)
    (directory,) = struct.unpack_from(order + place, start, 8 if big else 4)
    file.seek(min(directory, _FARTHEST))
    head = file.read(struct.calcsize(count))
    if len(head) < struct.calcsize(count):
        return order, inside, []
    table = file.read(size * min(struct.unpack(order + count, head)[0], _MOST_ENTRIES))
    entries = []
    for at in range(0, len(table) - size + 1, size):
        tag, kind, values = struct.unpack_from(order + "HH" + place, table, at)
        field = directory + len(head) + at + size - inside
        entries.append(Entry(tag, kind, _SIZES.get(kind, 0) * values, field))
    return order, inside, entries
