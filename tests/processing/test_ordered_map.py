"""`ordered_map`: order, bounds, errors, workers that fail, and threads that end."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from typing import TypeVar

import pytest

from realesrgan_vk.errors import Cancelled, DeviceError, OutOfMemoryError
from realesrgan_vk.options import Progress
from realesrgan_vk.processing.ordered_map import ordered_map

Result = TypeVar("Result")

SECONDS = 20  # that a test waits for what must happen soon


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())  # those of earlier tests may end meanwhile
    yield
    assert set(threading.enumerate()) <= before


def square(item: int, _: Progress) -> int:
    return item * item


def results_until(error: type[Exception], results: Iterator[Result]) -> tuple[list[Result], str]:
    """What comes before an exception of this type, and its words."""
    made: list[Result] = []
    try:
        for result in results:
            made.append(result)
    except error as raised:
        return made, str(raised)
    pytest.fail(f"no {error.__name__}")


def waits_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return condition()


def test_results_come_in_the_order_of_the_items() -> None:
    delays = random.Random(0)

    def slow(item: int, _: Progress) -> int:
        time.sleep(delays.random() * 0.004)
        return item * item

    assert list(ordered_map(range(60), [slow] * 4, ahead=6)) == [n * n for n in range(60)]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_items(count: int) -> None:
    expected = [n * n for n in range(count)]
    assert list(ordered_map(range(count), [square] * 3, ahead=1)) == expected


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_no_more_items_are_taken_than_may_be_ahead(ahead: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(30):
            taken += 1
            yield number

    with closing(ordered_map(items(), [square] * 3, ahead=ahead)) as results:
        for yielded, _ in enumerate(results, start=1):
            expected = min(30, yielded + ahead)
            assert waits_for(partial(lambda count: taken == count, expected))
            time.sleep(0.002)  # one too many would be taken now
            assert taken <= yielded + ahead


def test_workers_overlap() -> None:
    barrier = threading.Barrier(3, timeout=SECONDS)

    def meets(item: int, _: Progress) -> int:
        barrier.wait()
        return item

    assert list(ordered_map(range(9), [meets] * 3, ahead=3)) == list(range(9))


def test_an_item_of_a_worker_that_fails_goes_to_another() -> None:
    retired: list[tuple[str, threading.Thread]] = []
    failed = threading.Event()

    def broken(item: int, _: Progress) -> int:
        failed.set()
        raise DeviceError(f"lost at {item}")

    def healthy(item: int, _: Progress) -> int:
        assert failed.wait(SECONDS)  # so that the other one gets an item, too
        return item

    def note(error: DeviceError) -> None:
        retired.append((str(error), threading.current_thread()))

    results = ordered_map(range(10), [broken, healthy], ahead=4, retired=note)
    assert list(results) == list(range(10))
    ((words, thread),) = retired
    assert words.startswith("lost at")
    assert thread is threading.current_thread()


def test_the_error_of_the_last_worker_is_raised() -> None:
    retired: list[DeviceError] = []
    failed: set[int] = set()
    barrier = threading.Barrier(2, timeout=SECONDS)

    def fails(item: int, _: Progress) -> int:
        if item < 4:
            return item
        if threading.get_ident() not in failed:
            failed.add(threading.get_ident())
            barrier.wait()
        raise DeviceError(f"lost at {item}")

    results = ordered_map(range(10), [fails] * 2, ahead=4, retired=retired.append)
    assert results_until(DeviceError, results) == ([0, 1, 2, 3], "lost at 4")
    assert len(retired) == 1


def test_an_error_of_a_worker_comes_at_its_place() -> None:
    def divides(item: int, _: Progress) -> float:
        time.sleep(0.002 * (item % 3))
        return 1 / (item - 7)

    made, _ = results_until(ZeroDivisionError, ordered_map(range(20), [divides] * 3, ahead=5))
    assert made == [1 / (item - 7) for item in range(7)]


def test_an_error_of_the_items_comes_after_the_results_before() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise OSError("the disk is gone")

    def slow(item: int, _: Progress) -> int:
        time.sleep(0.005)
        return item

    results = ordered_map(items(), [slow] * 2, ahead=8)
    assert results_until(OSError, results) == ([0, 1, 2, 3, 4], "the disk is gone")


def test_closing_stops_the_workers_within_an_item() -> None:
    started = threading.Event()
    ended: list[str] = []

    def endless(item: int, progress: Progress) -> int:
        if item == 0:
            return item
        started.set()
        try:
            while True:
                progress(0.5)
                time.sleep(0.001)
        except Cancelled:
            ended.append("cancelled")
            raise

    results = ordered_map(range(100), [endless] * 2, ahead=4)
    assert next(results) == 0
    assert started.wait(SECONDS)
    results.close()
    assert set(ended) == {"cancelled"}


def test_nothing_is_taken_before_the_first_result_is_asked_for() -> None:
    taken: list[int] = []
    results = ordered_map((taken.append(n) or n for n in range(3)), [square], ahead=2)  # type: ignore[func-returns-value]
    results.close()
    assert taken == []


def test_an_exception_where_results_are_used_stops_all() -> None:
    def uses() -> None:
        with closing(ordered_map(iter(int, 1), [square] * 2, ahead=4)) as results:
            for _ in results:
                raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        uses()


def test_an_interruption_while_a_result_is_waited_for() -> None:
    def endless(_: int, progress: Progress) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            progress(0)
            time.sleep(0.001)

    results: Generator[int, None, None] = ordered_map(range(3), [endless], ahead=2)
    with pytest.raises(KeyboardInterrupt):
        next(results)


def test_results_are_not_kept_once_they_are_yielded() -> None:
    alive = 0
    most = 0
    lock = threading.Lock()

    class Counted:
        def __init__(self) -> None:
            nonlocal alive, most
            with lock:
                alive += 1
                most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            with lock:
                alive -= 1

    def items() -> Iterator[Counted]:
        for _ in range(50):
            yield Counted()

    ahead = 3
    for made in ordered_map(items(), [lambda item, _: item] * 2, ahead=ahead):
        del made
    # The items' own iterator holds the last one that it gave, and the caller a result.
    assert most <= ahead + 2
    assert alive == 0


def test_threads_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(OutOfMemoryError):
        list(ordered_map(range(3), [square], ahead=1))
