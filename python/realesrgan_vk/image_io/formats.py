"""The picture formats: how to recognise them, and what each can hold."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import ImageFile, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TgaImagePlugin import TgaImageFile
from PIL.WebPImagePlugin import WebPImageFile

_NO_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes:
        name: As people write it.
        suffixes: Of its files, lower case; the first is the usual one.
        max_side: Longest side that it, or its encoder, can hold, in pixels.
        max_bits: Bits a sample can have; 32 is float, 1 black and white.
        alpha: Whether it holds an alpha channel (or a palette with transparency).
        grey: Whether it holds grey without converting it to RGB.
        colour: Whether it holds colours.
        deep_colour: Whether colours can have more than 8 bits a sample, where grey can.
        palette: Whether a picture with a palette can keep it.
        cmyk: Whether it holds CMYK.
        animation: Whether it holds several frames.
        profile: Whether it holds an ICC profile.
        max_duration: Longest time of a frame, in milliseconds.
        max_plays: Largest finite number of runs of an animation.
        carries: Which of `Metadata`'s fields it holds, apart from `icc` and `dpi`.
    """

    name: str
    suffixes: tuple[str, ...]
    max_side: int = _NO_LIMIT
    max_bits: int = 8
    alpha: bool = True
    grey: bool = True
    colour: bool = True
    deep_colour: bool = True
    palette: bool = False
    cmyk: bool = False
    animation: bool = False
    profile: bool = True
    max_duration: int = 0
    max_plays: int = 65535
    carries: frozenset[str] = frozenset()


PNG = Format(
    "PNG",
    (".png", ".apng"),
    max_bits=16,
    palette=True,
    animation=True,
    max_duration=65_535_000,
    max_plays=_NO_LIMIT,
    carries=frozenset({"exif", "xmp", "photoshop", "comments", "png"}),
)
# The standard allows 65,535; libjpeg allows 65,500.
JPEG = Format(
    "JPEG",
    (".jpg", ".jpeg", ".jpe", ".jfif"),
    max_side=65500,
    alpha=False,
    cmyk=True,
    carries=frozenset({"exif", "xmp", "more_xmp", "photoshop", "comments"}),
)
_EXIF_AND_XMP = frozenset({"exif", "xmp"})
WEBP = Format(
    "WebP",
    (".webp",),
    max_side=16383,
    grey=False,
    animation=True,
    max_duration=2**24 - 1,
    carries=_EXIF_AND_XMP,
)
TIFF = Format(
    "TIFF",
    (".tif", ".tiff"),
    max_bits=32,
    palette=True,
    cmyk=True,
    carries=frozenset({"exif", "xmp", "photoshop", "tiff"}),
)
BMP = Format("BMP", (".bmp", ".dib"), alpha=False, palette=True, profile=False)
GIF = Format(
    "GIF",
    (".gif",),
    max_side=65535,
    palette=True,
    animation=True,
    profile=False,
    max_duration=655_350,
    carries=frozenset({"xmp", "comments"}),
)
AVIF = Format("AVIF", (".avif",), max_side=65535, grey=False, carries=_EXIF_AND_XMP)
HEIC = Format("HEIC", (".heic", ".heif"), max_side=16384, grey=False, carries=_EXIF_AND_XMP)
_COMMENTS = frozenset({"comments"})
# JP2 is the file with boxes, J2K the bare codestream.
JP2 = Format(
    "JPEG 2000",
    (".jp2", ".jpx", ".jpf"),
    max_bits=16,
    deep_colour=False,
    carries=frozenset({"exif", "xmp", "photoshop", "comments"}),
)
J2K = Format(
    "JPEG 2000 codestream",
    (".j2k", ".j2c", ".jpc"),
    max_bits=16,
    deep_colour=False,
    profile=False,
    carries=_COMMENTS,
)
TGA = Format("TGA", (".tga", ".icb", ".vda", ".vst"), max_side=65535, palette=True, profile=False)
PBM = Format(
    "PBM", (".pbm",), max_bits=1, alpha=False, colour=False, profile=False, carries=_COMMENTS
)
PGM = Format(
    "PGM", (".pgm",), max_bits=16, alpha=False, colour=False, profile=False, carries=_COMMENTS
)
PPM = Format("PPM", (".ppm", ".pnm"), max_bits=16, alpha=False, profile=False, carries=_COMMENTS)
PAM = Format("PAM", (".pam",), max_bits=16, profile=False, carries=_COMMENTS)
PFM = Format("PFM", (".pfm",), max_bits=32, alpha=False, profile=False)

