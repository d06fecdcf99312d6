"""The flags of `realesrgan-ncnn-vulkan`, and those that `upscayl-bin` adds."""

import getopt
from dataclasses import dataclass, field

from realesrgan_vk.checks import MAX_INPUT_SIDE
from realesrgan_vk.options import DEFAULT_MAX_PIXELS, Filter, TargetSize

_SHORT = "hi:o:s:t:m:n:g:j:xf:vz:r:w:c:"
_LONG = ["help", "recursive", "skip-existing", "strip", "max-pixels="]
_FORMATS = ("jpg", "png", "webp")
_MIN_TILE = 32
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

_USAGE = """\
Usage: {program} -i infile -o outfile [options]...

  -h                   show this help
  -i input-path        input image path, or folder
  -o output-path       output image path, or folder
  -s scale             upscale ratio (can be 2, 3, 4. default={scale})
  -t tile-size         tile size (>=32/0=auto, default=0) can be 0,0,0 for multi-gpu
  -m model-path        folder path to the models. default=models
  -n model-name        model name (default={model}, can be realesr-animevideov3 |
                       realesrgan-x4plus | realesrgan-x4plus-anime | realesrnet-x4plus)
  -g gpu-id            gpu device to use (-1=cpu, default=auto) can be 0,1,2 for multi-gpu
  -j load:proc:save    thread count for load/proc/save (default=1:2:2) can be 1:2,2,2:2
  -x                   enable tta mode
  -f format            output image format (jpg/png/webp, default=ext/png)
  -v                   verbose output
  -z model-scale       scale of the model (it is read from the model)
  -r WxH[:filter]      output size
  -w width[:filter]    output width
  -c compression       0..100, default 0
  --recursive          read subfolders of the input folder
  --skip-existing      leave out pictures whose result is already there
  --strip              drop EXIF, XMP, DPI and colour profile
  --max-pixels N       refuse larger pictures (0: no limit)"""


class BadArgument(Exception):  # noqa: N818 - never leaves the executable
    """A wrong command line; without words when the usage is the best answer."""


@dataclass(slots=True)
class Options:
    """What the command line says; one value a device in `tiles` and `work_threads`."""

    input: str = ""
    output: str = ""
    scale: float | None = None
    tiles: list[int] = field(default_factory=list)
    model_folder: str | None = None
    model_name: str = "realesr-animevideov3"
    devices: list[str | int] = field(default_factory=lambda: ["auto"])
    load_threads: int = 1
    work_threads: list[int] = field(default_factory=list)
    save_threads: int = 2
    tta: bool = False
    format: str | None = None
    verbose: bool = False
    help: bool = False
    size: TargetSize | None = None
    kernel: Filter = "lanczos"
    compression: int | None = None
    recursive: bool = False
    skip_existing: bool = False
    strip: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS


def usage(program: str) -> str:
    """The help text."""
    upscayl = program.startswith("upscayl")
    model = "realesrgan-x4plus" if upscayl else "realesr-animevideov3"
    return _USAGE.format(program=program, model=model, scale="the model's" if upscayl else "4")


def parse(arguments: list[str], *, upscayl: bool) -> Options:
    """Read a command line.

    Args:
        arguments: Without the program's name.
        upscayl: Behave as `upscayl-bin`: its default model, and any whole scale.

    Raises:
        BadArgument: An unknown flag, or a value that it cannot have.
    """
    try:
        flags, rest = getopt.gnu_getopt(arguments, _SHORT, _LONG)
    except getopt.GetoptError as error:
        raise BadArgument(f"invalid argument: {error}") from error
    options = Options(model_name="realesrgan-x4plus") if upscayl else Options(scale=4)
    for flag, value in flags:
        _set(options, flag, value, upscayl=upscayl)
    if options.help:
        return options
    if not options.input or not options.output:
        raise BadArgument
    if rest:
        raise BadArgument(f"invalid argument {rest[0]!r} (a path with spaces needs quotes)")
    for name, values in (("tilesize", options.tiles), ("thread count", options.work_threads)):
        if len(values) not in (0, 1, len(options.devices)):
            raise BadArgument(f"invalid {name} argument: as many values as gpus are needed")
    options.tiles = _for_each(options.tiles, len(options.devices))
    options.work_threads = _for_each(options.work_threads, len(options.devices))
    return options


