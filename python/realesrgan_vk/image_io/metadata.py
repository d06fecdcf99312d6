"""ICC, EXIF, XMP and resolution: out of Pillow's images, and corrected for a new size."""

import re
import struct
from dataclasses import replace
from io import BytesIO
from typing import IO

from PIL import Image

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io import exif
from realesrgan_vk.picture import Metadata

# Tags of a TIFF file that describe its pixels' storage, not the photograph.
_TIFF_STORAGE_TAGS = frozenset(
    {
        *range(254, 264),
        *(266, 273, 277, 278, 279, 280, 281, 282, 283, 284, 288, 289, 290, 291, 292, 293, 296, 301),
        *range(317, 326),
        *(330, 332, 333, 334, 336, 338, 339, 340, 341, 342, 347),
        *range(512, 522),
        *(529, 530, 531, 532, 700, 33723, 34377, 34675, 37724, 50341, 50838, 50839),
    }
)
_SUB_DIRECTORIES = (0x8769, 0x8825)  # EXIF, GPS
_ICC_TAG, _XMP_TAG = 34675, 700


def of_pil(image: Image.Image) -> Metadata:
    """What an opened or loaded Pillow image carries."""
    info = image.info
    block = info.get("exif")
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    return Metadata(
        icc=_bytes(info.get("icc_profile")),
        exif=block.removeprefix(b"Exif\x00\x00") if isinstance(block, bytes) and block else None,
        xmp=xmp.encode("utf-8") if isinstance(xmp, str) else _bytes(xmp),
        dpi=_dpi(info.get("dpi")),
    )


def of_tiff(data: bytes) -> tuple[Metadata, Image.Exif]:
    """What a TIFF file carries, and all its first directory's tags."""
    return of_tiff_tags(tiff_tags(BytesIO(data)))


def of_tiff_tags(tags: Image.Exif) -> tuple[Metadata, Image.Exif]:
    """The same of the tags alone; their file must still be open."""
    kept = Image.Exif()
    for tag in tags:
        if tag not in _TIFF_STORAGE_TAGS and tag not in _SUB_DIRECTORIES:
            kept[tag] = tags[tag]
    for directory in _SUB_DIRECTORIES:
        if values := tags.get_ifd(directory):
            kept.get_ifd(directory).update(values)
    dpi = None
    if tags.get(296, 2) in (2, 3) and 282 in tags and 283 in tags:
        per_inch = 2.54 if tags.get(296) == 3 else 1.0
        dpi = _dpi((float(tags[282]) * per_inch, float(tags[283]) * per_inch))
    block = kept.tobytes().removeprefix(b"Exif\x00\x00") if len(kept) else None
    metadata = Metadata(_bytes(tags.get(_ICC_TAG)), block, _bytes(tags.get(_XMP_TAG)), dpi)
    return metadata, tags


def tiff_tags(file: IO[bytes]) -> Image.Exif:
    """The tags of a TIFF or BigTIFF file's first directory.

    Raises:
        ImageError: A BigTIFF file in big-endian order.
        Exception: Whatever damaged data makes Pillow raise.
    """
    start = file.read(16)
    tags = Image.Exif()
    tags.endian = "<" if start[:2] == b"II" else ">"
    tags.bigtiff = start[2:4] == b"+\x00"
    if start[:4] == b"MM\x00+":  # Pillow takes its third byte for a classic TIFF's
        raise ImageError("BigTIFF can only be read in little-endian order; save it as such")
    layout, position = ("Q", 8) if tags.bigtiff else ("I", 4)
    (first,) = struct.unpack_from(tags.endian + layout, start, position)
    tags.load_from_fp(file, first)
    return tags


def upright(metadata: Metadata) -> Metadata:
    """The metadata of a picture that has been turned upright."""
    xmp = metadata.xmp
    if xmp is not None:
        xmp = re.sub(rb'(tiff:Orientation(?:="|>))[2-8]', rb"\g<1>1", xmp)
    return replace(metadata, xmp=xmp)


def for_size(metadata: Metadata, width: int, height: int) -> Metadata:
    """The metadata of an upright picture of this size: size tags corrected, no thumbnail."""
    block = None if metadata.exif is None else exif.upright(metadata.exif, width, height)
    xmp = metadata.xmp
    if xmp is not None:
        for names, side in (
            (rb"tiff:ImageWidth|exif:PixelXDimension", width),
            (rb"tiff:ImageLength|exif:PixelYDimension", height),
        ):
            digits = str(side).encode("ascii")
            xmp = re.sub(rb"((?:" + names + rb')(?:="|>))\d+', rb"\g<1>" + digits, xmp)
        xmp = _without_thumbnails(xmp)
    return replace(metadata, exif=block, xmp=xmp)


def _without_thumbnails(xmp: bytes) -> bytes:
    """A pattern would take quadratic time on a packet with many starts and no end."""
    start = xmp.find(b"<xmp:Thumbnails>")
    end_mark = b"</xmp:Thumbnails>"
    end = xmp.rfind(end_mark)
    return xmp if start < 0 or end < start else xmp[:start] + xmp[end + len(end_mark) :]


def _bytes(value: object) -> bytes | None:
    return bytes(value) if isinstance(value, (bytes, bytearray)) and value else None


def _dpi(value: object) -> tuple[float, float] | None:
    if not isinstance(value, tuple):
        return None
    try:
        horizontal, vertical = (float(side) for side in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    valid = 0 < horizontal < 1e6 and 0 < vertical < 1e6
    return (horizontal, vertical) if valid else None
