"""Downloads a file over HTTP: resumes it, checks its hash, and installs it whole by rename.

The proxies of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`) are used.
"""

import http
import http.client
import re
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models.checksums import file_sha256

BLOCK = 1 << 18
TIMEOUT = 15.0
"""Seconds to wait for a connection and for each part of an answer."""
SLOWEST = 1000
"""Least bytes a second, over `TIMEOUT` seconds; a slower download is ended."""
TOTAL_TIMEOUT = 3600.0
"""Seconds for one answer as a whole."""
ATTEMPTS = 3
LENGTH = re.compile(r"[0-9]{1,18}")

Progress = Callable[[int, int | None], None]
"""Called with the bytes received and the bytes in all (None where the server does not send it)."""


def download(
    url: str,
    target: Path,
    sha256: str,
    progress: Progress | None = None,
    max_bytes: int | None = None,
) -> Path:
    """Fetch a file, unless it is there already with the right hash.

    What arrived before a broken connection is kept beside the target as `NAME.HASH.part` and
    continued by the next call; the target itself appears whole, by rename.

    Args:
        url: http or https.
        target: Where to; its folder is made.
        sha256: Of the whole file, hexadecimal.
        progress: Called after each block.
        max_bytes: A longer file is refused, before it is fetched where the server sends its length.

    Returns:
        The target.

    Raises:
        ModelError: It cannot be fetched or written, arrives too slowly, or what was fetched is too
            long or has another hash (and is deleted).
    """
    sha256 = sha256.lower()
    partial = target.with_name(f"{target.name}.{sha256[:16]}.part")
    with _writing(target):
        if target.is_file() and file_sha256(target) == sha256:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        if max_bytes is not None and _size(partial) > max_bytes:
            partial.unlink()
    try:
        _fetch_in_parts(url, partial, progress, max_bytes)
    except _TooLongError:
        partial.unlink(missing_ok=True)
        raise
    except ModelError:
        if not _size(partial):
            partial.unlink(missing_ok=True)
        raise
    with _writing(target):
        found = file_sha256(partial)
        if found == sha256:
            partial.replace(target)
            return target
        partial.unlink()
    raise ModelError(
        f"{url} has the SHA-256 {found} instead of {sha256}; it was deleted. Try again; if it "
        "comes out the same, the file is not the published one"
    )


Checked = TypeVar("Checked")


def fetch(url: str, target: Path, max_bytes: int, check: Callable[[Path], Checked]) -> Checked:
    """Fetch a file of which no hash is known; the one that is there is replaced by a whole one.

    Args:
        url: http or https.
        target: Where to; its folder is made.
        max_bytes: A longer file is refused.
        check: Called with a temporary file before it takes the target's place.

    Returns:
        What `check` does.

    Raises:
        ModelError: It cannot be fetched or written, is too long, or `check` refuses it.
    """
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent)
    with scratch as folder:
        new = Path(folder, target.name)
        _fetch_in_parts(url, new, None, max_bytes)
        checked = check(new)
        with _writing(target):
            new.replace(target)
    return checked


class _TooLongError(ModelError):
    """The file is longer than `max_bytes`."""


class _Pace:
    """Ends a download that takes too long as a whole, or is too slow."""

    def __init__(self) -> None:
        self._begun = self._since = time.monotonic()
        self._bytes = 0

    def arrived(self, count: int) -> None:
        """Count the bytes of a block.

        Raises:
            TimeoutError: Too few arrived in the last `TIMEOUT` seconds, or time is up.
        """
        now = time.monotonic()
        self._bytes += count
        if now - self._begun > TOTAL_TIMEOUT:
            raise TimeoutError(f"not complete after {TOTAL_TIMEOUT:.0f} seconds")
        if now - self._since > TIMEOUT:
            if self._bytes < SLOWEST * (now - self._since):
                raise TimeoutError(f"fewer than {SLOWEST} bytes a second arrive")
            self._since, self._bytes = now, 0


