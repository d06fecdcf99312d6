"""The boxes of a JPEG 2000 file (ISO/IEC 15444-1, annex I) that Pillow neither reads nor writes.

EXIF and IPTC data are in the boxes that ExifTool and Photoshop read.
"""

import struct
from collections.abc import Iterator

from realesrgan_vk.image_io.containers import photoshop
from realesrgan_vk.imaging.picture import Metadata

_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_EXIF = b"JpgTiffExif->JP2"
_GEOTIFF = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
_MOST_BOXES = 10_000


def metadata_of(jp2: bytes) -> tuple[Metadata, bool]:
    """ICC profile, EXIF, XMP and IPTC data, and whether there are GeoTIFF tags."""
    profile: bytes | None = None
    by_uuid: dict[bytes, bytes] = {}
    for kind, start, end in _boxes(jp2, 0, len(jp2)):
        if kind == b"uuid":
            by_uuid.setdefault(jp2[start : start + 16], jp2[start + 16 : end])
        elif kind == b"jp2h" and profile is None:
            for inner, begin, stop in _boxes(jp2, start, end):
                # Other colour specifications name a colour space by number.
                if inner == b"colr" and jp2[begin : begin + 1] in (b"\2", b"\3"):
                    profile = jp2[begin + 3 : stop]
                    break
    records = by_uuid.get(_IPTC)
    resources = None if records is None else photoshop.of_iptc(records)
    carried = Metadata(profile, by_uuid.get(_EXIF), by_uuid.get(_XMP), photoshop=resources)
    return carried, _GEOTIFF in by_uuid


def bits(jp2: bytes) -> int:
    """Bits of the deepest channel, of a file or a bare codestream; 8 where it is damaged."""
    start = jp2.find(b"\xff\x4f\xff\x51")
    if start < 0 or start + 42 > len(jp2):
        return 8
    (count,) = struct.unpack_from(">H", jp2, start + 40)
    depths = jp2[start + 42 : start + 42 + 3 * count : 3]
    return max(((depth & 0x7F) + 1 for depth in depths), default=8)


def with_metadata(jp2: bytes, carried: Metadata) -> bytes:
    """An encoded file with this ICC profile as its colour specification, EXIF, XMP and IPTC."""
    out = []
    for kind, start, end in _boxes(jp2, 0, len(jp2)):
        content = jp2[start:end]
        if kind == b"jp2h" and carried.icc is not None:
            colour = _box(b"colr", b"\2\0\0" + carried.icc)
            content = b"".join(
                colour if inner == b"colr" else _box(inner, jp2[begin:stop])
                for inner, begin, stop in _boxes(jp2, start, end)
            )
        out.append(_box(kind, content))
    records = photoshop.iptc(carried.photoshop) if carried.photoshop is not None else None
    for name, held in ((_EXIF, carried.exif), (_XMP, carried.xmp), (_IPTC, records)):
        if held is not None:
            out.append(_box(b"uuid", name + held))
    return b"".join(out)


def _boxes(jp2: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and begin and end of the content, of each whole box."""
    for _ in range(_MOST_BOXES):
        if position + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", jp2, position)
        head = 8
        if size == 1 and position + 16 <= end:
            (size,) = struct.unpack_from(">Q", jp2, position + 8)
            head = 16
        elif size == 0:  # to the end
            size = end - position
        if size < head or position + size > end:
            return
        yield kind, position + head, position + size
        position += size


def _box(kind: bytes, content: bytes) -> bytes:
    size = len(content) + 8
    if size < 2**32:
        return struct.pack(">I4s", size, kind) + content
    return struct.pack(">I4sQ", 1, kind, size + 8) + content
