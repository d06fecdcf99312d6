"""What `realesrgan-vk upscale` does with its options, which are described in `upscale`."""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realesrgan_vk._core import CPU_DEVICE
from realesrgan_vk.batch.jobs import (
    DEFAULT_TEMPLATE,
    Job,
    Naming,
    find_sources,
    plan_jobs,
    refuse_overwrite,
    refuse_unwritable,
    refuse_unwritable_file,
)
from realesrgan_vk.batch.pipeline import Batch, BatchOptions
from realesrgan_vk.batch.workers import load_processors
from realesrgan_vk.cli.interruption import exit_code
from realesrgan_vk.cli.messages import unalarming
from realesrgan_vk.cli.options import usage_errors
from realesrgan_vk.cli.reports import BarReport, JsonReport, LineReport, Report
from realesrgan_vk.image_io.formats import PNG, SUFFIXES, format_for
from realesrgan_vk.image_io.streams import STDOUT, descriptor_of, is_stream
from realesrgan_vk.options import Request, TargetSize, UpscalerOptions, WriteOptions
from realesrgan_vk.upscaler import Upscaler

EXIT_SOME_FAILED = 1
_STDOUT = 1
_DEFAULT_FOLDER = "upscaled"  # of several inputs' results
_VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".ogv"}
)
_SEPARATORS = ("/", "\\")  # at the end of a folder's name


@dataclass(frozen=True, slots=True)
class _Output:
    folder: Path | None  # or one file, `path`
    path: Path | None


def run(inputs: Sequence[str], given: dict[str, Any]) -> None:
    """Upscale the pictures that a command line names.

    Args:
        inputs: Files, patterns, folders, or "-" for stdin.
        given: The options' values by name.

    Raises:
        click.UsageError: Something is wrong with them; nothing has been tried.
        SystemExit: Some pictures failed, or the run was interrupted.
    """
    started = time.perf_counter()
    report = _report(given)
    with usage_errors():
        _refuse_videos([*inputs, given["output"] or ""])
        if not given["output"]:
            _refuse_output_among(inputs)
        request = Request(
            TargetSize(given["scale"], given["width"], given["height"], given["long_edge"]),
            given["alpha"],
            given["light"],
        )
        options = UpscalerOptions(
            precision=given["precision"],
            tile=given["tile"],
            tta=given["tta"],
            denoise=given["denoise"],
            threads=given["threads"],
            memory_limit=given["memory_limit"],
        )
        several = _DEFAULT_FOLDER if len(inputs) > 1 else None
        found = find_sources(
            inputs, recursive=given["recursive"], output=given["output"] or several
        )
        sources = found.pictures
        default, template = _default_output(inputs, sources)
        output = _output(given["output"] or default, sources)
        if given["output"]:
            template = DEFAULT_TEMPLATE
        if given["as_json"] and output.path and descriptor_of(output.path) == _STDOUT:
            raise ValueError(
                "--json prints to stdout, where the picture goes; choose another output"
            )
        processors = load_processors(
            given["model"],
            options,
            given["device"],
            pictures=len(sources),
            note=lambda words: report.note(unalarming(words)),
        )
        naming = _naming(given["template"] or template, given, processors[0])
        jobs = _jobs(sources, output, naming)
    batch_options = BatchOptions(
        request=request,
        write=_write_options(given),
        skip_existing=given["skip_existing"],
        max_pixels=given["max_pixels"] or None,
    )
    on_cpu = all(processor.device == CPU_DEVICE for processor in processors)
    if on_cpu and "auto" in given["device"]:
        report.note("no GPU with Vulkan was found; the CPU is used")
    batch = Batch(processors, batch_options, report.event)
    try:
        with report.running(len(jobs), processors[0]):
            if found.note:
                report.note(unalarming(found.note))
            summary = batch.run(jobs)
    except KeyboardInterrupt as error:
        report.interrupted(batch.summary, len(jobs))
        raise SystemExit(exit_code(error)) from error
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


def _refuse_videos(paths: Sequence[str]) -> None:
    for path in paths:
        if Path(path).suffix.lower() in _VIDEOS:
            raise ValueError(
                f"{path} is a video, and only pictures are read and written; take its frames out "
                "with FFmpeg (ffmpeg -i VIDEO FRAMES/%06d.png), upscale their folder, and put the "
                "results together again"
            )


def _refuse_output_among(inputs: Sequence[str]) -> None:
    """Refuse `IN OUT` without `-o`, where OUT is a new picture's name."""
    if len(inputs) != 2:
        return
    source, target = map(Path, inputs)
    if source.is_file() and not target.exists() and format_for(target) is not None:
        command = shlex.join(("realesrgan-vk", "upscale", *inputs[:1], "-o", *inputs[1:]))
        raise ValueError(
            f"picture {target} does not exist; if it is the name of the result: {command}"
        )


def _default_output(inputs: Sequence[str], sources: list[tuple[Path, Path]]) -> tuple[str, str]:
    """Where results go that no --output tells, and the template of their names.

    One picture's is beside it, a folder's in a folder beside it, and several pictures' in a folder
    of the working directory; each under a name that is not the source's. A pipe's is stdout.
    """
    if len(sources) == 1 and is_stream(sources[0][0]):
        return "-", DEFAULT_TEMPLATE
    given = Path(inputs[0])
    if len(inputs) == 1 and given.is_dir():
        return f"{given.resolve()}-upscaled/", DEFAULT_TEMPLATE
    if len(sources) == 1:
        return f"{sources[0][0].parent}/", "{stem}-upscaled"
    return f"{_DEFAULT_FOLDER}/", DEFAULT_TEMPLATE


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
        raise ValueError(
            f"output {path} is a file without a picture's suffix; give a folder or a picture's name"
        )
    if path.suffix and not to_folder and len(sources) == 1:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise ValueError(
            f"output {path} has no suffix of a picture ({suffixes}); for a folder, end it with '/'"
        )
    refuse_unwritable(path)
    return _Output(path, None)


def _naming(template: str, given: dict[str, Any], upscaler: Upscaler) -> Naming:
    scale = given["scale"] or upscaler.scale
    values = {"model": upscaler.model.name, "scale": f"{scale:g}"}
    return Naming(template, f".{given['suffix']}" if given["suffix"] else None, values)


def _jobs(sources: list[tuple[Path, Path]], output: _Output, naming: Naming) -> list[Job]:
    if output.folder is not None:
        return plan_jobs(sources, output.folder, naming)
    path = output.path or Path()
    named = format_for(path)
    known = format_for(Path(f"_{naming.suffix}")) if naming.suffix else named or PNG
    if known is None or (named or known) is not known:
        raise ValueError(f"output {path} and --format {(naming.suffix or '')[1:]} differ")
    refuse_overwrite(sources[0][0], path)
    return [Job(sources[0][0], path, known)]
