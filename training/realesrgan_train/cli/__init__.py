"""The command line: `realesrgan-train`. What needs PyTorch is imported by the commands."""

from __future__ import annotations

import click

from realesrgan_train import __version__
from realesrgan_train.cli.runs import doctor, prepare, presets, preview, report, run, schema
from realesrgan_train.cli.shared import Group, reported_errors
from realesrgan_train.cli.weights import interpolate, validate


class _Commands(Group):
    """The commands, whose errors become messages."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        with reported_errors():
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"show_default": True}, no_args_is_help=True)
@click.version_option(__version__, prog_name="realesrgan-train")
def app() -> None:
    """Train Real-ESRGAN networks with the published recipe."""


for command in (run, preview, prepare, doctor, report, validate, interpolate, presets, schema):
    app.add_command(command)


def main() -> None:
    """Run the command line.

    Exit codes: 0 done; 1 a file cannot be written; 2 wrong argument or configuration; 3 pictures
    missing or unreadable; 4 checkpoint damaged or of another network; 5 stopped by a guard; 10
    `doctor` found only warnings; 130 interrupted; 143 ended by SIGTERM before the training began.
    """
    app()
