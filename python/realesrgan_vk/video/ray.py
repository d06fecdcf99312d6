"""Videos on a Ray cluster: workers make the segments, and the driver puts the result together.

The segments lie in the folder beside the result, on a disk that all machines see, as those of one
machine do, and have the same bytes. Each worker reads the video from its beginning to the last
segment that it makes. The segment of a worker that ends is made again by another one.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from realesrgan_vk.batch.cluster import Driver, Order, Process, require_ray
from realesrgan_vk.batch.workers import GPU_RUNS
from realesrgan_vk.errors import DeviceError, OutOfMemoryError, RealesrganError, printable
from realesrgan_vk.options import Request
from realesrgan_vk.video.options import VideoOptions
from realesrgan_vk.video.run import VideoProgress, VideoRun, VideoSummary
from realesrgan_vk.video.segments import BusyError, Claims, Segment, WorkError, Workspace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from realesrgan_vk.batch.cluster import Cluster
    from realesrgan_vk.options import UpscalerOptions

_IN_WORK = 2  # segments of a worker: its frames follow each other without a gap between the two
_PATIENCE, _POLL = 60.0, 0.05  # seconds for workers to end, and between two looks


@dataclass(frozen=True, slots=True)
class Video:
    """What is made of one video.

    Attributes:
        source: The video.
        target: The result.
        request: What is made of each frame.
        options: How the video is read and written.
    """

    source: Path
    target: Path
    request: Request
    options: VideoOptions


@dataclass(frozen=True, slots=True)
class _Made:
    """What a worker says of a segment.

    Attributes:
        frames: How many it has; 0: the video ends before it.
        reused: How many of them took the result of the one before.
        bytes_written: Of its file.
        last: The video ends with it.
        error: Why it was not made, in words; else empty.
        by_device: The device failed, or its memory; another worker may make it.
        failure: Why no worker can make it.
    """

    frames: int = 0
    reused: int = 0
    bytes_written: int = 0
    last: bool = False
    error: str = ""
    by_device: bool = False
    failure: Exception | None = None


class RayVideos(Driver[int, _Made]):
    """Has a Ray cluster make the segments of videos; its tasks are their numbers."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        options: UpscalerOptions,
        cluster: Cluster,
        note: Callable[[str], None],
    ) -> None:
        """As `Driver`.

        Raises:
            ImportError: Ray is not installed.
            ModelError: No such network.
        """
        require_ray()
        super().__init__(model, options, cluster, note)
        self._serial = count()

    @property
    def deciding_options(self) -> dict[str, object]:
        """Those of the network, as `Upscaler.deciding_options`."""
        return self._options.deciding

    def plan(self, source: Path, target: Path, request: Request, options: VideoOptions) -> RayRun:
        """Plan the run of one video.

        Raises:
            Exception: As `VideoRun`.
        """
        video = Video(source.absolute(), target.absolute(), request, options)
        return RayRun(self, video)

    def make(
        self, run: RayRun, *, restart: bool, report: Callable[[VideoProgress], object]
    ) -> VideoSummary:
        """Have the segments of a video made; see `RayRun.run`."""
        started = time.perf_counter()
        self._video, self._planned, self._tell = run.video, run.planned, report
        work = self._planned.workspace(restart=restart)
        try:
            made, resumed = set(work.finished), work.frames
            self._last, complete = work.last, work.is_complete or work.result is not None
            self._frames, self._reused = resumed, 0
            self._bytes = sum(each.path.stat().st_size for each in work.finished.values())
            if not complete:
                self._planned.check_space(work)
        finally:
            work.close()
        if not complete:
            self._make(made)
        summary = self._planned.run(report=report)
        seconds = time.perf_counter() - started
        return replace(summary, resumed=resumed, reused=self._reused, seconds=seconds)

    def _make(self, made: set[int]) -> None:
        """Have all segments made but these."""
        each, frames = self._planned.segment_frames, self._planned.info.frames
        known = -(-frames // each) if self._last is None else self._last + 1
        self._next = known or self._at_once
        self._ends_before: int | None = None  # a segment that the video does not have
        self.add_tasks([number for number in range(self._next) if number not in made])
        try:
            self.run_tasks()
        except BaseException:
            with suppress(RealesrganError, OSError):
                work = self._workspace()
                if work.finished:
                    work.close()
                else:  # there is nothing to go on from
                    work.remove()
            raise
        self._workspace().close()
        if self._last is None:
            raise WorkError(f"{printable(self._video.source)} has no frame in the part asked for")

    def _workspace(self) -> Workspace:
        """The folder of segments, once the workers, which were killed, have let go of it."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._planned.workspace()
            except BusyError:
                if time.monotonic() > until:
                    raise
            time.sleep(_POLL)

    @property
    def _at_once(self) -> int:
        """How many segments are made at a time where it is not known how many there are."""
        return _IN_WORK * (self._cluster.workers or 8)

    def _process(self) -> type[Process[Any, Any]]:
        return _Process

    def _arguments(self) -> tuple[Video, int]:
        return self._video, next(self._serial)

    def _tasks_in_work(self, *, on_gpu: bool) -> int:
        del on_gpu
        return _IN_WORK

    def _message(self, what: int) -> int:
        return what

    def _name(self, what: int) -> str:
        return f"segment {what}"

    def _done(self, what: int, result: _Made) -> None:
        if result.failure is not None:
            raise result.failure
        if not result.frames:
            self._ends_before = min(what, what if self._ends_before is None else self._ends_before)
            return
        self._frames += result.frames
        self._reused += result.reused
        self._bytes += result.bytes_written
        if result.last:
            self._last = what
            self.drop_tasks(lambda number: number > what)
        elif self._last is None and self._ends_before is None:
            # The number of frames is what the file says, or unknown.
            further = what + (1 if self._planned.info.frames else self._at_once)
            self.add_tasks(range(self._next, further + 1))
            self._next = max(self._next, further + 1)
        total = self._planned.info.frames
        total = max(total, self._frames) if total else 0
        fraction = self._frames / total if total else 0.0
        self._tell(
            VideoProgress(
                self._frames, total, self._reused, self._bytes, joining=False, fraction=fraction
            )
        )

    def _failed(self, what: int, error: str) -> None:
        raise DeviceError(f"segment {what} was not made: {error}")


class RayRun:
    """One video that a cluster upscales, planned when this is created and begun by `run`.

    Attributes:
        video: What is made of it.
        planned: How it is made.
    """

    def __init__(self, driver: RayVideos, video: Video) -> None:
        """As `RayVideos.plan`, by absolute paths."""
        self.video = video
        files = video.source, video.target
        self.planned = VideoRun(*files, [], video.request, video.options, network=driver)
        self._driver = driver

    @property
    def notes(self) -> list[str]:
        """What cannot be kept, in words."""
        return self.planned.notes

    def run(
        self,
        *,
        restart: bool = False,
        report: Callable[[VideoProgress], object] = lambda _: None,
    ) -> VideoSummary:
        """Have the segments made that are missing, and put the result together.

        Args:
            restart: Forget the segments of an earlier run.
            report: Called with progress, in this thread. What it raises stops the run.

        Raises:
            Exception: As `VideoRun.run`.
            DeviceError: No worker can work, or workers end at a segment again and again.
        """
        return self._driver.make(self, restart=restart, report=report)


# What follows runs in the workers.


class _Process(Process[tuple[int, Segment | None] | Exception, _Made]):
    """A worker: its tasks are segments of one video, which it makes in their order."""

    def __init__(self, order: Order, video: Video, serial: int) -> None:
        super().__init__(order)
        self._video = video
        self._claims = Claims(serial)
        self._numbers: dict[int, int] = {}  # of the segments that are not told yet

    def load(self) -> None:
        """As `Process.load`.

        Raises:
            Exception: As `VideoRun`.
        """
        video = self._video
        upscalers = self._upscalers(GPU_RUNS if self._order.on_gpu else 1)
        run = VideoRun(video.source, video.target, upscalers, video.request, video.options)
        threading.Thread(target=self._run, args=(run,), daemon=True).start()

    def _run(self, run: VideoRun) -> None:
        try:
            while True:
                self._claims.wait()
                run.run_claims(self._claims, self._end)
        except Exception as error:
            self._ends.put(error)

    def _end(self, number: int, segment: Segment | None) -> None:
        self._claims.remove(number)
        self._ends.put((number, segment))

    def _begin(self, number: int, task: int) -> None:
        self._numbers[task] = number
        self._claims.add(task)

    def _told(self, event: tuple[int, Segment | None] | Exception) -> tuple[int, _Made]:
        if isinstance(event, Exception):
            number = self._numbers.pop(min(self._numbers))
            words = " ".join(str(event).split()) or type(event).__name__
            if isinstance(event, (DeviceError, OutOfMemoryError, MemoryError)):
                return number, _Made(error=words, by_device=True)
            if isinstance(event, av.error.FFmpegError):  # which is not sent as it is
                event = OSError(event.errno, event.strerror)
            return number, _Made(error=words, failure=event)
        name, segment = event
        number = self._numbers.pop(name)
        if segment is None:
            return number, _Made()
        size = segment.path.stat().st_size
        return number, _Made(len(segment.times), segment.reused, size, segment.last)
