"""What happens to the jobs of a batch, and how many ended how."""

from dataclasses import dataclass
from typing import Literal

from realesrgan_vk.batch.jobs import Job

Stage = Literal["decode", "size", "upscale", "encode"]
"""Where a job failed; "size": the result does not fit its format or the memory."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job; `Done`, `Failed` or `Skipped` is its last event."""

    job: Job


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """The network has completed a fraction of its work, 0..1."""

    fraction: float


@dataclass(frozen=True, slots=True)
class Done(Event):
    """The result was written.

    Attributes:
        width: Of the result, in pixels.
        height: Of the result, in pixels.
        seconds: Of its decoding, upscaling, encoding and writing, without waiting between them.
        notes: What could not be kept, in words.
        sha256: Of the result's file, in hexadecimal; empty where it was not asked for.
    """

    width: int
    height: int
    seconds: float
    notes: tuple[str, ...] = ()
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """There is no result.

    Attributes:
        stage: Where.
        error: Why, in words.
        by_device: The device failed; another one may do the job.
    """

    stage: Stage
    error: str
    by_device: bool = False


@dataclass(frozen=True, slots=True)
class Skipped(Event):
    """The result was there already."""


@dataclass(frozen=True, slots=True)
class Retired(Event):
    """A device failed and gets no more pictures; another one takes over the job."""

    error: str


@dataclass(slots=True)
class Summary:
    """How many jobs ended how."""

    done: int = 0
    failed: int = 0
    skipped: int = 0

    def count(self, event: Event) -> None:
        """Add the job of this event if it is the job's last."""
        match event:
            case Done():
                self.done += 1
            case Failed():
                self.failed += 1
            case Skipped():
                self.skipped += 1

    def interruption(self, pictures: int) -> str:
        """What to say of a run that was stopped before all of `pictures` were done."""
        of_all = "1 picture" if pictures == 1 else f"{pictures} pictures"
        return f"interrupted: {self.done} of {of_all} written"
