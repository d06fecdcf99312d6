"""Options that several commands have, and how a command gets some of them as one object."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from realesrgan_vk.checks import picture_size
from realesrgan_vk.cli.help import MESSAGES, Option
from realesrgan_vk.cli.messages import error_words
from realesrgan_vk.errors import RealesrganError
from realesrgan_vk.options import (
    ALPHA_METHODS,
    DEFAULT_FACE_MODEL,
    DEFAULT_MAX_PIXELS,
    FACE_CHOICES,
    LIGHTS,
    PRECISIONS,
    SMALLEST_TILE,
    FaceChoice,
    FaceOptions,
    Shard,
)
from realesrgan_vk.upscaler import DEFAULT_MODEL

Decorator = Callable[[Callable[..., None]], Callable[..., None]]
Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

NETWORK, DEVICE, INPUT, SIZE, FACES = "Network", "Device", "Input", "Size", "Faces"


def option(*names: str, **attributes: Any) -> Decorator:  # noqa: ANN401 - click's
    """A `click.option` with a `group`."""
    return click.option(*names, cls=Option, **attributes)


def options(*decorators: Decorator) -> Decorator:
    """Several options, which the help shows in this order."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def grouped(**makers: Callable[..., object]) -> Decorator:
    """Pass some of a command's options as one object; what it refuses is a usage error.

    Args:
        makers: Makes the argument of this name from those whose names its parameters have; they
            are called in their order.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_objects(**given: Any) -> None:  # noqa: ANN401 - click's
            with usage_errors():
                for name, make in makers.items():
                    taken = given.keys() & signature(make).parameters.keys()
                    given[name] = make(**{parameter: given.pop(parameter) for parameter in taken})
            command(**given)

        return with_objects

    return decorate


@contextmanager
def usage_errors() -> Iterator[None]:
    """What is wrong with the arguments, as click's error, which ends the program with 2."""
    try:
        yield
    # An error of the system: a folder that cannot be read, a name that is too long.
    except (ValueError, TypeError, RealesrganError, OSError) as error:
        raise click.UsageError(error_words(error)) from error


def require(check: Callable[[], object]) -> None:
    """Call what raises `ImportError` where an extra is missing, as something that can be mended.

    Raises:
        ValueError: In the words of the `ImportError`, which name the command that installs it.
    """
    try:
        check()
    except ImportError as error:
        raise ValueError(str(error)) from error


class PathName(click.Path):
    """A path; not the empty text of a shell's unset variable, which means the current folder."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """The path, as the type that was asked for."""
        if not os.fspath(value):
            self.fail("the name is empty; the current folder is '.'", param, ctx)
        return super().convert(value, param, ctx)


def size_of(given: str) -> tuple[int, int] | None:
    """Width and height of a text such as 1920x1080; None for one that is no size but a file.

    Raises:
        ValueError: A side out of range.
    """
    width, cross, height = given.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()) or Path(given).exists():
        return None
    # Checked here, before a network is loaded; int() takes 4,300 digits at most.
    return picture_size((int(width[:20]), int(height[:20])), "the size")


class Parsed(click.ParamType):  # type: ignore[type-arg]  # takes none before click 8.4
    """What a function makes of a text; the words of its `ValueError` are shown."""

    def __init__(self, parse: Callable[[str], object]) -> None:
        self.name = parse.__name__.strip("_")
        self._parse = parse

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """The function's result."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def completing(known: Callable[[], Iterable[tuple[str, str]]]) -> Completion:
    """A `shell_complete` that offers names, each with its help."""

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [
            CompletionItem(name, help=text)
            for name, text in known()
            if name.lower().startswith(incomplete.lower())
        ]  # fmt: skip

    return complete


def _models() -> list[tuple[str, str]]:
    from realesrgan_vk.models.registry import list_models  # noqa: PLC0415 - for completion only

    return [(model.name, model.made_for) for model in list_models()]


def _devices() -> list[tuple[str, str]]:
    from realesrgan_vk.devices import list_devices  # noqa: PLC0415 - for completion only

    known = [(str(device.index), device.name) for device in list_devices()]
    return [("auto", "a GPU, else the CPU"), ("cpu", "the processor"), *known]


