"""The `realesrgan-export` command, also as `python -m realesrgan_export`."""

from __future__ import annotations

from realesrgan_train.signals import exit_at_once


def main() -> None:
    """Run the command line; from here on signals end it without a traceback."""
    exit_at_once()
    from realesrgan_export.cli import main as run  # noqa: PLC0415 - after the handlers are set

    run()


if __name__ == "__main__":
    main()
