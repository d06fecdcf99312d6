"""Where pictures come from and how they are cut."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from realesrgan_train.config.base import Count, PositiveFloat, PositiveInt, Probability, Section


class FolderSource(Section):
    """Every picture below a folder, at any depth."""

    kind: Literal["folder"]
    path: Path


class LmdbSource(Section):
    """An LMDB environment whose values are encoded pictures; keys are their names."""

    kind: Literal["lmdb"]
    path: Path


class ShardSource(Section):
    """Tar shards in WebDataset's layout, local paths or any fsspec URL.

    Attributes:
        urls: one or more addresses; `{000..031}` expands to a range.
        picture: only members with this extension chain, such as `gt.png`; any picture when empty.
    """

    kind: Literal["shards"]
    urls: Annotated[tuple[str, ...], Field(min_length=1)]
    picture: str = ""


Source = Annotated[FolderSource | LmdbSource | ShardSource, Field(discriminator="kind")]


class PairSource(Section):
    """Given pairs: `lq` is `gt` made smaller by the scale, matched by name without extension."""

    gt: Source
    lq: Source


class DataConfig(Section):
    """Training data. The sizes of crops and patches are the degradation's.

    Attributes:
        pictures: high-quality pictures that the degradation makes small and bad.
        pairs: given pairs, used as they are.
        pair_ratio: the share of each batch that is taken from `pairs`.
        batch_size: pairs per process and per micro-batch.
        crop_scales: a crop is taken from the picture shrunk by one of these factors, drawn
            uniformly; it replaces a prepared multiscale copy of the data set.
        horizontal_flip: mirror half of the crops.
        rotate: turn half of the crops by 90 degrees.
        workers: loader processes; the data does not depend on their number.
        prefetch: batches each worker prepares ahead.
        cache_mb: megabytes of decoded pictures each worker keeps; for small data sets.
    """

    pictures: tuple[Source, ...] = ()
    pairs: tuple[PairSource, ...] = ()
    pair_ratio: Probability = 0.0
    batch_size: PositiveInt = 12
    crop_scales: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (
        1.0,
        0.75,
        0.5,
        1 / 3,
    )
    horizontal_flip: bool = True
    rotate: bool = False
    workers: Count = 4
    prefetch: PositiveInt = 2
    cache_mb: Count = 0

    @model_validator(mode="after")
    def _ratio_has_pairs(self) -> DataConfig:
        if self.pair_ratio > 0 and not self.pairs:
            raise ValueError("pair_ratio is above 0 but pairs is empty: name pairs, or set it to 0")
        return self


class ValidationConfig(Section):
    """What is measured while training.

    Attributes:
        pictures: high-quality pictures, made small by `degradation`.
        pairs: given pairs.
        degradation: `training` uses the run's degradation with one fixed draw per picture;
            `light` is a fixed mild one; `bicubic` only shrinks.
        every: steps between validations; 0 switches them off.
        crop: centre crop of the target in pixels, 0 for whole pictures.
        limit: at most this many pictures, 0 for all.
        tile: edge of the input tiles in pixels, 0 for whole pictures.
        tile_overlap: context around each tile in input pixels.
        samples: pictures written as PNG at each validation.
    """

    pictures: tuple[Source, ...] = ()
    pairs: tuple[PairSource, ...] = ()
    degradation: Literal["training", "light", "bicubic"] = "light"
    every: Count = 5000
    crop: Count = 0
    limit: Count = 0
    tile: Count = 0
    tile_overlap: Count = 32
    samples: Count = 4


class GuardConfig(Section):
    """When a run is stopped, or rolled back once.

    Attributes:
        action: `stop`, or `rollback`: go back to the last good checkpoint once, at half the
            rate and with other draws; the second time the run stops.
        every: steps between checks. A checkpoint is always checked before it is written.
        warmup: steps at a stage's start in which only non-finite numbers count.
        patience: checks in a row that must fail, for collapse and drift.
        discriminator_loss: below this the generator learns nothing from the discriminator.
        discriminator_gap: a difference between its mean answers to real and generated pictures
            below this means it no longer tells them apart at all.
        colour_drift: largest allowed mean difference of a channel between output and target,
            of full scale.
    """

    action: Literal["stop", "rollback"] = "stop"
    every: PositiveInt = 50
    warmup: Count = 1000
    patience: PositiveInt = 5
    discriminator_loss: PositiveFloat = 1e-3
    discriminator_gap: PositiveFloat = 1e-6
    colour_drift: PositiveFloat = 0.06
