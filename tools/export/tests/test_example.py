"""The page "train, export, upscale": its script runs, and the page has the script's commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "tools" / "export" / "examples" / "train_export_upscale.py"
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
