"""The workers: a thread a device, which does one job at a time; and the plans of jobs."""

from __future__ import annotations

import shutil
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realesrgan_vk._core import CPU_DEVICE
from realesrgan_vk.batch import Batch, BatchOptions, Done, Event, Failed, Progress
from realesrgan_vk.batch.jobs import Job
from realesrgan_vk.batch.workers import load_upscalers
from realesrgan_vk.checks import format_bytes
from realesrgan_vk.devices import find_device, list_devices
from realesrgan_vk.errors import (
    Cancelled,
    ImageError,
    ModelError,
    OutOfMemoryError,
    RealesrganError,
)
from realesrgan_vk.image_io import Header, check_size
from realesrgan_vk.image_io.formats import Format
from realesrgan_vk.image_io.limits import ResultSizeError
from realesrgan_vk.options import UpscalerOptions
from realesrgan_vk.page import videos
from realesrgan_vk.page.jobs import Jobs, PageJob
from realesrgan_vk.page.parameters import JobOptions
from realesrgan_vk.page.problems import Problem
from realesrgan_vk.page.settings import Settings
from realesrgan_vk.processing.processor import PassCount
from realesrgan_vk.upscaler import Upscaler

if TYPE_CHECKING:
    from realesrgan_vk.video import VideoInfo, VideoProgress

_MOST_LOADED = 2  # networks of a device
_ORIENTATIONS = 8  # that `tta` runs
_PROBES = (32, 128, 512)  # sides of the pictures that are timed
_PROBE_SECONDS = 0.01  # a probe that takes less is followed by the next one
_STOP_SECONDS = 5.0  # until a device must have stopped at the end
_Key = tuple[str, UpscalerOptions]


