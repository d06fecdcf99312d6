"""The metadata of a PNG file, and the chunks of it that a result gets."""

import struct
import zlib
from itertools import islice

import numpy as np

from realesrgan_vk.image_io.containers import photoshop
from realesrgan_vk.image_io.containers.png_chunks import Chunk, PngFile, content_of
from realesrgan_vk.image_io.metadata import icc, png_colour, raw_profiles
from realesrgan_vk.image_io.metadata.losses import CREDENTIALS
from realesrgan_vk.imaging.picture import Metadata

TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_METRE = 0.0254
_MOST_PROFILE_BYTES = 1 << 24  # of a decompressed profile or packet
_MOST_UNPACKED = 16  # texts of a file that are decompressed
_EXIF_PREFIX = b"Exif\0\0"
_XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
# Chunks that describe the old pixels or the old file; dropping them loses nothing.
_OF_OLD_PIXELS = (b"hIST", b"iDOT")
_GREY_TYPES, _PALETTE_TYPE = (0, 4), 3


def of_png(file: PngFile) -> tuple[Metadata, tuple[str, ...]]:
    """What a parsed file carries, and what could not be used, in words."""
    return _Reader(file).read()


def chunks_for(carried: Metadata, encoded: bytes) -> list[Chunk]:
    """The chunks that hold `carried`, adapted to the depth and colour type of an encoded file."""
    depth, colour_type = encoded[24], encoded[25]
    palette = content_of(encoded, b"PLTE") if colour_type == _PALETTE_TYPE else b""
    chunks: list[Chunk] = []
    if carried.icc is not None and not any(
        kind in png_colour.DESCRIBING for kind, _ in carried.png
    ):
        chunks.append((b"iCCP", _icc_chunk(carried.icc)))
    for kind, content in carried.png:
        if kind == b"sBIT":
            chunks.append((kind, _significant_for(content, depth, colour_type)))
        elif kind == b"bKGD":
            chunks.append((kind, _background_for(content, depth, colour_type, palette)))
        else:
            chunks.append((kind, content))
    if carried.dpi is not None:
        per_metre = [min(2**31 - 1, round(side / _METRE)) for side in carried.dpi]
        chunks.append((b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if carried.exif is not None:
        chunks.append((b"eXIf", carried.exif))
    if carried.xmp is not None:
        chunks.append((b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + carried.xmp))
    if carried.photoshop is not None:
        chunks.append(raw_profiles.encoded("iptc", carried.photoshop))
    chunks += [_comment_chunk(comment) for comment in carried.comments]
    return chunks


def keyword_of(content: bytes) -> bytes:
    """The keyword of a text chunk."""
    return content.partition(b"\0")[0]


def is_comment(content: bytes) -> bool:
    """Whether a text chunk is a comment; ImageMagick writes the keyword in lower case."""
    return keyword_of(content).lower() == b"comment"


def comments_in(chunks: tuple[Chunk, ...]) -> tuple[bytes, ...]:
    """The texts called "Comment", for formats that hold those: Latin-1, or UTF-8 from iTXt."""
    named = (each for each in chunks if each[0] in TEXTS and is_comment(each[1]))
    texts = (_text_of(kind, content) for kind, content in islice(named, _MOST_UNPACKED))
    return tuple(text for text in texts if text)


class _Reader:
    """Sorts the chunks of one file by what they hold."""

    def __init__(self, file: PngFile) -> None:
        self._file = file
        self._depth, self._colour_type = file.pixels[24], file.pixels[25]
        self._unpacked = 0
        self._notes: list[str] = []
        self._kept: list[Chunk] = []
        self._single: set[bytes] = set()
        self._raw: dict[str, bytes] = {}
        self._exif: bytes | None = None
        self._xmp: bytes | None = None
        self._icc: bytes | None = None
        self._icc_chunk = b""
        self._dpi: tuple[float, float] | None = None
        self._colour: dict[bytes, bytes] = {}

    def read(self) -> tuple[Metadata, tuple[str, ...]]:
        for kind, content in self._file.others:
            self._take(kind, content)
        profile = self._profile()
        carried = Metadata(
            profile,
            self._exif or self._raw.get("exif"),
            self._xmp or self._raw.get("xmp"),
            self._dpi,
            self._raw.get("8bim") or self._raw.get("iptc"),
            png=(*self._colour.items(), *self._kept),
        )
        return carried, tuple(dict.fromkeys(self._notes))

    def _take(self, kind: bytes, content: bytes) -> None:
        if kind in TEXTS:
            self._take_text(kind, content)
        elif len(content) != png_colour.SIZES.get(kind, len(content)):
            self._say_damaged(kind)
        elif kind in png_colour.SIZES:
            self._colour.setdefault(kind, content)
        elif kind == b"iCCP" and not self._icc_chunk:
            self._icc_chunk = content
        elif kind == b"eXIf":
            self._exif = self._exif or content.removeprefix(_EXIF_PREFIX) or None
        elif kind == b"pHYs":
            self._take_resolution(content)
        elif kind == b"bKGD":
            self._keep_once(kind, self._background(content))
        elif kind == b"sBIT":
            self._keep_once(kind, self._significant(content))
        elif kind == b"tIME":
            self._keep_once(kind, content if len(content) == 7 else None)
        elif kind == b"caBX":
            self._notes.append(CREDENTIALS)
        elif kind[3:4].islower():  # "safe to copy" even if pixels change (section 5.4)
            self._kept.append((kind, content))
        elif kind not in _OF_OLD_PIXELS:
            name = kind.decode("ascii")
            self._notes.append(f"the chunk {name} describes the old pixels and is dropped")

    def _keep_once(self, kind: bytes, content: bytes | None) -> None:
        if content is None:
            self._say_damaged(kind)
        elif kind not in self._single:
            self._single.add(kind)
            self._kept.append((kind, content))

    def _say_damaged(self, kind: bytes) -> None:
        self._notes.append(f"the chunk {kind.decode('ascii')} is damaged and is dropped")

    def _take_text(self, kind: bytes, content: bytes) -> None:
        keyword = keyword_of(content)
        name = raw_profiles.name_of(keyword)
        if keyword == _XMP_KEYWORD or name:
            self._unpacked += 1
            if self._unpacked > _MOST_UNPACKED:
                self._notes.append(f"of the packed metadata the first {_MOST_UNPACKED} are used")
                return
        if keyword == _XMP_KEYWORD:
            packet = _text_of(kind, content)
            if packet is None:
                self._notes.append("the XMP data is damaged or too large and is dropped")
            self._xmp = self._xmp or packet or None
            return
        profile = _raw_profile(name, _text_of(kind, content) if name else None)
        if profile is None:
            self._kept.append((kind, content))
            return
        name, data = profile
        if self._raw.setdefault(name, data) != data:
            self._notes.append(f"of several raw profiles of type {name} the first is used")

    def _profile(self) -> bytes | None:
        """The profile to use; `_colour` keeps the chunks that a PNG result gets."""
        colour = self._colour
        code = colour.get(b"cICP")
        embedded = self._embedded_profile()
        if embedded is not None and not (code is not None and png_colour.is_understood(code)):
            for kind in (b"sRGB", b"gAMA", b"cHRM"):
                colour.pop(kind, None)
            if code is not None:  # then a result gets both
                colour[b"iCCP"] = self._icc_chunk or _icc_chunk(embedded)
            return embedded
        try:
            profile = png_colour.profile_of(colour, grey=self._colour_type in _GREY_TYPES)
        except ValueError as error:
            self._notes.append(f"the colour description is invalid and is dropped: {error}")
            colour.clear()
            return embedded
        if embedded is not None:
            colour[b"iCCP"] = self._icc_chunk or _icc_chunk(embedded)
            return embedded if png_colour.hdr_curve(colour) else profile
        return profile

    def _embedded_profile(self) -> bytes | None:
        if self._icc_chunk:
            start = self._icc_chunk.find(b"\0") + 2
            profile = _inflated(self._icc_chunk[start:]) if start > 1 else None
            if profile:
                return profile
            self._notes.append("the colour profile is damaged or too large and is dropped")
            self._icc_chunk = b""
        return self._raw.get("icc")

    def _take_resolution(self, content: bytes) -> None:
        if len(content) != 9:
            self._say_damaged(b"pHYs")
            return
        horizontal, vertical, unit = struct.unpack(">IIB", content)
        if unit == 1 and horizontal and vertical:
            self._dpi = (horizontal * _METRE, vertical * _METRE)
        elif unit == 0:  # the shape of a pixel
            self._keep_once(b"pHYs", content)

    def _background(self, content: bytes) -> bytes | None:
        """As 16-bit RGB."""
        top = 2**self._depth - 1
        if self._colour_type == _PALETTE_TYPE:
            at = 3 * content[0] if len(content) == 1 else len(self._file.palette)
            colour = self._file.palette[at : at + 3]
            doubled = np.repeat(np.frombuffer(colour, np.uint8), 2)
            return bytes(doubled) if len(colour) == 3 else None
        count = 1 if self._colour_type in _GREY_TYPES else 3
        if len(content) != 2 * count:
            return None
        values = [min(value, top) * 65535 // top for value in struct.unpack(f">{count}H", content)]
        return struct.pack(">3H", *(values * 3)[:3])

    def _significant(self, content: bytes) -> bytes | None:
        """As bits of red, green, blue and alpha."""
        counts = {0: 1, 2: 3, _PALETTE_TYPE: 3, 4: 2, 6: 4}
        depth = 8 if self._colour_type == _PALETTE_TYPE else self._depth
        if len(content) != counts.get(self._colour_type):
            return None
        if not all(0 < bits <= depth for bits in content):
            return None
        if len(content) < 3:
            return content[:1] * 3 + (content[1:] or bytes([depth]))
        return content if len(content) == 4 else content + bytes([depth])


def _significant_for(bits: bytes, depth: int, colour_type: int) -> bytes:
    top = 8 if colour_type == _PALETTE_TYPE else depth
    *colours, alpha = (min(each, top) for each in bits)
    if colour_type in _GREY_TYPES:
        colours = [max(colours)]
    return bytes([*colours, alpha] if colour_type in (4, 6) else colours)


def _background_for(colour: bytes, depth: int, colour_type: int, palette: bytes) -> bytes:
    """The palette entry nearest to a colour, for a result with a palette."""
    values = struct.unpack(">3H", colour)
    if colour_type == _PALETTE_TYPE:
        entries = np.frombuffer(palette, np.uint8).reshape(-1, 3) * 257.0
        return bytes([int(((entries - values) ** 2).sum(axis=1).argmin())])
    top = 2**depth - 1
    scaled = [(value * top + 32767) // 65535 for value in values]
    grey = colour_type in _GREY_TYPES
    return struct.pack(">H", scaled[1]) if grey else struct.pack(">3H", *scaled)


def _raw_profile(name: str, text: bytes | None) -> tuple[str, bytes] | None:
    """The kind of a raw profile ("exif", "xmp", "icc", "iptc" or "8bim") and its bytes."""
    content = raw_profiles.decoded(text) if text is not None else None
    if not content:
        return None
    kind, held = name, None
    if name == "xmp" or (name == "app1" and content.startswith(_XMP_PREFIX)):
        kind, held = "xmp", content.removeprefix(_XMP_PREFIX)
    elif name in ("exif", "app1"):
        block = content.removeprefix(_EXIF_PREFIX)
        kind, held = "exif", block if block[:4] in (b"II*\0", b"MM\0*") else None
    elif name in ("icc", "icm"):
        kind, held = "icc", content if icc.colour_space(content) else None
    elif name in ("iptc", "8bim"):
        held = photoshop.of_profile(content)
    return (kind, held) if held else None


def _text_of(kind: bytes, content: bytes) -> bytes | None:
    """A text chunk's text; None where it is damaged, or decompresses to too much."""
    _, separator, rest = content.partition(b"\0")
    if not separator:
        return None
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        return _inflated(rest[1:])
    parts = rest[2:].split(b"\0", 2)  # language, translated keyword, text
    if len(rest) < 2 or len(parts) < 3:
        return None
    return _inflated(parts[2]) if rest[0] else parts[2]


def _inflated(content: bytes) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        out = unpacker.decompress(content, _MOST_PROFILE_BYTES)
    except zlib.error:
        return None
    return out if unpacker.eof else None


def _icc_chunk(profile: bytes) -> bytes:
    return b"ICC profile\0\0" + zlib.compress(profile)


def _comment_chunk(comment: bytes) -> Chunk:
    """As tEXt, whose text is Latin-1, or as iTXt where the bytes are UTF-8 beyond ASCII."""
    text = comment.replace(b"\0", b"")
    try:
        wide = not text.isascii() and bool(text.decode("utf-8"))
    except UnicodeDecodeError:
        wide = False
    return (b"iTXt", b"Comment\0\0\0\0\0" + text) if wide else (b"tEXt", b"Comment\0" + text)
