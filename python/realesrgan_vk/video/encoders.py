"""FFmpeg's encoders: their options, the pixel format they get, and how a result is tagged."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

import av
from av.video.reformatter import ColorRange

from realesrgan_vk._core import YuvFormat, usable_cores
from realesrgan_vk.video.frames import (
    TAGS,
    Matrix,
    PixelFormat,
    Plane,
    Siting,
    pixel_format,
    planes_of,
    yuv_format,
)

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

    from realesrgan_vk.video.options import VideoOptions
    from realesrgan_vk.video.reader import VideoInfo

_UNSPECIFIED = 2
_LARGEST_ASPECT = 255  # of a numerator or denominator, as MPEG-4's codecs store it
_MOST_THREADS = 16  # more lose quality
_MASTERING = struct.Struct("=20i2i")  # AVMasteringDisplayMetadata: 10 rationals, 2 flags
_LIGHT = struct.Struct("=2I")  # AVContentLightMetadata
_CHROMATICITY, _LUMINANCE = 50000, 10000  # units a step of the encoders' texts
_CHROMA_POSITIONS: dict[Siting, int] = {"left": 0, "center": 1, "top_left": 2}


@dataclass(frozen=True, slots=True)
class Encoder:
    """One encoder, and what this package asks of it by default.

    Attributes:
        name: FFmpeg's.
        quality: The option that `crf` sets; None: it has none.
        crf: Its default here.
        preset: The option that `preset` sets; None: it has none.
        speed: The preset's default here.
        lossless: Options for no loss; None: it cannot.
        fixed: Options that it always gets.
        parameters: The option that takes a list of the library's own.
        static_metadata: Its parameters of HDR10's mastering display and light level.
        even: Whether sides must be multiples of the subsampling.
        most_crf: The largest useful value of `quality`.
        presets: Useful values of `preset`, the fastest first.
    """

    name: str
    quality: str | None = None
    crf: str | None = None
    preset: str | None = None
    speed: str | None = None
    lossless: dict[str, str] | None = None
    fixed: dict[str, str] = field(default_factory=dict)
    parameters: str | None = None
    static_metadata: tuple[str, str] | None = None
    even: bool = False
    most_crf: int | None = None
    presets: tuple[str, ...] = ()


_SPEEDS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow"),
)
ENCODERS = {
    "x264": Encoder(
        "libx264", "crf", "16", "preset", "medium", {"qp": "0"},
        parameters="x264-params", static_metadata=("mastering-display", "cll"), even=True,
        most_crf=51, presets=_SPEEDS,
    ),
    # Without its text in the stream its bits do not depend on the number of threads.
    "x265": Encoder(
        "libx265", "crf", "18", "preset", "medium", {"x265-params": "lossless=1"},
        {"x265-params": "info=0:log-level=error"}, "x265-params",
        ("master-display", "max-cll"), even=True, most_crf=51, presets=_SPEEDS,
    ),
    "av1": Encoder(
        "libsvtav1", "crf", "22", "preset", "6", {"svtav1-params": "lossless=1"},
        parameters="svtav1-params", static_metadata=("mastering-display", "content-light"),
        most_crf=63, presets=tuple(map(str, range(12, 0, -1))),
    ),
    "vp9": Encoder(
        "libvpx-vp9", "crf", "18", "cpu-used", "2", {"lossless": "1"}, {"b": "0"},
        most_crf=63, presets=tuple(map(str, range(5, -1, -1))),
    ),
    # The number of slices would otherwise follow from the threads.
    "ffv1": Encoder("ffv1", lossless={}, fixed={"level": "3", "slices": "4", "slicecrc": "1"}),
    "prores": Encoder("prores_ks", fixed={"vendor": "apl0"}),
}  # fmt: skip
_UNSUITABLE = frozenset({"rawvideo", "jpeg2000"})  # FFmpeg's Matroska cannot be read again
_QUALITY_OF_OTHERS = (("_nvenc", "cq"), ("_qsv", "global_quality"), ("_amf", "qp_i"))


def encoder_named(name: str) -> Encoder:
    """The encoder of a name that this package or FFmpeg has.

    Raises:
        ValueError: FFmpeg has none of this name.
    """
    if name in ENCODERS:
        return ENCODERS[name]
    for known in ENCODERS.values():
        if known.name == name:
            return known
    try:
        codec = av.codec.Codec(name, "w")
    except ValueError as error:
        raise ValueError(
            f"codec is {name!r}; it must be one of {', '.join(ENCODERS)}, or the name of one of "
            "FFmpeg's encoders in PyAV, such as hevc_nvenc"
        ) from error
    for known in ENCODERS.values():  # of a name such as hevc, for which FFmpeg takes libx265
        if known.name == codec.name:
            return known
    if codec.type != "video":
        raise ValueError(f"codec {name!r} is none of video")
    if name in _UNSUITABLE:
        raise ValueError(f"codec {name!r} cannot be used for segments; take ffv1")
    quality = next((option for part, option in _QUALITY_OF_OTHERS if part in name), "crf")
    return Encoder(codec.name, quality, preset="preset")


@dataclass(frozen=True, slots=True)
class Encoding:
    """Everything that an encoder is told: equal encodings and frames give equal bits.

    Attributes:
        encoder: FFmpeg's name.
        options: Of FFmpeg's encoder.
        pixel_format: FFmpeg's name.
        width: In pixels.
        height: In pixels.
        rate: Frames a second.
        time_base: Seconds of a unit of time stamps.
        threads: Of the encoder.
        matrix: Of the result's colours.
        siting: Of its chroma.
        full_range: Whether its samples use all values.
        primaries: ITU-T H.273, table 2.
        transfer: ITU-T H.273, table 3.
        aspect: Width by height of a pixel.
    """

    encoder: str
    options: dict[str, str]
    pixel_format: str
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    threads: int
    matrix: Matrix
    siting: Siting
    full_range: bool
    primaries: int
    transfer: int
    aspect: Fraction | None

    @property
    def form(self) -> PixelFormat:
        """What the samples are."""
        return pixel_format(self.pixel_format)

    @property
    def yuv_format(self) -> YuvFormat:
        """How the planes stand for colours."""
        return yuv_format(self.form, self.matrix, self.siting, full_range=self.full_range)

    def new_frame(self) -> tuple[av.VideoFrame, tuple[Plane, ...], Plane | None]:
        """An empty frame, and views of its colour planes and its alpha."""
        frame = av.VideoFrame(self.width, self.height, self.pixel_format)
        # ProRes takes its tags from frames.
        frame.colorspace = TAGS[self.matrix]
        frame.color_range = ColorRange.JPEG if self.full_range else ColorRange.MPEG
        frame.color_primaries = self.primaries
        frame.color_trc = self.transfer
        planes, alpha = planes_of(frame, self.form)
        return frame, planes, alpha

    def apply(self, context: VideoCodecContext) -> None:
        """Set up an encoder that is not open yet."""
        context.width, context.height = self.width, self.height
        context.pix_fmt = self.pixel_format
        context.time_base = self.time_base
        context.framerate = self.rate
        context.thread_count = self.threads
        context.colorspace = TAGS[self.matrix]
        context.color_range = ColorRange.JPEG if self.full_range else ColorRange.MPEG
        context.color_primaries = self.primaries
        context.color_trc = self.transfer
        if self.aspect is not None:
            context.sample_aspect_ratio = self.aspect
        options = dict(self.options)
        # What x264 does with AVX-512 for its macroblock tree depends on memory that it has not
        # written: the same frames give other bits now and then.
        if self.encoder == "libx264" and _has_avx512() and "asm=" not in str(options):
            _add(options, {"x264-params": "asm=AVX2"})
        context.options = options


def plan_encoding(
    options: VideoOptions,
    info: VideoInfo,
    size: tuple[int, int],
    aspect: Fraction | None,
    *,
    container: str,
    note: Callable[[str], object],
    threads: int | None = None,
) -> Encoding:
    """What the encoder is told for a video.

    Args:
        options: What was asked for.
        info: The source.
        size: Of the result, in pixels.
        aspect: Width by height of its pixels; None: they are square.
        container: FFmpeg's name of the result's format.
        note: Called with what cannot be kept.
        threads: Of the encoder, unless the options say; None: one a core, up to a number.

    Raises:
        ValueError: An encoder, a pixel format or an option that there is not.
    """
    codec = options.codec
    if codec == "auto":
        codec = "vp9" if container == "webm" else "x264"
    encoder = encoder_named(codec)
    chosen = _pixel_format(options, encoder, info, size, note)
    form = pixel_format(chosen)
    matrix = info.matrix
    full = info.full_range
    if form.rgb:
        matrix, full = "rgb", True
    elif matrix == "rgb":
        matrix, full = "bt709", False
    settings = dict(encoder.fixed)
    if options.lossless:
        if encoder.lossless is None:
            raise ValueError(f"codec {codec} cannot encode without a loss; ffv1 does")
        _add(settings, encoder.lossless)
    elif options.crf is not None or encoder.crf is not None:
        if encoder.quality is None:
            raise ValueError(f"codec {codec} has no crf")
        settings[encoder.quality] = (
            f"{options.crf:g}" if options.crf is not None else str(encoder.crf)
        )
    speed = options.preset or encoder.speed
    if speed is not None:
        if encoder.preset is None:
            raise ValueError(f"codec {codec} has no presets")
        settings[encoder.preset] = speed
    _add(settings, _static_metadata(encoder, info, note))
    if encoder.name == "libx264" and form.subsampling == (2, 2) and info.siting != "left":
        _add(settings, {"x264-params": f"chromaloc={_CHROMA_POSITIONS[info.siting]}"})
    if encoder.name == "libx265" and form.subsampling == (2, 2) and info.siting != "left":
        _add(settings, {"x265-params": f"chromaloc={_CHROMA_POSITIONS[info.siting]}"})
    _add(settings, dict(options.encoder_options))
    return Encoding(
        encoder=encoder.name,
        options=settings,
        pixel_format=chosen,
        width=size[0],
        height=size[1],
        rate=info.rate,
        time_base=info.time_base,
        threads=options.encoder_threads or threads or min(usable_cores(), _MOST_THREADS),
        matrix=matrix,
        siting=info.siting,
        full_range=full,
        primaries=info.colours.primaries,
        transfer=info.colours.transfer,
        aspect=aspect,
    )


def kept_shape(
    info: VideoInfo, size: tuple[int, int], note: Callable[[str], object]
) -> Fraction | None:
    """Width by height of a result's pixels, so that it is shown in the source's shape.

    Args:
        info: The source.
        size: Of the result, in pixels.
        note: Called, in words, where they are not the source's.

    Returns:
        None where pixels are square.
    """
    width, height = size
    own = info.aspect or Fraction(1)
    aspect = own * Fraction(info.width * height, info.height * width)
    if abs(aspect / own - 1) * max(size) < 1:  # a side was rounded to a whole pixel
        return info.aspect
    aspect = aspect.limit_denominator(_LARGEST_ASPECT)
    words = f"{aspect.numerator}:{aspect.denominator}" if aspect != 1 else "square"
    note(
        f"{width}x{height} is another shape than the source's {info.width}x{info.height} pixels; "
        f"the result's pixels are {words}, so that it is shown in the source's shape"
    )
    return aspect if aspect != 1 else None


@cache
def _has_avx512() -> bool:
    """Whether this processor has AVX-512, as NumPy found out."""
    for name in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):
        with suppress(ImportError, AttributeError, KeyError):
            return bool(import_module(name).__cpu_features__["AVX512F"])
    return False


def _add(settings: dict[str, str], more: dict[str, str]) -> None:
    """Add options; lists of a library's own parameters are joined."""
    for name, value in more.items():
        joined = name.endswith("-params") and settings.get(name)
        settings[name] = f"{settings[name]}:{value}" if joined else value