class Worker:
    """One device: its loaded networks, its queue, and its thread."""

    def __init__(self, device: str | int, index: int, settings: Settings, jobs: Jobs) -> None:
        """`index` is the Vulkan device's, or `CPU_DEVICE`; `device` is how it was asked for."""
        self.index = index
        self.id = "cpu" if index == CPU_DEVICE else str(index)
        self._device = device
        self._has_fp16 = any(each.index == index and each.fp16_storage for each in list_devices())
        self._settings = settings
        self._jobs = jobs
        self._waiting: deque[PageJob] = deque()
        self._condition = threading.Condition()
        self._stopping = False
        self._busy = threading.Lock()  # held by who computes
        self._loading = threading.Lock()
        self._loaded: OrderedDict[_Key, Upscaler] = OrderedDict()
        self._rates: dict[_Key, float] = {}  # seconds for an input pixel
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"device-{self.id}")

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the job in work, which is queued again at the next start of the server."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        self._thread.join(_STOP_SECONDS)

    def put(self, job: PageJob) -> None:
        """Add a job to the queue."""
        with self._condition:
            self._waiting.append(job)
            self._condition.notify()

    @property
    def load(self) -> int:
        """Jobs that wait or run here."""
        return len(self._waiting) + self._busy.locked()

    def plan(self, header: Header, options: JobOptions, known: Format | None) -> dict[str, Any]:
        """What a picture takes: sizes, memory, and time, which a short run on this device tells.

        Args:
            header: Of the picture.
            options: What is asked for.
            known: The result's format; None: not decided.

        Raises:
            Problem: The result cannot be made (422), or the network cannot be run (503).
        """
        self._check_precision(options)
        try:
            upscaler = self._upscaler(options)
            width, height = header.width, header.height
            target = options.request.size.of(width, height, upscaler.scale)
            self._check_result_size(*target, header.frames)
            if known is not None:
                check_size(known, *target)
            passes = PassCount.to(width, height, target, upscaler.scale)
            grown = passes.scale ** (passes.runs - 1)
            run = upscaler.plan((width * grown, height * grown), max_pixels=None)
        except (ResultSizeError, ModelError, OutOfMemoryError, ValueError, TypeError) as error:
            raise Problem(422, str(error)) from error
        except RealesrganError as error:
            raise Problem(503, str(error)) from error
        with_alpha = header.has_alpha and options.request.alpha == "network"
        rate = self._rate(options)
        work = passes.work * header.frames * (1 + with_alpha)
        return {
            "kind": "picture",
            "frames": header.frames,
            "width": width,
            "height": height,
            "result_width": target[0],
            "result_height": target[1],
            "model": upscaler.model.name,
            "device": self.id,
            "path": run.path,
            "memory_bytes": run.memory_bytes["total"],
            "picture_bytes": run.picture_bytes,
            "seconds": None if rate is None else float(f"{work * rate:.3g}"),
        }

    def plan_video(
        self, path: Path, info: VideoInfo, options: JobOptions, suffix: str
    ) -> dict[str, Any]:
        """What a video takes, as `plan` tells it of a picture.

        Args:
            path: The file.
            info: What is known of it.
            options: What is asked for.
            suffix: Of the result.

        Raises:
            Problem: The result cannot be made (422), or the network cannot be run (503).
        """
        self._check_precision(options)
        try:
            upscaler = self._upscaler(options)
            width, height = info.width, info.height
            self._check_result_size(*options.request.size.of(width, height, upscaler.scale))
            made = videos.planned(path, path.with_name("result"), suffix, upscaler, options)
            disk, most = 2 * made.estimated_bytes, self._settings.keep_bytes
            if disk > most:
                raise Problem(
                    422,
                    f"the video needs about {format_bytes(disk)} on the disk, more than the "
                    f"{format_bytes(most)} that this server keeps; ask for a smaller size",
                )
            work = PassCount.to(width, height, made.size, upscaler.scale).work * info.frames
            run = upscaler.plan((width, height), max_pixels=None)
        except (ImageError, ModelError, OutOfMemoryError, OSError, ValueError) as error:
            raise Problem(422, str(error).replace(str(path), options.name)) from error
        except RealesrganError as error:
            raise Problem(503, str(error)) from error
        rate = self._rate(options)
        return {
            "kind": "video",
            "frames": info.frames,
            "width": width,
            "height": height,
            "result_width": made.size[0],
            "result_height": made.size[1],
            "model": upscaler.model.name,
            "device": self.id,
            "path": run.path,
            "memory_bytes": run.memory_bytes["total"],
            "picture_bytes": made.frame_bytes,
            "seconds": None if rate is None or not work else float(f"{work * rate:.3g}"),
        }

    def _check_precision(self, options: JobOptions) -> None:
        if options.upscaler.precision == "fp16" and not self._has_fp16:
            raise Problem(422, "precision is fp16, which this device does not have; take auto")

    def _check_result_size(self, width: int, height: int, frames: int = 1) -> None:
        most = self._settings.max_result_pixels
        if width * height * frames > most:
            raise Problem(
                422,
                f"the result would have {width} x {height} pixels, more than the {most} that this "
                "server makes; ask for a smaller size",
            )

    def _key(self, options: JobOptions) -> _Key:
        return options.model, replace(
            options.upscaler,
            threads=self._settings.threads,
            memory_limit=self._settings.memory_limit,
        )

    def _upscaler(self, options: JobOptions) -> Upscaler:
        """The network, loaded as the command loads it for one picture."""
        key = self._key(options)
        with self._loading:
            upscaler = self._loaded.get(key)
            if upscaler is None:
                (upscaler,) = load_upscalers(*key, [self._device], pictures=1)
            self._loaded[key] = upscaler
            self._loaded.move_to_end(key)
            while len(self._loaded) > _MOST_LOADED:
                self._loaded.popitem(last=False)
        return upscaler

    def _forget(self, options: JobOptions) -> None:
        """Load this network anew next time: its device has failed."""
        with self._loading:
            self._loaded.pop(self._key(options), None)

    def _rate(self, options: JobOptions) -> float | None:
        """Seconds for an input pixel; None while the device is at work and none is known."""
        key = self._key(options)
        if key not in self._rates and options.upscaler.tta:
            once = replace(options, upscaler=replace(options.upscaler, tta=False))
            rate = self._rate(once)
            return None if rate is None else rate * _ORIENTATIONS
        if key not in self._rates and self._busy.acquire(blocking=False):
            try:
                self._rates[key] = _timed(self._upscaler(options))
            except (RealesrganError, MemoryError):
                return None
            finally:
                self._busy.release()
        return self._rates.get(key)

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._waiting)
                if self._stopping:
                    return
                job = self._waiting.popleft()
            if self._jobs.begin(job):
                with self._busy:
                    (self._run_video if job.is_video else self._run)(job)
                with suppress(OSError):
                    self._jobs.expire()

    def _run(self, job: PageJob) -> None:
        ended: list[Event] = []
        times: list[float] = []

        def report(event: Event) -> None:
            if not isinstance(event, Progress):
                ended.append(event)
                return
            if job.cancelled or self._stopping:
                raise Cancelled("the job was stopped")
            times.append(time.perf_counter())
            del times[1:-1]
            self._jobs.change(job, fraction=event.fraction)

        try:
            upscaler = self._upscaler(job.options)
            known, _ = job.options.format_of(_start(job.original_file))
            options = BatchOptions(
                request=job.options.request,
                write=job.options.write,
                max_pixels=self._settings.max_pixels,
            )
            Batch([upscaler], options, report).run([Job(job.original_file, job.result_file, known)])
        except (RealesrganError, OSError, ValueError, MemoryError) as error:
            self._fail(job, f"{error}" or "there is not enough memory")
            return
        if job.cancelled:
            job.result_file.unlink(missing_ok=True)
            self._jobs.change(job, status="cancelled")
        elif not ended:  # the server stops
            self._jobs.change(job, status="queued", fraction=0.0)
        elif isinstance(ended[-1], Done):
            self._finish(job, ended[-1], upscaler, times[-1] - times[0])
        elif isinstance(ended[-1], Failed):
            self._forget(job.options)
            self._fail(job, ended[-1].error)

    def _run_video(self, job: PageJob) -> None:
        began: list[float] = []
        frames = 0

        def stop() -> None:
            if job.cancelled or self._stopping:
                raise Cancelled("the job was stopped")

        def report(progress: VideoProgress) -> None:
            nonlocal frames
            stop()
            frames += not progress.joining
            began.append(time.perf_counter())
            del began[1:-1]
            speed = (frames - 1) / (began[-1] - began[0]) if frames > 1 else None
            self._jobs.change(job, fraction=progress.fraction, frames_per_second=speed)

        def shown() -> None:
            self._jobs.change(job, shown=job.shown + 1)

        try:
            upscaler = self._upscaler(job.options)
            summary, notes = videos.run(job, upscaler, report, stop, shown)
        except Cancelled:
            if job.cancelled:
                for work in job.folder.glob("*.realesrgan"):
                    shutil.rmtree(work, ignore_errors=True)
                self._jobs.change(job, status="cancelled", frames_per_second=None)
            else:  # the server stops; the next one goes on from what is finished
                self._jobs.change(job, status="queued", fraction=0.0, frames_per_second=None)
            return
        except (RealesrganError, OSError, ValueError, MemoryError) as error:
            if isinstance(error, RealesrganError):
                self._forget(job.options)
            self._fail(job, f"{error}" or "there is not enough memory")
            return
        self._jobs.change(
            job,
            status="done",
            fraction=1.0,
            result={
                "width": summary.width,
                "height": summary.height,
                "bytes": summary.bytes_written,
            },
            seconds=round(summary.seconds, 3),
            notes=tuple(notes),
            frames_per_second=None,
        )

    def _finish(self, job: PageJob, done: Done, upscaler: Upscaler, seconds: float) -> None:
        frames = int(job.source["frames"])
        target = (done.width, done.height)
        width, height = int(job.source["width"]), int(job.source["height"])
        work = PassCount.to(width, height, target, upscaler.scale).work * frames
        plain = not job.source["has_alpha"] and job.options.request.faces is None
        if plain and seconds > 5 * _PROBE_SECONDS:
            self._rates[self._key(job.options)] = seconds / work
        size = job.result_file.stat().st_size
        self._jobs.change(
            job,
            status="done",
            fraction=1.0,
            result={"width": done.width, "height": done.height, "bytes": size},
            seconds=round(done.seconds, 3),
            notes=done.notes,
        )

    def _fail(self, job: PageJob, words: str) -> None:
        named = words.replace(str(job.original_file), job.options.name)
        named = named.replace(str(job.result_file), job.result_name)
        self._jobs.change(job, status="failed", error=named)


