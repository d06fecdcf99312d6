"""`realesrgan-ncnn-vulkan` and `upscayl-bin`: the original's flags, output and exit codes.

The options are read with `getopt`, as the original reads them, so that every spelling it accepts
(`-s2`, `-g -1`, options after paths) is accepted here.
"""

import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from realesrgan_vk._core import CPU_DEVICE
from realesrgan_vk.batch.events import Done, Event, Failed, Progress, Stage
from realesrgan_vk.batch.jobs import (
    Job,
    Naming,
    Sources,
    Targets,
    find_sources,
    names_folder,
    plan_jobs,
    refuse_unwritable,
    refuse_unwritable_file,
)
from realesrgan_vk.batch.pipeline import Batch, BatchOptions
from realesrgan_vk.batch.workers import load_for_runs
from realesrgan_vk.cli.interruption import EXIT_SOME_FAILED, exit_code
from realesrgan_vk.cli.messages import error_words, say, say_notices, unalarming
from realesrgan_vk.cli.ncnn_flags import DEFAULT_FOLDER, BadArgument, Options, parse, usage
from realesrgan_vk.devices import find_device, list_devices
from realesrgan_vk.errors import DeviceError, ModelError, RealesrganError, printable
from realesrgan_vk.image_io.formats import PNG, format_for
from realesrgan_vk.image_io.streams import is_stream
from realesrgan_vk.imaging.picture import Picture
from realesrgan_vk.models.registry import (
    Model,
    find_model,
    list_models,
    model_at,
    official_name,
    whole_networks,
)
from realesrgan_vk.options import Request, TargetSize, UpscalerOptions, WriteOptions
from realesrgan_vk.upscaler import Upscaler

EXIT_BAD_ARGUMENT = 255
_ANIME_VIDEO = "realesr-animevideov3"
# Callers know these words; "decode" stands for all that comes before the network.
_FAILED_STEPS: dict[Stage, str] = {
    "decode": "decode image",
    "size": "decode image",
    "upscale": "process image",
    "encode": "encode image",
}


def main(arguments: list[str] | None = None, program: str | None = None) -> None:
    """Run the executable; ends the process with its exit code."""
    warnings.simplefilter("ignore")  # callers read stderr: a library's remarks would mislead them
    say_notices()
    name = Path(program or sys.argv[0]).name.removesuffix(".exe")
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = _run(parse(given, upscayl=name.startswith("upscayl")), Path(sys.argv[0]))
    except BadArgument as error:
        if str(error):
            say(error)
        else:
            _say_usage(name)
        code = EXIT_BAD_ARGUMENT
    except (RealesrganError, ValueError, TypeError, MemoryError, OSError) as error:
        say(f"Error: {error_words(error)}")
        code = EXIT_BAD_ARGUMENT
    except KeyboardInterrupt as error:
        code = exit_code(error)
    sys.exit(code)


def _run(options: Options, executable: Path) -> int:
    if options.help:
        _say_usage(executable.name)
        for folder in _folders(options, executable):
            if names := [param.stem for param in whole_networks(folder)]:
                say("")
                say(f"networks in {folder}: {', '.join(names)}")
        return 0
    sources = _sources(options)
    targets = Targets(source for source, _ in sources.pictures)
    jobs = _jobs(options, sources, targets)
    devices = _devices(options)
    model = _model(options, executable)
    upscalers = _upscalers(options, model, devices, len(jobs))
    if sources.note:
        say(unalarming(sources.note))
    progress = _Progress(verbose=options.verbose)
    load_threads, _, save_threads = options.threads
    settings = BatchOptions(
        request=options.request or Request(TargetSize(scale=options.scale)),
        write=_write_options(options),
        skip_existing=options.skip_existing,
        load_threads=load_threads,
        save_threads=save_threads,
        max_pixels=options.max_pixels or None,
        retarget=partial(_keep_alpha, targets),
    )
    batch = Batch(upscalers, settings, progress.event)
    try:
        summary = batch.run(jobs)
    except KeyboardInterrupt:
        say(batch.summary.interruption(len(jobs)))
        raise
    return EXIT_SOME_FAILED if summary.failed else 0


def _sources(options: Options) -> Sources:
    if not Path(options.input).is_dir():
        return Sources([(Path(options.input), Path(Path(options.input).name))], [])
    return find_sources([options.input], recursive=options.recursive, output=options.output)


