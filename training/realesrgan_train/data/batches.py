"""Whole batches by number, and the loader that prepares them ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from realesrgan_train.config.schema import DataConfig, RunConfig
from realesrgan_train.data.crops import (
    draw_factor,
    multiscale_crop,
    pad_to_crop,
    paired_crop,
    random_crop,
)
from realesrgan_train.data.pairs import JoinedPairs
from realesrgan_train.data.pictures import Picture
from realesrgan_train.data.sampler import (
    CROP_STREAM,
    PAIR_STREAM,
    POOL_STREAM,
    REPLACEMENT_STREAM,
    PictureOrder,
    crops_in,
    dealt,
    picture_at,
    plan_batch,
    random_stream,
    torch_seed,
)
from realesrgan_train.data.sources import PictureSource
from realesrgan_train.data.versions import PictureVersions
from realesrgan_train.errors import DataError, TrainError

_ATTEMPTS = 16
_T = TypeVar("_T")
_Pixels = npt.NDArray[np.uint8]


@dataclass
class TrainingBatch:
    """One micro-batch of one process, still 8-bit.

    Attributes:
        crops: `uint8[S, C, crop, crop]`, to be degraded; C is 3, or 1 for grey.
        pair_gt: `uint8[P, C, gt, gt]`, given targets.
        pair_lq: `uint8[P, C, gt / scale, gt / scale]`, their given small versions.
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


@dataclass
class BatchGroup:
    """Micro-batches that are prepared together, one after the other in one `TrainingBatch`.

    Attributes:
        whole: Crops, pairs and messages of all.
        sizes: Crops and pairs of each.
    """

    whole: TrainingBatch
    sizes: list[tuple[int, int]]

    def split(self) -> list[TrainingBatch]:
        """The micro-batches, which share the group's memory; the first has all the messages."""
        batches, crop, pair = [], 0, 0
        for crops, pairs in self.sizes:
            given = slice(pair, pair + pairs)
            batches.append(
                TrainingBatch(
                    self.whole.crops[crop : crop + crops],
                    self.whole.pair_gt[given],
                    self.whole.pair_lq[given],
                )
            )
            crop, pair = crop + crops, pair + pairs
        batches[0].damaged = self.whole.damaged
        return batches

    def pin_memory(self) -> BatchGroup:
        """Called by the loader for CUDA."""
        return BatchGroup(self.whole.pin_memory(), self.sizes)


def cache_levels(config: DataConfig) -> int:
    """Versions of each picture that a cache may be asked to keep; see `PictureVersions`."""
    return 1 + len(config.crop_scales) if config.crops_per_picture > 1 else 1


