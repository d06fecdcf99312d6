"""The marker segments of a JPEG file (ITU-T T.81, annex B) and what follows the picture."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import md5
from io import BytesIO

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io.containers import photoshop, tiff_tags

MOST_SCANS = 100
"""Scans allowed in a picture: progressive files have about 10, and each takes time."""

_MOST_MARKERS = 1 << 16  # before the first scan, fill bytes included
_MOST_BYTES = 65533  # of a segment's content
_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APP1, _APP2, _APP11, _APP13 = 0xE1, 0xE2, 0xEB, 0xED
_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without content
# In compressed data: neither a stuffed zero, nor a restart marker, nor a fill byte.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_FILL_BYTES = re.compile(rb"\xff*")
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_GUID = 32
_MOST_XMP_BYTES = 1 << 26
_MPF, _ISO_GAIN_MAP = b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0"
_PICTURES_TAG = 0xB001  # of the MPF index: NumberOfImages (CIPA DC-007, section 5.2.3.2)


@dataclass(frozen=True, slots=True)
class JpegFile:
    """What a file holds besides what its decoder reads.

    Attributes:
        photoshop: Image resources.
        comments: In the file's order.
        more_xmp: The extended XMP packet.
        pictures: How many the multi-picture format (MPF) lists.
        has_gain_map: Whether it announces a gain map of ISO 21496-1 outside XMP.
        has_credentials: Whether it holds content credentials (C2PA).
        trailer: Offset of the bytes after the picture.
    """

    photoshop: bytes | None = None
    comments: tuple[bytes, ...] = ()
    more_xmp: bytes | None = None
    pictures: int = 1
    has_gain_map: bool = False
    has_credentials: bool = False
    trailer: int = 0


def parse(jpeg: bytes, *, limited: bool) -> JpegFile:
    """Read the segments as far as the file is whole.

    Raises:
        ImageError: It has more than `MOST_SCANS` scans, and `limited` is set; or so many markers
            before the picture that decoders take minutes for them.
    """
    resources: list[bytes] = []
    comments: list[bytes] = []
    extended: list[bytes] = []
    pictures, scans, trailer = 1, 0, len(jpeg)
    gain_map = credentials = False
    for marker, start, end in _segments(jpeg):
        if marker == _SOS:
            scans += 1
            if limited and scans > MOST_SCANS:
                raise ImageError(
                    f"the JPEG data has more than {MOST_SCANS} scans, each of which costs time for "
                    "all pixels; save it again, or lift the limits with --max-pixels 0, in Python "
                    "max_pixels=None"
                )
        elif marker == _EOI:
            trailer = end
        elif marker == _COM:
            comments.append(jpeg[start:end])
        elif marker == _APP13 and jpeg.startswith(photoshop.PREFIX, start, end):
            resources.append(jpeg[start + len(photoshop.PREFIX) : end])
        elif marker == _APP1 and jpeg.startswith(_MORE_XMP, start, end):
            extended.append(jpeg[start + len(_MORE_XMP) : end])
        elif marker == _APP2 and jpeg.startswith(_MPF, start, end):
            index = jpeg[start + len(_MPF) : end]
            order, _, entries = tiff_tags.entries_of(BytesIO(index))
            places = (each.field for each in entries if each.tag == _PICTURES_TAG)
            if 0 < (at := next(places, 0)) <= len(index) - 4:
                pictures = max(pictures, *struct.unpack_from(order + "I", index, at))
        elif marker == _APP2 and jpeg.startswith(_ISO_GAIN_MAP, start, end):
            gain_map = True
        elif marker == _APP11 and b"c2pa" in jpeg[start:end]:
            credentials = True
    return JpegFile(
        b"".join(resources) or None,
        tuple(comments),
        _assembled(extended),
        pictures,
        gain_map,
        credentials,
        trailer,
    )


def segments_of(
    resources: bytes | None, comments: tuple[bytes, ...], more_xmp: bytes | None
) -> bytes:
    """The segments that hold these; the XMP packet must name `more_xmp_name(more_xmp)`."""
    parts = []
    if more_xmp is not None:
        head = _MORE_XMP + more_xmp_name(more_xmp).encode("ascii")
        for start, part in _split(more_xmp, _MOST_BYTES - len(head) - 8):
            place = struct.pack(">II", len(more_xmp), start)
            parts.append(_segment(_APP1, head + place + part))
    for _, part in _split(resources or b"", _MOST_BYTES - len(photoshop.PREFIX)):
        parts.append(_segment(_APP13, photoshop.PREFIX + part))
    parts += [_segment(_COM, comment[:_MOST_BYTES]) for comment in comments]
    return b"".join(parts)


def _split(content: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    return ((start, content[start : start + size]) for start in range(0, len(content), size))


def more_xmp_name(packet: bytes) -> str:
    """What `xmpNote:HasExtendedXMP` has to be for this extended packet (XMP part 3, 1.1.3.1)."""
    return md5(packet, usedforsecurity=False).hexdigest().upper()


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _segments(jpeg: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, and begin and end of the content, of each segment up to the picture's end."""
    position, markers, is_head = 2, 0, True
    while position + 2 <= len(jpeg):
        if jpeg[position] != 0xFF:  # compressed data, or what a decoder skips
            found = _MARKER.search(jpeg, position)
            if found is None:
                return
            position = found.start()
        filled = _FILL_BYTES.match(jpeg, position).end() - 1  # type: ignore[union-attr]  # matches
        markers += 1 + filled - position
        position = filled
        if is_head and markers > _MOST_MARKERS:
            raise ImageError(
                f"the JPEG data has more than {_MOST_MARKERS} markers before the picture"
            )
        if position + 1 >= len(jpeg):
            return
        marker = jpeg[position + 1]
        if marker == 0x00:
            position += 1
            continue
        position += 2
        if marker in _ALONE or marker == _SOI:
            continue
        if marker == _EOI:
            yield marker, position, position
            return
        if position + 2 > len(jpeg):
            return
        (size,) = struct.unpack_from(">H", jpeg, position)
        end = position + max(size, 2)
        if end > len(jpeg):
            return
        yield marker, position + 2, end
        position = end
        is_head = is_head and marker != _SOS


def _assembled(parts: list[bytes]) -> bytes | None:
    """The extended packet whose name the first part has; None where a part is missing."""
    head = _GUID + 8
    parts = [part for part in parts if len(part) > head]
    parts = [part for part in parts if part[:_GUID] == parts[0][:_GUID]]
    if not parts:
        return None
    (size,) = struct.unpack_from(">I", parts[0], _GUID)
    if sum(len(part) - head for part in parts) < size or size > _MOST_XMP_BYTES:
        return None
    packet, filled = bytearray(size), 0
    for part in parts:
        (start,) = struct.unpack_from(">I", part, _GUID + 4)
        content = part[head:]
        if start + len(content) <= size:
            packet[start : start + len(content)] = content
            filled += len(content)
    return bytes(packet) if filled >= size else None
