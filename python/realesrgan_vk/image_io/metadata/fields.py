"""ICC, EXIF, XMP and resolution: read from Pillow images, and adapted to a new size."""

import struct
from dataclasses import replace
from typing import IO

from PIL import Image

from realesrgan_vk.errors import ImageError
from realesrgan_vk.image_io.containers import photoshop, tiff_tags
from realesrgan_vk.image_io.metadata import descriptions, exif, geotiff, png_colour, xmp
from realesrgan_vk.imaging.picture import Metadata, TiffTags

# Tags of a TIFF file that describe its pixels' storage, not the photograph.
_TIFF_STORAGE_TAGS = frozenset(
    {
        *range(254, 264),
        *(266, 273, 277, 278, 279, 280, 281, 282, 283, 284, 288, 289, 290, 291, 292, 293, 296, 301),
        *range(317, 326),
        *(330, 332, 333, 334, 336, 338, 339, 340, 341, 342, 347),
        *range(512, 522),
        *(529, 530, 531, 532, 700, 33723, 34377, 34675, 37724, 50341, 50838, 50839),
        *geotiff.TAGS,
    }
)
_TURNED = tuple("2345678")  # orientations that are applied
_SUB_DIRECTORIES = (0x8769, 0x8825)  # EXIF, GPS
_LAYERS_TAG = 37724
_RAW_TAGS = geotiff.TAGS | {tiff_tags.PHOTOSHOP, tiff_tags.IPTC, tiff_tags.DESCRIPTION}


def of_pil(image: Image.Image) -> Metadata:
    """What an opened or loaded Pillow image carries."""
    info = image.info
    profile = _bytes(info.get("icc_profile")) or _profile_of_png(image)
    block = info.get("exif")
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp")
    comment = _bytes(info.get("comment"))
    return Metadata(
        icc=profile,
        exif=block.removeprefix(b"Exif\x00\x00") if isinstance(block, bytes) and block else None,
        xmp=packet.encode("utf-8") if isinstance(packet, str) else _bytes(packet),
        dpi=_dpi(info.get("dpi")),
        comments=(comment,) if comment else (),
    )


def _profile_of_png(image: Image.Image) -> bytes | None:
    """The profile for the gAMA and cHRM that Pillow keeps in `info`."""
    info, chunks = image.info, {}
    try:
        if "gamma" in info and "srgb" not in info:
            chunks[b"gAMA"] = struct.pack(">I", round(float(info["gamma"]) * 100_000))
        if "chromaticity" in info and "srgb" not in info:
            values = (round(float(each) * 100_000) for each in info["chromaticity"])
            chunks[b"cHRM"] = struct.pack(">8I", *values)
        grey = image.mode in ("1", "L", "LA", "I", "I;16")
        return png_colour.profile_of(chunks, grey=grey)
    except (TypeError, ValueError, OverflowError, struct.error):  # not from a file
        return None


def of_tiff(file: IO[bytes]) -> tuple[Metadata, Image.Exif, tuple[str, ...]]:
    """What a TIFF file carries, its first directory's tags, and notes on what is dropped.

    Raises:
        ImageError: A BigTIFF file in big-endian order.
        Exception: Whatever damaged data makes Pillow raise.
    """
    tags = _tiff_tags(file)
    raw = tiff_tags.first_directory(file, _RAW_TAGS)
    own, notes = _tiff_only(raw, (int(tags.get(256, 0)), int(tags.get(257, 0))))
    if _LAYERS_TAG in tags:
        notes.append("the Photoshop layers are dropped")
    kept = Image.Exif()
    for tag in tags:
        if tag not in _TIFF_STORAGE_TAGS and tag not in _SUB_DIRECTORIES:
            kept[tag] = tags[tag]
    description = raw.get(tiff_tags.DESCRIPTION)
    if description is not None and (of := descriptions.stale(description.text)):
        notes.append(f"the {of} description is of the old pixels and is dropped")
        del kept[tiff_tags.DESCRIPTION]
    elif own is not None and tiff_tags.DESCRIPTION in own.values:
        del kept[tiff_tags.DESCRIPTION]
    for directory in _SUB_DIRECTORIES:
        if values := tags.get_ifd(directory):
            kept.get_ifd(directory).update(values)
    dpi = None
    if tags.get(296, 2) in (2, 3) and 282 in tags and 283 in tags:
        per_inch = 2.54 if tags.get(296) == 3 else 1.0
        dpi = _dpi((float(tags[282]) * per_inch, float(tags[283]) * per_inch))
    metadata = Metadata(
        icc=_bytes(tags.get(tiff_tags.ICC)),
        exif=kept.tobytes().removeprefix(b"Exif\x00\x00") if len(kept) else None,
        xmp=_bytes(tags.get(tiff_tags.XMP)),
        dpi=dpi,
        photoshop=_resources(raw),
        tiff=own,
    )
    return metadata, tags, tuple(notes)


