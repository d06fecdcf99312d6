"""The `realesrgan-train` command, also as `python -m realesrgan_train`, which torchrun needs."""

from __future__ import annotations

import os
import sys

from realesrgan_train.signals import Interrupted, exit_at_once, exit_code


def main() -> None:
    """Run the command line; from here on signals end it without a traceback."""
    exit_at_once()
    # Threads that wait by spinning take the cores from the loader workers and from each other.
    # OpenMP reads this once, when PyTorch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from realesrgan_train.cli import main as run  # noqa: PLC0415 - after the handlers are set

    try:
        run()
    except Interrupted:
        sys.exit(exit_code())


if __name__ == "__main__":
    main()
