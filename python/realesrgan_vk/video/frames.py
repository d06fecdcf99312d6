"""Frames of FFmpeg as planes that the engine reads and fills, without a copy."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from realesrgan_vk._core import YuvFormat, yuv_to_rgb
from realesrgan_vk.errors import ImageError

if TYPE_CHECKING:
    from av.video.plane import VideoPlane

Plane = NDArray[Any]
Matrix = Literal["bt601", "bt709", "bt2020", "rgb"]
Siting = Literal["left", "center", "top_left"]

# ITU-T H.273, table 4: the matrices that the engine has. BT.470BG and SMPTE 170M are BT.601.
_BT2020_NCL, _UNSPECIFIED = 9, 2
MATRICES_BY_TAG: dict[int, Matrix] = {0: "rgb", 1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020"}
TAGS: dict[Matrix, int] = {"rgb": 0, "bt709": 1, "bt601": 6, "bt2020": _BT2020_NCL}
_SITINGS: dict[int, Siting] = {1: "left", 2: "center", 3: "top_left"}  # FFmpeg's AVChromaLocation
_HIGH_DEFINITION = 720  # lines from which an untagged picture is taken for BT.709

# Packed colours: where red, green, blue and alpha lie among the samples of a pixel, and how many
# samples it has.
_PACKED: dict[str, tuple[int, int, int, int | None, int]] = {
    "rgb24": (0, 1, 2, None, 3),
    "bgr24": (2, 1, 0, None, 3),
    "rgba": (0, 1, 2, 3, 4),
    "bgra": (2, 1, 0, 3, 4),
    "argb": (1, 2, 3, 0, 4),
    "abgr": (3, 2, 1, 0, 4),
    "rgb0": (0, 1, 2, None, 4),
    "bgr0": (2, 1, 0, None, 4),
    "0rgb": (1, 2, 3, None, 4),
    "0bgr": (3, 2, 1, None, 4),
    "rgb48le": (0, 1, 2, None, 3),
    "bgr48le": (2, 1, 0, None, 3),
    "rgba64le": (0, 1, 2, 3, 4),
    "bgra64le": (2, 1, 0, 3, 4),
}


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """What the samples of one of FFmpeg's pixel formats are.

    Attributes:
        name: FFmpeg's.
        bits: Of a sample; 32 for floats.
        subsampling: Luma columns and rows for each chroma sample.
        rgb: Whether it is RGB.
        grey: Whether it has no colours.
        alpha: Whether it has an alpha channel.
        is_direct: Whether its samples can be read and written where they are.
    """

    name: str
    bits: int
    subsampling: tuple[int, int]
    rgb: bool
    grey: bool
    alpha: bool
    is_direct: bool


def exact(value: Any) -> Fraction | None:  # noqa: ANN401 - differs among releases of PyAV
    """A rate or a unit of time of PyAV as Python's own number; None where it is not set.

    PyAV 19 has a type of its own for them, whose arithmetic rounds, and whose unset values are
    false.
    """
    return Fraction(value.numerator, value.denominator) if value else None


@lru_cache(maxsize=256)
def pixel_format(name: str) -> PixelFormat:
    """Describe a pixel format.

    Raises:
        ValueError: FFmpeg has none of this name.
    """
    known = av.VideoFormat(name, 64, 64)
    components = known.components
    bits = max((part.bits for part in components), default=0)
    colours = [part for part in components if not part.is_alpha]
    grey = len(colours) < 3
    subsampling = (1, 1)
    if not (known.is_rgb or grey):
        subsampling = (64 // known.chroma_width(64), 64 // known.chroma_height(64))
    floats = bits == 32 or "f16" in name
    whole = not (floats or known.is_big_endian or known.has_palette or known.is_bit_stream)
    places = [part.plane for part in colours]
    planar = len(set(places)) == len(places) or places == [0, 1, 1]
    sampled = 8 <= bits <= 16 and all(part.bits == bits for part in components)
    direct = whole and sampled and (name in _PACKED or name in ("ya8", "ya16le") or planar)
    alpha = any(part.is_alpha for part in components) or known.has_palette
    # Of packed RGB some formats that FFmpeg counts as planar have fields of bits.
    if known.is_rgb and name not in _PACKED:
        direct = direct and len(set(places)) == 3
    rgb = known.is_rgb or known.has_palette
    return PixelFormat(name, bits, subsampling, rgb, grey and not rgb, alpha, direct)


def _planar_equal(given: PixelFormat) -> str:
    """The planar pixel format that holds the same samples.

    Raises:
        ImageError: There is none, or they are no colours that the engine knows.
    """
    bits = next((bits for bits in (8, 10, 12, 16) if bits >= given.bits), 16)
    ending = "" if bits == 8 else f"{bits}le"
    if given.grey:
        return f"gray{ending}"
    if given.rgb and not given.name.startswith("bayer"):
        return f"gbrap{ending}" if given.alpha else f"gbrp{ending}"
    kind = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411"}
    if given.subsampling not in kind or given.name.startswith(("bayer", "xyz")):
        raise ImageError(f"frames in the pixel format {given.name} cannot be read")
    return f"yuv{'a' if given.alpha else ''}{kind[given.subsampling]}p{ending}"


@dataclass(frozen=True, slots=True)
class Colours:
    """What a stream says of its colours, in the numbers of ITU-T H.273.

    Attributes:
        matrix: Table 4; 2 is unspecified.
        full_range: Whether samples use all values.
        primaries: Table 2.
        transfer: Table 3.
    """

    matrix: int
    full_range: bool
    primaries: int
    transfer: int

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Colours:
        """What a frame is tagged with."""
        full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        return cls(int(frame.colorspace), full, int(frame.color_primaries), int(frame.color_trc))


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One frame, as planes of samples.

    Attributes:
        planes: Luma and both chroma planes, luma alone, or green, blue and red: H x W arrays of
            uint8 or, for more than 8 bits, uint16, as `Upscaler.upscale_yuv` takes them. They are
            views of FFmpeg's memory.
        yuv_format: How they stand for colours.
        alpha: H x W samples of the same depth (0 is transparent), or None.
        pts: When it is shown, in units of `time_base`.
        duration: In units of `time_base`; 0 is unknown.
        time_base: Seconds of a unit.
    """

    planes: tuple[Plane, ...]
    yuv_format: YuvFormat
    alpha: Plane | None
    pts: int
    duration: int
    time_base: Fraction

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.planes[0].shape[0])

    @property
    def time(self) -> float:
        """When it is shown, in seconds."""
        return float(self.pts * self.time_base)

    def rgb(self) -> NDArray[np.float32]:
        """The colours as H x W x 3 floats, 0 is black and 1 is white."""
        return yuv_to_rgb(list(self.planes), self.yuv_format)

    def equals(self, other: VideoFrame, most: int = 0) -> bool:
        """Whether all samples differ by `most` steps of 8 bits at most, and nothing else does."""
        same = self.yuv_format is other.yuv_format
        if not same and repr(self.yuv_format) != repr(other.yuv_format):
            return False
        if most == 0 and not self._is_same_row(other):
            return False
        mine, others = self._all_planes(), other._all_planes()
        if [plane.shape for plane in mine] != [plane.shape for plane in others]:
            return False
        form = self.yuv_format
        allowed = most << (form.bits + form.low_bits - 8)
        return all(
            _is_close(one, another, allowed) for one, another in zip(mine, others, strict=True)
        )

    def _is_same_row(self, other: VideoFrame) -> bool:
        """Whether one row of luma is equal, in which nearly all frames that differ do."""
        mine, others = self.planes[0], other.planes[0]
        middle = len(mine) // 2
        return len(mine) == len(others) and mine[middle].tobytes() == others[middle].tobytes()

    def checksum(self) -> int:
        """CRC-32 of all samples."""
        value = 0
        for plane in self._all_planes():
            value = crc32(np.ascontiguousarray(plane).data, value)
        return value

    def _all_planes(self) -> list[Plane]:
        return [*self.planes, *([] if self.alpha is None else [self.alpha])]


