"""Read every picture once and note what is wrong with it."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image, ImageCms

from realesrgan_train.data.pairs import PairedSource, wrong_sizes
from realesrgan_train.data.pictures import decode_picture
from realesrgan_train.data.sources import PictureSource
from realesrgan_train.errors import DataError

_T = TypeVar("_T")


@dataclass(frozen=True)
class PictureFacts:
    """What was found in one picture.

    Attributes:
        label: origin and name.
        width: in pixels, 0 when unreadable.
        height: the same.
        digest: of the decoded pixels, so that a copy in another format counts as a duplicate.
        problem: why it cannot be read, or empty.
        profile: a warning about its colour profile, or empty.
    """

    label: str
    width: int = 0
    height: int = 0
    digest: str = ""
    problem: str = ""
    profile: str = ""


def _profile_warning(data: bytes, label: str) -> str:
    with Image.open(io.BytesIO(data)) as image:
        embedded = image.info.get("icc_profile")
        mode = image.mode
    if mode == "F":
        return f"{label}: is floating point; its 0..1 is read as sRGB, which linear light is not"
    if mode in ("CMYK", "LAB", "YCbCr") and not embedded:
        return f"{label}: is {mode}, which is converted without a profile"
    if not embedded:
        return ""
    try:
        profile = ImageCms.getOpenProfile(io.BytesIO(embedded))
        name = ImageCms.getProfileDescription(profile).strip()
    except (OSError, ImageCms.PyCMSError):
        return f"{label}: its colour profile is damaged"
    if "srgb" in name.lower().replace(" ", "") or mode == "L":
        return ""
    return f"{label}: its colour profile is {name!r}, not sRGB; training reads its numbers as sRGB"


def _facts(source: PictureSource, index: int) -> PictureFacts:
    label = source.label(index)
    try:
        data = source.read(index)
        picture = decode_picture(data, label)
    except DataError as error:
        return PictureFacts(label, problem=str(error))
    height, width = picture.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}".encode() + picture.tobytes()).hexdigest()
    return PictureFacts(label, width, height, digest, profile=_profile_warning(data, label))


def chosen(count: int, limit: int) -> list[int]:
    """At most `limit` indices, evenly spread; all when it is 0."""
    if not limit or count <= limit:
        return list(range(count))
    return [number * count // limit for number in range(limit)]


def _scan(work: Callable[[int], _T], indices: list[int]) -> list[_T]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, indices))


def scan_pictures(source: PictureSource, limit: int = 0) -> list[PictureFacts]:
    """Facts of a source's pictures, in order, read by several threads."""
    return _scan(lambda index: _facts(source, index), chosen(len(source), limit))


@dataclass(frozen=True)
class PairFacts:
    """What was found in a given pair: both pictures, and whether their sizes fit."""

    gt: PictureFacts
    lq: PictureFacts
    problem: str


def _pair_facts(source: PairedSource, index: int) -> PairFacts:
    gt_index, lq_index = source.matches[index]
    gt, lq = _facts(source.gt, gt_index), _facts(source.lq, lq_index)
    problem = ""
    if not gt.problem and not lq.problem:
        sizes = (gt.height, gt.width), (lq.height, lq.width)
        problem = wrong_sizes(*sizes, source.scale, gt.label)
    return PairFacts(gt, lq, problem)


def scan_pairs(source: PairedSource, limit: int = 0) -> list[PairFacts]:
    """Facts of given pairs, in order, read by several threads."""
    return _scan(lambda index: _pair_facts(source, index), chosen(len(source), limit))
