"""Keep what a build prints in a log, and say after every tenth of it how far it is.

pip shows nothing of a build that succeeds, so the lines also go to the file that the environment
variable REALESRGAN_VK_PROGRESS names: the terminal, as a rule.

Usage: BUILD | build_progress.py NAME LOG
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

# Ninja counts files ("[12/340] ..."), make and MSBuild's generators percent ("[ 12%] ...").
STEP = re.compile(r"\[ *(\d+)(?:/(\d+)|%)\]")


def percents(lines: Iterable[str], log: TextIO) -> Iterator[int]:
    """Write the lines to the log; give every tenth of the build once it is done, in percent."""
    told = 0
    for line in lines:
        log.write(line)
        if step := STEP.match(line):
            done = 100 * int(step[1]) // int(step[2] or 100)
            if done // 10 > told // 10:
                told = done // 10 * 10
                yield told


def main(name: str, log_path: str) -> int:
    """Run from the command line."""
    begin = time.monotonic()
    terminal = os.environ.get("REALESRGAN_VK_PROGRESS", "")
    with Path(log_path).open("w", encoding="utf-8") as log:
        for percent in percents(sys.stdin, log):
            text = f"-- {name}: {percent} % after {time.monotonic() - begin:.0f} s"
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
            if terminal:
                try:
                    with Path(terminal).open("a", encoding="utf-8") as shown:
                        shown.write(text + "\n")
                except OSError:  # a socket, or a terminal that is gone
                    terminal = ""
    return 0


if __name__ == "__main__":
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    raise SystemExit(main(*sys.argv[1:]))
