"""Which picture, crop and random stream belong to (seed, step, rank, slot).

There is no sampler state. An epoch is a keyed permutation evaluated one index at a time (a Feistel
network with cycle walking, Black and Rogaway 2002), so position `p` of the run is known without
walking through the positions before it, a restart continues at any step, and neither the number of
loader workers nor their order of finishing can matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MASK64 = (1 << 64) - 1
_ROUNDS = 4

#: Separate uses of the same seed.
CROP_STREAM, REPLACEMENT_STREAM, PAIR_STREAM, DEGRADATION_STREAM, START_STREAM = range(5)
POOL_STREAM = 7  # 6 is the training step's


def _splitmix64(value: int) -> int:
    """Steele, Lea and Flood's mixing function: 64 bits in, 64 well-mixed bits out."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)


def permuted(index: int, size: int, seed: int, epoch: int) -> int:
    """Where `index` goes in the permutation of `range(size)` keyed by (seed, epoch)."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    key = _splitmix64(_splitmix64(seed) ^ epoch)
    value = index
    while True:
        left, right = value >> half, value & mask
        for turn in range(_ROUNDS):
            left, right = right, left ^ (_splitmix64(right ^ _splitmix64(key + turn)) & mask)
        value = (left << half) | right
        if value < size:
            return value


def picture_at(position: int, size: int, seed: int) -> int:
    """The picture at a position of the run: every epoch shows each of `size` pictures once."""
    epoch, index = divmod(position, size)
    return permuted(index, size, seed, epoch)


class PictureOrder:
    """Which picture a position of the run shows, where some come oftener than others.

    An epoch shows picture i `counts[i]` times, in an order of its own.

    Raises:
        ValueError: There are no pictures, or one has a count below 1.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        if not counts or min(counts) < 1:
            raise ValueError("PictureOrder: needs pictures, each with a count of at least 1")
        self._ends = np.cumsum(np.asarray(counts, dtype=np.int64))

    def __len__(self) -> int:
        """Positions of an epoch."""
        return int(self._ends[-1])

    def picture_at(self, position: int, seed: int) -> int:
        """The picture at a position of the run."""
        place = picture_at(position, len(self), seed)
        return int(np.searchsorted(self._ends, place, side="right"))


def crops_in(area: int, crop: int) -> int:
    """How many crops of `crop` by `crop` pixels an area holds, rounded; at least one."""
    return max(1, round(area / crop**2))


def random_stream(seed: int, *key: int) -> np.random.Generator:
    """An independent random stream for each (seed, key)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))


def torch_seed(seed: int, *key: int) -> int:
    """A seed for `torch.Generator.manual_seed` belonging to (seed, key)."""
    state = np.random.SeedSequence(seed, spawn_key=key).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def dealt(first: int, end: int, per_picture: int, seed: int, pool: int) -> list[int]:
    """The crops `first` to `end` (exclusive) of a stream, in the order in which a pool gives them.

    Crop c is of picture c // `per_picture` of the stream. The pool goes over its pictures
    `per_picture` times, in another order each time, and takes one crop of each: the crops of one
    picture are as far apart as they can be.

    Args:
        first: The pool's first crop.
        end: The one after its last.
        per_picture: Crops of a picture.
        seed: The stream's.
        pool: The pool's number.
    """
    order: list[int] = []
    for turn in range(per_picture):
        crops = range(first + (turn - first) % per_picture, end, per_picture)
        count, key = len(crops), pool * per_picture + turn
        order.extend(crops[permuted(place, count, seed, key)] for place in range(count))
    return order


@dataclass(frozen=True)
class BatchPlan:
    """Positions in the streams of pictures and of given pairs that a batch takes, one per slot."""

    synthetic: tuple[int, ...]
    paired: tuple[int, ...]


def plan_batch(batch: int, rank: int, world: int, batch_size: int, pair_ratio: float) -> BatchPlan:
    """The positions that micro-batch number `batch` of `rank` takes.

    The number of given pairs in a batch is the ratio's running total rounded down, so that the
    share is met exactly in the long run even when `batch_size * pair_ratio` is a fraction.

    Args:
        batch: Number of the micro-batch since the start of the run, from 0.
        rank: This process, `0 <= rank < world`.
        world: Number of processes.
        batch_size: Pairs per process and micro-batch.
        pair_ratio: Fraction of given pairs, 0..1.
    """
    before = math.floor(batch * batch_size * pair_ratio)
    paired = math.floor((batch + 1) * batch_size * pair_ratio) - before
    synthetic = batch_size - paired
    first_pair = before * world + rank * paired
    first_picture = (batch * batch_size - before) * world + rank * synthetic
    return BatchPlan(
        tuple(range(first_picture, first_picture + synthetic)),
        tuple(range(first_pair, first_pair + paired)),
    )
