"""The `realesrgan-train` command, also as `python -m realesrgan_train`, which torchrun needs."""

from __future__ import annotations

import sys

from realesrgan_train.signals import Interrupted, exit_at_once, exit_code


def main() -> None:
    """Run the command line; from here on signals end it without a traceback."""
    exit_at_once()
    from realesrgan_train.cli import main as run  # noqa: PLC0415 - after the handlers are set

    try:
        run()
    except Interrupted:
        sys.exit(exit_code())


if __name__ == "__main__":
    main()
