"""Where results can go, known before any work."""

import os
from pathlib import Path

from realesrgan_vk.image_io.atomic import folder_of
from realesrgan_vk.image_io.streams import is_writable


def refuse_unwritable(folder: Path) -> None:
    """Raise `ValueError` where this folder is not, and cannot become, one to write into."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise ValueError(f"{existing} is a file, so folder {folder} cannot be made")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"folder {existing} cannot be written to")


def refuse_unwritable_file(path: Path) -> None:
    """Raise `ValueError` where this file cannot be made, or what it names not be written into."""
    folder = folder_of(path)
    if folder is None:
        if not is_writable(path):
            raise ValueError(f"{path} cannot be written to")
        return
    if not folder.is_dir():
        state = f"{folder} is no folder" if folder.exists() else f"folder {folder} does not exist"
        raise ValueError(state)
    refuse_unwritable(folder)