def _batch(crops: _Pixels, gt: _Pixels, lq: _Pixels, damaged: list[str]) -> TrainingBatch:
    return TrainingBatch(
        torch.from_numpy(crops), torch.from_numpy(gt), torch.from_numpy(lq), damaged
    )


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
        self.channels = config.network.channels
        self.crop_size, self.gt_size = config.degradation.input_size, config.gt_size
        self.pictures, self.pairs = pictures, pairs
        self.seed, self.rank, self.world = seed, rank, world
        self.versions: PictureVersions | None = None
        if pictures is not None:
            self.versions = PictureVersions(pictures, self.crop_size, self.config.crop_scales)
        self.per_picture = self.config.crops_per_picture
        self.group_size = 1
        """Micro-batches of a group: as many as hold the crops of the pool."""
        if self.per_picture > 1:
            crops = self.config.pool_pictures * self.per_picture
            self.group_size = -(-crops // self.config.batch_size)
        self.order: PictureOrder | None = None
        if pictures is not None and self.config.weight_by == "area":
            areas = (pictures.area(index) for index in range(len(pictures)))
            self.order = PictureOrder([crops_in(area, self.crop_size) for area in areas])

    def __getitem__(self, batch: int) -> TrainingBatch:
        """Micro-batch number `batch` since the start of the run."""
        number, place = divmod(batch, self.group_size)
        return self.group(number).split()[place]

    def group(self, number: int) -> BatchGroup:
        """Micro-batches `number * group_size` and following, as many as `group_size`.

        A picture that cannot be read is reported in `damaged` and replaced by another one, drawn
        from a stream of its own, so that every other sample of the run stays what it was.
        """
        if self.per_picture == 1:
            whole = self._single(number)
            return BatchGroup(whole, [(len(whole.crops), len(whole.pair_gt))])
        first = number * self.group_size
        plans = [
            plan_batch(batch, 0, 1, self.config.batch_size, self.config.pair_ratio)
            for batch in range(first, first + self.group_size)
        ]
        whole = self._pool(
            number,
            [crop for plan in plans for crop in plan.synthetic],
            [crop for plan in plans for crop in plan.paired],
        )
        return BatchGroup(whole, [(len(plan.synthetic), len(plan.paired)) for plan in plans])

    @property
    def _turns(self) -> dict[str, bool]:
        return {"flip": self.config.horizontal_flip, "rotate": self.config.rotate}

    def _rooms(self, crops: int, given: int) -> tuple[_Pixels, _Pixels, _Pixels]:
        """Room for crops, and for targets and small versions of pairs."""
        small = self.gt_size // self.scale
        return (
            self._room(crops, self.crop_size),
            self._room(given, self.gt_size),
            self._room(given, small),
        )

    def _room(self, count: int, edge: int) -> _Pixels:
        """For `count` pictures, `uint8[count, channels, edge, edge]`."""
        return np.empty((count, self.channels, edge, edge), np.uint8)

    def _single(self, batch: int) -> TrainingBatch:
        """One micro-batch, each crop of a picture of its own."""
        plan = plan_batch(
            batch, self.rank, self.world, self.config.batch_size, self.config.pair_ratio
        )
        damaged: list[str] = []
        crops, targets, small = self._rooms(len(plan.synthetic), len(plan.paired))
        for slot, position in enumerate(plan.synthetic):
            assert self.pictures is not None
            index, size = self._picture_at(position), len(self.pictures)
            picture = self._read(
                self.pictures.decode, index, size, (CROP_STREAM, position), damaged
            )
            rng = random_stream(self.seed, CROP_STREAM, position)
            crop = multiscale_crop(
                picture, self.crop_size, self.config.crop_scales, rng, **self._turns
            )
            crops[slot] = crop.transpose(2, 0, 1)
        for slot, position in enumerate(plan.paired):
            gt, lq = self._pair(position, damaged)
            rng = random_stream(self.seed, PAIR_STREAM, position)
            self._cut_pair(gt, lq, rng, targets[slot], small[slot])
        return _batch(crops, targets, small, damaged)

    def _pool(self, number: int, crops: list[int], given: list[int]) -> TrainingBatch:
        """The crops and pairs of pool `number`, which are consecutive, in its order.

        Crop c is of picture c // `crops_per_picture` of this process.
        """
        damaged: list[str] = []
        room, targets, small = self._rooms(len(crops), len(given))
        for position, members in self._dealt(number, crops, CROP_STREAM):
            assert self.pictures is not None
            assert self.versions is not None
            streams = [random_stream(self.seed, CROP_STREAM, position, m) for m, _ in members]
            factors = [draw_factor(self.config.crop_scales, rng) for rng in streams]
            versions = self._read(
                partial(self.versions.get, numbers=factors),
                self._picture_at(position),
                len(self.pictures),
                (CROP_STREAM, position),
                damaged,
            )
            for (_, slot), rng, factor in zip(members, streams, factors, strict=True):
                picture = pad_to_crop(versions[factor], self.crop_size)
                crop = random_crop(picture, self.crop_size, rng, **self._turns)
                room[slot] = crop.transpose(2, 0, 1)
        for position, members in self._dealt(number, given, PAIR_STREAM):
            gt, lq = self._pair(position, damaged)
            for turn, slot in members:
                rng = random_stream(self.seed, PAIR_STREAM, position, turn)
                self._cut_pair(gt, lq, rng, targets[slot], small[slot])
        return _batch(room, targets, small, damaged)

    def _dealt(
        self, number: int, crops: list[int], stream: int
    ) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Positions in the stream of pictures; with each, its crops' numbers and their slots."""
        if not crops:
            return
        seed = torch_seed(self.seed, POOL_STREAM, stream, self.rank)
        order = dealt(crops[0], crops[-1] + 1, self.per_picture, seed, number)
        slots = {crop: slot for slot, crop in enumerate(order)}
        for picture, members in groupby(crops, lambda crop: crop // self.per_picture):
            yield (
                picture * self.world + self.rank,
                [(crop % self.per_picture, slots[crop]) for crop in members],
            )

    def _pair(self, position: int, damaged: list[str]) -> tuple[Picture, Picture]:
        assert self.pairs is not None
        size = len(self.pairs)
        index = picture_at(position, size, self.seed + PAIR_STREAM)
        return self._read(self.pairs.decode, index, size, (PAIR_STREAM, position), damaged)

    def _cut_pair(
        self,
        gt: Picture,
        lq: Picture,
        rng: np.random.Generator,
        target: _Pixels,
        small: _Pixels,
    ) -> None:
        cut = paired_crop(gt, lq, self.gt_size, self.scale, rng, **self._turns)
        target[:], small[:] = (side.transpose(2, 0, 1) for side in cut)

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


class _ErrorsAsValues(Dataset[BatchGroup | TrainError]):
    """Groups by number; returns errors: one raised in a worker would arrive as text."""

    def __init__(self, dataset: BatchDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, number: int) -> BatchGroup | TrainError:
        try:
            return self.dataset.group(number)
        except TrainError as error:
            return error


def batch_loader(
    dataset: BatchDataset, first: int, end: int, *, pin_memory: bool = False
) -> Iterator[TrainingBatch]:
    """Micro-batches `first` to `end` (exclusive) in order, prepared ahead by worker processes.

    Raises:
        DataError: As `BatchDataset`, with the same message from a worker as without one.
    """
    workers, size = dataset.config.workers, dataset.group_size
    loader: DataLoader[BatchGroup | TrainError] = DataLoader(
        _ErrorsAsValues(dataset),
        batch_size=None,
        sampler=range(first // size, -(-end // size)),
        num_workers=workers,
        prefetch_factor=-(-dataset.config.prefetch // size) if workers else None,
        pin_memory=pin_memory,
    )
    skip = first % size  # a run may go on in the middle of a group
    left = end - first
    for item in loader:
        if isinstance(item, TrainError):
            raise item
        batches = item.split()[skip:][:left]
        batches[0].damaged = item.whole.damaged
        yield from batches
        skip, left = 0, left - len(batches)
