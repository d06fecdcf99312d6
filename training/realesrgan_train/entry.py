"""What `realesrgan-train` starts: signals end it quietly from here on, then the rest is loaded."""

from __future__ import annotations

import os
import sys

from realesrgan_train.signals import (
    Interrupted,
    exit_at_once,
    exit_code,
    raise_interrupted,
    restore,
)


def main() -> None:
    """Run the command line."""
    exit_at_once()
    from realesrgan_train.cli import main as run  # noqa: PLC0415 - after the handlers are set

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        restore()  # torchrun ends processes that wait, inside PyTorch, for one that failed
    else:
        raise_interrupted()
    try:
        run()
    except Interrupted:
        sys.exit(exit_code())
