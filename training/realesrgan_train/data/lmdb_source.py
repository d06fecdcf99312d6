"""Pictures in an LMDB environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from realesrgan_train.data.sources import PictureSource
from realesrgan_train.errors import ConfigError, DataError

_open_environments: dict[tuple[int, str], Any] = {}
"""By process and path: a handle must not cross a fork, nor be opened twice in one process."""


def _environment(path: Path) -> Any:  # noqa: ANN401 - lmdb has no types
    key = (os.getpid(), str(path.resolve()))
    if key in _open_environments:
        return _open_environments[key]
    try:
        import lmdb  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ConfigError(
            f"reading {path} needs a package that is not installed: pip install lmdb"
        ) from error
    try:
        environment = lmdb.open(
            str(path),
            subdir=path.is_dir(),
            readonly=True,
            lock=False,
            readahead=False,
            meminit=False,
        )
    except lmdb.Error as error:
        raise DataError(f"LMDB {path} cannot be opened ({error})") from error
    _open_environments[key] = environment
    return environment


class LmdbSource(PictureSource):
    """Keys are names, values are encoded pictures.

    Raises:
        ConfigError: the `lmdb` package is not installed.
        DataError: the environment is missing, damaged or empty.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.origin = str(self.path)
        if not self.path.exists():
            raise DataError(f"LMDB {self.path} does not exist: check the path in the configuration")
        with _environment(self.path).begin() as transaction:
            self.names = [
                bytes(key).decode() for key in transaction.cursor().iternext(values=False)
            ]
        if not self.names:
            raise DataError(f"LMDB {self.path} holds no picture")

    def key(self, index: int) -> str:
        """See `PictureSource.key`; keys often carry no extension at all."""
        stem, dot, ending = self.names[index].rpartition(".")
        return stem if dot and "/" not in ending else self.names[index]

    def read(self, index: int) -> bytes:
        """See `PictureSource.read`."""
        with _environment(self.path).begin() as transaction:
            value = transaction.get(self.names[index].encode())
        if value is None:
            raise DataError(f"{self.label(index)}: no longer in the LMDB")
        return bytes(value)
