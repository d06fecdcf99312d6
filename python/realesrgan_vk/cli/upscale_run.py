"""What `realesrgan-vk upscale` does with its arguments, which are described in `upscale`."""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from realesrgan_vk._core import CPU_DEVICE
from realesrgan_vk.batch.events import Summary
from realesrgan_vk.batch.jobs import (
    DEFAULT_TEMPLATE,
    Job,
    Naming,
    find_sources,
    names_folder,
    of_shard,
    plan_jobs,
    refuse_overwrite,
    refuse_unwritable,
    refuse_unwritable_file,
    with_masks,
)
from realesrgan_vk.batch.pipeline import Batch, BatchOptions
from realesrgan_vk.batch.workers import load_upscalers
from realesrgan_vk.cli.arguments import Arguments
from realesrgan_vk.cli.faces import require_faces
from realesrgan_vk.cli.interruption import EXIT_SOME_FAILED, exit_code
from realesrgan_vk.cli.messages import unalarming
from realesrgan_vk.cli.options import require, usage_errors
from realesrgan_vk.cli.reports import BarReport, JsonReport, Report
from realesrgan_vk.image_io.formats import PNG, SUFFIXES, format_for
from realesrgan_vk.image_io.streams import STDOUT, descriptor_of, is_stream
from realesrgan_vk.image_io.urls import UrlPath, path_of
from realesrgan_vk.video.options import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from realesrgan_vk.batch.ray import RayBatch

_STDOUT = 1
_DEFAULT_FOLDER = "upscaled"  # of several inputs' results


def run(arguments: Arguments) -> None:
    """Upscale the pictures that a command line names.

    Raises:
        click.UsageError: Something is wrong with the arguments; nothing has been tried.
        SystemExit: Some pictures failed, or the run was interrupted.
    """
    started = time.perf_counter()
    report = _report(arguments)
    with usage_errors():
        _refuse_videos([*arguments.inputs, arguments.output or ""])
        if not arguments.output:
            _refuse_output_among(arguments.inputs)
        several = _DEFAULT_FOLDER if len(arguments.inputs) > 1 else None
        found = find_sources(
            arguments.inputs, recursive=arguments.recursive, output=arguments.output or several
        )
        sources = found.pictures
        output, template = _output(arguments, sources)
        path = STDOUT if output == "-" else path_of(output)
        to_file = _is_file(output, path, len(sources))
        if arguments.as_json and to_file and descriptor_of(path) == _STDOUT:
            raise ValueError(
                "--json prints to stdout, where the picture goes; choose another output"
            )
        if to_file and arguments.shard is not None:
            raise ValueError("--shard shares the pictures of a folder; the output is one file")
        count = len(of_shard(sources, sources, arguments.shard))
        if not count:
            report.note("no picture belongs to this shard")
            report.end(Summary(), time.perf_counter() - started)
            return
        if arguments.request.faces is not None:
            require_faces(arguments.request.faces)
        _refuse_with_ray(arguments, [path, *(each for each, _ in sources)])
        batch = (_batch if arguments.ray is None else _ray_batch)(arguments, report, count)
        scale = f"{arguments.request.size.scale or batch.scale:g}"
        naming = Naming(arguments.template or template, arguments.suffix, batch.model.name, scale)
        if to_file:
            jobs = [_job(sources[0][0], path, arguments.suffix)]
        else:
            jobs = plan_jobs(sources, path, naming)
        if arguments.mask is not None:
            jobs = with_masks(jobs, [place for _, place in sources], arguments.mask)
        jobs = of_shard(jobs, sources, arguments.shard)
    try:
        with report.running(len(jobs), batch):
            if found.note:
                report.note(unalarming(found.note))
            batch.run(jobs)
    except KeyboardInterrupt as error:
        report.interrupted(batch.summary, len(jobs))
        raise SystemExit(exit_code(error)) from error
    report.end(batch.summary, time.perf_counter() - started)
    if batch.summary.failed:
        raise SystemExit(EXIT_SOME_FAILED)


def _refuse_with_ray(arguments: Arguments, paths: Sequence[Path]) -> None:
    """Refuse options and paths that do not go with `--ray`, or only with it.

    Raises:
        ValueError: There is one.
    """
    if arguments.ray is None:
        if arguments.ray_workers is not None:
            raise ValueError("--ray-workers is for --ray, which is not given")
        return
    if any(map(is_stream, paths)):
        raise ValueError("--ray cannot use streams, which other machines do not see; name files")
    if arguments.mask is not None:
        raise ValueError("--mask is not for --ray; run pictures with masks on this machine")


