"""A run that is killed or interrupted leaves whole files only, and the next one finishes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Photo = Callable[..., NDArray[np.uint8]]
COMMAND = [sys.executable, "-m", "realesrgan_vk"]
FAST = ["-m", "realesr-animevideov3", "-d", "cpu"]


def whole(path: Path) -> tuple[int, int]:
    """The size of a picture that decodes to its end."""
    with Image.open(path) as image:
        image.load()
        return image.width, image.height


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.5])
def test_a_killed_run_leaves_whole_files_and_the_next_finishes(
    photo: Photo, tmp_path: Path, delay: float
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for index in range(60):
        Image.fromarray(photo(40, 40 + index % 7)).save(source / f"{index:03}.png")
    arguments = [*COMMAND, "upscale", str(source), "-o", str(out), "--skip-existing", *FAST]
    killed = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out.is_dir() and any(out.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(delay)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    left = list(out.iterdir())
    assert left
    for path in left:
        assert path.suffix == ".png", "nothing but results"
        assert whole(path)[0] == 160
    stamps = {path: path.stat().st_mtime_ns for path in left}
    subprocess.run([*arguments, "--quiet"], check=True, timeout=120)
    assert len(list(out.iterdir())) == 60
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_ctrl_c_finishes_nothing_half(photo: Photo, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for index in range(60):
        Image.fromarray(photo(60, 60)).save(source / f"{index:03}.png")
    process = subprocess.Popen(
        [*COMMAND, "upscale", str(source), "-o", str(out), *FAST],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (out.is_dir() and any(out.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.endswith("interrupted; whole files only were written\n")
    assert "Traceback" not in errors
    assert 0 < len(list(out.iterdir())) < 60
    assert all(whole(path) == (240, 240) for path in out.iterdir())
