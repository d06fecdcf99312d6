"""What a caller can ask to be made of a picture."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Literal, SupportsFloat, SupportsIndex, TypedDict, Union, get_args

from realesrgan_vk.checks import one_of
from realesrgan_vk.sizes import TargetSize

Progress = Callable[[float], object]
"""Told the finished share, 0..1, never decreasing. What it raises stops the run."""

FileSource = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, IO[bytes]]
"""A picture file: its path, its bytes, or an object open for binary reading."""

Light = Literal["gamma", "linear"]
Filter = Literal["lanczos", "box", "triangle", "catmullrom", "mitchell", "cubicbspline", "nearest"]

LIGHTS: tuple[Light, ...] = get_args(Light)
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
"""Of a JPEG file's colour."""

FILTERS: tuple[Filter, ...] = get_args(Filter)

DEFAULT_MAX_PIXELS = 1 << 26
"""Of a file: RGBA in 256 MiB; with a decoder's copies below 1 GiB."""

AlphaMethod = Literal["network", "lanczos"]
Precision = Literal["auto", "fp32", "fp16"]

ALPHA_METHODS: tuple[AlphaMethod, ...] = get_args(AlphaMethod)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True, slots=True)
class Request:
    """What to make of a picture.

    Attributes:
        size: The size asked for.
        alpha: What upscales an alpha channel.
        light: Whether the final resampling averages encoded values or linear light.
        kernel: The filter of the final resampling.

    Raises:
        ValueError: A value that is not one of the possible ones.
    """

    size: TargetSize = field(default_factory=TargetSize)
    alpha: AlphaMethod = "network"
    light: Light = "gamma"
    kernel: Filter = "lanczos"

    def __post_init__(self) -> None:
        one_of("alpha", self.alpha, ALPHA_METHODS)
        one_of("light", self.light, LIGHTS)
        one_of("kernel", self.kernel, FILTERS)


class UpscaleOptions(TypedDict, total=False):
    """The keywords of `Upscaler.upscale`, which describes them, but for `as_array`."""

    scale: SupportsFloat | None
    width: SupportsIndex | None
    height: SupportsIndex | None
    long_edge: SupportsIndex | None
    alpha: AlphaMethod
    light: Light
    max_pixels: SupportsIndex | None
    progress: Progress | None


class CallOptions(UpscaleOptions, total=False):
    """The keywords of `realesrgan_vk.upscale`: those of `Upscaler`, then of its method."""

    model: str | os.PathLike[str]
    device: str | SupportsIndex
    precision: Precision
    tile: SupportsIndex | Literal["auto", "whole"]
    tta: bool
    denoise: SupportsFloat | None
    threads: SupportsIndex | None
    memory_limit: SupportsIndex | str | None
    runs_at_once: SupportsIndex
