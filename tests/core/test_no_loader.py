"""The extension needs no Vulkan loader: not to be linked, not to be imported, not to run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from compact_network import write_compact

from realesrgan_vk import _core

RUN = """
import ctypes, sys
import numpy as np
for name in ("libvulkan.so.1", "libvulkan.so"):
    try:
        ctypes.CDLL(name)
    except OSError:
        continue
    sys.exit(f"{name} can be loaded: this tests nothing")
import realesrgan_vk
assert realesrgan_vk.list_devices() == []
upscaler = realesrgan_vk.Upscaler(sys.argv[1])
assert upscaler.device == -1, upscaler.device
assert upscaler.upscale(np.full((6, 5, 3), 90, np.uint8)).shape == (12, 10, 3)
try:
    realesrgan_vk.Upscaler(sys.argv[1], device=0)
except realesrgan_vk.DeviceError as error:
    assert "no Vulkan device" in str(error), error
else:
    sys.exit("a device was found")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="shared libraries are listed by Linux's ldd")
def test_the_extension_does_not_link_the_loader() -> None:
    ldd = shutil.which("ldd")
    if ldd is None:
        pytest.skip("there is no ldd on this machine")
    listed = subprocess.run(
        [ldd, str(_core.__file__)], check=True, capture_output=True, text=True
    ).stdout
    assert "libc.so" in listed
    assert "vulkan" not in listed.lower()


@pytest.mark.skipif(sys.platform != "linux", reason="the loader is hidden by LD_LIBRARY_PATH")
def test_everything_but_vulkan_works_where_the_loader_cannot_be_loaded(tmp_path: Path) -> None:
    # Files of the loader's names that are no libraries, found before the real ones: loading the
    # loader fails, whether it is installed or not.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for name in ("libvulkan.so.1", "libvulkan.so"):
        (hidden / name).write_text("no library")
    path = os.pathsep.join([str(hidden), os.environ.get("LD_LIBRARY_PATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(write_compact(tmp_path, "net"))],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"LD_LIBRARY_PATH": path},
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
