"""Starts the `realesrgan-vk` command as a user does."""

import contextlib
import io
import logging
import os
import pty
import subprocess
import sys
import warnings
from pathlib import Path
from unittest import mock

from realesrgan_vk.cli.commands import main

COMMAND = [sys.executable, "-m", "realesrgan_vk"]


def run(
    *arguments: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        env=os.environ | {"COLUMNS": "80"} | environment,
    )


def run_here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """As `run`, in this process, which saves the half second that the imports take."""
    words = ["realesrgan-vk", *map(str, arguments)]
    output, errors, code = io.StringIO(), io.StringIO(), 0
    handlers = logging.getLogger("realesrgan_vk").handlers
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        mock.patch.object(sys, "argv", words),
        mock.patch.object(logging.getLogger("realesrgan_vk"), "handlers", list(handlers)),
        warnings.catch_warnings(),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(words, code, output.getvalue(), errors.getvalue())


def on_a_terminal(*arguments: str | Path, columns: int, exit_code: int = 0) -> str:
    """What the command prints on a terminal of so many columns."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stderr=follower,
        env=os.environ | {"TERM": "xterm", "COLUMNS": str(columns)},
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(leader)
    assert process.wait(60) == exit_code
    return shown.decode()
