"""The `realesrgan-vk` command."""

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from realesrgan_vk import __version__, image_io
from realesrgan_vk._core import CPU_DEVICE
from realesrgan_vk.batch import Batch, BatchOptions
from realesrgan_vk.devices_cli import devices
from realesrgan_vk.errors import RealesrganError
from realesrgan_vk.image_io.formats import PNG, SUFFIXES, format_for
from realesrgan_vk.image_io.options import SUBSAMPLINGS, WriteOptions
from realesrgan_vk.image_io.streams import STDOUT, descriptor_of, is_stream
from realesrgan_vk.jobs import (
    DEFAULT_TEMPLATE,
    Job,
    Naming,
    find_sources,
    plan_jobs,
    refuse_overwrite,
)
from realesrgan_vk.memory import NO_MEMORY
from realesrgan_vk.models_cli import models
from realesrgan_vk.outputs import refuse_unwritable, refuse_unwritable_file
from realesrgan_vk.plan_cli import plan
from realesrgan_vk.processors import Settings, load_processors
from realesrgan_vk.reports import BarReport, JsonReport, LineReport, Report
from realesrgan_vk.request import LIGHTS, Request
from realesrgan_vk.sizes import TargetSize
from realesrgan_vk.tune_cli import tune
from realesrgan_vk.upscaler import DEFAULT_MODEL, Upscaler

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
_STDOUT = 1
_SEPARATORS = ("/", "\\")  # at the end of a folder's name

_EPILOG = (
    "Exit code: 0 when every picture was written, 1 when some failed, 2 when nothing was tried "
    "(a wrong option, no such model or device), 130 when interrupted."
)


@dataclass(frozen=True, slots=True)
class _Output:
    folder: Path | None  # or one file, `path`
    path: Path | None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="realesrgan-vk")
def app() -> None:
    """Real-ESRGAN super-resolution on any GPU, or on the CPU."""


app.add_command(devices)
app.add_command(models)
app.add_command(plan)
app.add_command(tune)


