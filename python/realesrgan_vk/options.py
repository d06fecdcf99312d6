"""What a caller can ask for: how a network is run, what is made of a picture, how it is written."""

import math
import operator
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    Literal,
    SupportsFloat,
    SupportsIndex,
    TypedDict,
    Union,
    get_args,
)

from realesrgan_vk.checks import (
    MAX_INPUT_SIDE,
    flag,
    instance_of,
    is_whole,
    one_of,
    parse_bytes,
    real_number,
    shown,
    whole_number,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

Progress = Callable[[float], object]
"""Called with the completed fraction, 0..1, never decreasing. What it raises stops the run."""

FileSource = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, IO[bytes]]
"""A picture file: its path, its bytes, or an object open for binary reading."""

Light = Literal["gamma", "linear"]
Filter = Literal["lanczos", "box", "triangle", "catmullrom", "mitchell", "cubicbspline", "nearest"]

LIGHTS: tuple[Light, ...] = get_args(Light)
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
"""Chroma subsampling of a JPEG file."""

FILTERS: tuple[Filter, ...] = get_args(Filter)

DEFAULT_MAX_PIXELS = 1 << 26
"""Largest file by default: 256 MiB as RGBA, below 1 GiB with a decoder's copies."""

GOLDEN_RATIO = 0x9E3779B97F4A7C15  # its fraction, in units of 2 to the power of -64
MOST_SHARDS = 1_000_000

AlphaMethod = Literal["network", "lanczos"]
Precision = Literal["auto", "fp32", "fp16"]
Tile = Literal["auto", "whole"]

DEFAULT_FACE_MODEL = "gfpgan-1.4"

FaceChoice = Literal["all", "largest"]

ALPHA_METHODS: tuple[AlphaMethod, ...] = get_args(AlphaMethod)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
FACE_CHOICES: tuple[FaceChoice, ...] = get_args(FaceChoice)

SMALLEST_TILE = 32
"""Smallest side of a tile in input pixels, as the core has it."""

# More threads than any machine has cores; the core starts no more than there are cores.
_MAX_THREADS = 1 << 10
_MAX_RUNS = 1 << 20
_MAX_SIDE = 1 << 24  # of a result in pixels; a larger one is a mistake in the arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscalerOptions:
    """How a network is run: the keyword arguments of `Upscaler`, which describes them.

    Numbers of other types, such as NumPy's, are kept as Python's own, text of a memory limit as
    bytes. Equal options mean equal runs; they can be hashed and pickled.

    Raises:
        TypeError: A value of the wrong type.
        ValueError: A value out of range.
    """

    device: str | int = "auto"
    precision: Precision = "auto"
    tile: int | Tile = "auto"
    tta: bool = False
    denoise: float | None = None
    threads: int | None = None
    memory_limit: int | None = None
    runs_at_once: int = 1

    def __post_init__(self) -> None:
        values: dict[str, object] = {
            "device": _device(self.device),
            "precision": one_of("precision", self.precision, PRECISIONS),
            "tile": _tile(self.tile),
            "tta": flag("tta", self.tta),
        }
        if self.denoise is not None:
            span = "from 0 (keep noise) to 1 (remove it)"
            values["denoise"] = real_number("denoise", self.denoise, span, lambda x: 0 <= x <= 1)
        if self.threads is not None:
            threads = whole_number("threads", self.threads, 1, others=", or None")
            values["threads"] = min(threads, _MAX_THREADS)
        values["runs_at_once"] = whole_number("runs_at_once", self.runs_at_once, 1, _MAX_RUNS)
        if self.memory_limit is not None:
            values["memory_limit"] = parse_bytes("memory_limit", self.memory_limit)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def deciding(self) -> dict[str, object]:
        """Those that decide about a result's values, not only about its time and memory."""
        return {
            "denoise": self.denoise,
            "precision": self.precision,
            "tile": self.tile,
            "tta": self.tta,
        }