def _pixel_format(
    options: VideoOptions,
    encoder: Encoder,
    info: VideoInfo,
    size: tuple[int, int],
    note: Callable[[str], object],
) -> str:
    formats = av.codec.Codec(encoder.name, "w").video_formats or [av.VideoFormat("yuv420p")]
    known = [
        form
        for form in (pixel_format(each.name) for each in formats)
        if form.is_direct and not form.name.startswith("yuvj")
    ]
    if encoder.name == "libx265" and options.pixel_format == "auto":
        known = [form for form in known if not form.alpha]  # as a layer that few players know
    if encoder.name == "libvpx-vp9":  # FFmpeg lists others with alpha, which the library refuses
        known = [form for form in known if not form.alpha or form.name == "yuva420p"]
    fitting = [form for form in known if not encoder.even or _is_multiple(size, form)]
    if options.pixel_format != "auto":
        for form in known:
            if form.name == options.pixel_format:
                if form not in fitting:
                    raise ValueError(
                        f"{encoder.name} has no frames of {size[0]}x{size[1]} in {form.name}, "
                        "whose chroma needs even sides; take yuv444p, or another size"
                    )
                return form.name
        names = ", ".join(form.name for form in known)
        raise ValueError(
            f"{encoder.name} has no pixel format {options.pixel_format!r}; it has {names}"
        )
    if not fitting:
        raise ValueError(f"{encoder.name} has no pixel format for frames of {size[0]}x{size[1]}")
    best = min(fitting, key=lambda form: _losses(info.form, form))
    wanted = min(known, key=lambda form: _losses(info.form, form))
    if best != wanted and best.subsampling != wanted.subsampling:
        note(
            f"the result's {size[0]}x{size[1]} pixels are odd, and {encoder.name} has such frames "
            f"only with more chroma: {best.name} is written in place of {wanted.name}"
        )
    if info.form.alpha and not best.alpha:
        note(f"transparency is left out: {encoder.name} has none; vp9, ffv1 and prores do")
    if not info.form.grey and any(
        new > old for new, old in zip(best.subsampling, info.form.subsampling, strict=True)
    ):
        note(f"colours get less detail: {encoder.name} writes {best.name} at best")
    if best.bits < info.form.bits:
        note(f"{info.form.bits} bits a sample become {best.bits}: {encoder.name} has no more")
    return best.name


