"""Options that several commands have, with what a shell completes for them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.shell_completion import CompletionItem

from realesrgan_vk.cli.help import Option
from realesrgan_vk.cli.messages import os_words
from realesrgan_vk.errors import RealesrganError
from realesrgan_vk.options import DEFAULT_MAX_PIXELS, PRECISIONS

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

NETWORK, DEVICE = "Network", "Device"


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


class Tile(click.ParamType):  # type: ignore[type-arg]  # takes none before click 8.4
    """The text "auto" or "whole", or a whole number, whose range is checked with the network."""

    name = "auto|whole|N"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 - click's
        """The text, or the number."""
        if value in ("auto", "whole"):
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is not 'auto', 'whole' or a whole number", param, ctx)


class Factor(click.ParamType):  # type: ignore[type-arg]  # takes none before click 8.4
    """A number, whose range is checked with the other sizes."""

    name = "FACTOR"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """The number."""
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number; give one such as 2 or 1.5", param, ctx)


def _complete_model(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from realesrgan_vk.models.registry import list_models  # noqa: PLC0415 - for completion only

    names = [model for model in list_models() if model.name.startswith(incomplete)]
    items = [CompletionItem(model.name, help=model.made_for) for model in names]
    return items or [CompletionItem(incomplete, type="file")]


def _complete_device(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from realesrgan_vk.devices import list_devices  # noqa: PLC0415 - for completion only

    known = {"auto": "a GPU, else the CPU", "cpu": "the processor"}
    known |= {str(device.index): device.name for device in list_devices()}
    return [
        CompletionItem(name, help=text) for name, text in known.items()
        if name.startswith(incomplete)
    ]  # fmt: skip


def model_option(default: str) -> Decorator:
    """`--model`."""
    return option("-m", "-n", "--model", default=default, show_default=True, metavar="NAME",
                  group=NETWORK, shell_complete=_complete_model,
                  help="A name that 'realesrgan-vk models' lists, a .param file or its "
                  "folder.")  # fmt: skip


def device_option(**attributes: Any) -> Decorator:  # noqa: ANN401 - click's
    """`--device`."""
    return option("-d", "--device", metavar="DEVICE", group=DEVICE,
                  shell_complete=_complete_device, **attributes)  # fmt: skip


tile_option = option(
    "--tile", type=Tile(), default="auto", group=NETWORK, metavar="auto|whole|N",
    help="Side of tiles in pixels, at least 32. whole: no tiles. auto (default): tiles only "
    "for networks that need them.",
)  # fmt: skip
tta_option = option(
    "--tta", is_flag=True, group=NETWORK,
    help="Average the results of eight orientations: 8 times the work.",
)  # fmt: skip
denoise_option = option(
    "--denoise", type=click.FloatRange(0, 1), metavar="0..1", group=NETWORK,
    help="For realesr-general-x4v3: 0 keeps noise, 1 removes it, values between blend.",
)  # fmt: skip
precision_option = option(
    "--precision", type=click.Choice(PRECISIONS), default="auto", group=DEVICE,
    help="auto (default): fp16 on a GPU that has it, else fp32.",
)  # fmt: skip
threads_option = option(
    "--threads", type=click.IntRange(1), metavar="N", group=DEVICE,
    help="CPU threads a picture. Default: one a core.",
)  # fmt: skip
memory_option = option(
    "--memory-limit", metavar="SIZE", group=DEVICE,
    help="Memory of a run, such as 500MB or 2G. Default: a share of what is free.",
)  # fmt: skip


def max_pixels_option(group: str) -> Decorator:
    """`--max-pixels`."""
    return option(
        "--max-pixels", type=click.IntRange(0), metavar="N", default=DEFAULT_MAX_PIXELS,
        group=group, help=f"Refuse larger pictures. Default: {DEFAULT_MAX_PIXELS}; 0: no limit.",
    )  # fmt: skip


@contextmanager
def usage_errors() -> Iterator[None]:
    """What is wrong with the arguments, as click's error, which ends the program with 2."""
    try:
        yield
    except (ValueError, TypeError, RealesrganError) as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:  # a folder that cannot be read, a name that is too long
        raise click.UsageError(os_words(error)) from error
