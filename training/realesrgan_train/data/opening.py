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
    CachedSource,
    FolderSource,
    JoinedSource,
    LmdbSource,
    PictureCache,
    PictureSource,
)


def open_source(source: SourceConfig) -> PictureSource:
    """Open one source.

    Raises:
        DataError: It is missing or empty.
    """
    if isinstance(source, FolderSourceConfig):
        return FolderSource(source.path)
    if isinstance(source, LmdbSourceConfig):
        return LmdbSource(source.path)
    return ShardSource(source.urls, source.picture)


def _cached(source: PictureSource, cache: PictureCache | None) -> PictureSource:
    return source if cache is None else CachedSource(source, cache)


def open_sources(
    sources: Sequence[SourceConfig], cache: PictureCache | None = None
) -> PictureSource | None:
    """Open several sources as one.

    Args:
        sources: As configured.
        cache: Keeps decoded pictures; None for none.

    Returns:
        The source, None when there are none.

    Raises:
        DataError: A source is missing or empty.
    """
    opened = [open_source(source) for source in sources]
    if not opened:
        return None
    return _cached(opened[0] if len(opened) == 1 else JoinedSource(opened), cache)


def open_pairs(
    pairs: Sequence[PairSourceConfig], scale: int, cache: PictureCache | None = None
) -> JoinedPairs | None:
    """Open given pairs.

    Args:
        pairs: As configured.
        scale: Target edge over input edge.
        cache: Keeps decoded pictures of both sides; None for none.

    Returns:
        The pairs, None when there are none.

    Raises:
        DataError: A source is missing, or a target has no low-resolution version.
    """
    opened = [
        PairedSource(_cached(open_source(p.gt), cache), _cached(open_source(p.lq), cache), scale)
        for p in pairs
    ]
    return JoinedPairs(opened) if opened else None


def _fingerprint(names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()


def data_manifest(pictures: PictureSource | None, pairs: JoinedPairs | None) -> dict[str, Any]:
    """Count and sha256 of the ordered names of pictures and pairs.

    Names, not contents: hashing a terabyte at every start would cost more than it tells, and the
    order of names is what decides which picture a position of the run shows.
    """
    manifest: dict[str, Any] = {}
    if pictures is not None:
        names = list(pictures.names)
        manifest["pictures"] = {"count": len(names), "names_sha256": _fingerprint(names)}
    if pairs is not None:
        names = [pairs.label(index).rsplit("/", 1)[-1] for index in range(len(pairs))]
        manifest["pairs"] = {"count": len(names), "names_sha256": _fingerprint(names)}
    return manifest
