"""SIGINT and SIGTERM before, during and after the imports: a quiet exit with 130 or 143."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", NUMBERS)
def test_during_the_imports(number: signal.Signals) -> None:
    """`-X importtime` writes a line a module, which tells where the program is."""
    command = [sys.executable, "-X", "importtime", "-m", "realesrgan_train", "presets"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.endswith(("torch.torch_version\n", "torch._utils\n")):
                process.send_signal(number)
                break
        _, rest = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert "Traceback" not in rest
    assert all(line.startswith("import time:") for line in rest.splitlines())


SCRIPT = """
import signal, sys, time
from pathlib import Path
from realesrgan_train.signals import Interrupted, exit_at_once, exit_code, raise_interrupted
exit_at_once()
raise_interrupted()
try:
    try:
        signal.raise_signal(int(sys.argv[1]))
        time.sleep(60)
    finally:
        signal.raise_signal(signal.SIGTERM)  # impatient: must not keep what is cleaned up
        Path(sys.argv[2]).touch()
except Interrupted:
    sys.exit(exit_code())
"""


@pytest.mark.parametrize("number", NUMBERS)
def test_afterwards_clean_up_is_done(number: signal.Signals, tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"
    command = [sys.executable, "-c", SCRIPT, str(int(number)), str(cleaned)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (128 + number, "")
    assert cleaned.exists()


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    script = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{SCRIPT}".replace(
        "time.sleep(60)", "pass"
    )
    command = [sys.executable, "-c", script, str(int(signal.SIGINT)), str(tmp_path / "cleaned")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")
