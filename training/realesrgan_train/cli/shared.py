"""What the commands share: options, the handling of signals, and errors as messages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from realesrgan_train.errors import TrainError
from realesrgan_train.signals import raise_interrupted, restore
from realesrgan_train.wording import printable

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
        click.echo(f"{prefix}error: {printable(str(error))}", err=True)
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
