"""What a batch tells the user: nothing, lines, a progress bar, or JSON events."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from realesrgan_vk.batch.events import Done, Event, Failed, Progress, Retired, Skipped, Summary
from realesrgan_vk.batch.jobs import Job
from realesrgan_vk.cli.messages import say, tell, unalarming
from realesrgan_vk.errors import NO_THREAD, OutOfMemoryError, printable
from realesrgan_vk.models import Model

_PROGRESS_INTERVAL = 0.5  # seconds between two JSON progress events of one picture


class Runner(Protocol):
    """What runs the network, such as an `Upscaler`."""

    @property
    def model(self) -> Model:
        """The network."""

    @property
    def scale(self) -> int:
        """Its scale."""

    @property
    def device(self) -> int | str:
        """The device's index, or what there is in its place."""


class Report:
    """Lines on stderr: failures and, unless it is quiet, results and notes, but no progress."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    @contextmanager
    def running(self, pictures: int, runner: Runner) -> Iterator[None]:
        """The time in which events come; `pictures` of them in all."""
        yield

    def note(self, words: str) -> None:
        """Something to know that is no failure."""
        if not self._quiet:
            self.line(words)

    def event(self, event: Event) -> None:
        """What happened to a job."""
        name = event.job.target.name
        match event:
            case Failed():
                source = printable(event.job.source)
                named = event.error if source in event.error else f"{source}: {event.error}"
                self.line(f"failed: {named}")
            case Retired():
                words = f"a device gets no more pictures, the others go on: {event.error}"
                self.note(unalarming(words))
            case Skipped():
                self.note(f"skipped: {unalarming(name)} exists")
            case Done():
                size = f"{event.width} x {event.height}"
                self.note(unalarming(f"{name} ({size}, {event.seconds:.1f} s)"))
                for note in event.notes:
                    self.note(unalarming(f"  note: {note}"))

    def end(self, summary: Summary, seconds: float) -> None:
        """All is over; `seconds` since the command began. One picture needs no counts."""
        if summary.done + summary.failed + summary.skipped > 1:
            parts = [f"{summary.done} written"]
            parts += [f"{summary.skipped} skipped"] if summary.skipped else []
            parts += [f"{summary.failed} failed"] if summary.failed else []
            self.note(f"{', '.join(parts)} in {seconds:.1f} s")

    def interrupted(self, summary: Summary, pictures: int) -> None:
        """The run was stopped before all of `pictures` were done."""
        self.line(summary.interruption(pictures))

    def line(self, words: str) -> None:
        """Print for people."""
        say(words)


class BarReport(Report):
    """Results, and below them a bar on a terminal: fraction, pictures, speed, time left."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task("upscaling", total=None, count="", speed="", visible=False)
        self._fractions: dict[str, float] = {}  # of the pictures in work
        self._pictures = 0
        self._ended = 0
        self._pixels = 0
        self._started = time.perf_counter()

    @contextmanager
    def running(self, pictures: int, runner: Runner) -> Iterator[None]:
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
        source = event.job.source
        match event:
            case Progress():
                self._fractions[str(source)] = event.fraction
            case Retired():
                self._fractions[str(source)] = 0.0
            case _:
                self._fractions.pop(str(source), None)
                self._ended += 1
        if isinstance(event, Done):
            self._pixels += event.width * event.height
        speed = self._pixels / 1e6 / max(time.perf_counter() - self._started, 1e-6)
        if self._pictures == 1:
            self._bar.update(self._task, description=unalarming(printable(source.name)))
        self._bar.update(
            self._task,
            completed=self._ended + sum(self._fractions.values()),
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
        self._printed: dict[Job, float] = {}  # when progress was printed last
        self._lock = threading.Lock()

    @contextmanager
    def running(self, pictures: int, runner: Runner) -> Iterator[None]:
        """Print what is about to be done."""
        model = runner.model.name
        device = runner.device
        self._print("start", pictures=pictures, model=model, scale=runner.scale, device=device)
        yield

    def note(self, words: str) -> None:
        """Print it."""
        self._print("note", note=words)

    def event(self, event: Event) -> None:
        """Print it; progress of one picture at most twice a second."""
        source, target = str(event.job.source), str(event.job.target)
        match event:
            case Progress():
                now = time.perf_counter()
                if now - self._printed.get(event.job, 0.0) >= _PROGRESS_INTERVAL:
                    self._printed[event.job] = now
                    self._print("progress", source=source, fraction=round(event.fraction, 4))
            case Retired():
                self._print("retired", source=source, error=event.error)
            case Failed():
                self._print("failed", source=source, stage=event.stage, error=event.error)
            case Skipped():
                self._print("skipped", source=source, target=target)
            case Done():
                self._print(
                    "done",
                    source=source,
                    target=target,
                    width=event.width,
                    height=event.height,
                    seconds=round(event.seconds, 3),
                    notes=event.notes,
                    **({"sha256": event.sha256} if event.sha256 else {}),
                )

    def end(self, summary: Summary, seconds: float) -> None:
        """Print the counts."""
        self._print("end", **asdict(summary), seconds=round(seconds, 3))

    def interrupted(self, summary: Summary, pictures: int) -> None:
        """Print the counts so far."""
        self._print("interrupted", **asdict(summary), pictures=pictures)

    def _print(self, event: str, **fields: object) -> None:
        with self._lock:
            tell(json.dumps({"event": event, **fields}))
