"""Whole batches by number, and the loader that prepares them ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from realesrgan_train.config.schema import RunConfig
from realesrgan_train.data.crops import multiscale_crop, paired_crop
from realesrgan_train.data.pairs import JoinedPairs
from realesrgan_train.data.pictures import Picture
from realesrgan_train.data.sampler import (
    CROP_STREAM,
    PAIR_STREAM,
    REPLACEMENT_STREAM,
    PictureOrder,
    crops_in,
    picture_at,
    plan_batch,
    random_stream,
)
from realesrgan_train.data.sources import PictureSource
from realesrgan_train.errors import DataError, TrainError

_ATTEMPTS = 16
_T = TypeVar("_T")


@dataclass
class TrainingBatch:
    """One micro-batch of one process, still 8-bit.

    Attributes:
        crops: `uint8[S, 3, crop, crop]`, to be degraded.
        pair_gt: `uint8[P, 3, gt, gt]`, given targets.
        pair_lq: `uint8[P, 3, gt / scale, gt / scale]`, their given small versions.
        damaged: One message per picture that could not be read and was replaced.
    """

    crops: Tensor
    pair_gt: Tensor
    pair_lq: Tensor
    damaged: list[str] = field(default_factory=list)

    def pin_memory(self) -> TrainingBatch:
        """Called by the loader for CUDA."""
        self.crops = self.crops.pin_memory()
        self.pair_gt = self.pair_gt.pin_memory()
        self.pair_lq = self.pair_lq.pin_memory()
        return self


def _stack(pictures: list[Picture], edge: int) -> Tensor:
    """`uint8[N, 3, edge, edge]`, also for none."""
    if not pictures:
        return torch.empty((0, 3, edge, edge), dtype=torch.uint8)
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def decode_or_replace(
    decode: Callable[[int], _T], index: int, size: int, spare: np.random.Generator
) -> tuple[_T, list[str]]:
    """Decode a picture or pair, or another one where it is damaged.

    Args:
        decode: Of a source; raises `DataError` for a damaged one.
        index: Which one.
        size: How many there are.
        spare: The sample's stream of random numbers for replacements.

    Returns:
        What was decoded, and one message per damaged picture.

    Raises:
        DataError: Sixteen in a row are damaged.
    """
    damaged: list[str] = []
    for _ in range(_ATTEMPTS):
        try:
            return decode(index), damaged
        except DataError as error:
            damaged.append(str(error))
            index = int(spare.integers(size))
    raise DataError(
        f"{_ATTEMPTS} pictures in a row could not be read; the last: {damaged[-1]}. "
        "Run `realesrgan-train doctor` to list the damaged ones."
    )


class BatchDataset(Dataset[TrainingBatch]):
    """Micro-batches of one process as a pure function of their number.

    Args:
        config: The run's configuration.
        pictures: Sources to degrade, None when `pair_ratio` is 1.
        pairs: Given pairs, None when `pair_ratio` is 0.
        seed: Other than the configured one after a rollback.
        rank: This process, one of `world`.
        world: Number of processes.

    Raises:
        DataError: `pair_ratio` is below 1 and there are no pictures.
    """

    def __init__(
        self,
        config: RunConfig,
        pictures: PictureSource | None,
        pairs: JoinedPairs | None,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if pictures is None and config.data.pair_ratio < 1:
            raise DataError(
                "data.pictures is empty: name a folder of pictures (data.pictures=FOLDER), "
                "or train on given pairs alone (data.pairs and data.pair_ratio=1)"
            )
        self.config, self.scale = config.data, config.scale
        self.crop_size, self.gt_size = config.degradation.input_size, config.gt_size
        self.pictures, self.pairs = pictures, pairs
        self.seed, self.rank, self.world = seed, rank, world
        self.order: PictureOrder | None = None
        if pictures is not None and self.config.weight_by == "area":
            areas = (pictures.area(index) for index in range(len(pictures)))
            self.order = PictureOrder([crops_in(area, self.crop_size) for area in areas])

    def __getitem__(self, batch: int) -> TrainingBatch:
        """Micro-batch number `batch` since the start of the run.

        A picture that cannot be read is reported in `damaged` and replaced by another one, drawn
        from a stream of its own, so that every other sample of the run stays what it was.
        """
        plan = plan_batch(
            batch, self.rank, self.world, self.config.batch_size, self.config.pair_ratio
        )
        turns = {"flip": self.config.horizontal_flip, "rotate": self.config.rotate}
        damaged: list[str] = []
        crops: list[Picture] = []
        given: list[tuple[Picture, Picture]] = []
        for position in plan.synthetic:
            assert self.pictures is not None
            index, size = self._picture_at(position), len(self.pictures)
            picture = self._read(
                self.pictures.decode, index, size, (CROP_STREAM, position), damaged
            )
            rng = random_stream(self.seed, CROP_STREAM, position)
            crops.append(
                multiscale_crop(picture, self.crop_size, self.config.crop_scales, rng, **turns)
            )
        for position in plan.paired:
            assert self.pairs is not None
            size = len(self.pairs)
            index = picture_at(position, size, self.seed + PAIR_STREAM)
            gt, lq = self._read(self.pairs.decode, index, size, (PAIR_STREAM, position), damaged)
            rng = random_stream(self.seed, PAIR_STREAM, position)
            given.append(paired_crop(gt, lq, self.gt_size, self.scale, rng, **turns))
        return TrainingBatch(
            _stack(crops, self.crop_size),
            _stack([gt for gt, _ in given], self.gt_size),
            _stack([lq for _, lq in given], self.gt_size // self.scale),
            damaged,
        )

    def _picture_at(self, position: int) -> int:
        seed = self.seed + CROP_STREAM
        if self.order is not None:
            return self.order.picture_at(position, seed)
        assert self.pictures is not None
        return picture_at(position, len(self.pictures), seed)

    def _read(
        self,
        decode: Callable[[int], _T],
        index: int,
        size: int,
        place: tuple[int, int],
        damaged: list[str],
    ) -> _T:
        """Decode, or replace by a picture drawn from the stream of `place`."""
        spare = random_stream(self.seed, REPLACEMENT_STREAM, *place)
        picture, messages = decode_or_replace(decode, index, size, spare)
        damaged += messages
        return picture


class _ErrorsAsValues(Dataset[TrainingBatch | TrainError]):
    """Returns errors: one raised in a worker would arrive as text, with its traceback."""

    def __init__(self, dataset: BatchDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, batch: int) -> TrainingBatch | TrainError:
        try:
            return self.dataset[batch]
        except TrainError as error:
            return error


def batch_loader(
    dataset: BatchDataset, first: int, end: int, *, pin_memory: bool = False
) -> Iterator[TrainingBatch]:
    """Micro-batches `first` to `end` (exclusive) in order, prepared ahead by worker processes.

    Raises:
        DataError: As `BatchDataset`, with the same message from a worker as without one.
    """
    workers = dataset.config.workers
    loader: DataLoader[TrainingBatch | TrainError] = DataLoader(
        _ErrorsAsValues(dataset),
        batch_size=None,
        sampler=range(first, end),
        num_workers=workers,
        prefetch_factor=dataset.config.prefetch if workers else None,
        pin_memory=pin_memory,
    )
    for item in loader:
        if isinstance(item, TrainError):
            raise item
        yield item
