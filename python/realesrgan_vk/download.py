"""Fetch one file over HTTP: resumed where it was broken off, checked, and whole or not there.

The standard library's client is enough for this, and honours the proxies of the environment.
"""

import hashlib
import http
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from realesrgan_vk.errors import ModelError

BLOCK = 1 << 18
TIMEOUT = 30.0
ATTEMPTS = 3

Progress = Callable[[int, int | None], None]
"""Told the bytes there are and the bytes there will be (None when the server does not say)."""


def download(url: str, target: Path, sha256: str, progress: Progress | None = None) -> Path:
    """Fetch a file, unless it is there already with the right hash.

    What arrived before a broken connection is kept beside the target as `NAME.HASH.part` and
    continued by the next call; the target itself appears whole, by rename.

    Args:
        url: http or https.
        target: Where to; its folder is made.
        sha256: Of the whole file, hexadecimal.
        progress: Told after each block.

    Returns:
        The target.

    Raises:
        ModelError: It cannot be fetched, or what was fetched has another hash (and is deleted).
    """
    sha256 = sha256.lower()
    if target.is_file() and file_sha256(target) == sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{sha256[:16]}.part")
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(partial)
        try:
            _fetch(url, partial, progress)
            break
        except (OSError, http.client.HTTPException) as error:
            moved = _size(partial) > before
            if attempt == ATTEMPTS or not moved or isinstance(error, urllib.error.HTTPError):
                raise ModelError(_failure(url, error, _size(partial))) from error
    found = file_sha256(partial)
    if found != sha256:
        partial.unlink()
        raise ModelError(
            f"{url} has the SHA-256 {found} instead of {sha256}; it was deleted. Try again; if it "
            "comes out the same, the file is not the published one"
        )
    partial.replace(target)
    return target


def file_sha256(path: Path) -> str:
    """A file's SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _fetch(url: str, partial: Path, progress: Progress | None) -> None:
    """Continue a partial file to its end; an empty one is never left behind."""
    start = _size(partial)
    headers = {"User-Agent": "realesrgan-vk", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.build_opener().open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                return  # it was whole already; the hash decides
        raise
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        done = start if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with partial.open("ab" if resumed else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
                done += len(block)
                if progress is not None:
                    progress(done, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _failure(url: str, error: Exception, kept: int) -> str:
    reason = getattr(error, "reason", None) or error
    advice = "check the connection and the proxy (HTTPS_PROXY)"
    if isinstance(error, urllib.error.HTTPError):
        reason, advice = f"HTTP {error.code} {error.reason}", "the server refuses; try later"
    again = f"; {kept} bytes are kept and continued next time" if kept else ""
    return f"{url} cannot be fetched ({reason}); {advice}{again}"
