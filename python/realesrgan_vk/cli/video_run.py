"""What `realesrgan-vk video` does with its arguments, which are described in `video`."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from realesrgan_vk._core import CPU_DEVICE, yuv_to_rgb
from realesrgan_vk.batch.jobs import (
    Targets,
    find_sources,
    names_folder,
    refuse_folder,
    refuse_unwritable,
    refuse_unwritable_file,
)
from realesrgan_vk.checks import format_bytes
from realesrgan_vk.cli.faces import require_faces
from realesrgan_vk.cli.interruption import EXIT_SOME_FAILED, exit_code
from realesrgan_vk.cli.messages import error_words, say, show, tell, unalarming
from realesrgan_vk.cli.options import require, usage_errors
from realesrgan_vk.errors import DeviceError, RealesrganError, printable
from realesrgan_vk.image_io.atomic import whole_file
from realesrgan_vk.options import Shard
from realesrgan_vk.upscaler import Upscaler
from realesrgan_vk.video.encoders import Encoding
from realesrgan_vk.video.frames import VideoFrame, planes_of
from realesrgan_vk.video.options import CONTAINERS, VIDEO_SUFFIXES, VideoArguments
from realesrgan_vk.video.plan import VideoPlan, plan_run
from realesrgan_vk.video.run import (
    VideoProgress,
    VideoRun,
    VideoSummary,
    load_video_upscalers,
)

if TYPE_CHECKING:
    from realesrgan_vk.video.ray import RayRun, RayVideos

    Planned = VideoRun | RayRun

_DEFAULT_FOLDER = "upscaled"  # of several inputs' results
_PROGRESS_INTERVAL = 0.5  # seconds between two progress events
_LINE_INTERVAL = 60  # seconds between two lines of progress where there is no terminal
_LONGEST_PREVIEW = 4096  # pixels of a side


def run(arguments: VideoArguments) -> None:
    """Upscale the videos that a command line names.

    Raises:
        click.UsageError: Something is wrong with the arguments; nothing has been tried.
        SystemExit: Some videos failed, or the run was interrupted.
    """
    os.environ.setdefault("SVT_LOG", "-1")  # SVT-AV1 prints its settings; FFmpeg is silent in PyAV
    report = _report(arguments)
    started = time.perf_counter()
    with usage_errors():
        several = _DEFAULT_FOLDER if len(arguments.inputs) > 1 else None
        found = find_sources(
            arguments.inputs,
            recursive=arguments.recursive,
            output=arguments.output or several,
            suffixes=VIDEO_SUFFIXES,
            kind="video",
        )
        jobs = _jobs(arguments, found.pictures)
        if arguments.request.faces is not None:
            require_faces(arguments.request.faces)
        upscalers = _upscalers(arguments, report)
        if found.note:
            report.note(None, unalarming(found.note))
        planned = None
        if len(jobs) == 1:  # what is wrong with the only one is an error of the arguments
            if _is_there(arguments, jobs[0][1]):
                report.skipped(*jobs[0])
                return
            planned = _plan(arguments, upscalers, *jobs[0])
        here = upscalers if isinstance(upscalers, list) else []
        on_cpu = bool(here) and all(upscaler.device == CPU_DEVICE for upscaler in here)
        if on_cpu and "auto" in arguments.devices:
            report.note(None, "no GPU with Vulkan was found; the CPU is used")
        report.several = len(jobs) > 1
    failed = done = skipped = 0
    try:
        for source, target in jobs:
            if planned is None and _is_there(arguments, target):
                report.skipped(source, target)
                skipped += 1
                continue
            try:
                if not arguments.plan:
                    target.parent.mkdir(parents=True, exist_ok=True)
                work = planned or _plan(arguments, upscalers, source, target)
                _run_one(arguments, report, work, source, target)
                done += 1
            except (RealesrganError, OSError, ValueError, MemoryError) as error:
                report.failed(source, _words(error))
                failed += 1
    except KeyboardInterrupt as error:
        report.interrupted(done, len(jobs))
        raise SystemExit(exit_code(error)) from error
    report.end(0 if arguments.plan else done, failed, skipped, time.perf_counter() - started)
    if failed:
        raise SystemExit(EXIT_SOME_FAILED)


def _upscalers(arguments: VideoArguments, report: Report) -> list[Upscaler] | RayVideos:
    """The devices of this machine, each with the network, or the machines of a Ray cluster.

    Those of a cluster are not asked for anything yet.
    """

    def note(words: str) -> None:
        report.note(None, unalarming(words))

    if arguments.ray is not None:
        from realesrgan_vk.batch import cluster  # noqa: PLC0415 - for this option only
        from realesrgan_vk.video import ray  # noqa: PLC0415

        require(cluster.require_ray)
        options = replace(arguments.upscaler, device=arguments.devices[0])
        place = cluster.Cluster(address=arguments.ray or None, workers=arguments.ray_workers)
        return ray.RayVideos(arguments.model, options, place, note)
    return load_video_upscalers(arguments.model, arguments.upscaler, arguments.devices, note=note)


def _words(error: Exception) -> str:
    words = error_words(error)
    if isinstance(error, av.error.FFmpegError):
        name = (error.filename or "FFmpeg").removeprefix("file:")
        words = f"{name}: {error.strerror}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        words += "; make space and run the same command again, it goes on where this one was"
    return words


def _is_there(arguments: VideoArguments, target: Path) -> bool:
    return arguments.skip_existing and target.is_file()


def _plan(
    arguments: VideoArguments, upscalers: list[Upscaler] | RayVideos, source: Path, target: Path
) -> Planned:
    refuse_folder(target)
    if not isinstance(upscalers, list):
        return upscalers.plan(source, target, arguments.request, arguments.options)
    return VideoRun(source, target, upscalers, arguments.request, arguments.options)


def _run_one(
    arguments: VideoArguments, report: Report, work: Planned, source: Path, target: Path
) -> None:
    for words in work.notes:
        report.note(source, unalarming(words))
    if not isinstance(work, VideoRun):
        with report.running(source):
            summary = work.run(
                restart=arguments.restart,
                report=lambda progress: report.progress(source, progress),
            )
        report.done(source, target, summary)
        return
    if arguments.plan:
        report.planned(source, plan_run(work))
        return
    preview = None
    if arguments.preview is not None:
        preview = _Preview(
            target, work.encoding, arguments.preview, lambda words: report.note(source, words)
        )
    with report.running(source):
        summary = work.run(
            restart=arguments.restart,
            shard=arguments.shard,
            report=lambda progress: report.progress(source, progress),
            retired=lambda error: report.retired(source, error),
            preview=preview,
        )
    if arguments.shard is None:
        report.done(source, target, summary)
    else:
        report.shard_done(source, target, arguments.shard, summary)


def _jobs(arguments: VideoArguments, sources: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Each source with its result's path.

    Raises:
        ValueError: The output is one file for several videos, or cannot be written.
    """
    given = arguments.output
    path = None if given is None else Path(given)
    if path is not None and not names_folder(str(given)) and path.suffix.lower() in VIDEO_SUFFIXES:
        if len(sources) > 1:
            raise ValueError(f"output {path} is one file, but there are {len(sources)} videos")
        refuse_unwritable_file(path)
        return [(sources[0][0], path)]
    if path is not None and not names_folder(str(given)):
        if path.is_file():
            raise ValueError(f"output {path} is a file without a video's suffix")
        if arguments.options.container is not None and len(sources) == 1:
            refuse_unwritable_file(path)
            return [(sources[0][0], path)]
        if len(sources) == 1:
            raise ValueError(
                f"output {path} has no suffix of a video ({', '.join(sorted(CONTAINERS))}); for a "
                "folder, end it with '/', for a file give --container"
            )
    stem = "{}"
    single = Path(arguments.inputs[0])
    if path is None and len(arguments.inputs) == 1 and single.is_dir():
        folder = Path(f"{single.resolve()}-upscaled")
    elif path is None and len(sources) == 1:
        folder, stem = sources[0][0].parent, "{}-upscaled"
    else:
        folder = path or Path(_DEFAULT_FOLDER)
    refuse_unwritable(folder)
    targets = Targets(source for source, _ in sources)
    jobs = []
    for source, place in sources:
        suffix = _suffix(arguments.options.container, source)
        wanted = folder / place.parent / f"{stem.format(source.stem)}{suffix}"
        jobs.append((source, targets.claim(wanted, source)))
    return jobs


