"""The `realesrgan-vk` command."""

import json
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

import click

from realesrgan_vk._core import __version__
from realesrgan_vk.cli.devices import devices
from realesrgan_vk.cli.faces import faces
from realesrgan_vk.cli.help import Group
from realesrgan_vk.cli.interruption import EXIT_SOME_FAILED, exit_code
from realesrgan_vk.cli.messages import discard_output, error_words, say, say_notices, tell
from realesrgan_vk.cli.models import models
from realesrgan_vk.cli.page import page
from realesrgan_vk.cli.plan import plan
from realesrgan_vk.cli.profile import profile
from realesrgan_vk.cli.tune import tune
from realesrgan_vk.cli.upscale import upscale
from realesrgan_vk.cli.video import video
from realesrgan_vk.errors import RealesrganError, printable

EXIT_USAGE = 2


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Help on a command: realesrgan-vk upscale --help",
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
)
@click.version_option(__version__, prog_name="realesrgan-vk")
@click.pass_context
def app(context: click.Context) -> None:
    """Upscale pictures and videos with Real-ESRGAN, on any GPU with Vulkan or on the CPU."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        raise SystemExit(EXIT_USAGE)


for command in (upscale, video, faces, page, plan, models, devices, tune, profile):
    app.add_command(command)


def main() -> None:
    """Run the command; never shows a traceback for what a user can do."""
    warnings.simplefilter("ignore")  # a library's remarks on odd files are no use here
    say_notices()
    try:
        app.main(standalone_mode=False, prog_name="realesrgan-vk")
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.UsageError as error:
        message = _with_hint(error)
        _end_with(message, click.UsageError(printable(message), error.ctx).show)
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        say("interrupted")
        sys.exit(exit_code(error.__cause__ or error))
    except BrokenPipeError:  # whoever read the list has gone
        discard_output()
        sys.exit(EXIT_SOME_FAILED)
    except OSError as error:  # a folder cannot be written, or stdout, which has no name
        if error.filename is None:
            discard_output()
            say(f"error: {error}")
            sys.exit(EXIT_USAGE)
        _end_with(str(error))
    except (RealesrganError, MemoryError) as error:
        _end_with(error_words(error))


def _end_with(message: str, show: Callable[[], None] | None = None) -> NoReturn:
    """End the program with an error: by `show`, or as an event for a program that reads --json."""
    if "--json" in sys.argv:
        tell(json.dumps({"event": "error", "error": message, "exit_code": EXIT_USAGE}))
    elif show is not None:
        show()
    else:
        say(f"error: {message}")
    sys.exit(EXIT_USAGE)


def _with_hint(error: click.UsageError) -> str:
    message = error.format_message()
    if isinstance(error, click.NoSuchOption) and error.option_name in ("-i", "--input"):
        return f"{message} Pictures are given without an option: realesrgan-vk upscale IN -o OUT"
    return message


if __name__ == "__main__":
    main()