def _losses(source: PixelFormat, form: PixelFormat) -> tuple[float, ...]:
    """What a pixel format loses of the source, worst first, then what it has for nothing."""
    detail = source.subsampling[0] * source.subsampling[1]
    chroma = form.subsampling[0] * form.subsampling[1]
    loses_colour = form.grey and not source.grey
    across = max(0, form.subsampling[0] - source.subsampling[0])
    down = max(0, form.subsampling[1] - source.subsampling[1])
    return (
        source.alpha and not form.alpha,
        loses_colour,
        max(0, source.bits - form.bits),
        0 if source.grey else across + down,
        source.rgb != form.rgb,
        form.alpha and not source.alpha,
        max(0, form.bits - source.bits),
        source.grey != form.grey,
        max(0, detail - chroma),
        len(set(form.subsampling)) > 1 and form.subsampling != source.subsampling,
    )


def _is_multiple(size: tuple[int, int], form: PixelFormat) -> bool:
    return all(side % step == 0 for side, step in zip(size, form.subsampling, strict=True))


def _static_metadata(
    encoder: Encoder, info: VideoInfo, note: Callable[[str], object]
) -> dict[str, str]:
    """HDR10's mastering display and light level, as the encoders' libraries write them."""
    if info.mastering is None and info.light is None:
        return {}
    display = _mastering(info.mastering)
    light = None
    if info.light is not None and len(info.light) >= _LIGHT.size:
        light = _LIGHT.unpack_from(info.light)
    if encoder.static_metadata is not None and encoder.parameters is not None:
        of_display, of_light = encoder.static_metadata
        parts = []
        if display is not None:
            in_steps = encoder.name != "libsvtav1"
            parts.append(f"{of_display}={display.in_steps() if in_steps else display.in_numbers()}")
        if light is not None:
            parts.append(f"{of_light}={light[0]},{light[1]}")
        return {encoder.parameters: ":".join(parts)} if parts else {}
    note(f"HDR10 metadata (mastering display, light level) is left out: {encoder.name} has none")
    return {}


