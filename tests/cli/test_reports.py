"""What a run tells of its progress and its time."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import COMMAND, on_a_terminal
from conftest import Photo
from PIL import Image

from realesrgan_vk import Upscaler, list_devices
from realesrgan_vk.batch import Batch, BatchOptions, Done, Event, Progress, Summary, workers
from realesrgan_vk.batch.jobs import Job
from realesrgan_vk.batch.workers import load_upscalers
from realesrgan_vk.cli.reports import BarReport, JsonReport, Report
from realesrgan_vk.image_io.formats import PNG
from realesrgan_vk.imaging.picture import Picture
from realesrgan_vk.options import Request, UpscalerOptions
from realesrgan_vk.upscaler import DEFAULT_MODEL

UPSCALE = ["upscale", "-m", "realesr-animevideov3"]


def job(name: str) -> Job:
    return Job(Path("in") / name, Path("out") / name, PNG)


def test_the_bar_counts_finished_pictures_only(
    fast: Upscaler, capsys: pytest.CaptureFixture[str]
) -> None:
    report = BarReport()
    (task,) = report._bar.tasks
    with report.running(4, fast):
        assert task.fields["count"] == "0/4"
        for name in "abcd":
            report.event(Progress(job(f"{name}.png"), 0.99))
        assert task.fields["count"] == "0/4"
        assert task.completed == pytest.approx(3.96)
        assert task.percentage == pytest.approx(99)
        report.event(Done(job("a.png"), width=8, height=4, seconds=0.25))
        assert task.fields["count"] == "1/4"
        assert task.completed == pytest.approx(1 + 2.97)
    assert "a.png (8 x 4, 0.2 s)\n" in capsys.readouterr().err


def test_a_single_picture_has_a_fraction_and_a_time(fast: Upscaler) -> None:
    report = BarReport()
    (task,) = report._bar.tasks
    with report.running(1, fast):
        for fraction in (0.1, 0.2, 0.3):
            report.event(Progress(job("[b]failed.png"), fraction))
            time.sleep(0.01)
        assert task.fields["count"] == ""
        assert task.description == r"[b]\x66ailed.png"
        assert task.percentage == pytest.approx(30)
        assert task.time_remaining is not None


def test_a_terminal_shows_fraction_and_results(photo: Photo, tmp_path: Path) -> None:
    source = tmp_path / "one.png"
    Image.fromarray(photo(64, 64)).save(source)
    large = tmp_path / "large.png"
    shown = on_a_terminal(*UPSCALE, source, "-o", large, "-d", "cpu", columns=120)
    assert "100%" in shown
    assert "one.png" in shown
    assert "large.png (256 x 256, " in shown
    assert "1/1" not in shown


def test_a_software_driver_is_told_of_before_anything_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when it is one of several devices; not for a GPU, nor for the CPU."""
    told: list[str] = []

    class Device:
        def __init__(self, index: int, kind: str, name: str) -> None:
            self.index, self.type, self.name = index, kind, name

    def upscaler(*_: object, device: object, **__: object) -> object:
        told.append(f"loaded {device}")
        return object()

    known = [Device(0, "discrete", "GPU"), Device(1, "cpu", "llvmpipe")]
    monkeypatch.setattr(workers, "list_devices", lambda: known)
    monkeypatch.setattr(workers, "Upscaler", upscaler)
    load_upscalers(DEFAULT_MODEL, UpscalerOptions(), ["auto", "cpu"], pictures=1, note=told.append)
    assert told == ["loaded 0", "loaded cpu"]
    told.clear()
    load_upscalers(DEFAULT_MODEL, UpscalerOptions(), [0, 1], pictures=1, note=told.append)
    assert told[1:] == ["loaded 0", "loaded 1"]
    assert told[0].startswith("llvmpipe is a software driver, which computes on the processor: ")
    assert "minutes" in told[0]


def test_the_command_tells_of_a_software_driver(photo: Photo, tmp_path: Path) -> None:
    software = [device for device in list_devices() if device.type == "cpu"]
    if not software:
        pytest.skip("no software Vulkan driver")
    source = tmp_path / "one.png"
    Image.fromarray(photo(8, 8)).save(source)
    command = [*COMMAND, *UPSCALE, str(source), "-o", str(tmp_path / "large.png")]
    done = subprocess.run([*command, "-d", str(software[0].index)], check=True, text=True,
                          capture_output=True, timeout=300)  # fmt: skip
    assert f"{software[0].name} is a software driver" in done.stderr.splitlines()[0]


def test_seconds_of_a_picture_leave_out_its_waiting(
    fast: Upscaler, photo: Photo, tmp_path: Path
) -> None:
    class Slow(Upscaler):
        def __init__(self) -> None:
            self._core, self.model = fast._core, fast.model

        def upscale_picture(self, picture: Picture, request: Request, *_: object) -> Picture:
            time.sleep(0.3)
            return super().upscale_picture(picture, request)

    Image.fromarray(photo(8, 8)).save(tmp_path / "a.png")
    jobs = [Job(tmp_path / "a.png", tmp_path / "out" / f"{i}.png", PNG) for i in range(5)]
    events: list[Event] = []
    started = time.perf_counter()
    Batch([Slow()], BatchOptions(), events.append).run(jobs)
    wall = time.perf_counter() - started
    seconds = [event.seconds for event in events if isinstance(event, Done)]
    assert len(seconds) == 5
    assert min(seconds) >= 0.3
    assert sum(seconds) < wall + 0.3, "one device: nothing is counted twice"


def test_the_seconds_of_a_run_are_those_of_a_clock(photo: Photo, tmp_path: Path) -> None:
    """Loading included: all but the start of the interpreter and its imports."""
    for index in range(2):
        Image.fromarray(photo(8, 8)).save(tmp_path / f"{index}.png")
    program = (
        "import sys, time\n"
        "from realesrgan_vk.cli import upscale_run\n"
        "load = upscale_run.load_upscalers\n"
        "def slow(*given, **named):\n"
        "    time.sleep(0.5)\n"
        "    return load(*given, **named)\n"
        "upscale_run.load_upscalers = slow\n"
        "from realesrgan_vk.cli.start import command\n"
        "command()"
    )
    arguments = [*UPSCALE, str(tmp_path), "-o", str(tmp_path / "out"), "-d", "cpu", "--json"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=True,
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    end = json.loads(done.stdout.splitlines()[-1])
    assert end["event"] == "end"
    assert end["seconds"] >= 0.5


def test_what_is_said_of_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary(done=3, failed=1)
    Report().interrupted(summary, 60)
    JsonReport().interrupted(summary, 60)
    said, errors = capsys.readouterr()
    assert errors == "interrupted: 3 of 60 pictures written\n"
    expected = {"event": "interrupted", "done": 3, "failed": 1, "skipped": 0, "pictures": 60}
    assert json.loads(said) == expected
    assert Summary().interruption(1) == "interrupted: 0 of 1 picture written"
