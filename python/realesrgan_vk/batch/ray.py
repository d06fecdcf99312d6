"""Many pictures on a Ray cluster: a worker process a device, which gets paths and no pixels.

The driver, which is the process that calls `upscale_dataset`, plans the names of all results and
hands the pictures to the workers. Each worker holds an `Upscaler` and runs the pictures through the
same threads as a batch on one machine, so results have the same bytes. It reads the sources and
writes the results itself, whole or not at all, on a disk that all machines see. What travels
through Ray is small enough for its messages: nothing is put into the object store.
"""

from __future__ import annotations

import os
import platform
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict

from realesrgan_vk.batch import events
from realesrgan_vk.batch.cluster import Cluster, Driver, Order, Process, require_ray
from realesrgan_vk.batch.jobs import (
    DEFAULT_TEMPLATE,
    Job,
    Naming,
    find_sources,
    plan_jobs,
    refuse_unwritable,
)
from realesrgan_vk.batch.pipeline import Batch, BatchOptions
from realesrgan_vk.image_io.formats import PNG, SUFFIXES, format_for
from realesrgan_vk.image_io.streams import is_stream
from realesrgan_vk.image_io.urls import absolute, path_of
from realesrgan_vk.options import (
    DEFAULT_MAX_PIXELS,
    AlphaMethod,
    FaceOptions,
    Light,
    Precision,
    Request,
    TargetSize,
    Tile,
    UpscalerOptions,
    WriteOptions,
)
from realesrgan_vk.upscaler import DEFAULT_MODEL

__all__ = ["Cluster", "Row", "upscale_dataset"]

_IN_WORK_CPU = 2  # pictures of a worker: one is decoded or encoded while the other is computed
_IN_WORK_GPU = 4  # one is decoded, one computed, two are encoded

Status = Literal["done", "failed", "skipped"]


class Row(TypedDict):
    """What became of one picture.

    Attributes:
        source: The picture, as it was given or found.
        target: The result's path.
        status: "done", "failed", or "skipped": the result was there.
        stage: Where it failed: "decode", "size", "upscale" or "encode"; else empty.
        error: Why it failed, in words; else empty.
        seconds: Of its decoding, upscaling, encoding and writing; 0 of one that is not done.
        sha256: Of the result's bytes, in hexadecimal; empty of one that is not done now.
        width: Of the result, in pixels; 0 of one that is not done now.
        height: Of the result, in pixels; 0 of one that is not done now.
        notes: What could not be kept, in words.
        worker: Machine and process that ended it, as "HOST:PID"; empty where none did.
    """

    source: str
    target: str
    status: Status
    stage: events.Stage | Literal[""]
    error: str
    seconds: float
    sha256: str
    width: int
    height: int
    notes: list[str]
    worker: str


class Dataset(Protocol):
    """A Ray Dataset, as far as it is used here."""

    def iter_rows(self) -> Iterable[dict[str, Any]]:
        """Its rows."""
        ...