def _upscale_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of `upscale`, grouped here to keep the command readable."""
    image_format = click.Choice(sorted(suffix[1:] for suffix in SUFFIXES), case_sensitive=False)
    options = [
        click.option("-o", "--output", required=True, metavar="OUT",
                     help="File, or folder; - is stdout (see --format)."),
        click.option("-m", "-n", "--model", default=DEFAULT_MODEL, show_default=True,
                     metavar="NAME",
                     help="A name of 'realesrgan-vk models', a .param file, or its folder."),
        click.option("-d", "--device", multiple=True, default=("auto",), metavar="DEVICE",
                     help="auto, cpu, an index or part of a name; may be given several times."),
        click.option("--precision", type=click.Choice(["auto", "fp32", "fp16"]), default="auto"),
        click.option("--tile", default="auto", metavar="auto|whole|N", help="N: at least 32."),
        click.option("--tta", is_flag=True, help="Average eight orientations: 8 times the work."),
        click.option("--denoise", type=click.FloatRange(0, 1), help="0 keeps noise, 1 removes it."),
        click.option("--threads", type=click.IntRange(1), help="CPU threads a picture."),
        click.option("--memory-limit", metavar="SIZE", help="Per run; such as 500MB or 2GiB."),
        click.option("-s", "--scale", type=float, help="Such as 2 or 1.5; default: the network's."),
        click.option("--width", type=int, help="Output width in pixels."),
        click.option("--height", type=int, help="Output height in pixels."),
        click.option("--long-edge", type=int, help="Output's longer side in pixels."),
        click.option("--alpha", type=click.Choice(["network", "lanczos"]), default="network",
                     help="What upscales transparency."),
        click.option("--light", type=click.Choice(LIGHTS), default="gamma",
                     help="What the last resampling averages."),
        click.option("-f", "--format", "suffix", type=image_format,
                     help="Default: as the source; to stdout PNG."),
        click.option("-q", "--quality", type=click.IntRange(1, 100), default=95, show_default=True,
                     help="Of JPEG, WebP, AVIF, HEIC."),
        click.option("--subsampling", type=click.Choice(SUBSAMPLINGS), default="4:4:4",
                     help="Of JPEG."),
        click.option("--lossless/--lossy", default=None, help="Of WebP; default: as the source."),
        click.option("--compression", type=click.IntRange(0, 9), default=6, help="Of PNG."),
        click.option("--strip", is_flag=True, help="Drop EXIF, XMP, DPI and colour profile."),
        click.option("-r", "--recursive", is_flag=True, help="Read subfolders, too."),
        click.option("--skip-existing", is_flag=True, help="Leave out what is already there."),
        click.option("--name", "template", default=DEFAULT_TEMPLATE, metavar="TEMPLATE",
                     help="Results' names: {stem} {suffix} {model} {scale} {index}."),
        click.option("--max-pixels", type=click.IntRange(0), metavar="N",
                     default=image_io.DEFAULT_MAX_PIXELS, help="Refuse larger; 0: no limit."),
        click.option("--quiet", is_flag=True, help="Print failures only."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object an event."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@app.command(epilog=_EPILOG)
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@_upscale_options
def upscale(inputs: tuple[str, ...], **given: Any) -> None:  # noqa: ANN401 - click's values
    """Upscale pictures: files, patterns and folders; - is stdin."""
    try:
        request = Request(
            TargetSize(given["scale"], given["width"], given["height"], given["long_edge"]),
            given["alpha"],
            given["light"],
        )
        settings = Settings(
            model=given["model"],
            precision=given["precision"],
            tile=_tile(given["tile"]),
            tta=given["tta"],
            denoise=given["denoise"],
            threads=given["threads"],
            memory_limit=given["memory_limit"],
        )
        sources = find_sources(inputs, recursive=given["recursive"])
        output = _output(given["output"], sources)
        if given["as_json"] and output.path and descriptor_of(output.path) == _STDOUT:
            raise ValueError(
                "--json prints to stdout, where the picture goes; choose another output"
            )
        processors = load_processors(settings, given["device"], pictures=len(sources))
        jobs = _jobs(sources, output, given, processors[0])
    except (ValueError, TypeError, RealesrganError) as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:  # a folder that cannot be read, a name that is too long
        raise click.UsageError(f"{error.filename}: {error.strerror}") from error
    options = BatchOptions(
        request=request,
        write=_write_options(given),
        skip_existing=given["skip_existing"],
        max_pixels=given["max_pixels"] or None,
    )
    _run(processors, options, jobs, given)


def _run(
    processors: list[Upscaler], options: BatchOptions, jobs: list[Job], given: dict[str, Any]
) -> None:
    report = _report(given)
    on_cpu = all(processor.device == CPU_DEVICE for processor in processors)
    if on_cpu and "auto" in given["device"]:
        report.note("no GPU with Vulkan was found; the CPU is used")
    started = time.perf_counter()
    with report.over(len(jobs), processors[0]):
        summary = Batch(processors, options, report.event).run(jobs)
    report.end(summary, time.perf_counter() - started)
    if summary.failed:
        raise SystemExit(EXIT_SOME_FAILED)


def _report(given: dict[str, Any]) -> Report:
    if given["as_json"]:
        return JsonReport()
    if given["quiet"]:
        return Report()
    return BarReport() if sys.stderr.isatty() else LineReport()


def _write_options(given: dict[str, Any]) -> WriteOptions:
    names = ("quality", "subsampling", "lossless", "compression", "strip")
    return WriteOptions(**{name: given[name] for name in names})


def _tile(given: str) -> Any:  # noqa: ANN401 - "auto", "whole" or a number
    if given in ("auto", "whole"):
        return given
    try:
        return int(given)
    except ValueError:
        raise ValueError(f"tile is {given!r}; it must be 'auto', 'whole' or a number") from None


def _output(given: str, sources: list[tuple[Path, Path]]) -> _Output:
    """One file where one picture goes to a name with a picture's suffix, else a folder.

    What is no regular file, stdout above all, is one file, too.
    """
    path = STDOUT if given == "-" else Path(given)
    if given == "-" and os.isatty(_STDOUT):
        raise ValueError("output '-' is the terminal; redirect it, or name a file")
    to_folder = path.is_dir() or given.endswith(_SEPARATORS)
    names_file = not to_folder and (format_for(path) is not None or is_stream(path))
    if names_file and len(sources) == 1:
        refuse_unwritable_file(path)
        return _Output(None, path)
    if names_file:
        raise ValueError(f"output {path} is one file, but there are {len(sources)} pictures")
    if path.exists() and not to_folder:
        raise ValueError(f"output {path} is a file, but no picture's name; give a folder")
    if path.suffix and not to_folder and len(sources) == 1:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise ValueError(
            f"output {path} has no suffix of a picture ({suffixes}); for a folder, end it with '/'"
        )
    refuse_unwritable(path)
    return _Output(path, None)


def _jobs(
    sources: list[tuple[Path, Path]], output: _Output, given: dict[str, Any], upscaler: Upscaler
) -> list[Job]:
    suffix = f".{given['suffix'].lower()}" if given["suffix"] else None
    if output.path is not None:
        named = format_for(output.path)
        known = format_for(Path(f"_{suffix}")) if suffix else named or PNG
        if known is None or (named or known) is not known:
            raise ValueError(f"output {output.path} and --format {given['suffix']} differ")
        refuse_overwrite(sources[0][0], output.path)
        return [Job(sources[0][0], output.path, known)]
    scale = given["scale"] or upscaler.scale
    values = {"model": upscaler.model.name, "scale": f"{scale:g}"}
    folder = output.folder or Path()
    return plan_jobs(sources, folder, Naming(given["template"], suffix, values))


def main() -> None:
    """Run the command; never shows a traceback for what a user can do."""
    warnings.simplefilter("ignore")  # a library's remarks on odd files are no use here
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app.main(standalone_mode=False, prog_name="realesrgan-vk")
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.UsageError as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted; whole files only were written", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # whoever read the events has gone
        sys.exit(EXIT_SOME_FAILED)
    except MemoryError:
        click.echo(f"error: {NO_MEMORY}", err=True)
        sys.exit(EXIT_USAGE)
    except (RealesrganError, OSError) as error:  # OSError: a folder that cannot be written
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
