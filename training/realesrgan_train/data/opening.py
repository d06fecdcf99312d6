"""From the configuration's sources to open ones, and their fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from realesrgan_train.config.schema import (
    FolderSourceConfig,
    LmdbSourceConfig,
    PairSourceConfig,
    SourceConfig,
)
from realesrgan_train.data.cache import DecodedCache
from realesrgan_train.data.pairs import JoinedPairs, PairedSource
from realesrgan_train.data.shards import ShardSource
from realesrgan_train.data.sources import (
    FolderSource,
    JoinedSource,
    LmdbSource,
    PictureSource,
)
from realesrgan_train.errors import DataError


def open_source(
    source: SourceConfig, cache: DecodedCache | None = None, *, channels: int = 3
) -> PictureSource:
    """Open one source, whose pictures have 3 channels or are grey; the cache keeps them decoded.

    Raises:
        DataError: It is missing or empty.
    """
    opened: PictureSource
    if isinstance(source, FolderSourceConfig):
        opened = FolderSource(source.path)
    elif isinstance(source, LmdbSourceConfig):
        opened = LmdbSource(source.path)
    else:
        opened = ShardSource(source.urls, source.picture)
    opened.cache = cache.part(len(opened)) if cache else None
    opened.channels = channels
    return opened


def open_sources(
    sources: Sequence[SourceConfig],
    cache: DecodedCache | None = None,
    levels: int = 1,
    *,
    channels: int = 3,
) -> PictureSource | None:
    """Open several sources as one, None when there are none.

    The cache keeps its decoded pictures, each in up to `levels` versions.

    Raises:
        DataError: A source is missing or empty.
    """
    opened = [open_source(source, channels=channels) for source in sources]
    if not opened:
        return None
    joined = opened[0] if len(opened) == 1 else JoinedSource(opened)
    joined.cache = cache.part(len(joined), levels) if cache else None
    joined.channels = channels
    return joined


def open_pairs(
    pairs: Sequence[PairSourceConfig],
    scale: int,
    cache: DecodedCache | None = None,
    *,
    channels: int = 3,
) -> JoinedPairs | None:
    """Open given pairs, None when there are none; the cache keeps pictures of both sides.

    Raises:
        DataError: A source is missing, or a target has no low-resolution version.
    """
    opened = [
        PairedSource(
            open_source(pair.gt, cache, channels=channels),
            open_source(pair.lq, cache, channels=channels),
            scale,
        )
        for pair in pairs
    ]
    return JoinedPairs(opened) if opened else None


_SAMPLE = 16
"""Pictures of which `data_manifest` reads the content."""


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _sample(size: int, read: Callable[[int], Sequence[bytes]]) -> Iterator[bytes]:
    """The content of pictures that are evenly spread; nothing for one that cannot be read."""
    count = min(size, _SAMPLE)
    for number in range(count):
        try:
            yield from read(number * size // count)
        except DataError:
            yield b""


def data_manifest(pictures: PictureSource | None, pairs: JoinedPairs | None) -> dict[str, Any]:
    """Count, ordered names and a sample of the contents of pictures and pairs.

    The order of names decides which picture a position of the run shows (`names_sha256`). Sixteen
    pictures, or pairs, evenly spread, tell data sets apart whose pictures have the same names
    (`sample_sha256`): hashing a terabyte at every start would cost more than it tells.
    """
    manifest = {}
    if pictures is not None:
        manifest["pictures"] = {
            "count": len(pictures),
            "names_sha256": _names_digest(pictures.names),
            "sample_sha256": _digest(_sample(len(pictures), lambda i: [pictures.read(i)])),
        }
    if pairs is not None:
        names = [pairs.label(index).rsplit("/", 1)[-1] for index in range(len(pairs))]
        manifest["pairs"] = {
            "count": len(pairs),
            "names_sha256": _names_digest(names),
            "sample_sha256": _digest(_sample(len(pairs), pairs.read)),
        }
    return manifest


def _names_digest(names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()


def data_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs between two manifests, in words."""
    found = []
    for kind in sorted({*old, *new}):
        before, now = old.get(kind, {}), new.get(kind, {})
        counts = before.get("count", 0), now.get("count", 0)
        if counts[0] != counts[1]:
            found.append(f"there were {counts[0]} {kind}, now there are {counts[1]}")
        elif before["names_sha256"] != now["names_sha256"]:
            found.append(f"{kind} have other names, or come in another order")
        elif before.get("sample_sha256") != now["sample_sha256"]:
            found.append(f"{kind} have the same names, but other contents")
    return found
