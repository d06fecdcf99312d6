"""Files that appear whole or not at all, their digests, and those of installed packages."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file beside `path`, which replaces it when the block ends without an error.

    Raises:
        OSError: Naming `path`, if the file cannot be made, filled or put in place.
    """
    partial = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        partial = Path(name)
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        partial.replace(path)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def packaged_file(module: str, name: str) -> Path | None:
    """A file of an installed package, which is not imported; None if it is not there.

    Args:
        module: The package's name in Python.
        name: The file's path in the package's folder.
    """
    package = find_spec(module)
    folders = (package.submodule_search_locations or ()) if package else ()
    paths = (Path(folder) / name for folder in folders)
    return next((path for path in paths if path.is_file()), None)
