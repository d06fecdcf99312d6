"""The pool keeps, mixes and restores pairs."""

from __future__ import annotations

import io

import pytest
import torch

from realesrgan_train.degradations.pair_pool import PairPool
from realesrgan_train.degradations.recipe import DegradedBatch


def batch_of(numbers: list[int]) -> DegradedBatch:
    """Pairs that carry a number: LQ, ground truth and sharpened pictures of one sample agree."""
    values = torch.tensor(numbers).view(-1, 1, 1, 1) / 255
    return DegradedBatch(
        values.expand(-1, 3, 2, 2).clone(),
        values.expand(-1, 3, 8, 8).clone(),
        values.expand(-1, 3, 8, 8).clone(),
    )


def numbers_of(batch: DegradedBatch) -> list[int]:
    numbers = (batch.lq[:, 0, 0, 0] * 255).round().int().tolist()
    for picture in batch:
        pixels = (picture * 255).round().int().flatten(1)
        assert (pixels == torch.tensor(numbers).view(-1, 1)).all()
    return numbers


def test_pool_mixes_and_loses_nothing() -> None:
    pool, generator = PairPool(11), torch.Generator().manual_seed(0)  # holds 9 = 3 batches
    given: list[int] = []
    taken: list[int] = []
    for step in range(40):
        fresh = list(range(3 * step, 3 * step + 3))
        given += fresh
        out = numbers_of(pool(batch_of(fresh), generator))
        if step < 3:
            assert out == fresh  # passes through while it fills up
            assert generator.get_state().equal(torch.Generator().manual_seed(0).get_state())
        else:
            assert not set(out) & set(fresh)
            taken += out
    state = pool.get_extra_state()
    kept = state["lq"]
    assert isinstance(kept, torch.Tensor)
    left = kept[:, 0, 0, 0].int().tolist()
    assert sorted(taken + left) == given  # each pair leaves once
    sources = [{number // 3 for number in taken[i : i + 3]} for i in range(0, len(taken), 3)]
    assert sum(len(source) > 1 for source in sources) > 25  # batches are mixed


def test_resumed_pool_continues_bit_for_bit() -> None:
    pool, generator = PairPool(6), torch.Generator().manual_seed(1)
    for step in range(5):
        pool(batch_of([2 * step, 2 * step + 1]), generator)
    file = io.BytesIO()
    torch.save({"pool": pool.state_dict(), "rng": generator.get_state()}, file)
    expected = [numbers_of(pool(batch_of([100 + i, 150 + i]), generator)) for i in range(9)]

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed, other = PairPool(6), torch.Generator()
    resumed.load_state_dict(saved["pool"])
    other.set_state(saved["rng"])
    assert [numbers_of(resumed(batch_of([100 + i, 150 + i]), other)) for i in range(9)] == expected


def test_half_filled_and_empty_pools_are_restored() -> None:
    pool, generator = PairPool(6), torch.Generator()
    empty = PairPool(6)
    empty.load_state_dict(pool.state_dict())
    pool(batch_of([1, 2]), generator)
    resumed = PairPool(6)
    resumed.load_state_dict(pool.state_dict())
    assert (resumed.filled, empty.filled) == (2, 0)
    assert numbers_of(resumed(batch_of([3, 4]), generator)) == [3, 4]


def test_kept_pictures_are_as_exact_as_promised() -> None:
    pool, generator = PairPool(2), torch.Generator()
    lq, gt = (
        (torch.rand(1, 3, 4, 4) * 255).round() / 255,
        (torch.rand(1, 3, 8, 8) * 255).round() / 255,
    )
    usm = torch.rand(1, 3, 8, 8)
    pool(DegradedBatch(lq, gt, usm), generator)
    pool(DegradedBatch(lq, gt, usm), generator)
    out = pool(DegradedBatch(lq, gt, usm), generator)
    assert torch.equal(out.lq, lq)
    assert torch.equal(out.gt, gt)
    assert float((out.gt_usm - usm).abs().max()) <= 1 / 4096
    assert out.gt_usm.dtype == torch.float32


@pytest.mark.parametrize("size", [0, 2])
def test_pool_smaller_than_a_batch_passes_it_through(size: int) -> None:
    batch = batch_of([1, 2, 3])
    assert PairPool(size)(batch, torch.Generator()) is batch


def test_changed_shapes_are_refused() -> None:
    pool, generator = PairPool(6), torch.Generator()
    pool(batch_of([1, 2]), generator)
    with pytest.raises(ValueError, match=r"holds 6 pairs of \(3, 8, 8\), cannot exchange 4"):
        pool(batch_of([1, 2, 3, 4]), generator)
    with pytest.raises(ValueError, match="must not be negative"):
        PairPool(-1)