def _suffix(container: str | None, source: Path) -> str:
    """Of a result that was not named."""
    if container is not None:
        known = {name: suffix for suffix, name in reversed(CONTAINERS.items())}
        return known.get(container, f".{container}")
    return source.suffix if source.suffix.lower() in CONTAINERS else ".mkv"


class _Preview:
    """Writes a frame and its result side by side, every so many seconds of the run.

    Where that cannot be written, `note` is told, and there are no more.
    """

    def __init__(
        self, target: Path, encoding: Encoding, seconds: float, note: Callable[[str], object]
    ) -> None:
        self._path = target.with_name(f"{target.name}.preview.png")
        self._encoding = encoding
        self._seconds = seconds
        self._note = note
        self._next = 0.0

    def __call__(self, frame: VideoFrame, image: av.VideoFrame) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._seconds
        planes, _ = planes_of(image, self._encoding.form)
        after = _picture(yuv_to_rgb(list(planes), self._encoding.yuv_format))
        before = _picture(frame.rgb()).resize(after.size, Image.Resampling.NEAREST)
        both = Image.new("RGB", (2 * after.width, after.height))
        both.paste(before, (0, 0))
        both.paste(after, (after.width, 0))
        both.thumbnail((2 * _LONGEST_PREVIEW, _LONGEST_PREVIEW))
        try:
            with whole_file(self._path) as file:
                both.save(file, "PNG", compress_level=1)
        except OSError as error:
            self._next = math.inf
            self._note(f"no more previews: {error_words(error)}")