@dataclass(frozen=True, slots=True)
class _Mastering:
    """Chromaticities of green, blue, red and white, and luminances in candelas a square metre."""

    points: tuple[tuple[Fraction, Fraction], ...]
    largest: Fraction
    least: Fraction

    def in_steps(self) -> str:
        """As x265 and x264 read it: in steps of 1/50000 and 1/10000."""
        names = ("G", "B", "R", "WP")
        parts = [
            f"{name}({round(x * _CHROMATICITY)},{round(y * _CHROMATICITY)})"
            for name, (x, y) in zip(names, self.points, strict=True)
        ]
        largest, least = round(self.largest * _LUMINANCE), round(self.least * _LUMINANCE)
        return f"{''.join(parts)}L({largest},{least})"

    def in_numbers(self) -> str:
        """As SVT-AV1 reads it."""
        names = ("G", "B", "R", "WP")
        parts = [
            f"{name}({float(x):.5f},{float(y):.5f})"
            for name, (x, y) in zip(names, self.points, strict=True)
        ]
        return f"{''.join(parts)}L({float(self.largest):.4f},{float(self.least):.4f})"


def _mastering(data: bytes | None) -> _Mastering | None:
    """FFmpeg's AVMasteringDisplayMetadata: red, green, blue, white, least and largest luminance."""
    if data is None or len(data) < _MASTERING.size:
        return None
    values = _MASTERING.unpack_from(data)
    pairs = [(values[i], values[i + 1]) for i in range(0, 20, 2)]
    if any(bottom == 0 for _, bottom in pairs) or not (values[20] and values[21]):
        return None
    numbers = [Fraction(top, bottom) for top, bottom in pairs]
    points = [(numbers[i], numbers[i + 1]) for i in range(0, 8, 2)]
    red, green, blue, white = points
    return _Mastering((green, blue, red, white), largest=numbers[9], least=numbers[8])
