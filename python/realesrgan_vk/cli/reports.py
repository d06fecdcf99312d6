"""What a batch tells the user: nothing, lines, a progress bar, or JSON events."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from realesrgan_vk.batch.pipeline import Event, Summary
from realesrgan_vk.cli.messages import say, tell, unalarming
from realesrgan_vk.errors import NO_THREAD, OutOfMemoryError, printable
from realesrgan_vk.upscaler import Upscaler

_PROGRESS_INTERVAL = 0.5  # seconds between two JSON progress events of one picture


class Report:
    """Failures only, on stderr."""

    @contextmanager
    def over(self, pictures: int, upscaler: Upscaler) -> Iterator[None]:
        """The time in which events come; `pictures` of them in all."""
        yield

    def note(self, words: str) -> None:
        """Something to know that is no failure."""

    def event(self, event: Event) -> None:
        """What happened to a job."""
        if event.kind == "failed":
            source = printable(event.job.source)
            named = event.error if source in event.error else f"{source}: {event.error}"
            self.line(f"failed: {named}")
        if event.kind == "retired":
            words = f"a device gets no more pictures, the others go on: {event.error}"
            self.note(unalarming(words))

    def end(self, summary: Summary, seconds: float) -> None:
        """All is over; `seconds` since the command began."""

    def interrupted(self, summary: Summary, pictures: int) -> None:
        """The run was stopped before all of `pictures` were done."""
        self.line(summary.interruption(pictures))

    def line(self, words: str) -> None:
        """Print for people."""
        say(words)


class LineReport(Report):
    """A line a picture, for a log."""

    def note(self, words: str) -> None:
        """Print it."""
        self.line(words)

    def event(self, event: Event) -> None:
        """Print results, not progress."""
        super().event(event)
        if event.kind == "skipped":
            self.line(f"skipped: {unalarming(event.job.target.name)} exists")
        if event.kind == "done":
            size = f"{event.width} x {event.height}"
            self.line(unalarming(f"{event.job.target.name} ({size}, {event.seconds:.1f} s)"))
            for note in event.notes:
                self.line(unalarming(f"  note: {note}"))

    def end(self, summary: Summary, seconds: float) -> None:
        """Print the counts when there is more than one."""
        if summary.done + summary.failed + summary.skipped > 1:
            self.line(_counts(summary, seconds))


class BarReport(LineReport):
    """Results, and below them a progress bar on a terminal: share, pictures, speed, time left."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task("upscaling", total=None, count="", speed="", visible=False)
        self._shares: dict[str, float] = {}
        self._pictures = 0
        self._ended = 0
        self._pixels = 0
        self._started = time.perf_counter()

    @contextmanager
    def over(self, pictures: int, upscaler: Upscaler) -> Iterator[None]:
        """Show the bar."""
        self._started = time.perf_counter()
        self._pictures = pictures
        try:
            self._bar.start()
        except RuntimeError as error:  # "can't start new thread"
            self._console.show_cursor()
            raise OutOfMemoryError(NO_THREAD) from error
        try:
            self._bar.update(self._task, total=pictures, count=self._count(), visible=True)
            yield
        finally:
            self._bar.stop()

    def event(self, event: Event) -> None:
        """Move the bar; print results, failures and notes above it."""
        super().event(event)
        source = str(event.job.source)
        if event.kind in ("progress", "retired"):
            self._shares[source] = event.share
        else:
            self._shares.pop(source, None)
            self._ended += 1
            self._pixels += event.width * event.height
        speed = self._pixels / 1e6 / max(time.perf_counter() - self._started, 1e-6)
        if self._pictures == 1:
            name = unalarming(printable(event.job.source.name))
            self._bar.update(self._task, description=name)
        self._bar.update(
            self._task,
            completed=self._ended + sum(self._shares.values()),
            count=self._count(),
            speed=f"{speed:.2f} MP/s" if self._pixels else "",
        )

    def line(self, words: str) -> None:
        """Print without disturbing the bar."""
        self._console.print(printable(words), markup=False, highlight=False, soft_wrap=True)

    def _count(self) -> str:
        """Finished pictures of all; what is only begun does not count."""
        return f"{self._ended}/{self._pictures}" if self._pictures > 1 else ""


class JsonReport(Report):
    """One JSON object a line on stdout; if nobody reads them, the run goes on without."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def over(self, pictures: int, upscaler: Upscaler) -> Iterator[None]:
        """Tell what is about to be done."""
        self._print(
            event="start",
            pictures=pictures,
            model=upscaler.model.name,
            scale=upscaler.scale,
            device=upscaler.device,
        )
        yield

    def note(self, words: str) -> None:
        """Tell it."""
        self._print(event="note", note=words)

    def event(self, event: Event) -> None:
        """Tell it; progress of one picture at most twice a second."""
        job = event.job
        source = str(job.source)
        if event.kind == "progress":
            now = time.perf_counter()
            if now - self._told.get(source, 0.0) >= _PROGRESS_INTERVAL:
                self._told[source] = now
                self._print(event="progress", source=source, share=round(event.share, 4))
            return
        self._told.pop(source, None)
        if event.kind == "retired":
            self._print(event="retired", source=source, error=event.error)
        elif event.kind == "failed":
            self._print(event="failed", source=source, stage=event.stage, error=event.error)
        elif event.kind == "skipped":
            self._print(event="skipped", source=source, target=str(job.target))
        else:
            self._print(
                event="done",
                source=source,
                target=str(job.target),
                width=event.width,
                height=event.height,
                seconds=round(event.seconds, 3),
                notes=list(event.notes),
            )

    def end(self, summary: Summary, seconds: float) -> None:
        """Tell the counts."""
        self._print(
            event="end",
            done=summary.done,
            failed=summary.failed,
            skipped=summary.skipped,
            seconds=round(seconds, 3),
        )

    def interrupted(self, summary: Summary, pictures: int) -> None:
        """Tell the counts so far."""
        self._print(
            event="interrupted",
            done=summary.done,
            failed=summary.failed,
            skipped=summary.skipped,
            pictures=pictures,
        )

    def _print(self, **fields: object) -> None:
        with self._lock:
            tell(json.dumps(fields))


def _counts(summary: Summary, seconds: float) -> str:
    parts = [f"{summary.done} written"]
    parts += [f"{summary.skipped} skipped"] if summary.skipped else []
    parts += [f"{summary.failed} failed"] if summary.failed else []
    return f"{', '.join(parts)} in {seconds:.1f} s"