def _jobs(options: Options, sources: Sources, targets: Targets) -> list[Job]:
    source, output = Path(options.input), Path(options.output)
    of_folder = source.is_dir()
    to_folder = names_folder(options.output)
    is_file = not to_folder and (output.exists() or format_for(output) is not None)
    if (of_folder and is_file) or (to_folder and not of_folder):
        raise BadArgument(
            "inputpath and outputpath must be either file or directory at the same time"
        )
    if of_folder:
        naming = Naming(suffix=f".{options.format}")
        # As in the original a result may take its source's place: it is read whole before.
        jobs = plan_jobs(sources.pictures, output, naming, replace_sources=True, targets=targets)
        _refuse(refuse_unwritable, output)
        return jobs
    known = format_for(output)
    if known is None and output.suffix:
        raise BadArgument(f"invalid outputpath extension type {output.suffix}")
    if known is None:
        known = format_for(Path(f"_.{options.format}")) or PNG
    _refuse(refuse_unwritable_file, output)
    return [Job(source, output, known)]


def _refuse(check: Callable[[Path], None], output: Path) -> None:
    try:
        check(output)
    except ValueError as error:
        raise BadArgument(f"invalid outputpath: {error}") from error


def _devices(options: Options) -> list[int]:
    known = list_devices()
    try:
        found = [find_device(device, known) for device in options.devices]
    except DeviceError as error:
        raise BadArgument(f"invalid gpu device: {error}") from error
    if found == [CPU_DEVICE] and "auto" in options.devices:
        say("no GPU with Vulkan was found, the CPU is used")
    return found


def _model(options: Options, executable: Path) -> Model:
    """The files that the original would open; the official ones where it has no folder of them."""
    name = options.model_name
    if name == _ANIME_VIDEO:
        scale = options.scale or 4
        name = f"{name}-x{scale if scale in (2, 3, 4) else 4}"
    for folder in _folders(options, executable):
        for stem in (name, options.model_name):
            if (folder / f"{stem}.param").is_file():
                return model_at(folder / f"{stem}.param")
    given = Path(options.model_folder)
    known = [model.name for model in list_models()]
    if given == Path(DEFAULT_FOLDER) and (official_name(name) or name in known):
        return find_model(name)
    raise ModelError(f"model file {given / (name + '.param')} does not exist")


def _folders(options: Options, executable: Path) -> list[Path]:
    """Where networks are looked for: in the folder as it is given, then beside the executable."""
    given = Path(options.model_folder)
    return [given] if given.is_absolute() else [given, executable.resolve().parent / given]


def _upscalers(options: Options, model: Model, devices: list[int], pictures: int) -> list[Upscaler]:
    at_once = [min(count, pictures) for count in options.threads[1]]
    settings = [UpscalerOptions(tile=tile or "auto", tta=options.tta) for tile in options.tiles]
    return load_for_runs(model.param, settings, list(zip(devices, at_once, strict=True)))


def _write_options(options: Options) -> WriteOptions:
    quality = 95 if options.compression is None else max(1, 100 - options.compression)
    png = 6 if options.compression is None else min(9, options.compression // 10)
    return WriteOptions(quality=quality, compression=png, strip=options.strip)


def _keep_alpha(targets: Targets, job: Job, picture: Picture) -> Job:
    """A picture with alpha that is asked for as JPEG is written as NAME.jpg.png.

    What is no regular file has no name to change, and gets the PNG file.
    """
    if not picture.has_alpha or job.known.alpha:
        return job
    if is_stream(job.target):
        return Job(job.source, job.target, PNG)
    missing = "" if job.target.suffix else job.known.suffixes[0]
    wanted = job.target.with_name(job.target.name + missing + PNG.suffixes[0])
    target = targets.claim(wanted, job.source)
    words = f"image {job.source} has alpha channel ! {job.source} will output {target}"
    say(unalarming(words))
    return Job(job.source, target, PNG)


class _Progress:
    """Percentages on stderr: from 0.00% on, and 100.00% when the file is there."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._last: dict[Path, str] = {}

    def event(self, event: Event) -> None:
        source, target = event.job.source, event.job.target
        match event:  # a retired device is not named: callers stop at the words of its error
            case Progress():
                # The last percent is the encoding's and the writing's.
                line = f"{min(event.fraction * 100, 99.99):.2f}%"
                if line != self._last.get(source):
                    self._last[source] = line
                    say(line)
            case Failed():
                name = printable(target if event.stage == "encode" else source)
                reason = event.error.removeprefix(f"{name}: ")
                say(f"{_FAILED_STEPS[event.stage]} {name} failed: {reason}")
            case Done():
                say("100.00%")
                if self._verbose:
                    for note in event.notes:
                        say(unalarming(f"note: {note}"))
                    say(unalarming(f"{source} -> {target} done"))


def _say_usage(program: str) -> None:
    for line in usage(program).splitlines():
        say(line)


if __name__ == "__main__":
    main()
