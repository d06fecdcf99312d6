"""What a process imports before it has a picture: each module there delays every start."""

import subprocess
import sys
from pathlib import Path

from compact_network import write_compact

PREPARE = """
import pathlib, sys
from realesrgan_vk import Upscaler
Upscaler(pathlib.Path(sys.argv[1]), device="cpu").prepare((8, 8))
print(*({"numpy", "PIL", "pyvips", "platformdirs"} & set(sys.modules)))
"""


def test_a_network_is_ready_without_what_is_for_pictures(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PREPARE, str(write_compact(tmp_path, "net"))]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == []
