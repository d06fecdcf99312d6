"""The jobs: their states, their files, and who is told when one changes.

A job is a folder of its id with `original`, `job.json` and, when it is done, `result`. A folder
without `job.json` is of an upload that was cut; it is removed at the next start.
"""

import json
import re
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, get_args

from realesrgan_vk.image_io.atomic import remove_leftovers, write_whole
from realesrgan_vk.models.bounded_json import read_json
from realesrgan_vk.page.parameters import JobOptions
from realesrgan_vk.page.problems import Problem

Status = Literal["queued", "running", "done", "failed", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)
FINISHED = frozenset({"done", "failed", "cancelled"})
_ID = re.compile(r"[0-9a-f]{32}")
_TRIAL_SECONDS = 600.0
_SHOWN_SECONDS = 3600.0  # for which what is shown of a picture is kept after its last use
_MOST_REMOVED = 1000  # ids of removed jobs that are told to who connects again
_RETRY_SECONDS = 3  # after which a full queue may have room


@dataclass(slots=True)
class PageJob:
    """One picture to make, and what became of it. Changed only through `Jobs.change`.

    Attributes:
        id: Random.
        folder: Where its files are.
        options: What was asked for.
        source: The file: its `kind`, picture or video, `width`, `height`, `frames`, `bytes`,
            `format`; of a video `frame_rate` and `duration`, too.
        result_name: The result's file name.
        plan: What the run takes, as it was known when the job was made.
        created: Seconds since 1970.
        status: What it is doing.
        fraction: How much is done, 0..1.
        result: Width, height and bytes of the result, once it is written.
        seconds: What the work took.
        error: Why it failed.
        notes: What could not be kept, in words.
        frames_per_second: Of a video that runs.
        shown: How often, in this run of the server, a video had another frame to look at.
        finished: When it ended, in seconds since 1970.
        cancelled: Whether it is to be stopped.
        changed: The number of its last change.
    """

    id: str
    folder: Path
    options: JobOptions
    source: Mapping[str, Any]
    result_name: str
    plan: Mapping[str, Any]
    created: float
    status: Status = "queued"
    fraction: float = 0.0
    result: Mapping[str, Any] | None = None
    seconds: float | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()
    finished: float | None = None
    cancelled: bool = False
    frames_per_second: float | None = None
    shown: int = 0
    changed: int = 0
    preview_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def original_file(self) -> Path:
        """The picture."""
        return self.folder / "original"

    @property
    def result_file(self) -> Path:
        """The result, if the job is done."""
        return self.folder / "result"

    @property
    def is_video(self) -> bool:
        """Whether the file is a video."""
        return self.source.get("kind") == "video"

    @property
    def expires(self) -> float:
        """From when on it is removed if it is a trial, in seconds since 1970."""
        return (self.finished or self.created) + _TRIAL_SECONDS

    def public(self) -> dict[str, Any]:
        """As the API shows it."""
        own = f"/api/jobs/{self.id}"
        links = {"self": own, "events": f"{own}/events", "original": f"{own}/original"}
        if self.status == "done":
            links["result"] = f"{own}/result"
            if not self.is_video:
                links |= {f"{of}_tiles": f"{own}/{of}.dzi" for of in ("result", "original")}
        if self.status == "done" or self.shown:
            links["preview"] = f"{own}/preview"
        return {
            "id": self.id,
            "name": self.options.name,
            "status": self.status,
            "fraction": round(self.fraction, 4),
            "trial": self.options.trial,
            "options": dict(self.options.given),
            "model": self.options.model,
            "source": dict(self.source),
            "result": None if self.result is None else dict(self.result),
            "result_name": self.result_name,
            "plan": dict(self.plan),
            "created": _clock(self.created),
            "finished": None if self.finished is None else _clock(self.finished),
            "seconds": self.seconds,
            "error": self.error,
            "notes": list(self.notes),
            "frames_per_second": self.frames_per_second,
            "shown": self.shown,
            "links": links,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What is told of a job: its state, or that it is gone."""

    number: int
    id: str
    job: PageJob | None


class Jobs:
    """All jobs of a folder. Any thread may use it."""

    def __init__(self, folder: Path, queue: int, keep_seconds: float, keep_bytes: int) -> None:
        """Read the jobs of earlier runs; those that had not ended are queued again.

        Args:
            folder: Where jobs are; it is made where it is missing.
            queue: How many wait at most.
            keep_seconds: How long a finished one is kept.
            keep_bytes: What all may take.
        """
        self._folder = folder
        self._most_waiting = queue
        self._keep_seconds, self._keep_bytes = keep_seconds, keep_bytes
        self._lock = threading.RLock()
        self._jobs: dict[str, PageJob] = {}
        self._uploading = 0
        self._number = 0
        self._removed: deque[Change] = deque(maxlen=_MOST_REMOVED)
        self._listeners: set[Callable[[], object]] = set()
        self.epoch = secrets.token_hex(4)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(folder.iterdir()):
            if _ID.fullmatch(path.name) and not path.is_symlink():
                self._load(path)
        self.expire()

    def _load(self, folder: Path) -> None:
        remove_leftovers([folder])
        for part in folder.glob("*.part*"):  # of what was to be shown
            _erase(part)
        try:
            job = _read(folder)
        except (OSError, ValueError, LookupError, TypeError, Problem):
            shutil.rmtree(folder, ignore_errors=True)
            return
        self._jobs[job.id] = job
        if job.status == "running":
            job.status, job.fraction = "queued", 0.0
        self._number += 1
        job.changed = self._number

    @contextmanager
    def upload(self) -> Iterator[Path]:
        """A new folder for a picture, which counts as one that waits; removed unless it is added.

        Raises:
            Problem: No place is left in the queue (503).
        """
        with self._lock:
            waiting = sum(job.status == "queued" for job in self._jobs.values())
            if waiting + self._uploading >= self._most_waiting:
                raise Problem(
                    503,
                    f"{waiting + self._uploading} jobs wait, which is all that may",
                    headers={"Retry-After": str(_RETRY_SECONDS)},
                )
            self._uploading += 1
        folder = self._folder / secrets.token_hex(16)
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            with self._lock:
                self._uploading -= 1
                added = folder.name in self._jobs
            if not added:
                shutil.rmtree(folder, ignore_errors=True)

    def add(self, job: PageJob) -> None:
        """List a job; its picture is in its folder."""
        _write(job)
        with self._lock:
            self._jobs[job.id] = job
        self.change(job)

    def change(self, job: PageJob, **values: object) -> None:
        """Set attributes of a job and tell all listeners; a change of its status is written."""
        with self._lock:
            if values.get("status") in FINISHED:
                values.setdefault("finished", time.time())
            for name, value in values.items():
                setattr(job, name, value)
            self._number += 1
            job.changed = self._number
            if "status" in values and job.id in self._jobs:
                with suppress(OSError):  # a full disk: after a restart it is done once more
                    _write(job)
            listeners = list(self._listeners)
        for tell in listeners:
            tell()

    def cancel(self, job: PageJob) -> bool:
        """Stop a job; False where it had ended. One that runs stops soon."""
        with self._lock:
            if job.status in FINISHED:
                return False
            job.cancelled = True
            if job.status == "queued":
                self.change(job, status="cancelled")
        return True

    def begin(self, job: PageJob) -> bool:
        """Take a job from the queue to work on it; False where it was cancelled."""
        with self._lock:
            if job.status != "queued":
                return False
            self.change(job, status="running")
        return True

    def remove(self, job: PageJob) -> None:
        """Forget a finished job and remove its files."""
        with self._lock:
            if self._jobs.pop(job.id, None) is None:
                return
            self._number += 1
            self._removed.append(Change(self._number, job.id, None))
            listeners = list(self._listeners)
        shutil.rmtree(job.folder, ignore_errors=True)
        for tell in listeners:
            tell()

    def has(self, job: PageJob) -> bool:
        """Whether a job was not removed."""
        with self._lock:
            return job.id in self._jobs

    def get(self, job_id: str) -> PageJob:
        """The job of this id.

        Raises:
            Problem: There is none (404).
        """
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise Problem(404, "there is no such job; it may have expired")
        return job

    def all(self) -> list[PageJob]:
        """Every job, the oldest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: (job.created, job.id))

    def counts(self) -> dict[str, int]:
        """How many jobs wait and run, and how many may wait."""
        with self._lock:
            states = [job.status for job in self._jobs.values()]
            waiting = states.count("queued") + self._uploading
        return {"waiting": waiting, "running": states.count("running"), "limit": self._most_waiting}

    def expire(self) -> None:
        """Remove what is too old, then the oldest until the rest is small enough.

        That is finished jobs, and before them what is only kept to be shown, which can be made
        again.
        """
        now = time.time()
        for job in self.all():
            age = now - (job.finished or now)
            if job.status in FINISHED and (
                age > self._keep_seconds or (job.options.trial and now > job.expires)
            ):
                self.remove(job)
        for used, path, job in self._shown():
            if now - used > _SHOWN_SECONDS:
                with job.preview_lock:
                    _erase(path)
        if self.make_room(0):
            return
        sizes = [(job, _size(job.folder)) for job in self.all()]
        total = sum(size for _, size in sizes)
        for job, size in sizes:
            if total <= self._keep_bytes:
                return
            if job.status in FINISHED:
                self.remove(job)
                total -= size

    def make_room(self, needed: int) -> bool:
        """Remove what is only kept to be shown, the longest unused first, for so many bytes.

        Returns:
            Whether there is room for them now.
        """
        total = needed + sum(_size(job.folder) for job in self.all())
        for _, path, job in self._shown():
            if total <= self._keep_bytes:
                break
            with job.preview_lock:
                total -= _size(path)
                _erase(path)
        return total <= self._keep_bytes

    def _shown(self) -> list[tuple[float, Path, PageJob]]:
        """What is only kept to be shown of pictures, with its last use, the oldest first."""
        found = []
        for job in self.all():
            if job.is_video:
                continue
            for path in (*job.folder.glob("*.v"), *job.folder.glob("*.tiles")):
                with suppress(OSError):
                    found.append((path.stat().st_mtime, path, job))
        return sorted(found, key=lambda each: each[0])

    def changes(self, after: int, job_id: str | None = None) -> list[Change]:
        """What has changed after this number, of one job or of all, in its order.

        A job is told once, as it is now.
        """
        with self._lock:
            found = [change for change in self._removed if change.number > after]
            found += [
                Change(job.changed, job.id, job)
                for job in self._jobs.values()
                if job.changed > after
            ]
        chosen = [change for change in found if job_id in (None, change.id)]
        return sorted(chosen, key=lambda change: change.number)

    @contextmanager
    def listening(self, tell: Callable[[], object]) -> Iterator[None]:
        """Call `tell`, from any thread, after every change."""
        with self._lock:
            self._listeners.add(tell)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.discard(tell)


