"""What the commands share: options, the handling of signals, and errors as messages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from realesrgan_train.errors import ConfigError, TrainError
from realesrgan_train.signals import raise_interrupted, restore
from realesrgan_train.wording import os_error_text, printable

INTERRUPTED = 130

act_type_option = click.option(
    "--act-type",
    type=click.Choice(["relu", "leakyrelu", "prelu"]),
    help="Activation of a compact network, where the file does not state it.",
)


class Group(click.Group):
    """Commands in the order of their addition, described by the whole first line of their help."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command."""
        cmd.short_help = cmd.short_help or (cmd.help or "").partition("\n")[0]
        super().add_command(cmd, name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)


def check_output_file(out: Path) -> None:
    """Refuse a value of `--out` that cannot be a file, before the work is done.

    Raises:
        ConfigError: It is a folder, or its own folder does not exist.
    """
    if out.is_dir():
        raise ConfigError(f"--out {out}: this is a folder; name a file in it")
    if not out.parent.is_dir():
        what = "is a file" if out.parent.exists() else "does not exist"
        raise ConfigError(f"--out {out}: the folder {out.parent} {what}")


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn errors a user can cause, and Ctrl-C, into a message on stderr and an exit code."""
    rank = os.environ.get("RANK")
    prefix = f"[process {rank}] " if rank not in (None, "0") else ""
    try:
        yield
    except TrainError as error:
        lines = [printable(line) for line in str(error).split("\n")]
        click.echo("\n".join([f"{prefix}error: {lines[0]}", *lines[1:]]), err=True)
        raise click.exceptions.Exit(error.exit_code) from error
    except OSError as error:  # such as a full disk
        click.echo(f"{prefix}error: {os_error_text(error)}", err=True)
        raise click.exceptions.Exit(TrainError.exit_code) from error
    except KeyboardInterrupt as error:
        click.echo(f"{prefix}interrupted", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from error


def handle_signals() -> None:
    """Let a signal end a command with its clean-up; called when its imports are done."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        restore()  # torchrun ends processes that wait, inside PyTorch, for one that failed
    else:
        raise_interrupted()