@dataclass(frozen=True, slots=True)
class TargetSize:
    """An output size: a factor, sides, or the long edge; nothing means the network's own scale.

    With one side or the long edge given, the other follows from the picture's aspect. With both
    sides given the picture is stretched to them.

    Attributes:
        scale: Output pixels per input pixel along a side.
        width: In pixels.
        height: In pixels.
        long_edge: The longer side in pixels.

    Raises:
        TypeError: A value is not a number.
        ValueError: A value is out of range, or they contradict each other.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None
    long_edge: int | None = None

    def __post_init__(self) -> None:
        # Numbers of other types, such as NumPy's, are kept as Python's own.
        if self.scale is not None:
            span = "above 0 and at most 256"
            scale = real_number("scale", self.scale, span, lambda x: 0 < x <= 256)
            object.__setattr__(self, "scale", scale)
        for name in ("width", "height", "long_edge"):
            side = getattr(self, name)
            if side is not None:
                number = whole_number(name, side, 1, _MAX_SIDE, kind="a whole number of pixels")
                object.__setattr__(self, name, number)
        sides = self.width if self.height is None else self.height
        if sum(each is not None for each in (self.scale, sides, self.long_edge)) > 1:
            raise ValueError("give only one of: scale; width and/or height; long_edge")

    def of(self, width: int, height: int, network_scale: int) -> tuple[int, int]:
        """Width and height asked for a picture of this width and height, at least 1 x 1."""
        if self.width is not None and self.height is not None:
            return self.width, self.height
        if self.width is not None:
            return self.width, _rounded(self.width * height / width)
        if self.height is not None:
            return _rounded(self.height * width / height), self.height
        if (edge := self.long_edge) is not None:
            longest = max(width, height)
            return _rounded(edge * width / longest), _rounded(edge * height / longest)
        scale = network_scale if self.scale is None else self.scale
        return _rounded(width * scale), _rounded(height * scale)


@dataclass(frozen=True, slots=True)
class Request:
    """How a picture is upscaled: its size, and the methods used.

    Attributes:
        size: The size asked for.
        alpha: What upscales an alpha channel.
        light: Whether the final resampling averages encoded values or linear light.
        kernel: The filter of the final resampling.
        faces: Which faces are restored, and how; None: none.
        strength: How much of the network's result is in the picture, 0..1; the rest is the source,
            enlarged by the filter of the final resampling.

    Raises:
        TypeError: A strength that is no number.
        ValueError: A value that is not one of the possible ones.
    """

    size: TargetSize = field(default_factory=TargetSize)
    alpha: AlphaMethod = "network"
    light: Light = "gamma"
    kernel: Filter = "lanczos"
    faces: "FaceOptions | None" = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        share = real_number("strength", self.strength, "from 0 to 1", lambda x: 0 <= x <= 1)
        object.__setattr__(self, "strength", share)
        one_of("alpha", self.alpha, ALPHA_METHODS)
        one_of("light", self.light, LIGHTS)
        one_of("kernel", self.kernel, FILTERS)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Options of the formats that have them.

    Attributes:
        quality: Of JPEG, lossy WebP, AVIF and HEIC, 1..100.
        subsampling: Of JPEG's colour, one of `SUBSAMPLINGS`.
        lossless: WebP without loss; None: as the source was, when that was WebP.
        compression: PNG's effort, 0..9.
        strip: Drop all metadata and the colour profile (the colours become sRGB).

    Raises:
        TypeError: A number that is not whole.
        ValueError: A value out of range.
    """

    quality: int = 95
    subsampling: str = "4:4:4"
    lossless: bool | None = None
    compression: int = 6
    strip: bool = False

    def __post_init__(self) -> None:
        whole_number("quality", self.quality, 1, 100)
        one_of("subsampling", self.subsampling, SUBSAMPLINGS)
        whole_number("compression", self.compression, 0, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceOptions:
    """Which faces of a picture are wanted, and how they are restored.

    Attributes:
        strength: How much of the restored face is in the result, 0..1.
        model: The network that restores them: a name, or the path of a `.param` file.
        min_size: Least height or width, whichever is larger, in pixels of the picture.
        max_faces: How many at most, the largest first; None: all.
        only: "all", or "largest" for the largest one.
        threshold: The least score, 0..1; a higher one finds fewer faces and mistakes less for one.

    Raises:
        TypeError: A number of the wrong type.
        ValueError: A value out of range.
    """

    strength: float = 0.8
    model: str = DEFAULT_FACE_MODEL
    min_size: int = 16
    max_faces: int | None = None
    only: FaceChoice = "all"
    threshold: float = 0.8

    def __post_init__(self) -> None:
        # Numbers of other types, such as NumPy's, are kept as Python's own.
        set_ = object.__setattr__
        set_(self, "min_size", whole_number("min_size", self.min_size, 1, _MAX_SIDE))
        if self.max_faces is not None:
            most = whole_number("max_faces", self.max_faces, 1, others=", or None")
            set_(self, "max_faces", most)
        one_of("only", self.only, FACE_CHOICES)
        instance_of("model", self.model, str)
        share = real_number("strength", self.strength, "from 0 to 1", lambda x: 0 <= x <= 1)
        set_(self, "strength", share)
        score = real_number("threshold", self.threshold, "from 0 to 1", lambda x: 0 <= x <= 1)
        set_(self, "threshold", score)


def face_options(faces: object) -> FaceOptions | None:
    """What `faces=` asks for: True is the default options; None: faces are left as they are.

    Raises:
        TypeError: Neither a boolean nor `FaceOptions`.
    """
    if isinstance(faces, FaceOptions):
        return faces
    return FaceOptions() if flag("faces", faces) else None


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several machines' shares of the same pictures.

    A picture's share follows from its name and the number of shares alone, so that machines need
    not know of each other, and a picture that is added moves no other one. The last number in a
    name moves it by the golden ratio (an additive recurrence, of low discrepancy: Knuth, The Art
    of Computer Programming, 6.4), from a place that the hash of the rest gives: shares of numbered
    pictures differ by a few. Of n pictures without numbers in N shares, the sizes of shares have
    a standard deviation of sqrt((N - 1) / n) of their mean.

    Attributes:
        number: Which share, from 0.
        count: How many there are.

    Raises:
        TypeError: A number of the wrong type.
        ValueError: A number out of range.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        whole_number("the number of shards", self.count, 1, MOST_SHARDS)
        whole_number("the shard", self.number, 0, self.count - 1)

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Of a text such as 0/4.

        Raises:
            ValueError: It is none.
        """
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and len(text) < 20):
            raise ValueError(f"{text!r} is no shard; give I/N with I from 0, such as 0/4")
        return cls(int(number), int(count))

    def takes(self, name: str) -> bool:
        """Whether a picture of this name, below the folder it is in, belongs to this share."""
        import re  # noqa: PLC0415 - of runs with shards only
        from hashlib import sha256  # noqa: PLC0415

        before, digits, after = name, "0", ""
        if numbered := re.fullmatch(r"(.*?)([0-9]+)([^0-9/]*(?:\.[^./]*)?)", name, re.DOTALL):
            before, digits, after = numbered.groups()
        rest = sha256(f"{before}\0{after}".encode("utf-8", "surrogateescape")).digest()
        position = (int.from_bytes(rest[:8], "big") + int(digits) * GOLDEN_RATIO) % 2**64
        return position * self.count >> 64 == self.number


class FrameArguments(TypedDict, total=False):
    """The keywords of `Upscaler.upscale_frames`, but for `as_array`."""

    scale: SupportsFloat | None
    width: SupportsIndex | None
    height: SupportsIndex | None
    long_edge: SupportsIndex | None
    alpha: AlphaMethod
    light: Light
    strength: SupportsFloat
    max_pixels: SupportsIndex | None


class UpscaleArguments(FrameArguments, total=False):
    """The keywords of `Upscaler.upscale`, which describes them, but for `as_array`."""

    progress: Progress | None
    faces: bool | FaceOptions
    mask: "NDArray[Any] | Image.Image | FileSource | None"


class CallArguments(UpscaleArguments, total=False):
    """The keywords of `realesrgan_vk.upscale`: those of `Upscaler`, then of its method."""

    model: str | os.PathLike[str]
    device: str | SupportsIndex
    precision: Precision
    tile: SupportsIndex | Tile
    tta: bool
    denoise: SupportsFloat | None
    threads: SupportsIndex | None
    memory_limit: SupportsIndex | str | None
    runs_at_once: SupportsIndex


def _device(value: object) -> str | int:
    if isinstance(value, str):
        return str(value)
    if is_whole(value):
        return operator.index(value)
    raise TypeError(f"device must be a name or an index, not {type(value).__name__} {shown(value)}")


def _tile(value: object) -> int | Tile:
    if isinstance(value, str) and value in ("auto", "whole"):
        return "auto" if value == "auto" else "whole"
    others = ", or 'auto', or 'whole'"
    return whole_number("tile", value, SMALLEST_TILE, MAX_INPUT_SIDE, others=others)


def _rounded(side: float) -> int:
    return max(1, math.floor(side + 0.5))
