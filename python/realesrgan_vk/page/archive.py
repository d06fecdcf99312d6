"""Results of several jobs as one ZIP file, made while it is sent."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

_BLOCK = 1 << 18


class _Sink:
    """What the archive is written to: keeps what was not yet taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def zipped(files: Sequence[tuple[str, Path]]) -> Iterator[bytes]:
    """The parts of an archive of these files, under these names; equal ones get a number.

    Files that have gone meanwhile are left out.
    """
    sink = _Sink()
    used: set[str] = set()
    with ZipFile(sink, "w", ZIP_STORED) as archive:
        for wanted, path in files:
            try:
                source = path.open("rb")
            except OSError:
                continue
            name, number = wanted, 1
            while name.casefold() in used:
                number += 1
                name = f"{Path(wanted).stem}-{number}{Path(wanted).suffix}"
            used.add(name.casefold())
            entry = ZipInfo(name, time.localtime()[:6])
            with source, archive.open(entry, "w", force_zip64=True) as target:
                while block := source.read(_BLOCK):
                    target.write(block)
                    yield sink.take()
            yield sink.take()
    yield sink.take()
