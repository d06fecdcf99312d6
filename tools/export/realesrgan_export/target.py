"""Where results go, checked before the work: a folder or file that could not be written."""

from __future__ import annotations

import tempfile
from pathlib import Path

from realesrgan_export.errors import ExportError
from realesrgan_train.wording import first_line


def check_folder(folder: Path) -> None:
    """Check that files can be written into a folder, or that it can be made.

    Raises:
        ExportError: if not.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise ExportError(f"{nearest} is a file; -o takes a folder")
    _check_writable(nearest, folder)


def check_file(output: Path) -> None:
    """Check that a `.safetensors` file can be written.

    Raises:
        ExportError: if not.
    """
    if output.suffix != ".safetensors":
        raise ExportError(f"{output}: weights are written as .safetensors; rename the output")
    if output.is_dir():
        raise ExportError(f"{output} is a folder; -o takes a .safetensors file")
    if not output.parent.is_dir():
        raise ExportError(f"{output.parent}: no such folder; make it first")
    _check_writable(output.parent, output)


def _check_writable(folder: Path, wanted: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):  # leaves no trace
            pass
    except OSError as error:
        raise ExportError(
            f"{wanted}: nothing can be written there ({error.strerror or first_line(error)}); give "
            "another place with -o"
        ) from error
