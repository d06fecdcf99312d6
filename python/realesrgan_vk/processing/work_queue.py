"""A bounded queue between the threads of two stages, from which work can be given back."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class WorkQueue(Generic[Item]):
    """Items between one stage and the next.

    An item that was taken counts until `done` or `give_back`: a thread that finds the queue empty
    waits as long as another may still give its item back.
    """

    def __init__(self, size: int) -> None:
        """`size`: items that wait at most, apart from those given back."""
        self._size = size
        self._items: deque[Item] = deque()
        self._taken = 0
        self._closed = False
        self._stopped = False
        # One lock, and a thread is only woken by what it waits for.
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._ready = threading.Condition(self._lock)

    def put(self, item: Item) -> None:
        """Add an item; waits while the queue is full. After `stop` it is dropped."""
        with self._lock:
            self._room.wait_for(lambda: self._stopped or len(self._items) < self._size)
            if not self._stopped:
                self._items.append(item)
                self._ready.notify()

    def __iter__(self) -> Iterator[Item]:
        """Take items until the queue is stopped, or closed and no item can come any more."""
        while True:
            with self._lock:
                self._ready.wait_for(self._is_ready)
                if self._stopped or not self._items:
                    return
                item = self._items.popleft()
                self._taken += 1
                self._room.notify()
            yield item
            del item  # not kept while the next one is waited for

    def done(self) -> None:
        """Count an item that was taken no longer."""
        with self._lock:
            self._taken -= 1
            self._end()

    def give_back(self, item: Item) -> None:
        """Let another thread take an item that this one has taken; never waits."""
        with self._lock:
            self._taken -= 1
            self._items.appendleft(item)
            self._ready.notify()

    def close(self) -> None:
        """No more items will be put."""
        with self._lock:
            self._closed = True
            self._end()

    def stop(self) -> None:
        """Make all threads that wait, or take an item, return."""
        with self._lock:
            self._stopped = True
            self._room.notify_all()
            self._ready.notify_all()

    def _end(self) -> None:
        """Wake the threads that wait for an item if none can come."""
        if self._closed and not self._taken and not self._items:
            self._ready.notify_all()

    def _is_ready(self) -> bool:
        return self._stopped or bool(self._items) or (self._closed and not self._taken)
