"""Where results can go, known before any work."""

import os
from pathlib import Path


def refuse_unwritable(folder: Path) -> None:
    """Raise `ValueError` where this folder is not, and cannot become, one to write into."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise ValueError(f"{existing} is a file, so folder {folder} cannot be made")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"folder {existing} cannot be written to")