class Workers:
    """The workers of all devices."""

    def __init__(self, settings: Settings, jobs: Jobs) -> None:
        """Find the devices.

        Raises:
            DeviceError: There is no such device.
        """
        known = list_devices()
        found = {find_device(device, known): device for device in settings.devices}
        self._workers = [Worker(device, index, settings, jobs) for index, device in found.items()]
        self._names = {device.index: device.name for device in known}

    def start(self, waiting: list[PageJob]) -> None:
        """Begin with the jobs that an earlier run of the server has left."""
        for job in waiting:
            try:
                self.of(job.options.device).put(job)
            except Problem:  # that device is not served any more
                self._workers[0].put(job)
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """Stop all."""
        for worker in self._workers:
            worker.stop()

    def of(self, device: str) -> Worker:
        """The worker of a device; of `auto` the one with the fewest jobs.

        Raises:
            Problem: It is not served (422).
        """
        if device == "auto":
            return min(self._workers, key=lambda worker: worker.load)
        for worker in self._workers:
            if device == worker.id:
                return worker
        served = ", ".join(worker.id for worker in self._workers)
        raise Problem(422, f"device is {device[:60]!r}; it must be auto or one of {served}")

    def listed(self) -> list[Mapping[str, Any]]:
        """The devices, for the API."""
        return [
            {
                "id": worker.id,
                "name": self._names.get(worker.index, "CPU"),
                "jobs": worker.load,
            }
            for worker in self._workers
        ]


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _timed(upscaler: Upscaler) -> float:
    """Seconds for an input pixel of a run, measured on a small picture."""
    rate = 0.0
    for side in _PROBES:
        picture = np.full((side, side, 3), 128, np.uint8)
        if side == _PROBES[0]:
            upscaler.upscale(picture)  # makes what later runs find
        started = time.perf_counter()
        upscaler.upscale(picture)
        seconds = time.perf_counter() - started
        rate = seconds / side**2
        if seconds > _PROBE_SECONDS:
            break
    return rate
