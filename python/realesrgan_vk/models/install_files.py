"""Several files put into a folder together: all of them, or none."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

SCRATCH = ".installing-"


def install_files(folder: Path, files: Mapping[str, bytes | Path]) -> None:
    """Write everything into a hidden folder inside, then rename each file to its place.

    Only renames are left when the first file appears, and those that were done are undone when one
    fails. A killed process leaves the hidden folder at worst, where nothing looks for networks.

    Args:
        folder: Where to; made when it is missing.
        files: Contents, or files to copy, by name; they appear in this order and replace files of
            the same names.

    Raises:
        OSError: Something cannot be written; the folder's files are what they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder) as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        new.mkdir()
        old.mkdir()
        for name, content in files.items():
            _write(new / name, content)
            if (folder / name).is_file():
                shutil.copyfile(folder / name, old / name)
        _move(new, old, folder, list(files))


def _move(new: Path, old: Path, folder: Path, names: list[str]) -> None:
    begun: list[str] = []
    try:
        for name in names:
            begun.append(name)
            (new / name).replace(folder / name)
    except BaseException:
        for name in reversed(begun):
            if (old / name).is_file():
                (old / name).replace(folder / name)
            elif not (new / name).exists():  # it was moved, to where nothing had been
                (folder / name).unlink(missing_ok=True)
        raise


def _write(path: Path, content: bytes | Path) -> None:
    with path.open("xb") as file:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
        else:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())
