"""Starts the drop-in executables as other programs do."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

from PIL import Image

SCRIPTS = Path(sysconfig.get_path("scripts"))
NO_GPU = {"VK_DRIVER_FILES": "/nowhere.json", "VK_ICD_FILENAMES": "/nowhere.json"}
SIZE = (20, 16)
Done = subprocess.CompletedProcess[str]


def run(
    *arguments: str | Path,
    program: str = "realesrgan-ncnn-vulkan",
    cwd: Path | None = None,
    gpu: str | None = "-1",
    environment: dict[str, str] | None = None,
) -> Done:
    """Start the executable; `gpu` is its -g."""
    device = ["-g", gpu] if gpu is not None else []
    return subprocess.run(
        [str(SCRIPTS / program), *map(str, arguments), *device],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | (environment or {}),
        timeout=120,
        encoding="utf-8",
    )


def assert_progress(text: str, pictures: int = 1) -> None:
    """Nothing but percentages: from 0.00% to 100.00%."""
    lines = text.splitlines()
    assert text.isascii()
    assert all(re.fullmatch(r"\d{1,3}\.\d\d%", line) for line in lines), text
    assert lines.count("0.00%") == pictures
    assert lines.count("100.00%") == pictures
    assert (lines[0], lines[-1]) == ("0.00%", "100.00%")
    if pictures == 1:
        values = [float(line[:-1]) for line in lines]
        assert values == sorted(values)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.width, image.height
