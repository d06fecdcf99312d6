"""`realesrgan-export`: PyTorch to ncnn, ncnn to PyTorch, and blends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from realesrgan_export.errors import ExportError
from realesrgan_export.parity_report import print_rows
from realesrgan_train.signals import exit_code, raise_interrupted
from realesrgan_train.wording import printable

ActType = Literal["relu", "leakyrelu", "prelu"]


COMMANDS = ("checkpoint", "from-ncnn", "interpolate")

app = typer.Typer(no_args_is_help=True, add_completion=False)


def _version(wanted: bool) -> None:
    if wanted:
        from realesrgan_export import __version__  # noqa: PLC0415 - loads torch

        typer.echo(f"realesrgan-export {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Convert Real-ESRGAN networks from PyTorch to ncnn and back, and compare the results.

    `realesrgan-export CHECKPOINT -o FOLDER` is short for `realesrgan-export checkpoint ...`.
    """


@app.command()
def checkpoint(  # noqa: PLR0917 - one argument an option
    checkpoint: Annotated[Path, typer.Argument(help="A .pth or .safetensors file.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder to write to; made when missing.")
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the network; default: the file's.")
    ] = None,
    fp16: Annotated[
        bool, typer.Option("--fp16/--fp32", help="Store weights in 16 or 32 bits.")
    ] = True,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write NAME.onnx, too.")] = False,
    act_type: Annotated[
        ActType | None,
        typer.Option(help="Activation of a compact network, where the file does not state it."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="SPDX identifier for the manifest.")] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Vulkan device to verify on besides the CPU; default: the first GPU."),
    ] = None,
    weak_denoise: Annotated[
        str | None,
        typer.Option(help="Name of the network trained to denoise weakly, for denoise=."),
    ] = None,
) -> None:
    """Convert a checkpoint to ncnn; written only if ncnn and realesrgan-vk agree with PyTorch."""
    from realesrgan_export.export import ExportOptions, export_checkpoint  # noqa: PLC0415 - torch

    raise_interrupted()

    options = ExportOptions(name, fp16, onnx, act_type, licence, weak_denoise, device)
    written = export_checkpoint(checkpoint, output, options, print_rows)
    for path in filter(None, (written.param, written.bin, written.onnx, written.manifest)):
        typer.echo(f"wrote {path}")
    typer.echo(f"to install it: realesrgan-vk models add {output}")


@app.command("from-ncnn")
def from_ncnn(
    network: Annotated[
        str,
        typer.Argument(
            help="NAME.param with NAME.bin beside it, or the name of an installed network."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; default: NAME.safetensors."),
    ] = None,
) -> None:
    """Recover the PyTorch weights of an RRDBNet or SRVGGNetCompact from its ncnn files.

    Example: realesrgan-export from-ncnn realesrgan-x4plus
    """
    from realesrgan_export.recover import (  # noqa: PLC0415 - loads torch
        default_output,
        recover_network,
    )

    raise_interrupted()

    output = output or default_output(network)
    recover_network(network, output, print_rows)
    typer.echo(f"wrote {output}")


@app.command()
def interpolate(
    first: Annotated[Path, typer.Argument(help="A checkpoint.")],
    second: Annotated[Path, typer.Argument(help="Another one of the same architecture and size.")],
    alpha: Annotated[float, typer.Option(help="Share of the second, 0..1.")],
    output: Annotated[Path, typer.Option("-o", "--output", help=".safetensors file to write.")],
    act_type: Annotated[
        ActType | None,
        typer.Option(help="Activation of compact networks, where the files do not state it."),
    ] = None,
) -> None:
    """Blend two networks: (1 - alpha) FIRST + alpha SECOND."""
    from realesrgan_export.blend import blend_checkpoints  # noqa: PLC0415 - loads torch

    raise_interrupted()

    blend_checkpoints(first, second, alpha, output, act_type)
    typer.echo(f"wrote {output}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Exit codes: 0 done; 1 the network cannot be handled; 2 wrong usage; 130 and 143 for SIGINT and
    SIGTERM, which leave nothing behind.

    Args:
        arguments: without the program's name; those of the process by default.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] not in (*COMMANDS, "--help", "--version"):
        words = ["checkpoint", *words]
    try:
        app(words)
    except (ExportError, OSError) as error:
        code = exit_code()
        if code is None:
            Console(stderr=True, soft_wrap=True).print(
                f"realesrgan-export: {printable(str(error))}", markup=False, highlight=False
            )
        sys.exit(code or 1)
    except BaseException:
        code = exit_code()  # whatever an interrupted import or library makes of a signal
        if code is None:
            raise
        sys.exit(code)