def upscale_dataset(
    pictures: Dataset | Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    device: str | int = "auto",
    precision: Precision = "auto",
    tile: int | Tile = "auto",
    tta: bool = False,
    denoise: float | None = None,
    memory_limit: int | str | None = None,
    scale: float | None = None,
    width: int | None = None,
    height: int | None = None,
    long_edge: int | None = None,
    alpha: AlphaMethod = "network",
    light: Light = "gamma",
    strength: float = 1.0,
    faces: FaceOptions | None = None,
    format: str | None = None,  # noqa: A002 - the word of the command's option
    name: str = DEFAULT_TEMPLATE,
    write: WriteOptions | None = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    recursive: bool = False,
    skip_existing: bool = True,
    column: str = "path",
    address: str | None = None,
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    cpus_per_worker: float = 1.0,
    report: Callable[[Row], object] | None = None,
) -> list[Row]:
    """Upscale pictures on a Ray cluster; wait for the last one.

    A picture that fails does not stop the others. A worker that ends, for example because its
    machine is lost, is replaced, and its pictures are done again; a picture at which workers end
    three times fails. Each result appears whole or not at all, so that an interrupted call can be
    repeated: it goes on with what is missing.

    Args:
        pictures: Files, folders, patterns and URLs as the command `realesrgan-vk upscale` takes
            them; one or several, or a Ray Dataset with a column of them. All machines must see them
            under the same paths.
        output: The folder of results, or its URL.
        model: As `Upscaler` takes it; a network given by its path must be there on all machines.
        device: "auto": the GPU that Ray gave to the worker, else the CPU. Others as `Upscaler`
            takes it, the same on all machines.
        precision: As `Upscaler` takes it.
        tile: As `Upscaler` takes it.
        tta: As `Upscaler` takes it.
        denoise: As `Upscaler` takes it.
        memory_limit: Bytes that a picture may use on the device; None: a share of what is free.
        scale: Output pixels per input pixel; None: the network's own, when no size is asked for.
        width: Output width in pixels.
        height: Output height in pixels.
        long_edge: Longer side of the output in pixels.
        alpha: What upscales an alpha channel.
        light: Whether the final resampling averages encoded values or linear light.
        strength: How much of the network's result is in the picture, 0..1.
        faces: Which faces are restored, and how; None: none.
        format: The file type of results, such as "png"; None: as the source.
        name: Names of results without suffix; `{stem}`, `{suffix}`, `{model}`, `{scale}` and
            `{index}` are replaced.
        write: How results are written; None: as the command does without options.
        max_pixels: Refuse larger sources; None: never.
        recursive: Read the subfolders of folders, too.
        skip_existing: Leave out pictures whose result exists.
        column: Of a Ray Dataset: the column with the paths.
        address: Of the cluster; None: one that is found, else one that is started (`Cluster`).
        workers: How many there are at most; None: as many as the cluster has room for.
        gpus_per_worker: Of the GPUs that Ray counts; None: 1 where there are some, else 0.
        cpus_per_worker: Of the processors that Ray counts.
        report: Called with each row as soon as it is known, in this thread.

    Returns:
        A row for each picture, in the order of the pictures.

    Raises:
        TypeError, ValueError: An argument of the wrong type, or out of range; a folder without
            pictures, or an output that cannot be written.
        ImportError: Ray is not installed.
        ModelError: No such network.
        DeviceError: No worker has a device that can be used, or no cluster is at the address.
    """
    require_ray()
    suffix = None if format is None else f".{format.lower().removeprefix('.')}"
    if suffix is not None and suffix not in SUFFIXES:
        known = ", ".join(sorted(each[1:] for each in SUFFIXES))
        raise ValueError(f"format {format!r} is not one of {known}")
    size = TargetSize(scale, width, height, long_edge)
    options = UpscalerOptions(
        device=device,
        precision=precision,
        tile=tile,
        tta=tta,
        denoise=denoise,
        memory_limit=memory_limit,  # type: ignore[arg-type]  # converts
    )
    settings = BatchOptions(
        request=Request(size, alpha, light, faces=faces, strength=strength),
        write=write or WriteOptions(),
        skip_existing=skip_existing,
        max_pixels=max_pixels,
    )
    cluster = Cluster(
        address=address,
        workers=workers,
        gpus_per_worker=gpus_per_worker,
        cpus_per_worker=cpus_per_worker,
    )
    folder = path_of(output)
    given = _given(pictures, column)
    sources = find_sources(given, recursive=recursive, output=str(folder)).pictures
    for source, _ in sources:
        if is_stream(source):
            raise ValueError(f"{source} is a stream, which other machines do not see; name files")
    refuse_unwritable(folder)
    rows: dict[Job, Row] = {}

    def keep(job: Job, row: Row) -> None:
        rows[job] = row
        if report is not None:
            report(row)

    batch = RayBatch(model, options, settings, cluster, keep)
    naming = Naming(name, suffix, batch.model.name, f"{scale or batch.scale:g}")
    jobs = plan_jobs(sources, folder, naming)
    batch.run(jobs)
    return [rows[job] for job in jobs]


def event_of(job: Job, row: Row) -> events.Event:
    """A row as the last event of its job."""
    if row["status"] == "skipped":
        return events.Skipped(job)
    if row["status"] == "failed":
        return events.Failed(job, row["stage"] or "upscale", row["error"])
    notes = tuple(row["notes"])
    return events.Done(job, row["width"], row["height"], row["seconds"], notes, row["sha256"])


