"""All examinations of a configuration, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from realesrgan_train.config import RunConfig
from realesrgan_train.data.opening import open_source
from realesrgan_train.data.pairs import PairedSource
from realesrgan_train.data.source import PictureSource
from realesrgan_train.doctor.memory import available_bytes, estimate
from realesrgan_train.doctor.scan import PictureFacts, scan_pairs, scan_pictures
from realesrgan_train.errors import CheckpointError, ConfigError, DataError, TrainError
from realesrgan_train.training.building import build_discriminator, build_generator
from realesrgan_train.training.perceptual import check_perceptual
from realesrgan_train.training.preflight import check_ready

_SHOWN = 10


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        message: what and where.
        exit_code: of the error class; 0 for a warning.
    """

    message: str
    exit_code: int = 0


@dataclass
class Report:
    """Everything found, and the memory estimate as lines."""

    findings: list[Finding] = field(default_factory=list)
    memory: list[str] = field(default_factory=list)

    def error(self, error: TrainError) -> None:
        """Add an error that would stop the run."""
        self.findings.append(Finding(str(error), error.exit_code))

    def warn(self, message: str) -> None:
        """Add something that would not."""
        self.findings.append(Finding(message))

    def many(self, messages: list[str], exit_code: int) -> None:
        """Add several findings of a kind; beyond ten only their number."""
        self.findings.extend(Finding(message, exit_code) for message in messages[:_SHOWN])
        if len(messages) > _SHOWN:
            self.findings.append(Finding(f"... and {len(messages) - _SHOWN} more", exit_code))


def examine(config: RunConfig, limit: int, tell: Callable[[str], None]) -> Report:
    """Examine everything a run needs.

    Args:
        config: of the run.
        limit: look at only so many pictures of each source, evenly spread; 0 for all.
        tell: told what is being looked at.
    """
    report = Report()
    try:
        check_ready(config)
    except ConfigError as error:
        report.error(error)
    _check_pictures(config, limit, report, tell)
    _check_pairs(config, limit, report, tell)
    _check_start(config, report)
    _check_memory(config, report)
    return report


def _opened(config: RunConfig, report: Report) -> Iterator[tuple[str, PictureSource]]:
    for section in ("data", "validation"):
        for source in getattr(config, section).pictures:
            try:
                yield section, open_source(source)
            except (DataError, ConfigError) as error:
                report.error(error)


def _check_pictures(
    config: RunConfig, limit: int, report: Report, tell: Callable[[str], None]
) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for section, source in _opened(config, report):
        tell(f"{section}: {len(source)} pictures in {source.origin}")
        facts = scan_pictures(source, limit)
        report.many([f.problem for f in facts if f.problem], DataError.exit_code)
        report.many(_duplicates(section, facts, seen), 0)
        report.many([f.profile for f in facts if f.profile], 0)
        size = config.degradation.input_size
        small = [
            f"{f.label}: {f.width}x{f.height} is smaller than the crop of {size}"
            for f in facts
            if not f.problem and min(f.width, f.height) < size
        ]
        if section == "data":
            report.many(small, 0)


def _duplicates(
    section: str, facts: list[PictureFacts], seen: dict[str, tuple[str, str]]
) -> list[str]:
    found = []
    for picture in facts:
        if not picture.digest:
            continue
        if picture.digest in seen:
            where, first = seen[picture.digest]
            leak = ": the validation picture is trained on" if where != section else ""
            found.append(f"{picture.label} has the same content as {first}{leak}")
        else:
            seen[picture.digest] = (section, picture.label)
    return found


def _check_pairs(
    config: RunConfig, limit: int, report: Report, tell: Callable[[str], None]
) -> None:
    for section in ("data", "validation"):
        for pair in getattr(config, section).pairs:
            try:
                source = PairedSource(open_source(pair.gt), open_source(pair.lq), config.scale)
            except (DataError, ConfigError) as error:
                report.error(error)
                continue
            tell(f"{section}: {len(source)} pairs in {source.gt.origin}")
            report.many(scan_pairs(source, limit), DataError.exit_code)


def _check_start(config: RunConfig, report: Report) -> None:
    try:
        _, random_start = build_generator(config)
        if random_start:
            report.warn(
                f"{len(random_start)} tensors of the generator start at random, "
                f"e.g. {random_start[0]}"
            )
        if config.stages.gan is not None:
            build_discriminator(config)
            check_perceptual(config)
    except CheckpointError as error:
        report.error(error)


def _check_memory(config: RunConfig, report: Report) -> None:
    needs = estimate(config)
    total = sum(needs.values())
    place, free = available_bytes(config.execution.device)
    report.memory = [f"memory: {name:30} {size / 2**20:10,.0f} MB" for name, size in needs.items()]
    report.memory.append(
        f"memory: about {total / 2**20:,.0f} MB, free {place}: {free / 2**20:,.0f}"
    )
    if total > free:
        report.warn(
            f"a step needs about {total / 2**30:.1f} GB, but {place} has {free / 2**30:.1f} GB "
            "free: lower data.batch_size (and raise execution.accumulate), or use bf16"
        )
