"""A run that is killed or interrupted leaves whole files only, and the next one finishes."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command import COMMAND
from conftest import Photo
from drop_in import SCRIPTS, size_of
from PIL import Image

import realesrgan_vk
from realesrgan_vk import Upscaler
from realesrgan_vk.image_io.atomic import remove_leftovers, write_whole

FAST = ["-m", "realesr-animevideov3", "-d", "cpu"]
PICTURES = 60


def commands(source: Path, out: Path) -> dict[str, list[str]]:
    """The two programs that write a folder, told to leave what is there."""
    drop_in = [str(SCRIPTS / "realesrgan-ncnn-vulkan"), "-i", str(source), "-o", str(out)]
    return {
        "realesrgan-vk": [*COMMAND, "upscale", str(source), "-o", str(out), *FAST],
        "realesrgan-ncnn-vulkan": [*drop_in, "-g", "-1"],
    }


@pytest.fixture
def source(photo: Photo, tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(PICTURES):
        Image.fromarray(photo(40, 40 + index % 7)).save(folder / f"{index:03}.png")
    return folder


@pytest.mark.parametrize("program", ["realesrgan-vk", "realesrgan-ncnn-vulkan"])
def test_a_killed_run_leaves_whole_files_and_the_next_finishes(
    source: Path, tmp_path: Path, program: str
) -> None:
    """Killed again and again at moments drawn by chance, some before the first result."""
    out = tmp_path / "out"
    arguments = [*commands(source, out)[program], "--skip-existing"]
    moments = random.Random()
    seed = moments.randrange(2**32)
    moments.seed(seed)
    stamps: dict[Path, int] = {}
    for turn in range(5):
        before = len(stamps)
        killed = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while turn and sum(1 for _ in out.glob("*")) <= before and killed.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        # The first dies while it starts, reads and upscales, the others after a result.
        time.sleep(moments.uniform(0, 1.5 if turn == 0 else 0.15))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        for path in out.glob("*"):
            assert path.suffix == ".png", f"nothing but results (seed {seed})"
            assert size_of(path)[0] == 160, f"seed {seed}"
            stamp = path.stat().st_mtime_ns
            assert stamps.setdefault(path, stamp) == stamp, f"left alone (seed {seed})"
    assert stamps
    subprocess.run(arguments, check=True, timeout=120, stderr=subprocess.DEVNULL)
    assert len(list(out.iterdir())) == PICTURES
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_what_a_killed_run_left_is_ignored_and_removed(source: Path, tmp_path: Path) -> None:
    """Where files must have a name while they are written, as on some network folders."""
    out = tmp_path / "out"
    out.mkdir()
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "del os.O_TMPFILE\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from realesrgan_vk.image_io.atomic import write_whole\n"
        "write_whole(Path(sys.argv[1]), b'half a picture')"
    )
    target = out / "000.png"
    killed = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = out.iterdir()
    assert re.fullmatch(r"\.realesrgan-vk-\w*-\d+-[0-9a-f]{8}\.part", left.name)
    running = left.with_name(re.sub(r"-\d+-(?=[0-9a-f]{8}\.part)", f"-{os.getpid()}-", left.name))
    running.write_bytes(b"of a run that goes on")
    (out / "mine.part").write_bytes(b"a user's own")
    run = commands(source, out)["realesrgan-vk"]
    subprocess.run([*run, "--skip-existing", "--quiet"], check=True, timeout=120)
    names = {path.name for path in out.iterdir() if path.suffix != ".png"}
    assert names == {running.name, "mine.part"}
    assert size_of(target) == (160, 160)
    assert len(list(out.glob("*.png"))) == PICTURES
    remove_leftovers([tmp_path / "not there"])


@pytest.mark.parametrize("nameless", [True, False])
def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nameless: bool
) -> None:
    if nameless:
        try:
            os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
        except OSError as error:
            pytest.skip(f"{tmp_path} is on a file system without nameless files: {error}")
    else:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    path = tmp_path / "a.png"
    linked: list[object] = []
    link = os.link

    def counted(source: str, target: Path, **options: Any) -> None:  # noqa: ANN401 - os.link's
        link(source, target, **options)
        linked.append(target)

    monkeypatch.setattr(os, "link", counted)
    for content in (b"new", b"newer"):
        write_whole(path, content)
        assert bool(linked) == nameless
        assert path.read_bytes() == content
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask, "as any program's new files"

    def fails(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, b"newest")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a.png", b"newer")]


@pytest.mark.parametrize("program", ["realesrgan-vk", "realesrgan-ncnn-vulkan"])
def test_ctrl_c_finishes_nothing_half(source: Path, tmp_path: Path, program: str) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(commands(source, out)[program], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (out.is_dir() and any(out.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    written = len(list(out.iterdir()))
    assert errors.endswith(f"interrupted: {written} of {PICTURES} pictures written\n")
    assert "Traceback" not in errors
    assert 0 < written < PICTURES
    assert all(size_of(path)[0] == 160 for path in out.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("waits", ["to read", "to write"])
def test_a_signal_while_a_pipe_has_no_other_end(
    source: Path, tmp_path: Path, waits: str, number: int
) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    ends = ["-", "-o", "out.png"] if waits == "to read" else [f"{source}/000.png", "-o", str(pipe)]
    process = subprocess.Popen(
        [*COMMAND, "upscale", *ends, *FAST, "--json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert process.stdout is not None
    last = '"event": "start"' if waits == "to read" else '"fraction": 0'
    for line in process.stdout:
        if last in line:
            break
    time.sleep(0.3)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert '"event": "interrupted", "done": 0' in out.splitlines()[-1]
    assert not (tmp_path / "out.png").exists()


SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
HOOKED = """
import os, sys
wanted, number, program = sys.argv.pop(1), int(sys.argv.pop(1)), sys.argv.pop(1)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder())
from realesrgan_vk.cli import start
getattr(start, program)()
"""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("program", ["command", "drop_in"])
@pytest.mark.parametrize("module", ["realesrgan_vk._core", "numpy", "PIL", "realesrgan_vk.batch"])
def test_a_signal_during_the_imports(
    tmp_path: Path, module: str, program: str, number: signal.Signals
) -> None:
    arguments = ["upscale", "none.png", "-o", "out.png", *FAST]
    if program == "drop_in":
        arguments = ["-i", "none.png", "-o", "out.png", "-g", "-1"]
    done = subprocess.run(
        [sys.executable, "-c", HOOKED, module, str(int(number)), program, *arguments],
        check=False,
        capture_output=True,
        timeout=60,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (SIGNALS[number], "")
    assert done.stderr in ("", "\ninterrupted\n")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_at_any_moment_of_the_start(source: Path, tmp_path: Path, number: int) -> None:
    """From the moment on when the first module of the package is imported."""
    arguments = ["-m", "realesrgan_vk", *commands(source, tmp_path / "out")["realesrgan-vk"][3:]]
    for delay in (0.02, 0.06, 0.12, 0.2, 0.3):
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", *arguments], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        for line in process.stderr:
            if line.endswith(" realesrgan_vk.cli.start\n"):
                break
        time.sleep(delay)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == SIGNALS[signal.Signals(number)], errors
        assert "Traceback" not in errors


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_an_import_turns_into_its_own_error(number: int) -> None:
    """As NumPy's core does, which is imported with the first picture."""
    script = """
import os, sys, time
from realesrgan_vk.cli import start
def program():
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(10)
    except KeyboardInterrupt:
        raise ImportError("the core failed to import") from None
start.run(lambda: program, not_loaded=2)
"""
    command = [sys.executable, "-c", script, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (SIGNALS[signal.Signals(number)], "")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_a_finalizer_is_not_lost(number: int) -> None:
    """Python ignores the exceptions of finalizers, and of callbacks that imports have."""
    script = """
import signal, sys, time
from realesrgan_vk.cli import start
class Held:
    def __del__(self):
        signal.raise_signal(int(sys.argv[1]))
def program():
    Held()
    time.sleep(10)
start.run(lambda: program)
"""
    command = [sys.executable, "-c", script, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (SIGNALS[signal.Signals(number)], "")


def test_other_errors_in_finalizers_are_told() -> None:
    script = """
from realesrgan_vk.cli import start
class Held:
    def __del__(self):
        raise ValueError("of a finalizer")
start.run(lambda: Held)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert "ValueError: of a finalizer" in done.stderr


def test_a_shells_background_job_ignores_ctrl_c(tmp_path: Path) -> None:
    """What is ignored when the process starts stays so."""
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from realesrgan_vk.cli import start\n"
        "start.run(lambda: lambda: signal.raise_signal(signal.SIGINT))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_a_program_may_leave_a_signal_to_its_start(number: int) -> None:
    program = (
        "import signal\n"
        "from realesrgan_vk.cli import start\n"
        f"start.run(lambda: lambda: signal.raise_signal({int(number)}))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (SIGNALS[signal.Signals(number)], b"")


TUNE = """
from realesrgan_vk import _core
print("begun", flush=True)
try:
    _core.tune(0, fp16=False, seconds=60.0)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_tuning_can_be_interrupted(tmp_path: Path) -> None:
    """Without a callback, in a native loop of a minute."""
    if not realesrgan_vk.list_devices():
        pytest.skip("no Vulkan device: no loader (libvulkan.so.1) or no driver is installed")
    tuning = subprocess.Popen(
        [sys.executable, "-c", TUNE],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "REALESRGAN_VK_CACHE": str(tmp_path)},
    )
    assert tuning.stdout is not None
    assert tuning.stdout.readline() == "begun\n"
    time.sleep(1)
    tuning.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert tuning.communicate(timeout=50)[0] == "interrupted\n"
    assert time.monotonic() - started < 30


def test_a_signal_ends_planning_before_the_plan_is_found() -> None:
    """The widest picture in little memory: dozens of plans are tried.

    Times are of the processor, because others may be using it.
    """
    upscaler = Upscaler("realesrgan-x4plus", device="cpu", memory_limit="500MiB")
    sizes = [(1 << 26, 500 + index) for index in range(2)]  # plans of one size are kept

    def stop(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGPROF, stop)
    try:
        start = time.process_time()
        upscaler.plan(sizes[0])
        whole_time = time.process_time() - start
        signal.setitimer(signal.ITIMER_PROF, whole_time / 10)
        start = time.process_time()
        with pytest.raises(InterruptedError):
            upscaler.plan(sizes[1])
        assert time.process_time() - start < whole_time / 2
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.4, 0.8])
def test_plan_ends_on_a_signal(sent: signal.Signals, after: float) -> None:
    sizes = [f"{1 << 26}x500", "--memory-limit", "500MiB", "--device", "cpu"]
    process = subprocess.Popen([*COMMAND, "plan", *sizes], stderr=subprocess.PIPE, text=True)
    time.sleep(after)
    process.send_signal(sent)
    start = time.monotonic()
    _, errors = process.communicate(timeout=30)
    # The signal's own where it came before the program's first line; 0: the plan was found.
    assert process.returncode in (SIGNALS[sent], -sent, 0)
    assert time.monotonic() - start < 3, "less than one where nothing else runs"
    assert "Traceback" not in errors


def test_an_interrupted_program_ends_though_a_thread_computes_on() -> None:
    """Nothing is torn down below the thread, but what was printed is there."""
    program = (
        "import atexit, signal, threading, time\n"
        "from realesrgan_vk.cli import start\n"
        "def work():\n"
        "    atexit.register(print, 'torn down')\n"
        "    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
        "    print('begun')\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "start.run(lambda: work)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "begun\n", "")
