"""Examine every picture and every given pair of a run."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

from PIL import Image, ImageCms

from realesrgan_train.config import RunConfig
from realesrgan_train.config.schema import PairSourceConfig, SourceConfig
from realesrgan_train.data.opening import open_source
from realesrgan_train.data.pairs import PairedSource, wrong_sizes
from realesrgan_train.data.pictures import decode_picture
from realesrgan_train.data.sources import PictureSource
from realesrgan_train.doctor.report import Report
from realesrgan_train.engine.validation import check_crop, smallest_edge, too_small
from realesrgan_train.errors import ConfigError, DataError

_T = TypeVar("_T")


@dataclass(frozen=True)
class PictureFacts:
    """What was found in one picture.

    Attributes:
        label: Origin and name.
        width: In pixels, 0 when unreadable; so is `height`.
        digest: Digest of the decoded pixels, so a copy in another format counts as a duplicate.
        problem: Why it cannot be read, or empty.
        profile: A warning about its colour profile, or empty.
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


def _scan(work: Callable[[int], _T], count: int, limit: int) -> list[_T]:
    """Results of `work` for at most `limit` of `count` indices (0: all), evenly spread."""
    taken = min(count, limit or count)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, (number * count // taken for number in range(taken))))


def _pair_facts(source: PairedSource, index: int) -> tuple[PictureFacts, PictureFacts, str]:
    """What was found in both pictures of a pair, and why their sizes do not fit, or empty."""
    gt_index, lq_index = source.matches[index]
    gt, lq = _facts(source.gt, gt_index), _facts(source.lq, lq_index)
    problem = ""
    if not gt.problem and not lq.problem:
        sizes = (gt.height, gt.width), (lq.height, lq.width)
        problem = wrong_sizes(*sizes, source.scale, gt.label)
    return gt, lq, problem


Section = Literal["data", "validation"]


class DataExamination:
    """Looks at training data first, then at validation data, and remembers what was trained on.

    Args:
        config: Configuration of the run.
        limit: Number of pictures of each source to look at, evenly spread; 0 for all.
        report: Collects the findings.
        tell: Called with a message about what is examined.
    """

    def __init__(
        self, config: RunConfig, limit: int, report: Report, tell: Callable[[str], None]
    ) -> None:
        self.config, self.limit, self.report, self.tell = config, limit, report, tell
        self._trained: dict[str, str] = {}  # label by digest

    def run(self) -> None:
        """Examine both sections."""
        data, validation = self.config.data, self.config.validation
        self._pictures("data", data.pictures)
        self._pairs("data", data.pairs)
        usable = self._pictures("validation", validation.pictures)
        usable += self._pairs("validation", validation.pairs)
        if not validation.every or not (validation.pictures or validation.pairs):
            return
        try:
            check_crop(validation, self.config.scale)
            if not usable:
                raise DataError("none of the validation pictures can be used")
        except (ConfigError, DataError) as error:
            self.report.error(error)

    def _pictures(self, section: Section, sources: Sequence[SourceConfig]) -> int:
        """Examine sources of pictures; returns how many of them can be measured on."""
        usable = 0
        seen: dict[str, str] = {}
        for configured in sources:
            try:
                source = open_source(configured)
            except (DataError, ConfigError) as error:
                self.report.error(error)
                continue
            self.tell(f"{section}: {len(source)} pictures in {source.origin}")
            facts = _scan(partial(_facts, source), len(source), self.limit)
            self._common(facts, seen)
            usable += self._sized(section, facts)
            if section == "data":
                self._smaller_than_a_crop(facts)
            self._leaks(section, facts)
        return usable

    def _pairs(self, section: Section, sources: Sequence[PairSourceConfig]) -> int:
        """Examine given pairs; returns how many of them can be measured on."""
        usable = 0
        seen: tuple[dict[str, str], dict[str, str]] = ({}, {})
        for configured in sources:
            try:
                gt, lq = open_source(configured.gt), open_source(configured.lq)
                source = PairedSource(gt, lq, self.config.scale)
            except (DataError, ConfigError) as error:
                self.report.error(error)
                continue
            self.tell(f"{section}: {len(source)} pairs in {source.gt.origin}")
            facts = _scan(partial(_pair_facts, source), len(source), self.limit)
            self._common([gt for gt, _, _ in facts], seen[0])
            self._common([lq for _, lq, _ in facts], seen[1])
            self.report.many([problem for _, _, problem in facts if problem], DataError.exit_code)
            whole = [gt for gt, lq, problem in facts if not problem and not lq.problem]
            usable += self._sized(section, whole)
            self._leaks(section, whole)
        return usable

    def _common(self, facts: Sequence[PictureFacts], seen: dict[str, str]) -> None:
        """Unreadable pictures, colour profiles, and pictures that are there twice."""
        self.report.many([f.problem for f in facts if f.problem], DataError.exit_code)
        self.report.many([f.profile for f in facts if f.profile], 0)
        twice = []
        for picture in facts:
            if picture.digest and picture.digest in seen:
                twice.append(f"{picture.label} has the same content as {seen[picture.digest]}")
            elif picture.digest:
                seen[picture.digest] = picture.label
        self.report.many(twice, 0)

    def _smaller_than_a_crop(self, facts: Sequence[PictureFacts]) -> None:
        size = self.config.degradation.input_size
        small = [
            f"{f.label}: {f.width}x{f.height} is smaller than the crop of {size}"
            for f in facts
            if not f.problem and min(f.width, f.height) < size
        ]
        self.report.many(small, 0)

    def _sized(self, section: Section, facts: Sequence[PictureFacts]) -> int:
        """How many targets can be measured on; warns of those that will be left out."""
        readable = [f for f in facts if not f.problem]
        scale = self.config.scale
        least = smallest_edge(self.config.validation, scale)
        small = [too_small(f.label, f.height, f.width, scale, least) for f in readable]
        if section == "validation":
            self.report.many([problem for problem in small if problem], 0)
        return small.count("")

    def _leaks(self, section: Section, facts: Sequence[PictureFacts]) -> None:
        """Validation pictures that are trained on."""
        if section == "data":
            self._trained.update({f.digest: f.label for f in facts if f.digest})
            return
        leaks = [
            f"{f.label} has the same content as {self._trained[f.digest]}: the validation picture "
            "is trained on"
            for f in facts
            if f.digest in self._trained
        ]
        self.report.many(leaks, 0)
