"""Many pictures: decoding, upscaling and encoding overlap in threads with bounded queues."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from realesrgan_vk import image_io
from realesrgan_vk.batch import events
from realesrgan_vk.batch.jobs import Job
from realesrgan_vk.errors import (
    NO_MEMORY,
    NO_THREAD,
    Cancelled,
    DeviceError,
    OutOfMemoryError,
    RealesrganError,
    printable,
)
from realesrgan_vk.image_io.atomic import folder_of, remove_leftovers
from realesrgan_vk.image_io.limits import ResultSizeError, check_frames
from realesrgan_vk.image_io.streams import is_stream
from realesrgan_vk.image_io.urls import UrlPath
from realesrgan_vk.imaging.picture import Picture, Pixels
from realesrgan_vk.models.checksums import bytes_sha256
from realesrgan_vk.models.registry import Model
from realesrgan_vk.options import DEFAULT_MAX_PIXELS, Request, WriteOptions
from realesrgan_vk.processing.mask import mask_of
from realesrgan_vk.processing.work_queue import WorkQueue
from realesrgan_vk.upscaler import Upscaler

_DEVICE_PATIENCE, _PIPE_PATIENCE = 5.0, 1.0  # seconds at the end of an interrupted run
_POLL = 0.1  # seconds until a waiting thread looks whether it should stop


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How a batch runs.

    Attributes:
        request: What to make of each picture.
        write: How to write the results.
        skip_existing: Leave out jobs whose target exists.
        max_pixels: Refuse larger sources; None: never.
        load_threads: Threads that decode.
        save_threads: Threads that encode.
        retarget: May change a job once its picture is decoded.
        hashes: Whether `Done` tells the SHA-256 of results.
    """

    request: Request = field(default_factory=Request)
    write: WriteOptions = field(default_factory=WriteOptions)
    skip_existing: bool = False
    max_pixels: int | None = DEFAULT_MAX_PIXELS
    load_threads: int = 1
    save_threads: int = 2
    retarget: Callable[[Job, Picture], Job] | None = None
    hashes: bool = False


@dataclass(frozen=True, slots=True)
class _Item:
    """A decoded picture or a result, the seconds that work on it has taken, and its mask."""

    job: Job
    picture: Picture
    seconds: float
    mask: Pixels | None = None