def _settings(arguments: Arguments) -> BatchOptions:
    return BatchOptions(
        request=arguments.request,
        write=arguments.write,
        skip_existing=arguments.skip_existing,
        max_pixels=arguments.max_pixels,
    )


def _batch(arguments: Arguments, report: Report, pictures: int) -> Batch:
    """The devices of this machine, each with the network."""
    upscalers = load_upscalers(
        arguments.model,
        arguments.upscaler,
        arguments.devices,
        pictures=pictures,
        note=lambda words: report.note(unalarming(words)),
    )
    on_cpu = all(upscaler.device == CPU_DEVICE for upscaler in upscalers)
    if on_cpu and "auto" in arguments.devices:
        report.note("no GPU with Vulkan was found; the CPU is used")
    return Batch(upscalers, _settings(arguments), report.event)


def _ray_batch(arguments: Arguments, report: Report, _: int) -> "RayBatch":
    """The machines of a Ray cluster, which are not asked for anything yet."""
    from realesrgan_vk.batch import cluster, ray  # noqa: PLC0415 - for this option only

    require(cluster.require_ray)
    if len(arguments.devices) > 1:
        raise ValueError("with --ray each worker has one device; give one --device, or none")
    return ray.RayBatch(
        arguments.model,
        replace(arguments.upscaler, device=arguments.devices[0]),
        _settings(arguments),
        cluster.Cluster(address=arguments.ray or None, workers=arguments.ray_workers),
        lambda job, row: report.event(ray.event_of(job, row)),
        note=lambda words: report.note(unalarming(words)),
    )


def _report(arguments: Arguments) -> Report:
    if arguments.as_json:
        return JsonReport()
    if sys.stderr.isatty() and not arguments.quiet:
        return BarReport()
    return Report(quiet=arguments.quiet)


def _refuse_videos(paths: Sequence[str]) -> None:
    for path in paths:
        if Path(path).suffix.lower() in VIDEO_SUFFIXES:
            raise ValueError(
                f"{path} is a video, and this command is for pictures: "
                f"{shlex.join(('realesrgan-vk', 'video', paths[0]))}"
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


def _output(arguments: Arguments, sources: list[tuple[Path, Path]]) -> tuple[str, str]:
    """Where results go, and the template of their names.

    Without --output one picture's result goes beside it, a folder's into a folder beside it, and
    several pictures' into a folder of the working directory; each under a name that is not the
    source's. A pipe's goes to stdout.
    """
    if arguments.output:
        return arguments.output, DEFAULT_TEMPLATE
    if any(isinstance(source, UrlPath) for source, _ in sources):
        raise ValueError("with a URL among the pictures, name the output: -o OUT")
    if len(sources) == 1 and is_stream(sources[0][0]):
        return "-", DEFAULT_TEMPLATE
    given = Path(arguments.inputs[0])
    if len(arguments.inputs) == 1 and given.is_dir():
        return f"{given.resolve()}-upscaled/", DEFAULT_TEMPLATE
    if len(sources) == 1:
        return f"{sources[0][0].parent}/", "{stem}-upscaled"
    return f"{_DEFAULT_FOLDER}/", DEFAULT_TEMPLATE


def _is_file(given: str, path: Path, pictures: int) -> bool:
    """Whether an output is one file, by its suffix and as no folder; else it is a folder.

    What is no regular file, stdout above all, is one file, too.

    Raises:
        ValueError: It fits neither, is one file for several pictures, or cannot be written.
    """
    if given == "-" and os.isatty(_STDOUT):
        raise ValueError("output '-' is the terminal; redirect it, or name a file")
    to_folder = names_folder(given)
    if not to_folder and (format_for(path) is not None or is_stream(path)):
        if pictures > 1:
            raise ValueError(f"output {path} is one file, but there are {pictures} pictures")
        refuse_unwritable_file(path)
        return True
    if not isinstance(path, UrlPath) and path.exists() and not to_folder:
        raise ValueError(
            f"output {path} is a file without a picture's suffix; give a folder or a picture's name"
        )
    if path.suffix and not to_folder and pictures == 1:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise ValueError(
            f"output {path} has no suffix of a picture ({suffixes}); for a folder, end it with '/'"
        )
    refuse_unwritable(path)
    return False


def _job(source: Path, target: Path, suffix: str | None) -> Job:
    """The job of one file, in the format of the suffix asked for, else of its own."""
    named = format_for(target)
    known = format_for(Path(f"_{suffix}")) if suffix else named or PNG
    if known is None or (named or known) is not known:
        raise ValueError(f"output {target} and --format {(suffix or '')[1:]} differ")
    refuse_overwrite(source, target)
    return Job(source, target, known)
