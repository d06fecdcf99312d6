"""What is printed: a line each, in which a name from a file cannot pose as anything else."""

import os
import re
import sys
from typing import TextIO

from realesrgan_vk.errors import NO_MEMORY, printable

# Programs that start these commands stop them at such words.
_ALARMS = re.compile("failed|error|invalid gpu", re.IGNORECASE)


def unalarming(text: object) -> str:
    r"""Text without the words that callers take for a failure: `\x66ailed.png` for `failed.png`.

    For what is printed of a run that goes on, and may name files, devices and networks.
    """
    return _ALARMS.sub(lambda match: f"\\x{ord(match[0][0]):02x}{match[0][1:]}", str(text))


def error_words(error: Exception) -> str:
    """What an error says; one of the operating system without its number, which may name a file."""
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if not isinstance(error, OSError):
        return str(error)
    words = error.strerror or str(error)
    return words if error.filename is None else f"{error.filename}: {words}"


def _write(stream: TextIO, line: object) -> None:
    encoding = stream.encoding or "utf-8"
    text = f"{printable(line)}\n".encode(encoding, "backslashreplace").decode(encoding)
    stream.write(text)
    stream.flush()


def say(line: object) -> None:
    """Print a line on standard error, in one write, whatever the locale's encoding."""
    _write(sys.stderr, line)


def show(line: object) -> None:
    """Print a line of what was asked for on standard output.

    Raises:
        OSError: It cannot be written.
    """
    _write(sys.stdout, line)


def tell(line: str) -> None:
    """Print a line for programs on standard output, or drop it if it cannot be written."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError:  # it is full, or its reader is gone
        discard_output()


def discard_output() -> None:
    """Write nothing more to standard output, not even at the process' end."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


def say_notices() -> None:
    """Print what the package logs as `say` does, for a command."""
    import logging  # noqa: PLC0415 - a process that only computes needs none of it

    class Notices(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(unalarming(record.getMessage()))

    logger = logging.getLogger("realesrgan_vk")
    if not logger.handlers:
        logger.addHandler(Notices())
