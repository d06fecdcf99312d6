"""Examine every picture and every given pair of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from realesrgan_train.config import RunConfig
from realesrgan_train.config.data import PairSource, Source
from realesrgan_train.data.opening import open_source
from realesrgan_train.data.pairs import PairedSource
from realesrgan_train.doctor.report import Report
from realesrgan_train.doctor.scan import PictureFacts, scan_pairs, scan_pictures
from realesrgan_train.engine.validation_set import check_crop, too_small
from realesrgan_train.errors import ConfigError, DataError

Section = Literal["data", "validation"]


class DataExamination:
    """Looks at training data first, then at validation data, and remembers what was trained on.

    Args:
        config: of the run.
        limit: look at only so many pictures of each source, evenly spread; 0 for all.
        report: gets the findings.
        tell: told what is being looked at.
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

    def _pictures(self, section: Section, sources: Sequence[Source]) -> int:
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
            facts = scan_pictures(source, self.limit)
            self._common(facts, seen)
            usable += self._sized(section, facts)
            if section == "data":
                self._smaller_than_a_crop(facts)
            self._leaks(section, facts)
        return usable

    def _pairs(self, section: Section, sources: Sequence[PairSource]) -> int:
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
            facts = scan_pairs(source, self.limit)
            self._common([pair.gt for pair in facts], seen[0])
            self._common([pair.lq for pair in facts], seen[1])
            self.report.many([pair.problem for pair in facts if pair.problem], DataError.exit_code)
            whole = [pair.gt for pair in facts if not pair.problem and not pair.lq.problem]
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
        small = [too_small(f.label, f.height, f.width, self.config.scale) for f in readable]
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