class _Thread(threading.Thread):
    """A thread whose end can be waited for again after the wait was interrupted.

    `Thread.join` takes a thread for ended when a signal's handler raises in it (Python below 3.13).
    """

    def __init__(self, body: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._body = body
        self.ended = threading.Event()

    def run(self) -> None:
        """Do the work."""
        try:
            self._body()
        finally:
            self.ended.set()


class Batch:
    """Runs jobs through decoding, upscaling and encoding.

    Each of `upscalers` works in a thread of its own and takes the next decoded picture when it is
    free, so a fast device does more of them. One that is listed several times has several threads.
    One whose device fails gets no more pictures, as long as there is another one.

    Attributes:
        summary: How many jobs have ended how.
    """

    def __init__(
        self,
        upscalers: Sequence[Upscaler],
        options: BatchOptions,
        report: Callable[[events.Event], object],
    ) -> None:
        """`report` is called with every event, one at a time, from the threads."""
        self.summary = events.Summary()
        self._upscalers = upscalers
        self._options = options
        self._report = report
        self._lock = threading.Lock()
        self._stop = threading.Event()
        # An interruption may lose a thread that is being started: none works before all are.
        self._go = threading.Event()
        self._error: BaseException | None = None
        self._taking = threading.Lock()
        self._folders: set[Path | None] = set()  # of the results of jobs that were taken
        self._unbounded = False  # whether one of these jobs may wait for another program for ever
        self._retired: set[int] = set()
        self._workers: list[_Thread] = []
        self._started: list[_Thread] = []
        self._decoded: WorkQueue[_Item] = WorkQueue(max(2, len(upscalers)))
        self._upscaled: WorkQueue[_Item] = WorkQueue(max(2, options.save_threads))

    @property
    def model(self) -> Model:
        """The network."""
        return self._upscalers[0].model

    @property
    def scale(self) -> int:
        """The network's scale."""
        return self._upscalers[0].scale

    @property
    def device(self) -> int:
        """The first device's index, or -1 for the CPU."""
        return self._upscalers[0].device

    def run(self, jobs: Iterable[Job]) -> events.Summary:
        """Do all jobs; one that fails is reported and the others go on.

        Args:
            jobs: They may come while others are in work; the next one is asked for by one thread at
                a time.

        Raises:
            OutOfMemoryError: The system cannot start the threads.
            KeyboardInterrupt: Interrupted; every file is whole or not there.
            Exception: What `report` raised.
        """
        pending = iter(jobs)
        try:
            loaders = self._start([partial(self._load, pending)] * self._options.load_threads)
            self._workers = self._start([partial(self._work, each) for each in self._upscalers])
            savers = self._start([self._save] * self._options.save_threads)
            self._go.set()
            self._join(loaders)
            self._decoded.close()
            self._join(self._workers)
            self._upscaled.close()
            self._join(savers)
        except BaseException:
            self._halt()
            self._wait_for_threads()
            raise
        if self._error is not None:
            raise self._error
        return self.summary

    def _wait_for_threads(self) -> None:
        """Wait until files are written, and for a limited time for a device, a pipe or a store.

        A device may compute for long before it can be stopped, a pipe may wait for another program.
        An upload that is left does not appear.
        """
        for thread in self._started:
            if thread in self._workers:
                thread.ended.wait(_DEVICE_PATIENCE)
            else:
                thread.ended.wait(_PIPE_PATIENCE if self._unbounded else None)

    def _start(self, bodies: Sequence[Callable[[], None]]) -> list[_Thread]:
        def guarded(body: Callable[[], None]) -> None:
            self._go.wait()
            try:
                body()
            except BaseException as error:  # `report` raised: stop all threads, raise it in `run`
                self._error = self._error or error
                self._halt()

        threads = [_Thread(partial(guarded, body)) for body in bodies]
        for thread in threads:
            try:
                thread.start()
            except RuntimeError as error:  # "can't start new thread"
                raise OutOfMemoryError(NO_THREAD) from error
            self._started.append(thread)
        return threads

    def _join(self, threads: Sequence[_Thread]) -> None:
        for thread in threads:
            while not thread.ended.wait(_POLL):  # without a time it could not be interrupted
                pass

    def _halt(self) -> None:
        self._stop.set()
        self._decoded.stop()
        self._upscaled.stop()
        self._go.set()

    def _load(self, pending: Iterator[Job]) -> None:
        while not self._stop.is_set():
            job = self._take(pending)
            if job is None:
                return
            started = time.perf_counter()
            try:
                skipped = self._is_there(job)
                if not skipped:
                    item = self._decode(job, started)
                    job = item.job
                    skipped = self._is_there(job)
            except (ResultSizeError, OutOfMemoryError) as error:
                self._fail(job, "size", error)
                continue
            except Exception as error:
                self._fail(job, "decode", error)
                continue
            if skipped:
                self._tell(events.Skipped(job))
            else:
                self._decoded.put(item)

    def _take(self, pending: Iterator[Job]) -> Job | None:
        """The next job; what killed processes left in its folder is removed with the first one."""
        with self._taking:
            job = next(pending, None)
            if job is None:
                return None
            for path in (job.source, job.target):
                self._unbounded |= is_stream(path) or isinstance(path, UrlPath)
            folder = folder_of(job.target)
            if folder not in self._folders:
                self._folders.add(folder)
                remove_leftovers([] if folder is None else [folder])
            return job

    def _is_there(self, job: Job) -> bool:
        return self._options.skip_existing and job.target.is_file() and not is_stream(job.target)

    def _decode(self, job: Job, started: float) -> _Item:
        retarget = self._options.retarget

        def accept(header: image_io.Header) -> None:
            # A job that may yet change its format is only checked afterwards.
            self._check(job, header, format_is_sure=retarget is None or not header.has_alpha)

        picture = image_io.read(job.source, max_pixels=self._options.max_pixels, accept=accept)
        if retarget is not None:
            job = retarget(job, picture)
        size = (picture.width, picture.height, len(picture.frames))
        self._check(job, image_io.Header(*size), format_is_sure=True)
        mask = None
        if job.mask is not None:
            target = self._options.request.size.of(*size[:2], self.scale)
            mask = mask_of(job.mask, size[:2], target).pixels
        return _Item(job, picture, time.perf_counter() - started, mask)

    def _check(self, job: Job, header: image_io.Header, *, format_is_sure: bool) -> None:
        """Refuse what its format or the memory cannot hold, before any work."""
        width, height = self._options.request.size.of(header.width, header.height, self.scale)
        if format_is_sure:
            image_io.check_size(job.known, width, height)
        check_frames(header.frames, width, height)

    def _work(self, upscaler: Upscaler) -> None:
        for item in self._decoded:
            if id(upscaler) in self._retired:  # by another thread of the same device
                self._decoded.give_back(item)
                return
            started = time.perf_counter()
            try:
                large = self._upscale(upscaler, item)
            except Cancelled:
                return
            except DeviceError as error:
                if self._retire(upscaler, item.job, error):
                    self._decoded.give_back(item)
                    return
                self._fail(item.job, "upscale", error, by_device=True)
            except Exception as error:
                self._fail(item.job, "upscale", error)
            else:
                seconds = item.seconds + time.perf_counter() - started
                self._upscaled.put(_Item(item.job, large, seconds))
            self._decoded.done()

    def _upscale(self, upscaler: Upscaler, item: _Item) -> Picture:
        def progress(fraction: float) -> None:
            if self._stop.is_set():
                raise Cancelled("the batch was stopped")
            self._tell(events.Progress(item.job, fraction))

        progress(0.0)
        return upscaler.upscale_picture(item.picture, self._options.request, progress, item.mask)

    def _retire(self, upscaler: Upscaler, job: Job, error: DeviceError) -> bool:
        """Give a device no more pictures; False where no other is left."""
        with self._lock:
            others = {id(other) for other in self._upscalers} - self._retired - {id(upscaler)}
            new = bool(others) and id(upscaler) not in self._retired
            if others:
                self._retired.add(id(upscaler))
        if new:
            self._tell(events.Retired(job, _in_words(error, job)))
        return bool(others)

    def _save(self) -> None:
        for item in self._upscaled:
            job, picture = item.job, item.picture
            started = time.perf_counter()
            digest = ""

            def see(content: bytes) -> None:
                nonlocal digest
                digest = bytes_sha256(content) if self._options.hashes else ""

            try:
                job.target.parent.mkdir(parents=True, exist_ok=True)
                notes = image_io.write(
                    picture, job.target, self._options.write, known=job.known, seen=see
                )
            except Exception as error:
                self._fail(job, "encode", error)
            else:
                seconds = item.seconds + time.perf_counter() - started
                all_notes = (*picture.notes, *notes)
                size = picture.width, picture.height
                self._tell(events.Done(job, *size, seconds, all_notes, digest))
            self._upscaled.done()

    def _fail(
        self, job: Job, stage: events.Stage, error: Exception, *, by_device: bool = False
    ) -> None:
        self._tell(events.Failed(job, stage, _in_words(error, job), by_device))

    def _tell(self, event: events.Event) -> None:
        with self._lock:
            self.summary.count(event)
            self._report(event)


def _in_words(error: Exception, job: Job) -> str:
    """In one line; the job's paths in it are `printable`."""
    if isinstance(error, MemoryError):
        return NO_MEMORY
    known = isinstance(error, (RealesrganError, OSError))
    words = str(error) if known else f"{type(error).__name__}: {error}"
    for path in (job.source, job.target):
        words = words.replace(str(path), printable(path))
    return " ".join(words.split())