NETPBM = (PBM, PGM, PPM, PAM, PFM)
FORMATS = (PNG, JPEG, WEBP, TIFF, BMP, GIF, AVIF, HEIC, JP2, J2K, TGA, *NETPBM)
SUFFIXES = frozenset(suffix for known in FORMATS for suffix in known.suffixes)

_NETPBM_MAGIC = {
    **dict.fromkeys((b"P1", b"P4"), PBM),
    **dict.fromkeys((b"P2", b"P5"), PGM),
    **dict.fromkeys((b"P3", b"P6"), PPM),
    b"P7": PAM,
    **dict.fromkeys((b"PF", b"Pf"), PFM),
}
_HEIF_HEADER = 1 << 16  # bytes; more than the boxes before the pixels take
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def format_for(path: Path) -> Format | None:
    """The format that a file of this name is written in; None for an unknown suffix."""
    suffix = path.suffix.lower()
    return next((known for known in FORMATS if suffix in known.suffixes), None)


def sniff(header: bytes) -> Format | None:
    """The format of a file, by its first bytes (64 suffice)."""
    starts: tuple[tuple[bytes, Format], ...] = (
        (b"\x89PNG\r\n\x1a\n", PNG),
        (b"\xff\xd8\xff", JPEG),
        (b"GIF87a", GIF),
        (b"GIF89a", GIF),
        (b"II*\x00", TIFF),
        (b"MM\x00*", TIFF),
        (b"II+\x00", TIFF),  # BigTIFF
        (b"MM\x00+", TIFF),
        (b"BM", BMP),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", JP2),
        (b"\xff\x4f\xff\x51", J2K),
    )
    for start, known in starts:
        if header.startswith(start):
            return known
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return WEBP
    if header[4:8] == b"ftyp":
        if b"avif" in header or b"avis" in header:
            return AVIF
        if header[8:12] in _HEIC_BRANDS:
            return HEIC
    if header[2:3].isspace() or header[2:3] == b"#":
        netpbm = _NETPBM_MAGIC.get(header[:2])
        if netpbm is not None:
            return netpbm
    return TGA if _is_tga(header) else None


def _is_tga(header: bytes) -> bool:
    """Whether the header is a valid one of TGA, which has no signature (TGA 2.0, section 2)."""
    if len(header) < 18:
        return False
    has_table, kind, _, entries, entry_bits, _, _, width, height, bits, flags = struct.unpack(
        "<xBBHHBHHHHBB", header[:18]
    )
    of_table = kind in (1, 9)
    depths = {1: (8,), 9: (8,), 2: (16, 24, 32), 10: (16, 24, 32), 3: (8, 16), 11: (8, 16)}
    table = entries > 0 and entry_bits in (15, 16, 24, 32)
    without = entries == 0 and entry_bits == 0
    return (
        bits in depths.get(kind, ())
        and min(width, height) > 0
        and flags & 0xC0 == 0
        and (table if has_table == 1 else has_table == 0 and without and not of_table)
    )


def heif_bits(data: bytes) -> int:
    """Bits a sample of an AVIF or HEIC file has: the most of its `pixi` properties; else 8."""
    found, start = 8, data.find(b"pixi")
    while 0 <= start < _HEIF_HEADER:
        channels = data[start + 8] if start + 8 < len(data) else 0
        found = max(found, *data[start + 9 : start + 9 + min(channels, 4)], 8)
        start = data.find(b"pixi", start + 4)
    return min(found, 16)


def opener(known: Format) -> Callable[[BytesIO], ImageFile.ImageFile] | None:
    """Pillow's class that reads this format; None where the installed Pillow has no decoder.

    The classes are used directly: `Image.open` would apply a size limit that is global to the
    process, and would try other formats.
    """
    if known is HEIC:
        try:
            from pillow_heif import HeifImageFile  # noqa: PLC0415 - an optional dependency
        except ImportError:
            return None
        return HeifImageFile
    feature = {AVIF: "avif", WEBP: "webp", JP2: "jpg_2000", J2K: "jpg_2000"}.get(known)
    if feature is not None and not features.check(feature):
        return None
    classes: dict[Format, Callable[[BytesIO], ImageFile.ImageFile]] = {
        PNG: PngImageFile,
        JPEG: JpegImageFile,
        WEBP: WebPImageFile,
        BMP: BmpImageFile,
        GIF: GifImageFile,
        AVIF: AvifImageFile,
        TGA: TgaImageFile,
        JP2: Jpeg2KImageFile,
        J2K: Jpeg2KImageFile,
    }
    return classes.get(known)
