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
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

from realesrgan_vk._core import CPU_DEVICE, inspect_network, usable_cores
from realesrgan_vk.batch import events
from realesrgan_vk.batch.jobs import (
    DEFAULT_TEMPLATE,
    Job,
    Naming,
    find_sources,
    plan_jobs,
    refuse_unwritable,
)
from realesrgan_vk.batch.pipeline import Batch, BatchOptions
from realesrgan_vk.batch.workers import load_for_runs
from realesrgan_vk.checks import real_number, whole_number
from realesrgan_vk.devices import Device, find_device, list_devices
from realesrgan_vk.errors import DeviceError, printable
from realesrgan_vk.image_io.formats import PNG, SUFFIXES, format_for
from realesrgan_vk.image_io.streams import is_stream
from realesrgan_vk.image_io.urls import UrlPath, absolute, path_of
from realesrgan_vk.models.checksums import stream_sha256
from realesrgan_vk.models.registry import find_model, official_name
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

if TYPE_CHECKING:
    from concurrent.futures import Future

_MOST_ATTEMPTS = 3  # of a picture whose worker ends, and of workers that end while they load
_IN_WORK_CPU = 2  # pictures of a worker: one is decoded or encoded while the other is computed
_IN_WORK_GPU = 4  # one is decoded, one computed, two are encoded
_LOCAL_STORE = 80 << 20  # bytes; about the least that Ray allows, and no picture goes there
_POLL = 0.5  # seconds until the driver can be interrupted
_USAGE_REPORTS = "RAY_USAGE_STATS_ENABLED"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Which machines work, and with how much of them a worker does.

    Attributes:
        address: As `ray.init` takes it: "HOST:PORT", "auto" for the cluster that runs on this
            machine or that `$RAY_ADDRESS` names, or "local" for one that is started on this machine
            and ends with the call. None: "auto" where there is one, else "local". A cluster that
            this process has already joined is used, whatever is said here.
        workers: How many there are at most; None: as many as the cluster has room for.
        gpus_per_worker: Of the GPUs that Ray counts, such as 1, or 0.5 for two workers a GPU; 0:
            workers compute on the CPU. None: 1 where the cluster has GPUs, else 0.
        cpus_per_worker: Of the processors that Ray counts. On the CPU a worker computes with so
            many threads.

    Raises:
        TypeError: A number of the wrong type.
        ValueError: A value out of range.
    """

    address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    cpus_per_worker: float = 1.0

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        if self.workers is not None:
            most = whole_number("workers", self.workers, 1, 1 << 20, others=", or None")
            set_(self, "workers", most)
        if self.gpus_per_worker is not None:
            span = "0, between 0 and 1, or whole"
            gpus = real_number(
                "gpus_per_worker", self.gpus_per_worker, span, lambda x: 0 <= x <= 1 or x % 1 == 0
            )
            set_(self, "gpus_per_worker", gpus)
        span = "above 0"
        cpus = real_number("cpus_per_worker", self.cpus_per_worker, span, lambda x: 0 < x < 1 << 20)
        set_(self, "cpus_per_worker", cpus)


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


def require_ray() -> None:
    """Raise `ImportError`, which names the package, where Ray is not installed."""
    try:
        import ray  # noqa: F401, PLC0415 - only where it is used: it takes half a second
    except ImportError as error:
        raise ImportError(f"Ray cannot be loaded ({error}); install the package ray") from error


def event_of(job: Job, row: Row) -> events.Event:
    """A row as the last event of its job."""
    if row["status"] == "skipped":
        return events.Skipped(job)
    if row["status"] == "failed":
        return events.Failed(job, row["stage"] or "upscale", row["error"])
    notes = tuple(row["notes"])
    return events.Done(job, row["width"], row["height"], row["seconds"], notes, row["sha256"])


@dataclass(slots=True, eq=False)
class _Task:
    """A job that is not done, and how many workers ended while it was in work."""

    job: Job
    attempts: int = 0


@dataclass(slots=True, eq=False)
class _Worker:
    """The driver's view of a worker: its actor, and the tasks that it has.

    Attributes:
        actor: Ray's handle.
        loaded: Its network is loaded.
        gone: It has ended or was given up; what it still says is not heard.
        tasks: What it has to do.
        alone: It has one task, at which another worker ended; it gets no other one.
        in_work: How many tasks it may have.
        failed_loads: How many workers in its place have ended in a row while they loaded.
    """

    actor: Any
    loaded: bool = False
    gone: bool = False
    tasks: list[_Task] = field(default_factory=list)
    alone: bool = False
    in_work: int = 1
    failed_loads: int = 0


class RayBatch:
    """Runs jobs on a Ray cluster.

    Attributes:
        model: The network.
        scale: Its scale.
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
        self.model = find_model(model)
        official = official_name(model) if isinstance(model, str) else ""
        self._network = official or str(self.model.param.resolve())
        self.scale = self.model.scale or inspect_network(self.model.param).scale
        self.summary = events.Summary()
        self._options, self._settings, self._cluster = options, settings, cluster
        self._report, self._note = report, note
        self._fresh: deque[_Task] = deque()
        self._doubtful: deque[_Task] = deque()  # a worker ended while they were in work
        self._workers: list[_Worker] = []
        self._ended: queue.SimpleQueue[tuple[_Worker, _Task | None, Future[Any]]] = (
            queue.SimpleQueue()
        )
        self._error: Exception | None = None  # why a worker cannot work

    def run(self, jobs: Sequence[Job]) -> events.Summary:
        """Do all jobs, which read and write files; one that fails is reported, the others go on.

        Raises:
            ModelError, DeviceError: No worker can work, or no cluster is at the address.
            KeyboardInterrupt: Interrupted; every file is whole or not there.
        """
        for job in jobs:
            if self._settings.skip_existing and job.target.is_file():
                self._tell(job, _row(job, "skipped"))
            else:
                self._fresh.append(_Task(job))
        if self._fresh:
            with _connected(self._cluster.address):
                try:
                    self._run()
                finally:
                    for worker in self._workers:
                        self._give_up(worker)
        return self.summary

    def _run(self) -> None:
        for _ in range(self._how_many()):
            self._start()
        while self._fresh or self._doubtful or any(worker.tasks for worker in self._workers):
            if not self._workers:
                raise self._error or DeviceError("no worker is left")
            for worker in self._workers:
                self._hand_out(worker)
            with suppress(queue.Empty):
                self._hear(*self._ended.get(timeout=_POLL))

    def _how_many(self) -> int:
        import ray  # noqa: PLC0415 - see `require_ray`

        has = ray.cluster_resources()
        gpus = self._cluster.gpus_per_worker
        if gpus is None:
            gpus = 1.0 if has.get("GPU", 0) and self._options.device == "auto" else 0.0
        cpus = self._cluster.cpus_per_worker
        room = int(has.get("GPU", 0) / gpus) if gpus else int(has.get("CPU", 0) / cpus)
        count = min(len(self._fresh), self._cluster.workers or max(1, room))
        in_work = _IN_WORK_GPU if gpus else _IN_WORK_CPU
        order = _Order(
            model=self._network,
            options=self._options,
            settings=replace(self._settings, skip_existing=False),
            threads=None if gpus else max(1, int(cpus)),
            share=max(1, round(1 / gpus)) if gpus else count,
            on_gpu=gpus > 0,
        )
        # Ray would restart a worker by itself, but then it is not known which pictures it had.
        self._new_actor = (
            ray.remote(_Process)
            .options(
                num_cpus=cpus,
                num_gpus=gpus,
                max_concurrency=in_work,
                max_restarts=0,
                max_task_retries=0,
            )
            .remote
        )
        self._order, self._in_work = order, in_work
        return count

    def _start(self, failed_loads: int = 0) -> None:
        worker = _Worker(
            self._new_actor(self._order), in_work=self._in_work, failed_loads=failed_loads
        )
        self._workers.append(worker)
        self._await(worker, None, worker.actor.load.remote())

    def _await(self, worker: _Worker, task: _Task | None, reference: Any) -> None:  # noqa: ANN401
        reference.future().add_done_callback(lambda future: self._ended.put((worker, task, future)))

    def _hand_out(self, worker: _Worker) -> None:
        """Give a worker as many pictures as it may have in work.

        One at which another worker ended is done alone, so that it is clear which picture it is
        that ends workers.
        """
        if not worker.loaded or worker.alone:
            return
        if self._doubtful and not worker.tasks:
            worker.alone = True
            self._send(worker, self._doubtful.popleft())
            return
        while self._fresh and len(worker.tasks) < worker.in_work:
            self._send(worker, self._fresh.popleft())

    def _send(self, worker: _Worker, task: _Task) -> None:
        worker.tasks.append(task)
        paths = absolute([task.job.source, task.job.target])
        self._await(worker, task, worker.actor.upscale.remote(*paths))

    def _hear(self, worker: _Worker, task: _Task | None, future: Future[Any]) -> None:
        """What a worker says of its loading (no task), or of a task."""
        import ray  # noqa: PLC0415 - see `require_ray`

        if worker.gone:
            return
        try:
            result = future.result()
        except ray.exceptions.RayTaskError as error:  # raised by the worker's own code
            cause = getattr(error, "cause", error)
            if task is None:
                self._drop(worker, cause)
                return
            words = " ".join(str(cause).split())
            result = _Result("failed", "upscale", f"{type(cause).__name__}: {words}")
        except ray.exceptions.RayError:  # the worker, or its machine, is lost
            self._replace(worker, "a worker ended")
            return
        if task is None:
            worker.loaded, worker.failed_loads = True, 0
            return
        if result.by_device:
            self._replace(worker, f"a device failed: {result.error}", result)
            return
        worker.tasks.remove(task)
        worker.alone = False
        self._tell(task.job, _row(task.job, result.status, result))

    def _replace(self, worker: _Worker, why: str, result: _Result | None = None) -> None:
        """Start another worker in the place of one that ended; its pictures are done again."""
        self._give_up(worker)
        self._workers.remove(worker)
        again = ", ".join(printable(task.job.source.name) for task in worker.tasks)
        self._note(f"{why}; another one is started" + (f" and does {again}" if again else ""))
        for task in worker.tasks:
            task.attempts += 1
            if task.attempts < _MOST_ATTEMPTS:
                self._doubtful.append(task)
                continue
            ended = f"its worker ended {task.attempts} times while at work on it"
            failed = result or _Result("failed", "upscale", f"{ended} (killed, or out of memory)")
            self._tell(task.job, _row(task.job, "failed", failed))
        failed_loads = 0 if worker.loaded else worker.failed_loads + 1
        if failed_loads < _MOST_ATTEMPTS:
            self._start(failed_loads)
        elif not self._workers:
            raise DeviceError("workers end while they load the network (killed, or out of memory)")

    def _drop(self, worker: _Worker, error: Exception) -> None:
        """Go on without a worker that cannot work."""
        self._give_up(worker)
        self._workers.remove(worker)
        self._error = error
        if self._workers:
            self._note(f"a worker cannot work, the others go on: {error}")

    def _give_up(self, worker: _Worker) -> None:
        import ray  # noqa: PLC0415 - see `require_ray`

        worker.gone = True
        with suppress(Exception):  # it has ended, or the cluster has
            ray.kill(worker.actor)

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


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Within it this process is part of a cluster: the one it has joined, or that of the address.

    Ray's own handler of SIGTERM is not kept: the program's one remains.
    """
    require_ray()
    import ray  # noqa: PLC0415 - see `require_ray`

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault(_USAGE_REPORTS, "0")  # what is started here reports to nobody
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": "WARNING"}
    in_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def keep_handlers() -> None:
        for number, handler in handlers.items():
            if in_main and handler is not None:  # None: it is not Python's
                signal.signal(number, handler)

    def start() -> None:
        ray.init(
            address="local", include_dashboard=False, object_store_memory=_LOCAL_STORE, **common
        )

    try:
        if address == "local":
            start()
        else:
            try:
                ray.init(address=address or "auto", **common)
            except ConnectionError as error:
                if address is not None:
                    raise DeviceError(f"there is no Ray cluster at {address}: {error}") from error
                start()
        keep_handlers()
        yield
    finally:
        ray.shutdown()
        keep_handlers()


# What follows runs in the workers.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What all workers are to do.

    Attributes:
        model: An official name, or a path.
        options: How the network is run.
        settings: What is made of each picture.
        threads: On the CPU; None: as many as there are cores.
        share: How many workers at most share the device.
        on_gpu: Ray gives each worker a GPU.
    """

    model: str
    options: UpscalerOptions
    settings: BatchOptions
    threads: int | None
    share: int
    on_gpu: bool


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


