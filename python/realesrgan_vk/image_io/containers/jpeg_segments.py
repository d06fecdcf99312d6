"""The marker segments of a JPEG file (ITU-T T.81, annex B) and what follows the picture."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import md5

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io.containers import photoshop

MOST_SCANS = 100
"""Scans allowed in a picture: progressive files have about 10, and each takes time."""

_MOST_MARKERS = 1 << 16  # before the first scan, bytes of filling included
_MOST_BYTES = 65533  # of a segment's content
_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APP1, _APP2, _APP11, _APP13 = 0xE1, 0xE2, 0xEB, 0xED
_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without content
# In compressed data: what is neither a stuffed zero, nor a restart, nor filling.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_FILLING = re.compile(rb"\xff+")
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_GUID = 32
_MOST_XMP_BYTES = 1 << 26
_MPF, _ISO_GAIN_MAP = b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0"


@dataclass(frozen=True, slots=True)
class JpegFile:
    """What a file holds besides what its decoder reads.

    Attributes:
        photoshop: Image resources.
        comments: In the file's order.
        more_xmp: The extended XMP packet, without what is missing of it.
        pictures: How many the multi-picture format (MPF) lists.
        has_gain_map: Whether it announces a gain map of ISO 21496-1 outside XMP.
        has_credentials: Whether it holds content credentials (C2PA).
        trailer: Where what follows the picture begins.
    """

    photoshop: bytes | None = None
    comments: tuple[bytes, ...] = ()
    more_xmp: bytes | None = None
    pictures: int = 1
    has_gain_map: bool = False
    has_credentials: bool = False
    trailer: int = 0


def parse(jpeg: bytes, *, limited: bool) -> JpegFile:
    """Take a file apart as far as it is whole.

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
            pictures = max(pictures, _pictures(jpeg[start + len(_MPF) : end]))
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
        name = more_xmp_name(more_xmp).encode("ascii")
        step = _MOST_BYTES - len(_MORE_XMP) - _GUID - 8
        for start in range(0, len(more_xmp), step):
            place = struct.pack(">II", len(more_xmp), start)
            part = more_xmp[start : start + step]
            parts.append(_segment(_APP1, _MORE_XMP + name + place + part))
    step = _MOST_BYTES - len(photoshop.PREFIX)
    for start in range(0, len(resources or b""), step):
        part = (resources or b"")[start : start + step]
        parts.append(_segment(_APP13, photoshop.PREFIX + part))
    parts += [_segment(_COM, comment[:_MOST_BYTES]) for comment in comments]
    return b"".join(parts)


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
        last = _last_filling(jpeg, position)
        markers += 1 + last - position
        position = last
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
        if marker == _SOS:
            is_head = False
            found = _MARKER.search(jpeg, position)
            if found is None:
                return
            position = found.start()


def _last_filling(jpeg: bytes, position: int) -> int:
    """The place of the last of the bytes 0xFF, filling before a marker, that begin here."""
    filling = _FILLING.match(jpeg, position)
    return position if filling is None else filling.end() - 1


def _pictures(index: bytes) -> int:
    """The number of pictures in the index of CIPA DC-007, section 5.2.3; 1 where it is damaged."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(index[:4])
    if order is None or len(index) < 10:
        return 1
    (directory,) = struct.unpack_from(order + "I", index, 4)
    if directory + 2 > len(index):
        return 1
    (entries,) = struct.unpack_from(order + "H", index, directory)
    for at in range(directory + 2, min(directory + 2 + 12 * entries, len(index) - 11), 12):
        tag, _, _, value = struct.unpack_from(order + "HHII", index, at)
        if tag == 0xB001:
            return max(1, int(value))
    return 1


def _assembled(parts: list[bytes]) -> bytes | None:
    """The extended packet of the first part's name; None where it is not whole."""
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
