"""The flags of `realesrgan-ncnn-vulkan`, and those that `upscayl-bin` adds."""

import getopt
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

from realesrgan_vk.checks import MAX_INPUT_SIDE
from realesrgan_vk.options import (
    DEFAULT_MAX_PIXELS,
    SMALLEST_TILE,
    Filter,
    Request,
    TargetSize,
)

_FORMATS = ("jpg", "png", "webp")
DEFAULT_FOLDER = "models"
_FILTERS: dict[str, Filter] = {
    "default": "lanczos",
    "lanczos": "lanczos",
    "box": "box",
    "triangle": "triangle",
    "cubicbspline": "cubicbspline",
    "catmullrom": "catmullrom",
    "mitchell": "mitchell",
    "pointsample": "nearest",
}
_HELP_COLUMN = 23

Value = TypeVar("Value")


class BadArgument(Exception):  # noqa: N818 - never leaves the executable
    """A wrong command line; without words when the usage is the best answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says; one value a device in `tiles`, and in `threads`' second part."""

    input: str = ""
    output: str = ""
    scale: int | None = None
    tiles: tuple[int, ...] = (0,)
    model_folder: str = DEFAULT_FOLDER
    model_name: str
    devices: tuple[str | int, ...] = ("auto",)
    threads: tuple[int, tuple[int, ...], int] = (1, (2,), 2)  # decode, upscale, encode
    tta: bool = False
    format: str = "png"
    verbose: bool = False
    help: bool = False
    model_scale: int | None = None  # only checked: the model's own is used
    request: Request | None = None
    compression: int | None = None
    recursive: bool = False
    skip_existing: bool = False
    strip: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS


class _Flag(NamedTuple):
    """A flag: its value's name, or none, its help, the option that it sets, how it is read."""

    name: str
    value: str
    words: str
    option: str
    read: Callable[[str], object] = str


def usage(program: str) -> str:
    """The help text."""
    lines = [f"Usage: {program} -i infile -o outfile [options]...", ""]
    for flag in _flags(upscayl=program.startswith("upscayl")):
        if flag.words:
            lines.append(f"  {flag.name} {flag.value}".ljust(_HELP_COLUMN) + flag.words)
    return "\n".join(lines)


def parse(arguments: list[str], *, upscayl: bool) -> Options:
    """Read a command line.

    Args:
        arguments: Without the program's name.
        upscayl: Behave as `upscayl-bin`: its default model, and any whole scale.

    Raises:
        BadArgument: An unknown flag, or a value that it cannot have.
    """
    flags = {flag.name: flag for flag in _flags(upscayl=upscayl)}
    short = [name[1] + ":" * bool(flags[name].value) for name in flags if len(name) == 2]
    long = [name[2:] + "=" * bool(flags[name].value) for name in flags if len(name) > 2]
    try:
        given, rest = getopt.gnu_getopt(arguments, "".join(short), long)
    except getopt.GetoptError as error:
        raise BadArgument(f"invalid argument: {error}") from error
    values: dict[str, Any] = {} if upscayl else {"scale": 4}
    values["model_name"] = _default_model(upscayl=upscayl)
    for name, text in given:
        flag = flags[name]
        values[flag.option] = flag.read(text) if flag.value else True
    options = Options(**values)
    if options.help:
        return options
    if not options.input or not options.output:
        raise BadArgument
    if rest:
        raise BadArgument(f"invalid argument {rest[0]!r} (a path with spaces needs quotes)")
    devices = len(options.devices)
    tiles = _for_each("tilesize", options.tiles, devices)
    load, work, save = options.threads
    threads = (load, _for_each("thread count", work, devices), save)
    return replace(options, tiles=tiles, threads=threads)


def _for_each(name: str, values: tuple[int, ...], devices: int) -> tuple[int, ...]:
    if len(values) not in (1, devices):
        raise BadArgument(f"invalid {name} argument: as many values as gpus are needed")
    return values * devices if len(values) == 1 else values


def _default_model(*, upscayl: bool) -> str:
    return "realesrgan-x4plus" if upscayl else "realesr-animevideov3"