def _picture(rgb: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8))


def _report(arguments: VideoArguments) -> Report:
    if arguments.as_json:
        return JsonReport()
    if sys.stderr.isatty() and not arguments.quiet:
        return BarReport()
    return Report(quiet=arguments.quiet)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Report:
    """Lines on stderr: failures and, unless it is quiet, notes, results and, rarely, progress.

    Attributes:
        several: Whether there are several videos, so that a note names its own.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.several = False
        self._quiet = quiet
        self._last_line = 0.0
        self._started = time.perf_counter()
        self._first = 0

    @contextmanager
    def running(self, source: Path) -> Iterator[None]:
        """The time in which one video is made."""
        self._started = self._last_line = time.perf_counter()
        self._first = -1
        yield

    def note(self, source: Path | None, words: str) -> None:
        """Something to know that is no failure."""
        if not self._quiet:
            name = "" if source is None else unalarming(printable(source.name))
            self.line(f"{name}: {words}" if self.several and name not in words else words)

    def progress(self, source: Path, progress: VideoProgress) -> None:
        """Another frame is done, or another part of the result written: a line a minute."""
        speed = self._speed(progress)
        now = time.perf_counter()
        if progress.joining or now - self._last_line < _LINE_INTERVAL:
            return
        self._last_line = now
        words = f"{_count(progress.frames, 'frame')}, {speed:.2f} fps"
        if progress.total:
            left = timedelta(seconds=round((progress.total - progress.frames) / max(speed, 1e-6)))
            words = f"{progress.frames} of {_count(progress.total, 'frame')}, {speed:.2f} fps"
            words += f", {left} left"
        self.note(source, words)

    def planned(self, source: Path, plan: VideoPlan) -> None:
        """What a run would take; this is what was asked for, and goes to stdout."""
        if self.several:
            show(unalarming(printable(source)))
        for name, value in plan.rows():
            show(f"{name:<28}{value}")

    def retired(self, source: Path, error: DeviceError) -> None:
        """A device gets no more frames."""
        words = f"a device gets no more frames, the others go on: {error}"
        self.note(source, unalarming(words))

    def skipped(self, source: Path, target: Path) -> None:
        """The result was there already."""
        self.note(source, f"skipped: {unalarming(printable(target.name))} exists")

    def done(self, source: Path, target: Path, summary: VideoSummary) -> None:
        """A result was written."""
        parts = [f"{summary.width} x {summary.height}", _count(summary.frames, "frame")]
        if summary.resumed:
            parts.append(f"{summary.resumed} of them from before")
        if summary.reused:
            parts.append(f"{summary.reused} repeated")
        parts += [format_bytes(summary.bytes_written), f"{summary.seconds:.1f} s"]
        self.note(source, unalarming(f"{printable(target.name)} ({', '.join(parts)})"))
        if summary.damaged:
            packets = _count(summary.damaged, "packet")
            are = "is" if summary.damaged == 1 else "are"
            words = (
                f"  note: {packets} {are} damaged in the source; frames may be missing or damaged"
            )
            self.note(source, words)

    def shard_done(self, source: Path, target: Path, shard: Shard, summary: VideoSummary) -> None:
        """The segments of a shard were written."""
        name = unalarming(printable(target.name))
        count = _count(summary.frames, "frame")
        self.note(
            source,
            f"{name}: shard {shard.number}/{shard.count} has {count} ready; when all shards have, "
            "the same command without --shard writes the video",
        )

    def failed(self, source: Path, words: str) -> None:
        """A video was not made."""
        named = words if str(source) in words else f"{printable(source)}: {words}"
        self.line(f"failed: {named}")

    def interrupted(self, done: int, videos: int) -> None:
        """The run was stopped."""
        self.line(
            f"interrupted: {done} of {_count(videos, 'video')} written; the same command goes on "
            "where this one was"
        )

    def end(self, done: int, failed: int, skipped: int, seconds: float) -> None:
        """All is over; one video needs no counts."""
        if done + failed + skipped > 1:
            parts = [f"{done} written"]
            parts += [f"{skipped} skipped"] if skipped else []
            parts += [f"{failed} failed"] if failed else []
            self.note(None, f"{', '.join(parts)} in {seconds:.1f} s")

    def line(self, words: str) -> None:
        """Print for people."""
        say(words)

    def _speed(self, progress: VideoProgress) -> float:
        """Frames a second of this run."""
        if self._first < 0:
            self._first = progress.frames - 1
        seconds = time.perf_counter() - self._started
        return (progress.frames - self._first) / max(seconds, 1e-6)


class BarReport(Report):
    """Lines, and below them a bar on a terminal: fraction, frames, speed, size, time left."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console(stderr=True)
        self._bar: Bar | None = None

    @contextmanager
    def running(self, source: Path) -> Iterator[None]:
        """Show the bar."""
        with super().running(source):
            self._bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[about]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task(
                unalarming(printable(source.name)), total=None, about=""
            )
            with self._bar:
                yield
            self._bar = None

    def progress(self, source: Path, progress: VideoProgress) -> None:
        """Move the bar."""
        del source
        if self._bar is None:
            return
        size = format_bytes(progress.bytes_written)
        frames = f"{progress.frames}/{progress.total}" if progress.total else f"{progress.frames}"
        if progress.joining:
            about = f"{frames} frames, joining, {size}"
            self._bar.update(self._task, total=1.0, completed=progress.fraction, about=about)
            return
        about = f"{frames} frames, {self._speed(progress):.2f} fps, {size}"
        self._bar.update(
            self._task, total=progress.total or None, completed=progress.frames, about=about
        )

    def line(self, words: str) -> None:
        """Print without disturbing the bar."""
        self._console.print(printable(words), markup=False, highlight=False, soft_wrap=True)


