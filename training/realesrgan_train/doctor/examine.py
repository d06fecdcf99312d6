"""All examinations of a configuration, one after the other."""

from __future__ import annotations

from collections.abc import Callable

from realesrgan_train.config import RunConfig
from realesrgan_train.config.preflight import cautions, obstructed_folder, unfilled
from realesrgan_train.doctor.memory import available_bytes, estimate
from realesrgan_train.doctor.pictures import DataExamination
from realesrgan_train.doctor.report import Report
from realesrgan_train.doctor.work import step_work
from realesrgan_train.engine.building import (
    build_discriminator,
    build_generator,
    discriminator_caution,
)
from realesrgan_train.errors import CheckpointError
from realesrgan_train.losses.perceptual import check_perceptual, must_be_fetched


def examine(config: RunConfig, limit: int, tell: Callable[[str], None]) -> Report:
    """Examine everything a run needs; see `DataExamination`."""
    report = Report()
    for error in (*unfilled(config), *obstructed_folder(config)):
        report.error(error)
    for caution in cautions(config):
        report.warn(caution)
    DataExamination(config, limit, report, tell).run()
    _check_start(config, report, tell)
    _check_memory(config, report)
    report.needs += _work_lines(config)
    return report


def _check_start(config: RunConfig, report: Report, tell: Callable[[str], None]) -> None:
    def check_generator() -> None:
        _, random_start = build_generator(config)
        if random_start:
            report.warn(
                f"{len(random_start)} tensors of the generator start at random, "
                f"e.g. {random_start[0]}"
            )
        caution = discriminator_caution(config)
        if caution:
            report.warn(caution)

    def check_vgg() -> None:
        if must_be_fetched(config):
            tell("VGG19's weights (548 MB) will be downloaded when the run starts")
        else:
            check_perceptual(config)

    if config.start.generator is None:
        tell("start: random weights (start.generator is not set)")
    checks: list[Callable[[], object]] = [check_generator]
    if config.stages.gan is not None:
        checks += [lambda: build_discriminator(config), check_vgg]
    for check in checks:
        try:
            check()
        except CheckpointError as error:
            report.error(error)


def _work_lines(config: RunConfig) -> list[str]:
    """What a step of each stage costs, and the whole stage, as lines."""
    stages = dict(config.stages)
    return [
        f"work: a step of {name} {flops / 1e12:,.3g} TFLOP, {stages[name].steps:,} steps "
        f"{flops * stages[name].steps / 1e18:,.3g} EFLOP"
        for name, flops in step_work(config).items()
    ]


def _check_memory(config: RunConfig, report: Report) -> None:
    needs = estimate(config)
    total = sum(needs.values())
    place, free = available_bytes(config.execution.device)
    report.needs = [f"memory: {name:30} {size / 2**20:10,.0f} MB" for name, size in needs.items()]
    report.needs.append(f"memory: about {total / 2**20:,.0f} MB, free {place}: {free / 2**20:,.0f}")
    if total > free:
        report.warn(
            f"a step needs about {total / 2**30:.1f} GB, but {place} has {free / 2**30:.1f} GB "
            "free: lower data.batch_size (and raise execution.accumulate), or use bf16"
        )
