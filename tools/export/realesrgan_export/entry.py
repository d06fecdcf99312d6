"""What `realesrgan-export` starts: signals end it quietly from here on, then the rest is loaded."""

from __future__ import annotations

from realesrgan_train.signals import exit_at_once


def main() -> None:
    """Run the command line."""
    exit_at_once()
    from realesrgan_export.cli import main as run  # noqa: PLC0415 - after the handlers are set

    run()
