"""From the configuration's sources to open ones, and their fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from realesrgan_train.config.schema import (
    FolderSourceConfig,
    LmdbSourceConfig,
    PairSourceConfig,
    SourceConfig,
)
from realesrgan_train.data.pairs import JoinedPairs, PairedSource
from realesrgan_train.data.shards import ShardSource
from realesrgan_train.data.sources import (
    FolderSource,
    JoinedSource,
    LmdbSource,
    PictureCache,
    PictureSource,
)


def open_source(source: SourceConfig, cache: PictureCache | None = None) -> PictureSource:
    """Open one source; the cache keeps its decoded pictures.

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
    opened.cache = cache
    return opened


def open_sources(
    sources: Sequence[SourceConfig], cache: PictureCache | None = None
) -> PictureSource | None:
    """Open several sources as one, None when there are none.

    Raises:
        DataError: A source is missing or empty.
    """
    opened = [open_source(source) for source in sources]
    if not opened:
        return None
    joined = opened[0] if len(opened) == 1 else JoinedSource(opened)
    joined.cache = cache
    return joined


def open_pairs(
    pairs: Sequence[PairSourceConfig], scale: int, cache: PictureCache | None = None
) -> JoinedPairs | None:
    """Open given pairs, None when there are none; the cache keeps pictures of both sides.

    Raises:
        DataError: A source is missing, or a target has no low-resolution version.
    """
    opened = [
        PairedSource(open_source(pair.gt, cache), open_source(pair.lq, cache), scale)
        for pair in pairs
    ]
    return JoinedPairs(opened) if opened else None


def _fingerprint(names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()


def data_manifest(pictures: PictureSource | None, pairs: JoinedPairs | None) -> dict[str, Any]:
    """Count and sha256 of the ordered names of pictures and pairs.

    Names, not contents: hashing a terabyte at every start would cost more than it tells, and the
    order of names is what decides which picture a position of the run shows.
    """
    names: dict[str, Sequence[str]] = {}
    if pictures is not None:
        names["pictures"] = pictures.names
    if pairs is not None:
        names["pairs"] = [pairs.label(index).rsplit("/", 1)[-1] for index in range(len(pairs))]
    return {
        kind: {"count": len(found), "names_sha256": _fingerprint(found)}
        for kind, found in names.items()
    }
