"""Start a program that ends when its parent does: launcher.py PARENT PROGRAM [ARGUMENT]...

Linux only. The parent cannot do this itself: between fork and exec, a process with threads must not
run Python.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

CANNOT_START = 126
"""Exit code when the program cannot be started; the reason is on standard error."""

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Become the program, which the end of the process with the id `parent` kills."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent has ended already")
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.stderr.write(str(OSError(error.errno, error.strerror, command[0])))
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
