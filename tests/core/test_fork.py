"""Forked children: the CPU works in them, and a GPU of their parent's is a clear error."""

import subprocess
import sys
from pathlib import Path

import pytest
from compact_network import write_compact

import realesrgan_vk

# A child that hangs is ended after a while, with a code of its own.
PRELUDE = """
import os, signal, sys
import numpy as np
import realesrgan_vk
from realesrgan_vk import DeviceError, Upscaler

picture = np.random.default_rng(1).integers(0, 256, (48, 40, 3), dtype=np.uint8)
network = sys.argv[1]

def in_child(body, leave):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        body()
        leave(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

ON_CPU = """
tiles = {"auto": "auto", "tiles": 32}[sys.argv[2]]
def make():
    return Upscaler(network, device="cpu", threads=2, tile=tiles)
before = make()
right = before.upscale(picture)
def body():
    assert np.array_equal(before.upscale(picture), right)
    assert np.array_equal(make().upscale(picture), right)
for leave in (os._exit, sys.exit):
    assert in_child(body, leave) == 7
    assert np.array_equal(before.upscale(picture), right)
"""

ON_GPU = """
tiles = {"auto": "auto", "tiles": 32}[sys.argv[2]]
def make():
    return Upscaler(network, device=0, tile=tiles)
upscaler = make()
right = upscaler.upscale(picture)
found = len(realesrgan_vk.list_devices())
calls = [
    lambda: upscaler.upscale(picture),
    lambda: realesrgan_vk.upscale(picture, model=network, device=0),
    lambda: realesrgan_vk._core.tune(0, fp16=False, seconds=0.1),
    make,
]
if tiles == "auto":  # tiles are planned, and nothing is prepared, without the device
    calls += [lambda: upscaler.plan((64, 64)), lambda: upscaler.prepare((64, 64))]
def body():
    global upscaler
    for call in calls:
        try:
            call()
        except DeviceError as error:
            assert "spawn" in str(error), error
        else:
            sys.exit(1)
    assert len(realesrgan_vk.list_devices()) == found
    assert Upscaler(network, device="cpu").upscale(picture).shape == right.shape
    calls.clear()
    del upscaler
for leave in (os._exit, sys.exit):
    assert in_child(body, leave) == 7
    assert np.array_equal(upscaler.upscale(picture), right)
"""

GPU_IN_CHILD = """
def body():
    assert Upscaler(network, device=0).upscale(picture).shape == (96, 80, 3)
assert in_child(body, sys.exit) == 7
assert in_child(body, sys.exit) == 7
"""

pytestmark = pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="Windows has no fork")


def run(body: str, tmp_path: Path, *arguments: str) -> None:
    network = write_compact(tmp_path, "net")
    command = [sys.executable, "-c", PRELUDE + body, str(network), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def _gpu() -> None:
    if not realesrgan_vk.list_devices():
        pytest.skip("no Vulkan device: no loader (libvulkan.so.1) or no driver is installed")


@pytest.mark.parametrize("path", ["auto", "tiles"])
def test_the_cpu_works_in_a_forked_child(tmp_path: Path, path: str) -> None:
    run(ON_CPU, tmp_path, path)


@pytest.mark.usefixtures("_gpu")
@pytest.mark.parametrize("path", ["auto", "tiles"])
def test_a_gpu_of_the_parent_is_an_error_that_names_spawn(tmp_path: Path, path: str) -> None:
    run(ON_GPU, tmp_path, path)


@pytest.mark.usefixtures("_gpu")
def test_a_gpu_that_the_parent_did_not_use_works_in_children(tmp_path: Path) -> None:
    run(GPU_IN_CHILD, tmp_path)