def _fetch_in_parts(
    url: str, partial: Path, progress: Progress | None, max_bytes: int | None
) -> None:
    """Resume after each connection that broke off but brought some bytes."""
    _refuse_user(url)
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(partial)
        try:
            _fetch(url, partial, progress, max_bytes)
            return
        except (OSError, http.client.HTTPException, ValueError) as error:  # no address: ValueError
            moved = _size(partial) > before
            final = isinstance(error, (urllib.error.HTTPError, TimeoutError))
            if attempt == ATTEMPTS or not moved or final:
                raise ModelError(_failure(url, error, _size(partial))) from error


def without_user(url: str) -> str:
    """An address as messages show it: without a user's name and password."""
    return re.sub(r"(?<=//)[^/?#]*@", "", url, count=1)


def _refuse_user(url: str) -> None:
    """Refuse an address with a user's name and password, which urllib takes for a part of the host.

    Raises:
        ModelError: It has them; the message does not.
    """
    shown = without_user(url)
    if shown != url:
        raise ModelError(
            f"the address of {shown} has a user's name in it, which cannot be used; fetch the "
            "file by other means and name the copy"
        )


def _fetch(url: str, partial: Path, progress: Progress | None, max_bytes: int | None) -> None:
    """Download the rest of a partial file."""
    start = _size(partial)
    headers = {"User-Agent": "realesrgan-vk", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    proxies = urllib.request.ProxyHandler(_proxies(url))
    try:
        response = urllib.request.build_opener(proxies).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                return  # it is complete; the hash is checked next
        raise
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        done = start if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if LENGTH.fullmatch(length) else None
        _check_length(url, total or 0, max_bytes)
        pace = _Pace()
        with _writing(partial):
            file = partial.open("ab" if resumed else "wb", buffering=0)
        with file:
            while block := response.read1(BLOCK):
                done += len(block)
                _check_length(url, done, max_bytes)
                pace.arrived(len(block))
                with _writing(partial):
                    while block:  # an unbuffered write may be partial
                        block = block[file.write(block) :]
                if progress is not None:
                    progress(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _check_length(url: str, length: int, max_bytes: int | None) -> None:
    if max_bytes is not None and length > max_bytes:
        raise _TooLongError(
            f"{url} is longer than the {max_bytes} bytes of the published file; nothing of it was "
            "kept"
        )


def _proxies(url: str) -> dict[str, str]:
    """The environment's proxies by scheme; `ALL_PROXY`, which urllib leaves out, fills the gaps.

    Raises:
        ModelError: The proxy speaks something else than HTTP.
    """
    known = urllib.request.getproxies()
    if everything := known.pop("all", ""):
        known = {"http": everything, "https": everything} | known
    scheme = urllib.parse.urlsplit(url).scheme
    kind, mark, _ = known.get(scheme, "").partition("://")
    if mark and kind.lower() not in ("http", "https"):
        raise ModelError(
            f"the proxy for {scheme} is of the kind {kind}, only HTTP proxies can be used; set "
            f"{scheme.upper()}_PROXY to one"
        )
    return known


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Distinguish a full disk from a broken connection; both raise `OSError`."""
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{path} cannot be written ({error.strerror or error}); make room or make the folder "
            "writable (it is your cache folder, REALESRGAN_VK_CACHE or XDG_CACHE_HOME)"
        ) from error


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _failure(url: str, error: Exception, kept: int) -> str:
    reason = getattr(error, "reason", None) or error
    advice = "check the connection and the proxy (HTTPS_PROXY, ALL_PROXY)"
    if isinstance(error, urllib.error.HTTPError):
        reason, advice = f"HTTP {error.code} {error.reason}", "the server refuses; try later"
    again = f"; {kept} bytes are kept and continued next time" if kept else ""
    return f"{url} cannot be fetched ({reason}); {advice}{again}"