class JsonReport(Report):
    """One JSON object a line on stdout; if nobody reads them, the run goes on without."""

    def __init__(self) -> None:
        super().__init__()
        self._printed = 0.0
        self._whole = (False, False)  # joining, and all of it

    def note(self, source: Path | None, words: str) -> None:
        """Print it as an event."""
        self._print("note", source=None if source is None else str(source), note=words)

    def progress(self, source: Path, progress: VideoProgress) -> None:
        """Print an event every half second."""
        speed = self._speed(progress)
        now = time.monotonic()
        whole = (progress.joining, progress.fraction >= 1)
        if now - self._printed < _PROGRESS_INTERVAL and (not whole[1] or whole == self._whole):
            return
        self._printed, self._whole = now, whole
        fields = asdict(progress) | {"fraction": round(progress.fraction, 4)}
        self._print("progress", source=str(source), **fields, fps=round(speed, 3))

    def planned(self, source: Path, plan: VideoPlan) -> None:
        """Print it as an event."""
        self._print("plan", source=str(source), **plan.as_dict())

    def retired(self, source: Path, error: DeviceError) -> None:
        """Print it as an event."""
        self._print("retired", source=str(source), error=str(error))

    def skipped(self, source: Path, target: Path) -> None:
        """Print it as an event."""
        self._print("skipped", source=str(source), target=str(target))

    def done(self, source: Path, target: Path, summary: VideoSummary) -> None:
        """Print it as an event."""
        fields = asdict(summary) | {"seconds": round(summary.seconds, 3)}
        self._print("done", source=str(source), target=str(target), **fields)

    def shard_done(self, source: Path, target: Path, shard: Shard, summary: VideoSummary) -> None:
        """Print it as an event."""
        fields = asdict(summary) | {"seconds": round(summary.seconds, 3)}
        self._print("shard", source=str(source), target=str(target), **asdict(shard), **fields)

    def failed(self, source: Path, words: str) -> None:
        """Print it as an event."""
        self._print("failed", source=str(source), error=words)

    def interrupted(self, done: int, videos: int) -> None:
        """Print the counts so far."""
        self._print("interrupted", done=done, videos=videos)

    def end(self, done: int, failed: int, skipped: int, seconds: float) -> None:
        """Print the counts."""
        self._print("end", done=done, failed=failed, skipped=skipped, seconds=round(seconds, 3))

    def _print(self, event: str, **fields: object) -> None:
        tell(json.dumps({"event": event, **fields}))
