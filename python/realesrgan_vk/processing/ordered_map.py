"""Work on a sequence by several workers at once, with the results in the sequence's order."""

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from typing import Generic, TypeVar

from realesrgan_vk.errors import NO_THREAD, DeviceError, OutOfMemoryError
from realesrgan_vk.processing.work_queue import WorkQueue

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL = 0.1  # seconds until the waiting caller can be interrupted (Python's locks on Windows)


def ordered_map(
    items: Iterable[Item],
    workers: Sequence[Callable[[Item], Result]],
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
        workers: Each makes a result of an item.
        ahead: Items and results that are in memory at most; at least 1.
        retired: Called with the error of a worker that gets no more items.

    Raises:
        OutOfMemoryError: The system cannot start the threads.
        Exception: What the items' iterator or a worker raised, once the results before are yielded.
    """
    run = _OrderedMap(items, workers, ahead, retired)
    try:
        run.start()
        yield from run.results()
    finally:
        run.stop()


class _OrderedMap(Generic[Item, Result]):
    def __init__(
        self,
        items: Iterable[Item],
        workers: Sequence[Callable[[Item], Result]],
        ahead: int,
        retired: Callable[[DeviceError], object],
    ) -> None:
        self._items = items
        self._workers = workers
        self._ahead = ahead
        self._retired = retired
        self._queue: WorkQueue[tuple[int, Item]] = WorkQueue(ahead)
        self._changed = threading.Condition()
        self._results: dict[int, Result] = {}
        self._errors: dict[int, BaseException] = {}
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
            try:
                thread.start()
            except RuntimeError as error:  # "can't start new thread"
                raise OutOfMemoryError(NO_THREAD) from error
            self._threads.append(thread)

    def results(self) -> Generator[Result, None, None]:
        while True:
            with self._changed:
                while not self._is_ready():
                    self._changed.wait(_POLL)
                if self._next in self._errors:
                    raise self._errors[self._next]
                if self._next not in self._results:
                    return
                result = self._results.pop(self._next)
                self._next += 1
                self._changed.notify_all()
            yield result

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._queue.stop()
        for thread in self._threads:
            thread.join()

    def _is_ready(self) -> bool:
        here = self._next in self._results or self._next in self._errors
        return here or (self._total is not None and self._next >= self._total)

    def _take(self) -> None:
        number = 0
        try:
            for item in self._items:
                with self._changed:
                    while not self._stopped and number - self._next >= self._ahead:
                        self._changed.wait()
                    if self._stopped:
                        return
                self._queue.put((number, item))
                number += 1
        except BaseException as error:  # raised where the results are taken
            self._fail(number, error)
        else:
            with self._changed:
                self._total = number
                self._changed.notify_all()
        self._queue.close()

    def _work(self, worker: Callable[[Item], Result]) -> None:
        for number, item in self._queue:
            try:
                result = worker(item)
            except DeviceError as error:
                with self._changed:
                    last = self._working == 1
                    self._working -= 0 if last else 1
                if not last:
                    self._retired(error)
                    self._queue.give_back((number, item))
                    return
                self._fail(number, error)
            except BaseException as error:
                self._fail(number, error)
            else:
                with self._changed:
                    self._results[number] = result
                    self._changed.notify_all()
            self._queue.done()

    def _fail(self, number: int, error: BaseException) -> None:
        with self._changed:
            self._errors[number] = error
            self._changed.notify_all()
