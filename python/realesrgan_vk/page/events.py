"""Server-sent events: the state of jobs whenever it changes.

An event's number counts all changes since the server's start. Who connects again with the last
number that it has seen (`Last-Event-ID`) gets every job that has changed since, as it is now; after
a restart of the server it gets all.
"""

import asyncio
import json
from collections.abc import AsyncIterator

from realesrgan_vk.page.jobs import FINISHED, Change, Jobs

_BEAT_SECONDS = 15.0
_PAUSE_SECONDS = 0.1  # at least between two events of a job


class Streams:
    """The open event streams."""

    def __init__(self, jobs: Jobs, most: int) -> None:
        """`most` may be open."""
        self._jobs = jobs
        self._most = most
        self._open = 0
        self._stopping = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether no more may be opened."""
        return self._open >= self._most

    def stop(self) -> None:
        """End all streams."""
        self._stopping.set()

    async def of(self, last: str, job_id: str | None) -> AsyncIterator[bytes]:
        """The events after the one of this id, of a job until it has ended, or of all.

        Args:
            last: `Last-Event-ID` as it was sent; empty: none.
            job_id: The job; None: all.
        """
        epoch, _, number = last.partition("-")
        known = epoch == self._jobs.epoch and number.isdecimal() and len(number) < 19
        seen = int(number) if known else 0
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        self._open += 1
        try:
            with self._jobs.listening(lambda: loop.call_soon_threadsafe(changed.set)):
                yield b"retry: 1000\n\n"
                while not self._stopping.is_set():
                    changed.clear()
                    for change in self._jobs.changes(seen, job_id):
                        seen = change.number
                        yield self._event(change)
                        if job_id is not None and (
                            change.job is None or change.job.status in FINISHED
                        ):
                            return
                    if await self._waited(changed):
                        await asyncio.sleep(_PAUSE_SECONDS)
                    else:
                        yield b": still here\n\n"
        finally:
            self._open -= 1

    async def _waited(self, changed: asyncio.Event) -> bool:
        """Wait for a change or the server's end; False when neither came for a while."""
        waiting = [asyncio.ensure_future(each.wait()) for each in (changed, self._stopping)]
        try:
            done, _ = await asyncio.wait(
                waiting, timeout=_BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            return bool(done)
        finally:
            for each in waiting:
                each.cancel()

    def _event(self, change: Change) -> bytes:
        name, data = "removed", {"id": change.id}
        if change.job is not None:
            name, data = "job", change.job.public()
        number = f"{self._jobs.epoch}-{change.number}"
        return f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
