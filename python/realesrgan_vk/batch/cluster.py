"""A Ray cluster's workers: processes that hold a device each, and the driver that has them work.

The driver is the process that calls `run_tasks`. A message of Ray takes about 2 ms of each side's
processor time, which is much beside a small picture. The driver therefore has one call open at each
worker, which brings several tasks and comes back with all that have ended, a few times a second at
most. A worker has as many tasks waiting as it does in half a second.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from realesrgan_vk._core import CPU_DEVICE, inspect_network, usable_cores
from realesrgan_vk.batch.workers import load_for_runs
from realesrgan_vk.checks import real_number, whole_number
from realesrgan_vk.devices import Device, find_device, list_devices
from realesrgan_vk.errors import DeviceError, printable
from realesrgan_vk.models.registry import find_model, official_name
from realesrgan_vk.options import UpscalerOptions

if TYPE_CHECKING:
    from concurrent.futures import Future

    from realesrgan_vk.upscaler import Upscaler

_MOST_ATTEMPTS = 3  # of a task whose worker ends, and of workers that end while they load
_GATHER = 0.2  # seconds from one message of a worker to the next, where tasks take less
_AHEAD = 0.5  # seconds that a worker's waiting tasks take: more than a message and its answer
_MOST_WAITING = 64  # tasks of a worker
_NAMED = 4  # tasks in a note
_LOCAL_STORE = 80 << 20  # bytes; about the least that Ray allows, and nothing is put there
_POLL = 0.5  # seconds until the driver can be interrupted
_USAGE_REPORTS = "RAY_USAGE_STATS_ENABLED"


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


def require_ray() -> None:
    """Raise `ImportError`, which names the package, where Ray is not installed."""
    try:
        import ray  # noqa: F401, PLC0415 - only where it is used: it takes half a second
    except ImportError as error:
        raise ImportError(f"Ray cannot be loaded ({error}); install the package ray") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The network of all workers, and what they run it on.

    Attributes:
        model: An official name, or a path.
        options: How the network is run.
        threads: On the CPU; None: as many as there are cores.
        share: How many workers at most share the device.
        on_gpu: Ray gives each worker a GPU.
    """

    model: str
    options: UpscalerOptions
    threads: int | None
    share: int
    on_gpu: bool


class Ended(Protocol):
    """What a worker says of a task."""

    @property
    def error(self) -> str:
        """Why it failed, in words; else empty."""

    @property
    def by_device(self) -> bool:
        """The device failed; another worker may do it."""


What = TypeVar("What")
Result = TypeVar("Result", bound=Ended)
Event = TypeVar("Event")


@dataclass(slots=True, eq=False)
class _Task(Generic[What]):
    """What is not done, and how many workers ended while it was in work."""

    what: What
    attempts: int = 0


@dataclass(slots=True, eq=False)
class _Worker(Generic[What]):
    """The driver's view of a worker: its actor, and the tasks that it has.

    Attributes:
        actor: Ray's handle.
        loaded: Its network is loaded.
        gone: It has ended or was given up; what it still says is not heard.
        tasks: What it has to do, by the numbers that its messages name.
        alone: It has one task, at which another worker ended; it gets no other one.
        waiting: How many tasks it may have beyond those in work.
        asked: When the call that is open began, by the clock of `time.monotonic`.
        failed_loads: How many workers in its place have ended in a row while they loaded.
    """

    actor: Any
    loaded: bool = False
    gone: bool = False
    tasks: dict[int, _Task[What]] = field(default_factory=dict)
    alone: bool = False
    waiting: int = 0
    asked: float = 0.0
    failed_loads: int = 0