class _Process:
    """A worker: one device's upscaler, and the threads of a batch. Ray calls its methods."""

    def __init__(self, order: _Order) -> None:
        self._order = order
        self._name = f"{platform.node()}:{os.getpid()}"
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._ends: dict[Path, queue.SimpleQueue[events.Event]] = {}

    def load(self) -> None:
        """Load the network.

        Raises:
            ModelError, DeviceError, ValueError: As `Upscaler`.
        """
        order = self._order
        device = self._device()
        cores = usable_cores()
        threads = None if order.threads is None else min(order.threads, cores)
        share = order.share if order.on_gpu else min(order.share, max(1, cores // (threads or 1)))
        options = replace(order.options, threads=order.options.threads or threads)
        (upscaler,) = load_for_runs(order.model, [options], [(device, 1)], processes=share)
        batch = Batch([upscaler], order.settings, self._report)
        threading.Thread(target=self._run, args=(batch,), daemon=True).start()

    def _run(self, batch: Batch) -> None:
        try:
            batch.run(iter(self._jobs.get, None))
        finally:  # it has no end of its own: it cannot go on, and another worker is to be started
            os._exit(1)

    def _device(self) -> int:
        """The device's index, or `CPU_DEVICE`."""
        known = list_devices()
        asked = self._order.options.device
        if asked != "auto":
            return find_device(asked, known)
        if not self._order.on_gpu:
            return CPU_DEVICE
        import ray  # noqa: PLC0415 - see `require_ray`

        (first, *_) = ray.get_runtime_context().get_accelerator_ids()["GPU"]
        return find_device(vulkan_identity(str(first), known, _nvidia_uuids()), known)

    def upscale(self, source: str, target: str) -> _Result:
        """Do one picture; several threads may call it."""
        path = path_of(target)
        end = self._ends[path] = queue.SimpleQueue()
        self._jobs.put(Job(path_of(source), path, format_for(path) or PNG))
        event = end.get()
        del self._ends[path]
        if isinstance(event, events.Failed):
            return _Result(
                *("failed", event.stage, event.error),
                worker=self._name,
                by_device=event.by_device,
            )
        assert isinstance(event, events.Done)
        return _Result(
            "done",
            seconds=event.seconds,
            sha256=_sha256(path),
            width=event.width,
            height=event.height,
            notes=event.notes,
            worker=self._name,
        )

    def _report(self, event: events.Event) -> None:
        if isinstance(event, (events.Done, events.Failed)):
            self._ends[event.job.target].put(event)


def _sha256(path: Path) -> str:
    with path.reading() if isinstance(path, UrlPath) else path.open("rb") as file:
        return stream_sha256(file)


def vulkan_identity(accelerator: str, devices: Sequence[Device], uuids: Sequence[str]) -> str:
    """The UUID of the Vulkan device that Ray means.

    Args:
        accelerator: Ray's name of a GPU: NVIDIA's UUID or the beginning of one, or an index.
        devices: All Vulkan devices.
        uuids: Those of NVIDIA's GPUs in the order of their indexes; empty where its driver tells
            none. Then an index counts Vulkan's GPUs in the order of their PCI addresses.

    Raises:
        DeviceError: There is no such device, or a beginning fits several.
    """
    gpus = sorted((each for each in devices if each.type != "cpu"), key=lambda x: x.pci_address)
    names = ", ".join(f"{each.name} ({each.uuid})" for each in gpus) or "none"
    unknown = DeviceError(
        f"GPU {accelerator} of Ray is no Vulkan device; Vulkan's GPUs are {names}"
    )
    text = accelerator.lower()
    if text.isdecimal():
        index = int(text)
        if uuids:
            text = uuids[index].lower() if index < len(uuids) else ""
        elif index < len(gpus):
            return gpus[index].uuid
    begins = text.removeprefix("gpu-")
    fitting = [each.uuid for each in gpus if begins and each.uuid.startswith(begins)]
    if len(fitting) != 1:
        raise unknown
    return fitting[0]


def _nvidia_uuids() -> list[str]:
    """The UUIDs of NVIDIA's GPUs in the order of their indexes; empty where there is no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(", ") for line in done.stdout.splitlines() if line.count(", ") == 1]
    return [uuid.strip() for _, uuid in sorted((int(index), uuid) for index, uuid in rows)]
