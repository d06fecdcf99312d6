"""The examples with PyTorch run; the page "train, export, upscale" has its script's commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import skimage
from PIL import Image

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
SCRIPT = EXAMPLES / "train_export_upscale.py"
PAGE = ROOT / "docs" / "tutorial" / "train-export-upscale.md"


@pytest.mark.slow
def test_train_export_upscale(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path / "trial")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.search(r"at most ([01]) of 255 apart, (\d+\.\d+)% of the samples equal", done.stdout)
    assert told is not None
    assert float(told[2]) >= 99.9
    commands = re.findall(
        r"^\$ (realesrgan-\S+(?: run tiny| models add| upscale)?)", done.stdout, re.M
    )
    assert len(commands) == 4
    page = PAGE.read_text("utf-8")
    assert all(f"\n{command} " in page for command in commands)
    assert (tmp_path / "trial" / "large.png").is_file()


@pytest.mark.slow
def test_fine_tune(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as image:
        image.convert("RGB").crop((150, 0, 320, 160)).save(photographs / "astronaut.png")
    command = [sys.executable, str(EXAMPLES / "fine_tune.py"), str(photographs)]
    command += [str(tmp_path / "trial"), "--steps", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with Image.open(tmp_path / "trial" / "result.png") as result:
        assert result.size == (340, 320)
