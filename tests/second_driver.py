"""Python on a newer Vulkan driver than this machine's, where there is a program that runs it so."""

import os
import subprocess
import sys

import pytest

RUNNER = os.environ.get("REALESRGAN_VK_SOFTGPU", "")


def require() -> None:
    """Skip the test where no such program is named."""
    if not RUNNER:
        pytest.skip("REALESRGAN_VK_SOFTGPU names no program that runs another on a newer driver")


def run_python(*words: str, seconds: int = 300, **environment: str) -> str:
    """What Python prints with these arguments; it must end well, within so many seconds."""
    # The runner needs a real executable: the interpreter behind a virtual environment's.
    done = subprocess.run(
        [RUNNER, os.path.realpath(sys.executable), *words],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
