"""What must hold before step 1, checked in a moment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from realesrgan_train.backbone_package import PACKAGE, packaged_file
from realesrgan_train.config import RunConfig
from realesrgan_train.config.schema import (
    FolderSourceConfig,
    LearnedMetricConfig,
    LmdbSourceConfig,
    SourceConfig,
)
from realesrgan_train.errors import CheckpointError, ConfigError, DataError, TrainError
from realesrgan_train.niqe import packaged_file as niqe_parameters


def check_ready(config: RunConfig) -> None:
    """Check what a preset leaves open for the user to fill in, and that all named files are there.

    Raises:
        ConfigError, DataError, CheckpointError: Naming all problems; of the class with the highest
            exit code.
    """
    problems: list[TrainError] = [
        *unfilled(config),
        *obstructed_folder(config),
        *missing_files(config),
    ]
    if not problems:
        return
    kind = type(max(problems, key=lambda problem: problem.exit_code))
    lines = "\n  ".join(str(problem) for problem in problems)
    raise kind(f"{config.name} cannot start:\n  {lines}")


def unfilled(config: RunConfig) -> list[ConfigError]:
    """What a preset leaves open for the user to fill in, and is not filled in."""
    problems = []
    if not config.data.pictures and config.data.pair_ratio < 1:
        problems.append("data.pictures is empty: name a folder, such as data.pictures=my_photos")
    if config.stages.gan and not config.stages.net and config.start.generator is None:
        problems.append(
            "the run has only the gan stage, which refines a trained network: set start.generator "
            "to the first stage's weights (weights/net.safetensors of its run), or to a published "
            "network's ('realesrgan-export from-ncnn realesrgan-x4plus' writes them)"
        )
    if config.perceptual and config.perceptual.weights is None:
        problems.append(
            "the perceptual loss needs VGG19's weights: set stages.gan.perceptual.weights to "
            "torchvision's vgg19 file, or to fetch, which downloads it (548 MB) into your cache; "
            "or set stages.gan.perceptual=null to train without, which makes textures less natural"
        )
    return [ConfigError(problem) for problem in problems]


def obstructed_folder(config: RunConfig) -> list[ConfigError]:
    """A file where the run's folder, or one above it, has to be."""
    for path in (config.run_dir, *config.run_dir.parents):
        if path.is_dir():
            break
        if path.exists():
            key = "name" if path == config.run_dir else "output"
            return [
                ConfigError(
                    f"the run's folder is {config.run_dir}, but {path} is a file: choose another "
                    f"{key}"
                )
            ]
    return []


def missing_files(config: RunConfig) -> list[TrainError]:
    """Files and folders that the configuration names and that do not exist."""
    found: list[TrainError] = []
    for key in ("generator", "discriminator"):
        path: Path | None = getattr(config.start, key)
        if path is not None and not path.exists():
            otherwise = (
                ": without it, leave the key out and set stages.gan.warmup_discriminator=1000"
                if key == "discriminator"
                else ""
            )
            found.append(CheckpointError(f"{path}: no such checkpoint (start.{key}){otherwise}"))
    vgg = config.perceptual.weights if config.perceptual else None
    if isinstance(vgg, Path) and not vgg.exists():
        found.append(
            CheckpointError(f"{vgg}: no VGG19 weights there (stages.gan.perceptual.weights)")
        )
    found += missing_metrics(config)
    for key, source in _sources(config):
        if (
            isinstance(source, FolderSourceConfig | LmdbSourceConfig)
            and not source.path.expanduser().exists()
        ):
            what = "picture folder" if isinstance(source, FolderSourceConfig) else "LMDB"
            found.append(
                DataError(
                    f"{what} {source.path} does not exist ({key}): check the path in the "
                    "configuration"
                )
            )
    return found


def missing_metrics(config: RunConfig) -> list[TrainError]:
    """Files and packages that measures, and DISTS as a loss, need and that are not there."""
    found: list[TrainError] = []
    metrics: dict[str, LearnedMetricConfig | None] = {}
    if config.validation.every:
        metrics["validation.lpips"] = config.validation.lpips
        metrics["validation.dists"] = config.validation.dists
    if config.stages.gan is not None:
        metrics["stages.gan.dists"] = config.stages.gan.dists
    for key, metric in metrics.items():
        if metric is not None and metric.backbone == PACKAGE:
            try:
                packaged_file("AlexNet" if key.endswith("lpips") else "VGG16", key)
            except ConfigError as error:
                found.append(error)
        for file in (metric.backbone, metric.fitted) if metric else ():
            if isinstance(file, Path) and not file.exists():
                found.append(CheckpointError(f"{file}: no such file ({key})"))
    niqe = config.validation.niqe if config.validation.every else None
    if isinstance(niqe, Path) and not niqe.exists():
        found.append(CheckpointError(f"{niqe}: no such file (validation.niqe)"))
    elif niqe is not None and not isinstance(niqe, Path):
        try:
            niqe_parameters("validation.niqe")
        except ConfigError as error:
            found.append(error)
    return found


def _sources(config: RunConfig) -> Iterator[tuple[str, SourceConfig]]:
    sections = [("data", config.data.pictures, config.data.pairs)]
    if config.validation.every:
        sections.append(("validation", config.validation.pictures, config.validation.pairs))
    for section, pictures, pairs in sections:
        yield from ((f"{section}.pictures", source) for source in pictures)
        for pair in pairs:
            yield f"{section}.pairs", pair.gt
            yield f"{section}.pairs", pair.lq


def cautions(config: RunConfig) -> list[str]:
    """What is allowed, but hardly meant."""
    found = []
    if config.data.pairs and not config.data.pair_ratio:
        found.append(
            "data.pairs is given, but data.pair_ratio is 0: none of the pairs will be used"
        )
    return found + _little_shared_memory(config)


_SHARED_MEMORY = Path("/dev/shm")


def _little_shared_memory(config: RunConfig) -> list[str]:
    """Say when the pools of the loader workers will not fit where they pass them on."""
    data = config.data
    if data.crops_per_picture == 1 or not data.workers or not _SHARED_MEMORY.is_dir():
        return []
    pool = data.pool_pictures * data.crops_per_picture * config.degradation.input_size**2
    pool *= config.network.channels
    need, free = pool * (data.workers + 1), shutil.disk_usage(_SHARED_MEMORY).free
    if need <= free:
        return []
    return [
        f"the loader's pools take up to {need >> 20} MB of shared memory, of which "
        f"{_SHARED_MEMORY} has {free >> 20} MB: lower data.pool_pictures, data.crops_per_picture "
        "or data.workers, or give a container more (--shm-size)"
    ]
