"""Puts metadata into an encoded PNG file (PNG specification, third edition, section 11.3)."""

import struct
import zlib

from realesrgan_vk.picture import Metadata

_HEADER_END = 8 + 25  # signature and IHDR
_METRE = 0.0254
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


def _without_replaced(png: bytes) -> bytes:
    """All chunks after the header but those that `with_metadata` writes itself."""
    parts: list[bytes] = []
    position = _HEADER_END
    while position + 12 <= len(png):
        (size,) = struct.unpack_from(">I", png, position)
        kind = png[position + 4 : position + 8]
        if kind == b"IDAT":
            return b"".join([*parts, png[position:]])
        if kind not in _REPLACED:
            parts.append(png[position : position + 12 + size])
        position += 12 + size
    return b"".join(parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
