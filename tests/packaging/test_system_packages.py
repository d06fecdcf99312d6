"""`tools/system-packages` as root, where apt-get fails: only what the build needs is fatal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "system-packages"

FAILING = "echo no network >&2; exit 100"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A root's shell on a machine without an index: no library is known, and apt-get fails."""
    scripts = {"id": "echo 0", "ldconfig": "", "apt-get": FAILING, "c++": "", "make": ""}
    for name, body in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    headers = tmp_path / "Python.h"
    headers.touch()
    for name, has_venv in (("whole", 0), ("bare", 1)):
        (tmp_path / name).write_text(
            f'#!/bin/sh\ncase "$2" in *Python.h*) echo {headers};; *) exit {has_venv};; esac\n'
        )
        (tmp_path / name).chmod(0o755)
    return tmp_path


def run(programs: Path, python: str) -> subprocess.CompletedProcess[str]:
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(SCRIPT)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path, "PYTHON": str(programs / python)},
        timeout=60,
    )


def test_optional_packages_that_cannot_be_had_are_named_and_left_out(programs: Path) -> None:
    done = run(programs, "whole")
    assert done.returncode == 0
    assert "apt-get could not install libvulkan1" in done.stdout
    assert "tests that need them will be skipped. To run them, install" in done.stdout
    assert "libomp5" in done.stdout.splitlines()[-1]


def test_needed_packages_that_cannot_be_had_stop_the_build(programs: Path) -> None:
    done = run(programs, "bare")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("missing, and needed to build: python3-venv")


def test_the_interpreter_that_runs_the_tests_needs_nothing_more(programs: Path) -> None:
    done = run(programs, sys.executable)
    assert "python3-venv" not in done.stdout + done.stderr
