"""Files that appear whole or not at all."""

import os
import platform
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

_HERE = re.sub(r"[^A-Za-z0-9]", "_", platform.node())[:64]
_PART = re.compile(rf"\.realesrgan-vk-{_HERE}-(\d+)-[0-9a-f]+\.part")


def write_whole(path: Path, content: bytes) -> None:
    """Let a file appear with all its content; one that was there is replaced.

    Where the system has files without a name (Linux), the content gets a name only when it is all
    there, so that a killed process leaves nothing behind. Elsewhere it is written under another
    name, which tells the process, and renamed; `remove_leftovers` removes what a killed one left.

    Raises:
        OSError: The file cannot be written; nothing is left of it.
    """
    temporary = temporary_beside(path)
    try:
        named = _write_nameless(path, temporary, content)
        if named == path:
            return
        if named is None:
            with temporary.open("xb") as file:
                file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_beside(path: Path) -> Path:
    """A free name in the same folder, which `remove_leftovers` knows."""
    return path.with_name(f".realesrgan-vk-{_HERE}-{os.getpid()}-{secrets.token_hex(4)}.part")


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove the unfinished files of killed processes of this machine from folders."""
    for folder in folders:
        try:
            names = os.listdir(folder)  # noqa: PTH208 - names are enough
        except OSError:  # it is not there yet, or writing to it will tell
            continue
        for name in names:
            match = _PART.fullmatch(name)
            if match and not _is_running(int(match[1])):
                try:
                    (folder / name).unlink()
                except OSError:  # on Windows: another process is writing it
                    continue


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 would not only ask
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _write_nameless(path: Path, temporary: Path, content: bytes) -> Path | None:
    """Write a nameless file and name it: `path` where that is free, else `temporary`.

    Returns:
        The name it got; None where there are no nameless files.
    """
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return None
    try:
        handle = os.open(path.parent, flag | os.O_WRONLY, 0o666)
    except OSError:  # the file system has none
        return None
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        for name in (path, temporary):
            try:
                # Only with a folder's handle, which the full path makes idle, Python follows links.
                os.link(f"/proc/self/fd/{handle}", name, src_dir_fd=handle, follow_symlinks=True)
            except FileExistsError:
                continue
            except OSError:  # no /proc, as in some sandboxes
                return None
            return name
    return None
