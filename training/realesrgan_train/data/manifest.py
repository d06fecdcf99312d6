"""A fingerprint of the training data, for the run's record and the exported weights."""

from __future__ import annotations

import hashlib
from typing import Any

from realesrgan_train.data.pairs import JoinedPairs
from realesrgan_train.data.sources import PictureSource


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
