"""The table of architectures in the documents: what the command that writes it finds today."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "architectures.md"
ROW = re.compile(r"^\| `([^`]+)` \| (\w+) \| (\d*) \| (.*) \|$", re.MULTILINE)


def test_the_table_has_each_network_once_and_none_is_broken() -> None:
    rows = ROW.findall(PAGE.read_text("utf-8"))
    names = [row[0] for row in rows]
    assert len(set(names)) == len(names) >= 30
    for name, path, steps, words in rows:
        assert path in ("stream", "tiles", "refused"), name
        assert (steps in ("0", "1")) == (path != "refused"), name
        assert words or path == "stream", name


@pytest.mark.slow
def test_the_table_is_what_the_command_writes(tmp_path: Path) -> None:
    """Of three rows, one of each kind; all take minutes."""
    if find_spec("spandrel") is None:
        pytest.skip("pip install --no-deps spandrel, as the Makefile does")
    page = tmp_path / "page.md"
    shutil.copyfile(PAGE, page)
    names = ["ESRGAN, old layout, x8", "RCAN x4", "SAFMN x4"]
    command = [sys.executable, str(ROOT / "tools" / "architectures.py"), str(page), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [{row[0]: row[1:] for row in ROW.findall(each.read_text())} for each in (page, PAGE)]
    assert rows[0] == rows[1]
