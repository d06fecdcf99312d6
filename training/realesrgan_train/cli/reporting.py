"""How commands talk: results to stdout, one clear message and an exit code on errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import typer

from realesrgan_train.errors import TrainError
from realesrgan_train.wording import printable

INTERRUPTED = 130

ActTypeOption = Annotated[
    Literal["relu", "leakyrelu", "prelu"] | None,
    typer.Option(help="Activation of a compact network, where the file does not state it."),
]


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn errors on purpose and Ctrl-C into a message and an exit code."""
    rank = os.environ.get("RANK")
    prefix = f"[process {rank}] " if rank not in (None, "0") else ""
    try:
        yield
    except TrainError as error:
        lines = [printable(line) for line in str(error).split("\n")]
        typer.echo("\n".join([f"{prefix}error: {lines[0]}", *lines[1:]]), err=True)
        raise typer.Exit(error.exit_code) from error
    except OSError as error:  # such as a full disk
        typer.echo(f"{prefix}error: {printable(str(error))}", err=True)
        raise typer.Exit(TrainError.exit_code) from error
    except KeyboardInterrupt as error:
        typer.echo(f"{prefix}interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from error
