"""Which device gets which picture, with devices that are slow, that fail, and that are lost."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from compact_network import write_compact
from conftest import Photo
from PIL import Image

from realesrgan_vk import Upscaler, list_devices
from realesrgan_vk.batch import Batch, BatchOptions, Done, Event, Failed, Progress, Retired, workers
from realesrgan_vk.batch.jobs import Job
from realesrgan_vk.cli.reports import JsonReport, Report
from realesrgan_vk.errors import DeviceError
from realesrgan_vk.image_io.formats import GIF, JPEG, PNG
from realesrgan_vk.options import Request, TargetSize, UpscalerOptions
from realesrgan_vk.processing.work_queue import WorkQueue

PICTURES = 12


class Fake(Upscaler):
    """A device that may be slow, and fails from some picture on."""

    def __init__(self, real: Upscaler, *, seconds: float = 0, works: int = 10**9) -> None:
        self._core = real._core
        self.model, self.seconds, self.works = real.model, seconds, works
        self.taken: list[int] = []
        self._count = threading.Lock()

    def upscale_picture(self, *arguments: object) -> object:  # type: ignore[override]
        with self._count:
            self.taken.append(len(self.taken))
            fails = len(self.taken) > self.works
        time.sleep(self.seconds)
        if fails:
            raise DeviceError("the device is lost")
        return super().upscale_picture(*arguments)  # type: ignore[arg-type]


@pytest.fixture
def jobs(photo: Photo, tmp_path: Path) -> list[Job]:
    Image.fromarray(photo(8, 8)).save(tmp_path / "a.png")
    return [Job(tmp_path / "a.png", tmp_path / "out" / f"{i}.png", PNG) for i in range(PICTURES)]


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events if not isinstance(event, Progress)]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("works", [0, 2])
def test_a_device_that_fails_gets_no_more_pictures(
    fast: Upscaler, jobs: list[Job], works: int, threads: int
) -> None:
    """Its picture goes to a healthy one, also when that has finished all others by then."""
    slow, quick = Fake(fast, works=works, seconds=0.3), Fake(fast, seconds=0.05)
    broken, healthy = (slow, Fake(fast)) if works == 0 else (Fake(fast, works=works), quick)
    events: list[Event] = []
    summary = Batch([broken] * threads + [healthy], BatchOptions(), events.append).run(jobs)
    assert (summary.done, summary.failed) == (PICTURES, 0)
    assert works < len(broken.taken) <= works + threads
    assert kinds(events).count(Retired) == 1
    assert next(e.error for e in events if isinstance(e, Retired)) == "the device is lost"
    assert Failed not in kinds(events)
    assert len(list(jobs[0].target.parent.iterdir())) == PICTURES


def test_reports_tell_of_a_retired_device(
    jobs: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    event = Retired(jobs[0], "the device is lost")
    words = "a device gets no more pictures, the others go on: the device is lost\n"
    for report, expected in ((Report(), ("", words)), (Report(quiet=True), ("", ""))):
        report.event(event)
        assert capsys.readouterr() == expected
    JsonReport().event(event)
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "event": "retired",
        "source": str(jobs[0].source),
        "error": "the device is lost",
    }


def test_the_last_device_is_never_given_up(fast: Upscaler, jobs: list[Job]) -> None:
    """Perhaps it was the picture; each is reported, and the run ends."""
    devices = [Fake(fast, works=0), Fake(fast, works=3)]
    events: list[Event] = []
    summary = Batch(devices, BatchOptions(), events.append).run(jobs)
    assert summary.done + summary.failed == PICTURES
    assert summary.done <= 3
    assert kinds(events).count(Retired) == 1
    failed = [event for event in events if isinstance(event, Failed)]
    assert {(event.stage, event.error) for event in failed} == {("upscale", "the device is lost")}
    alone = Batch([Fake(fast, works=0)], BatchOptions(), events.append).run(jobs)
    assert (alone.done, alone.failed) == (0, PICTURES)


@pytest.mark.parametrize("known", [JPEG, GIF])
def test_too_large_a_result_is_refused_before_pixels_are_decoded(
    fast: Upscaler, jobs: list[Job], tmp_path: Path, known: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "a JPEG file holds at most 65500 pixels a side"
    if known is GIF:
        frames = [Image.new("L", (8, 8), shade) for shade in (0, 99, 200)]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        monkeypatch.setattr("realesrgan_vk.image_io.limits.installed_memory", lambda: 10**9)
        words = "3 frames of 65000 x 65000 pixels need at least 35.4 GiB, this machine has 0.9"
    suffix, width = ("gif", 65_000) if known is GIF else ("png", 70_000)
    job = Job(tmp_path / f"a.{suffix}", tmp_path / "b", GIF if known is GIF else JPEG)

    def decodes(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decodes)
    events: list[Event] = []
    options = BatchOptions(Request(TargetSize(width=width)))
    assert Batch([fast], options, events.append).run([job]).failed == 1
    (failed,) = events
    assert isinstance(failed, Failed)
    assert words in failed.error
    assert failed.stage == "size"


def test_a_queue_waits_for_what_may_come_back() -> None:
    queue: WorkQueue[int] = WorkQueue(2)
    queue.put(1)
    queue.close()
    first = next(iter(queue))
    taken: list[int] = []

    def take() -> None:
        for item in queue:
            taken.append(item)
            queue.done()

    thread = threading.Thread(target=take)
    thread.start()
    time.sleep(0.05)
    assert thread.is_alive(), "the item may come back"
    queue.give_back(first)
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert taken == [1]


def test_a_free_upscaler_takes_the_next_picture(
    photo: Photo, fast: Upscaler, tmp_path: Path
) -> None:
    """Of a slow and a fast device the fast one does more; all pictures are done once."""
    slow, quick = Fake(fast, seconds=0.3), Fake(fast, seconds=0.02)
    Image.fromarray(photo(8, 8)).save(tmp_path / "a.png")
    jobs = [Job(tmp_path / "a.png", tmp_path / "out" / f"{i}.png", PNG) for i in range(20)]
    events: list[Event] = []
    batch = Batch([slow, quick], BatchOptions(), events.append)
    summary = batch.run(jobs)
    assert (summary.done, summary.failed) == (20, 0)
    assert len(list((tmp_path / "out").iterdir())) == 20
    assert len(quick.taken) > 2 * len(slow.taken) > 0
    ends = [event.job.target for event in events if isinstance(event, Done)]
    assert sorted(ends) == sorted(job.target for job in jobs)


class Device:
    def __init__(self, index: int, kind: str) -> None:
        self.index, self.type, self.name = index, kind, f"device {index}"


def test_a_gpu_works_on_two_pictures_at_a_time(
    fast: Upscaler, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of many; not with a limit of the memory of each, and not on a software driver."""
    both = threading.Barrier(2, timeout=30)
    told: list[object] = []

    class Meeting(Fake):
        def upscale_picture(self, *arguments: object) -> object:  # type: ignore[override]
            both.wait()
            return super().upscale_picture(*arguments)

    def upscaler(*_: object, runs_at_once: int, **__: object) -> Upscaler:
        told.append(runs_at_once)
        return Meeting(fast)

    known = [Device(0, "discrete"), Device(1, "integrated"), Device(2, "cpu")]
    monkeypatch.setattr(workers, "list_devices", lambda: known)
    monkeypatch.setattr(workers, "Upscaler", upscaler)
    limited = UpscalerOptions(memory_limit=2**30)
    for device, options, pictures, runs in (
        (0, UpscalerOptions(), PICTURES, 2),
        (1, UpscalerOptions(), PICTURES, 2),
        (0, UpscalerOptions(), 1, 1),
        (0, limited, PICTURES, 1),
        (2, UpscalerOptions(), PICTURES, 1),
    ):
        found = workers.load_upscalers("net", options, [device], pictures=pictures)
        assert len(found) == runs
        assert len({id(one) for one in found}) == 1, "one network on the device"
        assert told.pop() == runs
    two = workers.load_upscalers("net", UpscalerOptions(), [0], pictures=PICTURES)
    summary = Batch(two, BatchOptions(), lambda _: None).run(jobs)
    assert (summary.done, summary.failed) == (PICTURES, 0), "each met another one"


