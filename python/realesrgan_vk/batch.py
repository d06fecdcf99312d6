"""Many pictures: decoding, upscaling and encoding overlap in threads with bounded queues."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from realesrgan_vk import image_io
from realesrgan_vk.errors import Cancelled, RealesrganError
from realesrgan_vk.image_io.options import WriteOptions
from realesrgan_vk.jobs import Job
from realesrgan_vk.picture import Picture
from realesrgan_vk.request import Request
from realesrgan_vk.upscaler import Upscaler

Stage = Literal["decode", "upscale", "encode"]
_POLL = 0.1  # seconds until a waiting thread looks whether it should stop


@dataclass(frozen=True, slots=True)
class Event:
    """What happens to a job.

    Attributes:
        kind: "progress" comes many times, one of "done", "failed" and "skipped" ends the job.
        job: Which one.
        share: Finished share of the upscaling, 0..1.
        stage: Where a job failed.
        error: Why a job failed, in words.
        notes: What could not be kept, in words.
        width: Of the result, in pixels.
        height: Of the result, in pixels.
        seconds: From the start of decoding to the end of writing.
    """

    kind: Literal["progress", "done", "failed", "skipped"]
    job: Job
    share: float = 0.0
    stage: Stage | None = None
    error: str = ""
    notes: tuple[str, ...] = ()
    width: int = 0
    height: int = 0
    seconds: float = 0.0


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
    """

    request: Request = field(default_factory=Request)
    write: WriteOptions = field(default_factory=WriteOptions)
    skip_existing: bool = False
    max_pixels: int | None = image_io.DEFAULT_MAX_PIXELS
    load_threads: int = 1
    save_threads: int = 2
    retarget: Callable[[Job, Picture], Job] | None = None


@dataclass(slots=True)
class Summary:
    """How many jobs ended how."""

    done: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class _Item:
    job: Job
    picture: Picture
    started: float


class Batch:
    """Runs jobs through decoding, upscaling and encoding.

    Each of `upscalers` works in a thread of its own and takes the next decoded picture when it is
    free, so a fast device does more of them. Naming one upscaler several times gives it several
    threads.
    """

    def __init__(
        self,
        upscalers: Sequence[Upscaler],
        options: BatchOptions,
        report: Callable[[Event], object],
    ) -> None:
        """`report` is told every event, one at a time, from the threads."""
        self._upscalers = upscalers
        self._options = options
        self._report = report
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._summary = Summary()
        self._broken: BaseException | None = None
        self._decoded: queue.Queue[_Item | None] = queue.Queue(max(2, len(upscalers)))
        self._upscaled: queue.Queue[_Item | None] = queue.Queue(max(2, options.save_threads))

    def run(self, jobs: Sequence[Job]) -> Summary:
        """Do all jobs; one that fails is reported and the others go on.

        Raises:
            KeyboardInterrupt: Interrupted; what was being made is left out, nothing is half.
            Exception: What `report` raised.
        """
        pending = iter(jobs)
        loaders = self._start(self._options.load_threads, lambda _: self._load(pending))
        workers = self._start(len(self._upscalers), self._work)
        savers = self._start(self._options.save_threads, lambda _: self._save())
        try:
            self._join(loaders)
            self._end(self._decoded, len(workers))
            self._join(workers)
            self._end(self._upscaled, len(savers))
            self._join(savers)
        except BaseException:
            self._stop.set()
            for thread in (*loaders, *workers, *savers):
                thread.join()
            raise
        if self._broken is not None:
            raise self._broken
        return self._summary

    def _start(self, count: int, body: Callable[[int], None]) -> list[threading.Thread]:
        def guarded(index: int) -> None:
            try:
                body(index)
            except BaseException as error:  # a fault of `report`: stop everything and pass it on
                self._broken = self._broken or error
                self._stop.set()

        threads = [
            threading.Thread(target=guarded, args=(index,), daemon=True) for index in range(count)
        ]
        for thread in threads:
            thread.start()
        return threads

    def _join(self, threads: Sequence[threading.Thread]) -> None:
        for thread in threads:
            while thread.is_alive():  # a plain join() could not be interrupted on Windows
                thread.join(_POLL)

    def _end(self, items: "queue.Queue[_Item | None]", count: int) -> None:
        for _ in range(count):
            self._put(items, None)

    def _put(self, items: "queue.Queue[_Item | None]", item: _Item | None) -> None:
        while not self._stop.is_set():
            try:
                items.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return

    def _take(self, items: "queue.Queue[_Item | None]") -> Iterator[_Item]:
        while not self._stop.is_set():
            try:
                item = items.get(timeout=_POLL)
            except queue.Empty:
                continue
            if item is None:
                return
            yield item

    def _load(self, pending: Iterator[Job]) -> None:
        while not self._stop.is_set():
            with self._lock:
                job = next(pending, None)
            if job is None:
                return
            started = time.perf_counter()
            if self._options.skip_existing and job.target.exists():
                self._finish(Event("skipped", job))
                continue
            try:
                item = self._decode(job, started)
            except Exception as error:
                self._fail(job, "decode", error)
                continue
            if self._options.skip_existing and item.job.target.exists():
                self._finish(Event("skipped", item.job))
                continue
            self._put(self._decoded, item)

    def _decode(self, job: Job, started: float) -> _Item:
        picture = image_io.read(job.source, max_pixels=self._options.max_pixels)
        if self._options.retarget is not None:
            job = self._options.retarget(job, picture)
        scale = self._upscalers[0].scale
        size = self._options.request.size.of(picture.width, picture.height, scale)
        image_io.check_size(job.known, *size)
        return _Item(job, picture, started)

    def _work(self, index: int) -> None:
        upscaler = self._upscalers[index]
        for item in self._take(self._decoded):
            job = item.job

            def progress(share: float, job: Job = job) -> None:
                if self._stop.is_set():
                    raise Cancelled("the batch was stopped")
                self._tell(Event("progress", job, share=share))

            try:
                progress(0.0)
                done = upscaler.upscale_picture(item.picture, self._options.request, progress)
            except Cancelled:
                return
            except Exception as error:
                self._fail(job, "upscale", error)
                continue
            self._put(self._upscaled, replace(item, picture=done))

    def _save(self) -> None:
        for item in self._take(self._upscaled):
            job, picture = item.job, item.picture
            try:
                job.target.parent.mkdir(parents=True, exist_ok=True)
                notes = image_io.write(picture, job.target, self._options.write, known=job.known)
            except Exception as error:
                self._fail(job, "encode", error)
                continue
            self._finish(
                Event(
                    "done",
                    job,
                    share=1.0,
                    notes=(*picture.notes, *notes),
                    width=picture.width,
                    height=picture.height,
                    seconds=time.perf_counter() - item.started,
                )
            )

    def _fail(self, job: Job, stage: Stage, error: Exception) -> None:
        known = isinstance(error, (RealesrganError, OSError))
        words = str(error) if known else f"{type(error).__name__}: {error}"
        self._finish(Event("failed", job, stage=stage, error=" ".join(words.split())))

    def _finish(self, event: Event) -> None:
        with self._lock:
            self._summary.done += event.kind == "done"
            self._summary.failed += event.kind == "failed"
            self._summary.skipped += event.kind == "skipped"
        self._tell(event)

    def _tell(self, event: Event) -> None:
        with self._lock:
            self._report(event)
