"""Pictures in tar shards, local or at any fsspec URL.

Each shard's headers are read once into an index of (name, offset, length); afterwards a picture is
one range read. Any picture is reachable at any time, so the sampler needs no shuffle buffer, and a
data set larger than the disk is shuffled as well as a small one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec

from realesrgan_train.data.pictures import is_picture_name
from realesrgan_train.data.sources import HEADER, PictureSource
from realesrgan_train.errors import ConfigError, DataError
from realesrgan_train.files import replacing

_DATES = ("mtime", "LastModified", "updated", "ETag", "etag")
"""What the file systems call a file's date or version."""

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Member(NamedTuple):
    """One picture of a shard: where its bytes lie."""

    shard: int
    name: str
    offset: int
    length: int


def expand_range(url: str) -> list[str]:
    """`data-{000..002}.tar` as three addresses; an address without a range as itself.

    Raises:
        ConfigError: The last number of the range is below the first.
    """
    match = _RANGE.search(url)
    if match is None:
        return [url]
    first, last = match.group(1), match.group(2)
    if int(last) < int(first):
        raise ConfigError(
            f"shard range {match.group(0)} in {url}: the last number is below the first"
        )
    numbers = (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
    return [
        full
        for number in numbers
        for full in expand_range(url[: match.start()] + number + url[match.end() :])
    ]


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "realesrgan-train" / "shard-index"


class ShardSource(PictureSource):
    """Pictures of tar shards in WebDataset's layout; see `ShardSourceConfig`.

    Raises:
        ConfigError: No fsspec implementation for a URL's protocol.
        DataError: A shard is missing, damaged, or none holds a picture.
    """

    def __init__(self, urls: Sequence[str], picture: str = "") -> None:
        self.urls = [full for url in urls for full in expand_range(url)]
        self.picture = picture.lstrip(".").lower()
        self.origin = ", ".join(urls)
        self.members: list[Member] = []
        for number, url in enumerate(self.urls):
            self.members.extend(
                Member(number, name, offset, length)
                for name, offset, length in self._index(url)
                if self._wanted(name)
            )
        if not self.members:
            wanted = f"member ending in .{self.picture}" if self.picture else "picture"
            raise DataError(f"no {wanted} in the shards {self.origin}")
        self.names = [
            f"{PurePosixPath(self.urls[member.shard]).name}/{member.name}"
            for member in self.members
        ]

    def _wanted(self, name: str) -> bool:
        if self.picture:
            return PurePosixPath(name).name.partition(".")[2].lower() == self.picture
        return is_picture_name(name)

    def _filesystem(self, url: str) -> tuple[Any, str]:
        try:
            found: tuple[Any, str] = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"shard {url} cannot be reached: {error}") from error
        return found

    def _index(self, url: str) -> list[tuple[str, int, int]]:
        """The shard's members; remembered on disk by address, size and date."""
        filesystem, path = self._filesystem(url)
        try:
            facts = filesystem.info(path)
        except (OSError, ValueError) as error:
            raise DataError(f"shard {url} does not exist or cannot be reached ({error})") from error
        identity = [url, facts.get("size"), *(str(facts.get(key)) for key in _DATES)]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        cached = _cache_folder() / f"{digest}.json"
        remote = "://" in url and not url.startswith("memory://")  # which has no dates
        if remote and cached.is_file():
            return [
                (name, offset, length) for name, offset, length in json.loads(cached.read_text())
            ]
        try:
            with filesystem.open(path, "rb") as stream, tarfile.open(fileobj=stream) as archive:
                index = [
                    (member.name, member.offset_data, member.size)
                    for member in archive
                    if member.isfile()
                ]
        except (OSError, tarfile.TarError, EOFError) as error:
            raise DataError(f"shard {url} is not a readable tar file ({error})") from error
        if remote:
            cached.parent.mkdir(parents=True, exist_ok=True)
            with replacing(cached) as partial:
                partial.write_text(json.dumps(index))
        return index

    def key(self, index: int) -> str:
        """See `PictureSource.key`; WebDataset's key ends at the base name's first dot."""
        member = PurePosixPath(self.members[index].name)
        return str(member.with_name(member.name.partition(".")[0]))

    def read(self, index: int) -> bytes:
        """See `PictureSource.read`."""
        return self._bytes(index, self.members[index].length)

    def beginning(self, index: int) -> bytes:
        """See `PictureSource.beginning`."""
        return self._bytes(index, min(HEADER, self.members[index].length))

    def _bytes(self, index: int, count: int) -> bytes:
        member = self.members[index]
        filesystem, path = self._filesystem(self.urls[member.shard])
        try:
            data = bytes(filesystem.cat_file(path, member.offset, member.offset + count))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.label(index)}: cannot be read ({error})") from error
        if len(data) != count:
            raise DataError(f"{self.label(index)}: the shard ends in the middle of this picture")
        return data
