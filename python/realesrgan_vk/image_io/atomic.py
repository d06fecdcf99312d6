"""Files that appear whole or not at all."""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name and rename it when it is complete.

    Where the system has files without a name (Linux), the content gets a name only when it is all
    there, so that a killed process leaves nothing behind.

    Raises:
        OSError: The file cannot be written; nothing is left of it.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        if not _write_nameless(temporary, content):
            with temporary.open("xb") as file:
                file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_nameless(name: Path, content: bytes) -> bool:
    """Write a nameless file, then link it as `name`; False where that is not possible."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return False
    try:
        handle = os.open(name.parent, flag | os.O_WRONLY, 0o666)
    except OSError:  # the file system has none
        return False
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        try:
            os.link(f"/proc/self/fd/{handle}", name, follow_symlinks=True)
        except OSError:  # no /proc, as in some sandboxes
            return False
    return True