def _for_each(values: list[int], devices: int) -> list[int]:
    return values * devices if len(values) == 1 else values


def _set(options: Options, flag: str, value: str, *, upscayl: bool) -> None:
    texts = {"-i": "input", "-o": "output", "-m": "model_folder", "-n": "model_name"}
    switches = {
        "-h": "help",
        "--help": "help",
        "-x": "tta",
        "-v": "verbose",
        "--recursive": "recursive",
        "--skip-existing": "skip_existing",
        "--strip": "strip",
    }
    if flag in texts:
        setattr(options, texts[flag], value)
    elif flag in switches:
        setattr(options, switches[flag], True)
    elif flag == "-s":
        options.scale = _scale(value, upscayl=upscayl)
    elif flag == "-t":
        options.tiles = [_tile(part) for part in value.split(",")]
    elif flag == "-g":
        options.devices = [_device(part) for part in value.split(",")]
    elif flag == "-j":
        _set_threads(options, value)
    elif flag == "-f":
        options.format = _format(value)
    elif flag == "-z":
        _whole(value, "model scale", 1, 16)
    elif flag in ("-r", "-w"):
        _set_size(options, flag, value)
    elif flag == "-c":
        options.compression = _whole(value, "compression", 0, 100)
    elif flag == "--max-pixels":
        options.max_pixels = _whole(value, "max-pixels", 0, 2**62)


def _whole(value: str, name: str, low: int, high: int) -> int:
    try:
        number = int(value)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise BadArgument(f"invalid {name} argument {value!r}: from {low} to {high}")
    return number


def _scale(value: str, *, upscayl: bool) -> int:
    return _whole(value, "scale", 1, 16) if upscayl else _whole(value, "scale", 2, 4)


def _tile(value: str) -> int:
    tile = _whole(value, "tilesize", 0, 2**30)
    if 0 < tile < _MIN_TILE:
        raise BadArgument(f"invalid tilesize argument {value!r}: 0, or at least {_MIN_TILE}")
    return min(tile, MAX_INPUT_SIDE)  # no picture is larger


def _device(value: str) -> str | int:
    return "auto" if value == "auto" else _whole(value, "gpu device", -1, 1000)


def _format(value: str) -> str:
    if value.lower() not in _FORMATS:
        raise BadArgument(f"invalid format argument {value!r}: {', '.join(_FORMATS)}")
    return value.lower()


def _set_threads(options: Options, value: str) -> None:
    parts = value.split(":")
    if len(parts) != 3:
        raise BadArgument(f"invalid thread count argument {value!r}: load:proc:save")
    options.load_threads = _whole(parts[0], "thread count", 1, 256)
    options.work_threads = [_whole(part, "thread count", 1, 256) for part in parts[1].split(",")]
    options.save_threads = _whole(parts[2], "thread count", 1, 256)


def _set_size(options: Options, flag: str, value: str) -> None:
    size, _, kernel = value.partition(":")
    if kernel and kernel not in _FILTERS:
        raise BadArgument(f"invalid filter {kernel!r}: {', '.join(_FILTERS)}")
    options.kernel = _FILTERS[kernel or "default"]
    if flag == "-w":
        options.size = TargetSize(width=_whole(size, "width", 1, 2**24))
        return
    sides = size.lower().split("x")
    if len(sides) != 2:
        raise BadArgument(f"invalid resize argument {value!r}: WxH, such as 1920x1080")
    width, height = (_whole(side, "resize", 1, 2**24) for side in sides)
    options.size = TargetSize(width=width, height=height)
