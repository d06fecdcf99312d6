"""The rates that bound any kernel on a device are measured, on both software drivers."""

from __future__ import annotations

import json

import pytest
import second_driver

from realesrgan_vk import DeviceError, _core

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
    second_driver.require()
    rates = json.loads(second_driver.run_python("-c", PROGRAM))
    check(rates)
    assert 1e6 < rates["matrix_flops"] < 1e18


def test_wrong_calls() -> None:
    with pytest.raises(ValueError, match="seconds is 0"):
        _core.measure_roofline(0, seconds=0)
    with pytest.raises(DeviceError, match="no Vulkan device 99"):
        _core.measure_roofline(99)
