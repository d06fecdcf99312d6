"""A system without memory, or that starts no more threads, gets one line and a clean end."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from compact_network import write_compact
from PIL import Image

import realesrgan_vk
from realesrgan_vk.batch import Batch, BatchOptions, Event, Failed
from realesrgan_vk.batch.jobs import Job
from realesrgan_vk.errors import NO_MEMORY
from realesrgan_vk.image_io.formats import PNG

# The limit is set when everything is imported, to so many bytes more than are in use then: what an
# import takes differs between machines.
LIMITED = """
import resource, sys
from pathlib import Path
from realesrgan_vk.cli import commands, ncnn_compat, start, upscale_run
room, program = int(sys.argv[1]), sys.argv[2]
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
sys.argv = sys.argv[2:]
if program == "realesrgan-vk":
    start.run(lambda: commands.main, not_loaded=2)
start.run(lambda: ncnn_compat.main, not_loaded=255)
"""
MEGABYTE = 1 << 20


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_compact(tmp_path, "net")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    Image.fromarray(np.full((40, 30, 3), 90, np.uint8)).save(path)
    return path


def run(room: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(room), *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="address spaces are limited on Linux")
@pytest.mark.parametrize("megabytes", [1, 6, 12, 20, 30, 60])
def test_a_limited_address_space_gives_a_picture_or_one_line(
    network: Path, source: Path, tmp_path: Path, megabytes: int
) -> None:
    target = tmp_path / "out.png"
    options: list[str | Path] = ["-m", network, "-d", "cpu", "--threads", "4"]
    done = run(megabytes * MEGABYTE, "realesrgan-vk", "upscale", source, "-o", target, *options)
    assert done.returncode in (0, 1, 2), done.stderr
    assert target.is_file() == (done.returncode == 0)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Usage:", "Try "))]
    assert len(said) == 1, done.stderr
    if done.returncode:
        assert "memory" in said[0]


@pytest.mark.skipif(sys.platform != "linux", reason="address spaces are limited on Linux")
def test_the_drop_in_program_says_it_in_one_line(
    network: Path, source: Path, tmp_path: Path
) -> None:
    files: list[str | Path] = ["-i", source, "-o", tmp_path / "out.png"]
    model: list[str | Path] = ["-m", network.parent, "-n", network.stem]
    done = run(MEGABYTE, "realesrgan-ncnn-vulkan", *files, *model, "-g", "-1")
    assert done.returncode == 255
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("Error: ")
    assert "memory" in done.stderr


NOT_LOADED = """
import sys
from realesrgan_vk.cli import start
refused, error, program = sys.argv[1:]
words = [] if error == "memory" else ["cannot load library\\n  x"]
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == refused:
            raise {"memory": MemoryError, "library": ImportError}[error](*words)
sys.meta_path.insert(0, Finder())
sys.argv[1:] = ["upscale", "none.png", "-o", "out.png"]
if program == "drop_in":
    sys.argv[1:] = ["-i", "none.png", "-o", "out.png"]
getattr(start, program)()
"""


@pytest.mark.parametrize(("program", "code"), [("command", 2), ("drop_in", 255)])
@pytest.mark.parametrize(("refused", "error", "words"), [
    ("numpy", "memory", "no memory (is )?left"),
    ("PIL", "library", "cannot load library x"),
    ("pyvips", "library", "libvips.*cannot load library x.*memory"),
])  # fmt: skip
def test_what_cannot_be_imported_is_told_in_one_line(
    program: str, code: int, refused: str, error: str, words: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOT_LOADED, refused, error, program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) == 1
    assert re.match(f"[Ee]rror: .*{words}", done.stderr)


class _Batch:
    """A batch of one picture, and the events it told."""

    def __init__(self, network: Path, source: Path) -> None:
        self.events: list[Event] = []
        upscaler = realesrgan_vk.Upscaler(network, device="cpu", threads=1)
        self._batch = Batch([upscaler], BatchOptions(), self.events.append)
        self._job = Job(source, source.with_name("out.png"), PNG)

    def run(self) -> None:
        self._batch.run([self._job])


@pytest.mark.parametrize("started", [0, 1, 2, 3])
def test_threads_that_were_started_end_where_another_cannot_be(
    network: Path, source: Path, monkeypatch: pytest.MonkeyPatch, started: int
) -> None:
    batch = _Batch(network, source)
    before = set(threading.enumerate())  # of other tests some may end meanwhile
    start = threading.Thread.start
    left = started

    def limited(thread: threading.Thread) -> None:
        nonlocal left
        if not left:
            raise RuntimeError("can't start new thread")
        left -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(realesrgan_vk.OutOfMemoryError, match="cannot start another thread"):
        batch.run()
    assert set(threading.enumerate()) <= before


def test_an_error_without_words_gets_some(
    network: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = _Batch(network, source)

    def upscale(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(realesrgan_vk.Upscaler, "upscale_picture", upscale)
    batch.run()
    assert [event.error for event in batch.events if isinstance(event, Failed)] == [NO_MEMORY]
