"""Fits metadata to a format, with a note on each part that the format cannot hold."""

from dataclasses import replace
from typing import Any

from realesrgan_vk.image_io.containers import jpeg_segments, tiff_tags
from realesrgan_vk.image_io.formats import JPEG, Format
from realesrgan_vk.image_io.metadata import descriptions, fields, geotiff, png_colour, png_metadata
from realesrgan_vk.imaging.picture import Metadata

_JPEG_SEGMENT = 65_500  # bytes of EXIF or XMP data that fit a segment, with its identifier
_JPEG_COMMENT = 65_533
_WORDS = {
    "exif": "EXIF data",
    "xmp": "XMP data",
    "more_xmp": "extended XMP data",
    "photoshop": "IPTC data",
    "comments": "comments",
}
_CHUNKS = {
    b"bKGD": "background colour",
    b"sBIT": "number of significant bits",
    b"tIME": "time of modification",
    b"mDCV": "mastering display",
    b"cLLI": "light level",
    b"pHYs": "shape of pixels",
}
_MOST_NAMES = 8  # of texts in a note


def fitted(carried: Metadata, known: Format, notes: list[str]) -> Metadata:
    """The metadata without what the format cannot hold, and a note on each kind of that."""
    holds_more = carried.more_xmp is not None and "more_xmp" in known.carries
    name = jpeg_segments.more_xmp_name(carried.more_xmp or b"") if holds_more else None
    carried = fields.with_more_xmp_named(carried, name)
    if carried.png and "png" not in known.carries:
        carried = _without_chunks(carried, known, notes)
    if carried.tiff is not None and "tiff" not in known.carries:
        if geotiff.is_placed(carried.tiff):
            notes.append(f"{known.name} holds no GeoTIFF tags; they are dropped")
        _, description = carried.tiff.values.get(tiff_tags.DESCRIPTION, (0, b""))
        if isinstance(description, bytes) and descriptions.says_more(description):
            notes.append("the description for tifffile is dropped")
        carried = replace(carried, tiff=None)
    for field, words in _WORDS.items():
        if getattr(carried, field) and field not in known.carries:
            they = "they are" if words.endswith("s") else "it is"
            notes.append(f"{known.name} holds no {words}; {they} dropped")
            empty: Any = () if field == "comments" else None
            carried = replace(carried, **{field: empty})
    return _within_segments(carried, notes) if known is JPEG else carried


def _without_chunks(carried: Metadata, known: Format, notes: list[str]) -> Metadata:
    """Remove PNG's chunks for another format: comments stay, colours are in the profile."""
    colour = dict(carried.png)
    curve = png_colour.hdr_curve(colour)
    if curve:
        notes.append(
            f"{known.name} cannot be told here that the colours are {curve} (cICP): they will look "
            "different"
        )
    texts = [content for kind, content in carried.png if kind in png_metadata.TEXTS]
    comments = carried.comments
    if "comments" in known.carries:
        comments += png_metadata.comments_in(carried.png)
        texts = [text for text in texts if not png_metadata.is_comment(text)]
    if texts:
        keywords = list(dict.fromkeys(_printable(png_metadata.keyword_of(text)) for text in texts))
        more = f" and {len(keywords) - _MOST_NAMES} more" if len(keywords) > _MOST_NAMES else ""
        names = ", ".join(keywords[:_MOST_NAMES]) + more
        notes.append(f"{known.name} holds no PNG texts; they are dropped: {names}")
    told = (*png_metadata.TEXTS, *png_colour.DESCRIBING)
    kinds = dict.fromkeys(
        kind
        for kind, content in carried.png
        if kind not in told and not (kind == b"pHYs" and content[:4] == content[4:8])
    )
    for kind in kinds:
        words = _CHUNKS.get(kind, f"PNG chunk {_printable(kind)}")
        notes.append(f"{known.name} holds no {words}; it is dropped")
    return replace(carried, png=(), comments=comments)


def _within_segments(carried: Metadata, notes: list[str]) -> Metadata:
    if carried.exif and len(carried.exif) > _JPEG_SEGMENT:
        notes.append("the EXIF data is too long for JPEG and is dropped")
        carried = replace(carried, exif=None)
    if carried.xmp and len(carried.xmp) > _JPEG_SEGMENT - 32:
        notes.append("the XMP data is too long for JPEG and is dropped")
        carried = replace(carried, xmp=None, more_xmp=None)
    comments = tuple(each for each in carried.comments if len(each) <= _JPEG_COMMENT)
    if len(comments) < len(carried.comments):
        notes.append("a comment is too long for JPEG and is dropped")
    return replace(carried, comments=comments)


def _printable(name: bytes) -> str:
    return "".join(char if char.isprintable() else "?" for char in name.decode("latin-1"))[:79]
