"""The rates that bound any kernel on a device are measured, on both software drivers."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from realesrgan_vk import DeviceError, _core

RUNNER = os.environ.get("REALESRGAN_VK_SOFTGPU", "")
PROGRAM = """
import json
from realesrgan_vk import _core
print(json.dumps(_core.measure_roofline(0, seconds=0.02)))
"""


def check(rates: _core.Roofline) -> None:
    """Between a software driver on a busy machine and a hundred of today's largest GPUs."""
    assert 1e6 < rates["fma_flops"] < 1e16
    assert 1e6 < rates["copy_bytes_per_second"] < 1e15


def test_this_machines_driver() -> None:
    devices = _core.list_devices()
    if not devices:
        pytest.skip("no Vulkan device on this machine")
    rates = _core.measure_roofline(0, seconds=0.02)
    check(rates)
    assert devices[0].cooperative_matrix or rates["matrix_flops"] == 0


def test_a_driver_with_cooperative_matrices() -> None:
    if not RUNNER:
        pytest.skip("REALESRGAN_VK_SOFTGPU names no program that runs another on a newer driver")
    # The runner needs a real executable: the interpreter behind a virtual environment's.
    done = subprocess.run(
        [RUNNER, os.path.realpath(sys.executable), "-c", PROGRAM],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rates = json.loads(done.stdout)
    check(rates)
    assert 1e6 < rates["matrix_flops"] < 1e18


def test_wrong_calls() -> None:
    with pytest.raises(ValueError, match="seconds is 0"):
        _core.measure_roofline(0, seconds=0)
    with pytest.raises(DeviceError, match="no Vulkan device 99"):
        _core.measure_roofline(99)
