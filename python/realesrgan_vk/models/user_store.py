"""The folders of a user's own networks and of the cache, and how the former is changed safely."""

import errno
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from realesrgan_vk._core import cache_folder

SCRATCH = ".installing-"
LOCK = ".lock"
WAIT = 120.0
_PAUSE = 0.05
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def own_models_folder() -> Path:
    """Where `realesrgan-vk models add` installs; it may not exist yet."""
    from platformdirs import user_data_path  # noqa: PLC0415 - takes long, and is needed by few

    return user_data_path("realesrgan-vk") / "models"


def own_cache_folder() -> Path:
    """Where what can be fetched or made again is kept; it may not exist yet.

    It is the core's folder, which `$REALESRGAN_VK_CACHE` names; for a user without a home folder,
    for whom the core has none, the system's.
    """
    if (folder := cache_folder()) is not None:
        return folder
    from platformdirs import user_cache_path  # noqa: PLC0415 - takes long, and is needed by few

    return user_cache_path("realesrgan-vk")


@contextmanager
def locked(folder: Path, wait: float | None = None) -> Iterator[None]:
    """Make a folder where it is missing, and hold its lock.

    The lock is the operating system's on a file `.lock`, so it ends with the process that holds it.
    The file is removed afterwards; a process that got the lock of a removed file tries again.

    Args:
        folder: What to lock.
        wait: Seconds to wait for another process; None: two minutes.

    Raises:
        OSError: The folder or the file cannot be written, or another process has held the lock for
            that long (`TimeoutError`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    wait = WAIT if wait is None else wait
    handle = _acquire(path, wait, time.monotonic() + wait)
    try:
        yield
    finally:
        if sys.platform != "win32":  # where an open file cannot be removed
            path.unlink(missing_ok=True)
        os.close(handle)
        if sys.platform == "win32":
            with suppress(OSError):
                path.unlink()


def install_files(folder: Path, files: Mapping[str, bytes | Path]) -> None:
    """Write everything into a hidden folder inside, then rename each file to its place.

    When the first file appears, only renames remain; they are undone when one fails. A killed
    process leaves at most the hidden folder.

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
            elif not (new / name).exists():  # moved to a name that was free before
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


def _acquire(path: Path, wait: float, deadline: float) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            if _try_lock(handle) and _is_file(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if time.monotonic() > deadline:
            raise TimeoutError(
                0, f"another process has been changing it for {wait:.0f} seconds", str(path)
            )
        time.sleep(_PAUSE)


def _is_file(handle: int, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            # The file system (some network ones) has no locks; go on without one.
            return error.errno in _NO_LOCKS
        return True
