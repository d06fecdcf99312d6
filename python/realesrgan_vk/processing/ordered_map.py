"""Work on a sequence by several workers at once, with the results in the sequence's order."""

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from typing import Generic, TypeVar

from realesrgan_vk.errors import NO_THREAD, Cancelled, DeviceError, OutOfMemoryError
from realesrgan_vk.options import Progress
from realesrgan_vk.processing.work_queue import WorkQueue

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL = 0.1  # seconds until the waiting caller can be interrupted (Python's locks on Windows)


def ordered_map(
    items: Iterable[Item],
    workers: Sequence[Callable[[Item, Progress], Result]],
    *,
    ahead: int,
    retired: Callable[[DeviceError], object] = lambda _: None,
) -> Generator[Result, None, None]:
    """Yield the result of each item, in order.

    The items are taken in a thread, and each worker runs in one of its own. A worker that raises
    `DeviceError` gets no more items, as long as there is another; that one takes over the item.
    Closing the generator, or an exception in the caller, stops all threads and waits for them.

    Args:
        items: Taken one at a time, no more than `ahead` before the result that is yielded next.
        workers: Each makes a result of an item. It calls its second argument now and then with the
            completed fraction, which raises `Cancelled` once the threads are to stop.
        ahead: Items and results that are in memory at most, besides the result that was yielded
            last; at least 1.
        retired: Called, in this thread, with the error of a worker that gets no more items.

    Raises:
        OutOfMemoryError: The system cannot start the threads.
        Exception: What the items' iterator or a worker raised, once the results before are yielded.
    """
    run = _OrderedMap(items, workers, ahead)
    try:
        run.start()
        yield from run.results(retired)
    finally:
        run.stop()


class _OrderedMap(Generic[Item, Result]):
    def __init__(
        self,
        items: Iterable[Item],
        workers: Sequence[Callable[[Item, Progress], Result]],
        ahead: int,
    ) -> None:
        self._items = items
        self._workers = workers
        self._ahead = ahead
        self._queue: WorkQueue[tuple[int, Item]] = WorkQueue(ahead)
        # One lock, and a thread is only woken by what it waits for.
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._results: dict[int, Result] = {}
        self._errors: dict[int, BaseException] = {}
        self._retirements: list[DeviceError] = []
        self._next = 0  # the number of the result that is yielded next
        self._total: int | None = None
        self._stopped = False
        self._working = len(workers)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        bodies: list[Callable[[], None]] = [
            self._take,
            *(partial(self._work, worker) for worker in self._workers),
        ]
        for body in bodies:
            thread = threading.Thread(target=body, daemon=True)
            self._threads.append(thread)  # before it runs: an interruption may come in between
            try:
                thread.start()
            except RuntimeError as error:  # "can't start new thread"
                raise OutOfMemoryError(NO_THREAD) from error

    def results(self, retired: Callable[[DeviceError], object]) -> Generator[Result, None, None]:
        while True:
            with self._lock:
                while not (self._retirements or self._is_ready()):
                    self._ready.wait(_POLL)
                retirements, self._retirements = self._retirements, []
            for error in retirements:
                retired(error)
            with self._lock:
                if not self._is_ready():
                    continue
                if self._next in self._errors:
                    raise self._errors[self._next]
                if self._next not in self._results:
                    return
                result = self._results.pop(self._next)
                self._next += 1
                self._room.notify()
            yield result
            del result  # the caller's alone while the next one is waited for

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._room.notify()
        self._queue.stop()
        for thread in self._threads:
            if thread.ident is not None:  # else it was not started
                thread.join()

    def _is_ready(self) -> bool:
        here = self._next in self._results or self._next in self._errors
        return here or (self._total is not None and self._next >= self._total)

    def _take(self) -> None:
        number = 0
        try:
            items = iter(self._items)
            while self._may_take(number):
                try:
                    item = next(items)
                except StopIteration:
                    break
                self._queue.put((number, item))
                del item  # the worker's alone while the next one is waited for
                number += 1
        except BaseException as error:  # raised where the results are taken
            self._fail(number, error)
        else:
            with self._lock:
                self._total = number
                self._ready.notify()
        self._queue.close()

    def _may_take(self, number: int) -> bool:
        """Wait until the item of this number is close enough; False: the threads are to stop."""
        with self._lock:
            while not self._stopped and number - self._next >= self._ahead:
                self._room.wait()
            return not self._stopped

    def _work(self, worker: Callable[[Item, Progress], Result]) -> None:
        for number, item in self._queue:
            try:
                result = worker(item, self._progress)
            except DeviceError as error:
                if self._retires(error):
                    self._queue.give_back((number, item))
                    return
                self._fail(number, error)
            except BaseException as error:
                self._fail(number, error)
            else:
                with self._lock:
                    self._results[number] = result
                    if number == self._next:
                        self._ready.notify()
                del result
            del item  # not kept while this thread waits for the next one
            self._queue.done()

    def _progress(self, _: float) -> None:
        if self._stopped:
            raise Cancelled("the run was stopped")

    def _retires(self, error: DeviceError) -> bool:
        """Whether there is another worker to take over the failed one's item."""
        with self._lock:
            if self._working == 1:
                return False
            self._working -= 1
            self._retirements.append(error)
            self._ready.notify()
            return True

    def _fail(self, number: int, error: BaseException) -> None:
        with self._lock:
            self._errors[number] = error
            self._ready.notify()