def _write(job: PageJob) -> None:
    stored = {
        "version": 1,
        "given": dict(job.options.given),
        "model": job.options.model,
        "source": dict(job.source),
        "result_name": job.result_name,
        "plan": dict(job.plan),
        "created": job.created,
        "status": job.status,
        "result": None if job.result is None else dict(job.result),
        "seconds": job.seconds,
        "error": job.error,
        "notes": list(job.notes),
        "finished": job.finished,
    }
    write_whole(job.folder / "job.json", json.dumps(stored).encode())


def _read(folder: Path) -> PageJob:
    """The job of a folder; its files are this program's, but may be damaged."""
    stored = read_json(folder / "job.json")
    if stored["version"] != 1 or stored["status"] not in STATUSES:
        raise ValueError("another version")
    job = PageJob(
        folder.name,
        folder,
        _options(stored),
        stored["source"],
        str(stored["result_name"]),
        stored["plan"],
        float(stored["created"]),
        stored["status"],
        1.0 if stored["status"] == "done" else 0.0,
        stored["result"],
        stored["seconds"],
        stored["error"],
        tuple(stored["notes"]),
        stored["finished"],
    )
    needed = [job.original_file] + ([job.result_file] if job.status == "done" else [])
    if not all(path.is_file() for path in needed):
        raise ValueError("a file is missing")
    return job


def _options(stored: Mapping[str, Any]) -> JobOptions:
    """What was asked for; of a finished job even if its network is gone."""
    given = {str(name): str(text) for name, text in stored["given"].items()}
    try:
        return JobOptions.of(given.items())
    except Problem:
        if stored["status"] not in FINISHED:
            raise
        kept = JobOptions.of((name, given[name]) for name in ("name", "trial") if name in given)
        return replace(kept, given=given, model=str(stored["model"]))


def _size(path: Path) -> int:
    """Bytes of a file, or of all in a folder."""
    total = 0
    with suppress(OSError):
        # Of a video that is in work there are segments, of a large result levels.
        for each in (path,) if path.is_file() else path.rglob("*"):
            total += each.stat().st_size
    return total


def _erase(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
