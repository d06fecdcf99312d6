"""libvips is shared with the host process: its settings are left alone, and no memory is kept."""

import subprocess
import sys

PROGRAM = """
import sys
import numpy as np
import pyvips
from pyvips import vips_lib

pyvips.cache_set_max(77)
from realesrgan_vk.image_io import encode, formats
from realesrgan_vk.image_io.read import decode
from realesrgan_vk.imaging.picture import Frame, Picture

def resident():
    status = open("/proc/self/status").read()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024

rng = np.random.default_rng(0)
samples = rng.integers(0, 65536, (500, 500, 3), dtype=np.uint16)  # 1.5 MB, as in its files
sizes = []
for index in range(24):
    samples[0, 0, 0] = index
    for known in (formats.PNG, formats.TIFF):
        data, _ = encode(Picture((Frame(samples),), "colour", 16), known)
        assert np.array_equal(decode(data).frames[0].pixels, samples)
    sizes.append(resident())
print(vips_lib.vips_cache_get_max(), sizes[9], sizes[-1])
"""


def test_the_cache_of_the_host_process_stays_and_keeps_no_pictures() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120
    )
    most, early, late = map(float, done.stdout.split())
    assert most == 77
    assert late - early < 30, "14 times 2 files and pictures of 1.5 MB would be 84 MB"
