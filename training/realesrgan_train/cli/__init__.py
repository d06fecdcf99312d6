"""The command line: `realesrgan-train`."""

from __future__ import annotations

import typer

from realesrgan_train.cli.doctor import doctor
from realesrgan_train.cli.interpolate import interpolate
from realesrgan_train.cli.preview import preview
from realesrgan_train.cli.runs import run
from realesrgan_train.cli.show import presets, schema
from realesrgan_train.cli.weights import validate

app = typer.Typer(
    name="realesrgan-train",
    help="Train Real-ESRGAN networks with the published recipe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (run, preview, doctor, validate, interpolate, presets, schema):
    app.command()(command)


def main() -> None:
    """Run the command line.

    Exit codes: 0 done; 2 wrong argument or configuration; 3 pictures missing or unreadable;
    4 checkpoint damaged or of another network; 5 stopped by a guard; 10 `doctor` found only
    warnings; 130 interrupted; 143 ended by SIGTERM before the training began.
    """
    app()