def _tiff_only(
    raw: dict[int, tiff_tags.Tag], size: tuple[int, int]
) -> tuple[TiffTags | None, list[str]]:
    """What only another TIFF file holds: GeoTIFF's tags, and the shape of the array."""
    notes: list[str] = []
    geo = {tag: (raw[tag].kind, raw[tag].values) for tag in raw if tag in geotiff.TAGS}
    try:
        geotiff.check(TiffTags(geo, size))
    except ValueError as error:
        notes.append(f"the GeoTIFF tags are dropped: {error}")
        geo = {}
    description = raw.get(tiff_tags.DESCRIPTION)
    if description is not None and descriptions.is_shape(description.text):
        geo[tiff_tags.DESCRIPTION] = (description.kind, description.text)
    return (TiffTags(geo, size) if geo and min(size) > 0 else None), notes


def _resources(raw: dict[int, tiff_tags.Tag]) -> bytes | None:
    """Photoshop's resources with the IPTC records, which many files have only in their own tag."""
    resources = raw[tiff_tags.PHOTOSHOP].content if tiff_tags.PHOTOSHOP in raw else b""
    if tiff_tags.IPTC in raw and photoshop.iptc(resources) is None:
        resources += photoshop.of_iptc(raw[tiff_tags.IPTC].content)
    return resources or None


def _tiff_tags(file: IO[bytes]) -> Image.Exif:
    """The tags of a TIFF or BigTIFF file's first directory."""
    start = file.read(16)
    tags = Image.Exif()
    tags.endian = "<" if start[:2] == b"II" else ">"
    tags.bigtiff = start[2:4] == b"+\x00"
    if start[:4] == b"MM\x00+":  # Pillow reads it as classic TIFF
        raise ImageError("BigTIFF can only be read in little-endian order; save it as such")
    layout, position = ("Q", 8) if tags.bigtiff else ("I", 4)
    (first,) = struct.unpack_from(tags.endian + layout, start, position)
    tags.load_from_fp(file, first)
    return tags


def turned(metadata: Metadata, orientation: int) -> Metadata:
    """The metadata of a picture that is turned upright from this EXIF orientation.

    GeoTIFF's tags are dropped where they cannot be turned.
    """
    tags = metadata.tiff
    if tags is not None:
        try:
            tags = geotiff.turned(tags, orientation)
        except ValueError:
            tags = geotiff.without_places(tags)
        metadata = replace(metadata, tiff=tags)
    if orientation < 5:
        return metadata
    dpi = None if metadata.dpi is None else metadata.dpi[::-1]
    chunks = tuple(
        (kind, content[4:8] + content[:4] + content[8:] if kind == b"pHYs" else content)
        for kind, content in metadata.png
    )
    return replace(metadata, dpi=dpi, png=chunks)


def scrubbed(metadata: Metadata) -> tuple[Metadata, set[str]]:
    """Without what XMP announces but a result's file lacks, and what that is (words of `xmp`).

    Damaged XMP data is dropped.
    """
    announced: set[str] = set()
    packet, more = metadata.xmp, metadata.more_xmp
    try:
        edited = xmp.edited(packet, {}) if packet is not None else None
        further = xmp.edited(more, {}) if more is not None else None
    except xmp.DamagedError:
        return replace(metadata, xmp=None, more_xmp=None), {xmp.DAMAGED}
    if edited is not None:
        packet = edited.packet
        announced |= edited.announced
    if further is not None:  # it is used only where the packet names it
        named = edited is not None and edited.has_more
        more = further.packet if further.properties and named else None
        announced |= further.announced
    return replace(metadata, xmp=packet, more_xmp=more), announced


def for_size(metadata: Metadata, width: int, height: int) -> Metadata:
    """The metadata of an upright picture of this size: size tags corrected, no thumbnail.

    Damaged EXIF and XMP data are dropped.
    """
    block = None if metadata.exif is None else exif.upright(metadata.exif, width, height)
    columns, rows = (lambda _: str(width)), (lambda _: str(height))
    sizes = {
        (xmp.TIFF, "Orientation"): lambda value: "1" if value in _TURNED else value,
        (xmp.TIFF, "ImageWidth"): columns,
        (xmp.TIFF, "ImageLength"): rows,
        (xmp.EXIF, "PixelXDimension"): columns,
        (xmp.EXIF, "PixelYDimension"): rows,
    }
    tags = metadata.tiff
    return replace(
        metadata,
        tiff=None if tags is None else geotiff.for_size(tags, width, height),
        exif=block,
        xmp=_sized(metadata.xmp, sizes, width, height),
        more_xmp=_sized(metadata.more_xmp, sizes, width, height),
    )


def without_profile(metadata: Metadata) -> Metadata:
    """The metadata without colour profiles, for sRGB values."""
    kinds = (*png_colour.DESCRIBING, *png_colour.SIZES)
    chunks = tuple(chunk for chunk in metadata.png if chunk[0] not in kinds)
    return replace(metadata, icc=None, png=chunks)


def with_more_xmp_named(metadata: Metadata, name: str | None) -> Metadata:
    """The metadata whose XMP packet names its extended packet so; None: there is none."""
    return replace(metadata, xmp=_edited(metadata.xmp, {xmp.MORE: lambda _: name}))


def _sized(packet: bytes | None, sizes: xmp.Changes, width: int, height: int) -> bytes | None:
    try:
        panorama = xmp.panorama_for(packet or b"", width, height)
    except xmp.DamagedError:
        return None
    return _edited(packet, {**sizes, **panorama})


def _edited(packet: bytes | None, values: xmp.Changes) -> bytes | None:
    try:
        return None if packet is None else xmp.edited(packet, values).packet
    except xmp.DamagedError:
        return None


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
