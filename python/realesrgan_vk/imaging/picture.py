"""A decoded picture: its pixels as arrays, and what is needed to write it as it was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

Pixels = NDArray[Any]
"""uint8 (0..255), uint16 (0..65535) or float32 (0..1) samples."""

Mode = Literal["bilevel", "grey", "palette", "colour", "cmyk"]


@dataclass(frozen=True, slots=True)
class TiffTags:
    """Tags that only a TIFF file holds, such as GeoTIFF's.

    Attributes:
        values: By tag, the type of a value (TIFF 6.0, section 2), and numbers or bytes.
        size: Width and height of the picture they are of, in pixels.
    """

    values: Mapping[int, tuple[int, tuple[float, ...] | bytes]]
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Metadata:
    """Metadata of a picture, as the bytes that each standard defines.

    Attributes:
        icc: ICC profile of the file's values.
        exif: EXIF block from its TIFF header on, without the `Exif` prefix of JPEG.
        xmp: XMP packet.
        dpi: Horizontal and vertical resolution in pixels per inch.
        photoshop: Photoshop's image resources ("8BIM"), which hold IPTC data.
        comments: Of a JPEG or GIF file, in an unknown encoding.
        more_xmp: What a JPEG file keeps in an extended XMP packet.
        png: Further chunks of a PNG file (kind, content) that a PNG file gets again: texts, how
            its values are to be read (they then stand for `icc`), and others. bKGD is stored as
            RGB of 16 bits, sBIT as four numbers.
        tiff: Tags that only a TIFF file holds.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    photoshop: bytes | None = None
    comments: tuple[bytes, ...] = ()
    more_xmp: bytes | None = None
    png: tuple[tuple[bytes, bytes], ...] = ()
    tiff: TiffTags | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A still picture, or one frame of an animation.

    Attributes:
        pixels: Height x width x 1 (grey) or 3 (RGB).
        alpha: Height x width, of the same type; None: opaque.
        duration: Milliseconds it is shown; 0 for a still picture.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    duration: float = 0.0

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class Picture:
    """Frames and how their file stored them.

    Attributes:
        frames: At least one, all of one size.
        mode: How the file stores a pixel. The frames themselves are always grey or RGB.
        bits: Bits a sample (of an index, for a palette) has in the file: 1, 2, 4, 8, 16 or 32.
        metadata: Everything else that the file holds.
        plays: How often an animation runs; 0: without end.
        value_range: What 0 and 1 of float pixels stand for in the file.
        notes: What could not be kept when reading, in words.
        lossless: Whether a WebP file stored it without loss.
    """

    frames: tuple[Frame, ...]
    mode: Mode
    bits: int
    metadata: Metadata = field(default_factory=Metadata)
    plays: int = 1
    value_range: tuple[float, float] = (0.0, 1.0)
    notes: tuple[str, ...] = ()
    lossless: bool = False

    @property
    def width(self) -> int:
        """In pixels."""
        return self.frames[0].width

    @property
    def height(self) -> int:
        """In pixels."""
        return self.frames[0].height

    @property
    def has_alpha(self) -> bool:
        """Whether any frame has an alpha channel."""
        return any(frame.alpha is not None for frame in self.frames)
