"""Run `realesrgan-train` as the user does: in processes of its own, alone or several together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SECONDS = 1200  # only a run that hangs takes so long, however busy the machine
_KILLING = Path(__file__).with_name("killing.py")

Processes = list[subprocess.Popen[str]]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _spawn(command: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def start(arguments: Sequence[str], world: int = 1) -> Processes:
    """Start a command in so many processes, with the variables torchrun would set.

    torchrun itself would be in the way: it puts its workers into sessions of their own, where a
    test cannot be sure to kill them.
    """
    return start_python(["-m", "realesrgan_train", *arguments], world)


def start_python(command: Sequence[str], world: int, **environment: str) -> Processes:
    """Start Python in so many processes, with the variables torchrun would set."""
    if world == 1:
        return [_spawn(command, **environment)]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), **environment}
    return [
        _spawn(command, RANK=str(r), LOCAL_RANK=str(r), WORLD_SIZE=str(world), **meeting)
        for r in range(world)
    ]


def start_and_be_killed(
    place: str, number: int, arguments: Sequence[str], world: int = 1, rank: int = 0
) -> None:
    """Run a command until one process kills itself there (see `killing.py`), then kill the rest.

    What the others die of does not matter: the SIGKILL, or that their partner has gone.
    """
    command = [str(_KILLING), place, str(number), *arguments]
    processes = start_python(command, world, KILLED_RANK=str(rank))
    try:
        output = processes[rank].communicate(timeout=_SECONDS)[0]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert processes[rank].returncode == -signal.SIGKILL, output


def start_torchrun(arguments: Sequence[str], world: int) -> Processes:
    """Start a command under torchrun."""
    return _torchrun([f"--nproc-per-node={world}", "-m", "realesrgan_train", *arguments])


def start_torchrun_and_kill(
    place: str, number: int, arguments: Sequence[str], world: int, rank: int
) -> Processes:
    """Start a command under torchrun, which restarts it once when one process kills itself.

    Each start gets a store of its own: in the store of the first one, the others' processes would
    find addresses of processes that have ended.
    """
    options = [f"--nproc-per-node={world}", "--max-restarts=1", str(_KILLING), place, str(number)]
    fresh = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    return _torchrun([*options, *arguments], KILLED_RANK=str(rank), **fresh)


def _torchrun(options: Sequence[str], **environment: str) -> Processes:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [
        subprocess.Popen(
            [*launcher, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
    ]


def finish(processes: Processes) -> str:
    """Wait for the end, which must be a good one; returns the output."""
    outputs = [process.communicate(timeout=_SECONDS)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
    return "".join(outputs)


def events(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of the run's log; a line that is being written is left out."""
    path = run_dir / "log.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(True) if line.endswith("\n")]


def kill_after_first_step(processes: Processes, run_dir: Path) -> None:
    """SIGKILL all processes from outside when the log shows a step; the run must be endless."""
    deadline = time.monotonic() + _SECONDS
    while not any(event["event"] == "step" for event in events(run_dir)):
        assert time.monotonic() < deadline, "no step in time"
        for process in processes:
            assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    for process in processes:
        process.kill()
    for process in processes:
        process.communicate()