def test_two_pictures_at_a_time_have_the_bytes_of_one_by_one(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = list_devices()
    if not devices:
        pytest.skip("no Vulkan device")
    write_compact(tmp_path, "net")
    sizes = [(8, 8), (40, 25), (9, 60), (8, 8), (40, 25)]
    for i, size in enumerate(sizes):
        Image.fromarray(photo(*size)).save(tmp_path / f"{i}.png")

    def run(folder: str, kind: str) -> list[bytes]:
        known = [Device(devices[0].index, kind)]
        monkeypatch.setattr(workers, "list_devices", lambda: known)
        found = workers.load_upscalers(
            tmp_path / "net.param", UpscalerOptions(), [0], pictures=len(sizes)
        )
        assert len(found) == (1 if kind == "cpu" else 2)
        jobs = [
            Job(tmp_path / f"{i}.png", tmp_path / folder / f"{i}.png", PNG)
            for i in range(len(sizes))
        ]
        assert Batch(found, BatchOptions(), lambda _: None).run(jobs).done == len(sizes)
        return [job.target.read_bytes() for job in jobs]

    assert run("two", "discrete") == run("one", "cpu")


def test_a_report_that_raises_stops_the_batch(photo: Photo, fast: Upscaler, tmp_path: Path) -> None:
    Image.fromarray(photo(8, 8)).save(tmp_path / "a.png")
    jobs = [Job(tmp_path / "a.png", tmp_path / f"{i}.png", PNG) for i in range(20)]

    def report(event: Event) -> None:
        if isinstance(event, Done):
            raise BrokenPipeError("nobody listens")

    with pytest.raises(BrokenPipeError, match="nobody listens"):
        Batch([fast], BatchOptions(), report).run(jobs)
    assert len(list(tmp_path.iterdir())) < 21


def test_an_interrupted_run_waits_for_its_devices(fast: Upscaler, jobs: list[Job]) -> None:
    """What computes must not go on while the process ends."""

    class Slow(Fake):
        ended = 0

        def upscale_picture(self, *arguments: object) -> object:  # type: ignore[override]
            if not self.ended:
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
            self.ended += 1
            return super().upscale_picture(*arguments)

    device = Slow(fast)
    batch = Batch([device], BatchOptions(), lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        batch.run(jobs)
    assert device.ended >= 1
    written = list(jobs[0].target.parent.iterdir()) if jobs[0].target.parent.exists() else []
    assert batch.summary.done == len(written)
