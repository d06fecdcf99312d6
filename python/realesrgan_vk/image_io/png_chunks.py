"""Puts metadata into an encoded PNG file (PNG specification, third edition, section 11.3)."""

import struct
import zlib
from collections.abc import Iterator

from realesrgan_vk.picture import Metadata

_HEADER_END = 8 + 25  # signature and IHDR
_METRE = 0.0254
_PIXELS = (b"IDAT", b"acTL", b"fcTL", b"fdAT")
_REPLACED = (b"iCCP", b"eXIf", b"pHYs", b"sRGB", b"gAMA", b"cHRM")


def with_metadata(png: bytes, carried: Metadata) -> bytes:
    """The file with profile, resolution, EXIF and XMP, in place of what it had of them."""
    added = b""
    if carried.icc is not None:
        added += _chunk(b"iCCP", b"ICC profile\x00\x00" + zlib.compress(carried.icc))
    if carried.dpi is not None:
        per_metre = [min(2**31 - 1, round(side / _METRE)) for side in carried.dpi]
        added += _chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1))
    if carried.exif is not None:
        added += _chunk(b"eXIf", carried.exif)
    if carried.xmp is not None:
        added += _chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + carried.xmp)
    return png[:_HEADER_END] + added + _without_replaced(png)


def without_pixels(png: bytes) -> bytes:
    """The file's header and metadata, of which some may come after the pixels, and no pixels."""
    kept = [content for kind, content in _chunks(png) if kind not in (*_PIXELS, b"IEND")]
    return b"".join([png[:_HEADER_END], *kept, _chunk(b"IDAT", b""), _chunk(b"IEND", b"")])


def is_animated(png: bytes) -> bool:
    """Whether the file holds an animation."""
    return any(kind == b"acTL" for kind, _ in _chunks(png))


def _without_replaced(png: bytes) -> bytes:
    """All chunks after the header but those that `with_metadata` writes itself."""
    return b"".join(content for kind, content in _chunks(png) if kind not in _REPLACED)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk after the header that is there as a whole: its kind, and all its bytes."""
    position = _HEADER_END
    while position + 12 <= len(png):
        (size,) = struct.unpack_from(">I", png, position)
        if position + 12 + size > len(png):
            return
        yield png[position + 4 : position + 8], png[position : position + 12 + size]
        position += 12 + size


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
