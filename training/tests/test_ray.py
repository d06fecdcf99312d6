"""Training on a Ray cluster of this machine: the bits of torchrun, and a worker that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from .conftest import Overrides
from .engine.test_resume import assert_same_bits
from .processes import events, finish, start

LAST = "checkpoints/step-000000060-0"
RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""It reports to nobody, and its workers are not put behind all other programs."""
_SECONDS = 600


@pytest.fixture(autouse=True)
def ray_is_there() -> None:
    if find_spec("ray") is None:
        if os.environ.get("CI"):
            pytest.fail("Ray is not installed")
        pytest.skip("Ray is not installed: the package ray")


def _workers(mark: str) -> list[int]:
    """Processes of Ray's workers that were started with a mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title, variables = ((folder / name).read_bytes() for name in ("cmdline", "environ"))
        except OSError:  # it has ended, or is another user's
            continue
        if title.startswith(b"ray::_Worker.train") and mark.encode() in variables:
            found.append(int(folder.name))
    return sorted(found)


def test_two_workers_give_the_bits_of_torchrun_even_if_one_is_killed(
    micro: Overrides, tmp_path: Path
) -> None:
    common = micro("stages.net.steps=60", "stages.gan=null", "checkpoint.every=10")
    finish(start(["run", "tiny", *common, "name=straight"], 2))

    command = [sys.executable, "-m", "realesrgan_train.ray", "tiny", *common, "name=killed"]
    process = subprocess.Popen(
        [*command, "--workers", "2", "--gpus", "0", "--cpus", "0.5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **RAY, "TEST_MARK": str(tmp_path)},
    )
    straight, killed = (tmp_path / "runs" / name for name in ("straight", "killed"))
    deadline = time.monotonic() + _SECONDS
    while not any(e["event"] == "checkpoint" and e["step"] for e in events(killed)):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    workers = _workers(str(tmp_path))
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    output = process.communicate(timeout=_SECONDS)[0]
    assert process.returncode == 0, output
    assert "a worker failed: all start again, 3 restarts left" in output
    resumed = [event["step"] for event in events(killed) if event["event"] == "resume"]
    assert len(resumed) == 1
    assert 0 < resumed[0] < 60
    assert assert_same_bits(straight / LAST, killed / LAST) > 20
    assert _workers(str(tmp_path)) == []


def test_a_missing_package_is_told() -> None:
    hidden = "import sys, runpy; sys.modules['ray'] = None; runpy.run_module({!r}, run_name={!r})"
    command = [sys.executable, "-c", hidden.format("realesrgan_train.ray", "__main__")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    assert done.returncode == 1
    assert done.stderr == "error: a Ray cluster needs the package ray: pip install ray\n"


def test_what_the_run_refuses_is_told_once(micro: Overrides, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "realesrgan_train.ray", "tiny", *micro("seed=-1")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    assert done.returncode == 2
    assert "seed: Input should be greater than or equal to 0" in done.stderr
    missing = micro(f"data.pictures={tmp_path / 'none'}")
    options = ["--workers", "1", "--gpus", "0", "--cpus", "0.5"]
    command = [sys.executable, "-m", "realesrgan_train.ray", "tiny", *missing, *options]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        env={**os.environ, **RAY},
    )
    assert done.returncode == 3
    assert "does not exist (data.pictures)" in done.stderr
    assert "start again" not in done.stderr