class Driver(ABC, Generic[What, Result]):
    """Has workers do tasks, and does again those of a worker that ends.

    What a subclass tells of its tasks is below; its process's class is a `Process`.

    Attributes:
        model: The network.
        scale: Its scale.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        options: UpscalerOptions,
        cluster: Cluster,
        note: Callable[[str], None],
    ) -> None:
        """Find the network; Ray is not started before `run_tasks`.

        Args:
            model: As `Upscaler` takes it.
            options: How the network is run; the device is "auto", or one of every machine.
            cluster: Who works.
            note: Called with what to know that is no failure.

        Raises:
            ModelError: No such network.
        """
        self.model = find_model(model)
        official = official_name(model) if isinstance(model, str) else ""
        self._network = official or str(self.model.param.resolve())
        self.scale = self.model.scale or inspect_network(self.model.param).scale
        self._options, self._cluster, self._note = options, cluster, note
        self._fresh: deque[_Task[What]] = deque()
        self._doubtful: deque[_Task[What]] = deque()  # a worker ended while they were in work
        self._workers: list[_Worker[What]] = []
        self._idle: list[_Worker[What]] = []  # loaded, and without a task
        self._numbers = count()
        self._left = 0  # tasks that have not ended
        self._ended: queue.SimpleQueue[tuple[_Worker[What], Future[Any]]] = queue.SimpleQueue()
        self._error: Exception | None = None  # why a worker cannot work

    @abstractmethod
    def _process(self) -> type[Process[Any, Any]]:
        """The class of workers."""

    @abstractmethod
    def _arguments(self) -> tuple[Any, ...]:
        """What a new worker is made with, after its `Order`."""

    @abstractmethod
    def _tasks_in_work(self, *, on_gpu: bool) -> int:
        """How many tasks a worker has at least, so that it does not wait for messages."""

    @abstractmethod
    def _message(self, what: What) -> Any:  # noqa: ANN401 - as the process takes it
        """What a worker is told of a task."""

    @abstractmethod
    def _name(self, what: What) -> str:
        """A task's name, for notes."""

    @abstractmethod
    def _done(self, what: What, result: Result) -> None:
        """A task has ended, with this result; called in the thread of `run_tasks`."""

    @abstractmethod
    def _failed(self, what: What, error: str) -> None:
        """A task was given up: several workers have ended, or failed, at it."""

    def add_tasks(self, tasks: Sequence[What]) -> None:
        """Tasks to do; also while others are done."""
        self._fresh.extend(map(_Task, tasks))
        self._left += len(tasks)
        self._wake()

    def drop_tasks(self, unwanted: Callable[[What], bool]) -> None:
        """Leave out tasks that no worker has yet."""
        kept = [task for task in self._fresh if not unwanted(task.what)]
        self._left -= len(self._fresh) - len(kept)
        self._fresh = deque(kept)

    def _wake(self) -> None:
        """Give workers without a task what there is."""
        idle, self._idle = self._idle, []
        for worker in idle:
            self._hand_out(worker)

    def run_tasks(self) -> None:
        """Do all tasks.

        Raises:
            ModelError, DeviceError: No worker can work, or no cluster is at the address.
            KeyboardInterrupt: Interrupted; all workers have ended.
        """
        if not self._left:
            return
        with connected(self._cluster.address):
            try:
                self._run()
            finally:
                for worker in self._workers:
                    self._give_up(worker)
                self._left = 0
                for left in (self._fresh, self._doubtful, self._workers, self._idle):
                    left.clear()

    def _run(self) -> None:
        for _ in range(self._how_many()):
            self._start()
        while self._left:
            if not self._workers:
                raise self._error or DeviceError("no worker is left")
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
        workers = min(len(self._fresh), self._cluster.workers or max(1, room))
        order = Order(
            model=self._network,
            options=self._options,
            threads=None if gpus else max(1, int(cpus)),
            share=max(1, round(1 / gpus)) if gpus else workers,
            on_gpu=gpus > 0,
        )
        # Ray would restart a worker by itself, but then it is not known which tasks it had.
        self._actors: Any = ray.remote(self._process()).options(
            num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0
        )
        self._order = order
        self._in_work = self._tasks_in_work(on_gpu=gpus > 0)
        return workers

    def _start(self, failed_loads: int = 0) -> None:
        worker = _Worker[What](
            self._actors.remote(self._order, *self._arguments()), failed_loads=failed_loads
        )
        self._workers.append(worker)
        self._await(worker, worker.actor.load.remote())

    def _await(self, worker: _Worker[What], reference: Any) -> None:  # noqa: ANN401
        reference.future().add_done_callback(lambda future: self._ended.put((worker, future)))

    def _hand_out(self, worker: _Worker[What]) -> None:
        """Give a worker more tasks, and ask it for what has ended.

        One at which another worker ended is done alone, so that it is clear which task it is that
        ends workers.
        """
        new: list[_Task[What]] = []
        if self._doubtful and not worker.tasks:
            worker.alone = True
            new.append(self._doubtful.popleft())
        elif not worker.alone:
            # Towards the end each gets its part of what is left.
            share = max(self._in_work, len(self._fresh) // len(self._workers))
            most = min(self._in_work + worker.waiting, share)
            while self._fresh and len(worker.tasks) + len(new) < most:
                new.append(self._fresh.popleft())
        numbered = {next(self._numbers): task for task in new}
        worker.tasks |= numbered
        if not worker.tasks:
            self._idle.append(worker)
            return
        tasks = [(number, self._message(task.what)) for number, task in numbered.items()]
        worker.asked = time.monotonic()
        self._await(worker, worker.actor.exchange.remote(tasks))

    def _hear(self, worker: _Worker[What], future: Future[Any]) -> None:
        """What a worker says of its loading, or of its tasks."""
        import ray  # noqa: PLC0415 - see `require_ray`

        if worker.gone:
            return
        try:
            ended = future.result()
        except ray.exceptions.RayTaskError as error:  # raised by the worker's own code
            cause = getattr(error, "cause", error)
            if not worker.loaded:
                self._drop(worker, cause)
                return
            words = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
            self._replace(worker, f"a worker failed: {words}", words)
            return
        except ray.exceptions.RayError:  # the worker, or its machine, is lost
            self._replace(worker, "a worker ended")
            return
        if worker.loaded:
            by_device = self._take(worker, ended)
            if by_device is not None:
                self._replace(worker, f"a device failed: {by_device.error}", by_device.error)
                return
        else:
            worker.loaded, worker.failed_loads = True, 0
        self._hand_out(worker)

    def _take(self, worker: _Worker[What], ended: Sequence[tuple[int, Result]]) -> Result | None:
        """Tell the results of a message; return one of a device that has failed."""
        by_device = None
        for number, result in ended:
            if result.by_device:  # the task stays with the worker, and is done again
                by_device = result
                continue
            self._end(worker.tasks.pop(number).what, result)
        worker.alone = worker.alone and bool(worker.tasks)
        a_second = len(ended) / max(time.monotonic() - worker.asked, 1e-3)
        worker.waiting = min(_MOST_WAITING, int(_AHEAD * a_second))
        return by_device

    def _replace(self, worker: _Worker[What], why: str, error: str = "") -> None:
        """Start another worker in the place of one that ended; its tasks are done again."""
        self._give_up(worker)
        self._workers.remove(worker)
        names = [printable(self._name(task.what)) for task in worker.tasks.values()]
        again = ", ".join(names[:_NAMED])
        if len(names) > _NAMED:
            again += f" and {len(names) - _NAMED} more"
        self._note(f"{why}; another one is started" + (f" and does {again}" if again else ""))
        for task in worker.tasks.values():
            task.attempts += 1
            if task.attempts < _MOST_ATTEMPTS:
                self._doubtful.append(task)
                continue
            ended = f"its worker ended {task.attempts} times while at work on it"
            words = error or f"{ended} (killed, or out of memory)"
            self._left -= 1
            self._failed(task.what, words)
        self._wake()
        failed_loads = 0 if worker.loaded else worker.failed_loads + 1
        if failed_loads < _MOST_ATTEMPTS:
            self._start(failed_loads)
        elif not self._workers:
            raise DeviceError("workers end while they load the network (killed, or out of memory)")

    def _drop(self, worker: _Worker[What], error: Exception) -> None:
        """Go on without a worker that cannot work."""
        self._give_up(worker)
        self._workers.remove(worker)
        self._error = error
        if self._workers:
            self._note(f"a worker cannot work, the others go on: {error}")

    def _give_up(self, worker: _Worker[What]) -> None:
        import ray  # noqa: PLC0415 - see `require_ray`

        worker.gone = True
        with suppress(Exception):  # it has ended, or the cluster has
            ray.kill(worker.actor)

    def _end(self, what: What, result: Result) -> None:
        self._left -= 1
        self._done(what, result)


@contextmanager
def connected(address: str | None) -> Iterator[None]:
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


class Process(ABC, Generic[Event, Result]):
    """A worker: one device's upscaler, and threads that do tasks. Ray calls its methods."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._ends: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._open = 0  # tasks that are not told yet

    @abstractmethod
    def load(self) -> None:
        """Load the network, and start the threads.

        Raises:
            ModelError, DeviceError, ValueError: As `Upscaler`.
        """

    @abstractmethod
    def _begin(self, number: int, task: Any) -> None:  # noqa: ANN401 - as the driver makes it
        """Give a task to the threads, which put its end into `_ends`."""

    @abstractmethod
    def _told(self, event: Event) -> tuple[int, Result]:
        """What the driver is told of an end: the task's number, and its result."""

    def exchange(self, tasks: Sequence[tuple[int, Any]]) -> list[tuple[int, Result]]:
        """Begin tasks, and tell which ones have ended.

        Args:
            tasks: A number and what is to be done, of each.

        Returns:
            What became of the tasks that have ended and were not told, by their numbers; at least
            one. Where one is there at once, it waits for more.
        """
        for number, task in tasks:
            self._begin(number, task)
        self._open += len(tasks)
        until = time.monotonic() + _GATHER
        ended = [self._told(self._ends.get())]
        with suppress(queue.Empty):
            while len(ended) < self._open:
                left = max(0.0, until - time.monotonic())
                ended.append(self._told(self._ends.get(timeout=left)))
        self._open -= len(ended)
        return ended

    def _upscalers(self, at_once: int) -> list[Upscaler]:
        """The network on this worker's device, for so many runs at a time.

        Raises:
            ModelError, DeviceError, ValueError: As `Upscaler`.
        """
        order = self._order
        device = self._device()
        cores = usable_cores()
        threads = None if order.threads is None else min(order.threads, cores)
        share = order.share if order.on_gpu else min(order.share, max(1, cores // (threads or 1)))
        options = replace(order.options, threads=order.options.threads or threads)
        return load_for_runs(order.model, [options], [(device, at_once)], processes=share)

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