def _is_close(one: Plane, another: Plane, most: int) -> bool:
    """Compared in blocks of rows: a difference is found soon."""
    rows = 64
    for top in range(0, one.shape[0], rows):
        mine, other = one[top : top + rows], another[top : top + rows]
        if most == 0:
            if (mine != other).any():
                return False
        elif int((np.maximum(mine, other) - np.minimum(mine, other)).max()) > most:
            return False
    return True


def default_matrix(height: int) -> Matrix:
    """The matrix of a frame that is not tagged."""
    return "bt601" if height < _HIGH_DEFINITION else "bt709"


def matrix_of(colours: Colours, form: PixelFormat, height: int) -> Matrix:
    """The matrix of a frame; that of an untagged one follows from its height.

    Raises:
        ImageError: The engine does not have it.
    """
    if form.rgb:
        return "rgb"
    if colours.matrix == _UNSPECIFIED:
        return default_matrix(height)
    found = MATRICES_BY_TAG.get(colours.matrix)
    if found is None or found == "rgb":
        try:
            name = Colorspace(colours.matrix).name
        except ValueError:
            name = str(colours.matrix)
        raise ImageError(
            f"frames have the colour matrix {name}; BT.601, BT.709, BT.2020 (non-constant "
            "luminance) and RGB can be read. If the tag is wrong, name the matrix with --matrix"
        )
    return found


