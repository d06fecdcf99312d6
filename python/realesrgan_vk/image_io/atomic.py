"""Files that appear whole or not at all."""

import errno
import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from realesrgan_vk.image_io import streams
from realesrgan_vk.image_io.urls import UrlPath

_HERE = re.sub(r"[^A-Za-z0-9]", "_", platform.node())[:64]
_PART = re.compile(rf"\.realesrgan-vk-{_HERE}-(\d+)-[0-9a-f]+\.part")
_ANY_PART = re.compile(r"\.realesrgan-vk-\w*-\d+-[0-9a-f]+\.part", re.ASCII)


def write_whole(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write all of a file's content; see `whole_file`. To a URL it is uploaded.

    Raises:
        OSError: The file cannot be written; nothing is left of it.
    """
    if isinstance(path, UrlPath):
        path.write_whole(content)
        return
    with whole_file(path, durable=durable) as file:
        file.write(content)


def appear(part: Path, path: Path) -> None:
    """Give a complete file its name, once its content is on the disk itself.

    Raises:
        OSError: It cannot be renamed.
    """
    to_disk(part)
    part.replace(path)
    to_disk(path.parent)


def to_disk(path: Path) -> None:
    """Have the system write a file, or the names of a folder, to the disk itself.

    Raises:
        OSError: It cannot.
    """
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
    elif path.is_dir():  # which Windows cannot write out
        return
    else:
        handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def whole_file(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which appears under its name at the end of the context.

    An existing file is replaced; its mode is kept, and its owner and group where that is allowed.
    Symbolic links are followed. A file with several names (hard links) or one that is a mount point
    is overwritten, once the content is complete. What is no regular file (a device, a pipe, a
    descriptor) is written into directly.

    Where the system has files without a name (Linux), the content gets a name only when it is
    complete, so that a killed process leaves nothing behind. Elsewhere it is written under another
    name, which holds the process id, and renamed; `remove_leftovers` removes those of killed ones.

    With `durable` it is on the disk itself when it appears, and does not vanish with the power.

    Raises:
        OSError: The file cannot be written; nothing is left of it.
    """
    if streams.is_stream(path):
        with streams.open_to_write(path) as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    before: os.stat_result | None = None
    with suppress(FileNotFoundError):
        before = target.stat()
    unique = f"{_HERE}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary = target.with_name(f".realesrgan-vk-{unique}.part")  # `_PART` matches it
    try:
        nameless = _open_nameless(target.parent, before)
        with nameless or _open_named(temporary, before) as file:
            _keep_access(file, before)
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
            in_place = before is not None and before.st_nlink > 1
            if in_place:
                _copy_into(file, target)
            elif nameless and before is None and _link(file, target):
                in_place = True
            elif nameless and not _link(file, temporary):
                _copy_to(file, temporary, before)
        if not in_place:
            _replace(temporary, target)
        if durable:
            to_disk(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def is_unfinished(name: str) -> bool:
    """Whether a name is that of an unfinished file of `whole_file`, on any machine."""
    return _ANY_PART.fullmatch(name) is not None


def folder_of(path: Path) -> Path | None:
    """The folder in which `whole_file` makes this file; None for streams and URLs."""
    if isinstance(path, UrlPath) or streams.is_stream(path):
        return None
    return Path(os.path.realpath(path)).parent


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove the unfinished files of killed processes of this machine from folders."""
    for folder in folders:
        try:
            names = os.listdir(folder)  # noqa: PTH208 - names are enough
        except OSError:  # it does not exist yet, or writing to it raises
            continue
        for name in names:
            match = _PART.fullmatch(name)
            if match and not _is_running(int(match[1])):
                with suppress(OSError):  # on Windows: another process is writing it
                    (folder / name).unlink()


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 would do more than ask
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def _first_mode(before: os.stat_result | None) -> int:
    """A new file's mode is the umask's; one that gets another's mode is private until then."""
    return 0o666 if before is None else 0o600


def _open_nameless(folder: Path, before: os.stat_result | None) -> BinaryIO | None:
    """A file without a name; None where there is no such thing."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return None
    try:
        handle = os.open(folder, flag | os.O_RDWR, _first_mode(before))
    except OSError:  # the file system has none
        return None
    return os.fdopen(handle, "w+b")


def _open_named(temporary: Path, before: os.stat_result | None) -> BinaryIO:
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(temporary, flags, _first_mode(before)), "w+b")


def _keep_access(file: BinaryIO, before: os.stat_result | None) -> None:
    """Give a file the owner, group and mode of the one it replaces, as far as is allowed."""
    if before is None or not hasattr(os, "fchmod"):
        return
    made = os.fstat(file.fileno())
    if made.st_uid != before.st_uid:
        with suppress(OSError):  # only root may
            os.fchown(file.fileno(), before.st_uid, -1)
    if made.st_gid != before.st_gid:
        with suppress(OSError):
            os.fchown(file.fileno(), -1, before.st_gid)
    with suppress(OSError):  # some network file systems have no modes
        os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode) & 0o777)


def _link(file: BinaryIO, name: Path) -> bool:
    """Give a nameless file a name; False where that is taken, or the system cannot."""
    handle = file.fileno()
    try:
        # Python follows links only with `src_dir_fd`, which the full path makes unused.
        os.link(f"/proc/self/fd/{handle}", name, src_dir_fd=handle, follow_symlinks=True)
    except OSError:  # also: no /proc, as in some sandboxes
        return False
    return True


def _copy_to(file: BinaryIO, temporary: Path, before: os.stat_result | None) -> None:
    file.seek(0)
    with _open_named(temporary, before) as copy:
        _keep_access(copy, before)
        shutil.copyfileobj(file, copy)


def _replace(temporary: Path, target: Path) -> None:
    try:
        temporary.replace(target)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        with temporary.open("rb") as file:  # a mounted file, as in a container
            _copy_into(file, target)


def _copy_into(file: BinaryIO, target: Path) -> None:
    """Overwrite a file in place; its space is reserved before anything is lost."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    with target.open("r+b") as shared:
        _reserve(shared, size)
        shutil.copyfileobj(file, shared)
        shared.truncate(size)


def _reserve(file: BinaryIO, size: int) -> None:
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:  # others: the file system cannot reserve space
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
