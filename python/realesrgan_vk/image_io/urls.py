"""Files of object stores and web servers, named by URLs, through fsspec.

A `UrlPath` is a path as far as pictures need one: its names and folders are those of the URL, and
what asks the file system asks the store. There are no folders to make, and an upload appears whole
or not at all, because stores show an object when the last byte has arrived.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from realesrgan_vk.errors import ImageError, RealesrganError

SCHEMES = ("s3", "gs", "http", "https", "memory")
READ_ONLY = ("http", "https")

_SINGLE_UPLOAD = 5 << 30  # bytes; S3 takes no more at once, what is larger goes up in parts
_PACKAGES = {"s3": "fsspec and s3fs", "gs": "fsspec and gcsfs", "memory": "fsspec"}

if TYPE_CHECKING:
    _Base = Path
else:
    _Base = type(Path())  # before Python 3.12 only this system's kind can be a base


class UrlPath(_Base):
    """A URL that is used as a path.

    Its methods raise `OSError` where the store cannot be asked, and `ImageError`, which names the
    packages, where what speaks with it is not installed.
    """

    _url: str | None = None  # as it was given; paths derived from it have none

    def __str__(self) -> str:
        if self._url is not None:
            return self._url
        return super().__str__().replace("\\", "/").replace(":/", "://", 1)

    @property
    def scheme(self) -> str:
        """Such as "s3"."""
        return str(self).partition("://")[0]

    @property
    def place(self) -> Path:
        """The file's name without what an address may have behind it."""
        parts = urlsplit(str(self))
        plain = unquote(parts.path) if self.scheme in READ_ONLY else str(self)
        return Path(Path(plain).name or parts.netloc)

    def exists(self, **_: bool) -> bool:
        """Whether there is a file or folder."""
        with self._store() as (store, path):
            return bool(store.exists(path))

    def is_file(self, **_: bool) -> bool:
        """Whether there is a file."""
        with self._store() as (store, path):
            return bool(store.isfile(path))

    def is_dir(self, **_: bool) -> bool:
        """Whether there is a folder; on web servers by the slash at its end alone."""
        if self.scheme in READ_ONLY:
            return str(self).endswith("/")
        with self._store() as (store, path):
            return bool(store.isdir(path))

    def stat(self, **_: bool) -> os.stat_result:
        """A regular file; nothing else is known.

        Raises:
            FileNotFoundError: There is none.
        """
        if not self.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, 0, 0, 0, 0))

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: stores have names, and no folders."""

    @contextmanager
    def reading(self, *, parts: bool = False) -> Iterator[IO[bytes]]:
        """The file, open for reading.

        Args:
            parts: Whether any place of it can be sought. Of a web server's file this asks for
                parts, which not all of them give; else it comes in one piece.
        """
        web = self.scheme in READ_ONLY
        options = {"block_size": 0} if web and not parts else {}
        with self._store() as (store, path), store.open(path, "rb", **options) as file:
            yield file

    def write_whole(self, content: bytes) -> None:
        """Upload a file; it appears with its last byte.

        Raises:
            OSError: It cannot be uploaded; nothing is left of it.
        """
        refuse_read_only(self)
        with self._store() as (store, path):
            options = {"chunksize": _SINGLE_UPLOAD} if self.scheme == "s3" else {}
            store.pipe_file(path, content, **options)

    def upload(self, file: Path) -> None:
        """Upload a file, which need not fit the memory; it appears with its last byte.

        Raises:
            OSError: It cannot be uploaded; nothing is left of it.
        """
        refuse_read_only(self)
        with self._store() as (store, path):
            store.put_file(str(file), path)

    def files_below(self, *, recursive: bool) -> list[tuple["UrlPath", Path]]:
        """The files of a folder, each with its place below it, in the order of their names."""
        with self._store() as (store, path):
            found = store.find(path, maxdepth=None if recursive else 1)
            root = store.unstrip_protocol(path).rstrip("/") + "/"
            below = sorted(store.unstrip_protocol(each).removeprefix(root) for each in found)
        web = self.scheme in READ_ONLY
        places = [(each, unquote(each) if web else each) for each in below if each]
        own = f"{str(self).rstrip('/')}/"
        return [(url_path(own + each), Path(at)) for each, at in places if not _leads_out(at)]

    @contextmanager
    def _store(self) -> Iterator[tuple[Any, str]]:
        """The store, and the file's name in it; its errors become `OSError`."""
        packages = _PACKAGES.get(self.scheme, "fsspec and aiohttp")
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415 - only where a URL is used

            store, path = url_to_fs(str(self))
        except ImportError as error:
            raise ImageError(f"{self} needs the packages {packages} ({error})") from error
        try:
            yield store, path
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, "there is no such file", str(self)) from error
        except OSError as error:
            words = error.strerror or " ".join(str(error).split()) or type(error).__name__
            raise OSError(error.errno or errno.EIO, words) from error
        except RealesrganError:  # what a reader of the file says of it
            raise
        except Exception as error:  # the stores' libraries have many
            words = " ".join(str(error).split()) or type(error).__name__
            raise OSError(errno.EIO, words) from error


def is_url(given: object) -> bool:
    """Whether this is the URL of a store that can be used."""
    if not isinstance(given, str | os.PathLike):
        return False
    scheme, mark, rest = str(given).partition("://")
    return bool(mark and rest) and scheme in SCHEMES


def url_path(given: str) -> UrlPath:
    """A URL as a path, with all of its characters."""
    path = UrlPath(given)
    path._url = given
    return path


def path_of(given: str | os.PathLike[str]) -> Path:
    """A path, which is a `UrlPath` where a URL is given."""
    text = os.fspath(given)
    return url_path(text) if is_url(text) else Path(given)


def refuse_read_only(path: Path) -> None:
    """Raise `OSError` for what lies on a web server."""
    if isinstance(path, UrlPath) and path.scheme in READ_ONLY:
        raise OSError(errno.EROFS, "a web server takes no results; name a folder or an s3:// URL")


def absolute(paths: Sequence[Path]) -> list[str]:
    """The names of paths for another process; URLs as they are."""
    return [str(path) if isinstance(path, UrlPath) else os.path.abspath(path) for path in paths]  # noqa: PTH100


def _leads_out(place: str) -> bool:
    """Whether a name is none below its folder; web servers' pages have links to anywhere."""
    return "://" in place or place.startswith("/") or ".." in place.split("/")