def _flags(*, upscayl: bool) -> list[_Flag]:
    """All flags; those without words are not in the help."""
    scale = "the model's" if upscayl else "4"
    names = (
        f"model name (default={_default_model(upscayl=upscayl)}, can be realesr-animevideov3 |\n"
        f"{'':{_HELP_COLUMN}}realesrgan-x4plus | realesrgan-x4plus-anime | realesrnet-x4plus)"
    )
    return [
        _Flag("-h", "", "show this help", "help"),
        _Flag("--help", "", "", "help"),
        _Flag("-i", "input-path", "input image path, or folder", "input"),
        _Flag("-o", "output-path", "output image path, or folder", "output"),
        _Flag("-s", "scale", f"upscale ratio (can be 2, 3, 4. default={scale})", "scale",
              _whole("scale", 1, 16) if upscayl else _whole("scale", 2, 4)),
        _Flag("-t", "tile-size", "tile size (>=32/0=auto, default=0) can be 0,0,0 for multi-gpu",
              "tiles", _several(_tile)),
        _Flag("-m", "model-path", "folder path to the models. default=models", "model_folder",
              lambda folder: folder or DEFAULT_FOLDER),
        _Flag("-n", "model-name", names, "model_name"),
        _Flag("-g", "gpu-id", "gpu device to use (-1=cpu, default=auto) can be 0,1,2 for multi-gpu",
              "devices", _several(_device)),
        _Flag("-j", "load:proc:save",
              "thread count for load/proc/save (default=1:2:2) can be 1:2,2,2:2",
              "threads", _threads),
        _Flag("-x", "", "enable tta mode", "tta"),
        _Flag("-f", "format", "output image format (jpg/png/webp, default=ext/png)", "format",
              _format),
        _Flag("-v", "", "verbose output", "verbose"),
        _Flag("-z", "model-scale", "scale of the model (it is read from the model)", "model_scale",
              _whole("model scale", 1, 16)),
        _Flag("-r", "WxH[:filter]", "output size", "request",
              partial(_size, name="resize", sides=2)),
        _Flag("-w", "width[:filter]", "output width", "request",
              partial(_size, name="width", sides=1)),
        _Flag("-c", "compression", "0..100, default 0", "compression",
              _whole("compression", 0, 100)),
        _Flag("--recursive", "", "read subfolders of the input folder", "recursive"),
        _Flag("--skip-existing", "", "leave out pictures whose result is already there",
              "skip_existing"),
        _Flag("--strip", "", "drop EXIF, XMP, DPI and colour profile", "strip"),
        _Flag("--max-pixels", "N", "refuse larger pictures (0: no limit)", "max_pixels",
              _whole("max-pixels", 0, 2**62)),
    ]  # fmt: skip


def _whole(name: str, low: int, high: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise BadArgument(f"invalid {name} argument {value!r}: from {low} to {high}")
        return number

    return read


def _several(read: Callable[[str], Value]) -> Callable[[str], tuple[Value, ...]]:
    """Values with commas between them."""
    return lambda value: tuple(map(read, value.split(",")))


def _tile(value: str) -> int:
    tile = _whole("tilesize", 0, 2**30)(value)
    if 0 < tile < SMALLEST_TILE:
        raise BadArgument(f"invalid tilesize argument {value!r}: 0, or at least {SMALLEST_TILE}")
    return min(tile, MAX_INPUT_SIDE)  # no picture is larger


def _device(value: str) -> str | int:
    return "auto" if value == "auto" else _whole("gpu device", -1, 1000)(value)


def _format(value: str) -> str:
    if value.lower() not in _FORMATS:
        raise BadArgument(f"invalid format argument {value!r}: {', '.join(_FORMATS)}")
    return value.lower()


def _threads(value: str) -> tuple[int, tuple[int, ...], int]:
    parts = value.split(":")
    if len(parts) != 3:
        raise BadArgument(f"invalid thread count argument {value!r}: load:proc:save")
    count = _whole("thread count", 1, 256)
    return count(parts[0]), _several(count)(parts[1]), count(parts[2])


def _size(value: str, *, name: str, sides: int) -> Request:
    """A width, or width and height with an x between them, and perhaps a filter after a colon."""
    size, _, kernel = value.partition(":")
    if kernel and kernel not in _FILTERS:
        raise BadArgument(f"invalid filter {kernel!r}: {', '.join(_FILTERS)}")
    texts = size.lower().split("x") if sides == 2 else [size]
    if len(texts) != sides:
        raise BadArgument(f"invalid {name} argument {value!r}: WxH, such as 1920x1080")
    target = TargetSize(None, *map(_whole(name, 1, 2**24), texts))
    return Request(target, kernel=_FILTERS[kernel or "default"])