def siting_of(frame: av.VideoFrame, codec: str, matrix: Matrix) -> Siting:
    """Where a frame's chroma samples lie, or, without a tag, by the codec's default.

    JPEG and MPEG-1 have them in the centre, BT.2020 at the top left, all others at the left. PyAV
    tells the tag from 19 on.
    """
    tagged = _SITINGS.get(int(getattr(frame, "chroma_location", 0)))
    if tagged is not None:
        return tagged
    if codec in ("mjpeg", "mpeg1video"):
        return "center"
    return "top_left" if matrix == "bt2020" else "left"


def view_frame(frame: av.VideoFrame) -> tuple[av.VideoFrame, PixelFormat]:
    """The frame, converted without a loss where its samples cannot be read in place."""
    form = pixel_format(frame.format.name)
    if not form.is_direct:
        name = _planar_equal(form)
        # The same range on both sides: samples are moved, or widened, and never scaled.
        frame = frame.reformat(format=name, src_color_range=0, dst_color_range=0)
        form = pixel_format(name)
    return frame, form


def planes_of(frame: av.VideoFrame, form: PixelFormat) -> tuple[tuple[Plane, ...], Plane | None]:
    """Views of a frame's colour planes, in the engine's order, and of its alpha."""
    width, height = frame.width, frame.height
    if form.name in _PACKED:
        red, green, blue, alpha, count = _PACKED[form.name]
        pixels = _samples(frame.planes[0], form, width * count, height)
        parts = [pixels[:, place::count] for place in (green, blue, red)]
        return tuple(parts), None if alpha is None else pixels[:, alpha::count]
    if form.grey and form.alpha:  # ya8 and ya16le
        pixels = _samples(frame.planes[0], form, width * 2, height)
        return (pixels[:, 0::2],), pixels[:, 1::2]
    luma = _samples(frame.planes[0], form, width, height)
    alpha_plane = None
    if form.alpha:
        alpha_plane = _samples(frame.planes[3], form, width, height)
    if form.grey:
        return (luma,), alpha_plane
    across, down = form.subsampling
    chroma_width, chroma_height = -(-width // across), -(-height // down)
    if len(frame.planes) == 2:  # NV12 and its like
        pairs = _samples(frame.planes[1], form, 2 * chroma_width, chroma_height)
        first, second = pairs[:, 0::2], pairs[:, 1::2]
        swapped = form.name in ("nv21", "nv42")
        return (luma, second, first) if swapped else (luma, first, second), None
    chroma = [_samples(frame.planes[index], form, chroma_width, chroma_height) for index in (1, 2)]
    return (luma, *chroma), alpha_plane


@lru_cache(maxsize=256)
def yuv_format(form: PixelFormat, matrix: Matrix, siting: Siting, *, full_range: bool) -> YuvFormat:
    """The engine's description of planes of a pixel format."""
    shifted = form.bits < 16 and form.name.startswith(("p0", "p2", "p4"))
    return YuvFormat(
        matrix="rgb" if form.rgb else matrix,
        full_range=full_range,
        siting=siting,
        bits=form.bits,
        low_bits=16 - form.bits if shifted else 0,
        subsampling=form.subsampling,
    )


def _samples(plane: VideoPlane, form: PixelFormat, width: int, height: int) -> Plane:
    dtype = np.dtype(np.uint8 if form.bits == 8 else "<u2")
    line = plane.line_size
    buffer = memoryview(plane)
    first = 0
    if line < 0:  # stored from the bottom up; the buffer begins at its lowest address
        first = (buffer.nbytes // -line - 1) * -line
    return np.ndarray((height, width), dtype, buffer, first, (line, dtype.itemsize))
