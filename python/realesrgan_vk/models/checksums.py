"""SHA-256 of files, remembered so that each file is read for it only once."""

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import IO

from realesrgan_vk._core import cache_folder
from realesrgan_vk.models.bounded_json import load_json


def file_sha256(path: Path) -> str:
    """A file's SHA-256, hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return stream_sha256(file)


def stream_sha256(file: IO[bytes]) -> str:
    """The SHA-256, hexadecimal, of what is left of an open file.

    Raises:
        OSError: It cannot be read.
    """
    import hashlib  # noqa: PLC0415 - not for files that are known

    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def bytes_sha256(content: bytes) -> str:
    """The SHA-256, hexadecimal, of a file's content."""
    import hashlib  # noqa: PLC0415 - see `stream_sha256`

    return hashlib.sha256(content).hexdigest()


class VerifiedFiles:
    """SHA-256 of files, kept in the user's cache under path, size and modification time.

    A cache that cannot be read or written, or that another user could have written, only costs
    time: the hash is then computed again.
    """

    def __init__(self, store: Path | None = None) -> None:
        """`store`: the file to remember in; by default one in the package's cache folder."""
        if store is None and (folder := cache_folder()):
            store = folder / "verified.json"
        self._store = store

    def matches(self, path: Path, sha256: str) -> bool:
        """Whether the file has this hash (hexadecimal).

        Raises:
            OSError: The file cannot be read.
        """
        status = path.stat()
        known = self._load()
        state = [status.st_size, status.st_mtime_ns]
        remembered = known.get(str(path.resolve()))
        if isinstance(remembered, list) and remembered == [*state, sha256]:
            return True
        if file_sha256(path) != sha256:
            return False
        known[str(path.resolve())] = [*state, sha256]
        self._save(known)
        return True

    def _load(self) -> dict[str, object]:
        if self._store is None:
            return {}
        try:
            with open(self._store, "rb", opener=_open_at_once) as file:
                known = load_json(file) if _is_trusted(os.fstat(file.fileno())) else {}
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _save(self, known: dict[str, object]) -> None:
        if self._store is None:
            return
        import tempfile  # noqa: PLC0415 - not for files that are known

        with contextlib.suppress(OSError):
            self._store.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._store.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(known, file)
            Path(temporary).replace(self._store)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file, and do not wait for a writer where it is a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _is_trusted(status: os.stat_result) -> bool:
    """Whether it is a file that only this user or the administrator can have written."""
    if os.name != "posix":
        return True
    if not stat.S_ISREG(status.st_mode):
        return False
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
