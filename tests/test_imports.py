"""What a process imports before it has a picture: each module there delays every start."""

import subprocess
import sys
from pathlib import Path

import pytest
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


READ_COMMAND_LINE = """
import sys
from realesrgan_vk.cli import main
try: main()
except SystemExit as end: assert not end.code, end.code
print("imported:", *({"numpy", "PIL", "pyvips", "rich", "http.client"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "words", ["--help", "upscale --help", "page --help", "plan --help", "models --help"]
)
def test_help_is_printed_without_what_is_for_pictures(words: str) -> None:
    command = [sys.executable, "-c", READ_COMMAND_LINE, *words.split()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "imported:"
