"""The command line: `realesrgan-export`. What needs PyTorch is imported by the commands."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from realesrgan_export import __version__
from realesrgan_export.errors import ExportError
from realesrgan_train.cli.shared import Group, act_type_option
from realesrgan_train.signals import exit_code, raise_interrupted
from realesrgan_train.wording import printable

if TYPE_CHECKING:
    from realesrgan_export.parity import Row

_PATH = click.Path(path_type=Path)


@click.group(cls=Group, context_settings={"show_default": True}, no_args_is_help=True)
@click.version_option(__version__, message="%(prog)s %(version)s", prog_name="realesrgan-export")
def app() -> None:
    """Convert Real-ESRGAN networks from PyTorch to ncnn and back, and compare the results.

    `realesrgan-export CHECKPOINT -o FOLDER` is short for `realesrgan-export checkpoint ...`.
    """


@app.command()
@click.argument("checkpoint", type=_PATH, help="A .pth or .safetensors file.")
@click.option(
    *("-o", "--output"), type=_PATH, required=True, help="Folder to write to; made when missing."
)
@click.option("--name", help="Name of the network; default: the file's.")
@click.option("--fp16/--fp32", default=True, help="Store weights in 16 or 32 bits.")
@click.option("--onnx", is_flag=True, help="Write NAME.onnx, too.")
@act_type_option
@click.option("--licence", help="SPDX identifier for the manifest.")
@click.option(
    "--device", help="Vulkan device to verify on besides the CPU; default: the first GPU."
)
@click.option("--weak-denoise", help="Name of the network trained to denoise weakly, for denoise=.")
def checkpoint(  # noqa: PLR0917 - one argument an option
    checkpoint: Path,
    output: Path,
    name: str | None,
    fp16: bool,
    onnx: bool,
    act_type: str | None,
    licence: str | None,
    device: str | None,
    weak_denoise: str | None,
) -> None:
    """Convert a checkpoint to ncnn; written only if ncnn and realesrgan-vk agree with PyTorch."""
    from realesrgan_export.export import ExportOptions, export_checkpoint  # noqa: PLC0415 - torch

    raise_interrupted()
    options = ExportOptions(name, fp16, onnx, act_type, licence, weak_denoise, device)
    written = export_checkpoint(checkpoint, output, options, print_rows)
    for path in filter(None, (written.param, written.bin, written.onnx, written.manifest)):
        click.echo(f"wrote {path}")
    click.echo(f"to install it: realesrgan-vk models add {output}")


@app.command()
@click.argument("checkpoint", type=_PATH, help="GFPGANv1.4.pth, or another GFPGANv1Clean.")
@click.option(
    *("-o", "--output"), type=_PATH, required=True, help="Folder to write to; made when missing."
)
@click.option("--name", default="gfpgan-1.4", help="Name of the network.")
@click.option("--licence", default="", help="SPDX identifier for the manifest.")
@click.option(
    "--device", help="Vulkan device to verify on besides the CPU; default: the first GPU."
)
def faces(checkpoint: Path, output: Path, name: str, licence: str, device: str | None) -> None:
    """Convert a network that restores faces (GFPGANv1Clean) to ncnn.

    Written only if ncnn and realesrgan-vk agree with PyTorch.
    """
    from realesrgan_export.faces import export_faces  # noqa: PLC0415 - loads torch

    raise_interrupted()
    written = export_faces(checkpoint, output, name, licence, device, print_rows)
    for path in (written.param, written.bin, written.manifest):
        click.echo(f"wrote {path}")
    click.echo(f"to install it: realesrgan-vk models add {output}")


@app.command()
@click.argument(
    "network", help="NAME.param with NAME.bin beside it, or the name of an installed network."
)
@click.option(*("-o", "--output"), type=_PATH, help="File to write; default: NAME.safetensors.")
def from_ncnn(network: str, output: Path | None) -> None:
    """Recover the PyTorch weights of an RRDBNet or SRVGGNetCompact from its ncnn files.

    Example: realesrgan-export from-ncnn realesrgan-x4plus
    """
    from realesrgan_export.recover import default_output, recover_network  # noqa: PLC0415 - torch

    raise_interrupted()
    output = output or default_output(network)
    recover_network(network, output, print_rows)
    click.echo(f"wrote {output}")


@app.command()
@click.argument("first", type=_PATH, help="A checkpoint.")
@click.argument("second", type=_PATH, help="Another one of the same architecture and size.")
@click.option("--alpha", type=float, required=True, help="Share of the second, 0..1.")
@click.option(*("-o", "--output"), type=_PATH, required=True, help=".safetensors file to write.")
@act_type_option
def interpolate(
    first: Path, second: Path, alpha: float, output: Path, act_type: str | None
) -> None:
    """Blend two networks: (1 - alpha) FIRST + alpha SECOND."""
    from realesrgan_export.blend import blend_checkpoints  # noqa: PLC0415 - loads torch

    raise_interrupted()
    blend_checkpoints(first, second, alpha, output, act_type)
    click.echo(f"wrote {output}")


def print_rows(rows: list[Row]) -> None:
    """Print the parity table on standard output: errors in steps of 1/255 of full scale."""
    engines = list(dict.fromkeys(row.engine for row in rows))
    title = "difference from PyTorch with the stored weights, in steps of 1/255"
    table = Table(title=title, title_justify="left")
    table.add_column("engine")
    table.add_column("picture")
    for figure in ("max", "mean", "PSNR dB", "8-bit max", "8-bit equal"):
        table.add_column(figure, justify="right")
    for row in sorted(rows, key=lambda row: engines.index(row.engine)):
        table.add_row(
            row.engine,
            row.picture,
            f"{row.max_error * 255:.5f}",
            f"{row.mean_error * 255:.6f}",
            "equal" if math.isinf(row.psnr) else f"{row.psnr:.1f}",
            str(row.max_steps),
            f"{row.equal / row.samples:.3%}",
        )
    Console(width=None if Console().is_terminal else 120).print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; by default with the process' arguments.

    Exit codes: 0 done; 1 the network cannot be handled; 2 wrong usage; 130 and 143 for SIGINT and
    SIGTERM, which leave nothing behind.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] not in (*app.commands, "--help", "--version"):
        words = ["checkpoint", *words]
    try:
        app(words)
    except (ExportError, OSError) as error:
        code = exit_code()
        if code is None:
            click.echo(f"realesrgan-export: {printable(str(error))}", err=True)
        sys.exit(code or 1)
    except BaseException:
        code = exit_code()  # whatever an interrupted import or library makes of a signal
        if code is None:
            raise
        sys.exit(code)