def complete_model(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of networks, or files where none begins like this."""
    found = completing(_models)(ctx, param, incomplete)
    return found or [CompletionItem(incomplete, type="file")]


def _tile(text: str) -> str | int:
    """The text "auto" or "whole", or a whole number, whose range is checked with the network."""
    if text in ("auto", "whole"):
        return text
    with suppress(ValueError):
        return int(text)
    raise ValueError(f"{text!r} is not 'auto', 'whole' or a whole number")


def network_options(default: str | None = DEFAULT_MODEL) -> Decorator:
    """The network, by default this one, and how it is run; None: the default is the command's."""
    return options(
        option("-m", "-n", "--model", default=default, show_default=default is not None,
               metavar="NAME", group=NETWORK, shell_complete=complete_model,
               help="A name that 'realesrgan-vk models' lists, a .param file or its folder."),
        option("--denoise", type=click.FloatRange(0, 1), metavar="0..1", group=NETWORK,
               help="For realesr-general-x4v3: 0 keeps noise, 1 removes it, values between blend."),
        option("--tta", is_flag=True, group=NETWORK,
               help="Average the results of eight orientations: 8 times the work."),
        option("--tile", type=Parsed(_tile), default="auto", group=NETWORK,
               metavar="auto|whole|N",
               help=f"Side of tiles in pixels, at least {SMALLEST_TILE}. whole: no tiles. auto "
               "(default): tiles only for networks that need them."),
    )  # fmt: skip


def factor(text: str) -> float:
    """A number, whose range is checked with the other sizes."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number; give one such as 2 or 1.5") from None


size_options = options(
    option("-s", "--scale", type=Parsed(factor), metavar="FACTOR", group=SIZE,
           help="Output pixels per input pixel, such as 2 or 1.5. Default: the network's."),
    option("--width", type=int, metavar="PIXELS", group=SIZE,
           help="Output width; the height follows."),
    option("--height", type=int, metavar="PIXELS", group=SIZE,
           help="Output height; the width follows."),
    option("--long-edge", type=int, metavar="PIXELS", group=SIZE,
           help="Longer side of the output."),
    option("--light", type=click.Choice(LIGHTS), default="gamma", group=SIZE,
           help="Final resampling in gamma-encoded (default) or linear light."),
)  # fmt: skip


def device_option(*name: str, **attributes: Any) -> Decorator:  # noqa: ANN401 - click's
    """`--device`, passed by another name if one is given."""
    return option("-d", "--device", *name, metavar="DEVICE", group=DEVICE,
                  shell_complete=completing(_devices), **attributes)  # fmt: skip


face_options = options(
    option("--faces", "with_faces", is_flag=True, group=FACES,
           help="Restore faces: draw them anew with the network of --face-model. What it draws is "
           "invented."),
    option("--face-strength", type=click.FloatRange(0, 1), metavar="0..1", group=FACES,
           help="How much of the restored face is in the result. Default: 0.8."),
    option("--face-min-size", type=click.IntRange(1), metavar="PIXELS", group=FACES,
           help="Leave faces alone whose longer side is less. Default: 16."),
    option("--max-faces", type=click.IntRange(1), metavar="N", group=FACES,
           help="At most so many, the largest. Default: all."),
    option("--face-only", type=click.Choice(FACE_CHOICES), group=FACES,
           help="all (default), or the largest one."),
    option("--face-model", metavar="NAME", group=FACES,
           help=f"A network for faces, or its .param file. Default: {DEFAULT_FACE_MODEL}."),
)  # fmt: skip


def wanted_faces(  # noqa: PLR0917 - one argument an option
    with_faces: bool,
    face_strength: float | None,
    face_min_size: int | None,
    max_faces: int | None,
    face_only: FaceChoice | None,
    face_model: str | None,
) -> FaceOptions | None:
    """What `face_options` ask for; None: faces are left as they are.

    Raises:
        ValueError: An option for faces without `--faces`.
    """
    options = {
        "--face-strength": ("strength", face_strength),
        "--face-min-size": ("min_size", face_min_size),
        "--max-faces": ("max_faces", max_faces),
        "--face-only": ("only", face_only),
        "--face-model": ("model", face_model),
    }
    given = {option: kept for option, kept in options.items() if kept[1] is not None}
    if with_faces:
        values: dict[str, Any] = dict(given.values())
        return FaceOptions(**values)
    if given:
        raise ValueError(f"{next(iter(given))} is for --faces, which is not given")
    return None


strength_option = option(
    "--strength", type=click.FloatRange(0, 1), default=1.0, metavar="0..1", group=NETWORK,
    help="How much of the network's result is in the picture; the rest is the source, enlarged by "
    "Lanczos. Default: 1.",
)  # fmt: skip
mask_option = option(
    "--mask", type=PathName(), metavar="PICTURE", group=NETWORK,
    help="Where the network's result is used: a grey picture of the source's or the result's size, "
    "white for the network's result, black for the source enlarged by Lanczos. For several "
    "pictures: a folder with a mask of each picture's name.",
)  # fmt: skip
alpha_option = option(
    "--alpha", type=click.Choice(ALPHA_METHODS), default="network", group=NETWORK,
    help="What upscales transparency. Default: network.",
)  # fmt: skip
precision_option = option(
    "--precision", type=click.Choice(PRECISIONS), default="auto", group=DEVICE,
    help="auto (default): fp16 on a GPU that has it, else fp32.",
)  # fmt: skip
run_options = options(
    precision_option,
    option("--threads", type=click.IntRange(1), metavar="N", group=DEVICE,
           help="CPU threads a picture. Default: one a core."),
    option("--memory-limit", metavar="SIZE", group=DEVICE,
           help="Memory of a run, such as 500MB or 2G. Default: a share of what is free."),
)  # fmt: skip
band_rows_option = option(
    "--band-rows", type=click.IntRange(1), metavar="N", group=DEVICE,
    help="Picture rows that a row band has. Default: what fits best.",
)  # fmt: skip
max_pixels_option = option(
    "--max-pixels", type=click.IntRange(0), metavar="N", default=DEFAULT_MAX_PIXELS, group=INPUT,
    callback=lambda ctx, param, value: value or None,
    help=f"Refuse larger pictures. Default: {DEFAULT_MAX_PIXELS}; 0: no limit.",
)  # fmt: skip


def shard_option(what: str) -> Decorator:
    """`--shard`, of a command that makes many results."""
    return option(
        "--shard", type=Parsed(Shard.parse), metavar="I/N", group=INPUT,
        help=f"Take the I-th (from 0) of N shares of {what}: for N machines that see the same "
        "folders.")  # fmt: skip


def report_options() -> Decorator:
    """`--quiet` and `--json`, of a command that works for long."""
    return options(
        option("--quiet", is_flag=True, group=MESSAGES, help="Print failures only."),
        json_option("events on stdout, one JSON object a line"),
    )


def json_option(printed: str) -> Decorator:
    """`--json`, which prints this."""
    return option("--json", "as_json", is_flag=True, group=MESSAGES, help=f"Print {printed}.")


def ray_options(what: str) -> Decorator:
    """`--ray` and `--ray-workers`, of a command whose inputs are these."""

    def address(text: str) -> str:
        """A Ray cluster's address as `ray.init` takes it, or nothing."""
        import re  # noqa: PLC0415 - of runs with --ray only

        known = text in ("", "auto", "local")
        if not known and not re.fullmatch("(ray://)?[^/]+:[0-9]+", text):
            raise ValueError(
                f"{text!r} is no address such as host:6379, auto or local; without one, --ray "
                f"stands after the {what}"
            )
        return text

    return options(
        option("--ray", is_flag=False, flag_value="", type=Parsed(address), metavar="[ADDRESS]",
               group=DEVICE,
               help="Work on a Ray cluster: of this address, else one that is found, else one that "
               "is started here. An option without an address stands after the " + what + "."),
        option("--ray-workers", type=click.IntRange(1), metavar="N", group=DEVICE,
               help="At most so many of its GPUs or, without GPUs, cores. Default: all."),
    )  # fmt: skip
