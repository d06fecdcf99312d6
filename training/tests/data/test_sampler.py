"""The stateless sampler: every picture once an epoch, whatever the workers and processes."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realesrgan_train.config import RunConfig
from realesrgan_train.data.batches import BatchDataset, TrainingBatch, batch_loader
from realesrgan_train.data.opening import open_pairs, open_sources
from realesrgan_train.data.sampler import (
    PictureOrder,
    crops_in,
    permuted,
    picture_at,
    plan_batch,
    random_stream,
    torch_seed,
)


@given(
    size=st.integers(1, 300),
    seed=st.integers(0, 2**63 - 1),
    epoch=st.integers(0, 2**40),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_an_epoch_is_a_permutation(size: int, seed: int, epoch: int) -> None:
    assert sorted(permuted(index, size, seed, epoch) for index in range(size)) == [*range(size)]


def test_epochs_and_seeds_differ_and_places_are_even() -> None:
    size = 50
    orders = {
        tuple(permuted(i, size, seed, e) for i in range(size)) for seed in (1, 2) for e in (0, 1)
    }
    assert len(orders) == 4
    # Where picture 0 goes over many epochs: 49 degrees of freedom, 99.99% quantile about 95.
    epochs = 5000
    counts = torch.bincount(
        torch.tensor([permuted(0, size, 3, epoch) for epoch in range(epochs)]), minlength=size
    ).double()
    chi_square = float(((counts - epochs / size).square() / (epochs / size)).sum())
    assert chi_square < 95


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    seed=st.integers(0, 2**63 - 1),
    epoch=st.integers(0, 2**40),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_an_epoch_shows_each_picture_as_often_as_it_counts(
    counts: list[int], seed: int, epoch: int
) -> None:
    order = PictureOrder(counts)
    assert len(order) == sum(counts)
    positions = range(epoch * len(order), (epoch + 1) * len(order))
    shown = Counter(order.picture_at(position, seed) for position in positions)
    assert [shown[index] for index in range(len(counts))] == counts


def test_equal_counts_of_one_are_the_plain_order() -> None:
    order = PictureOrder([1] * 30)
    assert all(order.picture_at(p, 4) == picture_at(p, 30, 4) for p in range(90))
    for counts in ([], [2, 0]):
        with pytest.raises(ValueError, match="PictureOrder"):
            PictureOrder(counts)


def test_crops_of_an_area() -> None:
    assert [crops_in(area, 400) for area in (0, 1, 400**2, 2040 * 1356)] == [1, 1, 1, 17]


@given(
    batch_size=st.integers(1, 13),
    world=st.integers(1, 5),
    ratio=st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.9, 1.0]),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_processes_share_the_positions_without_gap_or_overlap(
    batch_size: int, world: int, ratio: float
) -> None:
    batches = 20
    plans = [
        plan_batch(batch, rank, world, batch_size, ratio)
        for batch in range(batches)
        for rank in range(world)
    ]
    synthetic = [position for plan in plans for position in plan.synthetic]
    paired = [position for plan in plans for position in plan.paired]
    assert synthetic == [*range(len(synthetic))]
    assert paired == [*range(len(paired))]
    assert all(len(plan.synthetic) + len(plan.paired) == batch_size for plan in plans)
    assert abs(len(paired) - ratio * batch_size * batches * world) <= world


def test_streams_are_functions_of_their_key() -> None:
    first = random_stream(1, 2, 3).integers(0, 2**60, 4).tolist()
    assert random_stream(1, 2, 3).integers(0, 2**60, 4).tolist() == first
    others = [random_stream(*key).integers(0, 2**60, 4).tolist() for key in [(1, 2, 4), (2, 2, 3)]]
    assert first not in others
    assert len({torch_seed(seed, number) for seed in range(10) for number in range(10)}) == 100


def _batches(config: RunConfig, first: int, end: int) -> list[TrainingBatch]:
    dataset = BatchDataset(
        config,
        open_sources(config.data.pictures),
        open_pairs(config.data.pairs, config.scale),
        seed=config.seed,
    )
    return list(batch_loader(dataset, first, end))


def test_data_does_not_depend_on_workers_or_on_where_it_starts(micro_config: RunConfig) -> None:
    alone = _batches(micro_config, 0, 9)
    workers = micro_config.data.model_copy(update={"workers": 2})
    together = _batches(micro_config.model_copy(update={"data": workers}), 0, 9)
    later = _batches(micro_config, 5, 9)
    for a, b in zip(alone + alone[5:], together + later, strict=True):
        assert torch.equal(a.crops, b.crops)
        assert torch.equal(a.pair_gt, b.pair_gt)
        assert torch.equal(a.pair_lq, b.pair_lq)
    paired = [len(batch.pair_gt) for batch in alone]
    assert sum(paired) == int(9 * 2 * 0.3)
    assert all(len(batch.crops) + len(batch.pair_gt) == 2 for batch in alone)


def test_each_epoch_shows_every_picture(micro_config: RunConfig) -> None:
    shown = [picture_at(position, 6, micro_config.seed) for position in range(18)]
    for epoch in range(3):
        assert sorted(shown[epoch * 6 : epoch * 6 + 6]) == [*range(6)]


def test_the_dataset_travels_to_spawned_workers(micro_config: RunConfig) -> None:
    """Platforms without fork send it pickled."""
    sources = open_sources(micro_config.data.pictures)
    pairs = open_pairs(micro_config.data.pairs, micro_config.scale)
    dataset = BatchDataset(micro_config, sources, pairs, seed=0)
    before = dataset[3]
    after = pickle.loads(pickle.dumps(dataset))[3]
    assert torch.equal(before.crops, after.crops)
    assert torch.equal(before.pair_gt, after.pair_gt)