class RayBatch(Driver[Job, "_Result"]):
    """Runs jobs on a Ray cluster.

    Attributes:
        device: "ray".
        summary: How many jobs have ended how.
    """

    device = "ray"

    def __init__(
        self,
        model: str | os.PathLike[str],
        options: UpscalerOptions,
        settings: BatchOptions,
        cluster: Cluster,
        report: Callable[[Job, Row], object],
        *,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Find the network; Ray is not started before `run`.

        Args:
            model: As `Upscaler` takes it.
            options: How the network is run; the device is "auto", or one of every machine.
            settings: What is made of each picture, without `retarget`.
            cluster: Who works.
            report: Called with each row, in the thread of `run`.
            note: Called with what to know that is no failure.

        Raises:
            ModelError: No such network.
        """
        super().__init__(model, options, cluster, note)
        self.summary = events.Summary()
        self._settings, self._report = settings, report

    def run(self, jobs: Sequence[Job]) -> events.Summary:
        """Do all jobs, which read and write files; one that fails is reported, the others go on.

        Raises:
            ModelError, DeviceError: No worker can work, or no cluster is at the address.
            KeyboardInterrupt: Interrupted; every file is whole or not there.
        """
        missing = []
        for job in jobs:
            if self._settings.skip_existing and job.target.is_file():
                self._tell(job, _row(job, "skipped"))
            else:
                missing.append(job)
        self.add_tasks(missing)
        self.run_tasks()
        return self.summary

    def _process(self) -> type[Process[Any, Any]]:
        return _Process

    def _arguments(self) -> tuple[BatchOptions]:
        return (replace(self._settings, skip_existing=False, hashes=True),)

    def _tasks_in_work(self, *, on_gpu: bool) -> int:
        return _IN_WORK_GPU if on_gpu else _IN_WORK_CPU

    def _message(self, what: Job) -> list[str]:
        return absolute([what.source, what.target])

    def _name(self, what: Job) -> str:
        return what.source.name

    def _done(self, what: Job, result: _Result) -> None:
        self._tell(what, _row(what, result.status, result))

    def _failed(self, what: Job, error: str) -> None:
        self._tell(what, _row(what, "failed", _Result("failed", "upscale", error)))

    def _tell(self, job: Job, row: Row) -> None:
        self.summary.count(event_of(job, row))
        self._report(job, row)


def _given(
    pictures: Dataset | Iterable[str | os.PathLike[str]] | str | os.PathLike[str], column: str
) -> list[str]:
    """The paths of a dataset's column, of several pictures, or of one."""
    if isinstance(pictures, (str, os.PathLike)):
        return [os.fspath(pictures)]
    rows = getattr(pictures, "iter_rows", None)
    if rows is None:
        found = [os.fspath(each) for each in pictures]  # type: ignore[union-attr]  # is iterable
    else:
        found = []
        for row in rows():
            if column not in row:
                columns = ", ".join(map(repr, row))
                raise ValueError(f"the dataset has no column {column!r}, but {columns}")
            found.append(os.fspath(row[column]))
    if not found:
        raise ValueError("there are no pictures")
    return found


@dataclass(frozen=True, slots=True)
class _Result:
    """What a worker says of a picture; see `Row`."""

    status: Status
    stage: events.Stage | Literal[""] = ""
    error: str = ""
    seconds: float = 0.0
    sha256: str = ""
    width: int = 0
    height: int = 0
    notes: tuple[str, ...] = ()
    worker: str = ""
    by_device: bool = False


def _row(job: Job, status: Status, result: _Result | None = None) -> Row:
    result = result or _Result(status)
    return Row(
        source=str(job.source),
        target=str(job.target),
        status=status,
        stage=result.stage,
        error=result.error,
        seconds=result.seconds,
        sha256=result.sha256,
        width=result.width,
        height=result.height,
        notes=list(result.notes),
        worker=result.worker,
    )


class _Process(Process[events.Done | events.Failed, _Result]):
    """A worker: its tasks are pictures, which go through the threads of a batch."""

    def __init__(self, order: Order, settings: BatchOptions) -> None:
        super().__init__(order)
        self._settings = settings
        self._name = f"{platform.node()}:{os.getpid()}"
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._numbers: dict[Path, int] = {}  # of the pictures that are not told yet

    def load(self) -> None:
        """As `Process.load`."""
        batch = Batch(self._upscalers(1), self._settings, self._report)
        threading.Thread(target=self._run, args=(batch,), daemon=True).start()

    def _run(self, batch: Batch) -> None:
        try:
            batch.run(iter(self._jobs.get, None))
        finally:  # it has no end of its own: it cannot go on, and another worker is to be started
            os._exit(1)

    def _begin(self, number: int, task: Sequence[str]) -> None:
        source, target = map(path_of, task)
        self._numbers[target] = number
        self._jobs.put(Job(source, target, format_for(target) or PNG))

    def _told(self, event: events.Done | events.Failed) -> tuple[int, _Result]:
        number = self._numbers.pop(event.job.target)
        if isinstance(event, events.Failed):
            return number, _Result(
                "failed",
                event.stage,
                event.error,
                worker=self._name,
                by_device=event.by_device,
            )
        return number, _Result(
            "done",
            seconds=event.seconds,
            sha256=event.sha256,
            width=event.width,
            height=event.height,
            notes=event.notes,
            worker=self._name,
        )

    def _report(self, event: events.Event) -> None:
        if isinstance(event, (events.Done, events.Failed)):
            self._ends.put(event)
