"""From the configuration's sources to open ones."""

from __future__ import annotations

from collections.abc import Sequence

from realesrgan_train.config import data as configured
from realesrgan_train.data.cache import CachedSource
from realesrgan_train.data.folder import FolderSource
from realesrgan_train.data.lmdb_source import LmdbSource
from realesrgan_train.data.pairs import JoinedPairs, PairedSource
from realesrgan_train.data.shards import ShardSource
from realesrgan_train.data.sources import JoinedSource, PictureSource


def open_source(source: configured.Source) -> PictureSource:
    """Open one source.

    Raises:
        DataError: it is missing or empty.
    """
    if isinstance(source, configured.FolderSource):
        return FolderSource(source.path)
    if isinstance(source, configured.LmdbSource):
        return LmdbSource(source.path)
    return ShardSource(source.urls, source.picture)


def open_sources(sources: Sequence[configured.Source], cache_mb: int = 0) -> PictureSource | None:
    """Open several sources as one, with a cache of decoded pictures; None when there are none."""
    opened = [open_source(source) for source in sources]
    if not opened:
        return None
    joined = opened[0] if len(opened) == 1 else JoinedSource(opened)
    return CachedSource(joined, cache_mb * 2**20) if cache_mb else joined


def open_pairs(pairs: Sequence[configured.PairSource], scale: int) -> JoinedPairs | None:
    """Open given pairs; None when there are none.

    Raises:
        DataError: a source is missing, or a target has no small version.
    """
    opened = [PairedSource(open_source(p.gt), open_source(p.lq), scale) for p in pairs]
    return JoinedPairs(opened) if opened else None
